"""Clues to skill that nobody can trade: moves of later prices, and the legs of a spread."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.features import build_target
from ironore_lightning.data.panel import Panel
from ironore_lightning.settings.data import PriceSettings
from ironore_lightning.settings.samples import DatasetSettings, TargetSettings

MOVES_ALIKE = 0.5
"""Correlation of daily moves from which a driver may be a price of the same thing."""

MOST_DRIVERS = 20
"""Most drivers that are written, those whose moves are most like the target's."""

FURTHEST = 100.0
"""Largest move that is written, in standard deviations; beyond it is a mistake in the data."""

SAME_MOVE = 0.95
"""Correlation from which the difference of two columns is the target."""


def build_clues(
    panel: Panel,
    datamodule: WindowDataModule,
    prices: Mapping[str, PriceSettings],
    settings: DatasetSettings,
) -> pd.DataFrame:
    """Return what may explain skill that nobody can trade.

    Args:
        panel: Values and returns by trading day.
        datamodule: Made of it.
        prices: Times of the series, by name.
        settings: Features and target.

    Returns:
        One row per test sample, columns by role and name: (`later`, driver) is the move, on the day
        of the origin, of a feature that is priced later in the day than the target; (`unknown`,
        driver) the same where a time is unknown, and its moves are like the target's on the
        training rows; (`leg`, column) the move of a column over the days of the outcome, where
        the outcome is the difference of two of them. In standard deviations of the training rows.
    """
    target = settings.target
    known = panel.values.index.isin(datamodule.training_rows.index)
    names = {feature.name: None for feature in settings.features if feature.name != target.series}
    own = _last_move(panel, target)[known]
    moves = {name: _move(panel, name, target) for name in names}
    alike = {name: move[known].corr(own) for name, move in moves.items() if move[known].std() > 0}
    clues = {}
    for name in sorted(alike, key=lambda name: -abs(alike[name]))[:MOST_DRIVERS]:
        role = _clock(prices.get(name), prices.get(target.series))
        if role == "later" or (role == "unknown" and alike[name] >= MOVES_ALIKE):
            clues[role, _label(name, prices)] = moves[name]
    outcome = build_target(panel, target)["value"]
    for name, move in _legs(panel, outcome, target, known=known).items():
        clues["leg", _label(name, prices)] = move
    is_test = datamodule.outcomes["segment"] == "test"
    days = datamodule.target.index[datamodule.origins[is_test.to_numpy()]]
    scaled = {column: move / move[known].std() for column, move in clues.items()}
    frame = pd.DataFrame(scaled, index=panel.days).loc[days].fillna(0.0).reset_index(drop=True)
    return frame.clip(-FURTHEST, FURTHEST)


def _clock(driver: PriceSettings | None, target: PriceSettings | None) -> str:
    if not (driver and target and driver.time and target.time):
        return "unknown"
    return "later" if driver.time > target.time else "earlier"


def _label(name: str, prices: Mapping[str, PriceSettings]) -> str:
    """Return the name with what is known of its prices."""
    facts = (
        [fact for fact in (prices[name].kind, prices[name].time) if fact] if name in prices else []
    )
    return f"{name} ({' '.join(facts)})" if facts else name


def _move(panel: Panel, name: str, target: TargetSettings) -> pd.Series:
    """Return what a series has moved since the row before; a price leg, as the target does."""
    within = panel.changes if target.kind == "change" else panel.log_returns
    return within[name] if name in within else panel.values[name].diff()


def _last_move(panel: Panel, target: TargetSettings) -> pd.Series:
    """Return the newest outcome known on each row, over a single day where there is a price."""
    horizon = target.horizon if target.kind == "given" else 1
    daily = target.model_copy(update={"horizon": horizon})
    return build_target(panel, daily)["value"].shift(horizon)


def _legs(
    panel: Panel, outcome: pd.Series, target: TargetSettings, *, known: np.ndarray
) -> dict[str, pd.Series]:
    """Return the moves of the two columns whose difference the outcome is; else nothing.

    Each leg moves more than the difference, and the difference moves as the outcome does.
    """
    if target.series in panel.futures:
        return {}
    levels = panel.values.drop(columns=target.series)
    logarithms = 100 * levels.where(levels > 0).apply(np.log)
    for values in (levels, logarithms):
        moves = values.shift(-target.horizon) - values
        rows = moves[known & outcome.notna().to_numpy()].dropna(axis=1)
        table = rows.assign(**{target.series: outcome})
        if len(rows) <= 1 or rows.shape[1] <= 1:
            continue
        covariance = table.cov().to_numpy()
        variance, shared = np.diag(covariance)[:-1], covariance[:-1, -1]
        spread = variance[:, None] + variance - 2 * covariance[:-1, :-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            alike = (shared[:, None] - shared) / np.sqrt(spread * covariance[-1, -1])
        moves_more = variance > covariance[-1, -1]
        alike[~(np.isfinite(alike) & moves_more & moves_more[:, None])] = -1.0
        pair = np.unravel_index(alike.argmax(), alike.shape)
        if alike[pair] >= SAME_MOVE:
            return {str(name): moves[name] for name in table.columns[list(pair)]}
    return {}
