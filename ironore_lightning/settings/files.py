"""Settings of one raw file: where it lies and how it is written."""

import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ironore_lightning.settings.base import Settings


def _lies_below_the_root(file: str) -> str:
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise ValueError(f"must be a path below data.root, got {file!r}")
    return file


BelowRoot = Annotated[str, Field(min_length=1), AfterValidator(_lies_below_the_root)]
"""A path of a file, below `data.root`."""

RowNumber = Annotated[int, Field(ge=0, le=10_000)]

RowNumbers = RowNumber | Annotated[tuple[RowNumber, ...], Field(min_length=1, strict=False)]

Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]

TIME = r"^([01]\d|2[0-3]):[0-5]\d$"
"""A time of day, HH:MM."""


class FileSettings(Settings):
    """Where a raw file lies and how it is written. Nothing of it is guessed.

    Options that pandas' readers have carry their names and mean the same. Members leave out what is
    written as usual.
    """

    file: BelowRoot
    """Path below `data.root`; what ends in .gz is unpacked."""
    format: Literal["csv", "pickle", "parquet", "excel"]
    """`parquet`, `excel`: with the extra of that name; `pickle`: written by pandas, never run."""
    date_column: str | None
    """Header of the dates; null takes the index of pandas, whose header is blank."""
    date_format: str | None
    """As `strptime` reads it, %z at the end if at all; or, for numbers, `excel`, or `unix_s` or
    `unix_ms`, which are in UTC and need `timezone`; null for real dates."""
    delimiter: str | None
    """What separates the cells of a CSV; null in the other formats."""
    encoding: str = Field(default="utf-8", min_length=1)
    """Of a CSV: `utf-8`, `gbk`, `gb18030`, `cp949`, `utf-16`, `latin-1` or another of Python's."""
    decimal: Literal[".", ","] = "."
    """Mark before the decimals of a number that is written as text."""
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    """Mark between the thousands of a number that is written as text; null where there is none."""
    symbols: Texts = ()
    """Signs around a number, such as % or $, which are taken off; 5% is read as 5."""
    na_values: Texts = ()
    """Marks of a blank cell beside those of pandas; a number marks every cell equal to it."""
    skiprows: RowNumbers = 0
    """How many rows to skip at the top, or which ones, from 0."""
    header: RowNumbers = 0
    """Row of the headers, from 0, among those that are neither skipped nor blank lines; of several,
    the cells of a column are joined by a space, and a blank above takes the cell on its left."""
    skipfooter: RowNumber = 0
    """How many rows to skip at the bottom."""
    sheet_name: str | None = None
    """Sheet of a workbook; null where there is only one."""
    timezone: str | None = None
    """Zone whose calendar names the trading day, as Asia/Shanghai; null for dates without one."""
    day_ends: str | None = Field(default=None, pattern=TIME)
    """Last time of day, HH:MM, that belongs to the day of its date; later ones belong to the next
    day. Null for dates without a time."""

    @model_validator(mode="after")
    def _layout_fits_the_format(self) -> Self:
        if self.format == "csv" and not (self.date_format and self.delimiter):
            raise ValueError("a csv needs date_format and delimiter")
        if self.format in ("parquet", "pickle") and (self.skiprows, self.header) != (0, 0):
            raise ValueError(f"skiprows and header are for csv and excel, not for {self.format}")
        if self.format in ("parquet", "pickle") and self.skipfooter:
            raise ValueError(f"skipfooter is for csv and excel, not for {self.format}")
        if self.format != "excel" and self.sheet_name is not None:
            raise ValueError(f"sheet_name is for excel, not for {self.format}")
        if odd := [symbol for symbol in self.symbols if re.search(r"[0-9()+-]", symbol)]:
            raise ValueError(
                f"symbols: {odd[0]!r} would change the number; symbols are signs such as % or $"
            )
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        return self
