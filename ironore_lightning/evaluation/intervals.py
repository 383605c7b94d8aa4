"""Adaptive conformal prediction intervals, and tests of their coverage."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import binomtest, chi2

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

COVERAGES = (0.8, 0.9)
"""Nominal coverages of the prediction intervals."""

DECAY = 0.94
"""Weight of yesterday's variance in today's, as RiskMetrics (1996) sets it for daily data."""

SMALLEST_VOLATILITY = 0.01
"""Per cent; a fifth of one tick of 0.05 at a price of 100."""

SCORE_WINDOW = 252
"""Most recent scores that an interval uses: a trading year."""

ROUNDING = 1e-9
"""Tolerance: a rank of 9.000000000000002 is 9, and an outcome on a bound is inside."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Prediction intervals, one per day, from the data known at each origin.

    Attributes:
        lower: Shape (N,), per cent; NaN where too few scores are known.
        upper: Shape (N,), per cent; NaN where `lower` is.
        miss_rate: Target miss rate of each day, shape (N,), between 0 and 1.
    """

    lower: Floats
    upper: Floats
    miss_rate: Floats


@dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood ratio statistic and its p-value."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class IntervalScores:
    """Scores of prediction intervals; an undefined one is None.

    The null hypothesis of every p-value is that coverage is nominal. `adaptive_intervals` steer
    their own number of misses, so a test of it could not fail: judge those by width, by Winkler
    score and by whether misses follow misses. With a horizon above 1 outcomes overlap, misses
    cluster, and p-values are too small.

    Attributes:
        coverage_nominal: Nominal coverage.
        num_days: Days with an interval (N).
        days_without_interval: Days without one, which are not scored.
        misses: Days whose outcome lies outside; on the bound is inside.
        coverage: Share of `num_days` whose outcome lies inside.
        mean_width: Per cent of return.
        winkler: Mean of the width plus 2 / (1 - coverage_nominal) times the distance of a miss
            from the interval, per cent of return; lower is better.
        binomial_p: Of the number of misses, exact, two-sided; preferable on few days.
        kupiec_statistic: Of the number of misses, chi-square with 1 degree of freedom.
        kupiec_p: Its p-value.
        independence_statistic: Of misses that follow misses (Christoffersen), chi-square with 1
            degree of freedom.
        independence_p: Its p-value.
        conditional_statistic: Sum of the two, chi-square with 2 degrees of freedom.
        conditional_p: Its p-value.
        note: Why a test is undefined or says little; otherwise empty.
    """

    coverage_nominal: float
    num_days: int
    days_without_interval: int
    misses: int
    coverage: float | None
    mean_width: float | None
    winkler: float | None
    binomial_p: float | None
    kupiec_statistic: float | None
    kupiec_p: float | None
    independence_statistic: float | None
    independence_p: float | None
    conditional_statistic: float | None
    conditional_p: float | None
    note: str


def ewma_volatility(outcomes: Floats, *, horizon: int) -> Floats:
    """Return the volatility known at each origin, shape (N,), per cent.

    The outcome of sample i is known at the origin of sample i + horizon, so entry i uses
    ``outcomes[: i - horizon + 1]`` and the first `horizon` entries are NaN. Volatility is the root
    of the weighted mean square of the known outcomes, whose weights always sum to 1: it needs no
    start value, and entry `horizon` is the size of the first outcome. It is at least
    `SMALLEST_VOLATILITY`.

    Args:
        outcomes: Returns over `horizon` days, by origin, shape (N,), per cent. Those not known yet
            may be NaN at the end.
        horizon: Samples until an outcome is known (H).

    References:
        J.P. Morgan & Reuters (1996), "RiskMetrics Technical Document", 4th edition, chapter 5.
    """
    squares = pd.Series(outcomes**2).shift(horizon)
    variance = squares.ewm(alpha=1 - DECAY).mean().to_numpy()
    return np.asarray(np.maximum(np.sqrt(variance), SMALLEST_VOLATILITY))


def scaled_scores(actual: Floats, forecast: Floats, volatility: Floats) -> Floats:
    """Return the absolute error of each forecast in units of volatility, shape (N,).

    Args:
        actual: Returns, shape (N,), per cent.
        forecast: Shape (N,), per cent.
        volatility: Known at the origin, shape (N,), per cent, above 0.
    """
    if not (volatility > 0).all():
        raise ValueError(f"volatility must be above 0 on every day, got {volatility.min()}")
    return np.asarray(np.abs(actual - forecast) / volatility)


def fewest_scores(coverage: float) -> int:
    """Return how many scores an interval needs: 4 for 80 %, 9 for 90 %, 19 for 95 %."""
    return math.ceil(coverage / (1 - coverage) - ROUNDING)


def adaptive_intervals(
    calibration_scores: Floats,
    *,
    actual: Floats,
    forecast: Floats,
    volatility: Floats,
    coverage: float,
    horizon: int,
    adaptation: float,
) -> Intervals:
    """Return adaptive conformal intervals around forecasts.

    Args:
        calibration_scores: `scaled_scores` of the samples before the first day, in time order,
            shape (M,). With a horizon above 1 the last ones are not known at the first origin.
        actual: Returns, shape (N,), per cent. Those not known yet may be NaN at the end.
        forecast: Shape (N,), per cent.
        volatility: Known at the origin, shape (N,), per cent, above 0.
        coverage: Nominal coverage, above 0 and below 1.
        horizon: Samples until an outcome is known (H).
        adaptation: Step by which a day moves the target miss rate (gamma, 0.005 in the paper);
            0 is plain split conformal.

    References:
        Gibbs & Candes (2021), "Adaptive Conformal Inference Under Distribution Shift", Advances in
        Neural Information Processing Systems 34. Scores divided by a scale: Lei et al. (2018),
        "Distribution-Free Predictive Inference for Regression", Journal of the American
        Statistical Association 113(523).
    """
    scores = np.concatenate([calibration_scores, scaled_scores(actual, forecast, volatility)])
    quantiles, miss_rate = _adaptive_quantiles(
        scores,
        num_days=len(actual),
        coverage=coverage,
        horizon=horizon,
        adaptation=adaptation,
    )
    half_width = quantiles * volatility * (1 + ROUNDING)
    return Intervals(forecast - half_width, forecast + half_width, miss_rate)


def winkler_scores(actual: Floats, *, lower: Floats, upper: Floats, coverage: float) -> Floats:
    """Return the interval score of each day, shape (N,), per cent; lower is better.

    Args:
        actual: Returns, shape (N,), per cent.
        lower: Shape (N,), per cent.
        upper: Shape (N,), per cent.
        coverage: Nominal coverage.

    References:
        Winkler (1972), "A Decision-Theoretic Approach to Interval Estimation", Journal of the
        American Statistical Association 67(337); Gneiting & Raftery (2007), section 6.2.
    """
    outside = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    return np.asarray(upper - lower + 2 / (1 - coverage) * outside)


def kupiec(*, num_days: int, misses: int, miss_rate: float) -> LikelihoodRatio:
    """Test whether the frequency of misses is nominal.

    Args:
        num_days: Days with an interval, above 0.
        misses: Days whose outcome lies outside, from 0 to `num_days`.
        miss_rate: Nominal miss rate.

    References:
        Kupiec (1995), "Techniques for Verifying the Accuracy of Risk Measurement Models", Journal
        of Derivatives 3(2).
    """
    hits = num_days - misses
    nominal = _log_likelihood(hits, misses, miss_rate)
    return _likelihood_ratio(nominal, _log_likelihood(hits, misses, misses / num_days))


def christoffersen_independence(missed: Flags) -> LikelihoodRatio | None:
    """Test whether a miss is as likely after a miss as after a hit.

    Args:
        missed: By day in time order, shape (N,).

    Returns:
        None if no day follows a miss, or no day follows a hit.

    References:
        Christoffersen (1998), "Evaluating Interval Forecasts", International Economic Review 39(4).
    """
    transitions = _transitions(missed)
    from_hit, from_miss = transitions
    if 0 in (sum(from_hit), sum(from_miss)):
        return None
    hits, misses = (a + b for a, b in zip(from_hit, from_miss, strict=True))
    restricted = _log_likelihood(hits, misses, misses / (hits + misses))
    unrestricted = sum(_log_likelihood(hit, miss, miss / (hit + miss)) for hit, miss in transitions)
    return _likelihood_ratio(restricted, unrestricted)


def interval_scores(
    actual: Floats, *, lower: Floats, upper: Floats, coverage: float, adaptive: bool
) -> IntervalScores:
    """Return the scores of intervals; days without one (NaN bounds) are left out and counted.

    Args:
        actual: Returns, shape (N,), per cent, in time order.
        lower: Shape (N,), per cent.
        upper: Shape (N,), per cent, not below `lower`.
        coverage: Nominal coverage.
        adaptive: Whether misses moved the bounds; their number is not tested then.
    """
    has_interval = ~(np.isnan(lower) | np.isnan(upper))
    actual, lower, upper = actual[has_interval], lower[has_interval], upper[has_interval]
    missed = (actual < lower) | (actual > upper)
    num_days, misses = len(actual), int(missed.sum())
    winkler = winkler_scores(actual, lower=lower, upper=upper, coverage=coverage)
    unconditional = (
        kupiec(num_days=num_days, misses=misses, miss_rate=1 - coverage)
        if num_days and not adaptive
        else None
    )
    independence = christoffersen_independence(missed)
    conditional = _conditional(unconditional, independence)
    return IntervalScores(
        coverage_nominal=coverage,
        num_days=num_days,
        days_without_interval=len(has_interval) - num_days,
        misses=misses,
        coverage=1 - misses / num_days if num_days else None,
        mean_width=float((upper - lower).mean()) if num_days else None,
        winkler=float(winkler.mean()) if num_days else None,
        binomial_p=None if adaptive else _binomial_p(num_days, misses, 1 - coverage),
        kupiec_statistic=unconditional.statistic if unconditional else None,
        kupiec_p=unconditional.p_value if unconditional else None,
        independence_statistic=independence.statistic if independence else None,
        independence_p=independence.p_value if independence else None,
        conditional_statistic=conditional.statistic if conditional else None,
        conditional_p=conditional.p_value if conditional else None,
        note=_independence_note(missed, independence),
    )


def _adaptive_quantiles(
    scores: Floats, *, num_days: int, coverage: float, horizon: int, adaptation: float
) -> tuple[Floats, Floats]:
    """Return the quantile of the scores known on each day, and the target miss rate, shape (N,).

    A known miss lowers the target by adaptation * coverage; a hit raises it by
    adaptation * (1 - coverage). `scores` are those of calibration and then of the days,
    shape (M + N,).
    """
    quantiles, miss_rate = np.full((2, num_days), np.nan)
    num_before = len(scores) - num_days
    target_rate = 1 - coverage
    for day in range(num_days):
        newest_known = day - horizon
        if newest_known >= 0 and not np.isnan(quantiles[newest_known]):
            miss = bool(scores[num_before + newest_known] > quantiles[newest_known])
            target_rate = min(max(target_rate + adaptation * (1 - coverage - miss), 0.0), 1.0)
        num_known = max(num_before + newest_known + 1, 0)
        latest = scores[max(num_known - SCORE_WINDOW, 0) : num_known]
        miss_rate[day] = target_rate
        if num_known >= fewest_scores(coverage):
            quantiles[day] = _conformal_quantile(latest, target_rate)
    return quantiles, miss_rate


def _conformal_quantile(scores: Floats, miss_rate: float) -> float:
    """Return the ceil((m + 1) * (1 - miss_rate))-th smallest of m scores; 0 at a miss rate of 1.

    Below a miss rate of 1 / (m + 1) the paper's interval is infinite; ours ends at the largest
    score, so the paper's bound on the long-run miss rate does not hold.
    """
    rank = math.ceil((len(scores) + 1) * (1 - miss_rate) - ROUNDING)
    return float(np.sort(scores)[min(rank, len(scores)) - 1]) if rank > 0 else 0.0


def _log_likelihood(hits: int, misses: int, miss_rate: float) -> float:
    return float(xlogy(hits, 1 - miss_rate) + xlogy(misses, miss_rate))


def _likelihood_ratio(restricted: float, unrestricted: float) -> LikelihoodRatio:
    statistic = max(2 * (unrestricted - restricted), 0.0)
    return LikelihoodRatio(statistic, float(chi2.sf(statistic, 1)))


def _transitions(missed: Flags) -> list[tuple[int, int]]:
    """Count hits and misses on the day after a hit, and on the day after a miss."""
    counts = np.bincount(2 * missed[:-1] + missed[1:], minlength=4)
    return [(int(hits), int(misses)) for hits, misses in counts.reshape(2, 2)]


def _conditional(
    unconditional: LikelihoodRatio | None, independence: LikelihoodRatio | None
) -> LikelihoodRatio | None:
    if unconditional is None or independence is None:
        return None
    statistic = unconditional.statistic + independence.statistic
    return LikelihoodRatio(statistic, float(chi2.sf(statistic, 2)))


def _binomial_p(num_days: int, misses: int, miss_rate: float) -> float | None:
    return float(binomtest(misses, num_days, miss_rate).pvalue) if num_days else None


def _independence_note(missed: Flags, independence: LikelihoodRatio | None) -> str:
    if not len(missed):
        return "no day has an interval"
    if independence is None:
        side = "hit" if missed[:-1].all() and len(missed) > 1 else "miss"
        return f"independence is undefined: no day follows a {side}"
    if not (missed[1:] & missed[:-1]).any():
        return "independence says little: no two misses in a row"
    return ""
