"""Scores of a forecast, each beside what doing nothing scores on the same days."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection

from ironore_lightning.evaluation.comparison import correlation, count_hits, gain, mean_losses
from ironore_lightning.evaluation.days import Floats, ScoredDays

GUESSING_COVERAGE = 0.95
"""Share of coin tossers who end inside the band of guessing."""

SMALLEST_PRICE = 1e-6
"""Of the price before; a percentage of less than that says nothing."""


@dataclass(frozen=True)
class Scores:
    """What a forecast scored on some days; a score that is undefined there is None.

    Attributes:
        num_days: Days scored (N).
        rmse: Root mean squared error, per cent of return.
        mae: Mean absolute error, per cent of return.
        zero_rmse: The same for a forecast of zero, which is the volatility of the market.
        zero_mae: Mean absolute error of the forecast of zero, per cent of return.
        direction_accuracy: Per cent of `direction_days` whose sign was forecast. A day that did not
            move is not counted; a forecast of exactly zero has no sign and is a miss.
        direction_hits: Days whose sign was forecast.
        direction_days: Days that moved.
        days_apart: As many of them have outcomes that do not overlap.
        zero_forecast_days: Counted days on which the forecast was exactly zero.
        up_share: Per cent of `direction_days` that went up.
        guessing_low: Accuracy on `days_apart`, per cent, below which 2.5 % of coin tossers fall.
        guessing_high: Accuracy, per cent, above which 2.5 % of coin tossers rise.
        r2: Against the mean of these very days, which nobody knew in advance.
        r2_zero: Against the forecast of zero.
        correlation: Pearson, of forecast and actual.
        mape: Of the price rebuilt from the return, per cent; of a return it has no meaning.
        naive_mape: The same for a price that does not move.
    """

    num_days: int
    rmse: float
    mae: float
    zero_rmse: float
    zero_mae: float
    direction_accuracy: float | None
    direction_hits: int
    direction_days: int
    days_apart: int
    zero_forecast_days: int
    up_share: float | None
    guessing_low: float | None
    guessing_high: float | None
    r2: float | None
    r2_zero: float | None
    correlation: float | None
    mape: float | None
    naive_mape: float | None


def direction_hits(forecast: Tensor, actual: Tensor) -> tuple[Tensor, Tensor]:
    """Count days whose sign was forecast, and days that moved.

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
    """Return the scores that are followed from epoch to epoch: rmse, mae, direction."""
    return MetricCollection(
        {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "direction": DirectionAccuracy(),
        },
        prefix=prefix,
    )


def evaluate(scored: ScoredDays) -> Scores:
    """Score forecasts; of a target without a price there is no MAPE."""
    actual, forecast, kind, horizon = scored.actual, scored.forecast, scored.kind, scored.horizon
    zero = np.zeros_like(actual)
    squared, absolute = mean_losses(forecast, actual)
    zero_squared, zero_absolute = mean_losses(zero, actual)
    hits, days = count_hits(forecast, actual)
    low, high = guessing_band(days, horizon=horizon) if days else (None, None)
    varies = bool(np.ptp(actual))
    return Scores(
        num_days=len(actual),
        rmse=squared**0.5,
        mae=absolute,
        zero_rmse=zero_squared**0.5,
        zero_mae=zero_absolute,
        direction_accuracy=100 * hits / days if days else None,
        direction_hits=hits,
        direction_days=days,
        days_apart=days // horizon,
        zero_forecast_days=int(((forecast == 0) & (actual != 0)).sum()),
        up_share=100 * int((actual > 0).sum()) / days if days else None,
        guessing_low=low,
        guessing_high=high,
        r2=gain(squared, float(actual.var())) if varies else None,
        r2_zero=gain(squared, zero_squared),
        correlation=correlation(forecast, actual),
        mape=_price_mape(forecast, actual, kind=kind) if scored.has_price else None,
        naive_mape=_price_mape(zero, actual, kind=kind) if scored.has_price else None,
    )


def guessing_band(num_days: int, *, horizon: int) -> tuple[float, float]:
    """Return the direction accuracies, per cent, between which 95 % of coin tossers end.

    Where outcomes overlap (horizon > 1), on as many days as do not, and on one at the least.

    References:
        The 2.5 % and 97.5 % quantiles of the binomial distribution with p = 1/2.
    """
    tail = (1 - GUESSING_COVERAGE) / 2
    apart = max(num_days // horizon, 1)
    low, high = (float(binom.ppf(share, apart, 0.5)) for share in (tail, 1 - tail))
    return 100 * low / apart, 100 * high / apart


def _price_mape(forecast: Floats, actual: Floats, *, kind: str) -> float:
    """Score the price one return later, whose starting level cancels, in per cent."""
    rebuilt, price = (_growth(returns / 100, kind=kind) for returns in (forecast, actual))
    return 100 * float((np.abs(rebuilt - price) / np.maximum(np.abs(price), SMALLEST_PRICE)).mean())


def _growth(simple_or_log: Floats, *, kind: str) -> Floats:
    return np.exp(simple_or_log) if kind == "log_return" else 1 + simple_or_log
