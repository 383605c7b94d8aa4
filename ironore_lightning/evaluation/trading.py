"""Paper trading: strategies on a forecast, their costs and Sharpe ratios.

One row is one forecast, made at the close of its origin. Its position is taken at that same close
and earns the outcome of the row, the return that starts there. A forecast may come too late to
trade at the close that it reads, so every strategy is also executed one day later. There is no
leverage: the notional of a position is the capital of its day.
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
from ironore_lightning.trading_calendar.rhythm import DAILY

Integers = NDArray[np.intp]

BUY_AND_HOLD, FLAT, SIGN, THRESHOLD = "buy and hold", "flat", "sign", "threshold"
ONE_DAY_LATER = ", one day later"
"""Suffix of the strategies executed one day later in the equity curves."""

START_CAPITAL = 100.0

USUAL_COST_BP = 5.0
"""Cost of a turn, basis points, for what is shown at one cost only."""

LARGEST_RETURN = 1000.0
"""Per cent; a larger return is in the wrong unit."""


@dataclass(frozen=True)
class Terms:
    """How positions are executed and what they earn.

    Attributes:
        kind: `log_return` or `simple_return`; a log return r is a move of exp(r) - 1.
        cost_bp: Cost of one turn, which is a change of the position by the capital, basis points.
        delay_days: Days from the forecast's close to the close at which it is traded.
        horizon: Days ahead that a forecast reaches.
        days_per_year: To annualise; weeks or months of a weekly or monthly market.
    """

    kind: str
    cost_bp: float
    delay_days: int
    horizon: int
    days_per_year: int = DAILY.per_year

    @classmethod
    def of(cls, days: ScoredDays, *, cost_bp: float, delay_days: int) -> "Terms":
        """Return the terms of trading some days."""
        return cls(days.earned_kind, cost_bp, delay_days, days.horizon, days.rhythm.per_year)

    def __post_init__(self) -> None:
        """Require a target with a price."""
        assert self.kind in {"log_return", "simple_return"}

    @property
    def periods_per_year(self) -> float:
        """Profits in a year."""
        return self.days_per_year / self.horizon

    @property
    def traded(self) -> slice:
        """Rows whose outcomes are traded; they do not overlap."""
        return slice(self.delay_days % self.horizon, None, self.horizon)


@dataclass(frozen=True)
class TradingResult:
    """Results of one strategy after costs; an undefined one is None.

    Attributes:
        name: `buy and hold`, `flat`, `sign` or `threshold`.
        cost_bp: Cost of one turn, basis points of the notional; a flip is two turns.
        delay_days: Days from the forecast's close to the close at which it is traded.
        num_periods: Number of profits, the n of the Sharpe ratio; each lasts `horizon` days.
        num_days: Days that they last together.
        total_return: Compounded, per cent of the starting capital; -100 is a total loss.
        mean_day: Mean profit per day, per cent of the day's capital.
        annual_return: `mean_day` times the days per year, not compounded, per cent.
        annual_volatility: Standard deviation of the profits (divisor n - 1) over a year, per cent.
        sharpe: `annual_return` over `annual_volatility`; futures have no riskless rate to subtract.
        sharpe_error: Standard error of `sharpe`, see `sharpe_error`. It assumes independent days,
            and is too small if few days have a position.
        max_drawdown: Largest fall below the highest capital so far, per cent, at most 100.
        turnover: Notional traded per day, including rolls, in units of the capital.
        hit_rate: Per cent of the periods with a position and a move whose sign was right.
        profit_factor: Sum of the gains over the sum of the losses; None without a loss.
        num_trades: Entries and flips; holding, closing and rolling do not count.
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
    """Positions and profits, shape (P,) each; zero after a total loss.

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
    """Sharpe ratio of one period, skewness and kurtosis (3 if normal) of profits."""

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
    """Return the positions: the sign of each forecast larger than the buffer, else flat.

    Only every `horizon`-th forecast is traded and held until its outcome is complete, so that
    positions do not overlap. P is the number of those periods, N for a horizon of one.

    Args:
        forecast: Returns, shape (N,), per cent, in time order.
        buffer: Size, per cent, that a forecast must exceed; 0 is the sign strategy, for which a
            forecast of exactly zero is flat.
        terms: Of the execution; a delay leaves the first days flat.

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
    and all of the new one bought, so holding costs two turns, and a flip no more than on any other
    day. The first entry is charged; the last exit and the daily resizing of a short position to
    the capital are not.

    Args:
        position: Of `positions` on the same terms, shape (P,).
        actual: Returns over `horizon` days from the close of each row, shape (N,), per cent.
        is_roll: Rolls at the close of each row's origin, shape (N,): the return of the day after
            that close belongs to a newer contract than the return of the day that ended with it.
            Rolls inside a period of several days are charged as well, as far as the rows reach.
        terms: Of the execution.

    Returns:
        Shape (P,), per cent of the capital at the start of the period. A loss of 100 or more is a
        total loss: -100, and 0 ever after.

    Raises:
        DataError: If a return is not finite or beyond 1000 %, or the shapes differ.
    """
    return 100 * _trade(position, actual, is_roll, terms).profit


def gross_profit(days: ScoredDays) -> Floats:
    """Return the profit of the sign strategy in each period before costs, shape (P,), per cent."""
    terms = Terms.of(days, cost_bp=0.0, delay_days=0)
    position = positions(days.forecast, buffer=0.0, terms=terms)
    return daily_profit(position, days.earned, days.is_roll, terms=terms)


def timing_profit(days: ScoredDays) -> Floats:
    """Return `gross_profit` in excess of holding its average position, shape (P,), per cent.

    Its mean is the covariance of position and return, so a market's drift earns nothing.
    """
    terms = Terms.of(days, cost_bp=0.0, delay_days=0)
    position = positions(days.forecast, buffer=0.0, terms=terms)
    held, market = (
        daily_profit(turned, days.earned, days.is_roll, terms=terms)
        for turned in (position, np.ones_like(position))
    )
    average = position.sum() / max(len(position), 1)
    excess: Floats = held - average * market
    return excess


def capital(profit: Floats) -> Floats:
    """Return the capital after each profit, shape (P,), compounded from 100; profits in per cent.

    Raises:
        DataError: If the capital overflows.
    """
    with np.errstate(over="ignore"):
        path = START_CAPITAL * np.cumprod(1 + profit / 100, dtype=np.float64)
    if not np.isfinite(path).all():
        raise DataError("the compounded profits overflow; returns must be in per cent")
    return path


def trading_result(
    name: str, position: Floats, actual: Floats, is_roll: Flags, *, terms: Terms
) -> TradingResult:
    """Return the results of a position; arguments as in `daily_profit`."""
    book = _trade(position, actual, is_roll, terms)
    profit = 100 * book.profit
    num_periods = len(profit)
    num_days = num_periods * terms.horizon
    path = capital(profit)
    sharpe, error = _sharpe(profit, terms.periods_per_year)
    return TradingResult(
        name=name,
        cost_bp=terms.cost_bp,
        delay_days=terms.delay_days,
        num_periods=num_periods,
        num_days=num_days,
        total_return=float(path[-1] - START_CAPITAL) if num_days else 0.0,
        mean_day=float(profit.sum()) / num_days if num_days else None,
        annual_return=terms.days_per_year * float(profit.sum()) / num_days if num_days else None,
        annual_volatility=_annual_volatility(profit, terms.periods_per_year),
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
    """Return the results of every strategy at every cost, at once and one day later.

    Args:
        days: Of a target with a profit; only every `horizon`-th of them is traded.
        buffer: Size, per cent, that a forecast must exceed for the threshold strategy.
        costs_bp: Costs of one turn, basis points.

    Returns:
        For each cost in turn: buy and hold, flat, sign, threshold, and the last two one day
        later.
    """
    return [
        trading_result(name, position, days.earned, days.is_roll, terms=terms)
        for cost_bp in costs_bp
        for name, terms, position in _strategies(days, buffer=buffer, cost_bp=cost_bp)
    ]


def equity_curves(days: ScoredDays, *, buffer: float, cost_bp: float) -> pd.DataFrame:
    """Return the capital over time of every strategy of `trading_table` at one cost.

    Args:
        days: Of a target with a profit. Within a period of several days the capital is that
            before it.
        buffer: Size, per cent, that a forecast must exceed for the threshold strategy.
        cost_bp: Cost of one turn, basis points.

    Returns:
        By date, shape (N, 6): the capital at the end of the day. Strategies executed one day later
        have the suffix `ONE_DAY_LATER`.
    """
    curves = {}
    for name, terms, position in _strategies(days, buffer=buffer, cost_bp=cost_bp):
        profit = daily_profit(position, days.earned, days.is_roll, terms=terms)
        is_complete = np.zeros(len(days), dtype=np.intp)
        is_complete[terms.traded] = 1
        path = np.concatenate([[START_CAPITAL], capital(profit)])
        label = f"{name}{ONE_DAY_LATER}" if terms.delay_days else name
        curves[label] = path[is_complete.cumsum()]
    return pd.DataFrame(curves, index=days.dates)


def drawdown(path: Floats) -> Floats:
    """Return the drawdown: how far the capital is below its highest so far, per cent, 0 to 100.

    Args:
        path: Capital after each day, shape (T,), at least 0; 100 comes before the first.
    """
    peak = np.maximum.accumulate(np.concatenate([[START_CAPITAL], path]))[1:]
    below: Floats = 100 * (1 - path / peak)
    return below


def moments(profit: Floats) -> Moments | None:
    """Return the moments of profits, shape (P,); None for fewer than two, or if constant."""
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
        skewness: Of the profits, 0 if normal.
        kurtosis: Of the profits, 3 if normal.
        num_periods: Number of profits, at least 2.

    References:
        Mertens (2002), "Comments on variance of the IID estimator in Lo (2002)"; with the divisor
        n - 1 of Bailey & Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of
        Risk 15(2). It holds for independent profits with a fourth moment; Lo (2002),
        "The statistics of Sharpe ratios", Financial Analysts Journal 58(4), is its normal case.
    """
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    # The kurtosis is at least 1 + skewness ** 2, so only rounding makes this negative.
    return math.sqrt(max(variance, 0.0) / (num_periods - 1))


def _strategies(days: ScoredDays, *, buffer: float, cost_bp: float) -> list[_Strategy]:
    forecast = days.forecast
    at_once, later = (Terms.of(days, cost_bp=cost_bp, delay_days=delay) for delay in (0, 1))
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
    total_losses = np.concatenate([[0], (profit <= -1).cumsum()])
    is_alive = total_losses[:-1] == 0
    return _Book(position * is_alive, move, turns * is_alive, profit * is_alive)


def _simple_return(actual: Floats, kind: str) -> Floats:
    """Return the simple return, as a fraction."""
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


def _annual_volatility(profit: Floats, periods_per_year: float) -> float | None:
    if len(profit) <= 1:
        return None
    spread = 0.0 if is_constant(profit) else float(profit.std(ddof=1))
    return math.sqrt(periods_per_year) * spread


def _sharpe(profit: Floats, periods_per_year: float) -> tuple[float | None, float | None]:
    """Return the annual Sharpe ratio and its standard error, or None if profits are constant."""
    period = moments(profit)
    if period is None:
        return None, None
    error = sharpe_error(**period._asdict(), num_periods=len(profit))
    annual = math.sqrt(periods_per_year)
    return annual * period.sharpe, annual * error


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
