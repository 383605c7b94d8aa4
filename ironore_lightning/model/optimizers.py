"""Optimizers and learning-rate schedules."""

from collections.abc import Iterable

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from ironore_lightning.settings.training import TrainingSettings


def build_optimizer(
    parameters: Iterable[nn.Parameter], settings: TrainingSettings, *, fused: bool
) -> Optimizer:
    """Build the optimizer; `fused` is faster and differs by rounding only."""
    family: type[Adam] = {"adam": Adam, "adamw": AdamW}[settings.optimizer]
    return family(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=fused
    )


def build_schedule(optimizer: Optimizer, settings: TrainingSettings) -> LRScheduler | None:
    """Build the learning-rate schedule, or return None without one."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=settings.max_epochs)
    if settings.schedule == "reduce_on_plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=max(settings.patience // 3, 1))
    return None
