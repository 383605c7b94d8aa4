"""Predictive distributions: quantiles, pinball loss and CRPS."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, ndtr, ndtri, stdtr, stdtrit

Floats = NDArray[np.float64]

LEVELS = tuple(step / 20 for step in range(1, 20))
"""Quantile levels 0.05, 0.10 .. 0.95, at which distributions of any kind are compared."""

ROUNDING = 1e-9
"""Tolerance on a level: in binary, (1 - 0.9) / 2 is slightly below 0.05."""

LARGEST_Z = 1e150
"""Bound on standardised distances: tails beyond it are zero, and squares would overflow."""


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal distributions, one per day.

    Attributes:
        mean: Shape (N,), per cent.
        spread: Standard deviation, shape (N,), per cent; 0 puts all weight on the mean.
    """

    mean: Floats
    spread: Floats

    def __post_init__(self) -> None:
        """Raise `ValueError` if a spread is negative or the shapes differ."""
        _require_scale("spread", self.spread, self.mean)

    def quantile(self, levels: Sequence[float]) -> Floats:
        """Return the quantiles, shape (N, K), per cent, at levels above 0 and below 1."""
        return _scaled_quantiles(self.mean, self.spread, np.asarray(ndtri(_levels(levels))))

    def crps(self, actual: Floats) -> Floats:
        """Return the continuous ranked probability score, shape (N,), per cent; 0 is perfect.

        Args:
            actual: Returns, shape (N,), per cent.

        References:
            Gneiting & Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and
            Estimation", Journal of the American Statistical Association 102(477), section 4.2.
        """
        z = _standardised(actual, self.mean, self.spread)
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        inner = 2 * density - 1 / np.sqrt(np.pi)
        return np.asarray((actual - self.mean) * (2 * ndtr(z) - 1) + self.spread * inner)


@dataclass(frozen=True, eq=False)
class StudentT:
    """Student t distributions, one per day.

    Attributes:
        mean: Shape (N,), per cent.
        scale: Shape (N,), per cent. The standard deviation is
            scale * sqrt(degrees / (degrees - 2)).
        degrees: Degrees of freedom, one number or shape (N,), above 1; at 1 neither mean nor CRPS
            exists.
    """

    mean: Floats
    scale: Floats
    degrees: float | Floats

    def __post_init__(self) -> None:
        """Raise `ValueError` if scale, degrees or shapes are out of bounds."""
        _require_scale("scale", self.scale, self.mean)
        degrees = np.asarray(self.degrees)
        if (degrees <= 1).any():
            raise ValueError(f"degrees must be above 1, got {degrees.min()}")
        if degrees.shape not in {(), self.mean.shape}:
            raise ValueError(f"degrees have shape {degrees.shape}, mean {self.mean.shape}")

    def quantile(self, levels: Sequence[float]) -> Floats:
        """Return the quantiles, shape (N, K), per cent, at levels above 0 and below 1."""
        degrees = np.broadcast_to(self.degrees, self.mean.shape)[:, None]
        return _scaled_quantiles(
            self.mean, self.scale, np.asarray(stdtrit(degrees, _levels(levels)))
        )

    def crps(self, actual: Floats) -> Floats:
        """Return the continuous ranked probability score, shape (N,), per cent; 0 is perfect.

        Args:
            actual: Returns, shape (N,), per cent.

        References:
            Jordan, Krueger & Lerch (2019), "Evaluating Probabilistic Forecasts with
            scoringRules", Journal of Statistical Software 90(12), appendix A.
        """
        degrees = np.asarray(self.degrees, dtype=np.float64)
        z = _standardised(actual, self.mean, self.scale)
        # density(z) * (degrees + z^2), written so that a far tail is 0 and not 0 * infinity.
        tail = np.exp(-(degrees - 1) / 2 * np.log1p(z**2 / degrees) - betaln(0.5, degrees / 2))
        constant = np.exp(betaln(0.5, degrees - 0.5) - 2 * betaln(0.5, degrees / 2))
        inner = 2 * np.sqrt(degrees) / (degrees - 1) * (tail - constant)
        outer = (actual - self.mean) * (2 * stdtr(degrees, z) - 1)
        return np.asarray(outer + self.scale * inner)


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Distributions given by some of their quantiles, one per day.

    Attributes:
        levels: Ascending, shape (K,), above 0 and below 1.
        values: Quantiles, shape (N, K), per cent, not falling from level to level. A model that
            crosses them sorts them first (Chernozhukov, Fernandez-Val & Galichon 2010).
    """

    levels: Sequence[float]
    values: Floats

    def __post_init__(self) -> None:
        """Raise `ValueError` if levels or quantiles are out of order."""
        levels = _levels(self.levels)
        if self.values.ndim != 2 or self.values.shape[1] != len(levels):  # noqa: PLR2004
            raise ValueError(f"{len(levels)} levels need values (N, K), got {self.values.shape}")
        if (np.diff(levels) <= 0).any():
            raise ValueError(f"levels must ascend, got {tuple(self.levels)}")
        crossed = (np.diff(self.values) < 0).any(axis=1)
        if crossed.any():
            raise ValueError(f"quantiles cross on day {crossed.argmax()}; sort them first")

    def quantile(self, levels: Sequence[float]) -> Floats:
        """Return the quantiles, shape (N, K), per cent, interpolated between the known levels.

        Raises:
            ValueError: If a level lies outside the known ones.
        """
        known, wanted = _levels(self.levels), _levels(levels)
        inside = np.clip(wanted, known[0], known[-1])
        if (np.abs(wanted - inside) > ROUNDING).any():
            raise ValueError(
                f"levels must be in [{known[0]}, {known[-1]}], the known range, got "
                f"{wanted.min()} to {wanted.max()}"
            )
        rows = [np.interp(wanted, known, day) for day in self.values]
        return np.reshape(rows, (-1, len(wanted)))  # also for zero days


Distribution = Normal | StudentT | Quantiles


def pinball_losses(actual: Floats, values: Floats, levels: Sequence[float]) -> Floats:
    """Return the pinball loss of each quantile on each day, shape (N, K), per cent.

    Args:
        actual: Returns, shape (N,), per cent.
        values: Quantiles, shape (N, K), per cent.
        levels: Shape (K,).

    References:
        Koenker & Bassett (1978), "Regression Quantiles", Econometrica 46(1).
    """
    share = _levels(levels)
    error = actual[:, None] - values
    return np.asarray(np.maximum(share * error, (share - 1) * error))


def _levels(levels: Sequence[float]) -> Floats:
    shares = np.asarray(levels, dtype=np.float64)
    if not ((shares > 0) & (shares < 1)).all():
        raise ValueError(f"levels must be above 0 and below 1, got {tuple(levels)}")
    return shares


def _require_scale(name: str, scale: Floats, mean: Floats) -> None:
    if scale.shape != mean.shape or mean.ndim != 1:
        raise ValueError(f"mean has shape {mean.shape}, {name} {scale.shape}; both must be (N,)")
    if (scale < 0).any():
        raise ValueError(f"{name} must not be negative, got {scale.min()}")


def _standardised(actual: Floats, centre: Floats, scale: Floats) -> Floats:
    """Return (actual - centre) / scale, clipped to be finite where the scale is zero."""
    distance = actual - centre
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(distance == 0, 0.0, distance / scale)
    return np.asarray(np.clip(ratio, -LARGEST_Z, LARGEST_Z))


def _scaled_quantiles(centre: Floats, scale: Floats, standard: Floats) -> Floats:
    return np.asarray(centre[:, None] + scale[:, None] * standard)
