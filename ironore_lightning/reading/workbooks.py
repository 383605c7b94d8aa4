"""Read a sheet of an Excel workbook as rows of cells."""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ironore_lightning.errors import DataError, closest, missing_extra
from ironore_lightning.reading.cells import kept_rows
from ironore_lightning.reading.raw_bytes import listed, one_line, quoted, require_few_cells
from ironore_lightning.settings.files import FileSettings

MAX_UNPACKED_BYTES = 64 * 2**20
"""Most bytes of the parts of a workbook."""

STYLES, BOOK = "xl/styles.xml", "xl/workbook.xml"

MAX_STYLE_TAGS = 500_000
"""Most tags of the styles, each of which openpyxl makes an object; Excel allows 64,000 formats."""


@dataclass(frozen=True)
class Sheet:
    """The cells of a sheet.

    Attributes:
        rows: Cells as they are stored, by number of the row, without rows that are skipped.
        unreadable: Why a column cannot be read, by its number from 0.
        epoch: Day that serial numbers of dates are counted from.
    """

    rows: Mapping[int, tuple[object, ...]]
    unreadable: Mapping[int, str]
    epoch: pd.Timestamp


def read_sheet(file: str, raw: bytes, settings: FileSettings) -> Sheet:
    """Read every cell of a sheet: the one that the settings name, or the only one.

    Raises:
        DataError: If the bytes are no workbook, or too large a one, or it is not clear which sheet
            is meant.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(f"{file}: {missing_extra('openpyxl', 'excel')}") from None
    try:
        book_xml = _workbook_part(file, raw)
        with warnings.catch_warnings():
            # openpyxl warns about styles and drop-down lists that it ignores.
            warnings.simplefilter("ignore", UserWarning)
            book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
            sheet = _chosen(file, book, settings.sheet_name)
            # openpyxl has no public way to read the XML of a sheet.
            with sheet._get_source() as part:
                xml = part.read()
            require_few_cells(file, xml.count(b"<c") + xml.count(b":c"))
            rows = _rows(file, sheet)
            # openpyxl assumes this where the workbook does not state it.
            recalculates_on_load = re.search(rb'\bfullCalcOnLoad="(1|true)"', book_xml) is not None
            cells = _uncalculated(xml, zero_is_no_value=recalculates_on_load)
            epoch = pd.Timestamp(book.epoch)
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # A broken zip of XML can raise nearly anything.
        raise DataError(f"{file}: is not a readable .xlsx workbook: {one_line(error)}") from error
    unreadable = {
        number: f"the formula in {quoted(f'{sheet.title}!{cell}')} was never calculated; open "
        "the file in Excel or LibreOffice, recalculate everything (Ctrl+Alt+F9 or Ctrl+Shift+F9) "
        "and save it"
        for number, cell in cells.items()
    }
    kept = {number: rows[number - 1] for number in kept_rows(len(rows), settings)}
    return Sheet(kept, unreadable, epoch)


def _chosen(file: str, book: Any, name: str | None) -> Any:  # noqa: ANN401 - openpyxl's
    """Return the sheet with a name, or the only one."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    hidden = [title for title, sheet in sheets.items() if sheet.sheet_state != "visible"]
    names = listed(sheets) + (f" (hidden: {listed(hidden)})" if hidden else "")
    if name is not None and name not in sheets:
        hint = closest(name, sheets)
        raise DataError(f"{file}: there is no sheet {quoted(name)}{hint}; its sheets are {names}")
    if name is not None:
        return sheets[name]
    if len(sheets) != 1 or hidden:
        raise DataError(
            f"{file}: set sheet_name, as its sheets are {names}"
            if sheets
            else f"{file}: there is no sheet of cells"
        )
    return book.worksheets[0]


def _workbook_part(file: str, raw: bytes) -> bytes:
    """Return the XML of the workbook part, after checking the unpacked size of all parts."""
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        num_bytes = sum(part.file_size for part in parts.infolist())
        if num_bytes > MAX_UNPACKED_BYTES:
            raise DataError(f"{file}: unpacks to {num_bytes} bytes, may have {MAX_UNPACKED_BYTES}")
        known = {name: parts.read(name) for name in {STYLES, BOOK} & {*parts.namelist()}}
        num_tags = known.get(STYLES, b"").count(b"<")
        if num_tags > MAX_STYLE_TAGS:
            raise DataError(f"{file}: has {num_tags} tags of styles, may have {MAX_STYLE_TAGS}")
        return known.get(BOOK, b"")


def _rows(file: str, sheet: Any) -> list[tuple[object, ...]]:  # noqa: ANN401 - openpyxl's
    rows: list[tuple[object, ...]] = []
    sheet.reset_dimensions()  # the size stated in the sheet may be wrong
    for row in sheet.iter_rows(values_only=True):
        rows.append(row)
        require_few_cells(file, len(rows) * max(len(row), 1))
    while rows and all(cell is None for cell in rows[-1]):
        rows.pop()
    return rows


def _uncalculated(xml: bytes, *, zero_is_no_value: bool) -> dict[int, str]:
    """Return the first cell of each column whose formula was never calculated, by column number.

    Its value is missing, or zero in a workbook that asks for recalculation on loading
    (`zero_is_no_value`). An empty text is a value.
    """
    from openpyxl.utils.cell import range_boundaries
    from openpyxl.xml.constants import SHEET_MAIN_NS
    from openpyxl.xml.functions import iterparse

    cell_names: dict[int, str] = {}
    if not any(mark in xml for mark in (b"<f", b":f")):
        return cell_names  # most sheets hold no formula, and this is ten times as fast
    namespaces = {"": SHEET_MAIN_NS}
    no_value = ("", "0") if zero_is_no_value else ("",)
    for _, row in iterparse(io.BytesIO(xml)):
        if row.tag != f"{{{SHEET_MAIN_NS}}}row":
            continue
        for cell in row:
            formula = cell.find("f", namespaces)
            value = cell.findtext("v", "", namespaces)
            if formula is not None and value in no_value and cell.get("t") != "str":
                reference = cell.get("r", "")
                # Each cell names a shared formula; one cell names an array formula and its range.
                filled = (
                    reference if formula.get("t") == "shared" else formula.get("ref", reference)
                )
                first, _, last, _ = range_boundaries(filled)
                for column in range(first, last + 1):
                    cell_names.setdefault(column - 1, reference)
        row.clear()
    return cell_names
