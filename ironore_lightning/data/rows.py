"""The rows of a panel: which days they are, their rhythm, and what is strange about them."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ironore_lightning.data.contract_tables import LARGEST_FACTOR
from ironore_lightning.data.contracts import ContinuousSeries
from ironore_lightning.data.raw_data import OldHole, RawData
from ironore_lightning.errors import DataError
from ironore_lightning.reading.raw_bytes import quoted
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.samples import TargetSettings
from ironore_lightning.trading_calendar.holidays import Holidays
from ironore_lightning.trading_calendar.rhythm import (
    DAILY,
    Rhythm,
    find_holes,
    open_weekdays,
    require_rhythm,
    spaced_otherwise,
)

UNCHANGED_SHARE = 0.9
"""Share of the rows of a weekday with the value of the row before, above which nobody trades."""

Driver = tuple[pd.Series, str]
"""Values by publication day, and their file."""


@dataclass(frozen=True)
class Rows:
    """The rows of a panel.

    Attributes:
        days: Ascending, shape (T,).
        rhythm: How far they lie apart.
        old_holes: Holes of the files and of the rows up to the start.
        doubts: What is strange about the days, each in a line.
    """

    days: pd.DatetimeIndex
    rhythm: Rhythm
    old_holes: Sequence[OldHole]
    doubts: Sequence[str]


def find_rows(
    raw: RawData,
    legs: Mapping[str, ContinuousSeries],
    drivers: Mapping[str, Driver],
    data: DataSettings,
    target: TargetSettings,
) -> Rows:
    """Return the days on which all price legs and the target have a value.

    Raises:
        DataError: If the legs share no day, or rows are missing or spaced otherwise.
    """
    days, by_file = _shared_days(raw, legs, data, target)
    if target.series in drivers:
        observed, source = drivers[target.series]
        by_file[source] = pd.DatetimeIndex(observed.index)
        days = _days_of_target(drivers[target.series], days, target)
    rhythm = require_rhythm(days, by_file, raw.holidays, start=data.panel.start)
    if target.series in drivers:
        used = days if data.panel.start is None else days[days >= pd.Timestamp(data.panel.start)]
        _require_moves(drivers[target.series], used, rhythm)
        if target.is_return and raw.held is None:
            _require_similar(drivers[target.series], used)
    old_holes = [*raw.old_holes, *_old_holes(days, rhythm, raw.holidays, by_file, data)]
    return Rows(days, rhythm, old_holes, _holiday_doubts(days, rhythm, raw.holidays, data, target))


def _shared_days(
    raw: RawData, legs: Mapping[str, ContinuousSeries], data: DataSettings, target: TargetSettings
) -> tuple[pd.DatetimeIndex, dict[str, pd.DatetimeIndex]]:
    """Return the days that all legs share, or those of the target's file; and of each file."""
    calendars = {name: pd.DatetimeIndex(series.days.index) for name, series in legs.items()}
    if not legs:
        calendars = {
            name: pd.DatetimeIndex(table.dropna(how="all").index) + publication_lag(name, data)
            for name, table in raw.sources.items()
            if target.series in table
        }
    by_file = {data.file_of(name): calendar for name, calendar in calendars.items()}
    days = functools.reduce(pd.DatetimeIndex.intersection, calendars.values())
    if days.empty:
        raise DataError(
            f"{', '.join(by_file)}: the price legs {', '.join(legs)} have no trading day in common"
        )
    return days, by_file


def _days_of_target(
    driver: Driver, days: pd.DatetimeIndex, target: TargetSettings
) -> pd.DatetimeIndex:
    """Return the days on which the target's series has a new value.

    A given target may be unknown on a trading day, such as the newest; its days are the weekdays
    that have had targets by then.
    """
    is_new = (join_values(driver, days)[1] == 0).to_numpy()
    if target.kind == "given":
        is_new = is_new | open_weekdays(days, is_new)[np.arange(len(days)), days.day_of_week]
    return days[is_new]


def _require_similar(driver: Driver, days: pd.DatetimeIndex) -> None:
    """Raise if a series of prices changes by a factor that only a lost decimal point explains."""
    values, file = driver
    prices = values.reindex(days).dropna()
    before = prices.shift()
    high, low = np.fmax(prices, before), np.fmin(prices, before)
    wrong = (low > 0) & (high / LARGEST_FACTOR > low)
    if wrong.any():
        day = pd.DatetimeIndex(prices.index)[int(wrong.argmax())]
        raise DataError(
            f"{file}: {quoted(values.name)}, {day.date()}: the value is {prices[day]:g} and the "
            f"one before {before[day]:g}; is a decimal point lost?"
        )


def _require_moves(driver: Driver, days: pd.DatetimeIndex, rhythm: Rhythm) -> None:
    """Raise if a series has more than five days a week, but only repeats values on some."""
    if rhythm.noun != "day" or rhythm.days_a_week == DAILY.days_a_week:
        return
    values, file = driver
    repeats = values.reindex(days).diff().eq(0).groupby(days.day_name()).mean()
    if repeats.max() > UNCHANGED_SHARE:
        raise DataError(
            f"{file}: {quoted(values.name)} never moves on a {repeats.idxmax()}; blank it on days "
            "on which nobody trades, or leave these rows out"
        )


def _old_holes(
    days: pd.DatetimeIndex,
    rhythm: Rhythm,
    holidays: Holidays,
    by_file: Mapping[str, pd.DatetimeIndex],
    data: DataSettings,
) -> list[OldHole]:
    """Return the holes of the rows up to the start, and the end of rows spaced otherwise."""
    if data.panel.start is None:
        return []
    files = ", ".join(by_file)
    early = days[days <= pd.Timestamp(data.panel.start)]
    holes = [
        OldHole(after, f"{files}: no row between {before.date()} and {after.date()}")
        for before, after in find_holes(early, rhythm, holidays)
    ]
    last = spaced_otherwise(early, rhythm)
    if last is not None:
        holes.append(OldHole(last, f"{files}: until {last.date()} rows are spaced otherwise"))
    return holes


def _holiday_doubts(
    days: pd.DatetimeIndex,
    rhythm: Rhythm,
    holidays: Holidays,
    data: DataSettings,
    target: TargetSettings,
) -> list[str]:
    """Return warnings of prices on the holidays of an exchange, and of unknown sessions to come.

    Raises:
        DataError: If there is a price on a holiday of a file.
    """
    traded = days[days.isin(pd.DatetimeIndex(list(holidays.days)))]
    doubts = []
    if len(traded) and rhythm.noun == "day":
        if data.exchange is None:
            raise DataError(
                f"{data.holidays}: {target.series} has a price on the holiday {traded[0].date()}; "
                "is it a file of another market?"
            )
        doubts.append(
            f"{target.series} has a price on {len(traded)} day(s) without a session of "
            f"{data.exchange}, the last on {traded[-1].date()}"
        )
    if data.exchange is not None and not holidays.knows(days[-1] + pd.Timedelta(days=1)):
        doubts.append(
            f"exchange_calendars knows {data.exchange} until {holidays.until} only; every later "
            "weekday counts as a trading day"
        )
    return doubts


def publication_lag(name: str, data: DataSettings) -> pd.Timedelta:
    """Return the time from the date in a file to its publication."""
    source = data.sources.get(name)
    is_late = source is not None and data.panel.as_published
    return pd.Timedelta(days=source.publication_lag_days if source and is_late else 0)


def join_values(driver: Driver, days: pd.DatetimeIndex) -> tuple[pd.Series, pd.Series]:
    """Return the newest published value on each day, and the trading days since it was new."""
    source, file = driver
    new_on = days.searchsorted(source.index)
    published = pd.DataFrame({"value": source, "new_on": new_on}, dtype=np.float64)
    joined = published.reindex(days, method="ffill")
    if joined["new_on"].isna().all():
        raise DataError(
            f"{file}: no value of {quoted(source.name)} is out by the last trading day "
            f"{days[-1].date()}; leave it out"
        )
    staleness = np.arange(len(days)) - joined["new_on"]
    return joined["value"].rename(str(source.name)), staleness.rename(str(source.name))
