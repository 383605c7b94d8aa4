import datetime
import sys

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from damage import unpacked
from pyarrow import parquet

from ironore_lightning.data.contract_tables import read_contracts
from ironore_lightning.data.raw_files import read_table
from ironore_lightning.errors import DataError
from ironore_lightning.reading import parquet as parquet_reader
from ironore_lightning.reading.cells import parse_numbers
from ironore_lightning.reading.tables import read_raw_table
from ironore_lightning.settings.data import ContractsSettings, FuturesSettings, TableSettings

LAYOUT = {
    "file": "f.csv",
    "format": "csv",
    "date_column": "Date",
    "date_format": "%d/%m/%Y",
    "delimiter": ",",
}
FUTURES = FuturesSettings(month_offset=1, adjustment="ratio", bridge_days=0)
REAL_DATES = {"date_format": None, "delimiter": None}
TWO_DAYS = pd.to_datetime(["2024-01-03", "2024-01-02"])
BINARY = pytest.mark.parametrize("file_format", ["parquet", "excel"])


def write(folder, content, file="f.csv"):
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / file).write_bytes(raw)
    return folder


def whole_table(settings, folder):
    """Read a table as whoever asks for every column of it."""
    frame, unusable, _ = read_table(settings, folder)
    for reason in unusable.values():
        raise DataError(reason)
    return frame


def table(folder, content, **changes):
    return whole_table(TableSettings(**LAYOUT | changes), write(folder, content))


def raw_table(folder, file, file_format, **changes):
    layout = LAYOUT | REAL_DATES | {"file": file, "format": file_format}
    return read_raw_table(folder / file, TableSettings(**layout | changes))


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


def test_what_is_wrong_with_a_column_is_kept_for_whoever_asks_for_it(tmp_path):
    content = "Date,symbol,a,b,b,c,\n2/1/2024,FEF,1,2,3,,9\n3/1/2024,FEF,4,5,6,,\n"
    frame, unusable, _ = read_table(TableSettings(**LAYOUT), write(tmp_path, content))
    assert frame.to_dict("list") == {"a": [1.0, 4.0]}
    assert unusable == {
        "symbol": "f.csv: column 'symbol', line 2: 'FEF' is not a number, expected digits with a "
        "decimal point, or a blank",
        "b": "f.csv: the header 'b' is there twice",
        "c": "f.csv: no value in column 'c'; fill it",
    }


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
    return whole_table(TableSettings(**layout | changes), folder)


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
    frame = read_contracts(
        "price", ContractsSettings(**layout, unit="USD/t", futures=FUTURES), tmp_path
    ).prices
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
    message = refusal(read_table, TableSettings(**layout), tmp_path)
    assert "f.csv: is not a readable" in message


@pytest.mark.parametrize(
    ("file_format", "package"), [("parquet", "pyarrow"), ("excel", "openpyxl")]
)
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch, file_format, package):
    monkeypatch.setitem(sys.modules, package, None)
    layout = LAYOUT | REAL_DATES | {"format": file_format}
    write(tmp_path, "x")
    message = refusal(read_table, TableSettings(**layout), tmp_path)
    assert f'pip install -e ".[{file_format}]"' in message


def test_a_large_parquet_table_keeps_every_value(tmp_path):
    num_days = 200_000
    days = np.datetime64("1700-01-01") + np.arange(num_days)
    values = np.random.default_rng(0).normal(size=(num_days, 3))
    written = pd.DataFrame(values, columns=["a", "b", "c"])
    written.insert(0, "Date", pd.DatetimeIndex(days))
    np.testing.assert_array_equal(store(tmp_path, written, "parquet").to_numpy(), values)


# --- workbooks ------------------------------------------------------------------------------------

PARTS = {
    "sheet": "xl/worksheets/sheet1.xml",
    "book": "xl/workbook.xml",
    "styles": "xl/styles.xml",
    "types": "[Content_Types].xml",
}
NAMESPACE = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LONG_TEXT = b"<sst %s><si><t>%s</t></si></sst>" % (NAMESPACE, b"x" * 2**20)
NEVER_CALCULATED = (
    "was never calculated; open the file in Excel or LibreOffice, recalculate everything "
    "(Ctrl+Alt+F9 or Ctrl+Shift+F9) and save it"
)


def write_book(folder, rows, *, first_hidden=False, **changes):
    """Write a workbook; `changes` put one text in the place of another in one of its parts."""
    book = openpyxl.Workbook()
    for row in [["Date", "a", "b"], *rows]:
        book.active.append(row)
    if first_hidden:
        book.create_sheet("old", 0).append(["Date", "a", "b"])
        book["old"].append([TWO_DAYS[0], -1.0, -1.0])
        book["old"].sheet_state, book.active = "hidden", 1
    book.save(folder / "f.xlsx")

    def change(parts):
        for name, (old, new) in changes.items():
            assert old in parts[PARTS[name]]
            parts[PARTS[name]] = parts[PARTS[name]].replace(old, new)
        return parts | {"xl/sharedStrings.xml": LONG_TEXT}

    raw = (folder / "f.xlsx").read_bytes()
    (folder / "f.xlsx").write_bytes(unpacked(change)(raw))


def read_book(folder, **changes):
    layout = LAYOUT | REAL_DATES | {"file": "f.xlsx", "format": "excel"}
    return whole_table(TableSettings(**layout | changes), folder)


FORMULA = [[TWO_DAYS[0], 1.0, 2.0], [TWO_DAYS[1], "=B2*3", 4.0]]
SAVED = b"<f>B2*3</f><v />"
AS_CALCULATED = (b'fullCalcOnLoad="1"', b"")


@pytest.mark.parametrize(
    "changes",
    [{}, {"sheet": (SAVED, b"<f>B2*3</f>")}, {"sheet": (SAVED, b"<f>B2*3</f><v>0</v>")}],
    ids=["an empty value", "no value", "a zero that is to be calculated"],
)
def test_a_formula_that_was_never_calculated_is_named_with_its_cell(tmp_path, changes):
    write_book(tmp_path, FORMULA, **changes)
    message = refusal(read_book, tmp_path)
    assert message == f"f.xlsx: column 'a': the formula in 'Sheet!B3' {NEVER_CALCULATED}"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b'<c r="B3"><f>B2*3</f><v>3</v></c>', 3.0),
        (b'<c r="B3"><f>B2*3</f><v>0</v></c>', 0.0),
        (b'<c r="B3" t="str"><f>B2*3</f><v></v></c>', np.nan),
    ],
    ids=["number", "zero", "empty text"],
)
def test_a_formula_with_a_value_is_that_value(tmp_path, value, read):
    cell = b'<c r="B3">' + SAVED + b"</c>"
    write_book(tmp_path, FORMULA, sheet=(cell, value), book=AS_CALCULATED)
    np.testing.assert_array_equal(read_book(tmp_path)["a"], [read, 1.0])


def test_a_formula_that_fills_a_range_is_missed_in_each_of_its_columns(tmp_path):
    filling = openpyxl.worksheet.formula.ArrayFormula("B2:C3", "=F2:G3*1")
    write_book(tmp_path, [[TWO_DAYS[0], filling, None], [TWO_DAYS[1], None, None]])
    table = raw_table(tmp_path, "f.xlsx", "excel")
    assert [number for number in range(3) if number in table.unreadable] == [1, 2]
    for header in ("a", "b"):
        assert f"column '{header}': the formula in 'Sheet!B2' was" in refusal(table.column, header)


def test_the_formulas_of_a_column_that_is_not_asked_for_do_not_matter(tmp_path):
    write_book(tmp_path, FORMULA)
    table = raw_table(tmp_path, "f.xlsx", "excel")
    assert parse_numbers(table, "b").tolist() == [2.0, 4.0]


def test_the_sheet_is_named_where_there_are_several_or_it_is_hidden(tmp_path):
    write_book(tmp_path, [[TWO_DAYS[0], 1.0, 2.0]], first_hidden=True)
    advice = "f.xlsx: set sheet_name, as its sheets are 'old', 'Sheet' (hidden: 'old')"
    assert refusal(read_book, tmp_path) == advice
    assert read_book(tmp_path, sheet_name="Sheet").to_numpy().tolist() == [[1.0, 2.0]]
    assert read_book(tmp_path, sheet_name="old").to_numpy().tolist() == [[-1.0, -1.0]]
    message = refusal(read_book, tmp_path, sheet_name="sheet")
    assert "there is no sheet 'sheet'; did you mean 'Sheet'?; its sheets are 'old', 'S" in message
    state = (b'state="visible"', b'state="hidden"')
    write_book(tmp_path, [[TWO_DAYS[0], 1.0, 2.0]], book=state)
    assert "f.xlsx: set sheet_name, as its sheets are 'Sheet' (hidden" in refusal(
        read_book, tmp_path
    )


# --- bombs ----------------------------------------------------------------------------------------


def test_a_text_that_many_cells_of_a_parquet_file_share_is_counted_before_it_is_spelt(tmp_path):
    num_rows, text = 40_000, "x" * 200_000
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * num_rows, pa.int32()), [text])
    dates = pa.array(pd.date_range("1900-01-01", periods=num_rows))
    columns = {"Date": dates, "a": pa.array([1.0] * num_rows), "b": shared}
    parquet.write_table(pa.table(columns), tmp_path / "f.parquet", store_schema=False)
    assert (tmp_path / "f.parquet").stat().st_size < 400_000
    table = raw_table(tmp_path, "f.parquet", "parquet")
    assert parse_numbers(table, "a").tolist() == [1.0] * num_rows
    message = refusal(parse_numbers, table, "b")
    assert message == "f.parquet: a column of 8000000000 characters, may have 67108864"


def test_a_text_that_many_cells_of_a_workbook_share_is_counted_before_it_is_spelt(tmp_path):
    part = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    types = b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + part + b'"/></Types>'
    rows = [[day, 1.0, 0] for day in pd.date_range("2000-01-01", periods=100)]
    shares = (b't="n"><v>0</v>', b't="s"><v>0</v>')
    write_book(tmp_path, rows, sheet=shares, types=(b"</Types>", types))
    table = raw_table(tmp_path, "f.xlsx", "excel")
    assert parse_numbers(table, "a").tolist() == [1.0] * 100
    message = refusal(parse_numbers, table, "b")
    assert message == "f.xlsx: a column of 104857600 characters, may have 67108864"


def test_values_of_a_parquet_file_are_counted_as_they_are_unpacked(tmp_path, monkeypatch):
    whole = pd.DataFrame({"Date": TWO_DAYS, "a": [1.0, 2.0]})
    monkeypatch.setattr(parquet_reader, "MAX_BYTES", 34)
    assert len(store(tmp_path, whole, "parquet")) == 2
    monkeypatch.setattr(parquet_reader, "MAX_BYTES", 33)
    message = refusal(store, tmp_path, whole, "parquet")
    assert message == "f.parquet: unpacks to 34 bytes or more, may have 33"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[0] * 3_000_000, []], "list<element: int8>"),
        ([{"x": 1}, {"x": 2}], "struct<x: int8>"),
        ([b"x" * 1_000_000] * 2, "fixed_size_binary[1000000]"),
    ],
    ids=["list", "struct", "bytes"],
)
def test_cells_that_hold_more_than_one_value_are_not_unpacked(tmp_path, values, kind):
    types = {"list": pa.list_(pa.int8()), "struct": pa.struct({"x": pa.int8()})}
    odd = pa.array(values, types.get(kind.partition("<")[0], pa.binary(1_000_000)))
    written = pa.table({"Date": pa.array(TWO_DAYS), "odd": odd, "a": pa.array([1.0, 2.0])})
    parquet.write_table(written, tmp_path / "f.parquet", compression="zstd")
    assert (tmp_path / "f.parquet").stat().st_size < 3000
    table = raw_table(tmp_path, "f.parquet", "parquet")
    assert parse_numbers(table, "a").tolist() == [1.0, 2.0]
    message = refusal(parse_numbers, table, "odd")
    assert message == f"f.parquet: column 'odd': holds {kind}, expected numbers, text or dates"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"styles": (b"</cellXfs>", b"<xf/>" * 500_000 + b"</cellXfs>")}, "tags of styles, may"),
        ({"sheet": (b"</sheetData>", b"<row>" + b"<c/>" * 5_000_000)}, "cells or more, may have"),
    ],
    ids=["styles", "cells of a row"],
)
def test_tags_of_a_workbook_are_counted_before_they_become_objects(tmp_path, changes, text):
    write_book(tmp_path, [], **changes)
    assert text in refusal(read_book, tmp_path)
