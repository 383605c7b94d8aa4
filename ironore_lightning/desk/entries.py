"""The entries of a desk's record: everything that a morning page shows, and no more.

The page of a morning is made of the entries until then and of nothing else, so that it can be made
again, byte for byte, long after the data have been restated and the runs are gone.
"""

import datetime
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from ironore_lightning.settings.base import Day

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

BOUND_NAMES = frozenset({"lower_80", "upper_80", "lower_90", "upper_90"})


def _require_all_bounds(bounds: dict[str, float | None]) -> dict[str, float | None]:
    if set(bounds) != BOUND_NAMES:
        raise ValueError(f"expected the bounds {', '.join(sorted(BOUND_NAMES))}")
    return bounds


Bounds = Annotated[dict[str, float | None], AfterValidator(_require_all_bounds)]
"""`lower_80`, `upper_80`, `lower_90` and `upper_90`; None where too little is known."""


class Content(BaseModel):
    """Something that the desk says; it is never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Start(Content):
    """The first entry of a record.

    Attributes:
        version: Of this package.
        rehearsal: Whether all clocks of the record were given (`desk.now`), as nobody's forecast
            can be of a day that had not come.
    """

    kind: Literal["start"] = "start"
    version: str
    rehearsal: bool


class Driver(Content):
    """The newest value of an input.

    Attributes:
        name: Of the column.
        value: What the network read, before it is scaled.
        window: The same on each of `Forecast.rows`, to find what is restated later.
        age: Rows since the value was new.
        oldest: The same at most in the training rows.
        low: Smallest value of the training rows.
        high: Largest value of the training rows.
        share: What it adds to the forecast beside its training mean, in the unit of the forecast;
            None if nothing explains it.
    """

    name: str
    value: float
    window: list[float]
    age: int
    oldest: int
    low: float
    high: float
    share: float | None = None


class TailRisk(Content):
    """What a position may lose until the outcome, as sizes of a move in the unit of the target.

    Attributes:
        level: Share of days that lose no more than the value at risk.
        long_var: Value at risk of who holds the contract.
        long_es: Expected shortfall: the mean loss of the days beyond it.
        short_var: Value at risk of who has sold it.
        short_es: Expected shortfall of who has sold it.
    """

    level: float
    long_var: float
    long_es: float
    short_var: float
    short_es: float


class Size(Content):
    """How much may be held.

    Attributes:
        lot_size: Units of a lot.
        currency: Of the price.
        budget: What a day may lose at `level`; None if nobody says so.
        level: Of the expected shortfall that the budget pays for.
        lots: Whole lots that the budget pays for; None without budget or price.
        side: `long` or `short` where the evidence lets the direction count, else `either`.
        reason: Why the direction counts or does not, a sentence.
    """

    lot_size: float
    currency: str
    budget: float | None
    level: float
    lots: int | None
    side: Literal["long", "short", "either"]
    reason: str


class Source(Content):
    """A network behind a forecast.

    Attributes:
        folder: Of the run or refit.
        checkpoint: SHA-256 of its weights.
        trained_until: Newest day whose outcome it was fitted to or chosen by.
        is_refit: Whether it was fitted on all days after its verdict.
    """

    folder: str
    checkpoint: Sha256
    trained_until: Day
    is_refit: bool


class Forecast(Content):
    """A forecast, written before its outcome.

    Attributes:
        origin: Newest row that was read.
        rows: Days of the window that ends with it, oldest first.
        date: Day on which the outcome ends.
        settles_at: Time of that day, UTC, when it becomes known, HH:MM.
        series: What is forecast.
        contract: Month of the contract held until `date`; None for a price without contracts.
        unit: Of the forecast and its bounds.
        kind_of_target: `target.kind`: how an outcome changes a price.
        rules: SHA-256 of the settings of the target and of the roll of its contracts.
        word: What an outcome is called, such as return.
        noun: What a row is: day, week or month.
        rows_per_year: Of the rhythm of the rows.
        horizon: Rows that the forecast reaches ahead.
        forecast: In `unit`.
        bounds: In `unit`.
        price: Newest price of the contract; None for a target without one.
        price_forecast: Where the forecast puts the price.
        price_bounds: The bounds as prices.
        volatility: EWMA of the outcomes known at the origin, in `unit`.
        grade: Of the evidence that the runs had earned before the desk began.
        evidence: The same in one line.
        drivers: The inputs, as the runs name them.
        lags: What each row of the window adds to the forecast, oldest first; empty if unknown.
        agreement: Mean correlation of the explanations of two seeds; None with one network.
        risk: At 90 and 99 %.
        size: How much may be held.
        prices: Date and price of the contract on the newest days, oldest first.
        next_roll: First later day on which another contract is held; None if unknown.
        alarms: What a reader should know first, a line each.
        data: SHA-256 of each raw file.
        sources: The networks.
    """

    kind: Literal["forecast"] = "forecast"
    origin: Day
    rows: list[Day]
    date: Day
    settles_at: str = Field(pattern="^[0-2][0-9]:[0-5][0-9]$")
    series: str
    contract: str | None
    unit: str
    kind_of_target: Literal["log_return", "simple_return", "change", "given"]
    rules: Sha256
    word: str
    noun: str
    rows_per_year: float
    horizon: int = Field(ge=1)
    forecast: float
    bounds: Bounds
    price: float | None
    price_forecast: float | None
    price_bounds: Bounds
    volatility: float
    grade: str
    evidence: str
    drivers: list[Driver]
    lags: list[float]
    agreement: float | None
    risk: list[TailRisk]
    size: Size
    prices: list[tuple[Day, float]]
    next_roll: Day | None
    alarms: list[str]
    data: dict[str, Sha256]
    sources: list[Source]


class Refusal(Content):
    """No forecast, and why.

    Attributes:
        origin: Newest row that was read; None if the data could not be read.
        reasons: A line each.
        runs: Folders of what was asked.
    """

    kind: Literal["refusal"] = "refusal"
    origin: Day | None
    reasons: list[str] = Field(min_length=1)
    runs: list[str]


class Outcome(Content):
    """What became of a forecast.

    Attributes:
        forecast: Number of the entry, the first forecast from its origin.
        date: Day on which the outcome ended; a holiday that nobody knew makes it another one than
            that of the forecast.
        actual: In the unit of the forecast.
        is_roll: Whether the contract changed at the close of the origin.
        rank: Share of the scaled errors on validation that were at least as large, from 1 / (m + 1)
            to 1; small where the forecast was worse than validation promised.
        num_scores: How many errors on validation it was ranked among (m).
    """

    kind: Literal["outcome"] = "outcome"
    forecast: int
    date: Day
    actual: float
    is_roll: bool
    rank: float = Field(gt=0, le=1)
    num_scores: int = Field(ge=1)


class Restatement(Content):
    """Values that were others when they were forecast with, and are taken from now on.

    Attributes:
        values: By row, YYYY-MM-DD, the new value of each input that has changed, of the price
            (`price of SERIES`) and of a told outcome (`outcome of SERIES`); None where the row is
            gone.
    """

    kind: Literal["restatement"] = "restatement"
    values: dict[str, dict[str, float | None]]


AnyContent = Annotated[
    Start | Forecast | Refusal | Outcome | Restatement, Field(discriminator="kind")
]


class Entry(BaseModel):
    """One line of the record.

    Attributes:
        number: From 1.
        previous: SHA-256 of the line before, without its line feed; 64 zeros for the first.
        written_at: In UTC.
        content: What was said.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    number: int = Field(ge=1)
    previous: Sha256
    written_at: AwareDatetime
    content: AnyContent


def is_rehearsal(entries: Sequence[Entry]) -> bool:
    """Return whether the clocks of the record were given."""
    start = entries[0].content
    return isinstance(start, Start) and start.rehearsal


def newest_said(entries: Sequence[Entry]) -> Entry | None:
    """Return the entry of the newest forecast or refusal."""
    said = [entry for entry in entries if isinstance(entry.content, Forecast | Refusal)]
    return said[-1] if said else None


def first_forecasts(entries: Sequence[Entry]) -> dict[int, Forecast]:
    """Return the first forecast from each origin by its number; the later ones do not count."""
    first: dict[datetime.date, tuple[int, Forecast]] = {}
    for entry in entries:
        if isinstance(entry.content, Forecast):
            first.setdefault(entry.content.origin, (entry.number, entry.content))
    return dict(first.values())
