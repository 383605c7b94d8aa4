"""Tests of skill that drift cannot pass: the grade rests on them.

A market that rises makes every forecast that is mostly long look right. So forecast and return are
both taken as deviations from their means, and what is tested is their covariance. All functions are
pure. Returns and forecasts are in per cent, one row per day, in time order. An undefined result is
None, and its note says why.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from ironore_lightning.evaluation.days import Floats
from ironore_lightning.evaluation.significance import ROUNDING, Outcome, is_constant

FEWEST_DAYS = 10
"""Fewest days for a regression."""


def predictive_slope(forecast: Floats, actual: Floats, *, horizon: int) -> Outcome:
    """Test whether returns are higher where the forecast is higher, by a regression with constant.

    Args:
        forecast: Shape (N,), per cent.
        actual: Shape (N,), per cent.
        horizon: Days ahead that a forecast reaches; returns overlap above 1.

    Returns:
        The t statistic of the slope with Newey and West's errors, Bartlett weights and
        floor(4 (N / 100)^(2/9)) lags, at least `horizon` - 1; one-sided p-value, Student's t with
        N - 2 degrees of freedom.

    References:
        Mincer & Zarnowitz (1969), "The evaluation of economic forecasts". Newey & West (1994),
        "Automatic lag selection in covariance matrix estimation", Review of Economic Studies 61(4).
    """
    if reason := _why_undefined(forecast, actual):
        return _undefined(reason, len(actual))
    return _slope(forecast, actual, [], lags=_num_lags(len(actual), horizon))


def rotation(forecast: Floats, actual: Floats) -> Outcome:
    """Test whether forecast and return covary more on their own days than on shifted ones.

    All circular shifts of the forecast keep its own pattern in time and lose its link to the
    market. So a smooth or nearly constant forecast has to beat smooth or nearly constant ones.

    Args:
        forecast: Shape (N,), per cent.
        actual: Shape (N,), per cent.

    Returns:
        The covariance over the root mean square of the covariances of all N shifts, whose mean is
        zero; one-sided p-value, normal.

    References:
        Politis & Romano (1994), "The stationary bootstrap", Journal of the American Statistical
        Association 89(428), for resampling in a circle. Theiler et al. (1992), "Testing for
        nonlinearity in time series: the method of surrogate data", Physica D 58.
    """
    if reason := _why_undefined(forecast, actual):
        return _undefined(reason, len(actual))
    statistic = float(_rotations(forecast, actual)[0])
    return Outcome(statistic, float(norm.sf(statistic)), "", len(actual))


def skill_p(slope: Outcome, rotated: Outcome) -> float | None:
    """Return the p-value of skill: the larger one of the two tests, which fail on other markets."""
    if slope.p_value is None or rotated.p_value is None:
        return None
    return max(slope.p_value, rotated.p_value)


def encompassing(
    forecast: Floats, actual: Floats, rivals: Mapping[str, Floats], *, horizon: int
) -> Outcome:
    """Test whether a forecast adds to its rivals, in a regression of the return on all of them.

    Args:
        forecast: Shape (N,), per cent.
        actual: Shape (N,), per cent.
        rivals: Other forecasts by name, shape (N,), per cent; constant ones add nothing.
        horizon: Days ahead that a forecast reaches; returns overlap above 1.

    Returns:
        The t statistic of the forecast's slope, robust to heteroskedasticity (HC1; with a horizon
        above 1 as in `predictive_slope`); one-sided p-value, Student's t. Undefined if the rivals
        add up to the forecast.

    References:
        Harvey, Leybourne & Newbold (1998), "Tests for forecast encompassing", Journal of Business &
        Economic Statistics 16(2). Fair & Shiller (1990), "Comparing information in forecasts from
        econometric models", American Economic Review 80(3).
    """
    if reason := _why_undefined(forecast, actual):
        return _undefined(reason, len(actual))
    others = [rival for rival in rivals.values() if not is_constant(rival)]
    design = _scaled(np.column_stack([np.ones(len(actual)), *map(_deviations, others)]))
    own = _scaled(_deviations(forecast))
    left = own - design @ np.linalg.lstsq(design, own)[0]
    if (left @ left) <= ROUNDING * (own @ own):
        return _undefined("its rivals add up to the forecast", len(actual))
    lags = _num_lags(len(actual), horizon) if horizon > 1 else 0
    return _slope(forecast, actual, others, lags=lags)


def chosen_rotation(forecasts: Mapping[str, Floats], actual: Floats, *, chosen: str) -> Outcome:
    """Test the chosen one of many forecasts as if the test days themselves had chosen it.

    Each circular shift, the same for all, gives the largest statistic of `rotation` that any
    forecast reaches by luck. Forecasts that resemble each other therefore cost little.

    Args:
        forecasts: Of every trial, by name, shape (N,), per cent.
        actual: Shape (N,), per cent.
        chosen: Name of the chosen one.

    Returns:
        Its statistic, and the share of all N shifts whose largest one is at least that.

    References:
        White (2000), "A reality check for data snooping", Econometrica 68(5). Westfall & Young
        (1993), "Resampling-based multiple testing".
    """
    if reason := _why_undefined(forecasts[chosen], actual):
        return _undefined(reason, len(actual))
    varying = {name: values for name, values in forecasts.items() if not is_constant(values)}
    rotated = {name: _rotations(values, actual) for name, values in varying.items()}
    statistic = float(rotated[chosen][0])
    largest = np.max(list(rotated.values()), axis=0)
    share = float((largest >= statistic - ROUNDING).mean())
    return Outcome(statistic, share, "", len(actual))


def _slope(forecast: Floats, actual: Floats, others: list[Floats], *, lags: int) -> Outcome:
    from statsmodels.regression.linear_model import OLS

    columns = _scaled(np.column_stack([*map(_deviations, [forecast, *others])]))
    design = np.column_stack([columns, np.ones(len(actual))])
    hac = {"cov_type": "HAC", "cov_kwds": {"maxlags": lags, "use_correction": True}}
    fit = OLS(_scaled(actual), design).fit(**(hac if lags else {"cov_type": "HC1"}), use_t=True)
    statistic = float(fit.tvalues[0])
    if not np.isfinite(statistic):
        return _undefined("the regression has no error", len(actual))
    p_value = float(fit.pvalues[0]) / 2
    return Outcome(statistic, p_value if statistic > 0 else 1 - p_value, "", len(actual))


def _rotations(forecast: Floats, actual: Floats) -> Floats:
    """Return the covariance at every circular shift over their root mean square, shape (N,)."""
    num_days = len(actual)
    own, market = (np.fft.rfft(_scaled(_deviations(values))) for values in (forecast, actual))
    covariances = np.fft.irfft(market * own.conj(), num_days)
    size = np.sqrt((covariances**2).mean())
    rotated: Floats = covariances / size if size > 0 else covariances
    return rotated


def _num_lags(num_days: int, horizon: int) -> int:
    return max(int(4 * (num_days / 100) ** (2 / 9)), horizon - 1)


def _deviations(values: Floats) -> Floats:
    deviations: Floats = values - values.mean()
    return deviations


def _scaled(values: Floats) -> Floats:
    """Return each column in units of its largest value, for the sake of very small numbers."""
    scaled: Floats = values / np.abs(values).max(axis=0)
    return scaled


def _why_undefined(forecast: Floats, actual: Floats) -> str:
    if len(actual) < FEWEST_DAYS:
        return f"needs at least {FEWEST_DAYS} days"
    if not (np.isfinite(forecast).all() and np.isfinite(actual).all()):
        return "not all values are finite"
    if is_constant(forecast):
        return "the forecast never changes"
    return "the market never changes" if is_constant(actual) else ""


def _undefined(reason: str, num_days: int) -> Outcome:
    return Outcome(None, None, f"undefined: {reason}", num_days)
