"""All settings of one experiment, and the rules between them."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from ironore_lightning.errors import closest
from ironore_lightning.settings.base import Settings
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.evaluation import (
    EvaluationSettings,
    ReportSettings,
    ThresholdSettings,
)
from ironore_lightning.settings.networks import NetworkSettings
from ironore_lightning.settings.samples import (
    DatasetSettings,
    FeaturesSettings,
    ScalingSettings,
    SplitSettings,
    TargetSettings,
    WindowSettings,
)
from ironore_lightning.settings.training import (
    FitSettings,
    HardwareSettings,
    Loggers,
    TrainingSettings,
)

MONITORS = ("val/loss", "val/rmse", "val/mae")


def require_validation_metric(monitor: str) -> str:
    """Return `monitor` if runs may be chosen by it; raise `ValueError` otherwise."""
    if monitor.startswith("test"):
        raise ValueError(
            f"{monitor!r} would choose by the test segment, and what is chosen by it is no longer "
            f"tested by it; choose one of {', '.join(MONITORS)}"
        )
    if monitor not in MONITORS:
        raise ValueError(f"must be one of {', '.join(MONITORS)}, got {monitor!r}")
    return monitor


class Config(Settings):
    """All settings of one run."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    """Folder below `outputs/`."""
    seed: int = Field(ge=0, lt=2**32)
    """Seeds the weights, the dropout and the order of the batches."""
    monitor: Annotated[
        str,
        AfterValidator(require_validation_metric),
        Field(json_schema_extra={"enum": list(MONITORS)}),
    ]
    """What stops training, chooses the checkpoint and is a sweep's objective; lower is better."""
    logger: Loggers = Field(default=["tensorboard"])
    """Where curves, settings and scores go; runs of older versions have no such setting."""
    data: DataSettings
    features: FeaturesSettings
    target: TargetSettings
    split: Annotated[SplitSettings, Field(discriminator="method")]
    window: WindowSettings
    scaling: ScalingSettings
    model: NetworkSettings
    training: TrainingSettings
    thresholds: ThresholdSettings
    hardware: HardwareSettings
    evaluation: EvaluationSettings
    report: ReportSettings

    @property
    def dataset_settings(self) -> DatasetSettings:
        """Return how the panel becomes samples."""
        return DatasetSettings(
            features=self.features.names,
            target=self.target,
            split=self.split,
            window=self.window,
            scaling=self.scaling,
            batch_size=self.training.batch_size,
            seed=self.seed,
        )

    @property
    def fit_settings(self) -> FitSettings:
        """Return the settings that a fit needs."""
        return FitSettings(
            model=self.model,
            training=self.training,
            hardware=self.hardware,
            monitor=self.monitor,
            seed=self.seed,
            sequence_length=self.window.sequence_length,
        )

    @model_validator(mode="before")
    @classmethod
    def _target_has_the_unit_of_its_series(cls, settings: object) -> object:
        """Complete the unit of an outcome that is no return by that of its series."""
        if not isinstance(settings, dict) or not isinstance(settings.get("target"), dict):
            return settings
        target, data = settings["target"], settings.get("data")
        unit = _unit_of(data, target.get("series")) if isinstance(data, dict) else None
        if unit is None or target.get("unit") or target.get("kind") not in ("change", "given"):
            return settings
        return {**settings, "target": {**target, "unit": unit}}

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
    def _returns_are_of_positive_prices(self) -> Self:
        target, legs = self.target, self.data.contracts
        negative = [name for name, leg in legs.items() if not leg.positive]
        if target.is_return and target.series in negative:
            raise ValueError(
                f"target.kind={target.kind}: {target.series} has no per-cent return, as "
                f"data.contracts.{target.series}.positive is false; set target.kind=change"
            )
        if target.profit_series in negative:
            raise ValueError(
                f"target.profit_series: {target.profit_series} has no per-cent return, as "
                f"data.contracts.{target.profit_series}.positive is false; name another series"
            )
        return self

    @model_validator(mode="after")
    def _referenced_columns_exist(self) -> Self:
        for leg in (day.leg for day in self.data.panel.break_days):
            if leg not in self.data.contracts:
                known = closest(leg, self.data.contracts)
                raise ValueError(f"data.panel.break_days: {leg!r} is no price leg{known}")
        if self.data.columns is None:  # known only once the prepared table is read
            return self
        columns = self.data.columns
        wanted = {
            "features.names": [feature.name for feature in self.features.names],
            "target.series": [self.target.series],
            "target.profit_series": [*filter(None, [self.target.profit_series])],
        }
        if not {*wanted["features.names"], self.target.series} & {*columns}:
            raise ValueError(
                f"features and target: data={self.data.name} has none of their columns, only "
                f"{', '.join(columns)}; name those of this market in a member of conf/market, as "
                "conf/market/dce_iron_ore.yaml does, and choose it with market=NAME"
            )
        mistakes = []
        for key, names in wanted.items():
            unknown = [name for name in dict.fromkeys(names) if name not in columns]
            if unknown:
                meant = closest(unknown[0], columns) if len(unknown) == 1 else ""
                missing = ", ".join(repr(name) for name in unknown)
                mistakes.append(f"{key}: there is no column {missing}{meant}")
        if mistakes:
            raise ValueError(
                "\n".join([*mistakes[:-1], f"{mistakes[-1]}; columns are: {', '.join(columns)}"])
            )
        return self


def _unit_of(data: dict[str, Any], series: object) -> str | None:
    """Return the unit of a price leg or driver in settings that are yet to be checked."""
    columns = [data.get("contracts")]
    sources = data.get("sources")
    for source in sources.values() if isinstance(sources, dict) else ():
        columns.append(source.get("columns") if isinstance(source, dict) else None)
    for known in columns:
        column = known.get(series) if isinstance(known, dict) else None
        if isinstance(column, dict) and isinstance(column.get("unit"), str):
            return str(column["unit"])
    return None
