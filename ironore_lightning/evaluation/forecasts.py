"""Forecasts of the network and the baselines, with their prediction intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.baselines import (
    Samples,
    Spread,
    point_baselines,
    spread_baselines,
)
from ironore_lightning.evaluation.days import Floats, ScoredDays, scored_days
from ironore_lightning.evaluation.distributions import (
    LEVELS,
    Distribution,
    Normal,
    Quantiles,
    StudentT,
    pinball_losses,
)
from ironore_lightning.evaluation.intervals import (
    COVERAGES,
    adaptive_intervals,
    ewma_volatility,
    scaled_scores,
)
from ironore_lightning.evaluation.risk import build_risk
from ironore_lightning.settings.evaluation import EvaluationSettings
from ironore_lightning.settings.samples import TargetSettings
from ironore_lightning.trading_calendar.rhythm import find_rhythm

BOUNDS = tuple(f"{side}_{round(100 * share)}" for share in COVERAGES for side in ("lower", "upper"))
"""Columns of the intervals."""


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one run.

    Attributes:
        predictions: One row per sample in time order: `date` of the outcome, `segment`, `actual`,
            `forecast`, `lower_80`, `upper_80`, `lower_90`, `upper_90` (in the unit of the target;
            bounds on the test segment only), `is_roll`, whether the contract changes at the close
            of the origin, and perhaps `profit`, see `ScoredDays`.
        baselines: Forecasts of the test rows, per cent, one column per baseline.
        density: Losses of the test rows, one column per score and distribution: `pinball`, the
            mean over 19 levels, and `crps`, NaN where only quantiles are known. A model
            that states no distribution has no `crps`: its bounds adapt to their own misses.
        risk: Value at risk and expected shortfall of the test rows, see `build_risk`; empty for a
            run folder of an earlier version.
        clues: Of the test rows, what may explain skill that nobody can trade, see `tradability`.
        with_breaks: The same, with the test days that a break of the specification leaves out;
            None if there are none, or if the forecasts were read from a run folder.
    """

    predictions: pd.DataFrame
    baselines: pd.DataFrame
    density: pd.DataFrame
    risk: pd.DataFrame = field(default_factory=pd.DataFrame)
    clues: pd.DataFrame = field(default_factory=pd.DataFrame)
    with_breaks: "Forecasts | None" = None

    def test_days(self, target: TargetSettings) -> ScoredDays:
        """Return the test days."""
        days = days_of(self.predictions, "test", target)
        return replace(days, clues=self.clues, risk=self.risk)

    def since(self, first: pd.Timestamp) -> "Forecasts":
        """Return the same forecasts without the test days before `first`."""
        rows = self.predictions
        is_test, is_late = rows["segment"] == "test", rows["date"] >= first
        kept = is_late[is_test].to_numpy()
        baselines, density, risk, clues = (
            table.loc[kept].reset_index(drop=True)
            for table in (self.baselines, self.density, self.risk, self.clues)
        )
        predictions = rows[~is_test | is_late].reset_index(drop=True)
        with_breaks = self.with_breaks.since(first) if self.with_breaks else None
        return Forecasts(predictions, baselines, density, risk, clues, with_breaks)


def days_of(predictions: pd.DataFrame, segment: str, target: TargetSettings) -> ScoredDays:
    """Return the days of a segment."""
    rows = predictions[predictions["segment"] == segment]
    rhythm = find_rhythm(pd.DatetimeIndex(predictions["date"]))
    rows = rows.reset_index(drop=True)
    return scored_days(rows, target, rhythm)


def build_predictions(
    outcomes: pd.DataFrame,
    forecast: Floats,
    distribution: Distribution | None,
    settings: EvaluationSettings,
    *,
    horizon: int,
) -> pd.DataFrame:
    """Return forecasts with prediction intervals, the `predictions` of `Forecasts`.

    Args:
        outcomes: One row per sample in time order, N of them: `date`, `segment`, `actual`,
            `is_roll`, perhaps `profit`.
        forecast: Point forecasts of the network, shape (N,), per cent.
        distribution: Predictive distribution of each test day; None from a point forecaster.
        settings: Adaptation of the intervals.
        horizon: Days ahead that a forecast reaches.
    """
    predictions = outcomes[["date", "segment", "actual"]].assign(forecast=forecast)
    val, test = _with_volatility(predictions, horizon)
    bounds = _bounds(val, test, distribution, settings.adaptation, horizon=horizon)
    rest = outcomes.drop(columns=["date", "segment", "actual"])
    return predictions.join(bounds).join(rest)


def build_forecasts(
    predictions: pd.DataFrame,
    windows: NDArray[np.float32],
    distribution: Distribution | None,
    *,
    horizon: int,
) -> Forecasts:
    """Return the forecasts of a network with those of the baselines beside them.

    Args:
        predictions: Of the network, N rows, as `build_predictions` returns them.
        windows: Its inputs, shape (N, L, F).
        distribution: As for `build_predictions`.
        horizon: Days ahead that a forecast reaches.
    """
    samples = Samples(
        windows=windows,
        actual=predictions["actual"].to_numpy(np.float64),
        segment=predictions["segment"].to_numpy(dtype=np.str_),
        horizon=horizon,
    )
    is_test = samples.segment == "test"
    spreads = spread_baselines(samples)
    density = {
        "model": distribution or _residual_distribution(*_with_volatility(predictions, horizon)),
        **_spread_distributions(spreads, is_test),
    }
    losses = _density_losses(density, samples.actual[is_test])
    return Forecasts(
        predictions=predictions,
        baselines=point_baselines(samples).loc[is_test].reset_index(drop=True),
        density=losses if distribution else losses.drop(columns=[("crps", "model")]),
        risk=build_risk(samples.actual, is_test, spreads, horizon=horizon),
    )


def mean_forecast(members: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the first member's predictions with the mean forecast of all; bounds are the first's.

    Raises:
        ConfigError: If their days or outcomes differ.
    """
    first, columns = members[0], ["date", "segment", "actual"]
    if not all(other[columns].equals(first[columns]) for other in members[1:]):
        raise ConfigError(
            "the runs were trained and tested on different days or data, so their forecasts "
            "have no mean"
        )
    forecasts = [member["forecast"] for member in members]
    return first.assign(forecast=np.mean(forecasts, axis=0))


def conformal_bounds(predictions: pd.DataFrame, adaptation: float, *, horizon: int) -> pd.DataFrame:
    """Return prediction intervals of the test rows from the earlier errors of the forecast.

    Args:
        predictions: All rows in time order: `segment`, `actual`, `forecast`. Outcomes not known yet
            may be NaN at the end.
        adaptation: Step of the target miss rate.
        horizon: Days ahead that a forecast reaches.

    Returns:
        By test row: `lower_80`, `upper_80`, `lower_90`, `upper_90`, per cent.
    """
    val, test = _with_volatility(predictions, horizon)
    return _bounds(val, test, None, adaptation, horizon=horizon)


def distribution_bounds(distribution: Distribution) -> dict[str, Floats]:
    """Return the interval bounds of N distributions, by column, shape (N,) each."""
    levels = [level for share in COVERAGES for level in ((1 - share) / 2, (1 + share) / 2)]
    return dict(zip(BOUNDS, distribution.quantile(levels).T, strict=True))


def _with_volatility(predictions: pd.DataFrame, horizon: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of validation and test, with the volatility known at each origin."""
    volatility = ewma_volatility(predictions["actual"].to_numpy(np.float64), horizon=horizon)
    rows = predictions.assign(volatility=volatility)
    return rows[rows["segment"] == "val"], rows[rows["segment"] == "test"]


def _bounds(
    val: pd.DataFrame,
    test: pd.DataFrame,
    distribution: Distribution | None,
    adaptation: float,
    *,
    horizon: int,
) -> pd.DataFrame:
    """Return the bounds of the test rows, from the distribution or else from earlier errors."""
    if distribution is not None:
        return pd.DataFrame(distribution_bounds(distribution), index=test.index)
    scores = scaled_scores(*_columns(val))
    actual, forecast, volatility = _columns(test)
    by_coverage = [
        adaptive_intervals(
            scores,
            actual=actual,
            forecast=forecast,
            volatility=volatility,
            coverage=coverage,
            horizon=horizon,
            adaptation=adaptation,
        )
        for coverage in COVERAGES
    ]
    bounds = [side for intervals in by_coverage for side in (intervals.lower, intervals.upper)]
    return pd.DataFrame(dict(zip(BOUNDS, bounds, strict=True)), index=test.index)


def _residual_distribution(val: pd.DataFrame, test: pd.DataFrame) -> Quantiles:
    """Return quantiles of the validation errors, scaled by volatility, around test forecasts."""
    actual, forecast, volatility = _columns(val)
    errors = (actual - forecast) / volatility
    _, forecast, volatility = _columns(test)
    spread = np.outer(volatility, np.quantile(errors, LEVELS))
    return Quantiles(levels=LEVELS, values=forecast[:, None] + spread)


def _columns(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return actual, forecast and the volatility known at the origin, shape (N,) each."""
    actual, forecast, volatility = rows[["actual", "forecast", "volatility"]].to_numpy().T
    return actual, forecast, volatility


def _spread_distributions(
    spreads: Mapping[str, Spread | None], is_test: NDArray[np.bool_]
) -> dict[str, Distribution]:
    """Return the distributions of the volatility baselines on the test rows."""
    distributions: dict[str, Distribution] = {}
    for name, spread in spreads.items():
        if spread is None:
            continue
        scale = spread.scale[is_test]
        zero = np.zeros_like(scale)
        if spread.degrees is None:
            distributions[name] = Normal(mean=zero, spread=scale)
        else:
            distributions[name] = StudentT(mean=zero, scale=scale, degrees=spread.degrees)
    return distributions


def _density_losses(density: dict[str, Distribution], actual: Floats) -> pd.DataFrame:
    columns: dict[tuple[str, str], Floats] = {}
    for name, distribution in density.items():
        quantiles = distribution.quantile(LEVELS)
        columns["pinball", name] = pinball_losses(actual, quantiles, LEVELS).mean(axis=1)
        columns["crps", name] = (
            np.full(len(actual), np.nan)
            if isinstance(distribution, Quantiles)
            else distribution.crps(actual)
        )
    return pd.DataFrame(columns)
