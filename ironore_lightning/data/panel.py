"""One frame: a row a trading day, a column a driver, each value as of its publication."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ironore_lightning.config.data import DataSettings, FuturesSettings, PanelSettings
from ironore_lightning.data.contracts import ContinuousSeries, build_continuous
from ironore_lightning.data.files import quoted
from ironore_lightning.data.raw import RawData
from ironore_lightning.errors import ConfigError, DataError, closest

LONGEST_CLOSURE_DAYS = 14
"""Calendar days between two trading days beyond which rows are missing; no holiday is as long."""

DAILY_SPACING = 4
"""Median calendar days between rows up to which they are daily."""


@dataclass(frozen=True)
class Panel:
    """What could be known on each trading day; history before `start` feeds transforms only.

    Attributes:
        values: Drivers, shape (T, F), NaN before a column's first value. A price leg is its level
            anchored at the oldest contract, so that later rolls change no earlier row.
        staleness: Trading days since each value was new, shape (T, F), NaN before the first.
        log_returns: Return of the held contract of each price leg since the row before, shape
            (T, legs), as a fraction; within one contract.
        breaks: Whether that return is a change of specification, shape (T, legs).
        futures: The continuous series behind the price legs.
        start: First row that a model may use; None is the first complete one.
        unusable: What is wrong with the other columns of a prepared table, by their header.
    """

    values: pd.DataFrame
    staleness: pd.DataFrame
    log_returns: pd.DataFrame
    breaks: pd.DataFrame
    futures: Mapping[str, ContinuousSeries]
    start: datetime.date | None
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def days(self) -> pd.DatetimeIndex:
        """Trading days, ascending, shape (T,)."""
        return pd.DatetimeIndex(self.values.index)

    def require_column(self, name: str, *, key: str) -> None:
        """Raise `ConfigError` unless the panel has a column `name`, asked for by setting `key`.

        Raises:
            DataError: If the file has it, and something is wrong with it.
        """
        if name in self.unusable:
            raise DataError(self.unusable[name])
        if name not in self.values:
            columns = ", ".join(map(str, self.values.columns))
            raise ConfigError(
                f"{key}: there is no column {name!r}{closest(name, self.values.columns)}; "
                f"columns are: {columns}"
            )


def build_panel(
    raw: RawData,
    data: DataSettings,
    *,
    futures: FuturesSettings,
    panel: PanelSettings,
) -> Panel:
    """Join every source onto the days on which all price legs exist.

    Args:
        raw: Contract tables and tidy sources, by name.
        data: Publication lags of the sources.
        futures: How the legs are made continuous.
        panel: Start, break days, and whether values appear on their publication day.

    Raises:
        DataError: If a leg cannot be made continuous, the legs share no day, trading stops for
            long, or a column has no value on any day.
    """
    legs = {
        name: build_continuous(
            closes,
            futures,
            name=f"{data.file_of(name)}: {name}",
            break_days=panel.breaks_of(name),
        )
        for name, closes in raw.contracts.items()
    }
    days = _trading_days(raw, legs, data)
    joined = []
    for name, frame in raw.sources.items():
        lag = data.sources[name].publication_lag_days if name in data.sources else 0
        dates = pd.DatetimeIndex(frame.index)
        published = dates + pd.Timedelta(days=lag if panel.as_published else 0)
        file = data.file_of(name)
        joined += [_join(frame[column], published, days, file=file) for column in frame]
    levels = [series.days["level"].reindex(days).rename(name) for name, series in legs.items()]
    fresh = [pd.Series(0.0, index=days, name=name) for name in legs]
    return Panel(
        values=pd.concat([*levels, *(values for values, _ in joined)], axis=1),
        staleness=pd.concat([*fresh, *(staleness for _, staleness in joined)], axis=1),
        log_returns=_between_rows(legs, days, "log_return"),
        breaks=_between_rows(legs, days, "is_break") > 0,
        futures=legs,
        start=panel.start,
        unusable=raw.unusable,
    )


def _trading_days(
    raw: RawData, legs: Mapping[str, ContinuousSeries], data: DataSettings
) -> pd.DatetimeIndex:
    """Return the days that all legs share; without legs, those of the one prepared table."""
    calendars = {name: pd.DatetimeIndex(series.days.index) for name, series in legs.items()}
    if not legs:
        calendars = {name: pd.DatetimeIndex(table.index) for name, table in raw.sources.items()}
    days, *others = calendars.values()
    for calendar in others:
        days = days.intersection(calendar)
    by_file = {data.file_of(name): calendar for name, calendar in calendars.items()}
    if days.empty:
        raise DataError(
            f"{', '.join(by_file)}: the price legs {', '.join(legs)} have no trading day in common"
        )
    _require_no_hole(days, by_file)
    return days


def _require_no_hole(days: pd.DatetimeIndex, by_file: Mapping[str, pd.DatetimeIndex]) -> None:
    """Raise if trading stops for longer than any holiday, as where rows of a file are missing."""
    gaps = np.diff(days.to_numpy()) / np.timedelta64(1, "D")
    if not len(gaps) or np.median(gaps) > DAILY_SPACING:
        return  # a table of weeks or months
    widest = int(np.argmax(gaps))
    if gaps[widest] > LONGEST_CLOSURE_DAYS:
        before, after = days[widest], days[widest + 1]
        silent = [
            file for file, own in by_file.items() if not ((own > before) & (own < after)).any()
        ]
        raise DataError(
            f"{', '.join(silent or by_file)}: there is no trading day between {before.date()} and "
            f"{after.date()} ({gaps[widest]:.0f} days, {LONGEST_CLOSURE_DAYS} are allowed); rows "
            "are missing, or a date is wrong"
        )


def _join(
    source: pd.Series, published: pd.DatetimeIndex, days: pd.DatetimeIndex, *, file: str
) -> tuple[pd.Series, pd.Series]:
    """Put the newest published value on each day, with the trading days since it was new."""
    filled = source.notna().to_numpy()
    observation = published[filled].searchsorted(days, side="right") - 1
    known = observation >= 0
    if not known.any():
        raise DataError(
            f"{file}: no value of {quoted(source.name)} is out by the last trading day "
            f"{days[-1].date()}; leave it out"
        )
    values = np.full(len(days), np.nan)
    values[known] = source.to_numpy()[filled][observation[known]]
    rows = np.arange(len(days))
    is_new = np.diff(observation, prepend=-1) != 0
    staleness = np.where(known, rows - np.maximum.accumulate(np.where(is_new, rows, 0)), np.nan)
    return (
        pd.Series(values, index=days, name=source.name),
        pd.Series(staleness, index=days, name=source.name),
    )


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
