import datetime
import sys

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.config.data import ContractsSettings, FileSettings
from ironore_lightning.data.sources import read_contracts, read_table
from ironore_lightning.errors import DataError

LAYOUT = {
    "file": "f.csv",
    "format": "csv",
    "date_column": "Date",
    "date_format": "%d/%m/%Y",
    "delimiter": ",",
}
REAL_DATES = {"date_format": None, "delimiter": None}
TWO_DAYS = pd.to_datetime(["2024-01-03", "2024-01-02"])
BINARY = pytest.mark.parametrize("file_format", ["parquet", "excel"])


def write(folder, content, file="f.csv"):
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / file).write_bytes(raw)
    return folder


def table(folder, content, **changes):
    return read_table(FileSettings(**LAYOUT | changes), write(folder, content))


def refusal(read, *arguments, **changes):
    with pytest.raises(DataError) as caught:
        read(*arguments, **changes)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_a_table_takes_every_named_column(tmp_path):
    frame = table(tmp_path, "b,Date,a,\n1,3/1/2024,2,\n3,2/1/2024,,\n")
    assert list(frame.columns) == ["b", "a"]
    np.testing.assert_array_equal(frame.to_numpy(), [[3.0, np.nan], [1.0, 2.0]])


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("Date,a,note\n2/1/2024,1,\n3/1/2024,1,holiday\n", "column 'note', line 3: 'holiday'"),
        ("Date,a\n2/1/2024,1\n2/1/2024,1\n", "2024-01-02 is there twice"),
        ("Date,a,b\n2/1/2024,1,\n", "no value in column 'b'"),
        ("Date,\n2/1/2024,\n", "no column besides the date"),
    ],
    ids=["text", "date twice", "blank column", "only dates"],
)
def test_a_mistake_in_a_table_is_one_line(tmp_path, content, part):
    assert part in refusal(table, tmp_path, content)


def store(folder, frame, file_format, **changes):
    """Write a frame and read it back as a table of real dates."""
    suffix = {"parquet": "parquet", "excel": "xlsx"}[file_format]
    path = folder / f"f.{suffix}"
    if file_format == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_excel(path, index=False)
    layout = LAYOUT | REAL_DATES | {"file": path.name, "format": file_format}
    return read_table(FileSettings(**layout | changes), folder)


@BINARY
@pytest.mark.parametrize(
    ("dates", "date_format"),
    [
        (TWO_DAYS, None),
        ([datetime.date(2024, 1, 3), datetime.date(2024, 1, 2)], None),
        (["3/1/2024", "2/1/2024"], "%d/%m/%Y"),
    ],
    ids=["datetimes", "dates", "text"],
)
def test_real_dates_and_text_are_read(tmp_path, file_format, dates, date_format):
    written = pd.DataFrame({"Date": dates, "a": [1, 2], "b": [None, 0.1]})
    frame = store(tmp_path, written, file_format, date_format=date_format)
    assert list(frame.index) == list(TWO_DAYS[::-1])
    assert frame.index.dtype == "datetime64[us]"
    np.testing.assert_array_equal(frame.to_numpy(), [[2.0, 0.1], [1.0, np.nan]])


@BINARY
@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize(
    ("date_format", "cell", "read_as", "spelt"),
    [
        ("%d%m%Y", "1032024", "2024-03-10", "10032024"),  # 1 March in a column of numbers
        ("%d%m%Y", "9032024", "2024-03-09", "09032024"),
        ("%y%m%d", "50102", "2050-10-02", "501002"),
        ("%Y%j", "202432", "2024-02-01", "2024032"),
    ],
)
def test_digits_that_a_date_lacks_are_not_borrowed_from_its_neighbours(
    tmp_path, file_format, kind, date_format, cell, read_as, spelt
):
    written = pd.DataFrame({"Date": [kind(cell)], "a": [1.0]})
    message = refusal(store, tmp_path, written, file_format, date_format=date_format)
    row = 1 if file_format == "parquet" else 2
    assert f"row {row}: '{cell}' is not a date written as '{date_format}'" in message
    assert f"in which {read_as} is '{spelt}'; are digits lost? store dates as text" in message


@BINARY
def test_numbers_with_all_digits_of_a_date_are_dates(tmp_path, file_format):
    written = pd.DataFrame({"Date": [20240103, 20240102], "a": [1.0, 2.0]})
    frame = store(tmp_path, written, file_format, date_format="%Y%m%d")
    assert list(frame.index) == list(TWO_DAYS[::-1])


def test_the_named_index_of_a_parquet_file_is_its_date_column(tmp_path):
    written = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.DatetimeIndex(TWO_DAYS, name="Date"))
    assert store(tmp_path, written, "parquet")["a"].tolist() == [2.0, 1.0]


def test_blank_rows_of_a_sheet_are_dropped(tmp_path):
    written = pd.DataFrame({"Date": [TWO_DAYS[0], None, " "], "a": [1.0, None, None]}, dtype=object)
    assert store(tmp_path, written, "excel")["a"].tolist() == [1.0]


def test_a_month_that_a_spreadsheet_turned_into_a_date_is_a_contract(tmp_path):
    written = pd.DataFrame({"Date": TWO_DAYS, datetime.datetime(2025, 1, 1): [1.0, 2.0]})
    written.to_excel(tmp_path / "f.xlsx", index=False)
    layout = LAYOUT | REAL_DATES | {"file": "f.xlsx", "format": "excel"}
    frame = read_contracts("price", ContractsSettings(**layout, unit="USD/t"), tmp_path)
    assert [str(month) for month in frame.columns] == ["2025-01"]


@BINARY
@pytest.mark.parametrize(
    ("columns", "date_format", "part"),
    [
        ({"Date": TWO_DAYS + pd.Timedelta("1h")}, None, "has a time of day"),
        ({"Date": ["3/1/2024", "2/1/2024"]}, None, "set date_format"),
        ({"Date": [20240103, 20240102]}, None, "is not a real date"),
        ({"a": ["1", "x"]}, None, "'x' is not a number"),
        ({"a": [1.0, "-inf"]}, None, "is infinite"),
        ({"a": [True, False]}, None, "'True' is not a number"),
        ({"a": TWO_DAYS}, None, "is not a number"),
        ({"Date": [TWO_DAYS[0]] * 2}, None, "2024-01-03 is there twice"),
    ],
    ids=["time", "text", "integers", "number", "infinite", "truth", "date as value", "twice"],
)
def test_a_mistake_in_a_binary_table_is_one_line(tmp_path, file_format, columns, date_format, part):
    written = pd.DataFrame({"Date": TWO_DAYS, "a": [1.0, 2.0]} | columns)
    if file_format == "parquet":
        written["a"] = written["a"].astype(str) if written["a"].dtype == object else written["a"]
    message = refusal(store, tmp_path, written, file_format, date_format=date_format)
    assert part in message
    assert message.startswith("f.")


def test_a_text_among_the_real_dates_of_a_sheet_is_refused(tmp_path):
    mixed = pd.DataFrame({"Date": [TWO_DAYS[0], "soon"], "a": [1.0, 2.0]}, dtype=object)
    assert "row 3: 'soon' is not a real date" in refusal(store, tmp_path, mixed, "excel")


def test_a_date_and_a_midnight_may_stand_in_one_column_of_a_sheet(tmp_path):
    dates = [datetime.datetime(2024, 1, 3), datetime.date(2024, 1, 2)]
    mixed = pd.DataFrame({"Date": dates, "a": [1.0, 2.0]}, dtype=object)
    assert store(tmp_path, mixed, "excel")["a"].tolist() == [2.0, 1.0]


def test_categories_of_a_parquet_file_are_read_as_their_text(tmp_path):
    written = pd.DataFrame({"Date": TWO_DAYS, "a": pd.Categorical(["1", None])})
    np.testing.assert_array_equal(store(tmp_path, written, "parquet")["a"], [np.nan, 1.0])


def test_timezones_infinities_and_stated_formats_of_real_dates_are_refused(tmp_path):
    zoned = pd.DataFrame({"Date": TWO_DAYS.tz_localize("UTC"), "a": [1.0, 2.0]})
    assert "have a timezone (UTC)" in refusal(store, tmp_path, zoned, "parquet")
    infinite = pd.DataFrame({"Date": TWO_DAYS, "a": [1.0, np.inf]})
    assert "column 'a', row 2" in refusal(store, tmp_path, infinite, "parquet")
    plain = pd.DataFrame({"Date": TWO_DAYS, "a": [1.0, 2.0]})
    message = refusal(store, tmp_path, plain, "parquet", date_format="%Y")
    assert "date_format must be null" in message


@BINARY
def test_a_broken_binary_file_is_one_line(tmp_path, file_format):
    layout = LAYOUT | REAL_DATES | {"format": file_format}
    write(tmp_path, "PK no such thing PAR1")
    message = refusal(read_table, FileSettings(**layout), tmp_path)
    assert "f.csv: is not a readable" in message


@pytest.mark.parametrize(
    ("file_format", "package"), [("parquet", "pyarrow"), ("excel", "openpyxl")]
)
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch, file_format, package):
    monkeypatch.setitem(sys.modules, package, None)
    layout = LAYOUT | REAL_DATES | {"format": file_format}
    write(tmp_path, "x")
    message = refusal(read_table, FileSettings(**layout), tmp_path)
    assert f'pip install -e ".[{file_format}]"' in message


def test_a_large_parquet_table_keeps_every_value(tmp_path):
    num_days = 200_000
    days = np.datetime64("1700-01-01") + np.arange(num_days)
    values = np.random.default_rng(0).normal(size=(num_days, 3))
    written = pd.DataFrame(values, columns=["a", "b", "c"])
    written.insert(0, "Date", pd.DatetimeIndex(days))
    np.testing.assert_array_equal(store(tmp_path, written, "parquet").to_numpy(), values)
