"""What a fit makes small."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}
"""By `training.loss`: mean over a batch of forecast (B,) and target (B,), both in per cent."""
