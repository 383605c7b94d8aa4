"""Prepared tables as they go wrong, in all three formats: one line that says what and where."""

import shutil

import numpy as np
import pandas as pd
import pytest
from damage import in_bytes, in_cell, in_frame, in_lines, unpacked
from small_market import (
    bits,
    original_settings,
    prepared_table_settings,
    read_market,
    write_small_market,
)

from ironore_lightning.errors import DataError
from ironore_lightning.reading import raw_bytes as files
from ironore_lightning.reading import workbooks

FILES = {"csv": "table.csv", "parquet": "table.parquet", "excel": "table.xlsx"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folder of one prepared table in all three formats."""
    folder = tmp_path_factory.mktemp("table")
    write_small_market(folder)
    _, panel = read_market(original_settings(folder))
    table = panel.values.dropna().round(6).rename_axis("date").reset_index()
    assert table.shape[0] > 70
    table.to_parquet(folder / "table.parquet", index=False)
    table.to_excel(folder / "table.xlsx", index=False)
    table.to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of the tables, to be damaged."""
    return shutil.copytree(prepared, tmp_path / "raw")


def table_settings(root, file_format):
    """Return what `data=table` says of the data, for a format."""
    is_text = file_format == "csv"
    table = {
        "file": FILES[file_format],
        "format": file_format,
        "date_column": "date",
        "date_format": "%Y-%m-%d" if is_text else None,
        "delimiter": "," if is_text else None,
    }
    return prepared_table_settings(root, table)


SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (number, b"&l%d;" % (number - 1) * 10) for number in range(1, 30)
)


def with_far_cell(contents):
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    return contents | {SHEET: contents[SHEET].replace(b"</sheetData>", far)}


def with_entities(contents):
    bomb = b'<!DOCTYPE worksheet [<!ENTITY l0 "ha">' + LAUGHS + b"]>"
    text = b'<c r="A2" t="str"><v>&l29;</v></c>'
    sheet = contents[SHEET].replace(b"<sheetData>", b"<sheetData><row>" + text + b"</row>")
    return contents | {SHEET: bomb + sheet}


def with_price_of(value):
    return lambda frame: frame.assign(
        price_65_m1=frame["price_65_m1"].astype(object).where(frame.index != 5, value)
    )


TABLES = {
    ("csv", "cut"): (in_bytes("table.csv", lambda raw: raw[:3000]), "has "),
    ("csv", "text"): (
        in_cell("table.csv", 7, 1, "high"),
        "column 'price_65_m1', line 7: 'high' is not a number",
    ),
    ("csv", "no column but the date"): (
        in_lines("table.csv", lambda lines: [line.partition(",")[0] + "," for line in lines]),
        "there is no column besides the date",
    ),
    ("csv", "a header twice"): (
        in_cell("table.csv", 1, 3, "price_65_m1"),
        "the header 'price_65_m1' is there twice",
    ),
    ("csv", "weeks are lost"): (
        in_lines("table.csv", lambda lines: lines[:20] + lines[50:]),
        "there is no trading day between",
    ),
    ("csv", "a century ago"): (
        in_cell("table.csv", 9, 0, lambda date: date.replace("2025", "1925")),
        "there is no trading day between 1925-",
    ),
    ("csv", "column ends early"): (
        in_lines(
            "table.csv",
            lambda lines: [*lines[:20], *(line.rpartition(",")[0] + "," for line in lines[20:])],
        ),
        "the last value of 'IOCJ Weekly shipment' is of",
    ),
    ("parquet", "empty"): (in_bytes("table.parquet", lambda _: b""), "is empty (no bytes)"),
    ("parquet", "cut"): (
        in_bytes("table.parquet", lambda raw: raw[:-100]),
        "is not a readable parquet file: ",
    ),
    ("parquet", "beginning lost"): (
        in_bytes("table.parquet", lambda raw: raw[100:]),
        "is not a readable parquet file: ",
    ),
    ("parquet", "a csv"): (
        in_bytes("table.parquet", lambda _: b"date,a\n2025-01-01,1\n"),
        "is not a readable parquet file: ",
    ),
    ("parquet", "text as dates"): (
        in_frame("table.parquet", lambda frame: frame.assign(date=frame["date"].astype(str))),
        "column 'date', row 1: '2025-",
    ),
    ("parquet", "integers as dates"): (
        in_frame("table.parquet", lambda frame: frame.assign(date=range(len(frame)))),
        "column 'date', row 1: 0 is not a real date",
    ),
    ("parquet", "dates beyond any calendar"): (
        in_frame(
            "table.parquet",
            lambda frame: frame.assign(date=np.array([10**14] * len(frame), dtype="datetime64[s]")),
        ),
        "column 'date', row 1: ",
    ),
    ("parquet", "text as numbers"): (
        in_frame("table.parquet", lambda frame: frame.assign(price_65_m1="high")),
        "column 'price_65_m1', row 1: 'high' is not a number",
    ),
    ("parquet", "lists as numbers"): (
        in_frame("table.parquet", lambda frame: frame.assign(price_65_m1=[[1.0]] * len(frame))),
        "column 'price_65_m1': holds list<element: double>, expected numbers, text or dates",
    ),
    ("parquet", "truth as numbers"): (
        in_frame("table.parquet", lambda frame: frame.assign(price_65_m1=True)),
        "column 'price_65_m1', row 1: 'True' is not a number",
    ),
    ("parquet", "an infinity"): (
        in_frame(
            "table.parquet",
            lambda frame: frame.assign(
                price_65_m1=frame["price_65_m1"].where(frame.index != 5, np.inf)
            ),
        ),
        "column 'price_65_m1', row 6: the value is infinite",
    ),
    ("parquet", "no row"): (
        in_frame("table.parquet", lambda frame: frame[:0]),
        "holds a header and no row below it",
    ),
    ("parquet", "no date column"): (
        in_frame("table.parquet", lambda frame: frame.drop(columns="date")),
        "there is no column 'date'",
    ),
    ("parquet", "a date twice"): (
        in_frame("table.parquet", lambda frame: pd.concat([frame, frame[3:4]], ignore_index=True)),
        "is there twice, on row 4 and row ",
    ),
    ("excel", "empty"): (in_bytes("table.xlsx", lambda _: b""), "is empty (no bytes)"),
    ("excel", "cut"): (
        in_bytes("table.xlsx", lambda raw: raw[:-500]),
        "is not a readable .xlsx workbook: ",
    ),
    ("excel", "a csv"): (
        in_bytes("table.xlsx", lambda _: b"date,a\n2025-01-01,1\n"),
        "is not a readable .xlsx workbook: ",
    ),
    ("excel", "an old workbook"): (
        in_bytes("table.xlsx", lambda raw: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + raw[:3000]),
        "is not a readable .xlsx workbook: ",
    ),
    ("excel", "another zip"): (
        in_bytes("table.xlsx", unpacked(lambda _: {"readme.txt": b"hello"})),
        "is not a readable .xlsx workbook: ",
    ),
    ("excel", "no sheet"): (
        in_bytes(
            "table.xlsx",
            unpacked(lambda parts: {name: parts[name] for name in parts if name != SHEET}),
        ),
        "there is no sheet of cells",
    ),
    ("excel", "broken markup"): (
        in_bytes("table.xlsx", unpacked(lambda parts: parts | {SHEET: parts[SHEET][:-40]})),
        "is not a readable .xlsx workbook: ",
    ),
    ("excel", "a bomb of zeros"): (
        in_bytes("table.xlsx", unpacked(lambda parts: parts | {"bomb": bytes(70 * 2**20)})),
        f"bytes, may have {workbooks.MAX_UNPACKED_BYTES}",
    ),
    ("excel", "a bomb of entities"): (
        in_bytes("table.xlsx", unpacked(with_entities)),
        "is not a readable .xlsx workbook: ",
    ),
    ("excel", "a cell at the far end"): (
        in_bytes("table.xlsx", unpacked(with_far_cell)),
        f"cells or more, may have {files.MAX_CELLS}",
    ),
    ("excel", "text"): (
        in_frame("table.xlsx", with_price_of("high")),
        "column 'price_65_m1', row 7: 'high' is not a number",
    ),
    ("excel", "an error of a formula"): (
        in_frame("table.xlsx", with_price_of("#DIV/0!")),
        "column 'price_65_m1', row 7: '#DIV/0!' is not a number",
    ),
    ("excel", "an infinity"): (
        in_frame("table.xlsx", with_price_of("1e999")),
        "column 'price_65_m1', row 7: the value is infinite",
    ),
    ("excel", "no date column"): (
        in_frame("table.xlsx", lambda frame: frame.drop(columns="date")),
        "there is no column 'date'",
    ),
    ("excel", "a sheet of nothing"): (
        in_frame("table.xlsx", lambda _: pd.DataFrame()),
        "row 1 is blank, expected the header there",
    ),
}


@pytest.mark.parametrize("case", TABLES, ids=" ".join)
def test_a_damaged_table_is_refused_in_a_line_that_says_where(folder, case):
    damage, text = TABLES[case]
    damage(folder)
    with pytest.raises(DataError) as caught:
        read_market(table_settings(folder, case[0]))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{FILES[case[0]]}: ")
    assert text in line
    assert len(line) < 700


def test_the_three_formats_give_the_same_market_bit_for_bit(prepared):
    csv, parquet, excel = (
        bits(read_market(table_settings(prepared, file_format))) for file_format in FILES
    )
    assert len(csv) == 5
    assert csv == parquet == excel


HARMLESS = {
    ("csv", "turned round"): in_lines("table.csv", lambda lines: [lines[0], *lines[:0:-1]]),
    ("csv", "marked"): in_bytes("table.csv", lambda raw: b"\xef\xbb\xbf" + raw),
    ("parquet", "turned round"): in_frame("table.parquet", lambda frame: frame[::-1]),
    ("parquet", "dates as its index"): in_frame(
        "table.parquet", lambda frame: frame.set_index("date")
    ),
    ("parquet", "numbers as text"): in_frame(
        "table.parquet", lambda frame: frame.assign(price_65_m1=frame["price_65_m1"].map(repr))
    ),
    ("excel", "turned round"): in_frame("table.xlsx", lambda frame: frame[::-1]),
    ("excel", "packed anew"): in_bytes("table.xlsx", unpacked(lambda parts: parts)),
    ("excel", "numbers as text"): in_frame(
        "table.xlsx", lambda frame: frame.assign(price_65_m1=frame["price_65_m1"].map(repr))
    ),
}


@pytest.mark.parametrize("case", HARMLESS, ids=" ".join)
def test_what_does_not_matter_gives_the_same_table_bit_for_bit(prepared, folder, case):
    HARMLESS[case](folder)
    undamaged, read = (
        bits(read_market(table_settings(root, case[0]))) for root in (prepared, folder)
    )
    assert read == undamaged
