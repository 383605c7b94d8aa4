"""Guess how a file is written. Nothing but `inspect` guesses, and it says so."""

import codecs
import csv
import dataclasses
import datetime
import io
import itertools
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import OTHER_NUMBERS, RawTable, as_text, plain_number
from ironore_lightning.reading.dates import COUNTS, parse_dates
from ironore_lightning.reading.raw_bytes import read_bytes, unpacked
from ironore_lightning.reading.tables import read_raw_table
from ironore_lightning.reading.workbooks import read_sheet
from ironore_lightning.settings.files import FileSettings

Format = Literal["csv", "pickle", "parquet", "excel"]

FORMATS: dict[str, Format] = {
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".xlsx": "excel",
}

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y"),
    *("%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d-%m-%y", "%d.%m.%y", "%y-%m-%d"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d%b%Y"),
    *("%d%m%Y", "%m%d%Y", "%Y年%m月%d日", "%Y-%m", "%Y/%m", "%Y%m", "%b-%y", "%b %Y", "%Y年%m月"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S", "T%H:%M:%S.%f", " %I:%M %p")

LONGEST_SAMPLE = 200
"""Rows that are looked at to find the table within a file."""

MOST_MARKS = 4
"""Most marks of blanks, and most signs around numbers."""

MOST_CELLS = 20_000
"""Most cells that are looked at to find out how numbers are written."""

OLDEST_YEAR = 1980
"""Numbers that would be dates of before are no dates."""

_DATE_WORD = re.compile(r"\b(date|day|time|month|week)|日期|时间|日時|날짜|일자", re.IGNORECASE)

_SIGN = r"[^\w\s+\-.,()\u2212']{1,3}"


CHINESE_WORDS = ("日期", "时间", "交易", "合约", "价", "库存", "成交", "持仓", "指数", "单位")
"""Words of headers in Chinese tables: date, time, trading, contract, price, stock, ..."""


@dataclasses.dataclass(frozen=True)
class Guess:
    """How a file may be written.

    Attributes:
        settings: With which the file is read.
        date_formats: Every date format that fits all rows; none if no column holds dates.
        table: The cells read so.
        days: Trading day of each row.
    """

    settings: FileSettings
    date_formats: tuple[str | None, ...]
    table: RawTable
    days: pd.Series


def format_of(path: Path) -> Format:
    """Return the format of a file, by its suffix without .gz."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in FORMATS:
        raise DataError(f"{path.name}: expected a file ending in {', '.join(FORMATS)}")
    return FORMATS[suffix]


def first_settings(path: Path, sheet_name: str | None = None) -> FileSettings:
    """Return settings that may read the cells of a file, whatever they mean."""
    file_format = format_of(path)
    common = {
        "file": path.name,
        "format": file_format,
        "date_column": None,
        "sheet_name": sheet_name,
    }
    if file_format != "csv":
        return FileSettings.model_validate({**common, "date_format": None, "delimiter": None})
    raw = unpacked(path.name, read_bytes(path))
    encoding = guess_encoding(raw)
    text = raw.decode(encoding, errors="replace").removeprefix("\ufeff")
    return FileSettings.model_validate(
        {
            **common,
            "date_format": DAYS[0],
            "delimiter": guess_delimiter(text),
            "encoding": encoding,
        }
    )


def guess_encoding(raw: bytes) -> str:
    """Return the likeliest encoding of a text."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in raw[:1000]:
        return "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    for encoding in ("utf-8", "cp949", "gbk", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "cp949" or _is_korean(text, raw):
            return encoding
    return "latin-1"


def _is_korean(text: str, raw: bytes) -> bool:
    """Return whether a text in cp949 is Korean, and no Chinese that decodes as such.

    Chinese bytes seldom decode to Hangul alone, and nearly every Chinese table has one of the usual
    words in its header.
    """
    letters = [letter for letter in text if letter > "\x7f" and letter.isalpha()]
    is_chinese = any(word in raw.decode("gbk", "replace") for word in CHINESE_WORDS)
    return not is_chinese and all("가" <= letter <= "힣" for letter in letters)


def guess_delimiter(text: str) -> str:
    """Return the mark that splits most lines into the same number of cells."""
    lines = [line for line in text[:200_000].splitlines()[:LONGEST_SAMPLE] if line.strip()]

    def score(mark: str) -> tuple[int, int]:
        widths = [line.count(mark) for line in lines if mark in line]
        usual = statistics.mode(widths) if widths else 0
        return widths.count(usual), usual

    return max(",;\t|", key=score)


def guess(path: Path, sheet_name: str | None = None) -> Guess | None:
    """Guess how a file, or a sheet of a workbook, is written; None if no column holds dates.

    Raises:
        DataError: If the file cannot be read.
    """
    settings = _without_other_rows(path, first_settings(path, sheet_name))
    table = read_raw_table(path, settings)
    found = _dates(table)
    if found is None:
        return None
    table, formats, days = found
    settings = table.settings.model_copy(update=_numbers(table))
    return Guess(settings, formats, read_raw_table(path, settings), days)


# --- rows -----------------------------------------------------------------------------------------


def _without_other_rows(path: Path, settings: FileSettings) -> FileSettings:
    """Return settings that skip what stands above and below the table."""
    if settings.format not in ("csv", "excel"):
        return settings
    rows = _all_rows(path, settings)
    dated = [number for number, row in enumerate(rows) if any(map(_is_date, row))]
    if not dated:
        return settings
    first, last = dated[0], dated[-1]
    above = [number for number in range(first) if any(map(_is_filled, rows[number]))]
    if not above:
        return settings
    header = max(above, key=lambda number: (_looks_like_header(rows[number]), -number))
    units = [number for number in above if number > header]
    skipped = [*range(header), *units] if units else header
    footer = len(rows) - 1 - last
    has_footer = any(map(_is_filled, itertools.chain(*rows[last + 1 :])))
    update = {"skiprows": skipped, "skipfooter": footer if has_footer else 0}
    return FileSettings.model_validate(settings.model_dump() | update)


def _all_rows(path: Path, settings: FileSettings) -> list[Sequence[object]]:
    raw = unpacked(path.name, read_bytes(path))
    if settings.format == "excel":
        rows = read_sheet(path.name, raw, settings).rows
        return [*rows.values()]
    text = raw.decode(settings.encoding, errors="replace").removeprefix("\ufeff")
    lines = io.StringIO(text, newline="")
    return [next(csv.reader([line], delimiter=settings.delimiter or ","), []) for line in lines]


def _looks_like_header(row: Sequence[object]) -> tuple[bool, int]:
    """Return whether a row names a column of dates, and how many cells are filled."""
    names_dates = any(_DATE_WORD.search(cell) for cell in row if isinstance(cell, str))
    return names_dates, sum(map(_is_filled, row))


def _is_filled(cell: object) -> bool:
    return cell is not None and str(cell).strip() != ""


def _is_date(cell: object) -> bool:
    """Whether a cell is a date, or a text that looks like one."""
    if isinstance(cell, datetime.date):
        return True
    if not isinstance(cell, str):
        return False
    return bool(_formats_of(cell)) and re.fullmatch(r"\d{1,6}", cell.strip()) is None


# --- dates ----------------------------------------------------------------------------------------


def _formats_of(cell: str) -> list[str]:
    """Return the date formats that fit a text."""
    text = cell.strip()
    if not re.search(r"\d", text) or len(text) > 40:  # noqa: PLR2004 - no date is that long
        return []
    offset = re.search(r"(?<=\d)\s*(Z|[+-]\d\d:?\d\d)$", text) if ":" in text else None
    plain = text[: offset.start()] if offset else text
    fitting = []
    for day, time in itertools.product(DAYS, TIMES):
        try:
            datetime.datetime.strptime(plain, day + time)
        except ValueError:
            continue
        fitting.append(day + time + ("%z" if offset else ""))
    return fitting


def _dates(
    table: RawTable,
) -> tuple[RawTable, tuple[str | None, ...], pd.Series] | None:
    """Return the table with its date column, every format that fits all rows, and the days."""
    columns = [number for number, header in enumerate(table.headers) if header]
    if table.index is not None:
        columns.insert(0, table.index)
    for number in columns:
        header = table.headers[number]
        if number in table.unreadable or (header and table.headers.count(header) > 1):
            continue
        fitting: list[tuple[RawTable, str | None, pd.Series]] = []
        for date_format in _candidates(table, number):
            trial = _dated(table, number, date_format)
            if trial is not None:
                fitting.append((trial[0], date_format, trial[1]))
        if fitting:
            best, _, days = fitting[0]
            return best, tuple(date_format for _, date_format, _ in fitting), days
    return None


def _candidates(table: RawTable, number: int) -> list[str | None]:
    """Return the formats that fit the first dates of a column."""
    cells = table.cells.iloc[:, number]
    text = as_text(table.file, cells)
    filled = text[~table.is_blank(text)]
    if filled.empty:
        return []
    if table.settings.format != "csv" and not isinstance(cells[filled.index[0]], str):
        return [None, *COUNTS, "%Y%m%d"]
    first = [_formats_of(cell) for cell in filled.iloc[[0, -1]]]
    return [*(form for form in first[0] if form in first[1]), *COUNTS]


def _dated(
    table: RawTable, number: int, date_format: str | None
) -> tuple[RawTable, pd.Series] | None:
    """Return the table with a date format and its days, or None if it does not fit."""
    update: dict[str, object] = {
        "date_column": table.headers[number] or None,
        "date_format": date_format,
    }
    for more in ({}, {"day_ends": "23:59"}, {"timezone": "Asia/Shanghai"}, {"timezone": "UTC"}):
        zoned = {**more, "day_ends": "23:59"} if more.get("timezone") == "UTC" else more
        settings = table.settings.model_copy(update={**update, **zoned})
        trial = dataclasses.replace(table, settings=settings)
        try:
            days = parse_dates(trial)
        except DataError:
            continue
        known = days.dropna()
        if date_format not in COUNTS and len(known):
            return trial, days
        if len(known) and (known.dt.year >= OLDEST_YEAR).all():
            return trial, days
    return None


# --- numbers --------------------------------------------------------------------------------------


def _numbers(table: RawTable) -> dict[str, object]:
    """Return the settings with which most cells are numbers."""
    cells: list[str] = []
    for number, header in enumerate(table.headers):
        if header and number not in (table.date_number, *table.unreadable):
            column = table.cells.iloc[:, number]
            if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
                words = [cell.strip() for cell in column if isinstance(cell, str)]
                cells += words if any(re.search(r"\d", word) for word in words) else []
    cells = cells[:MOST_CELLS]
    marks = {mark: cells.count(mark) for mark in dict.fromkeys(cells) if _is_mark(mark)}
    blank = table.is_blank(pd.Series([*marks], dtype="str"))
    stated = [mark for mark, is_usual in zip(marks, blank, strict=True) if not is_usual]
    values = [cell for cell in cells if cell not in marks]
    found: dict[str, object] = dict(_best(table.settings, values))
    if stated and len(stated) <= MOST_MARKS:
        found["na_values"] = tuple(stated)
    return found


def _is_mark(cell: str) -> bool:
    """Whether a cell may mark a blank."""
    return cell.startswith("#") or re.search(r"\d", cell) is None


def _best(settings: FileSettings, cells: Sequence[str]) -> Mapping[str, object]:
    """Return the marks of numbers with which most cells are numbers, the usual ones first."""
    found = [re.search(rf"^{_SIGN}|{_SIGN}$", cell) for cell in cells]
    symbols = tuple(sorted({sign[0] for sign in found if sign}))
    more: list[Mapping[str, object]] = [{}, *OTHER_NUMBERS]
    if 0 < len(symbols) <= MOST_MARKS:
        more += [{**trial, "symbols": symbols} for trial in more]

    def numbers(trial: Mapping[str, object]) -> int:
        changed = settings.model_copy(update=dict(trial))
        return sum(1 for cell in cells if plain_number(cell, changed))

    return max(more, key=numbers)
