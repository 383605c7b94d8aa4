"""Scores of the validation segment after each epoch."""

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection


def direction_hits(forecast: Tensor, actual: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of days whose sign was forecast, and of days that moved.

    Args:
        forecast: Returns, shape (N,).
        actual: Returns, shape (N,).
    """
    moved = actual != 0
    correct = moved & (forecast.sign() == actual.sign())
    return correct.sum(), moved.sum()


class DirectionAccuracy(Metric):
    """Per cent of the days that moved whose sign was forecast; NaN where none moved."""

    correct: Tensor
    counted: Tensor

    def __init__(self) -> None:
        """Start with no days."""
        super().__init__()
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("counted", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, forecast: Tensor, actual: Tensor) -> None:
        """Add days, both shape (N,)."""
        correct, counted = direction_hits(forecast, actual)
        self.correct += correct
        self.counted += counted

    def compute(self) -> Tensor:
        """Return the per cent."""
        return 100 * self.correct / self.counted


def epoch_metrics(*, prefix: str) -> MetricCollection:
    """Return the metrics of each epoch: rmse, mae, direction."""
    return MetricCollection(
        {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "direction": DirectionAccuracy(),
        },
        prefix=prefix,
    )
