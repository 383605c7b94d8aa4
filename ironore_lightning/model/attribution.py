"""Why a forecast is what it is: what each driver and each day of its window adds."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ironore_lightning.errors import missing_extra
from ironore_lightning.model.forecaster import Forecaster

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

log = logging.getLogger(__name__)

STEPS = 100
"""Points of the path between two windows at which gradients are taken: what they add up to is exact
to 0.01 % for a trained default network, and to 0.5 % with all its weights 1.7 times as large."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a window adds to the forecast of a usual one, in the unit of the forecast.

    Attributes:
        by_driver: Sum over all columns and days of each driver.
        by_lag: Sum over all columns of each day, shape (L,), oldest first.
        matrix: Of each day and column, shape (L, F); its sum is the forecast less that of the
            usual window, within one per cent.
    """

    by_driver: dict[str, float]
    by_lag: list[float]
    matrix: Floats


def explain(
    forecaster: Forecaster, window: Singles, names: Sequence[str], *, usual: Singles
) -> Explanation | None:
    """Return what each driver and day of a window adds to its forecast, by integrated gradients.

    The same weights and windows give the same numbers. None, with a line in the log, if captum is
    not installed.

    Args:
        forecaster: On the CPU.
        window: Scaled, shape (L, F).
        names: Driver of each column, F of them; one driver may stand in several columns.
        usual: Scaled values that explain nothing, shape (F,): the mean of the training rows.

    References:
        Sundararajan, Taly & Yan (2017), "Axiomatic attribution for deep networks", ICML.
    """
    try:
        from captum.attr import IntegratedGradients  # slow to import
    except ImportError:
        log.warning("no explanation: %s", missing_extra("captum", "explain"))
        return None

    def forecast(windows: Tensor) -> Tensor:
        return forecaster.head.forecast(forecaster(windows))

    forecaster.eval()
    inputs = torch.from_numpy(window)[None]
    start = torch.from_numpy(usual).expand_as(inputs)
    shares = IntegratedGradients(forecast).attribute(inputs, start, n_steps=STEPS)
    return _sum_up(shares[0].double().numpy(), names)


def mean_explanation(explanations: Sequence[Explanation], names: Sequence[str]) -> Explanation:
    """Return the explanation of the mean forecast of several networks, at least one."""
    return _sum_up(np.mean([each.matrix for each in explanations], axis=0), names)


def agreement(explanations: Sequence[Explanation]) -> float | None:
    """Return the mean correlation of the explanations of two networks, from -1 to 1.

    None for fewer than two, or if one is the same for every day and column.
    """
    shares = [each.matrix.ravel() for each in explanations]
    if len(shares) < 2 or any(np.ptp(share) == 0 for share in shares):  # noqa: PLR2004 - a pair
        return None
    pairs = combinations(shares, 2)
    return float(np.mean([np.corrcoef(first, second)[0, 1] for first, second in pairs]))


def _sum_up(matrix: Floats, names: Sequence[str]) -> Explanation:
    by_driver = dict.fromkeys(names, 0.0)
    for name, share in zip(names, matrix.sum(axis=0).tolist(), strict=True):
        by_driver[name] += share
    return Explanation(by_driver, matrix.sum(axis=1).tolist(), matrix)
