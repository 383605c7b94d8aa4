"""Compare model and baselines on the same days."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ironore_lightning.evaluation.days import Floats, ScoredDays
from ironore_lightning.evaluation.metrics import Scores, correlation, evaluate
from ironore_lightning.evaluation.significance import (
    Outcome,
    clark_west,
    diebold_mariano,
    giacomini_white,
)

BEYOND_LUCK = 0.05
"""Two-sided p below which two forecasters are told apart."""


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


@dataclass(frozen=True)
class Duel:
    """Two forecasters on the same days; an undefined p-value is None.

    Attributes:
        num_days: Days (N).
        scores: Of the first, the second, and a forecast of zero.
        same_sign: Share of the days on which both have the same sign, 0 to 1.
        correlation: Of the two forecasts; None if one is constant.
        diebold_mariano_p: Two-sided: are their squared errors equally large?
        giacomini_white: Are they equally large, and can past differences not tell by how much?
        sentence: What that says.
    """

    num_days: int
    scores: tuple[Scores, Scores, Scores]
    same_sign: float
    correlation: float | None
    diebold_mariano_p: float | None
    giacomini_white: Outcome
    sentence: str


def duel(days: ScoredDays, other: Floats) -> Duel:
    """Compare a forecaster with another one on the same days.

    Args:
        days: Forecasts of the first, and outcomes.
        other: Forecasts of the second, shape (N,), per cent.
    """
    actual, horizon = days.actual, days.horizon
    scores = tuple(
        evaluate(days.with_forecast(forecast))
        for forecast in (days.forecast, other, np.zeros_like(actual))
    )
    one_sided = diebold_mariano(days.forecast, actual, benchmark=other, horizon=horizon).p_value
    two_sided = None if one_sided is None else 2 * min(one_sided, 1 - one_sided)
    same_sign = float(np.mean(np.sign(days.forecast) == np.sign(other)))
    return Duel(
        len(days),
        (scores[0], scores[1], scores[2]),
        same_sign,
        correlation(days.forecast, other),
        two_sided,
        giacomini_white(days.forecast, actual, benchmark=other, horizon=horizon),
        _duel_sentence(scores[0], scores[1], two_sided),
    )


def _duel_sentence(first: Scores, second: Scores, p_value: float | None) -> str:
    if p_value is None:
        return "Their errors are the same, or too few to compare."
    closer = "A" if first.rmse < second.rmse else "B"
    p = f"Diebold-Mariano p {p_value:.3f}, two-sided"
    if p_value < BEYOND_LUCK:
        return f"{closer} has the smaller squared errors, beyond what luck explains ({p})."
    return f"{closer} was closer on these days, by no more than luck explains ({p})."
