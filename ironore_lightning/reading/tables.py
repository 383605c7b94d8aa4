"""Read csv, parquet and excel files as cells, dates and numbers."""

import csv
import datetime
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError, closest, missing_extra
from ironore_lightning.reading.raw_bytes import (
    MAX_BYTES,
    listed,
    one_line,
    quoted,
    read_bytes,
    require_few_cells,
)
from ironore_lightning.reading.workbooks import read_sheet

MAX_STORED_CELLS = 50_000_000
"""Most cells of a parquet file, whose numbers take eight bytes each."""

MAX_TEXT = 64 * 2**20
"""Most characters of the cells of a column."""

MISSING_MARKS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "-")
"""Cells that count as blank, apart from spaces around them."""

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

_NUMERIC = r"%[^aAbBpZ%]"
"""Matches a numeric directive of a date format."""

_UNNAMED_INDEX = r"__index_level_[0-9]+__"


@dataclass(frozen=True)
class RawTable:
    """The unparsed cells of a file.

    Attributes:
        file: Name of the file, for messages.
        headers: In the order of the file, without spaces around them.
        cells: Shape (T, columns), columns numbered from 0, rows in the order of the file.
        row_noun: Word for a row of this format, `line` or `row`.
        first_row: Number of the first row of cells in the file.
        unreadable: Why a column cannot be read, by its number; its cells are blank.
    """

    file: str
    headers: tuple[str, ...]
    cells: pd.DataFrame
    row_noun: str
    first_row: int
    unreadable: Mapping[int, str] = field(default_factory=dict)

    def row_name(self, row: int) -> str:
        """Return the name of a row, counted from 0, such as `line 7`."""
        return f"{self.row_noun} {row + self.first_row}"

    def column(self, header: str) -> pd.Series:
        """Return the cells of a column.

        Raises:
            DataError: If there is no such header or two of them, or the column cannot be read.
        """
        wanted = header.strip()
        if wanted not in self.headers:
            raise DataError(
                f"{self.file}: there is no column {quoted(wanted)}{closest(wanted, self.headers)}"
                f"; its columns are {listed(filter(None, self.headers))}"
            )
        if self.headers.count(wanted) > 1:
            raise DataError(f"{self.file}: the header {quoted(wanted)} is there twice")
        number = self.headers.index(wanted)
        if number in self.unreadable:
            raise DataError(f"{self.file}: column {quoted(wanted)}: {self.unreadable[number]}")
        return self.cells.iloc[:, number]


def read_raw_table(path: Path, *, file_format: str, delimiter: str | None) -> RawTable:
    """Read the cells of a file without parsing them.

    Args:
        path: The file.
        file_format: `csv`, `parquet` or `excel` (first sheet).
        delimiter: Between the cells of a csv.

    Raises:
        DataError: If the file is missing, empty, unreadable, too large, in another encoding than
            UTF-8 or ragged, or if the extra that reads it is not installed.
    """
    raw = read_bytes(path)
    if file_format == "csv":
        return _below_header(path.name, _csv_rows(path.name, raw, delimiter or ","), "line")
    if file_format == "excel":
        rows, unreadable = read_sheet(path.name, raw)
        return replace(_below_header(path.name, rows, "row"), unreadable=unreadable)
    if file_format == "parquet":
        return _parquet_table(path.name, raw)
    raise DataError(f"{path.name}: a {file_format} is no table; expected csv, parquet or excel")


def require_headers(table: RawTable) -> None:
    """Raise `DataError` unless there are at least two columns and one row."""
    if len(table.headers) == 1 and table.row_noun == "line":
        header = table.headers[0]
        found = next((mark for mark in ";\t|," if mark in header), None)
        hint = f", the header holds {found!r}" if found else ""
        raise DataError(
            f"{table.file}: only one column was found, {quoted(header)}: "
            f"is the delimiter right{hint}?"
        )
    if not len(table.cells):
        raise DataError(f"{table.file}: holds a header and no row below it")


def parse_dates(table: RawTable, header: str, date_format: str | None) -> pd.Series:
    """Read a column of dates.

    Args:
        table: The cells.
        header: Column of the dates.
        date_format: As `strptime` reads it, never guessed; null where the cells are real dates.

    Returns:
        Dates as datetime64[us], shape (T,), NaT where the cell is blank.

    Raises:
        DataError: If a date does not have the format, has a time of day or a timezone.
    """
    cells = table.column(header)
    where = f"{table.file}: column {quoted(header.strip())}"
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        raise DataError(f"{where}: dates have a timezone ({cells.dt.tz}), expected plain dates")
    is_real = pd.api.types.is_datetime64_dtype(cells.dtype)
    if date_format is None:
        dates = cells if is_real else _dates_of_objects(table, cells, where)
    elif is_real:
        raise DataError(f"{where}: holds real dates, so date_format must be null")
    else:
        dates = _dates_of_text(table, cells, date_format, where)
    timed = dates.notna() & (dates != dates.dt.normalize())
    if timed.any():
        row = int(timed.argmax())
        raise DataError(
            f"{where}, {table.row_name(row)}: {dates.iloc[row]} has a time of day, "
            "expected one row a day"
        )
    return dates.astype("datetime64[us]")


def parse_numbers(table: RawTable, header: str) -> NDArray[np.float64]:
    """Read a column of numbers.

    Returns:
        Shape (T,), NaN where the cell is blank or holds one of `MISSING_MARKS`.

    Raises:
        DataError: If a cell is not a number, or infinite.
    """
    cells = table.column(header)
    where = f"{table.file}: column {quoted(header.strip())}"
    if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
        values = cells.to_numpy(dtype="float64", na_value=np.nan)
    else:
        values = _numbers_of_text(table, cells, where)
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(f"{where}, {table.row_name(row)}: the value is infinite, expected a number")
    return values


def _numbers_of_text(table: RawTable, cells: pd.Series, where: str) -> NDArray[np.float64]:
    """Parse cells of text, or of numbers and text."""
    text = as_text(table.file, cells)
    missing = text.isin(MISSING_MARKS)
    wrong = ~(text.str.fullmatch(_NUMBER) | missing)
    if wrong.any():
        row = int(wrong.argmax())
        reason = "is infinite" if _is_infinite(text.iloc[row]) else "is not a number"
        raise DataError(
            f"{where}, {table.row_name(row)}: {quoted(text.iloc[row])} {reason}, "
            "expected digits with a decimal point, or a blank"
        )
    # The parser of pandas 2 is off by the last bit of many numbers.
    return text.mask(missing, "nan").to_numpy(dtype=object).astype(np.float64)


def _is_infinite(text: str) -> bool:
    """Whether a text is an infinity, or a number that overflows to it."""
    try:
        return math.isinf(float(text))
    except ValueError:
        return False


def _dates_of_text(
    table: RawTable, cells: pd.Series, date_format: str, where: str
) -> "pd.Series[pd.Timestamp]":
    """Parse cells of one date format."""
    # Pandas guesses where the format is "mixed" or "ISO8601".
    if "%" not in date_format or "%z" in date_format.lower():
        raise DataError(
            f"{where}: date_format {quoted(date_format)} must spell a date, as %d/%m/%Y"
        )
    text = as_text(table.file, cells)
    blank = text.isin(MISSING_MARKS)
    try:
        dates = pd.to_datetime(text.mask(blank), format=date_format, errors="coerce")
        back = dates.dt.strftime(date_format).fillna("")
    except ValueError as error:
        raise DataError(f"{where}: date_format {quoted(date_format)}: {one_line(error)}") from None
    # Without separators, a missing digit shifts the others and gives another date.
    is_exact = re.search(f"{_NUMERIC}{_NUMERIC}", date_format) is not None
    wrong = ~blank & (dates.isna() | (_normalised(text, is_exact) != _normalised(back, is_exact)))
    if wrong.any():
        row = int(wrong.argmax())
        hint = (
            f", in which {dates.iloc[row]:%Y-%m-%d} is {quoted(back.iloc[row])}; are digits lost? "
            "store dates as text with all their digits, or as real dates"
            if back.iloc[row]
            else ""
        )
        raise DataError(
            f"{where}, {table.row_name(row)}: {quoted(text.iloc[row])} is not a date "
            f"written as {quoted(date_format)}{hint}"
        )
    return dates


def _normalised(text: "pd.Series[str]", is_exact: bool) -> "pd.Series[str]":
    """Return dates without case, repeated spaces and leading zeros, unless `is_exact`."""
    if is_exact:
        return text
    folded = text.str.lower().str.replace(r"\s+", " ", regex=True)
    return folded.str.replace(r"(?<![0-9])[0 ]+(?=[0-9])", "", regex=True)


def _dates_of_objects(table: RawTable, cells: pd.Series, where: str) -> "pd.Series[pd.Timestamp]":
    """Return cells that are dates already, or blank."""
    filled = ~as_text(table.file, cells).isin(MISSING_MARKS)
    kind = pd.api.types.infer_dtype(cells[filled], skipna=True)
    if kind not in ("date", "datetime", "datetime64", "empty"):
        for row in np.flatnonzero(filled):
            if not isinstance(cells.iloc[row], datetime.date):
                raise DataError(
                    f"{where}, {table.row_name(int(row))}: {quoted(cells.iloc[row])} is not a real "
                    "date; if dates are written as text, set date_format"
                )
    try:
        return pd.to_datetime(cells.where(filled, None))
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: {one_line(error)}") from None


def as_text(file: str, cells: pd.Series) -> "pd.Series[str]":
    """Return every cell of a column as text without spaces around it; a missing one is empty.

    Raises:
        DataError: If that takes too much memory: a small file can store a large text once for
            thousands of cells.
    """
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    if cells.dtype == object:
        num_characters = sum(len(cell) for cell in cells if isinstance(cell, str))
        if num_characters > MAX_TEXT:
            raise DataError(f"{file}: a column of {num_characters} characters, may have {MAX_TEXT}")
    missing = cells.isna()
    if missing.any():
        cells = cells.astype(object).where(~missing, "")
    return cells.astype(str).str.strip()


def _below_header(file: str, rows: Sequence[Sequence[object]], row_noun: str) -> RawTable:
    """Return the table below its header, the first row; short rows are filled with blanks."""
    headers = [_header(cell) for cell in rows[0]] if rows else []
    if not any(headers):
        raise DataError(f"{file}: {row_noun} 1 is blank, expected the header there")
    width = max(map(len, rows))
    require_few_cells(file, len(rows) * width)
    headers += [""] * (width - len(headers))
    cells = pd.DataFrame(
        [(*row, *[None] * (width - len(row))) for row in rows[1:]],
        columns=range(width),
        dtype=object,
    )
    return RawTable(file, tuple(headers), cells, row_noun=row_noun, first_row=2)


def _header(cell: object) -> str:
    """Return a header as text; spreadsheets turn 2025-01 into the first day of that month."""
    if isinstance(cell, datetime.date) and cell.day == 1:
        return f"{cell:%Y-%m}"
    return "" if cell is None else str(cell).strip()


def _csv_rows(file: str, raw: bytes, delimiter: str) -> list[list[str]]:
    """Return the rows of cells of a csv, one for each line; a blank line has no cell."""
    rows: list[list[str]] = []
    try:
        text = _text(file, raw)
        require_few_cells(file, sum(text.count(mark) for mark in (delimiter, "\n", "\r")))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in reader:
            rows.append(row if any(map(str.strip, row)) else [])
            if reader.line_num > len(rows):
                raise DataError(
                    f"{file}: line {len(rows)} opens a quote that line {reader.line_num} closes, "
                    "expected every cell on one line"
                )
            if rows[0] and rows[-1] and len(row) != len(rows[0]):
                raise DataError(
                    f"{file}: line {len(rows)} has {len(row)} cells, the header has "
                    f"{len(rows[0])}: is the line whole, and is the delimiter {delimiter!r} right?"
                )
    except TypeError as error:
        raise DataError(f"{file}: delimiter {delimiter!r}: {one_line(error)}") from None
    except csv.Error as error:
        line = f"{file}: line {len(rows) + 1}"
        if reader.line_num > len(rows) + 1:
            raise DataError(f"{line} opens a quote that is never closed") from None
        raise DataError(f"{line} cannot be split into cells: {one_line(error)}") from None
    return rows


def _text(file: str, raw: bytes) -> str:
    """Return the text of a csv, without a byte order mark."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        unmarked = error.object  # the bytes after the byte order mark
        line = unmarked.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{unmarked[error.start]:02x}"
        raise DataError(f"{file}: line {line} is not UTF-8 ({byte}): save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{file}: line {line} holds a zero byte, so it is not UTF-8: save it so")
    if not text.strip():
        raise DataError(f"{file}: is empty (only blank lines)")
    return text


def _parquet_table(file: str, raw: bytes) -> RawTable:
    """Read a parquet file; a named index is a column, an unnamed one is dropped."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{file}: {missing_extra('pyarrow', 'parquet')}") from None
    try:
        metadata = parquet.read_metadata(io.BytesIO(raw))
        num_cells = metadata.num_rows * metadata.num_columns
        require_few_cells(file, num_cells, at_most=MAX_STORED_CELLS)
        stored = metadata.schema.to_arrow_schema()
        fields = [field for field in stored if not re.fullmatch(_UNNAMED_INDEX, field.name)]
        odd = {field.name: one_line(field.type) for field in fields if not _is_plain(field.type)}
        plain = [number for number, field in enumerate(fields) if field.name not in odd]
        frame = _stored_columns(file, raw, [fields[number] for number in plain])
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Arrow and pandas raise many kinds of errors for a broken file.
        raise DataError(f"{file}: is not a readable parquet file: {one_line(error)}") from error
    return RawTable(
        file,
        headers=tuple(_header(field.name) for field in fields),
        cells=frame.set_axis(plain, axis=1).reindex(columns=range(len(fields))),
        row_noun="row",
        first_row=1,
        unreadable={
            number: f"holds {odd[field.name]}, expected numbers, text or dates"
            for number, field in enumerate(fields)
            if field.name in odd
        },
    )


def _is_plain(kind: Any) -> bool:  # noqa: ANN401 - a type of pyarrow, which is an extra
    """Whether a cell of a type is one number, text or date."""
    from pyarrow import types

    tests = (types.is_primitive, types.is_decimal, types.is_null, _is_text)
    return any(test(kind) for test in tests)


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - a type of pyarrow
    """Whether a type is text, possibly dictionary-encoded."""
    from pyarrow import types

    values = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(values) or types.is_large_string(values))


def _stored_columns(file: str, raw: bytes, fields: Sequence[Any]) -> pd.DataFrame:
    """Read columns of a parquet file; texts stay dictionary-encoded to save memory."""
    import pyarrow
    from pyarrow import parquet

    stored = parquet.ParquetFile(
        io.BytesIO(raw),
        page_checksum_verification=True,
        read_dictionary=[field.name for field in fields if _is_text(field.type)],
    )
    names = [field.name for field in fields]
    num_bytes = 0
    batches = []
    for batch in stored.iter_batches(columns=names):
        num_bytes += batch.nbytes
        if num_bytes > MAX_BYTES:
            raise DataError(f"{file}: unpacks to {num_bytes} bytes or more, may have {MAX_BYTES}")
        batches.append(batch)
    read = [field for field in stored.schema_arrow if field.name in names]
    table = pyarrow.Table.from_batches(batches, pyarrow.schema(read))
    return pd.DataFrame(table.to_pandas())
