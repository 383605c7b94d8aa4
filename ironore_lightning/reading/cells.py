"""Cells of a raw file, whatever its format, and the numbers in them."""

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError, closest
from ironore_lightning.reading.raw_bytes import listed, quoted
from ironore_lightning.settings.files import FileSettings

MAX_TEXT = 64 * 2**20
"""Most characters of the cells of a column."""

MISSING_MARKS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "-"),
)
"""Cells that count as blank, apart from spaces around them: those of `pandas.read_csv`, and `-`."""

_DIGITS = r"(?:[0-9]+{decimal}?[0-9]*|{decimal}[0-9]+)"
_GROUPED = r"[1-9][0-9]{{0,2}}(?:[{thousands}][0-9]{{3}})+(?:{decimal}[0-9]*)?"
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(rf"[+-]?{_DIGITS.format(decimal='[.]')}{_EXPONENT}")

_ROWS_OF_A_PREAMBLE = 50

_THOUSANDS = {" ": " \u00a0\u202f", "'": "'\u2019"}
"""What else is written for a mark of thousands."""

EPOCH = pd.Timestamp("1899-12-30")
"""Day that spreadsheets count from, other than those of old Macs."""

OTHER_NUMBERS: tuple[dict[str, str], ...] = (
    {"thousands": ","},
    {"decimal": ","},
    {"decimal": ",", "thousands": "."},
    {"thousands": " "},
    {"decimal": ",", "thousands": " "},
    {"thousands": "'"},
)
"""Settings of numbers that files of other countries need."""

_SYMBOLS = re.compile(r"\s*([^\s\d+\-.,()]{1,8})\s*")
"""Matches one sign before or after a number; brackets stand for a minus in some files."""


@dataclass(frozen=True)
class RawTable:
    """The unparsed cells of a file.

    Attributes:
        file: Name of the file, for messages.
        headers: In the order of the file, without spaces around them.
        cells: Shape (T, columns), columns numbered from 0, rows in the order of the file.
        settings: How the file is written.
        row_noun: Word for a row of this format, `line` or `row`.
        row_numbers: Of each row, its number in the file, counted from 1.
        index: Number of the column that pandas wrote as the index; None without one.
        epoch: Day that serial numbers of dates are counted from.
        unreadable: Why a column cannot be read, by its number; its cells are blank.
    """

    file: str
    headers: tuple[str, ...]
    cells: pd.DataFrame
    settings: FileSettings
    row_noun: str
    row_numbers: Sequence[int]
    index: int | None = None
    epoch: pd.Timestamp = EPOCH
    unreadable: Mapping[int, str] = field(default_factory=dict)

    def row_name(self, row: int) -> str:
        """Return the name of a row, counted from 0, such as `line 7`."""
        return f"{self.row_noun} {self.row_numbers[row]}"

    def number_of(self, header: str) -> int:
        """Return the number of a column.

        Raises:
            DataError: If there is no such header or two of them.
        """
        wanted = header.strip()
        if not wanted or wanted not in self.headers:
            raise DataError(
                f"{self.file}: there is no column {quoted(wanted)}{closest(wanted, self.headers)}"
                f"; its columns are {listed(filter(None, self.headers))}{self._elsewhere(wanted)}"
            )
        if self.headers.count(wanted) > 1:
            raise DataError(f"{self.file}: the header {quoted(wanted)} is there twice")
        return self.headers.index(wanted)

    def _elsewhere(self, wanted: str) -> str:
        """Return the setting that finds a header: it stands lower, or the index has none."""
        for row in range(min(len(self.cells), _ROWS_OF_A_PREAMBLE)):
            if wanted in map(header_text, self.cells.iloc[row]):
                number = self.row_numbers[row]
                return f"; {self.row_noun} {number} holds it: set skiprows: {number - 1}"
        if wanted == self.settings.date_column and self.index is not None:
            return "; the index of pandas is date_column: null"
        return ""

    @property
    def date_number(self) -> int:
        """Number of the column of dates.

        Raises:
            DataError: If there is no such column, or no index where `date_column` is null.
        """
        if self.settings.date_column is not None:
            return self.number_of(self.settings.date_column)
        if self.index is None:
            raise DataError(
                f"{self.file}: has no index of pandas (a first column without a header), which "
                "date_column: null takes; name the column of the dates, one of "
                f"{listed(filter(None, self.headers))}"
            )
        return self.index

    def column(self, header: str) -> pd.Series:
        """Return the cells of a column.

        Raises:
            DataError: If there is no such header or two of them, or the column cannot be read.
        """
        return self.numbered(self.number_of(header))

    def numbered(self, number: int) -> pd.Series:
        """Return the cells of the column with a number; raise `DataError` if it is unreadable."""
        if number in self.unreadable:
            raise DataError(f"{self.place(number)}: {self.unreadable[number]}")
        return self.cells.iloc[:, number]

    def place(self, number: int) -> str:
        """Return file and column, for messages."""
        name = quoted(self.headers[number]) if self.headers[number] else "without a header"
        return f"{self.file}: column {name}"

    def is_blank(self, text: "pd.Series[str]") -> "pd.Series[bool]":
        """Whether cells, as text, count as blank."""
        return text.isin([*MISSING_MARKS, *self.settings.na_values])


def parse_numbers(table: RawTable, header: str) -> NDArray[np.float64]:
    """Read a column of numbers.

    Returns:
        Shape (T,), NaN where the cell is blank, one of `MISSING_MARKS` or of `na_values`.

    Raises:
        DataError: If a cell is not a number, or infinite.
    """
    number = table.number_of(header)
    cells, where = table.numbered(number), table.place(number)
    if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
        values = cells.to_numpy(dtype="float64", na_value=np.nan, copy=True)
    else:
        values = _numbers_of_text(table, cells, where)
    marks = [float(mark) for mark in table.settings.na_values if _NUMBER.fullmatch(mark)]
    values[np.isin(values, marks)] = np.nan
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(f"{where}, {table.row_name(row)}: the value is infinite, expected a number")
    return values


def _numbers_of_text(table: RawTable, cells: pd.Series, where: str) -> NDArray[np.float64]:
    """Parse cells of text, or of numbers and text."""
    text = as_text(table.file, cells)
    missing = table.is_blank(text)
    plain = _plainly_written(text.mask(missing, ""), cells, table.settings)
    wrong = ~(plain.str.fullmatch(_NUMBER.pattern) | missing)
    if wrong.any():
        row = int(wrong.argmax())
        problem = (
            _number_problem(table, wrong, missing, text.iloc[row])
            if isinstance(cells.iloc[row], str)
            else f"is not a number but a {type(cells.iloc[row]).__name__}; correct the cell"
        )
        raise DataError(f"{where}, {table.row_name(row)}: {quoted(text.iloc[row])} {problem}")
    # The parser of pandas 2 is off by the last bit of many numbers.
    return plain.mask(missing, "nan").to_numpy(dtype=object).astype(np.float64)


def _plainly_written(
    text: "pd.Series[str]", cells: pd.Series, settings: FileSettings
) -> "pd.Series[str]":
    """Return numbers as Python writes them; what is none stays as it is, or becomes blank."""
    is_usual = (settings.decimal, settings.thousands, settings.symbols) == (".", None, ())
    if is_usual and not text.str.contains("\u2212", regex=False).any():
        return text
    plainly = [
        plain_number(word, settings) if isinstance(cell, str) else word
        for word, cell in zip(text, cells, strict=True)
    ]
    return pd.Series(plainly, index=text.index, dtype="str")


def plain_number(text: str, settings: FileSettings) -> str:
    """Return a number as Python writes it, or an empty text for what is none.

    The unicode minus is one. Marks of thousands must stand between groups of three digits.
    """
    text = text.replace("\u2212", "-").strip()
    if settings.symbols:
        signs = "|".join(re.escape(symbol.strip()) for symbol in settings.symbols)
        text = re.sub(rf"^([+-]?)\s*(?:{signs})\s*|\s*(?:{signs})$", r"\1", text)
    decimal = f"[{settings.decimal}]"
    forms = [_DIGITS.format(decimal=decimal)]
    marks = _THOUSANDS.get(settings.thousands or "", settings.thousands or "")
    if marks:
        forms.insert(0, _GROUPED.format(thousands=marks, decimal=decimal))
    if not re.fullmatch(rf"[+-]?(?:{'|'.join(forms)}){_EXPONENT}", text):
        return ""
    return (
        re.sub(f"[{marks}]", "", text).replace(settings.decimal, ".")
        if marks
        else (text.replace(settings.decimal, "."))
    )


def _number_problem(
    table: RawTable, wrong: "pd.Series[bool]", missing: "pd.Series[bool]", text: str
) -> str:
    """Return what is wrong with the first wrong cell, and the setting that mends it."""
    expected = "expected digits with a decimal point, or a blank"
    if _is_infinite(text):
        return f"is infinite, {expected}"
    remedies = _other_settings(text, table.settings) or stray_rows(table, wrong, missing)
    is_mark = text.startswith("#") or re.search(r"\d", text) is None
    if not remedies and is_mark and not (wrong | missing).all():
        remedies = [f"na_values: [{quoted(text)}], if it marks a blank"]
    advice = f"; set {' or '.join(remedies)}" if remedies else ""
    return f"is not a number, {expected}{advice}"


def stray_rows(table: RawTable, wrong: "pd.Series[bool]", missing: "pd.Series[bool]") -> list[str]:
    """Return the setting that skips the wrong cells if they are the first row or the last ones."""
    row = int(wrong.argmax())
    if (wrong | missing).all() or table.settings.format not in ("csv", "excel"):
        return []
    if row == 0 and wrong.sum() == 1:
        now = table.settings.skiprows
        skipped = {*(range(now) if isinstance(now, int) else now), table.row_numbers[row] - 1}
        return [f"skiprows: {sorted(skipped)}, if this is a row of units"]
    if (wrong | missing)[row:].all():
        footer = table.settings.skipfooter + len(table.cells) - row
        return [f"skipfooter: {footer}, if the table ends above"]
    return []


def _other_settings(text: str, settings: FileSettings) -> list[str]:
    """Return the settings with which a text would be a number."""
    trials: list[Mapping[str, object]] = [*OTHER_NUMBERS]
    sign = _SYMBOLS.match(text) or _SYMBOLS.search(text)
    if sign:
        trials.append({"symbols": [*settings.symbols, sign[1]]})
    fitting: list[Mapping[str, object]] = []
    for trial in trials:
        changed = settings.model_copy(update=trial)
        is_new = not any(smaller.items() <= trial.items() for smaller in fitting)
        if is_new and changed.decimal != changed.thousands and plain_number(text, changed):
            fitting.append(trial)
    return [", ".join(f"{key}: {value!r}" for key, value in trial.items()) for trial in fitting]


def _is_infinite(text: str) -> bool:
    """Whether a text is an infinity, or a number that overflows to it."""
    try:
        return math.isinf(float(text))
    except ValueError:
        return False


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


def header_text(cell: object) -> str:
    """Return a header as text; spreadsheets turn 2025-01 into the first day of that month."""
    if isinstance(cell, datetime.date) and cell.day == 1:
        return f"{cell:%Y-%m}"
    if isinstance(cell, float) and cell.is_integer():
        return f"{cell:.0f}"
    return "" if cell is None else str(cell).strip()


def kept_rows(num_rows: int, settings: FileSettings) -> list[int]:
    """Return the numbers of the rows that are not skipped, counted from 1."""
    skipped = settings.skiprows
    last = num_rows - settings.skipfooter
    if isinstance(skipped, int):
        return [*range(skipped + 1, last + 1)]
    return [number for number in range(1, last + 1) if number - 1 not in skipped]
