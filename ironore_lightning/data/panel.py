"""The panel: one row per trading day, one column per driver, values from publication on."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ironore_lightning.data.contracts import ContinuousSeries, build_continuous
from ironore_lightning.data.raw_data import OldHole, RawData
from ironore_lightning.data.rolls import RollFacts
from ironore_lightning.data.rows import find_rows, join_values, publication_lag
from ironore_lightning.errors import ConfigError, DataError, closest
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.samples import TargetSettings
from ironore_lightning.trading_calendar.holidays import Holidays
from ironore_lightning.trading_calendar.rhythm import DAILY, Rhythm
from ironore_lightning.trading_calendar.trading_days import Calendar


@dataclass(frozen=True)
class Panel:
    """The data known on each trading day; rows before `start` are for transforms only.

    In a prepared table that names its contracts, the target's series is like a price leg whose
    contract changes are break days; what is left out on them is not known.

    Attributes:
        values: Drivers, shape (T, F), NaN before a column's first value. A price leg is its level
            anchored at the oldest contract, which later rolls do not change.
        staleness: Trading days since each value was new, shape (T, F), NaN before the first.
        log_returns: Return of the held contract of each price leg since the row before, shape
            (T, legs), as a fraction; within one contract.
        breaks: Whether that return is a change of specification, shape (T, legs).
        left_out: The return of a break day, which `log_returns` leave out, shape (T, legs).
        changes: As `log_returns`, in the unit of the prices, which may be negative.
        left_out_changes: The change of a break day, which `changes` leave out, shape (T, legs).
        remarks: What is wrong or missing before the start, a line each.
        futures: The continuous series behind the price legs.
        start: First row that a model may use; None is the first complete one.
        rhythm: How far the rows lie apart.
        holidays: Known days without trading.
        doubts: What is strange about the days, each in a line.
        unusable: Why a column of a prepared table cannot be used, by header.
        old_holes: Holes of the files and of the rows before `start`.
    """

    values: pd.DataFrame
    staleness: pd.DataFrame
    log_returns: pd.DataFrame
    breaks: pd.DataFrame
    futures: Mapping[str, ContinuousSeries]
    start: datetime.date | None
    rhythm: Rhythm = DAILY
    holidays: Holidays = field(default_factory=Holidays)
    doubts: Sequence[str] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)
    left_out: pd.DataFrame = field(default_factory=pd.DataFrame)
    old_holes: Sequence[OldHole] = ()
    changes: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out_changes: pd.DataFrame = field(default_factory=pd.DataFrame)
    remarks: Sequence[str] = ()

    @property
    def days(self) -> pd.DatetimeIndex:
        """Trading days, ascending, shape (T,)."""
        return pd.DatetimeIndex(self.values.index)

    @property
    def calendar(self) -> Calendar:
        """Future trading days, weeks or months."""
        days = self.days if self.start is None else self.days[self.days >= pd.Timestamp(self.start)]
        return Calendar(days, self.rhythm, self.holidays)

    def bridged_days(self, days: pd.DatetimeIndex) -> dict[str, int]:
        """Return the number of bridged days from the first to the last of `days`, by price leg."""
        return {
            name: int(((series.bridged >= days[0]) & (series.bridged <= days[-1])).sum())
            for name, series in self.futures.items()
        }

    def contract_changes(self, days: pd.DatetimeIndex) -> dict[str, int]:
        """Return on how many of `days` the contract that a table names is another, by series."""
        return {
            str(name): int(changes.loc[days].sum())
            for name, changes in self.breaks.items()
            if name not in self.futures
        }

    def longest_bridges(self, days: pd.DatetimeIndex) -> dict[str, int]:
        """Return the calendar days of the longest return that spans bridged days, by price leg."""
        return {
            name: series.longest_bridge(days[0], days[-1]) for name, series in self.futures.items()
        }

    def warnings(self, days: pd.DatetimeIndex) -> list[str]:
        """Return what a reader of some days should know of them, a line each.

        For each price leg with bridged days it says how to avoid them.
        """
        longest, noun = self.longest_bridges(days), self.rhythm.words("trading days")
        bridging = [
            f"{name}: {bridged} {noun} without a price of the held contract are bridged; "
            f"returns span up to {longest[name]} days; {self.futures[name].advice}".strip("; ")
            for name, bridged in self.bridged_days(days).items()
            if bridged
        ]
        return [*self.doubts, *self.remarks, *bridging]

    def require_column(self, name: str, *, key: str) -> None:
        """Raise `ConfigError` unless the panel has a column `name`, which the setting `key` names.

        Raises:
            DataError: If the file has the column, but it cannot be used.
        """
        _require_column(name, self.values.columns, self.unusable, key=key)


def _require_column(
    name: str, columns: Collection[str], unusable: Mapping[str, str], *, key: str
) -> None:
    if name in unusable:
        raise DataError(unusable[name])
    if name not in columns:
        raise ConfigError(
            f"{key}: there is no column {name!r}{closest(name, columns)}; "
            f"columns are: {', '.join(map(str, columns))}"
        )


def build_panel(raw: RawData, data: DataSettings, target: TargetSettings) -> Panel:
    """Join every source onto the days on which all price legs and the target have a value.

    Args:
        raw: Contracts and sources, by name.
        data: Publication lags, adjustment of the legs, start and break days of the panel, and
            whether values appear on their publication day.
        target: The series that must have a price.

    Raises:
        ConfigError: If there is no such series.
        DataError: If a leg cannot be made continuous, the legs share no day, rows are missing or
            spaced otherwise, or a column has no value on any day.
    """
    legs = _price_legs(raw, data)
    drivers = _published(raw, data)
    _require_target(target, [*legs, *drivers], raw, data)
    rows = find_rows(raw, legs, drivers, data, target)
    days = rows.days
    values, staleness = _columns(legs, drivers, days)
    panel = Panel(
        values=values,
        staleness=staleness,
        log_returns=_between_rows(legs, days, "log_return"),
        breaks=_between_rows(legs, days, "is_break") > 0,
        futures=legs,
        start=data.panel.start,
        rhythm=rows.rhythm,
        holidays=raw.holidays,
        doubts=rows.doubts,
        unusable=raw.unusable,
        left_out=_between_rows(legs, days, "left_out"),
        old_holes=rows.old_holes,
        changes=_between_rows(legs, days, "change"),
        left_out_changes=_between_rows(legs, days, "left_out_change"),
        remarks=[
            *raw.remarks,
            *(series.remark for series in legs.values() if series.remark),
            *(f"before data.panel.start: {hole.message}" for hole in rows.old_holes),
        ],
    )
    return panel if raw.held is None else _within_contracts(panel, raw.held, target)


def _require_target(
    target: TargetSettings, columns: Sequence[str], raw: RawData, data: DataSettings
) -> None:
    """Raise unless there are columns of the target's series and of what is earned on it."""
    file = "" if data.table is None else f"{data.table.file}: "
    for name, key in ((target.series, "series"), (target.profit_series, "profit_series")):
        if name is not None:
            _require_column(name, columns, raw.unusable, key=f"{file}target.{key}")


def _within_contracts(panel: Panel, held: pd.Series, target: TargetSettings) -> Panel:
    """Return the panel of a table with the moves of the target's series within one contract.

    Args:
        panel: Without price legs.
        held: The contract of each row of the table.
        target: Its series, unless it is given, and the one that profits are earned on.
    """
    series = {target.profit_series, None if target.kind == "given" else target.series}
    prices = panel.values[sorted(filter(None, series))]
    prices = prices.where(panel.staleness[prices.columns] == 0)
    contract = held.reindex(panel.days, method="ffill")
    rolled = contract.ne(contract.shift(fill_value=contract.iloc[0]))
    rolls = pd.DataFrame(dict.fromkeys(prices, rolled))
    unknown = (0.0 * prices.fillna(0.0)).mask(rolls)
    return replace(
        panel,
        log_returns=prices.where(prices > 0).apply(np.log).diff().mask(rolls, 0.0),
        changes=prices.diff().mask(rolls, 0.0),
        breaks=rolls,
        left_out=unknown,
        left_out_changes=unknown,
    )


def _columns(
    legs: Mapping[str, ContinuousSeries],
    drivers: Mapping[str, tuple[pd.Series, str]],
    days: pd.DatetimeIndex,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return values and staleness of all legs and drivers on some days, see `Panel`."""
    joined = [join_values(driver, days) for driver in drivers.values()]
    levels = [series.days["level"].reindex(days).rename(name) for name, series in legs.items()]
    fresh = [pd.Series(0.0, index=days, name=name) for name in legs]
    return (
        pd.concat([*levels, *(values for values, _ in joined)], axis=1),
        pd.concat([*fresh, *(staleness for _, staleness in joined)], axis=1),
    )


def _price_legs(raw: RawData, data: DataSettings) -> dict[str, ContinuousSeries]:
    return {
        name: build_continuous(
            closes,
            data.contracts[name].futures,
            name=f"{data.file_of(name)}: {name}",
            break_days=data.panel.breaks_of(name),
            positive=data.contracts[name].positive,
            start=data.panel.start,
            facts=roll_facts(raw, name),
        )
        for name, closes in raw.contracts.items()
    }


def roll_facts(raw: RawData, leg: str) -> RollFacts:
    """Return what the roll rule of a price leg reads beside its prices."""
    return RollFacts(raw.activity.get(leg), raw.roll_days.get(leg), raw.holidays.days)


def _published(raw: RawData, data: DataSettings) -> dict[str, tuple[pd.Series, str]]:
    """Return the values of each driver by publication day, and its file."""
    published: dict[str, tuple[pd.Series, str]] = {}
    for name, frame in raw.sources.items():
        dates = pd.DatetimeIndex(frame.index)
        by_publication = frame.set_axis(dates + publication_lag(name, data), axis=0)
        published |= {
            str(column): (by_publication[column].dropna(), data.file_of(name))
            for column in by_publication
        }
    return published


def _between_rows(
    legs: Mapping[str, ContinuousSeries], days: pd.DatetimeIndex, column: str
) -> pd.DataFrame:
    """Sum a daily column of each leg over the leg's own days since the row before."""
    sums = {}
    for name, series in legs.items():
        positions = pd.DatetimeIndex(series.days.index).get_indexer(days)
        daily = series.days[column].to_numpy(dtype=np.float64)[: positions[-1] + 1]
        total = np.full(len(days), np.nan)
        if len(days) > 1:
            total[1:] = np.add.reduceat(daily, positions[:-1] + 1)
        sums[name] = total
    return pd.DataFrame(sums, index=days)
