"""The held contract on each trading day, its gaps, and the setting that would fit.

A gap before the first row that a run uses is told and left out; any other one is refused, with a
remedy that was tried.
"""

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ironore_lightning.data.rolls import RollFacts, held_months, next_listed
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
class Holding:
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


@dataclass(frozen=True)
class RuledCurve:
    """Contracts and their roll rule; the fields are arguments of `build_continuous`."""

    closes: pd.DataFrame
    settings: FuturesSettings
    facts: RollFacts
    start: datetime.date | None
    name: str

    def under(self, **changes: object) -> "RuledCurve":
        """Return the same contracts under another rule."""
        return replace(self, settings=self.settings.model_copy(update=changes))


class Legs(NamedTuple):
    """Prices of both contracts on each roll day, and the rows of those days, shape (rolls,)."""

    older: Floats
    newer: Floats
    rows: Integers


def hold_or_advise(curve: RuledCurve) -> tuple[Holding, Legs, str]:
    """Return what is held, its rolls, and a remark on the last hole before the start.

    Raises:
        DataError: At the first other hole, with a setting that needs no bridge if there is one.
    """
    try:
        return _hold_after_holes(curve)
    except _GapError as gap:
        remedies = ["complete the file", fitting_rule(curve, is_over=gap.is_over)]
        if gap.is_hole and not remedies[-1]:
            remedies[-1] = _fitting_bridge(curve)
        if not remedies[-1]:
            remedies[-1] = _fitting_start(curve)
        raise DataError(f"{gap}; {' or '.join(filter(None, remedies))}") from None


def _hold_after_holes(curve: RuledCurve) -> tuple[Holding, Legs, str]:
    """Return what is held after the last hole before the start, its rolls, and a remark.

    Raises:
        _GapError: At the first hole that is not wholly before the start.
    """
    trading = curve.closes.dropna(how="all")  # a day without any price is a holiday
    index = pd.DatetimeIndex(trading.index)
    held = held_months(index, curve.closes, curve.settings, curve.facts)
    is_closed = index.isin(pd.DatetimeIndex(list(curve.facts.holidays)))
    if is_closed.any():  # a stray price of another contract makes no trading day of a holiday
        is_kept = ~is_closed | np.isfinite(_held_prices(trading, held)[1])
        trading, index, held = trading[is_kept], index[is_kept], held[is_kept]
    first, remark = 0, ""
    while True:
        try:
            holding = _hold(trading.iloc[first:], held[first:], curve)
            return holding, _roll_prices(holding, curve), remark
        except _GapError as gap:
            if curve.start is None or gap.last.date() >= curve.start:
                raise
            first = int(index.searchsorted(gap.last, side="right"))
            remark = f"{gap}; it lies before data.panel.start, and the series begins after it"


def _hold(trading: pd.DataFrame, held: pd.PeriodIndex, curve: RuledCurve) -> Holding:
    """Return the contract held on each trading day."""
    index = pd.DatetimeIndex(trading.index)
    months = pd.PeriodIndex(trading.columns)
    prices = trading.to_numpy(dtype=np.float64)
    column, price = _held_prices(trading, held)
    priced = np.flatnonzero(np.isfinite(price))
    if not len(priced):
        rule = f"{curve.settings.month_offset} month(s) before its own month"
        rule = rule if curve.settings.roll == "month_offset" else "on a day on which it is held"
        raise DataError(f"{curve.name}: no contract has a price {rule}, so none can be held")
    _require_no_closure(index[priced[0] :], curve)
    _require_no_gap(trading, held, price, curve)
    column = column[priced]
    changes = np.flatnonzero(np.diff(column)) + 1
    starts = np.concatenate([[0], changes])
    spell = np.searchsorted(starts, np.arange(len(column)), side="right") - 1
    bridged = index[priced[0] :][np.isnan(price[priced[0] :])]
    return Holding(index[priced], bridged, months, prices[priced], column, spell, starts)


def _held_prices(trading: pd.DataFrame, held: pd.PeriodIndex) -> tuple[Integers, Floats]:
    """Return the column of each day's contract, -1 if there is none, and its price, shape (T,)."""
    column = pd.PeriodIndex(trading.columns).get_indexer(held)
    prices = trading.to_numpy(dtype=np.float64)
    return column, np.where(column >= 0, prices[np.arange(len(prices)), column], np.nan)


def _require_no_closure(index: pd.DatetimeIndex, curve: RuledCurve) -> None:
    """Raise if nothing trades for long before the start, once a contract is held.

    The panel checks later days.
    """
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
    trading: pd.DataFrame, held: pd.PeriodIndex, price: Floats, curve: RuledCurve
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


def fitting_rule(curve: RuledCurve, *, is_over: bool = False) -> str:
    """Return the advice to set the nearest rule whose contract always has a price; else empty.

    Its series must not begin later. The last trading day is tried where a contract `is_over`.
    """
    trading = curve.closes.dropna(how="all")
    index = pd.DatetimeIndex(trading.index)
    held = held_months(index, curve.closes, curve.settings, curve.facts)
    first = index[int(np.isfinite(_held_prices(trading, held)[1]).argmax())]
    for rule in _other_rules(curve, is_over=is_over):
        try:
            holding, _, _ = _hold_after_holes(curve.under(bridge_days=0, **rule))
        except DataError:
            continue
        if holding.index[0] <= max(first, pd.Timestamp(curve.start or first)):
            return f"set {_overrides(curve, rule)}, whose contract always has a price"
    return ""


def _other_rules(curve: RuledCurve, *, is_over: bool) -> Iterator[dict[str, object]]:
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


def _fitting_bridge(curve: RuledCurve) -> str:
    """Return the advice to bridge as few days as possible; empty if that is not enough."""
    for days in range(curve.settings.bridge_days + 1, MOST_BRIDGED + 1):
        try:
            _hold_after_holes(curve.under(bridge_days=days))
        except DataError:
            continue
        return f"bridge it with {_overrides(curve, {'bridge_days': days})}"
    return ""


def _fitting_start(curve: RuledCurve) -> str:
    """Return the advice to begin after the last hole, if most days lie after it; else empty."""
    newest = curve.closes.index[-1].date()
    try:
        holding, _, _ = _hold_after_holes(replace(curve, start=newest))
    except DataError:
        return ""
    is_most = 2 * len(holding.index) > len(curve.closes)
    return f"begin after it with data.panel.start={holding.index[0].date()}" if is_most else ""


def _overrides(curve: RuledCurve, settings: Mapping[str, object]) -> str:
    """Return settings as overrides of the command line, for this leg alone."""
    leg = curve.name.rpartition(": ")[-1]
    if not re.fullmatch(r"[\w-]+", leg, re.ASCII):  # the command line cannot name it
        lines = (
            f"{key}: {list(value) if isinstance(value, tuple) else value}"
            for key, value in settings.items()
        )
        return f"{' and '.join(lines)} below futures of that leg"
    return " ".join(
        f"++data.contracts.{leg}.futures.{key}={list(value) if isinstance(value, tuple) else value}"
        for key, value in settings.items()
    ).replace(", ", ",")


def _require_every_month(held: pd.PeriodIndex, holding: Holding, curve: RuledCurve) -> None:
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


def _roll_prices(holding: Holding, curve: RuledCurve) -> Legs:
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
    return Legs(older, newer, roll_rows)
