"""The cells of a csv, parquet or excel file, and the dates and numbers that they spell."""

import csv
import datetime
import io
import math
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.data.files import listed, one_line, quoted, read_bytes
from ironore_lightning.errors import DataError, closest

MAX_CELLS = 5_000_000
"""Most cells of a table of text: a hundred years of days with two hundred columns."""

MAX_STORED_CELLS = 50_000_000
"""Most cells of a parquet file, whose numbers take eight bytes each."""

MAX_UNPACKED_BYTES = 64 * 2**20
"""Most bytes of the parts of a workbook."""

MISSING_MARKS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "-")
"""What a cell without a value may hold, spaces around it aside."""


_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

_NUMERIC = r"%[^aAbBpZ%]"
"""What stands for a number in a date format."""

_UNNAMED_INDEX = r"__index_level_[0-9]+__"


@dataclass(frozen=True)
class RawTable:
    """Cells as they were found.

    Attributes:
        file: Name of the file, for messages.
        headers: Of the columns, in the order of the file, without spaces around them.
        cells: Shape (T, columns), columns numbered from 0, rows in the order of the file.
        row_noun: What a row of this format is called.
        first_row: Number of the first row of cells, counted as the owner of the file sees it.
    """

    file: str
    headers: tuple[str, ...]
    cells: pd.DataFrame
    row_noun: str
    first_row: int

    def place(self, row: int) -> str:
        """Name a row, counted from 0, as in `line 7`."""
        return f"{self.row_noun} {row + self.first_row}"

    def column(self, header: str) -> pd.Series:
        """Cells below a header.

        Raises:
            DataError: If there is no such header; names those there are.
        """
        wanted = header.strip()
        if wanted not in self.headers:
            raise DataError(
                f"{self.file}: there is no column {quoted(wanted)}{closest(wanted, self.headers)}"
                f"; its columns are {listed(filter(None, self.headers))}"
            )
        return self.cells.iloc[:, self.headers.index(wanted)]


def read_raw_table(path: Path, *, file_format: str, delimiter: str | None) -> RawTable:
    """Read the cells of a file without judging them.

    Args:
        path: The file.
        file_format: `csv`, `parquet` or `excel` (first sheet).
        delimiter: What separates the cells of a csv.

    Raises:
        DataError: If the file is missing, empty, unreadable, too large, in another encoding than
            UTF-8 or ragged, or if the extra that reads it is not installed.
    """
    raw = read_bytes(path)
    if file_format == "csv":
        return _below_header(path.name, _csv_rows(path.name, raw, delimiter or ","), "line")
    if file_format == "excel":
        return _below_header(path.name, _excel_rows(path.name, raw), "row")
    if file_format == "parquet":
        frame = _parquet_frame(path.name, raw)
        headers = tuple(_header(name) for name in frame.columns)
        cells = frame.set_axis(range(frame.shape[1]), axis=1)
        return RawTable(path.name, headers, cells, row_noun="row", first_row=1)
    raise DataError(f"{path.name}: a {file_format} is no table; expected csv, parquet or excel")


def require_headers(table: RawTable) -> None:
    """Raise `DataError` unless there are two columns or more, named once each, and a row."""
    if len(table.headers) == 1 and table.row_noun == "line":
        header = table.headers[0]
        found = next((mark for mark in ";\t|," if mark in header), None)
        hint = f", the header holds {found!r}" if found else ""
        raise DataError(
            f"{table.file}: only one column was found, {quoted(header)}: "
            f"is the delimiter right{hint}?"
        )
    named = pd.Series([header for header in table.headers if header], dtype=object)
    twice = named[named.duplicated()]
    if len(twice):
        raise DataError(f"{table.file}: the header {quoted(twice.iloc[0])} is there twice")
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
            f"{where}, {table.place(row)}: {dates.iloc[row]} has a time of day, "
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
        raise DataError(f"{where}, {table.place(row)}: the value is infinite, expected a number")
    return values


def _numbers_of_text(table: RawTable, cells: pd.Series, where: str) -> NDArray[np.float64]:
    """Parse cells that are text, or numbers and text mixed."""
    text = _as_text(cells)
    missing = text.isin(MISSING_MARKS)
    wrong = ~(text.str.fullmatch(_NUMBER) | missing)
    if wrong.any():
        row = int(wrong.argmax())
        reason = "is infinite" if _is_infinite(text.iloc[row]) else "is not a number"
        raise DataError(
            f"{where}, {table.place(row)}: {quoted(text.iloc[row])} {reason}, "
            "expected digits with a decimal point, or a blank"
        )
    # Before pandas 3, its own parser misses the last bit of many numbers.
    return text.mask(missing, "nan").to_numpy(dtype=object).astype(np.float64)


def _is_infinite(text: str) -> bool:
    """Whether a text spells an infinity, or a number too large to be told from it."""
    try:
        return math.isinf(float(text))
    except ValueError:
        return False


def _dates_of_text(
    table: RawTable, cells: pd.Series, date_format: str, where: str
) -> "pd.Series[pd.Timestamp]":
    """Parse cells of one stated format."""
    # Pandas guesses where the format is "mixed" or "ISO8601".
    if "%" not in date_format or "%z" in date_format.lower():
        raise DataError(
            f"{where}: date_format {quoted(date_format)} must spell a date, as %d/%m/%Y"
        )
    text = _as_text(cells)
    blank = text.isin(MISSING_MARKS)
    try:
        dates = pd.to_datetime(text.mask(blank), format=date_format, errors="coerce")
        back = dates.dt.strftime(date_format).fillna("")
    except ValueError as error:
        raise DataError(f"{where}: date_format {quoted(date_format)}: {one_line(error)}") from None
    # Where numbers touch, one that lacks a digit borrows its neighbour's, and the date moves.
    is_exact = re.search(f"{_NUMERIC}{_NUMERIC}", date_format) is not None
    wrong = ~blank & (dates.isna() | (_bare(text, is_exact) != _bare(back, is_exact)))
    if wrong.any():
        row = int(wrong.argmax())
        hint = (
            f", in which {dates.iloc[row]:%Y-%m-%d} is {quoted(back.iloc[row])}; are digits lost? "
            "store dates as text with all their digits, or as real dates"
            if back.iloc[row]
            else ""
        )
        raise DataError(
            f"{where}, {table.place(row)}: {quoted(text.iloc[row])} is not a date "
            f"written as {quoted(date_format)}{hint}"
        )
    return dates


def _bare(text: "pd.Series[str]", is_exact: bool) -> "pd.Series[str]":
    """Leave out what may differ between two ways to write a date: case, spaces, leading zeros."""
    if is_exact:
        return text
    folded = text.str.lower().str.replace(r"\s+", " ", regex=True)
    return folded.str.replace(r"(?<![0-9])[0 ]+(?=[0-9])", "", regex=True)


def _dates_of_objects(table: RawTable, cells: pd.Series, where: str) -> "pd.Series[pd.Timestamp]":
    """Take cells that are dates already, some of which may be blank."""
    filled = ~_as_text(cells).isin(MISSING_MARKS)
    kind = pd.api.types.infer_dtype(cells[filled], skipna=True)
    if kind not in ("date", "datetime", "datetime64", "empty"):
        for row in np.flatnonzero(filled):
            if not isinstance(cells.iloc[row], datetime.date):
                raise DataError(
                    f"{where}, {table.place(int(row))}: {quoted(cells.iloc[row])} is not a real "
                    "date; if dates are written as text, set date_format"
                )
    try:
        return pd.to_datetime(cells.where(filled, None))
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: {one_line(error)}") from None


def _as_text(cells: pd.Series) -> "pd.Series[str]":
    """Spell every cell without spaces around it; a missing one is the empty text."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    missing = cells.isna()
    if missing.any():
        cells = cells.astype(object).where(~missing, "")
    return cells.astype(str).str.strip()


def _below_header(file: str, rows: Sequence[Sequence[object]], row_noun: str) -> RawTable:
    """Take the first row as the header; short rows are blank at their end."""
    headers = [_header(cell) for cell in rows[0]] if rows else []
    if not any(headers):
        raise DataError(f"{file}: {row_noun} 1 is blank, expected the header there")
    width = max(map(len, rows))
    _require_modest(file, len(rows) * width)
    headers += [""] * (width - len(headers))
    cells = pd.DataFrame(
        [(*row, *[None] * (width - len(row))) for row in rows[1:]],
        columns=range(width),
        dtype=object,
    )
    return RawTable(file, tuple(headers), cells, row_noun=row_noun, first_row=2)


def _header(cell: object) -> str:
    """Spell a header; spreadsheets turn a typed 2025-01 into the first day of that month."""
    if isinstance(cell, datetime.date) and cell.day == 1:
        return f"{cell:%Y-%m}"
    return "" if cell is None else str(cell).strip()


def _csv_rows(file: str, raw: bytes, delimiter: str) -> list[list[str]]:
    """Split a csv into rows of cells, one for each line; a blank one has no cell."""
    rows: list[list[str]] = []
    try:
        text = _text(file, raw)
        _require_modest(file, sum(text.count(mark) for mark in (delimiter, "\n", "\r")))
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
    """Decode a csv, with or without a byte order mark."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        unmarked = error.object  # where the error counts from
        line = unmarked.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{unmarked[error.start]:02x}"
        raise DataError(f"{file}: line {line} is not UTF-8 ({byte}): save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{file}: line {line} holds a zero byte, so it is not UTF-8: save it so")
    if not text.strip():
        raise DataError(f"{file}: is empty (only blank lines)")
    return text


def _excel_rows(file: str, raw: bytes) -> list[tuple[object, ...]]:
    """Read every cell of the first sheet as it is stored."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(_missing_extra(file, "excel")) from None
    rows: list[tuple[object, ...]] = []
    try:
        _require_modest_parts(file, raw)
        with warnings.catch_warnings():
            # openpyxl warns of styles and drop-down lists that it leaves out.
            warnings.simplefilter("ignore", UserWarning)
            book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what the sheet says of its own size may be wrong
            for row in sheet.iter_rows(values_only=True):
                rows.append(row)
                _require_modest(file, len(rows) * max(len(row), 1))
    except DataError:
        raise
    except Exception as error:
        # A zip of XML can be broken in ways that raise nearly anything.
        raise DataError(f"{file}: is not a readable .xlsx workbook: {one_line(error)}") from error
    return rows


def _require_modest_parts(file: str, raw: bytes) -> None:
    """Raise if a workbook, which is a zip, would unpack to far more than it is."""
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        num_bytes = sum(part.file_size for part in parts.infolist())
    if num_bytes > MAX_UNPACKED_BYTES:
        raise DataError(f"{file}: unpacks to {num_bytes} bytes, may have {MAX_UNPACKED_BYTES}")


def _parquet_frame(file: str, raw: bytes) -> pd.DataFrame:
    """Read a parquet file; a named index is a column like others, and one without a name none."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(_missing_extra(file, "parquet")) from None
    try:
        stored = parquet.ParquetFile(io.BytesIO(raw), page_checksum_verification=True)
        num_cells = stored.metadata.num_rows * stored.metadata.num_columns
        _require_modest(file, num_cells, at_most=MAX_STORED_CELLS)
        table = stored.read()
        # What pandas notes beside the columns, their names again, may contradict them.
        named = [
            place
            for place, name in enumerate(table.column_names)
            if not re.fullmatch(_UNNAMED_INDEX, name)
        ]
        return pd.DataFrame(table.select(named).replace_schema_metadata().to_pandas())
    except DataError:
        raise
    except Exception as error:
        # Arrow raises its own kinds, and pandas others for what Arrow hands over.
        raise DataError(f"{file}: is not a readable parquet file: {one_line(error)}") from error


def _require_modest(file: str, num_cells: int, *, at_most: int = MAX_CELLS) -> None:
    """Raise if a table would take more memory than any honest one."""
    if num_cells > at_most:
        raise DataError(f"{file}: has {num_cells} cells or more, may have {at_most}")


def _missing_extra(file: str, extra: str) -> str:
    """Say how to install what reads a format."""
    return f'{file}: reading it needs an extra: pip install -e ".[{extra}]"'
