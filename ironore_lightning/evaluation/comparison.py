"""Model and baselines side by side, on the same days, by the same code."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ironore_lightning.evaluation.days import Floats, hits
from ironore_lightning.evaluation.significance import (
    clark_west,
    clopper_pearson,
    diebold_mariano,
    holm,
)

COVERAGE = 0.95
"""Of the interval around a direction accuracy."""


@dataclass(frozen=True)
class Row:
    """One forecaster's scores; what is undefined on these days is None.

    Attributes:
        name: `model`, or the baseline's name.
        rmse: Per cent of return.
        mae: Per cent of return.
        rmse_ratio: Over that of zero; below 1 is the claim.
        mae_ratio: Over that of zero; below 1 is less.
        r2_zero: 1 - squared error over that of zero.
        r2_mean: 1 - squared error over that of the expanding mean.
        hits: Days whose sign was forecast.
        moved_days: Days that moved.
        accuracy: Their share, per cent; None for a forecast that is zero on all days.
        accuracy_low: Lower end of its exact 95 % interval, per cent, on days that do not overlap.
        accuracy_high: Upper end.
        base_rate: Accuracy of the better constant sign, per cent.
        ic: Pearson correlation of forecast and outcome.
        rank_ic: Spearman's.
        clark_west_p: One-sided, against zero.
        clark_west_holm_p: Adjusted for all the forecasters displayed.
        diebold_mariano_p: One-sided, squared loss against zero.
    """

    name: str
    rmse: float
    mae: float
    rmse_ratio: float | None
    mae_ratio: float | None
    r2_zero: float | None
    r2_mean: float | None
    hits: int
    moved_days: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    base_rate: float | None
    ic: float | None
    rank_ic: float | None
    clark_west_p: float | None
    clark_west_holm_p: float | None
    diebold_mariano_p: float | None


def compare(actual: Floats, forecasts: Mapping[str, Floats], *, horizon: int) -> list[Row]:
    """Score every forecaster on the same days.

    Args:
        actual: Shape (N,), per cent.
        forecasts: By name, each of shape (N,); must hold `expanding mean`.
        horizon: Days that a forecast reaches.

    References:
        Campbell & Thompson (2008), "Predicting excess stock returns out of sample", Review of
        Financial Studies 21(4), for R2 out of sample.
    """
    zero = np.zeros_like(actual)
    knows_more = {
        name: clark_west(forecast, actual, benchmark=zero, horizon=horizon).p_value
        for name, forecast in forecasts.items()
    }
    adjusted = holm(knows_more)
    return [
        _row(
            name,
            forecast,
            actual,
            mean=forecasts["expanding mean"],
            clark_west_p=(knows_more[name], adjusted[name]),
            horizon=horizon,
        )
        for name, forecast in forecasts.items()
    ]


def base_rate(actual: Floats) -> float | None:
    """Return the direction accuracy of the better constant sign, per cent of moved days."""
    moved = np.count_nonzero(actual)
    ups = np.count_nonzero(actual > 0)
    return 100 * max(ups, moved - ups) / moved if moved else None


def correlation(values: Floats, others: Floats) -> float | None:
    """Return Pearson's correlation; None where one of the two never changes."""
    if len(values) == 0 or np.ptp(values) == 0 or np.ptp(others) == 0:
        return None
    # Of very small or large numbers the squares would leave the range of floats.
    scaled = [series / np.abs(series).max() for series in (values, others)]
    return float(np.corrcoef(scaled)[0, 1])


def count_hits(forecast: Floats, actual: Floats) -> tuple[int, int]:
    """Count days whose sign was forecast, and days that moved."""
    return int(np.count_nonzero(hits(forecast, actual))), int(np.count_nonzero(actual))


def mean_losses(forecast: Floats, actual: Floats) -> tuple[float, float]:
    """Return the mean squared and the mean absolute error."""
    error = actual - forecast
    return float((error**2).mean()), float(np.abs(error).mean())


def gain(loss: float, base: float) -> float | None:
    """Return 1 - loss over that of a benchmark, which is R2 of squared errors."""
    return 1 - loss / base if base > 0 else None


def as_table(rows: list[Row]) -> pd.DataFrame:
    """Lay rows out as a table, the name as index."""
    return pd.DataFrame([vars(row) for row in rows]).set_index("name")


def _row(
    name: str,
    forecast: Floats,
    actual: Floats,
    *,
    mean: Floats,
    clark_west_p: tuple[float | None, float | None],
    horizon: int,
) -> Row:
    zero = np.zeros_like(actual)
    num_hits, moved = count_hits(forecast, actual)
    has_sign = bool(forecast.any())
    interval = clopper_pearson(num_hits, moved, coverage=COVERAGE, horizon=horizon)
    squared, absolute = mean_losses(forecast, actual)
    zero_squared, zero_absolute = mean_losses(zero, actual)
    mean_squared, _ = mean_losses(mean, actual)
    beats_zero = diebold_mariano(forecast, actual, benchmark=zero, horizon=horizon)
    rmse_ratio = _over(squared, zero_squared)
    return Row(
        name=name,
        rmse=squared**0.5,
        mae=absolute,
        rmse_ratio=None if rmse_ratio is None else rmse_ratio**0.5,
        mae_ratio=_over(absolute, zero_absolute),
        r2_zero=gain(squared, zero_squared),
        r2_mean=gain(squared, mean_squared),
        hits=num_hits,
        moved_days=moved,
        accuracy=interval.estimate if has_sign else None,
        accuracy_low=interval.low if has_sign else None,
        accuracy_high=interval.high if has_sign else None,
        base_rate=base_rate(actual),
        ic=correlation(forecast, actual),
        rank_ic=correlation(rankdata(forecast), rankdata(actual)),
        clark_west_p=clark_west_p[0],
        clark_west_holm_p=clark_west_p[1],
        diebold_mariano_p=beats_zero.p_value,
    )


def _over(value: float, base: float) -> float | None:
    return value / base if base > 0 else None
