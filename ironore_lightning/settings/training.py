"""Settings of training and hardware."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ironore_lightning.settings.base import Settings
from ironore_lightning.settings.networks import NetworkSettings

LoggerName = Literal["tensorboard", "csv", "mlflow", "wandb"]


def _require_each_once(names: list[LoggerName]) -> list[LoggerName]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is named twice")
    return names


Loggers = Annotated[
    list[LoggerName],
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    AfterValidator(_require_each_once),
]
"""One logger or a list of them."""


class TrainingSettings(Settings):
    """How the network is fitted."""

    loss: Literal["mse", "mae", "huber"]
    """Loss of the point head. Huber changes from squared to absolute at 1 %."""
    optimizer: Literal["adam", "adamw"]
    """AdamW takes the weight decay out of the gradient."""
    learning_rate: float = Field(gt=0, le=1)
    """Step size of the optimizer, at the start."""
    weight_decay: float = Field(ge=0, lt=1)
    """How strongly weights are pulled towards zero."""
    schedule: Literal["none", "cosine", "reduce_on_plateau"]
    """`cosine` falls to 0 over max_epochs; `reduce_on_plateau` halves it after patience / 3."""
    gradient_clip_norm: float = Field(gt=0)
    """Largest Euclidean norm of a gradient step."""
    batch_size: int = Field(ge=1, le=100_000)
    """Samples of a training step (B)."""
    max_epochs: int = Field(ge=1, le=100_000)
    """Most epochs, if training is not stopped earlier."""
    patience: int = Field(ge=1)
    """Epochs without a better `monitor` after which training stops."""


class HardwareSettings(Settings):
    """Device, processes and precision."""

    accelerator: Literal["cpu", "gpu", "mps"]
    """What computes; mps is an Apple GPU."""
    devices: int = Field(ge=1, le=1024)
    """Processes (cpu), at most one a core, or cards (gpu); more than one trains with ddp."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    """Mixed precision gives other numbers; it is worth trying where the processor has AMX."""
    threads: int = Field(ge=1, le=1024)
    """CPU threads a process. A second one gains a little on a machine that has nothing else to do;
    beside a busy process it makes an epoch many times slower."""
    deterministic: bool
    """Whether only operations that repeat bit for bit are allowed."""

    def on_cpu(self) -> Self:
        """Return as many threads for one process on a CPU."""
        on_cpu = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
        return self.model_copy(update=on_cpu)

    @model_validator(mode="after")
    def _half_precision_is_for_cards(self) -> Self:
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise ValueError("precision 16-mixed needs a gpu; on a cpu take 32-true or bf16-mixed")
        return self


@dataclass(frozen=True)
class FitSettings:
    """The settings that a fit needs, as `Config.fit_settings` puts it together.

    Attributes:
        model: The network.
        training: How it is fitted.
        hardware: Device, processes and precision.
        monitor: The score that stops the fit and chooses the checkpoint.
        seed: Seed of the weights and the dropout.
        sequence_length: Rows of the windows that the network reads (L).
    """

    model: NetworkSettings
    training: TrainingSettings
    hardware: HardwareSettings
    monitor: str
    seed: int
    sequence_length: int
