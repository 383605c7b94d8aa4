"""The trading calendar: the dates of the rows to come, as far as holidays are known."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.trading_calendar.holidays import Holidays, as_dates
from ironore_lightning.trading_calendar.rhythm import EVERY_DAY, WEEKLY, Rhythm, trading_weekdays

Dates = NDArray[np.datetime64]
MONDAY = 4
"""A Monday, as the number of days since 1970-01-01."""

Steps = int | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Calendar:
    """The dates of the rows to come.

    Days are those of the week on which there is trading, without holidays. A week has its usual
    day, also where that is a holiday. A month has its last or first trading day, or the same day of
    each month, whichever is closest to the rows.

    Attributes:
        days: Dates of the rows, ascending.
        rhythm: Of the rows.
        holidays: Days without trading.
    """

    days: pd.DatetimeIndex
    rhythm: Rhythm
    holidays: Holidays

    def ahead(self, days: pd.DatetimeIndex, horizon: Steps) -> pd.DatetimeIndex:
        """Return the date `horizon` rows after (if negative, before) each of `days`."""
        ahead = {"day": self._days_ahead, "week": self._weeks_ahead, "month": self._months_ahead}
        dates = ahead[self.rhythm.noun](as_dates(days), horizon)
        return pd.DatetimeIndex(dates).as_unit(days.unit)

    def between(self, last: pd.Timestamp, today: datetime.date) -> int:
        """Return the number of rows after `last` and before `today`."""
        calendar_days = max((today - last.date()).days, 0)
        steps = np.arange(1, calendar_days + 1)
        later = self.ahead(pd.DatetimeIndex([last] * calendar_days), steps)
        return int((later < pd.Timestamp(today)).sum())

    def knows(self, day: pd.Timestamp) -> bool:
        """Return whether no unknown holiday can move a row from a day."""
        never_moves = self.rhythm in (WEEKLY, EVERY_DAY)
        return never_moves or self.holidays.knows(day)

    def _days_ahead(self, days: Dates, horizon: Steps) -> Dates:
        return np.busday_offset(
            days, horizon, "backward", trading_weekdays(self.days), as_dates(self.holidays.days)
        )

    def _weeks_ahead(self, days: Dates, horizon: Steps) -> Dates:
        """Move to the usual weekday of a later week; a week reaches three days either way."""
        usual = MONDAY + int(np.bincount(self.days.day_of_week).argmax())
        weeks = np.rint((_number(days) - usual) / 7).astype(np.int64)
        return (usual + 7 * (weeks + horizon)).astype("datetime64[D]")

    def _months_ahead(self, days: Dates, horizon: Steps) -> Dates:
        months = np.asarray(horizon, dtype="timedelta64[M]")
        return self._day_of_month(days.astype("datetime64[M]") + months)

    @cached_property
    def _day_of_month(self) -> Callable[[Dates], Dates]:
        """The rule for the day of a month that is closest to the rows."""
        rows = as_dates(self.days)
        rules = [self._last_trading_day, self._first_trading_day, *map(_same_day, range(1, 32))]
        months = rows.astype("datetime64[M]")
        return min(rules, key=lambda rule: np.abs(_number(rule(months)) - _number(rows)).mean())

    def _last_trading_day(self, months: Dates) -> Dates:
        holidays = as_dates(self.holidays.days)
        return np.busday_offset(_first_day(months + 1), -1, "forward", holidays=holidays)

    def _first_trading_day(self, months: Dates) -> Dates:
        holidays = as_dates(self.holidays.days)
        return np.busday_offset(_first_day(months), 0, "forward", holidays=holidays)


def _number(days: Dates) -> NDArray[np.int64]:
    """Return days as whole numbers since 1970-01-01."""
    return days.astype(np.int64)


def _first_day(months: Dates) -> Dates:
    return months.astype("datetime64[D]")


def _same_day(day: int) -> Callable[[Dates], Dates]:
    """Return the rule of a day of the month, or of the last one of a shorter month."""
    return lambda months: np.minimum(_first_day(months) + day - 1, _first_day(months + 1) - 1)
