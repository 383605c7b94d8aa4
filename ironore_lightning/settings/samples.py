"""Settings of features, target, split, window and scaling."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ironore_lightning.settings.base import Day, Settings, Share


def _parse_feature(entry: object) -> object:
    """Accept a feature given by its name only."""
    return {"name": entry} if isinstance(entry, str) else entry


class FeatureSettings(Settings):
    """One column that the model reads."""

    name: str
    """Column of the panel."""
    transform: Literal["level", "log_return", "change", "zscore", "staleness"] = "level"
    """`log_return` is in per cent, `zscore` over trailing rows, `staleness` in trading days."""
    window: int | None = Field(default=None, ge=2, le=1000)
    """Trailing rows of a zscore, the newest included; null for the other transforms."""

    @property
    def label(self) -> str:
        """Header of the column in tables: the name, with the transform unless it is the level."""
        if self.transform == "level":
            return self.name
        return " ".join(filter(None, [self.name, self.transform, str(self.window or "")]))

    @model_validator(mode="after")
    def _only_a_zscore_has_a_window(self) -> Self:
        if (self.transform == "zscore") != (self.window is not None):
            raise ValueError("a zscore needs a window, and nothing else takes one")
        return self


class FeaturesSettings(Settings):
    """What the model reads, in order."""

    names: tuple[Annotated[FeatureSettings, BeforeValidator(_parse_feature)], ...] = Field(
        strict=False
    )
    """Names, or `name` with a `transform`."""

    @field_validator("names")
    @classmethod
    def _are_unique(cls, names: tuple[FeatureSettings, ...]) -> tuple[FeatureSettings, ...]:
        if not names:
            raise ValueError("at least one feature is needed")
        labels = [feature.label for feature in names]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}")
        return names


UNKNOWN_UNIT = "points"
"""Unit of an outcome that is no return, where nobody says it."""


class TargetSettings(Settings):
    """What is forecast: what `series` does over the next `horizon` days."""

    series: str
    """A column of the panel; for a price leg it is the return of the contract held."""
    kind: Literal["log_return", "simple_return", "change", "given"]
    """Returns are in per cent; `change` is in the unit of the series, for spreads and prices that
    may be negative; `given` takes the column as it is: row t already holds what happens after t."""
    unit: str | None = Field(default=None, min_length=1)
    """Of `change` and `given`: unit of the outcome, for people; null takes that of the series below
    `data.contracts` or `data.sources`."""
    horizon: int = Field(ge=1, le=60)
    """Trading days from the last row read to the end of the return (H)."""
    profit_series: str | None = None
    """Of `change` and `given`: column of prices whose per-cent return over the same days is the
    profit of trading; null leaves out trading."""

    @model_validator(mode="after")
    def _returns_are_their_own_profit(self) -> Self:
        if self.profit_series is not None and self.is_return:
            raise ValueError(f"profit_series: a {self.kind} is earned on its own series")
        if self.unit is not None and self.is_return:
            raise ValueError(f"unit: a {self.kind} is in per cent")
        return self

    @property
    def is_return(self) -> bool:
        """Whether outcomes are returns in per cent, which a position in the series earns."""
        return self.kind in ("log_return", "simple_return")

    @property
    def unit_name(self) -> str:
        """Unit of outcomes and forecasts, for people."""
        return "%" if self.is_return else self.unit or UNKNOWN_UNIT


class RatioSplit(Settings):
    """Cut by shares of the rows that have a target, in time order."""

    method: Literal["ratio"]
    """How time is cut; split=MEMBER chooses it."""
    train: Share
    """Share of the rows that the network learns from."""
    val: Share
    """Share of the rows that stop training and choose its best epoch."""
    test: Share
    """Share of the newest rows, which nothing is chosen by."""

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + val + test must be 1, they sum to {total:g}")
        return self


class DateSplit(Settings):
    """Cut by date: a sample belongs to the segment that holds its target date."""

    method: Literal["date"]
    """How time is cut; split=MEMBER chooses it."""
    val_start: Day
    """First target date of the validation segment."""
    test_start: Day
    """First target date of the test segment."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.test_start <= self.val_start:
            raise ValueError(f"test_start must be after val_start {self.val_start}")
        return self


class WalkForwardSplit(Settings):
    """One fold of a walk-forward: train on the past, test on the next `step` samples."""

    method: Literal["walk_forward"]
    """How time is cut; split=MEMBER chooses it."""
    initial: int = Field(ge=20)
    """Samples before the first test segment, validation included."""
    step: int = Field(ge=1)
    """Samples of a test segment, and how far a fold lies behind the one before."""
    val: Share
    """Share of a fold's past that is its validation tail."""
    rolling: bool
    """Whether the past keeps its initial length; otherwise it grows."""
    fold: int = Field(ge=0, lt=100_000)
    """Which fold, from 0."""


class WindowSettings(Settings):
    """Geometry of one sample."""

    sequence_length: int = Field(ge=2, le=1000)
    """Trading days that the model reads (L)."""


class ScalingSettings(Settings):
    """How features are scaled; fitted on training rows only. The target is never scaled."""

    method: Literal["minmax", "standard", "robust", "none"]
    """To -1..1, or by mean and deviation, or by median and quartiles."""


SplitSettings = RatioSplit | DateSplit | WalkForwardSplit
"""How time is cut into train, validation and test."""


@dataclass(frozen=True)
class DatasetSettings:
    """How a panel becomes samples, as `Config.dataset_settings` puts it together.

    Attributes:
        features: What the model reads.
        target: What it forecasts.
        split: Where time is cut.
        window: How many days a sample holds.
        scaling: How features are scaled.
        batch_size: Samples of a training batch (B).
        seed: Seed of the order of the training batches.
    """

    features: tuple[FeatureSettings, ...]
    target: TargetSettings
    split: SplitSettings
    window: WindowSettings
    scaling: ScalingSettings
    batch_size: int
    seed: int
