"""The trading calendar: days in the data, and future weekdays without known holidays."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError
from ironore_lightning.reading.raw_bytes import quoted, read_bytes

LONGEST_CLOSURE_DAYS = 14
"""Most calendar days between two trading days; no holiday is longer."""

FULL_WEEK = 5
"""Most trading days per week."""

STRETCH = 21
"""Steps between rows, a month of them, whose median must be one weekday."""


def require_trading_days(days: pd.DatetimeIndex, by_file: Mapping[str, pd.DatetimeIndex]) -> None:
    """Raise `DataError` unless rows are trading days and none is missing.

    Args:
        days: Of the rows, ascending.
        by_file: Days of each file behind them.
    """
    files = ", ".join(by_file)
    steps = np.busday_count(_dates(days[:-1]), _dates(days[1:]))
    width = min(STRETCH, len(steps))
    medians = pd.Series(steps).rolling(max(width, 1)).median()
    if medians.max() > 1:
        last = int(medians.argmax()) + 1
        stretch = days[last - width : last + 1]
        apart = np.median(np.diff(stretch.to_numpy()) / np.timedelta64(1, "D"))
        raise DataError(
            f"{files}: rows are {apart:g} days apart (median from {stretch[0].date()} to "
            f"{stretch[-1].date()}), but must be trading days; weekly, monthly and other sparse "
            "rows are not supported yet"
        )
    if (open_days := int(trading_weekdays(days).sum())) > FULL_WEEK:
        raise DataError(
            f"{files}: rows lie on {open_days} days of the week, but must be trading days, five a "
            "week; blank the target's series where nobody traded; a market that trades at weekends "
            "is not supported yet"
        )
    _require_no_gap(days, by_file)


def _require_no_gap(days: pd.DatetimeIndex, by_file: Mapping[str, pd.DatetimeIndex]) -> None:
    """Raise if trading stops for longer than any holiday."""
    gaps = np.diff(days.to_numpy()) / np.timedelta64(1, "D")
    if gaps.max(initial=0) > LONGEST_CLOSURE_DAYS:
        widest = int(np.argmax(gaps))
        before, after = days[widest], days[widest + 1]
        files = [
            file for file, own in by_file.items() if not ((own > before) & (own < after)).any()
        ]
        raise DataError(
            f"{', '.join(files or by_file)}: there is no trading day between {before.date()} and "
            f"{after.date()} ({gaps[widest]:.0f} days, {LONGEST_CLOSURE_DAYS} are allowed); rows "
            "are missing, or a date is wrong"
        )


def longest_step(days: pd.DatetimeIndex) -> int:
    """Return the most calendar days from a row to the next one."""
    return int((np.diff(days.to_numpy()) / np.timedelta64(1, "D")).max(initial=0))


def trading_weekdays(days: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Return whether there is trading on each day of the week, shape (7,), Monday first.

    Rare sessions on another day do not count; with few rows, Monday to Friday do.
    """
    rows = np.bincount(days.day_of_week, minlength=7)
    rows[:FULL_WEEK] += 1
    return np.asarray(rows > rows.max() / 5)


def read_holidays(path: Path) -> tuple[datetime.date, ...]:
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
    return tuple(holidays)


@dataclass(frozen=True)
class Calendar:
    """Future trading days, as far as holidays are known.

    Attributes:
        weekdays: Whether there is trading on Monday to Sunday, shape (7,).
        holidays: Days without trading.
    """

    weekdays: NDArray[np.bool_]
    holidays: Sequence[datetime.date]

    def ahead(self, days: pd.DatetimeIndex, horizon: int) -> pd.DatetimeIndex:
        """Return the day `horizon` trading days after (if negative, before) each of `days`."""
        ahead = np.busday_offset(
            _dates(days), horizon, "backward", self.weekdays, _dates(self.holidays)
        )
        return pd.DatetimeIndex(ahead).as_unit(days.unit)

    def between(self, last: pd.Timestamp, today: datetime.date) -> int:
        """Return the number of trading days after `last` and before `today`."""
        first = last.date() + datetime.timedelta(days=1)
        return int(np.busday_count(first, today, self.weekdays, _dates(self.holidays)))

    def knows(self, day: pd.Timestamp) -> bool:
        """Return whether the holidays of the year of `day` are known."""
        return any(holiday.year >= day.year for holiday in self.holidays)


def _dates(days: pd.DatetimeIndex | Sequence[datetime.date]) -> NDArray[np.datetime64]:
    return np.asarray(days, dtype="datetime64[D]")
