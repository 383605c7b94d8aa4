"""Read a file of delimited text as rows of cells."""

import codecs
import csv
import io
import statistics
from collections.abc import Sequence

from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import kept_rows
from ironore_lightning.reading.raw_bytes import one_line, quoted, require_few_cells
from ironore_lightning.settings.files import FileSettings

_OTHERS = ("utf-8", "gbk", "gb18030", "cp949", "latin-1")
_KNOWN = "utf-8, gbk, gb18030, cp949, utf-16, latin-1 or another of Python's"


def read_lines(file: str, raw: bytes, settings: FileSettings) -> dict[int, Sequence[str]]:
    """Split a text into cells.

    Returns:
        By number of the line, counted from 1: its cells, without lines that are skipped. A blank
        line has no cell.

    Raises:
        DataError: If the text has another encoding, or a line cannot be split as the others.
    """
    text = _decoded(file, raw, settings.encoding)
    delimiter = settings.delimiter or ","
    marks = (delimiter, "\n", "\r")
    require_few_cells(file, sum(text.count(mark) for mark in marks))
    lines = [*io.StringIO(text, newline="")]
    kept = {number: lines[number - 1] for number in kept_rows(len(lines), settings)}
    rows = _split(file, kept, delimiter)
    _require_equal_widths(file, rows, settings)
    return rows


def _decoded(file: str, raw: bytes, encoding: str) -> str:
    """Return the text of a file, without a byte order mark."""
    try:
        text = raw.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise DataError(
            f"{file}: encoding {quoted(encoding)} is unknown, expected {_KNOWN}"
        ) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].decode(encoding, errors="replace").count("\n") + 1
        byte = f"byte 0x{raw[error.start]:02x}"
        raise DataError(
            f"{file}: line {line} is not {_name_of(encoding)} ({byte}): "
            f"{_encoding_advice(raw, encoding)}"
        ) from None
    except UnicodeError as error:
        raise DataError(
            f"{file}: is not {_name_of(encoding)} ({one_line(error)}): "
            f"{_encoding_advice(raw, encoding)}"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{file}: line {line} holds a zero byte, so it is not {_name_of(encoding)}: set "
            "encoding: utf-16-le if it is UTF-16 without a mark"
        )
    if not text.strip():
        raise DataError(f"{file}: is empty (only blank lines)")
    return text


def _name_of(encoding: str) -> str:
    return encoding.upper() if encoding.lower().startswith("utf") else quoted(encoding)


def _encoding_advice(raw: bytes, encoding: str) -> str:
    """Return what to set where bytes do not fit an encoding."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "set encoding: utf-16"
    fitting = [other for other in _OTHERS if other != encoding and _fits(raw, other)]
    return f"set the one it is written in, as encoding: {' or '.join(fitting)}"


def _fits(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeError:
        return False
    return True


def _split(file: str, lines: dict[int, str], delimiter: str) -> dict[int, Sequence[str]]:
    """Split lines into cells; a blank line has none."""
    rows: dict[int, Sequence[str]] = {}
    numbers = list(lines)
    try:
        reader = csv.reader(lines.values(), delimiter=delimiter, strict=True)
        for row in reader:
            number = numbers[len(rows)]
            rows[number] = row if len(row) > 1 or any(map(str.strip, row)) else []
            if reader.line_num > len(rows):
                raise DataError(
                    f"{file}: line {number} opens a quote that line {numbers[reader.line_num - 1]} "
                    "closes, expected every cell on one line"
                )
    except TypeError as error:
        raise DataError(f"{file}: delimiter {delimiter!r}: {one_line(error)}") from None
    except csv.Error as error:
        line = f"{file}: line {numbers[len(rows)]}"
        if reader.line_num > len(rows) + 1:
            raise DataError(f"{line} opens a quote that is never closed") from None
        raise DataError(f"{line} cannot be split into cells: {one_line(error)}") from None
    return rows


def _require_equal_widths(
    file: str, rows: dict[int, Sequence[str]], settings: FileSettings
) -> None:
    """Raise at the first line with another number of cells than the header, unless it is blank."""
    header = settings.header if isinstance(settings.header, int) else min(settings.header)
    numbers = [number for number, row in rows.items() if row][header:]
    widths = {number: len(rows[number]) for number in numbers if any(map(str.strip, rows[number]))}
    if not widths:
        return
    width = next(iter(widths.values()))
    wrong = next((number for number in widths if widths[number] != width), None)
    if wrong is not None:
        last = max(rows) + settings.skipfooter
        raise DataError(
            f"{file}: line {wrong} has {widths[wrong]} cells, the header has {width}: is the line "
            f"whole, and is the delimiter {settings.delimiter!r} right?"
            f"{_other_delimiter(rows[numbers[0]]) or _outside_the_table(widths, wrong, last)}"
        )


def _other_delimiter(header: Sequence[str]) -> str:
    """Return the delimiter that a header of one cell seems to have."""
    found = [mark for mark in ";\t|," if mark in header[0]] if len(header) == 1 else []
    return f" The header holds {found[0]!r}, so set delimiter: {found[0]!r}" if found else ""


def _outside_the_table(widths: dict[int, int], wrong: int, last: int) -> str:
    """Return the setting that skips lines above or below the table, where that is likely."""
    usual = statistics.mode(widths.values())
    first = next(number for number, width in widths.items() if width == usual)
    if next(iter(widths)) < first and 1 < usual == min(
        width for number, width in widths.items() if number >= first
    ):
        return f" If the header is line {first}, set skiprows: {first - 1}"
    if usual not in [width for number, width in widths.items() if number >= wrong]:
        return f" If the table ends above, set skipfooter: {last - wrong + 1}"
    return ""
