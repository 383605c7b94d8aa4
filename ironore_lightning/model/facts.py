"""The facts of a fit, which need no torch."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class TrainingFacts:
    """How a fit went.

    Attributes:
        num_epochs: Epochs run.
        best_epoch: The epoch whose weights were kept, from 1.
        best_score: Its `monitor` on the validation segment.
        stopped_early: Whether patience ended it.
        seconds: Wall-clock time of its epochs.
        num_parameters: Number of trainable weights.
    """

    __pydantic_config__: ClassVar[dict[str, bool]] = {"strict": True, "allow_inf_nan": False}

    num_epochs: int
    best_epoch: int
    best_score: float
    stopped_early: bool
    seconds: float
    num_parameters: int
