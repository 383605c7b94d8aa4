"""What all settings have in common."""

import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _require_text(day: object) -> object:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if isinstance(day, int | float):
        raise ValueError(f"a date is written YYYY-MM-DD, got {day}")
    return day


Day = Annotated[datetime.date, BeforeValidator(_require_text), Field(strict=False)]
"""A calendar date, written YYYY-MM-DD."""


Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """A group of settings: frozen, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
