"""Settings of the data: sources, contracts, continuous futures, panel."""

import datetime
from pathlib import Path, PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ironore_lightning.settings.base import Day, Settings


def _lies_below_the_root(file: str) -> str:
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise ValueError(f"must be a path below data.root, got {file!r}")
    return file


BelowRoot = Annotated[str, Field(min_length=1), AfterValidator(_lies_below_the_root)]
"""A path of a file, below `data.root`."""


class FileSettings(Settings):
    """Where a raw file lies and how its dates are written."""

    file: BelowRoot
    """Path below `data.root`."""
    format: Literal["csv", "pickle", "parquet", "excel"]
    """`pickle`: a dict of monthly contracts; `parquet`, `excel`: with the extra of that name."""
    date_column: str | None
    """Header of the dates; null in a pickle, whose index holds them."""
    date_format: str | None
    """How a date is written, as `strptime` reads it; null where the file holds real dates."""
    delimiter: str | None
    """What separates the cells of a CSV; null in the other formats."""

    @model_validator(mode="after")
    def _csv_states_its_layout(self) -> Self:
        if self.format == "csv" and not (self.date_format and self.delimiter):
            raise ValueError("a csv needs date_format and delimiter")
        if self.format != "pickle" and not self.date_column:
            raise ValueError(f"a {self.format} file needs date_column")
        return self


class ContractsSettings(FileSettings):
    """A table of monthly futures contracts, one price leg of the panel.

    A pickle holds a dict of monthly `pandas.Period` to a price series; any other format holds one
    column for each contract month, headed YYYY-MM.
    """

    unit: str
    """Unit of the prices, for people."""


class ColumnSettings(Settings):
    """One driver in a source file."""

    unit: str
    """Unit of the values, for people."""
    positive: bool
    """Whether a value at or below zero is a mistake, as it is in a price or a stock."""


class SourceSettings(FileSettings):
    """A file of drivers; spaces around its headers do not matter."""

    frequency: Literal["daily", "weekly"]
    """How often a value is new; dates spaced otherwise are refused as misread."""
    publication_lag_days: int = Field(ge=0, le=3650)
    """Calendar days from the date in the file to the evening on which the value can be read."""
    columns: dict[str, ColumnSettings] = Field(min_length=1)
    """The drivers to read, by header."""


class PriceSettings(Settings):
    """How the values of a series are struck, and when; null is unknown.

    The verdict asks whether skill comes from two prices of different times or kinds.
    """

    kind: Literal["settlement", "last_trade", "assessment"] | None
    """What the value is: set by a clearing house, traded, or assessed by an agency."""
    time: str | None = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    """Time of day up to which the value has news, HH:MM, in one time zone for all series."""


class SimulationSettings(Settings):
    """The simulated market."""

    seed: int = Field(ge=0)
    """Which market is drawn; independent of the training seed."""
    signal: float = Field(ge=0, lt=1)
    """Share of the next-day variance that yesterday's drivers explain; 0 is not predictable."""


class FuturesSettings(Settings):
    """How a continuous series is made of monthly contracts."""

    month_offset: int = Field(ge=1, le=12)
    """The contract held in month M is that of month M + offset."""
    adjustment: Literal["ratio", "difference", "none"]
    """What a roll does to the level: `ratio` keeps per-cent returns, `difference` price moves."""
    bridge_days: int = Field(ge=0, le=10)
    """Trading days in a row on which the held contract, or a leg of its roll, may lack a price."""


class BreakDay(Settings):
    """A day on which the contracts of a price leg were specified anew."""

    leg: str
    """Name of the price leg."""
    day: Day
    """First day at the new specification."""


class PanelSettings(Settings):
    """How series and drivers are joined to one row a trading day."""

    start: Day | None
    """First row; null takes every day on which all columns have a value."""
    as_published: bool
    """Whether a value appears on its publication day; false joins by the date in the file."""
    break_days: tuple[BreakDay, ...] = Field(strict=False)
    """Days whose return is a change of specification and not a market move."""

    def breaks_of(self, leg: str) -> tuple[datetime.date, ...]:
        """Return the break days of one price leg."""
        return tuple(entry.day for entry in self.break_days if entry.leg == leg)


class DataSettings(Settings):
    """Where the data come from: raw files, the simulated market, or one prepared table."""

    name: str
    """Name of the member, for the reports."""
    root: str | None = Field(min_length=1)
    """Folder of the files. The sample market is simulated into it, or into a temporary folder."""
    contracts: dict[str, ContractsSettings]
    """Futures curves by the name of the price leg that is made of them."""
    sources: dict[str, SourceSettings]
    """Files of drivers."""
    prices: dict[str, PriceSettings]
    """Kind and time of price legs and drivers, by name; a series that is not named is unknown, and
    a name that is no column says nothing."""
    sample: SimulationSettings | None
    """The market to simulate; null for real files."""
    table: FileSettings | None
    """One prepared table in place of contracts and sources."""
    futures: FuturesSettings
    """How a price leg becomes one continuous series."""
    panel: PanelSettings
    """How the series and drivers become one table."""
    holidays: BelowRoot | None
    """File below `data.root` with a date YYYY-MM-DD a line, on which nobody trades; with null,
    every future weekday counts as a trading day."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.table is not None and (self.contracts or self.sample):
            raise ValueError("a table stands in place of contracts, sources and sample")
        if self.table is not None and self.table.format == "pickle":
            raise ValueError("a table is a csv, parquet or excel file")
        if self.table is None and not self.contracts:
            raise ValueError("either contracts or a table is needed")
        if self.sample is None and self.root is None:
            raise ValueError(
                f"data.root is missing: data={self.name} needs the folder of its files, "
                "as in data.root=../raw"
            )
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = self.columns or ()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"columns named twice: {', '.join(twice)}")
        return self

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the panel's columns; None for a table, whose header holds them."""
        if self.table is not None:
            return None
        return (*self.contracts, *(name for file in self.sources.values() for name in file.columns))

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of the raw files; none of the sample market, which may be yet to be simulated."""
        if self.sample is not None or self.root is None:
            return ()
        tables = (*self.contracts.values(), *self.sources.values(), *filter(None, [self.table]))
        names = [*(table.file for table in tables), *filter(None, [self.holidays])]
        return tuple(Path(self.root, name) for name in names)

    def without_saving_sample(self) -> Self:
        """Return the same data, but do not save a sample market below `root`."""
        return self if self.sample is None else self.model_copy(update={"root": None})

    def file_of(self, name: str) -> str:
        """Return the file of a price leg, of a source or of the table, for messages."""
        files: dict[str, FileSettings] = {**self.contracts, **self.sources}
        return (self.table or files[name]).file
