"""Settings of the morning desk."""

import datetime
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
