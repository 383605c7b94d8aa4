"""Continuous futures: the held contract, its rolls, and the adjusted series.

A contract is rolled at the close of the last day of its holding on which both legs have a price, so
the return of the next day already belongs to the newer contract.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ironore_lightning.data.rolls import NO_FACTS, RollFacts, held_months, next_listed
from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import ALL_MONTHS, FuturesSettings
from ironore_lightning.trading_calendar.rhythm import LONGEST_CLOSURE_DAYS

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

NEAR_OFFSETS = 3
"""Most months between the offset of the settings and another one that is advised."""

MOST_BRIDGED = 10
"""Most days in a row that the settings allow to bridge."""


class _GapError(DataError):
    """The held contract, or a leg of a roll, has no price.

    Attributes:
        last: Last day of the gap.
        is_hole: Whether the contract has a price later, so that the gap can be bridged.
        is_over: Whether it had its last price before, so that another rule may fit.
    """

    def __init__(
        self, message: str, last: pd.Timestamp, *, is_hole: bool = False, is_over: bool = False
    ) -> None:
        super().__init__(message)
        self.last = last
        self.is_hole = is_hole
        self.is_over = is_over


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
    curve = _RuledCurve(closes, settings, facts, start, name)
    holding, (older, newer, roll_rows), remark = _hold_or_advise(curve)
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
    advice = _fitting_rule(curve) if len(holding.bridged) else ""
    return ContinuousSeries(days, rolls, holding.bridged, advice, remark)


@dataclass(frozen=True)
class _RuledCurve:
    """Contracts and their roll rule, as `build_continuous` gets them."""

    closes: pd.DataFrame
    settings: FuturesSettings
    facts: RollFacts
    start: datetime.date | None
    name: str

    def under(self, **changes: object) -> "_RuledCurve":
        """Return the same contracts under another rule."""
        return replace(self, settings=self.settings.model_copy(update=changes))


class _Legs(NamedTuple):
    """Prices of both contracts on each roll day, and the rows of those days, shape (rolls,)."""

    older: Floats
    newer: Floats
    rows: Integers


def _hold_or_advise(curve: _RuledCurve) -> tuple[_Holding, _Legs, str]:
    """Return what is held, its rolls, and a remark on the last hole before the start.

    Raises:
        DataError: At the first other hole, with a setting that needs no bridge if there is one.
    """
    try:
        return _hold_after_holes(curve)
    except _GapError as gap:
        remedies = ["complete the file", _fitting_rule(curve, is_over=gap.is_over)]
        if gap.is_hole and not remedies[-1]:
            remedies[-1] = _fitting_bridge(curve)
        if not remedies[-1]:
            remedies[-1] = _fitting_start(curve)
        raise DataError(f"{gap}; {' or '.join(filter(None, remedies))}") from None


def _hold_after_holes(curve: _RuledCurve) -> tuple[_Holding, _Legs, str]:
    """Return what is held after the last hole before the start, its rolls, and a remark.

    Raises:
        _GapError: At the first hole that is not wholly before the start.
    """
    trading = curve.closes.dropna(how="all")  # a day without any price is a holiday
    index = pd.DatetimeIndex(trading.index)
    held = held_months(index, curve.closes, curve.settings, curve.facts)
    first, remark = 0, ""
    while True:
        try:
            holding = _hold(trading[first:], held[first:], curve)
            return holding, _roll_prices(holding, curve), remark
        except _GapError as gap:
            if curve.start is None or gap.last.date() >= curve.start:
                raise
            first = int(index.searchsorted(gap.last, side="right"))
            remark = f"{gap}; it lies before data.panel.start, and the series begins after it"


def _hold(trading: pd.DataFrame, held: pd.PeriodIndex, curve: _RuledCurve) -> _Holding:
    """Return the contract held on each trading day."""
    index = pd.DatetimeIndex(trading.index)
    months = pd.PeriodIndex(trading.columns)
    column = months.get_indexer(held)
    prices = trading.to_numpy(dtype=np.float64)
    price = np.where(column >= 0, prices[np.arange(len(index)), column], np.nan)
    priced = np.flatnonzero(np.isfinite(price))
    if not len(priced):
        rule = f"{curve.settings.month_offset} month(s) before its own month"
        rule = rule if curve.settings.roll == "month_offset" else "on a day on which it is held"
        raise DataError(f"{curve.name}: no contract has a price {rule}, so none can be held")
    _require_no_closure(index, curve)
    _require_no_gap(trading, held, price, curve)
    column = column[priced]
    changes = np.flatnonzero(np.diff(column)) + 1
    starts = np.concatenate([[0], changes])
    spell = np.searchsorted(starts, np.arange(len(column)), side="right") - 1
    bridged = index[priced[0] :][np.isnan(price[priced[0] :])]
    return _Holding(index[priced], bridged, months, prices[priced], column, spell, starts)


def _require_no_closure(index: pd.DatetimeIndex, curve: _RuledCurve) -> None:
    """Raise if no contract trades for long before the start; the panel checks later days."""
    closed = np.diff(index.to_numpy()) > np.timedelta64(LONGEST_CLOSURE_DAYS, "D")
    closed &= index[1:] < pd.Timestamp(curve.start or index[0])
    for row in np.flatnonzero(closed)[-1:]:
        raise _GapError(
            f"{curve.name}: there is no trading day between {index[row].date()} and "
            f"{index[row + 1].date()}",
            index[row],
            is_hole=True,
        )


def _require_no_gap(
    trading: pd.DataFrame, held: pd.PeriodIndex, price: Floats, curve: _RuledCurve
) -> None:
    """Raise if the held contract lacks a price on too many trading days in a row."""
    index = pd.DatetimeIndex(trading.index)
    settings = curve.settings
    # The day after a last price is known to be one only later, so no hole may look like it.
    is_guessed = settings.roll == "last_trading_day" and settings.roll_file is None
    allowed = 0 if is_guessed else settings.bridge_days
    missing = np.isnan(price)
    missing[: missing.argmin()] = False  # before the first contract was listed
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(int), [0]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin > allowed:
            month = held[begin]
            if month is pd.NaT:
                raise DataError(
                    f"{curve.name}: no contract is held on {index[begin].date()}; add the next "
                    f"ones to {settings.roll_file}"
                )
            priced = np.flatnonzero(trading[month].notna()) if month in trading else np.array([-1])
            raise _GapError(
                f"{curve.name}: contract {month} is held but has no price from "
                f"{index[begin].date()} to {index[end - 1].date()} ({end - begin} trading day(s), "
                f"data.futures.bridge_days allows {allowed})",
                index[end - 1],
                is_hole=bool(priced.max(initial=-1) >= end),
                is_over=bool(0 <= priced.max(initial=-1) < begin),
            )


def _fitting_rule(curve: _RuledCurve, *, is_over: bool = False) -> str:
    """Return the advice to set the nearest rule whose contract always has a price; else empty.

    Its series must not begin later. The last trading day is tried where a contract `is_over`.
    """
    any_gap = replace(curve.under(bridge_days=len(curve.closes)), start=None)
    trading = curve.closes.dropna(how="all")
    held = held_months(pd.DatetimeIndex(trading.index), curve.closes, curve.settings, curve.facts)
    first = _hold(trading, held, any_gap).index[0]
    for rule in _other_rules(curve, is_over=is_over):
        try:
            holding, _, _ = _hold_after_holes(curve.under(bridge_days=0, **rule))
        except DataError:
            continue
        if holding.index[0] <= max(first, pd.Timestamp(curve.start or first)):
            return f"set {_overrides(curve, rule)}, whose contract always has a price"
    return ""


def _other_rules(curve: _RuledCurve, *, is_over: bool) -> Iterator[dict[str, object]]:
    """Yield rules to try in place of that of the settings, the likeliest first."""
    own = curve.settings
    traded = curve.closes.dropna(axis=1, how="all").columns
    listed = tuple(sorted({*pd.PeriodIndex(traded).month.tolist()}))
    offsets = sorted(ALL_MONTHS, key=lambda offset: abs(offset - own.month_offset))
    by_month: dict[str, object] = {}
    if own.roll != "month_offset":
        by_month = {"roll": "month_offset"} | ({"days_before": 0} if own.days_before else {})
    rules = [
        {**by_month, "month_offset": offset}
        for offset in offsets
        if abs(offset - own.month_offset) <= NEAR_OFFSETS
    ]
    if is_over and own.roll_file is None and own.roll != "last_trading_day":
        rules.append({"roll": "last_trading_day"})
    if len(listed) < len(own.listed_months):
        yield {"listed_months": listed}
        yield from rules
        yield from ({"listed_months": listed, **rule} for rule in rules)
    else:
        yield from rules


def _fitting_bridge(curve: _RuledCurve) -> str:
    """Return the advice to bridge as few days as possible; empty if that is not enough."""
    for days in range(curve.settings.bridge_days + 1, MOST_BRIDGED + 1):
        try:
            _hold_after_holes(curve.under(bridge_days=days))
        except DataError:
            continue
        return f"bridge it with {_overrides(curve, {'bridge_days': days})}"
    return ""


def _fitting_start(curve: _RuledCurve) -> str:
    """Return the advice to begin after the last hole, if most days lie after it; else empty."""
    newest = curve.closes.index[-1].date()
    try:
        holding, _, _ = _hold_after_holes(replace(curve, start=newest))
    except DataError:
        return ""
    is_most = 2 * len(holding.index) > len(curve.closes)
    return f"begin after it with data.panel.start={holding.index[0].date()}" if is_most else ""


def _overrides(curve: _RuledCurve, settings: Mapping[str, object]) -> str:
    """Return settings as overrides of the command line, for this leg alone."""
    leg = curve.name.rpartition(": ")[-1]
    return " ".join(
        f"++data.contracts.{leg}.futures.{key}={list(value) if isinstance(value, tuple) else value}"
        for key, value in settings.items()
    ).replace(", ", ",")


def _require_every_month(held: pd.PeriodIndex, holding: _Holding, curve: _RuledCurve) -> None:
    """Raise if a listed contract is passed over where the rule holds one after the other."""
    if curve.settings.roll not in ("month_offset", "last_trading_day"):
        return
    expected = next_listed(held.asi8[:-1] + 1, curve.settings.listed_months)
    for number in np.flatnonzero(held.asi8[1:] != expected)[:1]:
        missing = pd.Period(ordinal=expected[number], freq="M")
        before, after = held[number], held[number + 1]
        reason = f"there is no trading day between that of {before} and that of {after}"
        if curve.settings.roll == "last_trading_day":
            source = curve.settings.roll_file or "the prices"
            reason = f"it is not in {source}, between {before} and {after}"
        raise _GapError(
            f"{curve.name}: contract {missing} is never held: {reason} (days from "
            f"{holding.index[0].date()})",
            holding.index[holding.starts[number + 1] - 1],
        )


def _roll_prices(holding: _Holding, curve: _RuledCurve) -> _Legs:
    """Return the price of the older and newer leg on each roll day, and the rows of those days."""
    held = pd.PeriodIndex(holding.months[holding.column[holding.starts]])
    _require_every_month(held, holding, curve)
    rows = np.arange(holding.starts[-1])  # the newest contract is not rolled yet
    spell = holding.spell[rows]
    both = np.isfinite(holding.price(rows, spell + 1))
    roll_rows = np.full(len(holding.starts) - 1, -1, dtype=np.intp)
    np.maximum.at(roll_rows, spell[both], rows[both])
    last_rows = holding.starts[1:] - 1
    for number, (roll, last) in enumerate(zip(roll_rows, last_rows, strict=True)):
        if roll < 0 or last - roll > curve.settings.bridge_days:
            raise _GapError(
                f"{curve.name}: gap at the roll from {held[number]} to {held[number + 1]}: "
                f"{held[number + 1]} has no price on {holding.index[last].date()} "
                f"(data.futures.bridge_days={curve.settings.bridge_days})",
                holding.index[last],
                is_hole=True,
            )
    spells = np.arange(len(roll_rows))
    older, newer = (holding.price(roll_rows, spells + later) for later in (0, 1))
    return _Legs(older, newer, roll_rows)


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
