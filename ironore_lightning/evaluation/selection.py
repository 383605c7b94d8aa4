"""Selection bias: deflated Sharpe ratio, probability of overfitting, best of all trials.

A trial is one configuration that was tried. All functions are pure. Returns, forecasts and profits
are in per cent, one row per day, in time order. An undefined result is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import ceil, e, isfinite, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from ironore_lightning.evaluation.days import Flags, Floats, ScoredDays
from ironore_lightning.evaluation.significance import ROUNDING
from ironore_lightning.evaluation.skill import chosen_rotation
from ironore_lightning.evaluation.trading import moments, sharpe_error, timing_profit

EULER_MASCHERONI = 0.5772156649015329

CONFIDENCE = 0.95
"""Of the minimum track record."""

MIN_PERIODS = 10
"""Fewest profits for skewness, kurtosis and a Sharpe ratio."""

MIN_RANKED_TRIALS = 10
"""Fewest trials whose ranks give a fine probability of overfitting."""

MIN_BLOCKS, MAX_BLOCKS, MIN_BLOCK_DAYS = 4, 16, 16
"""Of the combinatorial cross-validation (CSCV); 16 blocks have 12,870 halves."""


@dataclass(frozen=True)
class Discount:
    """Results of the chosen trial, corrected for the number of trials.

    Attributes:
        num_trials: Configurations tried, including pruned ones.
        num_scored: Those with forecasts of these days.
        effective_trials: Equivalent number of independent trials: `effective_trials` of the scored
            ones, scaled up in proportion for those without forecasts.
        chosen_p: Of the skill of the chosen trial, as if the test days had chosen it among the
            scored ones, see `skill.chosen_rotation`.
        sharpe: Of the sign strategy of the chosen trial, without costs, annual, in excess of
            holding its average position: drift earns nothing here.
        expected_best_sharpe: Expected maximum of `num_trials` trials without skill, annual.
        deflated_sharpe: Probability that the true Sharpe ratio is above that. It is too high for
            strongly correlated trials: simulated at a correlation of 0.9, the best of 100 without
            skill passes 0.95 in 2 % (131 days) to 6 % (600 days) of the cases.
        minimum_track_record_days: Days that a single trial with these profits would need for a
            Sharpe ratio above zero with a confidence of 95 %.
        overfitting: Probability of backtest overfitting, see `backtest_overfitting`, of the daily
            gain in squared error over the zero forecast.
        cscv_blocks: Number of blocks of days for it.
        notes: Why something is None or unreliable.
    """

    num_trials: int
    num_scored: int
    effective_trials: float | None
    chosen_p: float | None
    sharpe: float | None
    expected_best_sharpe: float | None
    deflated_sharpe: float | None
    minimum_track_record_days: int | None
    overfitting: float | None
    cscv_blocks: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Trials:
    """The arguments of `discount_for_search`."""

    days: ScoredDays
    forecasts: Mapping[str, Floats]
    chosen: str
    num_trials: int


class _Result(NamedTuple):
    """A value, or why it is None."""

    value: float | None
    note: str = ""


class _Deflation(NamedTuple):
    """The fields of `Discount` that need profits."""

    effective_trials: float | None = None
    sharpe: float | None = None
    expected_best_sharpe: float | None = None
    deflated_sharpe: float | None = None
    minimum_track_record_days: int | None = None
    notes: tuple[str, ...] = ()


def probabilistic_sharpe(
    sharpe: float, *, benchmark: float, num_periods: int, skewness: float, kurtosis: float
) -> float | None:
    """Return the probability that the true Sharpe ratio is above a benchmark (PSR).

    Args:
        sharpe: Of one period, not annual.
        benchmark: Sharpe ratio of one period.
        num_periods: Number of profits.
        skewness: Of the profits, 0 if normal.
        kurtosis: Of the profits, 3 if normal (not the excess).

    Returns:
        Between 0 and 1; None for fewer than two profits, or where the standard error is zero.

    References:
        Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk
        15(2).
    """
    if num_periods <= 1:
        return None
    error = sharpe_error(sharpe, skewness=skewness, kurtosis=kurtosis, num_periods=num_periods)
    return float(norm.cdf((sharpe - benchmark) / error)) if error > 0 else None


def expected_best_sharpe(*, variance: float, num_trials: float) -> float:
    """Return the expected maximum Sharpe ratio of many trials without skill.

    Args:
        variance: Of the Sharpe ratios of the trials, of the same period as the result.
        num_trials: Independent trials, at least 1, not necessarily a whole number.

    Returns:
        0 for one trial, and below 1.3 trials, where the formula turns negative.

    References:
        Bailey & Lopez de Prado (2014), "The deflated Sharpe ratio: correcting for selection bias,
        backtest overfitting and non-normality", Journal of Portfolio Management 40(5).
    """
    assert num_trials >= 1
    if num_trials == 1:
        return 0.0
    quantile, further = norm.isf(1 / num_trials), norm.isf(1 / (num_trials * e))
    largest = float((1 - EULER_MASCHERONI) * quantile + EULER_MASCHERONI * further)
    return sqrt(variance) * max(largest, 0.0)


def minimum_track_record(
    sharpe: float, *, benchmark: float, skewness: float, kurtosis: float, confidence: float
) -> float | None:
    """Return the periods after which a Sharpe ratio significantly exceeds a benchmark (MinTRL).

    Args:
        sharpe: Of one period, not annual.
        benchmark: Sharpe ratio of one period.
        skewness: Of the profits, 0 if normal.
        kurtosis: Of the profits, 3 if normal (not the excess).
        confidence: Probability that the true Sharpe ratio is above the benchmark, 0.5 to 1.

    Returns:
        Periods; None if the Sharpe ratio does not exceed the benchmark, or the result overflows.

    References:
        Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk
        15(2).
    """
    excess = sharpe - benchmark
    if excess <= 0:
        return None
    # With two periods, this is the error times the root of n - 1 for any n.
    error = sharpe_error(sharpe, skewness=skewness, kurtosis=kurtosis, num_periods=2)
    ratio = error * float(norm.ppf(confidence)) / excess
    periods = 1 + ratio * ratio
    return periods if isfinite(periods) else None


def backtest_overfitting(performance: Floats, *, num_blocks: int) -> float | None:
    """Return the probability of backtest overfitting (PBO).

    Days are cut into contiguous blocks. On every half of the blocks (in sample) the best trial is
    chosen and then ranked on the other half (out of sample), by the mean of its days over their
    standard deviation. The deviation of a constant trial counts as a millionth of its size. The
    first of equally good trials is chosen, and equals share the mean of their ranks. If all trials
    have nearly the same mean over all days, the result is near 1 and not 1/2: what is above the
    mean in one half is below it in the other.

    Args:
        performance: Of every trial on every day, shape (T, N), higher is better, any unit.
        num_blocks: Even. If T is no multiple of it, the earliest days are left out.

    Returns:
        Share of the halves whose best trial is not above the median out of sample: near 0 the
        choice generalises, 1/2 is pure noise. None for one trial, for identical trials, or for
        halves of less than two days.

    References:
        Bailey, Borwein, Lopez de Prado & Zhu (2017), "The probability of backtest overfitting",
        Journal of Computational Finance 20(4). The relative rank is theirs, rank / (N + 1); R's
        pbo has rank / N.
    """
    assert num_blocks > 0
    assert num_blocks % 2 == 0
    num_days = len(performance) // num_blocks * num_blocks
    used = performance[len(performance) - num_days :]
    if num_days // 2 <= 1 or not _varies(used.T).any():
        return None
    in_sample = _ratios_of_halves(used, num_blocks)
    out_of_sample = in_sample[::-1]  # `combinations` orders complements in reverse
    chosen = in_sample.argmax(axis=1)[:, None]
    ratio = np.take_along_axis(out_of_sample, chosen, axis=1)
    rounding = ROUNDING * (1 + np.abs(ratio))
    num_below = (out_of_sample < ratio - rounding).sum(axis=1)
    num_equal = (np.abs(out_of_sample - ratio) <= rounding).sum(axis=1)
    doubled_rank = 2 * num_below + num_equal + 1
    # ln(w / (1 - w)) <= 0 for w = rank / (N + 1), in whole numbers.
    is_low = doubled_rank <= performance.shape[1] + 1
    return float(is_low.mean())


def num_cscv_blocks(num_days: int) -> int | None:
    """Return an even number of blocks, 4 to 16, of at least 16 days; None below 64 days."""
    most = num_days // MIN_BLOCK_DAYS
    return min(most - most % 2, MAX_BLOCKS) if most >= MIN_BLOCKS else None


def effective_trials(profits: Floats) -> float:
    """Return the equivalent number of independent trials.

    Args:
        profits: Of every trial in every period, shape (T, N), any unit.

    Returns:
        From 1 if all are the same to N if their mean correlation is zero or negative. Trials with
        constant profit are not counted.

    References:
        Bailey & Lopez de Prado (2014), "The deflated Sharpe ratio: correcting for selection bias,
        backtest overfitting and non-normality", Journal of Portfolio Management 40(5), appendix.
    """
    varying = profits[:, _varies(profits)]
    num_varying = len(varying.T)
    if num_varying <= 1:
        return 1.0
    scaled = varying / np.abs(varying).max(axis=0)
    centred = scaled - scaled.mean(axis=0)
    total = (centred / np.linalg.norm(centred, axis=0)).sum(axis=1)
    # The square of the sum contains every pair twice, and each trial with itself.
    square = float(total @ total)
    correlation = (square - num_varying) / (num_varying * (num_varying - 1))
    return 1 + (num_varying - 1) * (1 - min(max(correlation, 0.0), 1.0))


def discount_for_search(
    days: ScoredDays,
    forecasts: Mapping[str, Floats],
    *,
    chosen: str,
    num_trials: int,
) -> Discount:
    """Return the results of the chosen trial, corrected for the number of trials.

    Args:
        days: Outcomes. If they overlap (horizon > 1), hits and profits use every `horizon`-th day;
            without a price, Sharpe ratios are None.
        forecasts: Of every trial with forecasts of these days (not the best few), by name, each of
            shape (T,), per cent.
        chosen: Name of the chosen trial.
        num_trials: Configurations tried, including pruned ones.

    Raises:
        DataError: If a return or forecast that is to be traded is not finite, see `trading`.

    References:
        See the functions above.
    """
    assert num_trials >= len(forecasts)
    trials = _Trials(days, forecasts, chosen, num_trials)
    num_scored = len(forecasts)
    covered = f"the best of all and overfitting cover {num_scored} of {num_trials} trials"
    best = chosen_rotation(forecasts, days.actual, chosen=chosen)
    overfitting = _overfitting(trials)
    deflation = _deflation(trials, _timing_profits(trials))
    notes = (best.note and f"the best of all {best.note}", *deflation.notes, overfitting.note)
    if num_trials > num_scored:
        notes = (covered, *notes)
    return Discount(
        num_trials=num_trials,
        num_scored=num_scored,
        effective_trials=deflation.effective_trials,
        chosen_p=best.p_value,
        sharpe=deflation.sharpe,
        expected_best_sharpe=deflation.expected_best_sharpe,
        deflated_sharpe=deflation.deflated_sharpe,
        minimum_track_record_days=deflation.minimum_track_record_days,
        overfitting=overfitting.value,
        cscv_blocks=None if overfitting.value is None else num_cscv_blocks(len(days)),
        notes=tuple(filter(None, notes)),
    )


def _timing_profits(trials: _Trials) -> dict[str, Floats]:
    """Return the profits of every trial's timing; empty without a price."""
    if not trials.days.has_profit:
        return {}
    return {
        name: timing_profit(trials.days.with_forecast(forecast))
        for name, forecast in trials.forecasts.items()
    }


def _deflation(trials: _Trials, profits: Mapping[str, Floats]) -> _Deflation:
    if not profits:
        return _Deflation(notes=("Sharpe ratios undefined: nobody says what a position earns",))
    profit = profits[trials.chosen]
    if len(profit) < MIN_PERIODS:
        return _Deflation(notes=(f"Sharpe ratios undefined: fewer than {MIN_PERIODS} profits",))
    table = np.column_stack(list(profits.values()))
    effective = effective_trials(table) * trials.num_trials / len(profits)
    sharpes = [period.sharpe for period in map(moments, table.T) if period]
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0
    # Correlated trials vary little; using their effective number would correct for that twice.
    benchmark = expected_best_sharpe(variance=variance, num_trials=trials.num_trials)
    deflation = _deflated_sharpe(profit, benchmark, trials.days)
    if deflation.sharpe is not None and len(sharpes) == 1 < trials.num_trials:
        note = "deflated Sharpe ratio too high: one trial's Sharpe ratio has no variance"
        deflation = deflation._replace(notes=(*deflation.notes, note))
    return deflation._replace(effective_trials=effective)


def _deflated_sharpe(profit: Floats, benchmark: float, days: ScoredDays) -> _Deflation:
    """Compare profits, shape (P,), with a benchmark Sharpe ratio of one period."""
    annual = sqrt(days.rhythm.per_year / days.horizon)
    period = moments(profit)
    if period is None:
        note = "Sharpe ratio undefined: the profit of the chosen trial never changes"
        return _Deflation(expected_best_sharpe=annual * benchmark, notes=(note,))
    shape = period._asdict()
    probability = probabilistic_sharpe(**shape, benchmark=benchmark, num_periods=len(profit))
    periods = minimum_track_record(**shape, benchmark=0.0, confidence=CONFIDENCE)
    notes = []
    if probability is None:
        notes.append("deflated Sharpe ratio undefined: its standard error is zero")
    if periods is None:
        notes.append("minimum track record undefined: the Sharpe ratio is not above zero")
    return _Deflation(
        sharpe=annual * period.sharpe,
        expected_best_sharpe=annual * benchmark,
        deflated_sharpe=probability,
        minimum_track_record_days=None if periods is None else ceil(periods) * days.horizon,
        notes=tuple(notes),
    )


def _overfitting(trials: _Trials) -> _Result:
    """Cross-validate the choice by squared error, the loss by which trials are chosen."""
    actual, num_scored = trials.days.actual, len(trials.forecasts)
    if num_scored == 1:
        return _Result(None, "overfitting undefined: only one trial has forecasts")
    blocks = num_cscv_blocks(len(actual))
    if blocks is None:
        return _Result(
            None, f"overfitting undefined: fewer than {MIN_BLOCKS * MIN_BLOCK_DAYS} days"
        )
    # Equals a^2 - (a - f)^2, without its cancellation.
    forecasts = trials.forecasts.values()
    gains = np.column_stack([forecast * (2 * actual - forecast) for forecast in forecasts])
    probability = backtest_overfitting(gains, num_blocks=blocks)
    if probability is None:
        return _Result(None, "overfitting undefined: all trials are equally good on every day")
    is_coarse = num_scored < MIN_RANKED_TRIALS
    return _Result(
        probability, f"overfitting coarse: ranks among {num_scored} trials" if is_coarse else ""
    )


def _ratios_of_halves(performance: Floats, num_blocks: int) -> Floats:
    """Return mean over standard deviation (divisor n) on every half, shape (halves, N).

    Halves are in the order of `combinations`; the reverse order is that of the other halves.
    """
    largest = np.abs(performance).max(axis=0)
    scaled = performance / np.where(largest > 0, largest, 1.0)
    blocks = scaled.reshape(num_blocks, -1, scaled.shape[1])
    halves = np.array(list(combinations(range(num_blocks), num_blocks // 2)))
    is_inside = np.zeros((len(halves), num_blocks))
    np.put_along_axis(is_inside, halves, 1.0, axis=1)
    num_inside = len(scaled) // 2
    mean = is_inside @ blocks.sum(axis=1) / num_inside
    square = is_inside @ (blocks**2).sum(axis=1) / num_inside
    least = ROUNDING * (scaled**2).mean(axis=0)
    variance = np.maximum(square - mean**2, least)
    ratios: Floats = np.zeros_like(mean)
    np.divide(mean, np.sqrt(variance), out=ratios, where=variance > 0)
    return ratios


def _varies(table: Floats) -> Flags:
    """Return which columns change, shape (N,), by more than rounding."""
    if len(table) == 0:
        return np.zeros(table.shape[1], dtype=np.bool_)
    varies: Flags = np.ptp(table, axis=0) > ROUNDING * np.abs(table).max(axis=0)
    return varies
