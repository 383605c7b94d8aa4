"""What each driver is worth to a forecaster on the test days."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ironore_lightning.evaluation.days import Floats
from ironore_lightning.evaluation.resampling import block_length, score_intervals
from ironore_lightning.evaluation.significance import Interval

Windows = NDArray[np.float32]

REPEATS = 2
"""Permutations of each driver. More would take longer than they tell: the days are the larger part
of the uncertainty, and the interval holds both."""

COVERAGE = 0.95

SEED = 0


def permutation_importance(
    predict: Callable[[Windows], Floats],
    windows: Windows,
    names: Sequence[str],
    actual: Floats,
    *,
    horizon: int,
    reps: int,
) -> dict[str, Interval]:
    """Return by how many points R2 against zero falls if a driver's windows swap their days.

    The interval is that of a block bootstrap of the days, each with its own swaps, so it covers the
    chance in the days as well as in the swaps. Drivers that say the same stand in for each other,
    and each then seems to be worth little.

    Args:
        predict: Maps windows (N, L, F) to forecasts (N,), in the unit of the outcomes.
        windows: Of the test days, in time order, shape (N, L, F).
        names: Driver of each column, F of them; columns of one driver swap together.
        actual: Outcomes, shape (N,).
        horizon: Days over which outcomes overlap.
        reps: Resamples of the days.

    References:
        Breiman (2001), "Random forests", Machine Learning 45(1), section 10. Fisher, Rudin &
        Dominici (2019), "All models are wrong, but many are useful", JMLR 20(177).
    """
    drivers = list(dict.fromkeys(names))
    error = (actual - predict(windows)) ** 2
    rng = np.random.default_rng(SEED)
    losses = np.zeros((len(actual), len(drivers)))
    for _ in range(REPEATS):
        for place, driver in enumerate(drivers):
            columns = np.flatnonzero(np.array(names) == driver)
            swapped = windows.copy()
            swapped[:, :, columns] = windows[rng.permutation(len(windows))][:, :, columns]
            losses[:, place] += ((actual - predict(swapped)) ** 2 - error) / REPEATS
    intervals = score_intervals(
        _points_of_r2,
        losses,
        actual,
        block=block_length(losses, horizon=horizon),
        coverage=COVERAGE,
        reps=reps,
        seed=SEED,
        unit="days",
    )
    return dict(zip(drivers, intervals, strict=True))


def _points_of_r2(losses: Floats, actual: Floats) -> Floats:
    """Return the sum of each column of losses, (N, F), in per cent of the squared outcomes."""
    squares = (actual**2).sum()
    return 100 * losses.sum(axis=0) / squares if squares > 0 else np.full(losses.shape[1], np.nan)
