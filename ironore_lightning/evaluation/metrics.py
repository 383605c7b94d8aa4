"""Scores of a forecast and of the zero forecast."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom, rankdata

from ironore_lightning.evaluation.days import Floats, ScoredDays, hits
from ironore_lightning.evaluation.significance import clopper_pearson

GUESSING_COVERAGE = 0.95
"""Share of coin tossers whose accuracy lies inside the guessing band."""

COVERAGE = 0.95
"""Of the confidence interval of a direction accuracy."""

SMALLEST_PRICE = 1e-6
"""Floor of the price in a MAPE, as a share of the price before."""


@dataclass(frozen=True)
class Scores:
    """Scores of one forecaster; an undefined one is None.

    Attributes:
        num_days: Days scored (N).
        rmse: Root mean squared error, per cent of return or the unit of another outcome.
        mae: Mean absolute error, in the same unit.
        zero_rmse: RMSE of the zero forecast, which is the volatility of the market.
        zero_mae: MAE of the zero forecast.
        rmse_ratio: `rmse` over `zero_rmse`; below 1 beats zero.
        mae_ratio: `mae` over `zero_mae`.
        r2: Against the mean of the same days, which is known only afterwards.
        r2_zero: Against the zero forecast.
        r2_mean: Against the expanding mean; None without one.
        direction_accuracy: Hits, per cent of `direction_days`; a forecast of exactly zero is a
            miss.
        direction_low: Lower end of its exact 95 % interval, per cent, on `days_apart`.
        direction_high: Upper end of that.
        direction_hits: Days whose sign was forecast.
        direction_days: Days that moved.
        days_apart: How many of those have outcomes that do not overlap.
        zero_forecast_days: Counted days on which the forecast was exactly zero.
        up_share: Per cent of `direction_days` that went up.
        base_rate: Direction accuracy of the better constant sign, per cent.
        chance_accuracy: Mean direction accuracy of the same signs in another order, per cent.
        guessing_low: Accuracy on `days_apart`, per cent, below which 2.5 % of coin tossers lie.
        guessing_high: Accuracy on `days_apart`, per cent, above which 2.5 % of them lie.
        correlation: Pearson, of forecast and actual (IC).
        rank_correlation: Spearman (rank IC).
        mape: Of the price rebuilt from the return, per cent.
        naive_mape: MAPE of a price that does not move.
    """

    num_days: int
    rmse: float
    mae: float
    zero_rmse: float
    zero_mae: float
    rmse_ratio: float | None
    mae_ratio: float | None
    r2: float | None
    r2_zero: float | None
    r2_mean: float | None
    direction_accuracy: float | None
    direction_low: float | None
    direction_high: float | None
    direction_hits: int
    direction_days: int
    days_apart: int
    zero_forecast_days: int
    up_share: float | None
    base_rate: float | None
    chance_accuracy: float | None
    guessing_low: float | None
    guessing_high: float | None
    correlation: float | None
    rank_correlation: float | None
    mape: float | None
    naive_mape: float | None


def evaluate(days: ScoredDays, *, mean: Floats | None = None) -> Scores:
    """Return the scores of forecasts; unless outcomes are returns, MAPE is None.

    Args:
        days: Forecasts and outcomes.
        mean: The expanding mean of the same days, shape (N,), per cent.

    References:
        Campbell & Thompson (2008), "Predicting excess stock returns out of sample", Review of
        Financial Studies 21(4), for R2 out of sample.
    """
    actual, forecast, kind = days.actual, days.forecast, days.kind
    zero = np.zeros_like(actual)
    squared, absolute = mean_losses(forecast, actual)
    zero_squared, zero_absolute = mean_losses(zero, actual)
    return Scores(
        num_days=len(actual),
        rmse=squared**0.5,
        mae=absolute,
        zero_rmse=zero_squared**0.5,
        zero_mae=zero_absolute,
        rmse_ratio=(squared / zero_squared) ** 0.5 if zero_squared > 0 else None,
        mae_ratio=absolute / zero_absolute if zero_absolute > 0 else None,
        r2=gain(squared, float(actual.var())) if np.ptp(actual) else None,
        r2_zero=gain(squared, zero_squared),
        r2_mean=None if mean is None else gain(squared, mean_losses(mean, actual)[0]),
        **_direction(days),
        correlation=correlation(forecast, actual),
        rank_correlation=correlation(rankdata(forecast), rankdata(actual)),
        mape=_price_mape(forecast, actual, kind=kind) if days.is_return else None,
        naive_mape=_price_mape(zero, actual, kind=kind) if days.is_return else None,
    )


def _direction(days: ScoredDays) -> dict[str, Any]:
    """Return the direction scores; a forecast that is zero on all days has no interval."""
    actual, forecast = days.actual, days.forecast
    num_hits, moved = count_hits(forecast, actual)
    has_sign = bool(forecast.any())
    interval = clopper_pearson(num_hits, moved, coverage=COVERAGE, horizon=days.horizon)
    low, high = guessing_band(moved, horizon=days.horizon) if moved else (None, None)
    return {
        "direction_accuracy": 100 * num_hits / moved if moved else None,
        "direction_low": interval.low if has_sign else None,
        "direction_high": interval.high if has_sign else None,
        "direction_hits": num_hits,
        "direction_days": moved,
        "days_apart": moved // days.horizon,
        "zero_forecast_days": int(((forecast == 0) & (actual != 0)).sum()),
        "up_share": 100 * int((actual > 0).sum()) / moved if moved else None,
        "base_rate": base_rate(actual),
        "chance_accuracy": chance_accuracy(forecast, actual),
        "guessing_low": low,
        "guessing_high": high,
    }


def base_rate(actual: Floats) -> float | None:
    """Return the direction accuracy of the better constant sign, per cent of moved days."""
    moved = np.count_nonzero(actual)
    ups = np.count_nonzero(actual > 0)
    return 100 * max(ups, moved - ups) / moved if moved else None


def chance_accuracy(forecast: Floats, actual: Floats) -> float | None:
    """Return the mean direction accuracy of the same forecasts in another order, per cent.

    References:
        P* of Pesaran & Timmermann (1992), "A simple nonparametric test of predictive performance",
        Journal of Business & Economic Statistics 10(4).
    """
    moved = actual != 0
    if not moved.any():
        return None
    said, went = forecast[moved], actual[moved]
    up, down = (said > 0).mean() * (went > 0).mean(), (said < 0).mean() * (went < 0).mean()
    return 100 * float(up + down)


def correlation(values: Floats, others: Floats) -> float | None:
    """Return Pearson's correlation; None if either is constant."""
    if len(values) == 0 or np.ptp(values) == 0 or np.ptp(others) == 0:
        return None
    # Squares of very small or large numbers would leave the range of floats.
    scaled = [series / np.abs(series).max() for series in (values, others)]
    return float(np.corrcoef(scaled)[0, 1])


def count_hits(forecast: Floats, actual: Floats) -> tuple[int, int]:
    """Return the number of days whose sign was forecast, and of days that moved."""
    return int(np.count_nonzero(hits(forecast, actual))), int(np.count_nonzero(actual))


def mean_losses(forecast: Floats, actual: Floats) -> tuple[float, float]:
    """Return the mean squared and the mean absolute error."""
    error = actual - forecast
    return float((error**2).mean()), float(np.abs(error).mean())


def gain(loss: float, base: float) -> float | None:
    """Return 1 - loss / base, which is R2 for squared errors; None if the base is 0."""
    return 1 - loss / base if base > 0 else None


def guessing_band(num_days: int, *, horizon: int) -> tuple[float, float]:
    """Return the direction accuracies, per cent, between which 95 % of coin tossers lie.

    Overlapping outcomes (horizon > 1) count as num_days // horizon days, at least one.

    References:
        The 2.5 % and 97.5 % quantiles of the binomial distribution with p = 1/2.
    """
    tail = (1 - GUESSING_COVERAGE) / 2
    apart = max(num_days // horizon, 1)
    low, high = (float(binom.ppf(share, apart, 0.5)) for share in (tail, 1 - tail))
    return 100 * low / apart, 100 * high / apart


def _price_mape(forecast: Floats, actual: Floats, *, kind: str) -> float:
    """Return the MAPE, per cent, of the price one return later; its starting level cancels."""
    rebuilt, price = (_growth(returns / 100, kind=kind) for returns in (forecast, actual))
    return 100 * float((np.abs(rebuilt - price) / np.maximum(np.abs(price), SMALLEST_PRICE)).mean())


def _growth(simple_or_log: Floats, *, kind: str) -> Floats:
    return np.exp(simple_or_log) if kind == "log_return" else 1 + simple_or_log
