"""Markets that nobody can forecast, forecasts without skill, and forecasts with a known one.

All of them are arrays, one row for each repetition, in units of the usual daily volatility. The
first `PAST` days come before the test days: rivals are fitted on them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import t as student

Floats = NDArray[np.float64]

PAST = 520
TAILS = 4
"""Degrees of freedom of the returns."""

LAGS = 20
PENALTY = 10.0
"""Of the ridge on the last `LAGS` outcomes, per training sample."""


@dataclass(frozen=True)
class NullMarket:
    """A market without anything to forecast.

    Attributes:
        up_before: Share of the days before the test days that go up.
        up: Share of the test days that go up.
        horizon: Days that an outcome spans.
        lengths: Numbers of test days.
    """

    innovations: str = "independent"
    up_before: float = 0.5
    up: float = 0.5
    horizon: int = 1
    lengths: tuple[int, ...] = (63, 131, 250, 600)


MARKETS = {
    "no drift": NullMarket(),
    "54 % up": NullMarket(up_before=0.54, up=0.54),
    "60 % up": NullMarket(up_before=0.6, up=0.6),
    "flat, then 57 % up": NullMarket(up=0.57),
    "flat, then 60 % up": NullMarket(up=0.6),
    "60 % up, then 60 % down": NullMarket(up_before=0.6, up=0.4),
    "GARCH": NullMarket("GARCH"),
    "GARCH, 60 % up": NullMarket("GARCH", up_before=0.6, up=0.6),
    "one wild weekday": NullMarket("weekday"),
    "volatility break": NullMarket("break"),
    "volatility break, 57 % up": NullMarket("break", up_before=0.57, up=0.57),
    "outliers": NullMarket("outliers"),
    "horizon 5": NullMarket(horizon=5, lengths=(131, 600, 1250)),
    "horizon 5, 57 % up": NullMarket(horizon=5, up_before=0.57, up=0.57, lengths=(131, 600, 1250)),
    "horizon 20": NullMarket(horizon=20, lengths=(250, 1250, 2500)),
    "MA(1), bounce": NullMarket("MA(1)"),
}
NOT_NULL = "MA(1), bounce"
"""Yesterday's return tells of tomorrow's here; it is shown, and not counted."""


def draw_returns(market: NullMarket, num_days: int, reps: int, rng: np.random.Generator) -> Floats:
    """Draw daily returns, shape (reps, PAST + num_days + horizon)."""
    size = PAST + num_days + market.horizon
    returns = _innovations(market.innovations, (reps, size), rng)
    drift = student.ppf([market.up_before, market.up], TAILS) / np.sqrt(2)
    return returns + np.where(np.arange(size) < PAST, *drift)


def _innovations(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw returns with mean zero and, but for what the kind adds, variance one."""
    plain = rng.standard_t(TAILS, shape) / np.sqrt(2)
    day = np.arange(shape[1])
    match kind:
        case "GARCH":
            return _garch(shape, rng)
        case "weekday":
            return plain * np.where(day % 5 == 2, 2.5, 1)
        case "break":
            return plain * np.where(day >= PAST + (shape[1] - PAST) // 2, 2.5, 1)
        case "outliers":
            return plain * np.where(rng.random(shape) < 0.01, 8, 1)
        case "MA(1)":
            return lfilter([1, -0.3], [1], plain, axis=1) / np.sqrt(1.09)
    return plain


def _garch(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    shocks = rng.standard_t(6, shape) / np.sqrt(1.5)
    returns, variance = np.empty(shape), np.ones(shape[0])
    for day in range(shape[1]):
        returns[:, day] = np.sqrt(variance) * shocks[:, day]
        variance = 0.05 + 0.10 * returns[:, day] ** 2 + 0.85 * variance
    return returns


def outcomes(returns: Floats, horizon: int) -> Floats:
    """Sum the returns of `horizon` days from each day on, shape (reps, days - horizon)."""
    total = np.cumsum(np.pad(returns, ((0, 0), (1, 0))), axis=1)
    return (total[:, horizon:] - total[:, :-horizon])[:, : returns.shape[1] - horizon]


# --- forecasts without skill: each reads the returns before a day, and chance ---------------------

Forecaster = Callable[[Floats, np.random.Generator], Floats]


def _noise(returns: Floats, rng: np.random.Generator) -> Floats:
    return rng.standard_normal(returns.shape)


def _smooth(weight: float) -> Forecaster:
    def draw(returns: Floats, rng: np.random.Generator) -> Floats:
        return lfilter([np.sqrt(1 - weight**2)], [1, -weight], _noise(returns, rng), axis=1)

    return draw


def _short_by_chance(share: float) -> Forecaster:
    return lambda returns, rng: np.where(rng.random(returns.shape) < share, -1.0, 1.0)


def _mean_of_last(values: Floats, num_days: int) -> Floats:
    window = np.full(num_days, 1 / num_days)
    return _yesterday(lfilter(window, [1], values, axis=1))


def _yesterday(values: Floats) -> Floats:
    return np.pad(values, ((0, 0), (1, 0)))[:, :-1]


def _of_returns(forecaster: Callable[[Floats], Floats]) -> Forecaster:
    return lambda returns, _: forecaster(returns)


def _mean_so_far(returns: Floats) -> Floats:
    return _yesterday(np.cumsum(returns, axis=1) / np.arange(1, returns.shape[1] + 1))


FORECASTERS: dict[str, Forecaster] = {
    "noise": _noise,
    "noise, mostly long": lambda returns, rng: 1 + _noise(returns, rng),
    "smooth noise, AR(.8)": _smooth(0.8),
    "smooth noise, AR(.97)": _smooth(0.97),
    "short on 5 % by chance": _short_by_chance(0.05),
    "short on 15 % by chance": _short_by_chance(0.15),
    "yesterday's sign": _of_returns(lambda returns: np.sign(_yesterday(returns))),
    "momentum of 5 days": _of_returns(lambda returns: _mean_of_last(returns, 5)),
    "momentum of 20 days": _of_returns(lambda returns: _mean_of_last(returns, 20)),
    "momentum of 60 days": _of_returns(lambda returns: _mean_of_last(returns, 60)),
    "mean so far": _of_returns(_mean_so_far),
    "volatility less its usual": _of_returns(
        lambda returns: np.sqrt(_mean_of_last(returns**2, 20)) - 1
    ),
    "noise as large as volatility": lambda returns, rng: (
        np.sqrt(_mean_of_last(returns**2, 10)) * _noise(returns, rng)
    ),
    "noise, larger once a week": lambda returns, rng: (
        _noise(returns, rng) * np.where(np.arange(returns.shape[1]) % 5 == 2, 3, 1)
    ),
}


# --- rivals and true skill ------------------------------------------------------------------------


def fit_rivals(known: Floats, horizon: int) -> dict[str, Floats]:
    """Forecast the test days of one history of outcomes by AR(1), AR(5) and a ridge.

    Args:
        known: Outcomes by origin, shape (PAST + N,).
        horizon: Days until an outcome is known.
    """
    padded = np.pad(known, (horizon + LAGS, 0))
    lags = np.column_stack([padded[LAGS - lag : LAGS - lag + len(known)] for lag in range(LAGS)])
    train = slice(LAGS + horizon, PAST - horizon)
    return {
        "AR(1)": _regress(lags[:, :1], known, train, penalty=0.0),
        "AR(5)": _regress(lags[:, :5], known, train, penalty=0.0),
        "ridge": _regress(lags, known, train, penalty=PENALTY),
    }


def _regress(columns: Floats, known: Floats, train: slice, *, penalty: float) -> Floats:
    centre, mean = columns[train].mean(axis=0), known[train].mean()
    inputs = columns[train] - centre
    square = inputs.T @ inputs + penalty * len(inputs) * np.eye(columns.shape[1])
    weights = np.linalg.solve(square, inputs.T @ (known[train] - mean))
    return mean + (columns[PAST:] - centre) @ weights


@dataclass(frozen=True)
class Skill:
    """A forecast with a known skill: normal returns, of which the forecast knows a share.

    Attributes:
        accuracy: Share of the days on which the known part has the right sign.
        noise: Standard deviation of what the forecaster adds by mistake.
    """

    accuracy: float
    noise: float

    @property
    def known(self) -> float:
        """Standard deviation of the known part: P(right) = 1/2 + arcsin(known) / pi."""
        return float(np.sin(np.pi * (self.accuracy - 0.5)))

    @property
    def correlation(self) -> float:
        """Correlation of forecast and return."""
        return self.known**2 / np.hypot(self.known, self.noise)

    def draw(self, num_days: int, reps: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw forecasts, shape (reps, num_days), and returns, shape (reps, PAST + num_days)."""
        returns = rng.standard_normal((reps, PAST + num_days))
        signal = self.known * rng.standard_normal((reps, num_days))
        returns[:, PAST:] = signal + np.sqrt(1 - self.known**2) * returns[:, PAST:]
        return signal + self.noise * rng.standard_normal(signal.shape), returns
