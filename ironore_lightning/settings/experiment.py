"""All settings of one experiment, and the rules between them."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from ironore_lightning.settings.base import Settings
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.evaluation import (
    EvaluationSettings,
    ReportSettings,
    ThresholdSettings,
)
from ironore_lightning.settings.market_rules import (
    require_columns,
    require_positive_prices,
    with_unit,
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
        return with_unit(settings) if isinstance(settings, dict) else settings

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
    def _fits_the_market(self) -> Self:
        require_columns(self.data, self.features, self.target)
        require_positive_prices(self.data, self.target)
        return self
