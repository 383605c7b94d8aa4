"""Heads: what the network's outputs mean, one return or a distribution."""

from dataclasses import dataclass

import torch
from torch import Tensor, distributions
from torch.nn import functional

from ironore_lightning.evaluation.distributions import (
    LEVELS,
    Distribution,
    Normal,
    Quantiles,
    StudentT,
)
from ironore_lightning.model.losses import LOSSES

NUM_OUTPUTS = {"point": 1, "gaussian": 2, "student_t": 3, "quantile": len(LEVELS)}

SMALLEST_SCALE = 1e-3
"""Smallest scale, per cent; keeps the likelihood finite on days without a move."""

SMALLEST_DEGREES = 2.0
"""Degrees of freedom above which Student t has a finite variance."""


@dataclass(frozen=True)
class Head:
    """Turn raw outputs into parameters, and parameters into a loss and a forecast.

    Attributes:
        kind: `point`, `gaussian`, `student_t` or `quantile`.
        loss: Of the `point` head; the others are fitted by likelihood or pinball loss.
    """

    kind: str
    loss: str

    def parameters(self, raw: Tensor) -> Tensor:
        """Map raw outputs (B, P) to parameters (B, P), per cent.

        `point`: the forecast. `gaussian`: mean, standard deviation. `student_t`: mean, scale,
        degrees of freedom. `quantile`: the quantiles at `LEVELS`, ascending by construction.
        """
        if self.kind == "point":
            return raw
        if self.kind == "quantile":
            return _monotone_quantiles(raw)
        scale = functional.softplus(raw[:, 1:2] + 1) + SMALLEST_SCALE
        if self.kind == "gaussian":
            return torch.cat([raw[:, :1], scale], dim=1)
        degrees = SMALLEST_DEGREES + functional.softplus(raw[:, 2:3] + 3)
        return torch.cat([raw[:, :1], scale, degrees], dim=1)

    def forecast(self, parameters: Tensor) -> Tensor:
        """Return the one number of a distribution, shape (B,): its mean, or its median."""
        middle = len(LEVELS) // 2 if self.kind == "quantile" else 0
        return parameters[:, middle]

    def distribution(self, parameters: Tensor) -> Distribution | None:
        """Read parameters (N, P) as N distributions of returns; a point is none."""
        columns = parameters.double().numpy().T
        if self.kind == "gaussian":
            return Normal(mean=columns[0], spread=columns[1])
        if self.kind == "student_t":
            return StudentT(mean=columns[0], scale=columns[1], degrees=columns[2])
        if self.kind == "quantile":
            return Quantiles(levels=LEVELS, values=columns.T)
        return None

    def mean_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of parameters (B, P) on targets (B,)."""
        if self.kind == "point":
            return LOSSES[self.loss](parameters[:, 0], target)
        if self.kind == "quantile":
            return _pinball(parameters, target)
        if self.kind == "gaussian":
            mean, scale = parameters.unbind(dim=1)
            return _negative_log_likelihood(distributions.Normal(mean, scale), target)
        mean, scale, degrees = parameters.unbind(dim=1)
        return _negative_log_likelihood(distributions.StudentT(degrees, mean, scale), target)


def _negative_log_likelihood(predicted: distributions.Distribution, target: Tensor) -> Tensor:
    """Return the mean negative log-likelihood."""
    likelihood: Tensor = predicted.log_prob(target)
    return -likelihood.mean()


def _monotone_quantiles(raw: Tensor) -> Tensor:
    """Map raw outputs to ascending quantiles: the median and positive steps from it."""
    middle = len(LEVELS) // 2
    steps = functional.softplus(raw - 1)
    # A product with a triangle in place of cumsum, which has no deterministic form on a GPU.
    ones = torch.ones(middle, middle, device=raw.device, dtype=raw.dtype)
    median = raw[:, middle : middle + 1]
    below = median - steps[:, :middle] @ ones.tril()
    above = median + steps[:, middle + 1 :] @ ones.triu()
    return torch.cat([below, median, above], dim=1)


def _pinball(quantiles: Tensor, target: Tensor) -> Tensor:
    """Return the mean pinball loss over all levels.

    References:
        Koenker & Bassett (1978), "Regression Quantiles", Econometrica 46(1).
    """
    levels = torch.tensor(LEVELS, device=quantiles.device, dtype=quantiles.dtype)
    error = target.unsqueeze(1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean()
