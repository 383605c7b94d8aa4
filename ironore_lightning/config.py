"""Every setting once: its type, unit, bound and meaning. The values live in `conf/`.

Below `experiment` nobody receives the whole `Config`, only the part it needs.
"""

import datetime
import math
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from ironore_lightning.errors import closest


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


class FileSettings(Settings):
    """Where a raw file lies and how its dates are written."""

    file: str = Field(min_length=1)
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


class SampleSettings(Settings):
    """The simulated market."""

    seed: int = Field(ge=0)
    """Which market is drawn; independent of the training seed."""
    signal: float = Field(ge=0, lt=1)
    """Share of the next-day variance that yesterday's drivers explain; 0 is not predictable."""


class DataSettings(Settings):
    """Where the data come from: raw files, the simulated market, or one prepared table."""

    name: str
    """Name of the member, for the reports."""
    root: str | None
    """Folder of the files. The sample market is simulated into it, or into a temporary folder."""
    contracts: dict[str, ContractsSettings]
    """Futures curves by the name of the price leg that is made of them."""
    sources: dict[str, SourceSettings]
    """Files of drivers."""
    sample: SampleSettings | None
    """The market to simulate; null for real files."""
    table: FileSettings | None
    """One prepared table in place of contracts and sources."""

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
        return (*self.contracts, *(name for one in self.sources.values() for name in one.columns))


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
    """One row a trading day."""

    start: Day | None
    """First row; null takes every day on which all columns have a value."""
    as_published: bool
    """Whether a value appears on its publication day; false joins by the date in the file."""
    break_days: tuple[BreakDay, ...] = Field(strict=False)
    """Days whose return is a change of specification and not a market move."""

    def breaks_of(self, leg: str) -> tuple[datetime.date, ...]:
        """Return the break days of one price leg."""
        return tuple(one.day for one in self.break_days if one.leg == leg)


def _parse_feature(entry: object) -> object:
    """Let a feature be written as its bare name."""
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


class TargetSettings(Settings):
    """What is forecast: the return of `series` over the next `horizon` days, in per cent."""

    series: str
    """A column of the panel; for a price leg it is the return of the contract held."""
    kind: Literal["log_return", "simple_return", "given"]
    """`given` takes the column as it is: row t already holds what happens after t."""
    horizon: int = Field(ge=1, le=60)
    """Trading days from the last row read to the end of the return (H)."""


class RatioSplit(Settings):
    """Cut by shares of the rows that have a target, in time order."""

    method: Literal["ratio"]
    train: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + val + test must be 1, they sum to {total:g}")
        return self


class DateSplit(Settings):
    """Cut by date: a sample belongs to the segment that holds its target date."""

    method: Literal["date"]
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
    initial: int = Field(ge=20)
    """Samples before the first test segment, validation included."""
    step: int = Field(ge=1)
    """Samples of a test segment, and how far a fold lies behind the one before."""
    val: Share
    """Share of a fold's past that is its validation tail."""
    rolling: bool
    """Whether the past keeps its initial length; otherwise it grows."""
    fold: int = Field(ge=0)
    """Which fold, from 0."""


class WindowSettings(Settings):
    """Geometry of one sample."""

    sequence_length: int = Field(ge=1, le=1000)
    """Trading days that the model reads (L)."""


class ScalingSettings(Settings):
    """How features are scaled; fitted on training rows only. The target is never scaled."""

    method: Literal["minmax", "standard", "robust", "none"]


class ModelSettings(Settings):
    """The LSTM."""

    hidden_size: int = Field(ge=1, le=4096)
    """Units a layer and direction (D)."""
    num_layers: int = Field(ge=1, le=8)
    """Layers on top of each other."""
    dropout: float = Field(ge=0, lt=1)
    """Share of units silenced between layers and before the output, while training."""
    bidirectional: bool
    """Whether the window is read backwards as well; both passes end at the origin or before."""
    layer_norm: bool
    """Whether the final states are normalised before the output."""
    head: Literal["point", "gaussian", "student_t", "quantile"]
    """What is said: one return, or a distribution (fitted by likelihood or pinball loss)."""


class TrainingSettings(Settings):
    """How the network is fitted."""

    loss: Literal["mse", "mae", "huber"]
    """Of the point head. Huber turns from squared to absolute at 1 %."""
    optimizer: Literal["adam", "adamw"]
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0, lt=1)
    schedule: Literal["none", "cosine", "reduce_on_plateau"]
    """`cosine` falls to 0 over max_epochs; `reduce_on_plateau` halves it after patience / 3."""
    gradient_clip_norm: float = Field(gt=0)
    """Largest Euclidean norm of a gradient step."""
    batch_size: int = Field(ge=1, le=100_000)
    max_epochs: int = Field(ge=1, le=100_000)
    patience: int = Field(ge=1)
    """Epochs without a better `monitor` after which training stops."""


class HardwareSettings(Settings):
    """Where it runs."""

    accelerator: Literal["cpu", "gpu", "mps"]
    devices: int = Field(ge=1)
    """Processes (cpu) or cards (gpu); more than one trains with ddp."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    threads: int = Field(ge=1, le=1024)
    """CPU threads a process."""
    deterministic: bool
    """Whether only operations that repeat bit for bit are allowed."""

    @model_validator(mode="after")
    def _half_precision_is_for_cards(self) -> Self:
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise ValueError("precision 16-mixed needs a gpu; on a cpu take 32-true or bf16-mixed")
        return self


class ThresholdSettings(Settings):
    """Where the labels change, as in the original system."""

    plateau_tolerance: float = Field(ge=0)
    """Change of the validation loss that still counts as a plateau."""
    fast_epoch_time: float = Field(gt=0)
    """Seconds an epoch."""
    medium_epoch_time: float = Field(gt=0)
    """Seconds an epoch."""
    quick_training_time: float = Field(gt=0)
    """Seconds a fit."""
    moderate_training_time: float = Field(gt=0)
    """Seconds a fit."""
    simple_model_params: int = Field(gt=0)
    moderate_model_params: int = Field(gt=0)
    excellent_accuracy: float = Field(ge=0, le=100)
    """Direction accuracy, per cent."""
    good_accuracy: float = Field(ge=0, le=100)
    fair_accuracy: float = Field(ge=0, le=100)
    strong_correlation: float = Field(ge=0, le=1)
    moderate_correlation: float = Field(ge=0, le=1)
    low_rmse: float = Field(gt=0)
    """Per cent of return."""
    moderate_rmse: float = Field(gt=0)

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        for low, high in (
            ("fast_epoch_time", "medium_epoch_time"),
            ("quick_training_time", "moderate_training_time"),
            ("simple_model_params", "moderate_model_params"),
            ("fair_accuracy", "good_accuracy"),
            ("good_accuracy", "excellent_accuracy"),
            ("moderate_correlation", "strong_correlation"),
            ("low_rmse", "moderate_rmse"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be below {high}")
        return self


class EvaluationSettings(Settings):
    """What counts as evidence, and how the forecast is traded on paper."""

    min_days: int = Field(ge=20)
    """Scored days below which nothing is said."""
    suggestive_p: float = Field(gt=0, le=0.5)
    """Largest p-value of Clark-West for SUGGESTIVE; a sign test may have twice that."""
    supported_p: float = Field(gt=0, le=0.5)
    """Largest p-value of Clark-West for SUPPORTED; a sign test may have twice that."""
    block_days: int = Field(ge=5)
    """Length of the blocks over which skill must be spread."""
    block_share: Share
    """Share of the blocks whose direction accuracy must exceed the base rate for SUPPORTED."""
    suspect_accuracy: float = Field(gt=50, le=100)
    """Direction accuracy, per cent, on `suspect_days` or more, that is too good to be true."""
    suspect_days: int = Field(ge=20)
    suspect_ic: Share
    """Correlation of forecast and outcome that is too good to be true."""
    suspect_r2: Share
    """R2 against zero that is too good to be true."""
    bootstrap_repetitions: int = Field(ge=100)
    bootstrap_seed: int = Field(ge=0)
    adaptation: float = Field(ge=0, lt=1)
    """Step by which the intervals' level follows its misses (gamma); 0 is plain split conformal."""
    trade_buffer: float = Field(ge=0)
    """Size of a forecast, per cent, below which the threshold strategy stays flat."""
    costs_bp: tuple[float, ...] = Field(strict=False, min_length=1)
    """Costs of a turn to show, in basis points of the notional."""

    @model_validator(mode="after")
    def _supported_is_stricter(self) -> Self:
        if self.supported_p > self.suggestive_p:
            raise ValueError("supported_p must not exceed suggestive_p")
        return self


class ReportSettings(Settings):
    """How the run speaks."""

    emoji: bool


class Config(Settings):
    """One experiment."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    """Folder below `outputs/`."""
    seed: int = Field(ge=0, lt=2**32)
    """Of the weights, the dropout and the order of the batches."""
    monitor: Literal["val/loss", "val/rmse", "val/mae"]
    """What stops training, chooses the checkpoint and is a sweep's objective; lower is better."""
    data: DataSettings
    futures: FuturesSettings
    panel: PanelSettings
    features: FeaturesSettings
    target: TargetSettings
    split: Annotated[RatioSplit | DateSplit | WalkForwardSplit, Field(discriminator="method")]
    window: WindowSettings
    scaling: ScalingSettings
    model: ModelSettings
    training: TrainingSettings
    thresholds: ThresholdSettings
    hardware: HardwareSettings
    evaluation: EvaluationSettings
    report: ReportSettings

    @model_validator(mode="after")
    def _target_is_not_a_feature(self) -> Self:
        names = [feature.name for feature in self.features.names]
        if self.target.kind == "given" and self.target.series in names:
            raise ValueError(
                f"features.names holds {self.target.series!r}, the given target: "
                "the model would read the answer"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for leg in (one.leg for one in self.panel.break_days):
            if leg not in self.data.contracts:
                known = closest(leg, self.data.contracts)
                raise ValueError(f"panel.break_days: {leg!r} is no price leg{known}")
        if self.data.columns is None:
            return self
        wanted = [("features.names", feature.name) for feature in self.features.names]
        mistakes = [
            f"{key}: there is no column {name!r}{closest(name, self.data.columns)}; "
            f"columns are: {', '.join(self.data.columns)}"
            for key, name in [*wanted, ("target.series", self.target.series)]
            if name not in self.data.columns
        ]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self
