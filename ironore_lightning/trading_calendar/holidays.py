"""Known holidays: those of a file, or those of an exchange."""

import datetime
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import ConfigError, DataError, closest, missing_extra
from ironore_lightning.reading.raw_bytes import quoted, read_bytes


@dataclass(frozen=True)
class Holidays:
    """Days without trading.

    Attributes:
        days: The holidays.
        until: Last day of which it is known whether it is one; None if nothing is known.
    """

    days: Sequence[datetime.date] = ()
    until: datetime.date | None = None

    @classmethod
    def of_years(cls, days: Sequence[datetime.date]) -> "Holidays":
        """Return holidays that are known until the end of the year of the last one."""
        return cls(days, datetime.date(max(days).year, 12, 31) if days else None)

    def knows(self, day: pd.Timestamp) -> bool:
        """Return whether it is known if a day is a holiday."""
        return self.until is not None and day.date() <= self.until


def read_holidays(path: Path) -> Holidays:
    """Read a file of holidays, one date YYYY-MM-DD per line.

    Raises:
        DataError: If there is no such file, or a line is no date.
    """
    holidays = []
    for number, line in enumerate(read_bytes(path).decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.strip()
        try:
            day = datetime.date.fromisoformat(text) if text else None
        except ValueError:
            day = None
        if day is not None and day.isoformat() == text:
            holidays.append(day)
        elif text:
            raise DataError(
                f"{path.name}: line {number}: {quoted(text)} is no date, written YYYY-MM-DD"
            )
    return Holidays.of_years(holidays)


def exchange_holidays(code: str) -> Holidays:
    """Return the days without a session of an exchange that `exchange_calendars` knows.

    Raises:
        ConfigError: If the package is missing, or knows no such exchange.
    """
    try:
        from exchange_calendars import get_calendar, get_calendar_names
    except ImportError:
        raise ConfigError(
            f"data.exchange: {missing_extra('exchange_calendars', 'calendar')}"
        ) from None
    names = get_calendar_names()
    if code not in names:
        raise ConfigError(
            f"data.exchange: exchange_calendars knows no {code!r}{closest(code, names)} (or name a "
            "file of holidays by data.holidays)"
        )
    try:
        with warnings.catch_warnings():  # it uses pandas in ways that end with pandas 4
            warnings.simplefilter("ignore", DeprecationWarning)
            sessions = get_calendar(code).sessions
    except ValueError as error:  # the calendars of some exchanges are damaged
        raise ConfigError(
            f"data.exchange: exchange_calendars cannot say the days of {code}: "
            f"{str(error)[:80]} (name a file of holidays by data.holidays instead)"
        ) from None
    closed = pd.date_range(sessions[0], sessions[-1]).difference(sessions)
    return Holidays(tuple(closed.date), sessions[-1].date())


def as_dates(days: pd.DatetimeIndex | Sequence[datetime.date]) -> NDArray[np.datetime64]:
    """Return days as numpy counts them."""
    return np.asarray(days, dtype="datetime64[D]")
