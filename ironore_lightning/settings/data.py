"""Settings of the data: sources, contracts, continuous futures, panel."""

import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ironore_lightning.settings.base import Day, Settings
from ironore_lightning.settings.files import TIME, BelowRoot, FileSettings, Texts

ALL_MONTHS = tuple(range(1, 13))

Months = Annotated[
    tuple[Annotated[int, Field(ge=1, le=12)], ...], Field(min_length=1, strict=False)
]


class FuturesSettings(Settings):
    """How a continuous series is made of monthly contracts."""

    roll: Literal["month_offset", "last_trading_day", "volume", "open_interest", "calendar"] = (
        "month_offset"
    )
    """What decides the held contract: the month; its last trading day; the volume or open interest
    of the close before; or a file of days."""
    month_offset: int = Field(ge=1, le=12)
    """With `month_offset`: in month M the contract of month M + offset is held, or the next one
    that is listed."""
    listed_months: Months = ALL_MONTHS
    """Months of which there are contracts; others in the file are not read."""
    days_before: int = Field(default=0, ge=0, le=60)
    """With `last_trading_day`: trading days before it on whose close the contract is rolled."""
    roll_file: BelowRoot | None = None
    """CSV below `data.root` with the columns date (YYYY-MM-DD) and contract: with `calendar` the
    first day on which each contract is held, with `last_trading_day` its last trading day."""
    adjustment: Literal["ratio", "difference", "none"]
    """What a roll does to the level: `ratio` keeps per-cent returns, `difference` price moves."""
    bridge_days: int = Field(ge=0, le=10)
    """Trading days in a row on which the held contract, or a leg of its roll, may lack a price."""

    @model_validator(mode="after")
    def _rule_has_its_file(self) -> Self:
        if self.roll == "calendar" and self.roll_file is None:
            raise ValueError("roll: calendar needs roll_file, with the columns date and contract")
        if self.days_before and (self.roll != "last_trading_day" or self.roll_file is None):
            raise ValueError(
                "days_before needs roll: last_trading_day and a roll_file with the last trading "
                "day of each contract, as the prices do not tell it in advance"
            )
        return self


class ContractsSettings(FileSettings):
    """Prices of monthly futures contracts, one price leg of the panel."""

    unit: str
    """Unit of the prices, for people."""
    positive: bool = True
    """Whether a price at or below zero is a mistake; false rules out per-cent returns."""
    layout: Literal["wide", "long", "files", "month_numbers", "ranks"] = "wide"
    """`wide`: a column a contract; `long`: a row a day and contract; `files`: a file a contract,
    where `file` is a pattern such as fef/*.csv; `month_numbers`: columns 01 to 12, each the next
    contract of that month; `ranks`: a column for the nearest contract, the next, and so on."""
    contract_format: str = Field(default="%Y-%m", min_length=1)
    """How a contract is written, as `strptime` reads it, such as I%y%m; {code} stands for the
    letter of the month, F to Z, as in CL{code}%y."""
    contract_column: str | None = None
    """Of `long`: header of the contracts."""
    price_column: str | None = None
    """Of `long` and `files`: header of the prices."""
    volume_column: str | None = None
    """Of `long` and `files`: header of the volume, for `roll: volume`."""
    open_interest_column: str | None = None
    """Of `long` and `files`: header of the open interest, for `roll: open_interest`."""
    ranked_columns: Texts = ()
    """Of `ranks`: headers, the nearest contract first. Its roll_file says from which day on each
    contract is the nearest."""
    futures: FuturesSettings
    """How this leg is rolled; what it leaves out is as in `data.futures`."""

    def paths(self, root: Path) -> list[Path]:
        """Return the paths of the files; that of the pattern itself where no file fits it."""
        found = sorted(root.glob(self.file)) if self.layout == "files" else []
        return found or [root / self.file]

    @model_validator(mode="after")
    def _layout_is_whole(self) -> Self:
        if self.layout == "long" and not (self.contract_column and self.price_column):
            raise ValueError("layout: long needs contract_column and price_column")
        if self.layout == "files" and not (self.price_column and "*" in self.file):
            raise ValueError("layout: files needs price_column, and a * in file")
        if self.layout == "ranks" and not (self.ranked_columns and self.futures.roll_file):
            raise ValueError(
                "layout: ranks needs ranked_columns and futures.roll_file, the day from which on "
                "each contract is the nearest; without it the prices jump at every roll, so read "
                "the file below data.sources, as drivers"
            )
        if self.layout == "ranks" and self.futures.roll == "last_trading_day":
            raise ValueError(
                "layout: ranks reads futures.roll_file as the days from which on each contract is "
                "the nearest, so futures.roll must be calendar, which holds the nearest, or another"
            )
        measured = self.futures.roll in ("volume", "open_interest")
        has_column = measured and getattr(self, f"{self.futures.roll}_column")
        if measured and not (has_column and self.layout in ("long", "files")):
            raise ValueError(
                f"futures.roll: {self.futures.roll} needs {self.futures.roll}_column, in a file of "
                "layout: long or files"
            )
        if not self.positive and self.futures.adjustment == "ratio":
            raise ValueError(
                "positive: false needs futures.adjustment: difference (or none); a ratio of prices "
                "at or below zero means nothing"
            )
        return self


class ColumnSettings(Settings):
    """One driver in a source file."""

    unit: str
    """Unit of the values, for people."""
    positive: bool
    """Whether a value at or below zero is a mistake, as it is in a price or a stock."""
    header: str | None = Field(default=None, min_length=1)
    """Header in the file; null where it is the name of the driver."""


class SourceSettings(FileSettings):
    """A file of drivers; spaces around its headers do not matter."""

    frequency: Literal["daily", "weekly", "monthly", "quarterly"]
    """How often a value is new; dates spaced otherwise are refused as misread."""
    publication_lag_days: int = Field(ge=0, le=3650)
    """Calendar days from the date in the file to the evening on which the value can be read."""
    columns: dict[str, ColumnSettings] = Field(min_length=1)
    """The drivers to read, by name."""

    @property
    def headers(self) -> dict[str, str]:
        """Header in the file by name of the driver, both without spaces around them."""
        return {
            name.strip(): (column.header or name).strip() for name, column in self.columns.items()
        }


class TableSettings(FileSettings):
    """One prepared table."""

    contract_column: str | None = None
    """Column that names the contract of each row; a return between two contracts is no move of the
    market and is left out. Null where prices are of one contract, or adjusted."""


class PriceSettings(Settings):
    """How the values of a series are struck, and when; null is unknown.

    The verdict asks whether skill comes from two prices of different times or kinds.
    """

    kind: Literal["settlement", "last_trade", "assessment"] | None
    """What the value is: set by a clearing house, traded, or assessed by an agency."""
    time: str | None = Field(pattern=TIME)
    """Time of day up to which the value has news, HH:MM, in one time zone for all series."""


class SimulationSettings(Settings):
    """The simulated market."""

    seed: int = Field(ge=0)
    """Which market is drawn; independent of the training seed."""
    signal: float = Field(ge=0, lt=1)
    """Share of the next-day variance that yesterday's drivers explain; 0 is not predictable."""


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


def _with_rolls(data: dict[str, Any]) -> dict[str, Any]:
    """Complete how each leg is rolled by `futures`; what is no mapping is judged elsewhere."""
    futures, contracts = data.get("futures"), data.get("contracts")
    futures = futures.model_dump() if isinstance(futures, FuturesSettings) else futures
    if not isinstance(futures, dict) or not isinstance(contracts, dict):
        return data
    completed = {
        name: {**leg, "futures": {**futures, **(leg.get("futures") or {})}}
        for name, leg in contracts.items()
        if isinstance(leg, dict)
    }
    return {**data, "contracts": {**contracts, **completed}}


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
    table: TableSettings | None
    """One prepared table in place of contracts and sources."""
    futures: FuturesSettings
    """How a price leg becomes one continuous series."""
    panel: PanelSettings
    """How the series and drivers become one table."""
    holidays: BelowRoot | None
    """File below `data.root` with a date YYYY-MM-DD a line, on which nobody trades; with null,
    every future weekday counts as a trading day."""
    exchange: str | None = None
    """Code of an exchange, such as XSHG, whose holidays `exchange_calendars` knows; with the extra
    `calendar`, in place of `holidays`."""

    @model_validator(mode="before")
    @classmethod
    def _legs_roll_as_the_market_does(cls, data: object) -> object:
        return _with_rolls(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.table is not None and (self.contracts or self.sample):
            raise ValueError("a table stands in place of contracts, sources and sample")
        if self.table is None and not self.contracts and not self.sources:
            raise ValueError(
                "contracts, sources or a table are needed: a member of conf/market describes them, "
                "as conf/market/dce_iron_ore.yaml does"
            )
        if self.holidays is not None and self.exchange is not None:
            raise ValueError("holidays and exchange both name the holidays; leave one out")
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
        root = Path(self.root)
        legs = self.contracts.values()
        tables = (*self.sources.values(), *filter(None, [self.table]))
        names = [*(table.file for table in tables), *(leg.futures.roll_file for leg in legs)]
        contracts = [path for leg in legs for path in leg.paths(root)]
        return (*contracts, *(root / name for name in [*names, self.holidays] if name))

    def without_saving_sample(self) -> Self:
        """Return the same data, but do not save a sample market below `root`."""
        return self if self.sample is None else self.model_copy(update={"root": None})

    def file_of(self, name: str) -> str:
        """Return the file of a price leg, of a source or of the table, for messages."""
        files: dict[str, FileSettings] = {**self.contracts, **self.sources}
        return (self.table or files[name]).file
