"""Read a raw file of any format as a table of cells: bytes to `RawTable`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import RawTable, header_text
from ironore_lightning.reading.delimited import read_lines
from ironore_lightning.reading.parquet import read_parquet
from ironore_lightning.reading.pickles import read_pickle
from ironore_lightning.reading.raw_bytes import (
    quoted,
    read_bytes,
    require_few_cells,
    unpacked,
)
from ironore_lightning.reading.workbooks import read_sheet
from ironore_lightning.settings.files import FileSettings


def read_raw_table(path: Path, settings: FileSettings) -> RawTable:
    """Read the cells of a file without parsing them.

    Args:
        path: The file; what ends in .gz is unpacked.
        settings: How it is written.

    Raises:
        DataError: If the file is missing, empty, unreadable, too large, ragged or written in
            another way than the settings say, or if the extra that reads it is not installed.
    """
    file, raw = path.name, unpacked(path.name, read_bytes(path))
    if settings.format == "csv":
        return _below_header(file, read_lines(file, raw, settings), settings, "line")
    if settings.format == "excel":
        sheet = read_sheet(file, raw, settings)
        table = _below_header(file, sheet.rows, settings, "row")
        return replace(table, epoch=sheet.epoch, unreadable=sheet.unreadable)
    if settings.format == "parquet":
        return read_parquet(file, raw, settings)
    return read_pickle(file, raw, settings)


def require_headers(table: RawTable) -> None:
    """Raise `DataError` unless there are at least two columns and one row."""
    if len(table.headers) == 1 and table.row_noun == "line":
        header = table.headers[0]
        found = next((mark for mark in ";\t|," if mark in header), None)
        hint = f" The header holds {found!r}, so set delimiter: {found!r}" if found else ""
        raise DataError(
            f"{table.file}: only one column was found, {quoted(header)}: "
            f"is the delimiter right?{hint}"
        )
    if not len(table.cells):
        raise DataError(f"{table.file}: holds a header and no row below it")


def _below_header(
    file: str, rows: Mapping[int, Sequence[object]], settings: FileSettings, row_noun: str
) -> RawTable:
    """Return the table below its header; short rows are filled with blanks.

    Args:
        file: Name of the file, for messages.
        rows: Cells by number of the row in the file; one without cells is not counted.
        settings: Which rows are the header.
        row_noun: Word for a row.
    """
    counted = [number for number, row in rows.items() if len(row)]
    wanted = (settings.header,) if isinstance(settings.header, int) else settings.header
    if counted and max(wanted) >= len(counted):
        raise DataError(
            f"{file}: header: {max(wanted)}, but only {len(counted)} rows are not skipped"
        )
    header_rows = [counted[place] for place in wanted if counted]
    width = max(map(len, rows.values()), default=0)
    require_few_cells(file, len(rows) * width)
    headers = _joined([rows[number] for number in header_rows], width)
    if not any(headers):
        raise DataError(
            f"{file}: {row_noun} {header_rows[0] if header_rows else 1} is blank, expected the "
            f"header there{_header_advice(rows)}"
        )
    last = max(header_rows)
    body = {number: row for number, row in rows.items() if number > last}
    cells = pd.DataFrame(
        [(*row, *[None] * (width - len(row))) for row in body.values()],
        columns=range(width),
        dtype=object,
    )
    return RawTable(
        file,
        tuple(headers),
        cells,
        settings,
        row_noun=row_noun,
        row_numbers=list(body),
        index=None if headers[0] else 0,
    )


def _header_advice(rows: Mapping[int, Sequence[object]]) -> str:
    """Return the setting that skips the blank rows on top."""
    for number, row in rows.items():
        if any(header_text(cell) for cell in row):
            return f"; if it is in row {number}, set skiprows: {number - 1}"
    return ""


def _joined(rows: Sequence[Sequence[object]], width: int) -> list[str]:
    """Return the header of each column, from one row or several.

    In all rows but the last, a blank cell belongs to the cell on its left, as merged cells do.
    """
    spelt = [[header_text(cell) for cell in (*row, *[None] * (width - len(row)))] for row in rows]
    for row in spelt[:-1]:
        for column in range(1, width):
            row[column] = row[column] or row[column - 1]
    return [" ".join(filter(None, cells)) for cells in zip(*spelt, strict=True)]
