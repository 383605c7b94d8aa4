"""Continuous futures: which contract is held, when it rolls, and the adjusted series.

In month M the contract of month M + offset is held. It is rolled at the close of the last trading
day of M on which both legs have a price, so the return of the month's first day already belongs to
the newer contract.
"""

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import FuturesSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

FURTHEST_MONTH = 12
"""Largest month offset that the settings allow."""


class _GapError(DataError):
    """The held contract, or a leg of a roll, has no price."""


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
    """

    days: pd.DataFrame
    rolls: pd.DataFrame
    bridged: pd.DatetimeIndex
    advice: str


@dataclass(frozen=True)
class _Holding:
    """The held contract, on the days on which it has a price.

    Attributes:
        index: Those days, shape (T,).
        bridged: Later trading days without such a price.
        months: Months of all contracts, shape (C,).
        prices: Of all contracts, shape (T, C).
        column: Column held on each day, shape (T,).
        spell: Number of the contract held on each day, 0 is the oldest, shape (T,).
        starts: First row of each spell, shape (S,).
    """

    index: pd.DatetimeIndex
    bridged: pd.DatetimeIndex
    months: pd.PeriodIndex
    prices: Floats
    column: Integers
    spell: Integers
    starts: Integers

    def price(self, rows: Integers, spells: Integers) -> Floats:
        """Return the price of the contract of `spells` on `rows`, same shapes."""
        return self.prices[rows, self.column[self.starts[spells]]]


def build_continuous(
    closes: pd.DataFrame,
    settings: FuturesSettings,
    *,
    name: str,
    break_days: Sequence[datetime.date] = (),
    positive: bool = True,
) -> ContinuousSeries:
    """Return a curve as one series: one contract held per month, rolled and adjusted.

    Args:
        closes: Settlement prices, shape (T, C), ascending days, monthly Period columns, NaN where
            a contract has no price.
        settings: Offset, adjustment, and how many days may be bridged.
        name: Name of the series, for messages.
        break_days: Days whose return is a change of specification, which adjusted levels leave out.
        positive: Whether all prices are above zero; if not, there are changes and no returns.

    Raises:
        DataError: Naming contract and date, if the held contract lacks a price for more trading
            days in a row than `bridge_days`, or the two legs of a roll have no common price
            within that many days of the month's end.
    """
    try:
        holding = _hold(closes, settings, name=name)
        older, newer, roll_rows = _roll_prices(holding, settings.bridge_days, name=name)
    except _GapError as gap:
        advice = _other_month(closes, settings) or "bridge more days"
        raise DataError(f"{gap}; complete the file or {advice}") from None
    rows = np.arange(len(holding.index))
    price = holding.price(rows, holding.spell)
    rolls = _roll_table(holding, roll_rows, older=older, newer=newer, positive=positive)
    ratio, difference = (rolls[name].to_numpy() for name in ("ratio", "difference"))
    base = _base_price(holding, price, lambda older_price: older_price * ratio)
    change = price - _base_price(holding, price, lambda older_price: older_price + difference)
    is_break = _break_rows(holding.index, break_days, name=name)
    growth = price / base if positive else np.full(len(rows), np.nan)
    log_return = np.log(growth)
    breaks = np.where(is_break, growth, 1.0), np.where(is_break, change, 0.0)
    days = pd.DataFrame(
        {
            "raw_price": price,
            "contract_month": holding.months[holding.column],
            **_adjust(holding, price, rolls, breaks, settings.adjustment),
            "log_return": np.where(is_break, 0.0, log_return),
            "change": np.where(is_break, 0.0, change),
            "is_break": is_break,
            "left_out": np.where(is_break, log_return, 0.0),
            "left_out_change": np.where(is_break, change, 0.0),
        },
        index=holding.index,
    )
    advice = _other_month(closes, settings) if len(holding.bridged) else ""
    return ContinuousSeries(days=days, rolls=rolls, bridged=holding.bridged, advice=advice)


def _hold(closes: pd.DataFrame, settings: FuturesSettings, *, name: str) -> _Holding:
    """Return the contract held on each trading day; a day without any price is a holiday."""
    trading = closes.dropna(how="all")
    index = pd.DatetimeIndex(trading.index)
    months = pd.PeriodIndex(closes.columns)
    held_months = index.to_period("M") + settings.month_offset
    column = months.get_indexer(held_months)
    prices = trading.to_numpy(dtype=np.float64)
    price = np.where(column >= 0, prices[np.arange(len(index)), column], np.nan)
    priced = np.flatnonzero(np.isfinite(price))
    if not len(priced):
        raise DataError(
            f"{name}: no contract has a price {settings.month_offset} month(s) before its own "
            "month, so none can be held"
        )
    _require_no_gap(index, held_months, price, first=priced[0], settings=settings, name=name)
    column = column[priced]
    changes = np.flatnonzero(np.diff(column)) + 1
    starts = np.concatenate([[0], changes])
    spell = np.searchsorted(starts, np.arange(len(column)), side="right") - 1
    bridged = index[priced[0] :][np.isnan(price[priced[0] :])]
    return _Holding(index[priced], bridged, months, prices[priced], column, spell, starts)


def _require_no_gap(
    index: pd.DatetimeIndex,
    held_months: pd.PeriodIndex,
    price: Floats,
    *,
    first: int,
    settings: FuturesSettings,
    name: str,
) -> None:
    """Raise if the held contract lacks a price on too many trading days in a row."""
    missing = np.isnan(price)
    missing[:first] = False  # before the first contract was listed
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(int), [0]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin > settings.bridge_days:
            raise _GapError(
                f"{name}: contract {held_months[begin]} is held but has no price from "
                f"{index[begin].date()} to {index[end - 1].date()} ({end - begin} trading "
                f"day(s), data.futures.bridge_days allows {settings.bridge_days})"
            )


def _other_month(closes: pd.DataFrame, settings: FuturesSettings) -> str:
    """Return the advice to hold the nearest month whose contract always has a price; else empty.

    Its series must not begin later.
    """
    any_gap = settings.model_copy(update={"bridge_days": len(closes)})
    first = _hold(closes, any_gap, name="").index[0]
    offsets = range(1, FURTHEST_MONTH + 1)
    for offset in sorted(offsets, key=lambda offset: abs(offset - settings.month_offset)):
        other = settings.model_copy(update={"month_offset": offset, "bridge_days": 0})
        try:
            holding = _hold(closes, other, name="")
            _roll_prices(holding, 0, name="")
        except DataError:
            continue
        if holding.index[0] <= first:
            return f"set data.futures.month_offset={offset}, whose contract always has a price"
    return ""


def _require_every_month(held: pd.PeriodIndex, index: pd.DatetimeIndex, *, name: str) -> None:
    """Raise if a whole month of trading days is missing."""
    for before, after in itertools.pairwise(held):
        if after != before + 1:
            missing = before + 1
            raise DataError(
                f"{name}: contract {missing} is never held: there is no trading day between that "
                f"of {before} and that of {after} (days from {index[0].date()}); complete the file"
            )


def _roll_prices(
    holding: _Holding, bridge_days: int, *, name: str
) -> tuple[Floats, Floats, Integers]:
    """Return the price of the older and newer leg on each roll day, and the rows of those days."""
    held = pd.PeriodIndex(holding.months[holding.column[holding.starts]])
    _require_every_month(held, holding.index, name=name)
    rows = np.arange(holding.starts[-1])  # the newest contract is not rolled yet
    spell = holding.spell[rows]
    both = np.isfinite(holding.price(rows, spell + 1))
    roll_rows = np.full(len(holding.starts) - 1, -1, dtype=np.intp)
    np.maximum.at(roll_rows, spell[both], rows[both])
    last_rows = holding.starts[1:] - 1
    for number, (roll, last) in enumerate(zip(roll_rows, last_rows, strict=True)):
        if roll < 0 or last - roll > bridge_days:
            raise _GapError(
                f"{name}: gap at the roll from {held[number]} to {held[number + 1]}: "
                f"{held[number + 1]} has no price on {holding.index[last].date()} "
                f"(data.futures.bridge_days={bridge_days})"
            )
    spells = np.arange(len(roll_rows))
    return (
        holding.price(roll_rows, spells),
        holding.price(roll_rows, spells + 1),
        roll_rows,
    )


def _roll_table(
    holding: _Holding, roll_rows: Integers, *, older: Floats, newer: Floats, positive: bool
) -> pd.DataFrame:
    held = holding.months[holding.column[holding.starts]]
    return pd.DataFrame(
        {
            "from_month": held[:-1],
            "to_month": held[1:],
            "ratio": newer / older if positive else np.nan,
            "difference": newer - older,
        },
        index=holding.index[roll_rows],
    )


def _base_price(
    holding: _Holding, price: Floats, carried_over: Callable[[Floats], Floats]
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
    holding: _Holding,
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
