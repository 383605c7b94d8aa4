"""Block bootstrap: confidence intervals of scores, model confidence set, Hansen's SPA.

All functions are pure. Returns, forecasts and profits are in per cent, in time order. An undefined
result is None, and its note says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import ceil, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from ironore_lightning.evaluation.days import ScoredDays, hits
from ironore_lightning.evaluation.significance import Interval, is_constant
from ironore_lightning.evaluation.trading import moments

MIN_BOOTSTRAP_DAYS = 50
"""Fewest days, or profits, that make enough blocks for a bootstrap."""

TOO_FEW_DAYS = f"undefined: fewer than {MIN_BOOTSTRAP_DAYS} days"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BootstrapIntervals:
    """Bootstrap confidence intervals of the scores and the Sharpe ratio.

    Attributes:
        direction_accuracy: Hit rate, per cent of the days that moved.
        rmse_ratio: RMSE over that of the zero forecast; below 1 beats zero.
        sharpe: Annual, before costs, of the sign strategy, as in `trading`.
        block_length: Mean block length, in days.
    """

    direction_accuracy: Interval
    rmse_ratio: Interval
    sharpe: Interval
    block_length: int


@dataclass(frozen=True)
class ConfidenceSet:
    """The models that are not significantly worse than the best.

    Attributes:
        kept: Names in the order given.
        p_values: By model; small if it is worse than the best.
        note: Why p-values are None and every model is kept; otherwise empty.
    """

    kept: tuple[str, ...]
    p_values: Mapping[str, float | None]
    note: str


@dataclass(frozen=True)
class SuperiorAbility:
    """Result of Hansen's test for superior predictive ability.

    The p-value is the consistent one; the note says why it is None.
    """

    p_value: float | None
    note: str


def block_length(series: Floats, *, horizon: int) -> int:
    """Return the mean block length, in days, for a stationary bootstrap of the series.

    Args:
        series: Shape (T, K), one column per series.
        horizon: Days over which returns overlap, the shortest block.

    Returns:
        The longest optimal length of the columns, rounded up. Constant columns are ignored.

    References:
        Politis & White (2004), "Automatic block-length selection for the dependent bootstrap",
        Econometric Reviews 23(1), as corrected in 28(4).
    """
    if len(series) < MIN_BOOTSTRAP_DAYS:
        return horizon
    from arch.bootstrap import optimal_block_length

    columns = [column for column in series.T if not is_constant(column)]
    with np.errstate(all="ignore"):  # a column may be nearly constant
        optima = [float(optimal_block_length(column)["stationary"].iloc[0]) for column in columns]
    return ceil(max([horizon, *filter(isfinite, optima)]))


def bootstrap_intervals(
    days: ScoredDays, profit: Floats | None, *, coverage: float, reps: int, seed: int
) -> BootstrapIntervals:
    """Return equal-tailed intervals of the scores by the stationary bootstrap.

    Args:
        days: Forecasts and outcomes, N of them.
        profit: Of the sign strategy before costs in non-overlapping periods of `horizon` days,
            shape (P,), per cent; None if nobody says what it earns.
        coverage: Nominal coverage, between 0 and 1.
        reps: Number of resamples.
        seed: Of the resamples.

    References:
        Politis & Romano (1994), "The stationary bootstrap", Journal of the American Statistical
        Association 89(428).
    """
    forecast, actual, horizon = days.forecast, days.actual, days.horizon
    is_hit, gain = hits(forecast, actual), actual**2 - (actual - forecast) ** 2
    sign_return = np.sign(forecast) * actual
    block = block_length(np.column_stack([is_hit, sign_return, gain]), horizon=horizon)
    intervals = partial(score_intervals, coverage=coverage, reps=reps, seed=seed)
    accuracy, ratio = intervals(_scores, forecast, actual, block=block, unit="days")
    if profit is None:
        unknown = Interval(None, None, None, "undefined: nobody says what a position earns")
        return BootstrapIntervals(accuracy, ratio, unknown, block)
    annual = partial(_annual_sharpe, periods_per_year=days.rhythm.per_year / horizon)
    # All days show the serial dependence better than the fewer periods do.
    (sharpe,) = intervals(annual, profit, block=ceil(block / horizon), unit="profits")
    return BootstrapIntervals(accuracy, ratio, sharpe, block)


def model_confidence_set(
    losses: Mapping[str, Floats], *, size: float, block_size: int, reps: int, seed: int
) -> ConfidenceSet:
    """Return the models that are not significantly worse than the best.

    Args:
        losses: By name, each of shape (T,); models with the same losses share one p-value.
        size: Significance level; a model is kept if its p-value is above it.
        block_size: Mean block length, in days.
        reps: Resamples.
        seed: Of the resamples.

    References:
        Hansen, Lunde & Nason (2011), "The model confidence set", Econometrica 79(2).
    """
    names = tuple(losses)
    table = np.column_stack(list(losses.values()))
    distinct, columns = np.unique(table, axis=1, return_inverse=True)
    if note := _why_undefined(distinct):
        return ConfidenceSet(names, dict.fromkeys(names), note)
    from arch.bootstrap import MCS

    confidence_set = MCS(distinct, size, reps, block_size, method="R", seed=seed)
    confidence_set.compute()
    by_column = confidence_set.pvalues["Pvalue"]
    p_values = {
        name: float(by_column[column]) for name, column in zip(names, columns.flat, strict=True)
    }
    return ConfidenceSet(tuple(name for name in names if p_values[name] > size), {**p_values}, "")


def superior_ability(
    losses: Mapping[str, Floats], *, benchmark: Floats, block_size: int, reps: int, seed: int
) -> SuperiorAbility:
    """Test whether the best of all models beats the benchmark, given how many were tried.

    Args:
        losses: Of every model tried, by name, each of shape (T,).
        benchmark: Losses of the benchmark, such as the zero forecast, shape (T,).
        block_size: Mean block length, in days.
        reps: Resamples.
        seed: Of the resamples.

    References:
        Hansen (2005), "A test for superior predictive ability", Journal of Business & Economic
        Statistics 23(4). White (2000), "A reality check for data snooping", Econometrica 68(5).
    """
    if len(benchmark) < MIN_BOOTSTRAP_DAYS:
        return SuperiorAbility(None, TOO_FEW_DAYS)
    gains = [benchmark - loss for loss in losses.values() if not is_constant(benchmark - loss)]
    if not gains:
        return SuperiorAbility(None, "undefined: no loss difference ever changes")
    from arch.bootstrap import SPA

    # arch accepts `studentize` but compares plain means, so a volatile model would dominate.
    studentized = np.column_stack([gain / gain.std() for gain in gains])
    test = SPA(np.zeros(len(benchmark)), -studentized, block_size, reps, seed=seed)
    test.compute()
    return SuperiorAbility(float(test.pvalues["consistent"]), "")


def _why_undefined(distinct: Floats) -> str:
    """Return why losses of shape (T, K) have no confidence set; empty if they have one."""
    num_days, num_models = distinct.shape
    if num_days < MIN_BOOTSTRAP_DAYS:
        return TOO_FEW_DAYS
    if num_models == 1:
        return "undefined: every model has the same losses"
    constant = any(is_constant(first - second) for first, second in combinations(distinct.T, 2))
    return "undefined: two models' losses differ by a constant" if constant else ""


def _scores(forecast: Floats, actual: Floats) -> Floats:
    """Return direction accuracy and RMSE ratio, NaN where undefined."""
    num_hits, moved = hits(forecast, actual).sum(), (actual != 0).sum()
    squares = ((actual - forecast) ** 2).sum(), (actual**2).sum()
    ratios = (100 * num_hits, moved), squares
    accuracy, ratio = (top / bottom if bottom > 0 else np.nan for top, bottom in ratios)
    return np.array([accuracy, np.sqrt(ratio)])


def _annual_sharpe(profit: Floats, *, periods_per_year: float) -> Floats:
    period = moments(profit)
    return np.array([sqrt(periods_per_year) * period.sharpe if period else np.nan])


def score_intervals(
    score: Callable[..., Floats],
    *rows: Floats,
    block: int,
    coverage: float,
    reps: int,
    seed: int,
    unit: str,
) -> list[Interval]:
    """Return equal-tailed intervals of scores by the stationary bootstrap.

    Args:
        score: Maps rows to the scores, shape (K,), NaN where undefined.
        rows: Arrays that are resampled alike, each with N rows in time order.
        block: Mean block length, in rows.
        coverage: Nominal coverage, between 0 and 1.
        reps: Resamples.
        seed: Of the resamples.
        unit: What a row is, for notes.
    """
    estimates = score(*rows)
    draws: Floats = np.empty((0, len(estimates)))
    if len(rows[0]) >= MIN_BOOTSTRAP_DAYS:
        from arch.bootstrap import StationaryBootstrap

        draws = StationaryBootstrap(block, *rows, seed=seed).apply(score, reps)
    return [
        _percentile_interval(estimate, drawn, coverage=coverage, unit=unit)
        for estimate, drawn in zip(estimates.tolist(), draws.T, strict=True)
    ]


def _percentile_interval(estimate: float, draws: Floats, *, coverage: float, unit: str) -> Interval:
    """Return the equal-tailed interval of the draws, shape (reps,); none if rows are too few."""
    if not isfinite(estimate):
        return Interval(None, None, None, "undefined: the score is undefined on these days")
    if not len(draws):
        note = f"undefined: fewer than {MIN_BOOTSTRAP_DAYS} {unit}"
        return Interval(estimate, None, None, note)
    if not np.isfinite(draws).all():
        return Interval(estimate, None, None, "undefined: the score is undefined on some resamples")
    tail = (1 - coverage) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), "")
