"""Continuous futures: the held contract, its rolls, and the adjusted series.

A contract is rolled at the close of the last day of its holding on which both legs have a price, so
the return of the next day already belongs to the newer contract.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ironore_lightning.data.holding import (
    Floats,
    Holding,
    Legs,
    RuledCurve,
    fitting_rule,
    hold_or_advise,
)
from ironore_lightning.data.rolls import NO_FACTS, RollFacts
from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import FuturesSettings


@dataclass(frozen=True)
class ContinuousSeries:
    """A futures curve as one series.

    Attributes:
        days: One row per trading day on which the held contract has a price. Columns:
            `raw_price`, of the held contract; `contract_month`, its month; `adjusted_price`, the
            level anchored at the newest contract, which every later roll changes; `level`, the
            same anchored at the oldest contract, which no later roll changes;
            `log_return`, of the held contract since the row before, within one contract (NaN in
            the first row, 0 on a break day, NaN everywhere if prices may be negative); `change`,
            the same in the unit of the prices; `is_break`, whether a change of specification makes
            that return; `left_out` and `left_out_change`, the return and the change of a break
            day, otherwise 0.
        rolls: One row per roll, by roll day: `from_month`, `to_month`, `ratio` (newer price over
            older) and `difference` (newer price less older) on that day.
        bridged: Trading days on which the held contract has no price; the next return spans them.
        advice: Setting that needs no bridging; empty if there is none.
        remark: The last hole before the panel's start, after which the series begins; else empty.
    """

    days: pd.DataFrame
    rolls: pd.DataFrame
    bridged: pd.DatetimeIndex
    advice: str
    remark: str = ""

    def longest_bridge(self, first: pd.Timestamp, last: pd.Timestamp) -> int:
        """Return the calendar days of the longest return over bridged days of a time; 0 if none."""
        inside = self.bridged[(self.bridged >= first) & (self.bridged <= last)]
        index = pd.DatetimeIndex(self.days.index)
        after = index.searchsorted(inside)
        ended = after < len(index)  # the newest return may still be open
        spans = index[after[ended]] - index[after[ended] - 1]
        return int(spans.days.max()) if len(spans) else 0


def build_continuous(
    closes: pd.DataFrame,
    settings: FuturesSettings,
    *,
    name: str,
    break_days: Sequence[datetime.date] = (),
    positive: bool = True,
    start: datetime.date | None = None,
    facts: RollFacts = NO_FACTS,
) -> ContinuousSeries:
    """Return a curve as one series: one contract held at a time, rolled and adjusted.

    Args:
        closes: Settlement prices, shape (T, C), ascending days, monthly Period columns, NaN where
            a contract has no price.
        settings: Roll rule, adjustment, and how many days may be bridged.
        name: Name of the price leg, after that of its file and a colon, for messages.
        break_days: Days whose return is a change of specification, which adjusted levels leave out.
        positive: Whether all prices are above zero; if not, there are changes and no returns.
        start: First row that a run uses. The series begins after the last hole before it.
        facts: What the roll rule reads beside the prices.

    Raises:
        DataError: Naming contract and date, if the held contract lacks a price for more trading
            days in a row than `bridge_days`, or the two legs of a roll have no common price
            within that many days of the end of the holding.
    """
    curve = RuledCurve(closes, settings, facts, start, name)
    holding, legs, remark = hold_or_advise(curve)
    rolls = _roll_table(holding, legs, positive=positive)
    is_break = _break_rows(holding.index, break_days, name=name)
    days = _daily_table(holding, rolls, is_break, settings.adjustment, positive=positive)
    advice = fitting_rule(curve) if len(holding.bridged) else ""
    return ContinuousSeries(days, rolls, holding.bridged, advice, remark)


def _daily_table(
    holding: Holding,
    rolls: pd.DataFrame,
    is_break: npt.NDArray[np.bool_],
    adjustment: str,
    *,
    positive: bool,
) -> pd.DataFrame:
    """Return the days of `ContinuousSeries`."""
    rows = np.arange(len(holding.index))
    price = holding.price(rows, holding.spell)
    ratio, difference = (rolls[name].to_numpy() for name in ("ratio", "difference"))
    base = _base_price(holding, price, lambda older_price: older_price * ratio)
    change = price - _base_price(holding, price, lambda older_price: older_price + difference)
    growth = price / base if positive else np.full(len(rows), np.nan)
    log_return = np.log(growth)
    breaks = np.where(is_break, growth, 1.0), np.where(is_break, change, 0.0)
    return pd.DataFrame(
        {
            "raw_price": price,
            "contract_month": holding.months[holding.column],
            **_adjust(holding, price, rolls, breaks, adjustment),
            "log_return": np.where(is_break, 0.0, log_return),
            "change": np.where(is_break, 0.0, change),
            "is_break": is_break,
            "left_out": np.where(is_break, log_return, 0.0),
            "left_out_change": np.where(is_break, change, 0.0),
        },
        index=holding.index,
    )


def _roll_table(holding: Holding, legs: Legs, *, positive: bool) -> pd.DataFrame:
    held = holding.months[holding.column[holding.starts]]
    return pd.DataFrame(
        {
            "from_month": held[:-1],
            "to_month": held[1:],
            "ratio": legs.newer / legs.older if positive else np.nan,
            "difference": legs.newer - legs.older,
        },
        index=holding.index[legs.rows],
    )


def _base_price(
    holding: Holding, price: Floats, carried_over: Callable[[Floats], Floats]
) -> Floats:
    """Return the held contract's price one row earlier, NaN in the first row.

    If the newer contract of a bridged roll has no price there, it is that of the older one,
    `carried_over` by the ratio or difference of the roll day. Used at every roll, this would round
    returns of zero away from zero.
    """
    base = np.concatenate([[np.nan], price[:-1]])
    rolled = holding.starts[1:]
    newer = holding.price(rolled - 1, holding.spell[rolled])
    base[rolled] = np.where(np.isfinite(newer), newer, carried_over(base[rolled]))
    return base


def _break_rows(
    index: pd.DatetimeIndex, break_days: Sequence[datetime.date], *, name: str
) -> npt.NDArray[np.bool_]:
    """Return which rows are break days; the first row has no return and is none."""
    days = pd.DatetimeIndex(list(break_days))
    inside = days[(days > index[0]) & (days <= index[-1])]
    unknown = inside.difference(index)
    if len(unknown):
        raise DataError(f"{name}: break day {unknown[0].date()} is not a trading day of the data")
    return np.asarray(index.isin(inside))


def _adjust(
    holding: Holding,
    price: Floats,
    rolls: pd.DataFrame,
    breaks: tuple[Floats, Floats],
    adjustment: str,
) -> dict[str, Floats]:
    """Return `adjusted_price` and `level`, without the jumps at rolls and break days.

    Args:
        holding: The held contract.
        price: Its price, shape (T,).
        rolls: Ratios and differences of the rolls.
        breaks: Growth factor and change of each break day, 1 and 0 on all others, shape (T,).
        adjustment: What is kept at a roll.

    References:
        Backward cumulative adjustment: factor(older) = factor(newer) x newer / older price on the
        roll day; "Panama" adjustment adds their difference instead.
    """
    growth, change = (steps.copy() for steps in breaks)
    if adjustment == "none":
        return {"adjusted_price": price, "level": price}
    if adjustment == "difference":
        change[holding.starts[1:]] += rolls["difference"].to_numpy()
        shift = np.cumsum(change)
        return {"adjusted_price": price + (shift[-1] - shift), "level": price - shift}
    growth[holding.starts[1:]] *= rolls["ratio"].to_numpy()
    factor = np.cumprod(growth)
    return {"adjusted_price": price * (factor[-1] / factor), "level": price / factor}
