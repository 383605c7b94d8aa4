"""Each setting of how a file is written, on a small file, with values worked out by hand."""

import datetime
import gzip

import numpy as np
import openpyxl
import pandas as pd
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from pydantic import ValidationError

from ironore_lightning.errors import DataError
from ironore_lightning.reading import raw_bytes
from ironore_lightning.reading.cells import parse_numbers
from ironore_lightning.reading.dates import parse_dates
from ironore_lightning.reading.tables import read_raw_table
from ironore_lightning.settings.files import FileSettings

LAYOUT = {"date_column": "date", "date_format": "%Y-%m-%d", "delimiter": ","}
REAL = {"date_format": None, "delimiter": None}
FORMATS = {"csv": "csv", "gz": "csv", "xlsx": "excel", "parquet": "parquet", "pkl": "pickle"}


def read(path, column="a", **changes):
    """Return the dates of a file as texts, and the values of one column."""
    file_format = FORMATS[path.suffix.removeprefix(".")]
    layout = LAYOUT if file_format == "csv" else LAYOUT | REAL
    settings = FileSettings(**{"file": path.name, "format": file_format} | layout | changes)
    table = read_raw_table(path, settings)
    days = parse_dates(table)
    assert days.dtype == "datetime64[us]"
    values = parse_numbers(table, column).tolist()
    return [f"{day:%Y-%m-%d}" for day in days], values


def read_text(folder, text, column="a", *, encoding="utf-8", **changes):
    path = folder / "f.csv"
    path.write_bytes(text.encode(encoding))
    return read(path, column, **changes)


def refusal(read_it, *arguments, **changes):
    with pytest.raises(DataError) as caught:
        read_it(*arguments, **changes)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("f.")
    assert len(message) < 400
    return message


TWO_DAYS = ["2024-01-02", "2024-01-03"]


# --- encodings ------------------------------------------------------------------------------------

CHINESE, KOREAN = "日期,收盘价\n2024-01-02,101.5\n", "날짜,종가\n2024-01-02,101.5\n"


@pytest.mark.parametrize(
    ("text", "written", "encoding"),
    [
        (CHINESE, "gbk", "gbk"),
        (CHINESE, "gbk", "gb18030"),
        (CHINESE, "gb18030", "gb18030"),
        (CHINESE, "utf-8-sig", "utf-8"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "utf-16-be", "utf-16-be"),
        (KOREAN, "cp949", "cp949"),
        ("été,prix\n2024-01-02,101.5\n", "latin-1", "latin-1"),
    ],
)
def test_a_text_is_read_in_the_encoding_that_is_stated(tmp_path, text, written, encoding):
    (tmp_path / "f.csv").write_bytes(text.encode(written))
    date_column, column = text.splitlines()[0].split(",")
    days, values = read(tmp_path / "f.csv", column, date_column=date_column, encoding=encoding)
    assert (days, values) == (["2024-01-02"], [101.5])


@pytest.mark.parametrize(
    ("text", "written", "encoding", "part"),
    [
        ("a,b\n\n" + CHINESE, "gbk", "utf-8", "line 3 is not UTF-8 (byte 0xc8): set the one it"),
        (CHINESE, "gbk", "utf-8", "as encoding: gbk or gb18030 or cp949 or latin-1"),
        (CHINESE, "utf-8", "cp949", "line 1 is not 'cp949'"),
        (CHINESE, "utf-16", "utf-8", "line 1 is not UTF-8 (byte 0xff): set encoding: utf-16"),
        ("date,a\n", "utf-16-le", "utf-8", "holds a zero byte, so it is not UTF-8: set encoding"),
        (CHINESE, "gbk", "gbkk", "encoding 'gbkk' is unknown, expected utf-8, gbk, gb18030"),
        (CHINESE, "gbk", "base64", "encoding 'base64' is unknown"),
    ],
)
def test_bytes_of_another_encoding_are_a_line_that_names_one(
    tmp_path, text, written, encoding, part
):
    (tmp_path / "f.csv").write_bytes(text.encode(written))
    assert part in refusal(read, tmp_path / "f.csv", encoding=encoding)


def test_what_ends_in_gz_is_unpacked_within_bounds(tmp_path, monkeypatch):
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(b"date,a\n2024-01-02,1.5\n"))
    assert read(path) == (["2024-01-02"], [1.5])
    path.write_bytes(gzip.compress(b"date,a\n2024-01-02,1.5\n")[:-9])
    assert "is not a whole gzip file" in refusal(read, path)
    path.write_bytes(gzip.compress(bytes(1_000_000)))
    monkeypatch.setattr(raw_bytes, "MAX_BYTES", 10_000)
    assert "unpacks to 10001 bytes or more, may have 10000" in refusal(read, path)


# --- rows -----------------------------------------------------------------------------------------

ROWS = "2024-01-02,1,5\n2024-01-03,2,6\n"


@pytest.mark.parametrize(
    ("text", "changes", "column"),
    [
        ("Prices\nunit:,CNY/t\n\ndate,a,b\n" + ROWS, {"skiprows": 3}, "a"),
        ("Prices\nunit:,CNY/t\n\ndate,a,b\n" + ROWS, {"skiprows": 2}, "a"),
        ("Prices\nunit:,CNY/t\n\ndate,a,b\n" + ROWS, {"header": 2}, "a"),
        ('The "desk"\n"\n\ndate,a,b\n' + ROWS, {"skiprows": [0, 1]}, "a"),
        ("date,a,b\n,CNY/t,%\n" + ROWS, {"skiprows": [1]}, "a"),
        ("date,a,b\n,CNY/t,%\n" + ROWS, {"header": [0, 1]}, "a CNY/t"),
        (",62,\ndate,a,b\n" + ROWS, {"header": [0, 1]}, "62 a"),
        (",,\ndate,a,b\n" + ROWS, {"header": 1}, "a"),
        ("date,a,b\n" + ROWS + "source: some desk\n", {"skipfooter": 1}, "a"),
        ("date,a,b\n" + ROWS + "\nsource,,\n\n", {"skipfooter": 3}, "a"),
    ],
)
def test_rows_around_a_table_are_skipped_as_pandas_does(tmp_path, text, changes, column):
    assert read_text(tmp_path, text, column, **changes) == (TWO_DAYS, [1.0, 2.0])


@pytest.mark.parametrize(
    ("text", "changes", "part"),
    [
        (
            "Prices\nunit:,CNY/t\n\ndate,a,b\n" + ROWS,
            {},
            "the header is line 4, set skiprows: 3",
        ),
        ("Prices,,\ndate,a,b\n" + ROWS, {}, "line 2 holds it: set skiprows: 1"),
        (
            ",,\ndate,a,b\n" + ROWS,
            {},
            "line 1 is blank, expected the header there; if",
        ),
        ("date;a;b\n2024-01-02;1,5;2\n", {}, "so set delimiter: ';'"),
        ("date,a,b\n,CNY/t,%\n" + ROWS, {}, "line 2: 'CNY/t' is not a number"),
        ("date,a,b\n,CNY/t,%\n" + ROWS, {}, "set skiprows: [1], if this is a row of units"),
        ("x\ndate,a,b\n,t,%\n" + ROWS, {"skiprows": 1}, "set skiprows: [0, 2], if this is a row"),
        ("date,a,b\n" + ROWS + "Total,,\n", {}, "line 4: 'Total' is not a date written as"),
        ("date,a,b\n" + ROWS + "Total,,\n\n", {}, "set skipfooter: 2, if the table ends above"),
        ("date,a,b\n" + ROWS + "see below\n\n", {}, "line 4 has 1 cells, the header has 3"),
        ("date,a,b\n" + ROWS + "see below\n\n", {}, "If the table ends above, set skipfooter: 2"),
        ("date,a\n", {"header": 3}, "header: 3, but only 1 rows are not skipped"),
        ("date,a\n2024-01-02,x\n", {"skiprows": [0]}, "there is no column 'date'"),
        ("u\n\ndate,a\n2024-01-02,1\n2024-01-03,x\n", {"skiprows": 1}, "column 'a', line 5: 'x'"),
        ("\ndate,a\n2024-01-02,1\n3.1.2024,2\n", {}, "column 'date', line 4: '3.1.2024'"),
    ],
)
def test_a_row_outside_the_table_is_a_line_that_says_how_to_skip_it(tmp_path, text, changes, part):
    assert part in refusal(read_text, tmp_path, text, **changes)


@pytest.mark.parametrize(
    ("file_format", "changes", "part"),
    [
        ("parquet", {"skiprows": 1}, "skiprows and header are for csv and excel, not for parquet"),
        ("pickle", {"skipfooter": 1}, "skipfooter is for csv and excel, not for pickle"),
        ("csv", {"sheet_name": "a"}, "sheet_name is for excel, not for csv"),
    ],
)
def test_a_setting_that_a_format_cannot_obey_is_refused(file_format, changes, part):
    with pytest.raises(ValidationError, match=part):
        FileSettings(file="f", format=file_format, **LAYOUT, **changes)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "changes", "value"),
    [
        ("1482,32", {"decimal": ","}, 1482.32),
        ("-,5", {"decimal": ","}, -0.5),
        ("1,234,567", {"thousands": ","}, 1234567.0),
        ("12,345.5", {"thousands": ","}, 12345.5),
        ("999", {"thousands": ","}, 999.0),
        ("1.234.567,25", {"decimal": ",", "thousands": "."}, 1234567.25),
        ("1 234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u00a0234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u202f234", {"thousands": " "}, 1234.0),
        ("12'345.5", {"thousands": "'"}, 12345.5),
        ("12’345.5", {"thousands": "'"}, 12345.5),
        ("1_000", {"thousands": "_"}, 1000.0),
        ("50.852%", {"symbols": ["%"]}, 50.852),
        ("-2.5 %", {"symbols": ["%"]}, -2.5),
        ("$97.5", {"symbols": ["$"]}, 97.5),
        ("-US$ 97.5", {"symbols": ["$", "US$"]}, -97.5),
        ("$1,234.5", {"symbols": ["$"], "thousands": ","}, 1234.5),
        ("97.5 USD/t", {"symbols": ["USD/t"]}, 97.5),
        ("\u22123.5", {}, -3.5),
        ("1.5e3", {"thousands": ","}, 1500.0),
        ("0,1", {"decimal": ","}, 0.1),
    ],
)
def test_a_number_is_read_as_the_marks_of_its_file_say(tmp_path, cell, changes, value):
    text = f'date,a\n2024-01-02,"{cell}"\n2024-01-03,\n'
    days, values = read_text(tmp_path, text, **changes)
    assert days == TWO_DAYS
    assert values[0] == value
    assert np.isnan(values[1])


@pytest.mark.parametrize(
    ("cell", "changes", "part"),
    [
        ("12,34", {"thousands": ","}, "'12,34' is not a number"),
        ("1,2345", {"thousands": ","}, "'1,2345' is not a number"),
        ("0,896", {"thousands": ","}, "'0,896' is not a number"),
        ("1234,567", {"thousands": ","}, "'1234,567' is not a number"),
        ("1,234.567,8", {"thousands": ","}, "is not a number"),
        ("1.234", {"decimal": ","}, "'1.234' is not a number"),
        ("1,234.5", {}, "a blank; set thousands: ','"),
        ("1,234", {}, "; set thousands: ',' or decimal: ','"),
        ("1482,3", {}, "; set decimal: ','"),
        ("1.234,5", {}, "; set decimal: ',', thousands: '.'"),
        ("1 234.5", {}, "; set thousands: ' '"),
        ("5%", {}, "; set symbols: ['%']"),
        ("€5", {"symbols": ["%"]}, "; set symbols: ['%', '€']"),
        ("(3.5)", {}, "expected digits with a decimal point, or a blank"),
        ("%", {"symbols": ["%"]}, "'%' is not a number"),
    ],
)
def test_a_number_of_other_marks_is_a_line_that_names_the_setting(tmp_path, cell, changes, part):
    text = f'date,a\n2024-01-02,1\n2024-01-03,"{cell}"\n2024-01-04,2\n'
    message = refusal(read_text, tmp_path, text, **changes)
    assert "f.csv: column 'a', line 3: " in message
    assert part in message
    if part.startswith("expected"):
        assert message.endswith(part)


def test_marks_of_blanks_are_those_of_pandas_and_those_that_are_stated(tmp_path):
    usual = ["", "#N/A N/A", "n/a", "NULL", "None", "<NA>", "NaN", "-"]
    text = "date,a\n" + "".join(f"2024-01-{day:02},{mark}\n" for day, mark in enumerate(usual, 1))
    assert np.isnan(read_text(tmp_path, text)[1]).all()
    stated = "date,a\n2024-01-01,1\n2024-01-02,--\n2024-01-03,#VALUE!\n2024-01-04,2\n"
    np.testing.assert_array_equal(
        read_text(tmp_path, stated, na_values=["--", "#VALUE!"])[1], [1, np.nan, np.nan, 2]
    )
    assert "set na_values: ['--'], if it marks a blank" in refusal(read_text, tmp_path, stated)


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet"])
def test_a_number_that_marks_a_blank_matches_every_cell_equal_to_it(tmp_path, suffix):
    path = tmp_path / f"f.{suffix}"
    frame = pd.DataFrame({"date": pd.to_datetime(TWO_DAYS), "a": [0.0, 10.0]})
    write = {"csv": "to_csv", "xlsx": "to_excel", "parquet": "to_parquet"}[suffix]
    getattr(frame, write)(path, index=False)
    np.testing.assert_array_equal(read(path, na_values=["0"])[1], [np.nan, 10.0])
    assert read(path)[1] == [0.0, 10.0]


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "date_format", "changes", "day"),
    [
        ("1704153600", "unix_s", {"timezone": "UTC"}, "2024-01-02"),
        ("1704211200", "unix_s", {"timezone": "Asia/Shanghai"}, "2024-01-03"),
        ("1704153600000", "unix_ms", {"timezone": "UTC"}, "2024-01-02"),
        ("45293", "excel", {}, "2024-01-02"),
        ("45293.625", "excel", {"day_ends": "15:00"}, "2024-01-02"),
        ("45293.626", "excel", {"day_ends": "15:00"}, "2024-01-03"),
        ("2024-01-02 00:00:00+08:00", "%Y-%m-%d %H:%M:%S%z", {"timezone": "Asia/Shanghai"}, "=2"),
        ("2024-01-02T16:00:00Z", "%Y-%m-%dT%H:%M:%S%z", {"timezone": "Asia/Shanghai"}, "=3"),
        ("2024-01-02 15:00", "%Y-%m-%d %H:%M", {"day_ends": "15:00"}, "=2"),
        ("2024-01-02 15:01", "%Y-%m-%d %H:%M", {"day_ends": "15:00"}, "=3"),
        ("2024-01-02 23:59:59.999", "%Y-%m-%d %H:%M:%S.%f", {"day_ends": "23:59"}, "=2"),
        (
            "2024-07-02 00:30+00",
            "%Y-%m-%d %H:%M%z",
            {"timezone": "America/New_York", "day_ends": "20:30"},
            "2024-07-01",
        ),
        (
            "2024-07-02 00:31+0000",
            "%Y-%m-%d %H:%M%z",
            {"timezone": "America/New_York", "day_ends": "20:30"},
            "2024-07-02",
        ),
    ],
)
def test_a_stamp_is_the_trading_day_that_the_settings_name(
    tmp_path, cell, date_format, changes, day
):
    text = f"date,a\n{cell},1\n"
    expected = day.replace("=", "2024-01-0")
    assert read_text(tmp_path, text, date_format=date_format, **changes)[0] == [expected]


def test_offsets_of_summer_and_winter_may_stand_in_one_column(tmp_path):
    text = "date,a\n2024-01-02 00:00:00+01:00,1\n2024-07-02 00:00:00+02:00,2\n"
    changes = {"date_format": "%Y-%m-%d %H:%M:%S%z", "timezone": "Europe/Berlin"}
    assert read_text(tmp_path, text, **changes)[0] == ["2024-01-02", "2024-07-02"]


@pytest.mark.parametrize(
    ("cell", "changes", "part"),
    [
        (
            "2024-01-02 00:00+0800",
            {"date_format": "%Y-%m-%d %H:%M%z"},
            "a timezone (UTC); set t",
        ),
        ("1704153600", {"date_format": "unix_s"}, "as timezone: Asia/Shanghai"),
        (
            "2024-01-02",
            {"timezone": "Asia/Shangai"},
            "'Asia/Shangai' is unknown, expected one",
        ),
        ("2024-01-02", {"timezone": "../etc"}, "timezone '../etc' is unknown"),
        (
            "2024-01-02 15:04",
            {"date_format": "%Y-%m-%d %H:%M"},
            "line 2: 2024-01-02 15:04:00 has a time of day; set day_ends, the last time that "
            'belongs to the day of its date, as day_ends: "15:04"',
        ),
        ("1704153600000", {"date_format": "unix_s", "timezone": "UTC"}, "unix_s, a number of 1950"),
        ("0", {"date_format": "excel"}, "line 2: '0' is not a date written as excel"),
        (
            "2024-01-02",
            {"date_format": "%Y-%m-%d%z", "timezone": "UTC"},
            "is not a date written as",
        ),
        ("2024-01-02", {"date_format": "%z%Y"}, "with %z at its end if at all"),
        ("soon", {"date_format": "unix_s", "timezone": "UTC"}, "'soon' is not a date written as"),
    ],
)
def test_a_stamp_that_the_settings_do_not_name_is_a_line_that_names_the_setting(
    tmp_path, cell, changes, part
):
    assert part in refusal(read_text, tmp_path, f"date,a\n{cell},1\n", **changes)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_real_dates_of_any_unit_and_zone_are_read(tmp_path, unit, zone):
    stamps = pd.DatetimeIndex(["2024-01-02", "2024-01-03"]).as_unit(unit).tz_localize(zone)
    path = tmp_path / "f.parquet"
    pd.DataFrame({"date": stamps, "a": [1.0, 2.0]}).to_parquet(path)
    # Midnight in Tokyo is eleven in the evening before in Shanghai.
    changes = {"timezone": "Asia/Shanghai", "day_ends": "22:00"} if zone else {}
    assert read(path, **changes)[0] == TWO_DAYS
    if zone:
        assert "have a timezone (Asia/Tokyo); set timezone" in refusal(read, path)


# --- the index that pandas writes -----------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet", "pkl"])
@pytest.mark.parametrize("name", [None, "date"])
def test_the_index_of_pandas_is_date_column_null(tmp_path, suffix, name):
    path = tmp_path / f"f.{suffix}"
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.DatetimeIndex(TWO_DAYS, name=name))
    write = {"csv": "to_csv", "xlsx": "to_excel", "parquet": "to_parquet", "pkl": "to_pickle"}
    getattr(frame, write[suffix])(path)
    if name is None:
        assert read(path, date_column=None) == (TWO_DAYS, [1.0, 2.0])
        assert refusal(read, path).endswith(
            "its columns are 'a'; the index of pandas is date_column: null"
        )
    else:
        assert read(path) == (TWO_DAYS, [1.0, 2.0])
    if name is not None and suffix in ("parquet", "pkl"):
        assert read(path, date_column=None) == (TWO_DAYS, [1.0, 2.0])
    if name is not None and suffix in ("csv", "xlsx"):
        assert "has no index of pandas" in refusal(read, path, date_column=None)


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet", "pkl"])
def test_row_numbers_beside_the_dates_do_no_harm(tmp_path, suffix):
    path = tmp_path / f"f.{suffix}"
    frame = pd.DataFrame({"date": pd.to_datetime(TWO_DAYS), "a": [1.0, 2.0]})
    write = {"csv": "to_csv", "xlsx": "to_excel", "parquet": "to_parquet", "pkl": "to_pickle"}
    getattr(frame, write[suffix])(path)
    assert read(path) == (TWO_DAYS, [1.0, 2.0])
    message = refusal(read, path, date_column=None)
    assert any(part in message for part in ("is not a date", "real date", "no index of pandas"))


# --- workbooks ------------------------------------------------------------------------------------


def write_book(folder, rows, *, epoch1904=False):
    book = openpyxl.Workbook()
    if epoch1904:
        book.epoch = CALENDAR_MAC_1904
    for row in [["date", "a"], *rows]:
        book.active.append(row)
    path = folder / "f.xlsx"
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("epoch1904", "serials"), [(False, [45293, 45294.0]), (True, [43831, 43832.0])]
)
def test_serial_numbers_of_a_workbook_are_real_dates_in_its_epoch(tmp_path, epoch1904, serials):
    path = write_book(tmp_path, [[day, 1.0] for day in serials], epoch1904=epoch1904)
    assert read(path)[0] == TWO_DAYS
    assert read(path, date_format="excel")[0] == TWO_DAYS


@pytest.mark.parametrize("epoch1904", [False, True])
def test_real_dates_of_a_workbook_do_not_depend_on_its_epoch(tmp_path, epoch1904):
    days = [datetime.datetime(2024, 1, 2), datetime.date(2024, 1, 3)]
    path = write_book(tmp_path, [[day, 1.0] for day in days], epoch1904=epoch1904)
    assert read(path)[0] == TWO_DAYS


def test_row_numbers_of_a_workbook_are_no_dates(tmp_path):
    path = write_book(tmp_path, [[number, 1.0] for number in range(3)])
    assert "row 2: 0 is not a real date; set date_format" in refusal(read, path)


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        (
            "#DIV/0!",
            "'#DIV/0!' is not a number, expected digits with a decimal point, or a blank; "
            "set na_values: ['#DIV/0!'], if it marks a blank",
        ),
        (True, "'True' is not a number but a bool; correct the cell"),
        (datetime.time(1, 2), "'01:02:00' is not a number but a time; correct the cell"),
        (datetime.datetime(2020, 1, 1), "is not a number but a datetime; correct the cell"),
    ],
)
def test_a_cell_of_another_kind_among_numbers_is_a_line(tmp_path, cell, part):
    days = pd.bdate_range("2024-01-02", periods=3)
    path = write_book(tmp_path, [[day, v] for day, v in zip(days, [1, cell, 2], strict=True)])
    message = refusal(read, path)
    assert "column 'a', row 3: " in message
    assert part in message


def test_a_total_at_the_end_of_a_sheet_is_a_line_that_says_skipfooter(tmp_path):
    days = pd.bdate_range("2024-01-02", periods=2)
    path = write_book(tmp_path, [*[[day, 1.0] for day in days], ["Total", None]])
    message = refusal(read, path)
    assert (
        "row 4: 'Total' is not a real date; set skipfooter: 1, if the table ends above" in message
    )
    assert read(path, skipfooter=1) == (TWO_DAYS, [1.0, 1.0])


def test_a_number_that_a_sheet_stores_does_not_obey_the_marks_of_texts(tmp_path):
    path = write_book(tmp_path, [["2.1.2024", 1234.5], ["3.1.2024", "1.234,5"]])
    changes = {"date_format": "%d.%m.%Y", "decimal": ",", "thousands": "."}
    assert read(path, **changes) == (TWO_DAYS, [1234.5, 1234.5])


@pytest.mark.parametrize("symbol", ["(", "-", "5"])
def test_what_would_change_a_number_is_no_symbol(symbol):
    with pytest.raises(ValueError, match="would change the number; symbols are signs"):
        FileSettings(file="f.csv", format="csv", symbols=[symbol], **LAYOUT)


# --- pickled frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [object, "str"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickled_frame_is_read_without_pandas(tmp_path, dtype, protocol):
    index = pd.DatetimeIndex(TWO_DAYS, name="date")
    frame = pd.DataFrame({"b": [1, 2], "a": [1.5, np.nan], "name": ["x", None]}, index=index)
    frame = frame.astype({"name": dtype})
    frame.columns = frame.columns.astype(dtype)
    frame.insert(0, "c", [7.0, 8.0])
    frame.to_pickle(tmp_path / "f.pkl", protocol=protocol)
    settings = FileSettings(file="f.pkl", format="pickle", **LAYOUT | REAL)
    table = read_raw_table(tmp_path / "f.pkl", settings)
    assert table.headers == ("date", "c", "b", "a", "name")
    assert [parse_numbers(table, header).tolist() for header in "cb"] == [[7.0, 8.0], [1.0, 2.0]]
    np.testing.assert_array_equal(parse_numbers(table, "a"), [1.5, np.nan])
    # pandas 2 makes a text of None.
    assert table.column("name").fillna("").tolist() == frame["name"].fillna("").tolist()
    assert table.column("name").iloc[0] == "x"
    assert parse_dates(table).tolist() == index.tolist()


def test_months_at_the_head_of_a_pickled_frame_are_contracts(tmp_path):
    frame = pd.DataFrame([[1.0, 2.0]], index=pd.DatetimeIndex(TWO_DAYS[:1]))
    frame.columns = pd.PeriodIndex(["1969-12", "2024-01"], freq="M")
    frame.to_pickle(tmp_path / "f.pkl")
    assert read(tmp_path / "f.pkl", "1969-12", date_column=None) == (TWO_DAYS[:1], [1.0])
    assert read(tmp_path / "f.pkl", "2024-01", date_column=None)[1] == [2.0]


def test_a_pickled_dict_of_series_is_put_side_by_side(tmp_path):
    early, late = (pd.DatetimeIndex([day]) for day in TWO_DAYS)
    curves = {"I2405": pd.Series([1.0], index=late), "I2401": pd.Series([2.0], index=early)}
    pd.to_pickle(curves, tmp_path / "f.pkl")
    days, values = read(tmp_path / "f.pkl", "I2405", date_column=None)
    assert days == TWO_DAYS
    np.testing.assert_array_equal(values, [np.nan, 1.0])


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (pd.DataFrame({"a": [True]}), "column 'a': its values are of type 'b1', expected numbers"),
        (pd.DataFrame({"a": [[1.0]]}), "column 'a': its values are of type 'O8', expected numbers"),
        (pd.DataFrame({"a": [1.0]}, index=pd.PeriodIndex(["2024Q1"], freq="Q")), "another length"),
        (pd.DataFrame({("a", "b"): [1.0]}), "refuses to load pandas"),
        (pd.DataFrame({"a": pd.Categorical(["x"])}), "refuses to load pandas"),
    ],
    ids=["truths", "lists", "quarters", "two rows of headers", "categories"],
)
def test_what_a_frame_may_not_hold_is_a_line(tmp_path, frame, part):
    date = "date" if frame.columns.nlevels == 1 else ("date", "")
    frame[date] = pd.to_datetime("2024-01-02")
    frame.to_pickle(tmp_path / "f.pkl")
    assert part in refusal(read, tmp_path / "f.pkl")


@pytest.mark.skipif(pd.__version__ < "3", reason="pandas 2 writes every text by itself")
def test_blocks_that_share_their_bytes_cannot_grow_beyond_the_file(tmp_path):
    index = pd.DatetimeIndex(TWO_DAYS[:1])
    frame = pd.DataFrame({"a": pd.array(["x" * 10_000], dtype="str")}, index=index)
    (state,) = [frame.__reduce_ex__(4)[2]["_mgr"]]
    (block,), axes = state.blocks, [pd.Index([f"c{n}" for n in range(100)]), index]
    shared = type(state)(tuple(block for _ in range(100)), axes, verify_integrity=False)
    assert shared.nblocks == 100
    whole = pd.DataFrame._from_mgr(shared, axes)
    whole.to_pickle(tmp_path / "f.pkl")
    assert (tmp_path / "f.pkl").stat().st_size < 20_000
    assert "claims more prices than it has bytes" in refusal(read, tmp_path / "f.pkl")
