"""Paper trading: strategies on a forecast, their costs and Sharpe ratios.

One row is one forecast. It is made at the close of its origin, its position is taken at that same
close and earns the outcome of the row, the return that starts there. A close is not always still
open for trading when a forecast that has read it is ready, so every strategy is also executed one
day later. Nothing is levered: the notional of a position is the capital of its day.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_high
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError
from ironore_lightning.evaluation.days import Flags, Floats, ScoredDays, hits
from ironore_lightning.evaluation.significance import is_constant

Integers = NDArray[np.intp]

BUY_AND_HOLD, FLAT, SIGN, THRESHOLD = "buy and hold", "flat", "sign", "threshold"
ONE_DAY_LATER = ", one day later"
"""What a strategy executed one day later has behind its name in the equity curves."""

START_CAPITAL = 100.0

TRADING_DAYS = 252
"""Days a year, over which a Sharpe ratio is annualised."""

USUAL_COST_BP = 5.0
"""Cost of a turn, basis points, that is shown alone if it is among those asked for."""

LARGEST_RETURN = 1000.0
"""A larger move, per cent, is a mistake of the unit; nothing traded ever moved as much."""


@dataclass(frozen=True)
class Terms:
    """How positions are executed and what they earn.

    Attributes:
        kind: `log_return` or `simple_return`; a log return r is a move of exp(r) - 1.
        cost_bp: Cost of one turn, which is a change of the position by the capital, basis points.
        delay_days: Days from the forecast's close to the close at which it is traded.
        horizon: Days that a forecast reaches.
    """

    kind: str
    cost_bp: float
    delay_days: int
    horizon: int

    def __post_init__(self) -> None:
        """Refuse what has no price."""
        assert self.kind in {"log_return", "simple_return"}

    @property
    def traded(self) -> slice:
        """Rows whose outcomes are earned: none overlaps with another."""
        return slice(self.delay_days % self.horizon, None, self.horizon)


@dataclass(frozen=True)
class TradingResult:
    """What one strategy earned after costs; a quantity that is undefined there is None.

    Attributes:
        name: `buy and hold`, `flat`, `sign` or `threshold`.
        cost_bp: Cost of one turn, basis points of the notional; a flip is two turns.
        delay_days: Days from the forecast's close to the close at which it is traded.
        num_periods: Profits there are, the n of the Sharpe ratio; each lasts `horizon` days.
        num_days: Days on which they were made; with a horizon of one the same number.
        total_return: Compounded, per cent of the starting capital; -100 is all of it.
        mean_day: Mean profit a day, per cent of the day's capital.
        annual_return: `mean_day` times 252, not compounded, per cent.
        annual_volatility: Standard deviation of the profits (divisor n - 1) over a year, per cent.
        sharpe: `annual_return` over `annual_volatility`; futures need no riskless rate taken off.
        sharpe_error: Standard error of `sharpe`, see `sharpe_error`. It assumes independent days,
            and is too small where few days have a position at all.
        max_drawdown: Deepest fall below the highest capital so far, per cent, at most 100.
        turnover: Notional traded a day, rolls included, in units of the capital.
        hit_rate: Per cent of the periods with a position and a move whose sign was right.
        profit_factor: Sum of the gains over the sum of the losses; None without a loss.
        num_trades: Positions opened: an entry or a flip is one, holding, closing, rolling none.
    """

    name: str
    cost_bp: float
    delay_days: int
    num_periods: int
    num_days: int
    total_return: float
    mean_day: float | None
    annual_return: float | None
    annual_volatility: float | None
    sharpe: float | None
    sharpe_error: float | None
    max_drawdown: float
    turnover: float | None
    hit_rate: float | None
    profit_factor: float | None
    num_trades: int


@dataclass(frozen=True, eq=False)
class _Book:
    """What was held and earned, shape (P,) each; after a ruin nothing is held any more.

    Attributes:
        position: Long 1, flat 0, short -1.
        move: Simple return of the market, fraction.
        turns: Notional traded at the start of a period and at the rolls inside it.
        profit: After costs, fraction of the capital, at least -1.
    """

    position: Floats
    move: Floats
    turns: Floats
    profit: Floats


class Moments(NamedTuple):
    """Of profits that vary: Sharpe ratio of one period, skewness, kurtosis (3 if normal)."""

    sharpe: float
    skewness: float
    kurtosis: float


class _Strategy(NamedTuple):
    name: str
    terms: Terms
    position: Floats


def usual_cost(costs_bp: Sequence[float]) -> float:
    """Return the cost of a turn, basis points, for what is shown at one cost only."""
    return USUAL_COST_BP if USUAL_COST_BP in costs_bp else median_high(costs_bp)


def positions(forecast: Floats, *, buffer: float, terms: Terms) -> Floats:
    """Go with the sign of every forecast that is larger than the buffer, else be flat.

    A horizon of several days would make positions overlap, and outcomes of several days do not
    say what a part of them earned. So only every `horizon`-th forecast is traded, and held until
    its outcome is complete; P is the number of those periods, N for a horizon of one.

    Args:
        forecast: Returns, shape (N,), per cent, in time order.
        buffer: Size, per cent, that a forecast must exceed; 0 is the sign strategy, for which a
            forecast of exactly zero is flat.
        terms: Of the execution; where it is late, the first days are flat.

    Returns:
        Shape (P,): long 1, flat 0, short -1. A later forecast changes no earlier position.

    Raises:
        DataError: If a forecast is not finite.
    """
    _require_finite("forecast", forecast)
    signal = np.where(np.abs(forecast) > buffer, np.sign(forecast), 0.0)
    late = np.concatenate([np.zeros(terms.delay_days), signal])[: len(signal)]
    return late[terms.traded]


def daily_profit(position: Floats, actual: Floats, is_roll: Flags, *, terms: Terms) -> Floats:
    """Return the profit of each period after costs; a period is a day for a horizon of one.

    A change of the position costs its size in turns. At a roll all of the old contract is sold
    and all of the new one bought, so holding on costs two turns, and a flip no more than on any
    other day. The first entry is paid, leaving the last position is not. Restoring a short
    position to the size of the capital every day is not charged either.

    Args:
        position: Of `positions` on the same terms, shape (P,).
        actual: Returns over `horizon` days from the close of each row, shape (N,), per cent.
        is_roll: Rolls at the close of each row's origin, shape (N,): the return of the day after
            that close belongs to a newer contract than the return of the day that ended with it.
            Rolls inside a period of several days are paid as well, as far as the rows reach.
        terms: Of the execution.

    Returns:
        Shape (P,), per cent of the capital at the start of the period. A loss of 100 or more is
        the loss of all capital: -100, and 0 ever after. A log return takes that from a short
        position only, a simple return at or below -100 % from a long one.

    Raises:
        DataError: If a return is not finite or beyond 1000 %, or the shapes differ.
    """
    return 100 * _trade(position, actual, is_roll, terms).profit


def gross_profit(days: ScoredDays) -> Floats:
    """Return the profit of the sign strategy in each period before costs, shape (P,), per cent."""
    terms = Terms(days.kind, cost_bp=0.0, delay_days=0, horizon=days.horizon)
    position = positions(days.forecast, buffer=0.0, terms=terms)
    return daily_profit(position, days.actual, days.is_roll, terms=terms)


def capital(profit: Floats) -> Floats:
    """Compound profits, shape (P,), per cent, into the capital after each; 100 comes before.

    Raises:
        DataError: If the capital becomes larger than any number.
    """
    with np.errstate(over="ignore"):
        path = START_CAPITAL * np.cumprod(1 + profit / 100, dtype=np.float64)
    if not np.isfinite(path).all():
        raise DataError("the profits compound beyond any number; returns must be in per cent")
    return path


def trading_result(
    name: str, position: Floats, actual: Floats, is_roll: Flags, *, terms: Terms
) -> TradingResult:
    """Trade a position and sum up what it earned; all but its name goes to `daily_profit`."""
    book = _trade(position, actual, is_roll, terms)
    profit = 100 * book.profit
    num_periods = len(profit)
    num_days = num_periods * terms.horizon
    path = capital(profit)
    sharpe, error = _sharpe(profit, terms.horizon)
    return TradingResult(
        name=name,
        cost_bp=terms.cost_bp,
        delay_days=terms.delay_days,
        num_periods=num_periods,
        num_days=num_days,
        total_return=float(path[-1] - START_CAPITAL) if num_days else 0.0,
        mean_day=float(profit.sum()) / num_days if num_days else None,
        annual_return=TRADING_DAYS * float(profit.sum()) / num_days if num_days else None,
        annual_volatility=_annual_volatility(profit, terms.horizon),
        sharpe=sharpe,
        sharpe_error=error,
        max_drawdown=float(drawdown(path).max(initial=0.0)),
        turnover=float(book.turns.sum()) / num_days if num_days else None,
        hit_rate=_hit_rate(book),
        profit_factor=_profit_factor(profit),
        num_trades=int(((book.position != 0) & (np.diff(book.position, prepend=0.0) != 0)).sum()),
    )


def trading_table(
    days: ScoredDays, *, buffer: float, costs_bp: Sequence[float]
) -> list[TradingResult]:
    """Trade every strategy at every cost, at once and one day later.

    Args:
        days: Of a target that has a price; only every `horizon`-th of them is traded.
        buffer: Size, per cent, that a forecast must exceed for the threshold strategy.
        costs_bp: Costs of one turn, basis points.

    Returns:
        For each cost in turn: buy and hold, flat, sign, threshold, and the last two one day
        later. Buying and holding needs no forecast, so it is never late.
    """
    return [
        trading_result(name, position, days.actual, days.is_roll, terms=terms)
        for cost_bp in costs_bp
        for name, terms, position in _strategies(days, buffer=buffer, cost_bp=cost_bp)
    ]


def equity_curves(days: ScoredDays, *, buffer: float, cost_bp: float) -> pd.DataFrame:
    """Follow the capital of every strategy of `trading_table` at one cost.

    Args:
        days: Of a target that has a price. Within a period of several days the capital is that
            before it.
        buffer: Size, per cent, that a forecast must exceed for the threshold strategy.
        cost_bp: Cost of one turn, basis points.

    Returns:
        By date, shape (N, 6): the capital at the end of the day, 100 before the first; the
        strategies executed late have `ONE_DAY_LATER` behind their name.
    """
    curves = {}
    for name, terms, position in _strategies(days, buffer=buffer, cost_bp=cost_bp):
        profit = daily_profit(position, days.actual, days.is_roll, terms=terms)
        is_complete = np.zeros(len(days), dtype=np.intp)
        is_complete[terms.traded] = 1
        path = np.concatenate([[START_CAPITAL], capital(profit)])
        label = f"{name}{ONE_DAY_LATER}" if terms.delay_days else name
        curves[label] = path[is_complete.cumsum()]
    return pd.DataFrame(curves, index=days.dates)


def drawdown(path: Floats) -> Floats:
    """Return how far the capital stands below the highest so far, in per cent, 0 to 100.

    Args:
        path: Capital after each day, shape (T,), at least 0; 100 comes before the first.
    """
    peak = np.maximum.accumulate(np.concatenate([[START_CAPITAL], path]))[1:]
    below: Floats = 100 * (1 - path / peak)
    return below


def moments(profit: Floats) -> Moments | None:
    """Return the moments of profits, shape (P,); None of fewer than two, or if none differs."""
    if len(profit) <= 1 or is_constant(profit):
        return None
    scaled = profit / np.abs(profit).max()
    centred = (scaled - scaled.mean()) / scaled.std()
    return Moments(
        sharpe=float(scaled.mean() / scaled.std(ddof=1)),
        skewness=float((centred**3).mean()),
        kurtosis=float((centred**4).mean()),
    )


def sharpe_error(sharpe: float, *, skewness: float, kurtosis: float, num_periods: int) -> float:
    """Return the standard error of a Sharpe ratio that is not annualised.

    Args:
        sharpe: Mean over standard deviation of the profits of one period.
        skewness: Of the profits, 0 for the normal law.
        kurtosis: Of the profits, 3 for the normal law.
        num_periods: Profits there are, at least 2.

    References:
        Mertens (2002), "Comments on variance of the IID estimator in Lo (2002)"; with the divisor
        n - 1 of Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of
        Risk 15(2). It holds for independent profits of any law with a fourth moment; Lo (2002),
        "The statistics of Sharpe ratios", Financial Analysts Journal 58(4), is its normal case.
    """
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    # Never negative, as the kurtosis is at least 1 + skewness ** 2; rounding does not know that.
    return math.sqrt(max(variance, 0.0) / (num_periods - 1))


def _strategies(days: ScoredDays, *, buffer: float, cost_bp: float) -> list[_Strategy]:
    forecast = days.forecast
    at_once, later = (Terms(days.kind, cost_bp, delay, days.horizon) for delay in (0, 1))
    num_periods = len(forecast[at_once.traded])
    return [
        _Strategy(BUY_AND_HOLD, at_once, np.ones(num_periods)),
        _Strategy(FLAT, at_once, np.zeros(num_periods)),
        *(
            _Strategy(name, terms, positions(forecast, buffer=least, terms=terms))
            for terms in (at_once, later)
            for name, least in ((SIGN, 0.0), (THRESHOLD, buffer))
        ),
    ]


def _trade(position: Floats, actual: Floats, is_roll: Flags, terms: Terms) -> _Book:
    rows = np.arange(len(actual))[terms.traded]
    if is_roll.shape != actual.shape or position.shape != rows.shape:
        raise DataError(
            f"{len(actual)} returns make {len(rows)} positions, but there are {len(is_roll)} "
            f"roll flags and {len(position)} positions"
        )
    move = _simple_return(actual, terms.kind)[rows]
    turns = _turns(position, is_roll, rows, terms.horizon)
    profit = np.maximum(position * move - terms.cost_bp / 10_000 * turns, -1.0)
    num_ruins = np.concatenate([[0], (profit <= -1).cumsum()])
    is_alive = num_ruins[:-1] == 0
    return _Book(position * is_alive, move, turns * is_alive, profit * is_alive)


def _simple_return(actual: Floats, kind: str) -> Floats:
    """Return what one unit of notional gains, as a fraction."""
    _require_finite("actual", actual)
    if np.abs(actual).max(initial=0.0) > LARGEST_RETURN:
        largest = actual[np.abs(actual).argmax()]
        raise DataError(f"actual must be a return in per cent, got {largest:g}")
    simple: Floats = np.expm1(actual / 100) if kind == "log_return" else actual / 100
    return simple


def _turns(position: Floats, is_roll: Flags, rows: Integers, horizon: int) -> Floats:
    """Return the notional traded in each period, shape (P,)."""
    change = np.diff(position, prepend=0.0)  # flat before the first
    size, size_before = np.abs(position), np.abs(position - change)
    num_rolls = np.concatenate([[0], is_roll.cumsum()])
    end = np.minimum(rows + horizon, len(is_roll))
    inside = num_rolls[end] - num_rolls[rows + 1]
    at_start = np.where(is_roll[rows], size_before + size, np.abs(change))
    turns: Floats = at_start + 2 * size * inside
    return turns


def _annual_volatility(profit: Floats, horizon: int) -> float | None:
    if len(profit) <= 1:
        return None
    spread = 0.0 if is_constant(profit) else float(profit.std(ddof=1))
    return math.sqrt(TRADING_DAYS / horizon) * spread


def _sharpe(profit: Floats, horizon: int) -> tuple[float | None, float | None]:
    """Return the annual Sharpe ratio and its standard error, or nothing if nothing varies."""
    found = moments(profit)
    if found is None:
        return None, None
    error = sharpe_error(**found._asdict(), num_periods=len(profit))
    annual = math.sqrt(TRADING_DAYS / horizon)
    return annual * found.sharpe, annual * error


def _hit_rate(book: _Book) -> float | None:
    counted = (book.position != 0) & (book.move != 0)
    num_hits = int(hits(book.position, book.move).sum())
    return 100 * num_hits / int(counted.sum()) if counted.any() else None


def _profit_factor(profit: Floats) -> float | None:
    losses = -float(profit[profit < 0].sum())
    return float(profit[profit > 0].sum()) / losses if losses else None


def _require_finite(name: str, values: Floats) -> None:
    if values.ndim != 1:
        raise DataError(f"{name} must have one axis, got the shape {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(f"{name} must be finite, got {values[wrong[0]]} in row {wrong[0]}")
