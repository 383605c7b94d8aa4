"""Dates to come in every rhythm, and holidays of a file or an exchange."""

import datetime
import sys

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.trading_calendar.holidays import (
    Holidays,
    exchange_holidays,
    read_holidays,
)
from ironore_lightning.trading_calendar.rhythm import (
    find_rhythm,
    require_rhythm,
    spaced_otherwise,
    trading_weekdays,
)
from ironore_lightning.trading_calendar.trading_days import Calendar

EASTER = Holidays.of_years([datetime.date(2024, 3, 29)])
UNKNOWN = Holidays()
ROWS = {
    "weekdays": pd.bdate_range("2023-01-02", "2024-03-28"),
    "Sunday to Thursday": pd.bdate_range(
        "2023-01-01", "2023-06-29", freq="C", weekmask="Sun Mon Tue Wed Thu"
    ),
    "every day": pd.date_range("2023-01-01", "2024-03-28"),
    "Fridays": pd.date_range("2023-01-06", "2024-03-22", freq="7D"),
    "Fridays, two on Thursday": pd.date_range("2023-01-06", "2024-03-22", freq="7D")
    .drop(["2023-04-07", "2024-03-22"])
    .union(pd.DatetimeIndex(["2023-04-06", "2024-03-21"])),
    "Sundays": pd.date_range("2023-01-01", "2024-03-24", freq="7D"),
    "last trading days": pd.date_range("2020-01-01", "2024-02-29", freq="BME"),
    "first trading days": pd.date_range("2020-01-01", "2024-03-01", freq="BMS"),
    "month ends": pd.date_range("2020-01-01", "2024-02-29", freq="ME"),
    "firsts of the month": pd.date_range("2020-01-01", "2024-03-01", freq="MS"),
    "fifteenths": pd.date_range("2020-01-01", "2024-03-01", freq="MS") + pd.Timedelta(days=14),
}


def test_rows_of_five_and_of_seven_days_a_week_are_no_rhythm():
    five, seven = (
        pd.bdate_range("2022-01-03", "2022-12-30"),
        pd.date_range("2023-01-02", periods=400),
    )
    both = five.union(seven)
    with pytest.raises(DataError, match=r"rows lie on 5 days of the week from 2022-01-03 to "):
        require_rhythm(both, {"f.csv": both}, UNKNOWN)
    found = require_rhythm(both, {"f.csv": both}, UNKNOWN, start=datetime.date(2023, 1, 2))
    assert found.per_year == 365


def test_weeks_before_days_are_named_up_to_their_last():
    weeks, days = pd.date_range("2021-01-08", "2021-12-31", freq="7D"), ROWS["weekdays"]
    rows = weeks.union(days)
    last = spaced_otherwise(rows, find_rhythm(days))
    # The median of 21 steps is one weekday once eleven of them are.
    assert last == days[10]
    assert spaced_otherwise(days, find_rhythm(days)) is None


def calendar(rows="weekdays", holidays=EASTER):
    days = ROWS[rows]
    return Calendar(days, find_rhythm(days), holidays)


def ahead(day, horizon, holidays=EASTER, rows="weekdays"):
    (found,) = calendar(rows, holidays).ahead(pd.DatetimeIndex([day]), horizon)
    return str(found.date())


@pytest.mark.parametrize(
    ("day", "horizon", "holidays", "expected"),
    [
        ("2024-03-28", 1, EASTER, "2024-04-01"),
        ("2024-03-28", 1, UNKNOWN, "2024-03-29"),
        ("2024-03-27", 5, EASTER, "2024-04-04"),  # 28 March, 1, 2, 3 and 4 April
        ("2024-03-27", 5, UNKNOWN, "2024-04-03"),
        ("2024-04-01", -1, EASTER, "2024-03-28"),
        ("2024-03-30", 1, EASTER, "2024-04-01"),  # after a session on a Saturday
    ],
)
def test_weekends_and_holidays_are_skipped(day, horizon, holidays, expected):
    assert ahead(day, horizon, holidays) == expected


def test_a_market_from_sunday_to_thursday_goes_on_after_friday_and_saturday():
    rows = "Sunday to Thursday"
    assert trading_weekdays(ROWS[rows]).tolist() == [True, True, True, True, False, False, True]
    assert ahead("2023-06-29", 1, UNKNOWN, rows) == "2023-07-02"


@pytest.mark.parametrize(
    ("rows", "horizon", "expected"),
    [
        ("every day", 2, "2024-03-31"),  # the 29th is a holiday
        ("Fridays", 1, "2024-03-29"),  # Good Friday: the week keeps its date
        ("Fridays", 3, "2024-04-12"),
        ("Fridays, two on Thursday", 1, "2024-03-29"),
        ("Fridays, two on Thursday", -1, "2024-03-15"),
        ("Sundays", 1, "2024-03-31"),
        ("last trading days", 1, "2024-03-28"),  # the 29th is Good Friday, the 30th a Saturday
        ("last trading days", 2, "2024-04-30"),
        ("first trading days", 1, "2024-04-01"),
        ("first trading days", 6, "2024-09-02"),  # the first is a Sunday
        ("month ends", 1, "2024-03-31"),
        ("month ends", 2, "2024-04-30"),
        ("firsts of the month", 6, "2024-09-01"),
        ("fifteenths", 1, "2024-04-15"),
    ],
)
def test_the_next_date_is_that_of_the_rhythm(rows, horizon, expected):
    assert ahead(ROWS[rows][-1], horizon, EASTER, rows) == expected


@pytest.mark.parametrize(
    ("rows", "last", "today", "expected"),
    [
        ("weekdays", "2024-03-28", "2024-03-29", 0),
        ("weekdays", "2024-03-28", "2024-04-01", 0),  # Good Friday and a weekend
        ("weekdays", "2024-03-28", "2024-04-03", 2),
        ("weekdays", "2024-03-30", "2024-04-02", 1),
        ("weekdays", "2024-03-28", "2024-03-20", 0),
        ("every day", "2024-03-28", "2024-04-03", 4),  # 30 and 31 March, 1 and 2 April
        ("Fridays", "2024-03-22", "2024-03-29", 0),
        ("Fridays", "2024-03-22", "2024-04-06", 2),
        ("Fridays, two on Thursday", "2024-03-21", "2024-03-29", 0),
        ("month ends", "2024-02-29", "2024-03-31", 0),
        ("month ends", "2024-02-29", "2024-05-01", 2),
    ],
)
def test_the_age_of_data_is_counted_in_rows(rows, last, today, expected):
    found = calendar(rows).between(pd.Timestamp(last), datetime.date.fromisoformat(today))
    assert found == expected


def test_the_holidays_of_a_year_are_known_if_the_file_reaches_it():
    assert calendar().knows(pd.Timestamp("2024-12-24"))
    assert not calendar().knows(pd.Timestamp("2025-01-02"))
    assert not calendar(holidays=UNKNOWN).knows(pd.Timestamp("2024-01-02"))
    # Nothing moves the date of a week, or of a market that is always open.
    assert calendar("Fridays", UNKNOWN).knows(pd.Timestamp("2024-03-29"))
    assert calendar("every day", UNKNOWN).knows(pd.Timestamp("2024-03-29"))
    assert not calendar("last trading days", UNKNOWN).knows(pd.Timestamp("2024-03-29"))


def test_a_file_of_holidays_has_a_date_a_line(tmp_path):
    path = tmp_path / "holidays.txt"
    path.write_bytes(b"\xef\xbb\xbf2024-03-29\r\n\r\n 2024-12-25 \r\n")
    days = (datetime.date(2024, 3, 29), datetime.date(2024, 12, 25))
    assert tuple(read_holidays(path).days) == days


@pytest.mark.parametrize(
    "line", ["25/12/2024", "20241225", "2024-12-32", "Christmas", "2024-W52-3"]
)
def test_a_line_that_is_no_date_is_named(tmp_path, line):
    path = tmp_path / "holidays.txt"
    path.write_text(f"2024-03-29\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_holidays(path)
    assert str(caught.value) == (f"holidays.txt: line 2: {line!r} is no date, written YYYY-MM-DD")


# --- the holidays of an exchange ------------------------------------------------------------------


@pytest.fixture(scope="module")
def singapore():
    pytest.importorskip("exchange_calendars")
    return exchange_holidays("XSES")


def test_an_exchange_is_closed_on_good_friday_and_opens_on_easter_monday(singapore):
    assert ahead("2024-03-28", 1, singapore) == "2024-04-01"
    closed = np.array(singapore.days, dtype="datetime64[D]")
    weekdays = closed[np.is_busday(closed)].astype(str)
    in_2024 = [day for day in weekdays if day.startswith("2024")]
    # New Year, Chinese New Year (10 and 11 February, a weekend, so Monday), Good Friday, Hari Raya
    # Puasa, Labour Day, Vesak Day, Hari Raya Haji, National Day, Deepavali, Christmas.
    assert in_2024 == [
        *("2024-01-01", "2024-02-12", "2024-03-29", "2024-04-10", "2024-05-01", "2024-05-22"),
        *("2024-06-17", "2024-08-09", "2024-10-31", "2024-12-25"),
    ]


def test_the_days_after_the_last_session_are_not_known(singapore):
    last = pd.Timestamp(singapore.until)
    assert singapore.knows(last)
    assert not singapore.knows(last + pd.Timedelta(days=1))


def test_an_unknown_exchange_is_refused_with_the_nearest_one(singapore):
    del singapore
    with pytest.raises(ConfigError) as caught:
        exchange_holidays("XSHH")
    assert str(caught.value) == (
        "data.exchange: exchange_calendars knows no 'XSHH'; did you mean 'XSHG'? (or name a file "
        "of holidays by data.holidays)"
    )


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(ConfigError, match=r"^data.exchange: exchange_calendars is not installed; "):
        exchange_holidays("XSHG")
