"""Loss functions."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}
"""By `training.loss`: mean over a batch of forecast (B,) and target (B,), both in per cent."""


class MeanLoss:
    """Mean loss of an epoch, summed on the device so that no step waits for it."""

    def __init__(self) -> None:
        """Start with no sample."""
        self.total = torch.zeros(())
        self.num_samples = 0

    def add(self, loss: Tensor, num_samples: int) -> None:
        """Add the mean loss, shape (), of a batch."""
        self.total = self.total.to(loss.device) + loss.detach() * num_samples
        self.num_samples += num_samples

    def take(self) -> tuple[Tensor, Tensor]:
        """Return sum and number of samples, shape () each, and start over."""
        taken = self.total, torch.tensor(self.num_samples, device=self.total.device)
        self.total = torch.zeros(())
        self.num_samples = 0
        return taken
