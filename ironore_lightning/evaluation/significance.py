"""Classical tests of skill.

All functions are pure. Returns and forecasts are in per cent, one row per day, in time order. An
undefined result is None, and its note says why.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import binomtest, chi2, norm
from scipy.stats import t as student

ROUNDING = 1e-12
"""Values that differ by less than this share of the largest count as equal."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Result of a test.

    Attributes:
        statistic: None where undefined.
        p_value: Between 0 and 1; None where undefined.
        note: Why the test is undefined; otherwise empty.
        num_days: Days of the test (N).
    """

    statistic: float | None
    p_value: float | None
    note: str
    num_days: int


@dataclass(frozen=True)
class Interval:
    """A score and its confidence interval; the note says why one of them is undefined."""

    estimate: float | None
    low: float | None
    high: float | None
    note: str


def diebold_mariano(
    forecast: Floats, actual: Floats, *, benchmark: Floats, horizon: int
) -> Outcome:
    """Test whether a forecast has smaller squared errors than a benchmark.

    The variance uses Bartlett weights up to lag ``horizon - 1``, which unlike rectangular ones
    cannot make it negative, and the small-sample correction of Harvey, Leybourne & Newbold.

    Args:
        forecast: The model's, shape (N,), per cent.
        actual: Shape (N,), per cent.
        benchmark: The other forecast, shape (N,), per cent.
        horizon: Days ahead that both reach.

    Returns:
        A statistic that is negative if the model has the smaller loss; one-sided p-value, against
        Student's t with N - 1 degrees of freedom.

    References:
        Diebold & Mariano (1995), "Comparing predictive accuracy", Journal of Business & Economic
        Statistics 13(3). Harvey, Leybourne & Newbold (1997), "Testing the equality of prediction
        mean squared errors", International Journal of Forecasting 13(2).
    """
    num_days = len(actual)
    difference = (actual - forecast) ** 2 - (actual - benchmark) ** 2
    if reason := _why_undefined(difference, num_needed=horizon + 1):
        return _undefined(reason, num_days)
    from statsmodels.tsa.stattools import diebold_mariano_test

    options = {"criterion": "mse", "lags": horizon - 1, "horizon": horizon, "harvey_adj": True}
    statistic = float(diebold_mariano_test(actual, forecast, benchmark, **options).statistic)
    return Outcome(statistic, float(student.cdf(statistic, df=num_days - 1)), "", num_days)


def clark_west(forecast: Floats, actual: Floats, *, benchmark: Floats, horizon: int) -> Outcome:
    """Test whether a model adds information to the benchmark that it nests.

    The test corrects for the noise of estimating weights that are truly zero. A small p-value does
    not mean that the model has the smaller errors.

    Args:
        forecast: The model's, shape (N,), per cent.
        actual: Shape (N,), per cent.
        benchmark: The smaller model's, such as zeros, shape (N,), per cent.
        horizon: Days ahead that both reach; above 1, the variance is Newey and West's.

    Returns:
        A statistic that is positive if the model adds information; one-sided p-value, normal.

    References:
        Clark & West (2007), "Approximately normal tests for equal predictive accuracy in nested
        models", Journal of Econometrics 138(1).
    """
    num_days = len(actual)
    # Equals e0^2 - e1^2 + (f0 - f1)^2, without its cancellation.
    adjusted = 2 * (actual - benchmark) * (forecast - benchmark)
    if reason := _why_undefined(adjusted, num_needed=horizon + 1):
        return _undefined(reason, num_days)
    from statsmodels.regression.linear_model import OLS

    hac = {"cov_type": "HAC", "cov_kwds": {"maxlags": horizon - 1}} if horizon > 1 else {}
    statistic = float(OLS(adjusted, np.ones(num_days)).fit(**hac).tvalues[0])
    return Outcome(statistic, float(norm.sf(statistic)), "", num_days)


def giacomini_white(
    forecast: Floats, actual: Floats, *, benchmark: Floats, horizon: int
) -> Outcome:
    """Test whether squared errors differ, or their difference is predictable from its own past.

    It is meant for models fitted on a rolling window, and needs about a hundred days.

    Args:
        forecast: The model's, shape (N,), per cent.
        actual: Shape (N,), per cent.
        benchmark: The other forecast, shape (N,), per cent.
        horizon: Days ahead that both reach, and lag of the conditioning difference.

    Returns:
        A statistic without a direction, against chi-squared with 2 degrees of freedom: one for the
        mean, one for the lagged difference.

    References:
        Giacomini & White (2006), "Tests of conditional predictive ability", Econometrica 74(6).
    """
    num_days = len(actual)
    difference = (actual - forecast) ** 2 - (actual - benchmark) ** 2
    if reason := _why_undefined(difference, num_needed=horizon + 3):
        return _undefined(reason, num_days)
    difference /= np.abs(difference).max()  # the statistic does not depend on the scale
    known, later = difference[:-horizon], difference[horizon:]
    moments = np.column_stack([later, known * later])
    if np.linalg.matrix_rank(moments, rtol=ROUNDING) < moments.shape[1]:
        return _undefined("the loss difference varies too little to condition on it", num_days)
    from statsmodels.stats.sandwich_covariance import S_hac_simple

    total = moments.sum(axis=0)
    statistic = float(total @ np.linalg.solve(S_hac_simple(moments, nlags=horizon - 1), total))
    return Outcome(statistic, float(chi2.sf(statistic, df=2)), "", num_days)


def pesaran_timmermann(forecast: Floats, actual: Floats) -> Outcome:
    """Test whether signs agree more often than those of two independent series.

    A day with a return or forecast of zero is a miss. Outcomes must not overlap.

    Args:
        forecast: Shape (N,), per cent.
        actual: Shape (N,), per cent.

    Returns:
        One-sided p-value, normal; undefined if forecast or market never changes sign.

    References:
        Pesaran & Timmermann (1992), "A simple nonparametric test of predictive performance",
        Journal of Business & Economic Statistics 10(4).
    """
    num_days = len(actual)
    for name, values in (("forecast", forecast), ("market", actual)):
        if not _changes_sign(values):
            return _undefined(f"{name} never changes sign", num_days)
    hit_share = float((forecast * actual > 0).mean())
    forecast_up, actual_up = float((forecast > 0).mean()), float((actual > 0).mean())
    expected = forecast_up * actual_up + (1 - forecast_up) * (1 - actual_up)
    # V(P) - V(P*) of the paper, with its term in 1/n^2, comes down to this product.
    spread = 4 * forecast_up * (1 - forecast_up) * actual_up * (1 - actual_up)
    statistic = (hit_share - expected) / sqrt(spread * (num_days - 1) / num_days**2)
    return Outcome(statistic, float(norm.sf(statistic)), "", num_days)


def anatolyev_gerko(forecast: Floats, actual: Floats) -> Outcome:
    """Test whether holding the sign of the forecast earns more than holding random signs.

    Larger returns weigh more; a forecast of zero is flat. Outcomes must not overlap.

    Args:
        forecast: Shape (N,), per cent.
        actual: Shape (N,), per cent.

    Returns:
        One-sided p-value, normal; undefined if the forecast never changes sign.

    References:
        Anatolyev & Gerko (2005), "A trading approach to testing for predictability", Journal of
        Business & Economic Statistics 23(4).
    """
    num_days = len(actual)
    if not _changes_sign(forecast):
        return _undefined("forecast never changes sign", num_days)
    if is_constant(actual):
        return _undefined("actual never changes", num_days)
    signs = np.sign(forecast)
    excess = (signs * actual).mean() - signs.mean() * actual.mean()
    up_share = (1 + signs.mean()) / 2
    spread = ((actual - actual.mean()) ** 2).sum()
    statistic = float(excess / sqrt(4 / num_days**2 * up_share * (1 - up_share) * spread))
    return Outcome(statistic, float(norm.sf(statistic)), "", num_days)


def binomial_test(hits: int, num_days: int, *, base_rate: float) -> Outcome:
    """Test whether hits are more frequent than the base rate.

    Args:
        hits: Days whose sign was forecast.
        num_days: Days that moved.
        base_rate: Hit rate without skill, per cent: 50, or the share of the more frequent sign.

    Returns:
        The hits, and the exact one-sided p-value: the upper tail of the binomial distribution.
    """
    if num_days == 0:
        return _undefined("no day moved", num_days)
    tested = binomtest(hits, num_days, base_rate / 100, alternative="greater")
    return Outcome(float(hits), float(tested.pvalue), "", num_days)


def clopper_pearson(hits: int, num_days: int, *, coverage: float, horizon: int = 1) -> Interval:
    """Return the direction accuracy, per cent, with its exact confidence interval.

    Overlapping outcomes (horizon > 1) count as num_days // horizon days, at least one.

    Args:
        hits: Days whose sign was forecast.
        num_days: Days that moved.
        horizon: Days ahead that a forecast reaches.
        coverage: Least coverage of the interval, between 0 and 1.

    References:
        Clopper & Pearson (1934), "The use of confidence or fiducial limits illustrated in the case
        of the binomial", Biometrika 26(4).
    """
    if num_days == 0:
        return Interval(None, None, None, "undefined: no day moved")
    apart = max(num_days // horizon, 1)
    right, tail = round(hits * apart / num_days), (1 - coverage) / 2
    # Quantiles of the beta distribution; scipy's `binomtest` solves for them fifty times slower.
    low = betaincinv(right, apart - right + 1, tail) if right else 0.0
    high = betaincinv(right + 1, apart - right, 1 - tail) if right < apart else 1.0
    return Interval(100 * hits / num_days, 100 * float(low), 100 * float(high), "")


def correlation_bound(correlation: float | None, num_days: int, *, belief: float) -> float | None:
    """Return the lower bound of a correlation; None if it is undefined, or for three days or less.

    Args:
        correlation: Estimate, -1 to 1.
        num_days: Days with outcomes that do not overlap.
        belief: Confidence that the true one is above the bound, one-sided.

    References:
        Fisher (1921), "On the 'probable error' of a coefficient of correlation", Metron 1.
    """
    freedom = num_days - 3
    if correlation is None or freedom <= 0:
        return None
    limit = 1 - ROUNDING
    transformed = np.arctanh(np.clip(correlation, -limit, limit))
    return float(np.tanh(transformed - norm.ppf(belief) / sqrt(freedom)))


def is_constant(values: Floats) -> bool:
    """Return whether values, shape (N,), differ by no more than rounding."""
    return len(values) == 0 or bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _undefined(reason: str, num_days: int) -> Outcome:
    return Outcome(None, None, f"undefined: {reason}", num_days)


def _changes_sign(values: Floats) -> bool:
    return bool((values > 0).any() and (values < 0).any())


def _why_undefined(difference: Floats, *, num_needed: int) -> str:
    if len(difference) < num_needed:
        return f"needs at least {num_needed} days"
    return "the loss difference never changes" if is_constant(difference) else ""
