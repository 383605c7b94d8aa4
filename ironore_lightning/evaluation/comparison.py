"""Compare model and baselines on the same days."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ironore_lightning.evaluation.days import Floats, ScoredDays
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.evaluation.significance import clark_west, diebold_mariano


@dataclass(frozen=True)
class Row:
    """Scores of one forecaster; an undefined p-value is None.

    Attributes:
        name: `model`, or the baseline's name.
        scores: Its scores.
        clark_west_p: One-sided, against zero.
        diebold_mariano_p: One-sided, squared loss against zero.
    """

    name: str
    scores: Scores
    clark_west_p: float | None
    diebold_mariano_p: float | None


def compare(days: ScoredDays, forecasts: Mapping[str, Floats]) -> list[Row]:
    """Return scores and p-values of every forecaster on the same days.

    Args:
        days: Outcomes, kind of target and horizon.
        forecasts: By name, each of shape (N,), per cent; must hold `expanding mean`.
    """
    actual, horizon = days.actual, days.horizon
    zero = np.zeros_like(actual)
    return [
        Row(
            name=name,
            scores=evaluate(days.with_forecast(forecast), mean=forecasts["expanding mean"]),
            clark_west_p=clark_west(forecast, actual, benchmark=zero, horizon=horizon).p_value,
            diebold_mariano_p=diebold_mariano(
                forecast, actual, benchmark=zero, horizon=horizon
            ).p_value,
        )
        for name, forecast in forecasts.items()
    ]


def as_table(rows: list[Row]) -> pd.DataFrame:
    """Return the rows as a table, indexed by name."""
    lines = [{**vars(row), **vars(row.scores)} for row in rows]
    return pd.DataFrame(lines).set_index("name").drop(columns="scores")
