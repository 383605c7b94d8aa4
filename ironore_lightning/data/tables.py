"""The cells of a csv, parquet or excel file, and the dates and numbers that they spell."""

import datetime
import io
import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.data.files import listed, one_line, quoted, read_bytes
from ironore_lightning.errors import DataError, closest

MISSING_MARKS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "-")
"""What a cell without a value may hold, spaces around it aside."""


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
        DataError: If the file is missing, empty, unreadable, in another encoding than UTF-8 or
            ragged, or if the extra that reads it is not installed.
    """
    raw = read_bytes(path)
    if not raw:
        raise DataError(f"{path.name}: is empty (no bytes)")
    if file_format == "csv":
        return _below_header(path.name, _csv_cells(path.name, raw, delimiter or ","), "line")
    if file_format == "excel":
        return _below_header(path.name, _excel_cells(path.name, raw), "row")
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
    wrong = pd.to_numeric(text.mask(missing), errors="coerce").isna() & ~missing
    if wrong.any():
        row = int(wrong.argmax())
        reason = "is infinite" if _is_infinite(text.iloc[row]) else "is not a number"
        raise DataError(
            f"{where}, {table.place(row)}: {quoted(text.iloc[row])} {reason}, "
            "expected digits with a decimal point, or a blank"
        )
    # Before pandas 3, to_numeric misses the last bit of many numbers.
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
    except ValueError as error:
        raise DataError(f"{where}: date_format {quoted(date_format)}: {one_line(error)}") from None
    # Pandas takes "now" and "today" for dates in any format.
    wrong = ~blank & (dates.isna() | ~text.str.contains(r"\d"))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where}, {table.place(row)}: {quoted(text.iloc[row])} is not a date "
            f"written as {quoted(date_format)}"
        )
    return dates


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


def _below_header(file: str, grid: pd.DataFrame, row_noun: str) -> RawTable:
    """Take the first row of a grid as its header."""
    headers = tuple(_header(cell) for cell in grid.iloc[0]) if len(grid) else ()
    if not any(headers):
        raise DataError(f"{file}: {row_noun} 1 is blank, expected the header there")
    cells = grid.iloc[1:].reset_index(drop=True)
    return RawTable(file, headers, cells, row_noun=row_noun, first_row=2)


def _header(cell: object) -> str:
    """Spell a header; spreadsheets turn a typed 2025-01 into the first day of that month."""
    if isinstance(cell, datetime.date) and cell.day == 1:
        return f"{cell:%Y-%m}"
    return "" if cell is None else str(cell).strip()


def _csv_cells(file: str, raw: bytes, delimiter: str) -> pd.DataFrame:
    """Read every cell of a csv as text, the header and blank lines among them."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}: line {line} is not UTF-8 (byte 0x{raw[error.start]:02x}): save it as UTF-8"
        ) from None
    if "\0" in text:
        raise DataError(f"{file}: holds zero bytes, so it is not UTF-8 text: save it as UTF-8")
    if not text.strip():
        raise DataError(f"{file}: is empty (only blank lines)")
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            engine="c",
        )
    except pd.errors.EmptyDataError:
        raise DataError(f"{file}: line 1 is blank, expected the header there") from None
    except (ValueError, TypeError) as error:
        reason = one_line(error).removeprefix("Error tokenizing data. C error: ")
        unclosed = re.search(r"EOF inside string starting at row (\d+)", reason)
        if unclosed:
            line = int(unclosed[1]) + 1
            raise DataError(f"{file}: line {line} opens a quote that is never closed") from None
        raise DataError(f"{file}: delimiter {delimiter!r}: {reason}") from error


def _excel_cells(file: str, raw: bytes) -> pd.DataFrame:
    """Read every cell of the first sheet as it is stored."""
    try:
        with warnings.catch_warnings():
            # openpyxl warns of styles and drop-down lists that it leaves out.
            warnings.simplefilter("ignore", UserWarning)
            return pd.read_excel(
                io.BytesIO(raw), header=None, dtype=object, na_filter=False, engine="openpyxl"
            )
    except ImportError:
        raise DataError(_missing_extra(file, "excel")) from None
    except Exception as error:
        # A zip of XML can be broken in ways that raise nearly anything.
        raise DataError(f"{file}: is not a readable .xlsx workbook: {one_line(error)}") from error


def _parquet_frame(file: str, raw: bytes) -> pd.DataFrame:
    """Read a parquet file; a named index becomes a column again."""
    try:
        frame = pd.read_parquet(io.BytesIO(raw), engine="pyarrow")
        return frame.reset_index() if any(frame.index.names) else frame
    except ImportError:
        raise DataError(_missing_extra(file, "parquet")) from None
    except Exception as error:
        # Arrow raises its own kinds, and pandas others for what Arrow hands over.
        raise DataError(f"{file}: is not a readable parquet file: {one_line(error)}") from error


def _missing_extra(file: str, extra: str) -> str:
    """Say how to install what reads a format."""
    return f'{file}: reading it needs an extra: pip install -e ".[{extra}]"'
