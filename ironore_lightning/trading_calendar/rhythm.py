"""The rhythm of the rows: trading days, weeks or months, found from their dates."""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError
from ironore_lightning.trading_calendar.holidays import Holidays, as_dates

STRETCH = 21
"""Steps between rows, a month of days, whose median must be that of the rhythm."""

QUARTER = 63
"""Rows of a quarter of trading days, which must lie on as many weekdays as all rows do."""

DAY_WORDS = re.compile(
    r"(?<![\w-])(?<!calendar )(?<!in the )(?:(trading )?(day)(s?)|(daily))(?![\w-]|\.\w)",
    re.IGNORECASE,
)
"""A trading day in a text; no calendar days, no time in the day, no part of a key or file."""


@dataclass(frozen=True)
class Rhythm:
    """How far rows lie apart.

    Attributes:
        noun: What a row is: a day, week or month.
        adverb: How often there is one.
        per_year: Rows in a year, to annualise.
        longest_gap: Most calendar days between two rows.
        days_a_week: Days of the week on which there are rows.
    """

    noun: str
    adverb: str
    per_year: int
    longest_gap: int
    days_a_week: int = 5

    @property
    def sentence(self) -> str:
        """The rhythm in words, with what annual figures count."""
        weekdays = {5: "", 7: ", seven a week"}.get(self.days_a_week, ", six a week")
        return f"{self.adverb} rows{weekdays}, {self.per_year} a year"

    def words(self, text: str) -> str:
        """Return a text that is written for trading days in the words of this rhythm."""
        return text if self.noun == "day" else DAY_WORDS.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        said = self.adverb if match[4] else f"{self.noun}{match[3]}"
        return said.capitalize() if match[0][0].isupper() else said


LONGEST_CLOSURE_DAYS = 14
"""Most calendar days between two trading days; no holiday is longer."""

DAILY = Rhythm("day", "daily", 252, LONGEST_CLOSURE_DAYS)
SIX_DAYS = Rhythm("day", "daily", 302, LONGEST_CLOSURE_DAYS, days_a_week=6)
"""A sixth day a week: 252 * 6 / 5."""
EVERY_DAY = Rhythm("day", "daily", 365, LONGEST_CLOSURE_DAYS, days_a_week=7)
WEEKLY = Rhythm("week", "weekly", 52, 28)
MONTHLY = Rhythm("month", "monthly", 12, 75)


def find_rhythm(days: pd.DatetimeIndex) -> Rhythm:
    """Return the rhythm of dates, ascending; for one that is none of ours, that of trading days.

    Dates that `require_rhythm` accepts have the same rhythm in every stretch of some weeks.
    """
    if len(days) <= 1:
        return DAILY
    apart = np.median(_steps(days))
    if np.median(_weekday_steps(days)) <= 1 or apart < WEEK[0]:
        open_days = int(trading_weekdays(days).sum())
        by_days = {rhythm.days_a_week: rhythm for rhythm in (SIX_DAYS, EVERY_DAY)}
        return by_days.get(open_days, DAILY)
    return WEEKLY if apart <= WEEK[1] else MONTHLY


WEEK, MONTH = (6, 8), (27, 33)
"""Least and most calendar days between rows (median)."""


def require_rhythm(
    days: pd.DatetimeIndex,
    by_file: Mapping[str, pd.DatetimeIndex],
    holidays: Holidays,
    *,
    start: datetime.date | None = None,
) -> Rhythm:
    """Return the rhythm of the rows.

    Args:
        days: Of the rows, ascending.
        by_file: Days of each file behind them.
        holidays: They explain a longer gap between days.
        start: First row that counts, if that is not the first of all.

    Raises:
        DataError: If rows are no trading days, weeks or months, if a part of them is spaced
            otherwise, or if rows are missing.
    """
    days = days if start is None else days[days >= pd.Timestamp(start)]
    rhythm = find_rhythm(days)
    _require_same_spacing(days, ", ".join(by_file), rhythm)
    _require_no_gap(days, by_file, rhythm, holidays)
    return rhythm


def _require_same_spacing(days: pd.DatetimeIndex, files: str, rhythm: Rhythm) -> None:
    """Raise if the median step of any stretch is not that of the rhythm."""
    medians = _median_steps(days, rhythm)
    wrong = _rows_spaced_otherwise(medians, rhythm)
    if len(wrong):
        width = min(STRETCH, len(medians))
        most = int(wrong[np.abs(medians[wrong] - _usual_steps(rhythm)[1]).argmax()]) + 1
        stretch = days[most - width : most + 1]
        is_all = len(wrong) == len(medians) - width + 1
        remedy = "no other is supported" if is_all else "leave out those that are spaced otherwise"
        raise DataError(
            f"{files}: rows are {np.median(_steps(stretch)):g} days apart (median from "
            f"{stretch[0].date()} to {stretch[-1].date()}), but all must be trading days, weeks or "
            f"months; {remedy}"
        )
    _require_same_week(days, files, rhythm)


def _median_steps(days: pd.DatetimeIndex, rhythm: Rhythm) -> NDArray[np.float64]:
    """Return the median of the `STRETCH` steps up to each row but the first, NaN for the others."""
    steps = _weekday_steps(days) if rhythm.noun == "day" else _steps(days)
    width = max(min(STRETCH, len(steps)), 1)
    return np.asarray(pd.Series(steps).rolling(width).median(), dtype=np.float64)


def _usual_steps(rhythm: Rhythm) -> tuple[int, int]:
    """Return the least and the largest median step: weekdays for days, else calendar days."""
    return (0, 1) if rhythm.noun == "day" else WEEK if rhythm == WEEKLY else MONTH


def _rows_spaced_otherwise(medians: NDArray[np.float64], rhythm: Rhythm) -> NDArray[np.intp]:
    low, high = _usual_steps(rhythm)
    return np.flatnonzero((medians < low) | (medians > high))


def _require_same_week(days: pd.DatetimeIndex, files: str, rhythm: Rhythm) -> None:
    """Raise if a quarter of daily rows has another number of weekdays than all of them."""
    if rhythm.noun != "day":
        return
    for first in range(0, len(days) - QUARTER + 1, QUARTER):
        quarter = days[first : first + QUARTER]
        found = int(trading_weekdays(quarter).sum())
        if found != rhythm.days_a_week:
            raise DataError(
                f"{files}: rows lie on {found} days of the week from {quarter[0].date()} to "
                f"{quarter[-1].date()}, and on {rhythm.days_a_week} in all; leave out those on "
                "which nobody trades, or begin where the week changes (data.panel.start)"
            )


def spaced_otherwise(days: pd.DatetimeIndex, rhythm: Rhythm) -> pd.Timestamp | None:
    """Return the last day up to which rows are spaced otherwise; None if all are as the rhythm."""
    wrong = _rows_spaced_otherwise(_median_steps(days, rhythm), rhythm)
    return days[int(wrong[-1]) + 1] if len(wrong) else None


def _require_no_gap(
    days: pd.DatetimeIndex,
    by_file: Mapping[str, pd.DatetimeIndex],
    rhythm: Rhythm,
    holidays: Holidays,
) -> None:
    """Raise if rows are missing for longer than any holiday."""
    holes = find_holes(days, rhythm, holidays)
    if not holes:
        return
    before, after = max(holes, key=lambda hole: hole[1] - hole[0])
    files = [file for file, own in by_file.items() if not ((own > before) & (own < after)).any()]
    raise DataError(
        f"{', '.join(files or by_file)}: there is no {rhythm.words('trading day')} between "
        f"{before.date()} and {after.date()} ({(after - before).days} days, {rhythm.longest_gap} "
        "are allowed); rows are missing, or a date is wrong"
    )


def find_holes(
    days: pd.DatetimeIndex, rhythm: Rhythm, holidays: Holidays
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the rows before and after each gap that is longer than any holiday."""
    gaps = _steps(days)
    if rhythm.noun == "day":
        unexplained = np.busday_count(
            as_dates(days[:-1] + pd.Timedelta(days=1)),
            as_dates(days[1:]),
            trading_weekdays(days),
            as_dates(holidays.days),
        )
        gaps = np.where(unexplained > 0, gaps, 0)
    wide = gaps > rhythm.longest_gap
    return list(zip(days[:-1][wide], days[1:][wide], strict=True))


def longest_step(days: pd.DatetimeIndex) -> int:
    """Return the most calendar days from a row to the next one."""
    return int(_steps(days).max(initial=0))


def rows_apart(
    first: pd.DatetimeIndex, last: pd.DatetimeIndex, rhythm: Rhythm
) -> NDArray[np.int64]:
    """Return the rows from each of `first` to each of `last`, if none is left out by a holiday."""
    start, end = as_dates(first), as_dates(last)
    if rhythm.noun == "month":
        months = end.astype("datetime64[M]") - start.astype("datetime64[M]")
        return np.asarray(months.astype(np.int64))
    if rhythm.noun == "week":
        return np.rint((end - start) / np.timedelta64(7, "D")).astype(np.int64)
    return np.asarray(np.busday_count(start, end, trading_weekdays(last)))


def trading_weekdays(days: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Return whether there is trading on each day of the week, shape (7,), Monday first.

    Rare sessions on another day do not count; with few rows, Monday to Friday do.
    """
    rows = np.bincount(days.day_of_week, minlength=7)
    rows[:5] += 1
    return np.asarray(rows > rows.max() / 5)


def open_weekdays(days: pd.DatetimeIndex, is_open: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether there has been trading on each day of the week by each row, shape (T, 7).

    Args:
        days: Of the rows, ascending, shape (T,).
        is_open: Whether there is trading on a row, shape (T,).
    """
    rows = np.cumsum(np.eye(7, dtype=np.int64)[days.day_of_week] * is_open[:, None], axis=0)
    # With the second of two days in a row, Monday to Friday count.
    is_daily = np.array([False, *(_weekday_steps(days[is_open]) <= 1)])
    newest = np.cumsum(is_open) - 1
    rows[:, :5] += ((newest >= 0) & is_daily[np.maximum(newest, 0)])[:, None]
    return np.asarray(rows > rows.max(axis=1, keepdims=True) / 5)


def _steps(days: pd.DatetimeIndex) -> NDArray[np.float64]:
    """Return the calendar days from each row to the next one."""
    return np.asarray(np.diff(days.to_numpy()) / np.timedelta64(1, "D"), dtype=np.float64)


def _weekday_steps(days: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return the weekdays, Monday to Friday, from each row to the next one."""
    return np.asarray(np.busday_count(as_dates(days[:-1]), as_dates(days[1:])), dtype=np.int64)
