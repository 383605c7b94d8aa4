"""Settings of the morning desk."""

import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ironore_lightning.settings.base import Settings


def _in_utc(moment: datetime.datetime) -> datetime.datetime:
    """Return a moment in UTC, which is meant where no zone is given."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)


def _as_time(given: object) -> object:
    """Return minutes since midnight as a time: YAML reads 12:00 as 720 where nobody quotes it."""
    if isinstance(given, int) and 0 <= given < 24 * 60:
        return datetime.time(given // 60, given % 60)
    return given


Moment = Annotated[datetime.datetime, AfterValidator(_in_utc), Field(strict=False)]
"""A moment, written YYYY-MM-DDTHH:MM, in UTC unless it names a zone."""

TimeOfDay = Annotated[datetime.time, BeforeValidator(_as_time), Field(strict=False)]
"""A time of day in UTC, written HH:MM."""


class DeskSettings(Settings):
    """What the desk forecasts with, when it refuses to, and how much may be lost."""

    folder: str
    """Folder of the record and the pages; one desk has one folder."""
    runs: list[str] = Field(min_length=1)
    """Folders of finished runs or refits; the forecast is their mean."""
    data_root: str | None
    """Folder of the newest raw files, in place of the one that the runs were trained on."""
    now: Moment | None
    """Clock of a rehearsal on old data, UTC; null is the clock of the machine. A record is either
    of rehearsals or real, and says so."""
    settles_at: TimeOfDay
    """Time of day, UTC, when an outcome becomes known; a forecast that is later is none."""
    max_age_days: int = Field(ge=0)
    """Most trading days that may have passed since the newest row."""
    beyond_range: float = Field(ge=0)
    """How far an input may lie outside of its training rows, as a share of their range."""
    accept_restated: bool
    """Whether values that were restated since they were read are taken from now on."""
    refit_every: Annotated[int, Field(ge=5)] | None
    """Trading days after which each run is fitted anew on all days; null never does."""
    lot_size: float = Field(gt=0)
    """Units of a lot, such as tonnes; its value is this times the price."""
    currency: str = Field(min_length=1, max_length=8)
    """Of the price, for people."""
    risk_budget: Annotated[float, Field(gt=0)] | None
    """What a day may lose, in the currency; null leaves the number of lots out."""
    risk_level: float = Field(gt=0.5, lt=1)
    """Level of the expected shortfall that the budget pays for."""


class DeskCommand(Settings):
    """All settings of ``python -m ironore_lightning.desk``."""

    desk: DeskSettings
