"""Model and baselines side by side, on the same days, by the same code."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ironore_lightning.evaluation.days import Floats, ScoredDays
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.evaluation.significance import clark_west, diebold_mariano, holm


@dataclass(frozen=True)
class Row:
    """One forecaster of the table; a p-value that is undefined on these days is None.

    Attributes:
        name: `model`, or the baseline's name.
        scores: Its scores.
        clark_west_p: One-sided, against zero.
        clark_west_holm_p: Adjusted for all the forecasters displayed.
        diebold_mariano_p: One-sided, squared loss against zero.
    """

    name: str
    scores: Scores
    clark_west_p: float | None
    clark_west_holm_p: float | None
    diebold_mariano_p: float | None


def compare(days: ScoredDays, forecasts: Mapping[str, Floats]) -> list[Row]:
    """Score every forecaster on the same days.

    Args:
        days: What happened, and how it is meant.
        forecasts: By name, each of shape (N,), per cent; must hold `expanding mean`.
    """
    actual, horizon = days.actual, days.horizon
    zero = np.zeros_like(actual)
    knows_more = {
        name: clark_west(forecast, actual, benchmark=zero, horizon=horizon).p_value
        for name, forecast in forecasts.items()
    }
    adjusted = holm(knows_more)
    return [
        Row(
            name=name,
            scores=evaluate(days.with_forecast(forecast), mean=forecasts["expanding mean"]),
            clark_west_p=knows_more[name],
            clark_west_holm_p=adjusted[name],
            diebold_mariano_p=diebold_mariano(
                forecast, actual, benchmark=zero, horizon=horizon
            ).p_value,
        )
        for name, forecast in forecasts.items()
    ]


def as_table(rows: list[Row]) -> pd.DataFrame:
    """Lay rows out as a table, the name as index."""
    lines = [{**vars(row), **vars(row.scores)} for row in rows]
    return pd.DataFrame(lines).set_index("name").drop(columns="scores")
