"""Evidence that may be looked at every morning: wealth from bets, and confidence sequences.

A gambler begins with 1 and stakes a share of the wealth on each day, before its outcome is known.
If no bet gains on average, the chance that the wealth ever reaches 20 is at most 5 %, however often
anybody looks (Ville 1939). All functions are pure and take days in time order along the last axis.
They know of a day what was known before it, and then its outcome: later days change no earlier
number, and a record that grows gives the numbers of the whole record.

References:
    Ville (1939), "Étude critique de la notion de collectif". Shafer (2021), "Testing by betting: a
    strategy for statistical and scientific communication", JRSS A 184(2). Ramdas, Grünwald, Vovk &
    Shafer (2023), "Game-theoretic statistics and safe anytime-valid inference", Statistical Science
    38(4). Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting",
    JRSS B 86(1).
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.signal import lfilter

from ironore_lightning.evaluation.days import Floats
from ironore_lightning.evaluation.significance import ROUNDING

ENOUGH = 20.0
"""Wealth that is ever reached without an edge with a chance of at most 5 %."""

STAKES = (0.1, 0.2, 0.4)
"""Shares of the wealth that bets on direction stake."""

LOSS_STAKES = (0.05, 0.1, 0.2)
RANK_STAKES = (0.2, 0.4, 0.8)

DRIFT_MEMORY = 60
"""Days from which drift is learnt: the weight of a day falls by 1 / 60 a day."""

DRIFT_PRIOR = 20
"""Days without drift that are thought to precede the first one."""

TOLERANCE = 0.05
"""What a bet on larger errors pays a day, which allows a mean rank of 0.475 instead of 0.5."""

START_EVERY = 21
"""Days after which another gambler begins to look for a break: a month."""

TILTS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Exponents of the confidence sequence; small ones for many days, large ones for few."""

HALVINGS = 30
"""Of an interval of length 1 in search of a confidence bound, to below 1e-9."""


def log_wealth(bets: Floats, stakes: Sequence[float]) -> Floats:
    """Return the natural logarithm of the wealth after each day, shape (..., N).

    The first 1 is divided equally among gamblers with a fixed stake each, whose wealth is added up:
    no best stake has to be known, and a sum of fair games is fair.

    Args:
        bets: What a stake of 1 gains on each day, shape (..., N). Under the null its mean, given
            what was known before, is at most 0.
        stakes: Of each gambler; 1 + stake * bet is above 0.
    """
    return _log_mean([np.cumsum(np.log1p(stake * bets), axis=-1) for stake in stakes])


def direction_log_wealth(forecast: Floats, actual: Floats, volatility: Floats) -> Floats:
    """Bet that outcomes are higher than usual where forecasts are, log wealth of shape (..., N).

    Forecast and outcome are deviations from their own past, so that who is always long gets rich in
    no rising market. Half of the wealth bets on the signs of the two deviations; half on their
    product, in standard deviations, with the forecast within ±2 and the outcome within ±1. Sizes
    find a forecast sooner whose size tells something, signs one whose size does not.

    The null is that, given past and forecast, sign and clipped size of the scaled outcome have
    their usual means. If these were known, the bets would be fair and the 5 % exact. They are
    learnt, so the 5 % hold nearly: a day gains on average the error of that mean times the mean
    deviation of the forecast, a product of two small numbers without a lasting sign. The benchmark
    `daily_evidence.py` measures what is left of it where drift changes.

    Args:
        forecast: Shape (..., N), in the unit of the outcome.
        actual: Outcomes that do not overlap, shape (..., N).
        volatility: Known at each origin, shape (..., N), above 0.
    """
    known, moved = _deviations(forecast), actual / volatility
    signs = np.sign(known) * _surprise(np.sign(moved))
    sizes = np.clip(known, -2, 2) * _surprise(np.clip(moved, -1, 1))
    return _log_mean([log_wealth(bets, STAKES) for bets in (signs, sizes)])


def loss_log_wealth(forecast: Floats, actual: Floats, volatility: Floats) -> Floats:
    """Bet that squared errors are smaller than those of zero, log wealth of shape (..., N).

    A day gains r^2 - (r - f)^2 = 2 f (r - f / 2), over twice the volatility times the root mean
    square of the forecasts so far, between -4 and 2. Drift counts: who forecasts it beats zero.

    The null is that the gain has no positive mean, given past and forecast. Gains cut at 2 lower
    the mean, which is safe under every null; losses cut at 4 raise it. So the 5 % are exact where
    the mean loss beyond 4 is at most the mean gain beyond 2, as for symmetric outcomes, and not for
    a forecast that leans against rare and very large moves.

    Args:
        forecast: Shape (..., N), in the unit of the outcome.
        actual: Outcomes that do not overlap, shape (..., N).
        volatility: Known at each origin, shape (..., N), above 0.
    """
    scale = volatility * np.sqrt(_mean_so_far(forecast**2))
    gains = forecast * (actual - forecast / 2)
    bets = np.divide(gains, scale, out=np.zeros_like(gains), where=scale > 0)
    return log_wealth(np.clip(bets, -4, 2), LOSS_STAKES)


def rank_log_wealth(rank: Floats, num_scores: Floats) -> Floats:
    """Bet that errors are larger than validation promised, log wealth of shape (..., N).

    Each error is ranked among those of validation and of all days before it, which are known by
    their own ranks: p is the share that is at least as large, itself counted; ties count in full.
    Ranks among the errors of validation alone would differ from uniform for ever, by chance, as
    validation has few. A stake of 1 gains 1 - 2 p, less `TOLERANCE`.

    To notice a late break, a new gambler begins every `START_EVERY` days, the k-th with
    1 / (k (k + 1)) of the first 1; these sum to 1, and so the 5 % hold for ever. They hold where
    the scaled errors of validation and later are exchangeable. Volatility that clusters and
    outliers that swell it for weeks make errors alike on neighbouring days; the tolerance is there
    for that, and the benchmark `daily_evidence.py` measures whether it is enough.

    Args:
        rank: Share of the errors on validation that were at least as large, the day's own counted,
            shape (..., N).
        num_scores: Errors on validation among which each day was ranked, shape (N,).

    References:
        Vovk, Gammerman & Shafer (2022), "Algorithmic Learning in a Random World", 2nd edition,
        chapter 8, for conformal test martingales.
    """
    bets = 1 - TOLERANCE - 2 * _online_ranks(rank, num_scores)
    days = np.arange(rank.shape[-1])
    starts = days[::START_EVERY]
    total = np.full(rank.shape, 1 / (len(starts) + 1))  # of those who have not begun
    for number, start in enumerate(starts, start=1):
        own = log_wealth(np.where(days >= start, bets, 0), RANK_STAKES)
        total += np.exp(own) / (number * (number + 1))
    return np.asarray(np.log(total))


def mean_bounds(
    successes: Floats, trials: Floats, *, belief: float = 0.95
) -> tuple[Floats, Floats]:
    """Return a confidence sequence of the mean chance of success, each bound of shape (..., N).

    The chance that the true mean over the trials so far ever leaves the bounds is at most
    1 - `belief`. It is exact for chances that change from trial to trial and depend on the past:
    for a tilt a, the wealth exp(a S - n log(1 + m (e^a - 1))) at the true mean m of the chances is
    at most that with each trial's own chance, as the logarithm is concave. Bounds are the means m
    at which an equal mixture over positive and negative `TILTS` stays below 1 / (1 - belief).

    Args:
        successes: Counted so far, shape (..., N).
        trials: Counted so far, shape (..., N); without any, the bounds are 0 and 1.
        belief: Above 0 and below 1.

    References:
        Howard, Ramdas, McAuliffe & Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
        confidence sequences", Annals of Statistics 49(2): sub-Bernoulli processes, discrete
        mixtures. Hoeffding (1963), theorem 1, for the concavity.
    """
    tilts = (*np.negative(TILTS).tolist(), *TILTS)
    centre = np.divide(successes, trials, out=np.full(trials.shape, 0.5), where=trials > 0)
    bounds = []
    for edge in (0.0, 1.0):
        outside, inside = np.full(trials.shape, edge), centre
        for _ in range(HALVINGS):
            middle = (outside + inside) / 2
            logs = [tilt * successes - trials * np.log1p(middle * np.expm1(tilt)) for tilt in tilts]
            is_out = _log_mean(logs) >= -np.log1p(-belief)
            outside = np.where(is_out, middle, outside)
            inside = np.where(is_out, inside, middle)
        bounds.append(outside)
    return bounds[0], bounds[1]


def _log_mean(logs: Sequence[Floats]) -> Floats:
    """Return the logarithm of the mean of wealths, each of shape (..., N)."""
    return np.asarray(reduce(np.logaddexp, logs) - np.log(len(logs)))


def _mean_so_far(values: Floats) -> Floats:
    """Return the mean up to each day, the day's own counted, shape (..., N)."""
    return np.asarray(np.cumsum(values, axis=-1) / np.arange(1, values.shape[-1] + 1))


def _deviations(forecast: Floats) -> Floats:
    """Return forecasts less their mean so far, in standard deviations so far, shape (..., N).

    A forecast is known before its outcome, so its own day counts. Without deviations they are 0.
    """
    apart = forecast - _mean_so_far(forecast)
    size = np.sqrt(_mean_so_far(apart**2))
    is_apart = size > ROUNDING * np.sqrt(_mean_so_far(forecast**2))
    return np.divide(apart, size, out=np.zeros_like(apart), where=is_apart)


def _surprise(scores: Floats) -> Floats:
    """Return scores between -1 and 1 less the mean that the days before let expect.

    The mean forgets with `DRIFT_MEMORY` and begins at `DRIFT_PRIOR` days of 0. The difference is
    divided by the most that it could be, so it lies between -1 and 1, too.
    """
    keep = 1 - 1 / DRIFT_MEMORY
    summed = lfilter([0.0, 1.0], [1.0, -keep], scores, axis=-1)
    # The weights of k days before and of the prior, 1 + keep + ... and its own share of them.
    age = np.arange(scores.shape[-1])
    weights = (1 - keep**age) * DRIFT_MEMORY + DRIFT_PRIOR * keep**age
    mean = summed / weights
    return np.asarray((scores - mean) / (1 + np.abs(mean)))


def _online_ranks(rank: Floats, num_scores: Floats) -> Floats:
    """Return the share of all errors so far that are at least as large, shape (..., N).

    The errors are those of validation and of the days, the day's own counted. A day whose rank on
    validation is as small as another's may have the larger error: it counts as larger, which makes
    no share too small.
    """
    before = np.zeros(rank.shape)
    for day in range(1, rank.shape[-1]):
        before[..., day] = (rank[..., :day] <= rank[..., day, None]).sum(axis=-1)
    return np.asarray(
        (rank * (num_scores + 1) + before) / (num_scores + 1 + np.arange(rank.shape[-1]))
    )
