"""Settings of the morning desk."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from ironore_lightning.errors import ConfigError, closest, single_line
from ironore_lightning.settings.base import Settings
from ironore_lightning.settings.folder import conf_folder


def _in_utc(moment: datetime.datetime) -> datetime.datetime:
    """Return a moment in UTC, which is meant where no zone is given."""
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise ValueError(f"expected a year from {FIRST_YEAR} to {LAST_YEAR - 1}")
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)


def _as_moment(given: object) -> object:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if isinstance(given, datetime.datetime) or re.match(
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", str(given)
    ):
        return given
    raise ValueError("a moment is written YYYY-MM-DDTHH:MM, in UTC")


def _as_time(given: object) -> object:
    """Return a time written HH:MM; YAML reads 12:00 as 720 where nobody quotes it."""
    if isinstance(given, datetime.time):
        return given
    text = f"{given // 60}:{given % 60:02}" if isinstance(given, int) else str(given)
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", text) or text.startswith("0:"):
        raise ValueError('a time of day is written "HH:MM", in UTC')
    return datetime.time.fromisoformat(text.zfill(5))


def _as_list(given: object) -> object:
    return [given] if isinstance(given, str) else given


MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""Of clocks that somebody can mean."""

Moment = Annotated[
    datetime.datetime, BeforeValidator(_as_moment), AfterValidator(_in_utc), Field(strict=False)
]
"""A moment, written YYYY-MM-DDTHH:MM, in UTC unless it names a zone."""

TimeOfDay = Annotated[datetime.time, BeforeValidator(_as_time), Field(strict=False)]
"""A time of day in UTC, written HH:MM."""


class DeskSettings(Settings):
    """What the desk forecasts with, when it refuses to, and how much may be lost."""

    folder: str = Field(min_length=1)
    """Folder of the record and the pages; one desk has one folder."""
    runs: Annotated[list[str], BeforeValidator(_as_list)] = Field(min_length=1)
    """Folders of finished runs or refits; the forecast is their mean."""
    data_root: str | None
    """Folder of the newest raw files, in place of the one that the runs were trained on."""
    now: Moment | None
    """Clock of a rehearsal on old data, UTC; null is the clock of the machine. A record is either
    of rehearsals or real, and says so."""
    settles_at: TimeOfDay
    """Time of day, UTC, when an outcome becomes known; a forecast that is later is none."""
    max_age_days: int = Field(ge=0)
    """Most trading days that may have passed since the newest row. It matters for horizons above 1:
    the outcome of the next day is known after one."""
    beyond_range: float = Field(ge=0)
    """How far an input may lie outside of its training rows, as a share of their range."""
    accept_restated: bool
    """Whether values that were restated since they were read are taken from now on."""
    refit_every: Annotated[int, Field(ge=5)] | None
    """Trading days after which each run is fitted anew on all days; null never does."""
    lot_size: float = Field(ge=1e-6, le=1e9)
    """Units of a lot, such as tonnes; its value is this times the price."""
    currency: str = Field(min_length=1, max_length=8)
    """Of the price, for people."""
    risk_budget: Annotated[float, Field(gt=0, le=1e15)] | None
    """What a day may lose, in the currency; null leaves the number of lots out."""
    risk_level: float = Field(gt=0.5, lt=1)
    """Level of the expected shortfall that the budget pays for."""


def read_desk_settings(overrides: Sequence[str], file: Path | None) -> DeskSettings:
    """Return the settings of `conf/desk.yaml`, changed by a file and by the command line.

    Args:
        overrides: Of the form ``desk.KEY=VALUE``.
        file: YAML with the keys of the desk that it changes, below `desk`.

    Raises:
        ConfigError: With one line per mistake.
    """
    values = dict(_read_yaml(conf_folder() / "desk.yaml"))
    values |= {} if file is None else _read_yaml(file)
    for override in overrides:
        key, sign, text = override.partition("=")
        group, _, name = key.partition(".")
        if not sign or group != "desk":
            raise ConfigError(f"{override}: expected desk.KEY=VALUE; --help has the keys")
        values[name] = _parse(override, text)
    try:
        return DeskSettings.model_validate(values)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise ConfigError("\n".join(map(_describe, mistakes))) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping `desk` of a file."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {str(error.strerror).lower()}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no YAML in UTF-8: {single_line(error)}") from None
    if not isinstance(tree, dict) or set(tree) != {"desk"} or not isinstance(tree["desk"], dict):
        raise ConfigError(f"{path}: expected one mapping, desk, as in conf/desk.yaml")
    return {str(key): value for key, value in tree["desk"].items()}


def _parse(override: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(
            f"{override}: the value is no YAML; quote it, as in 'desk.runs=[\"my run\"]'"
        ) from None


def _describe(mistake: ErrorDetails) -> str:
    key = ".".join(["desk", *map(str, mistake["loc"])])
    if mistake["type"] == "extra_forbidden":
        known = [f"desk.{name}" for name in DeskSettings.model_fields]
        return f"{key}: there is no such key{closest(key, known)}"
    if key == "desk.runs" and mistake["type"] == "too_short":
        return f"{key}: name a finished run, as in desk.runs=[outputs/ironore/RUN]"
    return f"{key}: {mistake['msg'].removeprefix('Value error, ')}, got {mistake['input']!r}"
