"""Value at risk and expected shortfall of the next outcome, and tests of them.

Losses of who holds the contract (long) and of who has sold it (short) are sizes of a move, in the
unit of the outcome. All figures are centred at zero: what is forecast does not enter them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, t

from ironore_lightning.evaluation.baselines import Spread
from ironore_lightning.evaluation.days import Flags, Floats
from ironore_lightning.evaluation.intervals import (
    ROUNDING,
    christoffersen_independence,
    ewma_volatility,
    kupiec,
)

Rows = NDArray[np.intp]

LEVELS = (0.9, 0.99)
"""Shares of days that should lose no more than the value at risk."""

HISTORY = "filtered history"
"""Name of our own forecaster, filtered historical simulation."""

LOSS_SIGNS = {"long": -1.0, "short": 1.0}
"""A loss is this times the outcome."""

MEASURES = ("var", "es")
"""Value at risk and expected shortfall."""

RISK_MEASURES = tuple(
    f"{side}_{what}_{100 * level:.0f}"
    for level in LEVELS
    for side in LOSS_SIGNS
    for what in MEASURES
)
"""Of each forecaster, in the order of its columns: `long_var_90`, `long_es_90` .. `short_es_99`."""

RISK_WINDOW = 500
"""Most recent scores that filtered historical simulation uses: two trading years."""

WARM_UP = 50
"""Outcomes known before the first score: the weights of older ones in EWMA are below 5 %."""

FEWEST_EXCEEDANCES = 5
"""With fewer expected days beyond the value at risk, tests seldom find an error."""

SIMULATIONS = 4_000


@dataclass(frozen=True)
class TailFigures:
    """What a position may lose until the outcome, in its unit; at least 0.

    Attributes:
        long_var: Value at risk of who holds the contract.
        long_es: Expected shortfall: the mean loss of the days beyond it.
        short_var: Value at risk of who has sold it.
        short_es: Expected shortfall of who has sold it.
    """

    long_var: float
    long_es: float
    short_var: float
    short_es: float


@dataclass(frozen=True)
class RiskScores:
    """How well a forecaster put the tail losses of one side; what is undefined is None.

    With a horizon above 1 outcomes overlap, exceedances cluster, and p-values are too small.

    Attributes:
        forecaster: `filtered history`, `EWMA` or `GARCH(1,1)-t`.
        level: Share of days that should lose no more than the value at risk.
        side: `long` or `short`.
        num_days: Days with a forecast (N).
        exceedances: Days that lost more than the value at risk.
        mean_var: Mean value at risk, in the unit of the outcome.
        mean_es: Mean expected shortfall, in the unit of the outcome.
        binomial_p: Of the number of exceedances, exact, two-sided; preferable on few days.
        kupiec_p: Of the same, by likelihood ratio.
        independence_p: Of exceedances that follow exceedances (Christoffersen).
        shortfall_z: `shortfall_statistic`: 0 is right, below 0 the risk was put too low.
        shortfall_p: That a right forecaster has a `shortfall_z` as low, one-sided.
        note: Why a test is undefined or says little; otherwise empty.
    """

    forecaster: str
    level: float
    side: str
    num_days: int
    exceedances: int
    mean_var: float | None
    mean_es: float | None
    binomial_p: float | None
    kupiec_p: float | None
    independence_p: float | None
    shortfall_z: float | None
    shortfall_p: float | None
    note: str


def fewest_risk_scores(level: float) -> int:
    """Return how many scores a level needs, one of them beyond it: 19 for 90 %, 199 for 99 %."""
    return math.ceil(2 / (1 - level) - ROUNDING) - 1


def tail_risk(outcomes: Floats, level: float, *, horizon: int) -> TailFigures | None:
    """Return the risk from the newest origin on, by filtered historical simulation.

    Past outcomes, each divided by the EWMA volatility known at its own origin, are centred at zero;
    their empirical quantile and tail mean times the newest volatility are the figures. Of the m
    newest scores, at most 500, value at risk is the k-th largest, k = floor((m + 1) (1 - level)),
    which the next one exceeds with probability k / (m + 1), and expected shortfall is the mean of
    the k - 1 beyond it. None if fewer than `fewest_risk_scores` are known; the first score is that
    of the sample at which 50 outcomes were known.

    Args:
        outcomes: Of consecutive samples, by origin, shape (N,); the newest origin is the last, and
            the last `horizon` outcomes are not read. Days left out may be NaN.
        level: Share of days that lose no more than the value at risk, above 0.5 and below 1.
        horizon: Samples until an outcome is known (H).

    References:
        Hull & White (1998), "Incorporating volatility updating into the historical simulation
        method for value-at-risk", Journal of Risk 1(1). Barone-Adesi, Giannopoulos & Vosper (1999),
        "VaR without correlations for portfolios of derivative securities", Journal of Futures
        Markets 19(5).
    """
    volatility = ewma_volatility(outcomes, horizon=horizon)
    scores = _known_scores(outcomes, volatility, len(outcomes) - 1, horizon)
    if len(scores) < fewest_risk_scores(level):
        return None
    return TailFigures(*(float(size) for size in volatility[-1] * _score_tails(scores, level)))


def affordable_lots(budget: float, loss_per_lot: float) -> int:
    """Return the whole lots whose losses a budget pays for, both above 0, in one currency."""
    if not (0 < budget < math.inf and 0 < loss_per_lot < math.inf):
        raise ValueError(f"budget and loss must be above 0, got {budget} and {loss_per_lot}")
    return math.floor(budget / loss_per_lot + ROUNDING)


def build_risk(
    outcomes: Floats, days: Flags, spreads: Mapping[str, Spread | None], *, horizon: int
) -> pd.DataFrame:
    """Return the risk figures of three forecasters at the origins of some days.

    Args:
        outcomes: Of all samples, by origin, shape (N,).
        days: Whether a sample is one of the days, shape (N,).
        spreads: Of `spread_baselines`; each is a normal or a Student t distribution around zero.
        horizon: Samples until an outcome is known (H).

    Returns:
        One row per day. Columns are a measure, such as `long_var_90` or `short_es_99`, and a
        forecaster; NaN where too little is known.
    """
    rows = np.flatnonzero(days)
    sizes = {HISTORY: _history_sizes(outcomes, rows, horizon=horizon)}
    for name, spread in spreads.items():
        if spread is not None:
            # Both sides alike, for a distribution around zero.
            standard = [figure for level in LEVELS for figure in _standard_tail(spread, level) * 2]
            sizes[name] = np.outer(spread.scale[rows], standard)
    columns = {
        (measure, name): column
        for name, table in sizes.items()
        for measure, column in zip(RISK_MEASURES, table.T, strict=True)
    }
    return pd.DataFrame(columns)


def score_risk(actual: Floats, risk: pd.DataFrame) -> list[RiskScores]:
    """Return the scores of each forecaster, level and side; days without a figure do not count.

    Args:
        actual: Outcomes, shape (N,), in time order.
        risk: Of `build_risk`, shape (N, any); nothing is scored without columns.
    """
    names = list(dict.fromkeys(risk.columns.get_level_values(1))) if len(risk.columns) else []
    return [
        _side_scores(
            str(name),
            level,
            side,
            sign * actual,
            *(
                risk[f"{side}_{what}_{100 * level:.0f}", name].to_numpy(np.float64)
                for what in MEASURES
            ),
        )
        for name in names
        for level in LEVELS
        for side, sign in LOSS_SIGNS.items()
    ]


def shortfall_statistic(losses: Floats, var: Floats, es: Floats, level: float) -> float | None:
    """Return Z2 of Acerbi & Szekely, 0 by expectation where both figures are right.

    It is 1 less the sum of the losses beyond value at risk, each divided by the day's expected
    shortfall, over the number of such days that is expected: -1 where twice as much is lost as was
    forecast, 1 where no day exceeds. None without days, or if an expected shortfall is 0.

    Args:
        losses: Shape (N,); gains are negative.
        var: Value at risk, shape (N,).
        es: Expected shortfall, shape (N,), at least `var`.
        level: Share of days that should lose no more than `var`.

    References:
        Acerbi & Szekely (2014), "Backtesting Expected Shortfall", Risk 27(12), section "Test 2".
    """
    if not len(losses) or not (es > 0).all():
        return None
    beyond = losses > var
    return float(1 - (losses[beyond] / es[beyond]).sum() / (len(losses) * (1 - level)))


def shortfall_p(statistic: float, var: Floats, es: Floats, level: float) -> float:
    """Return how often a right forecaster has a statistic as low, by simulation with a fixed seed.

    A day exceeds with probability ``1 - level``; what it loses beyond value at risk is exponential
    with the mean that the two figures imply, ``es - var``, so that the figures alone suffice. Under
    a Student t tail the statistic scatters more: what is truly 5 % is 4 to 5 % here with 4 degrees
    of freedom or more, and at least 3 % with 3.

    Args:
        statistic: Of `shortfall_statistic`.
        var: Value at risk, shape (N,).
        es: Expected shortfall, shape (N,), above 0.
        level: Share of days that should lose no more than `var`.
    """
    rng = np.random.default_rng(0)
    counts = rng.binomial(len(var), 1 - level, SIMULATIONS)
    days = rng.integers(len(var), size=counts.sum())
    losses = var[days] + (es - var)[days] * rng.exponential(size=len(days))
    market = np.repeat(np.arange(SIMULATIONS), counts)
    sums = np.bincount(market, losses / es[days], minlength=SIMULATIONS)
    simulated = 1 - sums / (len(var) * (1 - level))
    return float((1 + (simulated <= statistic).sum()) / (1 + SIMULATIONS))


def _history_sizes(outcomes: Floats, rows: Rows, *, horizon: int) -> Floats:
    """Return all measures of filtered historical simulation at some origins, shape (R, 8)."""
    volatility = ewma_volatility(outcomes, horizon=horizon)
    sizes = np.full((len(rows), len(LEVELS), 2 * len(MEASURES)), np.nan)
    for place, row in enumerate(rows):
        scores = _known_scores(outcomes, volatility, int(row), horizon)
        for number, level in enumerate(LEVELS):
            if len(scores) >= fewest_risk_scores(level):
                sizes[place, number] = volatility[row] * _score_tails(scores, level)
    return sizes.reshape(len(rows), -1)


def _known_scores(outcomes: Floats, volatility: Floats, origin: int, horizon: int) -> Floats:
    """Return the newest scores known at an origin, without those of the first, uncertain scales."""
    known = slice(horizon + WARM_UP - 1, max(origin - horizon + 1, 0))
    scores = outcomes[known] / volatility[known]
    return np.asarray(scores[~np.isnan(scores)][-RISK_WINDOW:])


def _score_tails(scores: Floats, level: float) -> Floats:
    """Return value at risk and expected shortfall of both sides in units of volatility, (4,)."""
    num_exceeding = math.floor((len(scores) + 1) * (1 - level) + ROUNDING)
    centred = scores - scores.mean()
    tails = []
    for sign in LOSS_SIGNS.values():
        worst = np.sort(sign * centred)[-num_exceeding:]
        var = max(worst[0], 0.0)
        tails += [var, max(worst[1:].mean(), var)]
    return np.array(tails)


def _standard_tail(spread: Spread, level: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of a normal or Student t of scale 1.

    References:
        McNeil, Frey & Embrechts (2015), "Quantitative Risk Management", section 2.3.4.
    """
    degrees = spread.degrees
    if degrees is None:
        var = float(norm.ppf(level))
        return var, float(norm.pdf(var) / (1 - level))
    var = float(t.ppf(level, degrees))
    density = float(t.pdf(var, degrees))
    return var, density / (1 - level) * (degrees + var**2) / (degrees - 1)


def _side_scores(
    forecaster: str, level: float, side: str, losses: Floats, var: Floats, es: Floats
) -> RiskScores:
    known = ~(np.isnan(var) | np.isnan(es))
    losses, var, es = losses[known], var[known], es[known]
    beyond, num_days = losses > var, len(losses)
    exceedances = int(beyond.sum())
    statistic = shortfall_statistic(losses, var, es, level)
    rate = 1 - level
    independence = christoffersen_independence(beyond)
    return RiskScores(
        forecaster=forecaster,
        level=level,
        side=side,
        num_days=num_days,
        exceedances=exceedances,
        mean_var=float(var.mean()) if num_days else None,
        mean_es=float(es.mean()) if num_days else None,
        binomial_p=float(binomtest(exceedances, num_days, rate).pvalue) if num_days else None,
        kupiec_p=kupiec(num_days=num_days, misses=exceedances, miss_rate=rate).p_value
        if num_days
        else None,
        independence_p=independence.p_value if independence else None,
        shortfall_z=statistic,
        shortfall_p=None if statistic is None else shortfall_p(statistic, var, es, level),
        note=_note(num_days, num_days * rate),
    )


def _note(num_days: int, expected: float) -> str:
    if not num_days:
        return "too few earlier outcomes are known"
    if expected < FEWEST_EXCEEDANCES:
        return f"says little: {expected:.1f} exceedances are expected"
    return ""
