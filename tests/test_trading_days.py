"""Trading days to come: weekends skipped as the rows do, and holidays as a file says."""

import datetime

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.errors import DataError
from ironore_lightning.trading_calendar.trading_days import (
    Calendar,
    read_holidays,
    trading_weekdays,
)

WEEKDAYS = np.array([True] * 5 + [False] * 2)
EASTER = (datetime.date(2024, 3, 29),)


def ahead(day, horizon, holidays=EASTER, weekdays=WEEKDAYS):
    (found,) = Calendar(weekdays, holidays).ahead(pd.DatetimeIndex([day]), horizon)
    return str(found.date())


@pytest.mark.parametrize(
    ("day", "horizon", "holidays", "expected"),
    [
        ("2024-03-28", 1, EASTER, "2024-04-01"),
        ("2024-03-28", 1, (), "2024-03-29"),
        ("2024-03-27", 5, EASTER, "2024-04-04"),  # 28 March, 1, 2, 3 and 4 April
        ("2024-03-27", 5, (), "2024-04-03"),
        ("2024-04-01", -1, EASTER, "2024-03-28"),
        ("2024-03-30", 1, EASTER, "2024-04-01"),  # after a session on a Saturday
    ],
)
def test_weekends_and_holidays_are_skipped(day, horizon, holidays, expected):
    assert ahead(day, horizon, holidays) == expected


def test_a_market_from_sunday_to_thursday_goes_on_after_friday_and_saturday():
    days = pd.bdate_range("2023-01-01", "2023-06-29", freq="C", weekmask="Sun Mon Tue Wed Thu")
    weekdays = trading_weekdays(days)
    assert weekdays.tolist() == [True, True, True, True, False, False, True]
    assert ahead("2023-06-29", 1, (), weekdays) == "2023-07-02"


@pytest.mark.parametrize(
    ("last", "today", "expected"),
    [
        ("2024-03-28", "2024-03-29", 0),
        ("2024-03-28", "2024-04-01", 0),  # Good Friday and a weekend
        ("2024-03-28", "2024-04-03", 2),
        ("2024-03-30", "2024-04-02", 1),
    ],
)
def test_the_age_of_data_is_counted_in_trading_days(last, today, expected):
    calendar = Calendar(WEEKDAYS, EASTER)
    assert calendar.between(pd.Timestamp(last), datetime.date.fromisoformat(today)) == expected


def test_the_holidays_of_a_year_are_known_if_the_file_reaches_it():
    calendar = Calendar(WEEKDAYS, EASTER)
    assert calendar.knows(pd.Timestamp("2024-12-24"))
    assert not calendar.knows(pd.Timestamp("2025-01-02"))
    assert not Calendar(WEEKDAYS, ()).knows(pd.Timestamp("2024-01-02"))


def test_a_file_of_holidays_has_a_date_a_line(tmp_path):
    path = tmp_path / "holidays.txt"
    path.write_bytes(b"\xef\xbb\xbf2024-03-29\r\n\r\n 2024-12-25 \r\n")
    assert read_holidays(path) == (*EASTER, datetime.date(2024, 12, 25))


@pytest.mark.parametrize(
    "line", ["25/12/2024", "20241225", "2024-12-32", "Christmas", "2024-W52-3"]
)
def test_a_line_that_is_no_date_is_named(tmp_path, line):
    path = tmp_path / "holidays.txt"
    path.write_text(f"2024-03-29\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_holidays(path)
    assert str(caught.value) == (f"holidays.txt: line 2: {line!r} is no date, written YYYY-MM-DD")
