"""The base class and common types of all settings."""

import datetime
import re
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from ironore_lightning.errors import ConfigError


def _require_day(day: object) -> object:
    """Refuse digits alone, which pydantic would take for seconds since 1970."""
    if isinstance(day, datetime.date) or re.fullmatch(r"\d{4}-\d\d-\d\d", str(day), re.ASCII):
        return day
    raise ValueError(f"a date is written YYYY-MM-DD, got {day}")


Day = Annotated[datetime.date, BeforeValidator(_require_day), Field(strict=False)]
"""A calendar date, written YYYY-MM-DD."""


def parse_day(name: str, text: str) -> datetime.date:
    """Return a day that is written YYYY-MM-DD.

    Args:
        name: What the day is of, for the error.
        text: As it is given.

    Raises:
        ConfigError: If it is none.
    """
    try:
        return TypeAdapter(Day).validate_python(text)
    except ValidationError:
        raise ConfigError(f"{name}: a date is written YYYY-MM-DD, got {text}") from None


Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """A group of settings: frozen, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
