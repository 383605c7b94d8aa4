"""The test days that a break of the specification leaves out, and the grade with them."""

from dataclasses import dataclass

import numpy as np

from ironore_lightning.evaluation.assessment import assess
from ironore_lightning.evaluation.evidence import Evidence
from ironore_lightning.evaluation.forecasts import Forecasts
from ironore_lightning.evaluation.metrics import count_hits
from ironore_lightning.settings.evaluation import EvaluationSettings
from ironore_lightning.settings.samples import TargetSettings


@dataclass(frozen=True)
class LeftOut:
    """What the model scored on the test days that are left out.

    Attributes:
        dates: Of the outcomes, YYYY-MM-DD.
        direction_hits: Days whose sign was forecast.
        direction_days: Days that moved.
        rmse: Of the model, per cent.
        zero_rmse: Of a forecast of zero, per cent.
        evidence: The grade of all test days, as if the breaks were moves of the market.
    """

    dates: list[str]
    direction_hits: int
    direction_days: int
    rmse: float
    zero_rmse: float
    evidence: Evidence

    @property
    def sentence(self) -> str:
        """What a verdict says of them."""
        return left_out_sentence(
            len(self.dates), self.direction_hits, self.direction_days, self.evidence.grade
        )


def left_out_sentence(num_days: int, hits: int, moved: int, grade: str) -> str:
    """Return what a verdict says of days that are left out, with the grade with them."""
    days = "1 test day" if num_days == 1 else f"{num_days} test days"
    return (
        f"Break days leave out {days}, of which {hits} of {moved} were right; with them the "
        f"evidence is {grade}."
    )


def assess_left_out(
    forecasts: Forecasts,
    target: TargetSettings,
    settings: EvaluationSettings,
    *,
    look: int | None,
) -> LeftOut | None:
    """Return what the model scored on the test days that are left out; None without any.

    Args:
        forecasts: Of the days that are scored, and of every day.
        target: What is forecast.
        settings: Rules of the grade.
        look: Number of this look at the days; None if looks are not counted.
    """
    with_breaks = forecasts.with_breaks
    if with_breaks is None:
        return None
    every_day = with_breaks.test_days(target)
    is_left_out = ~every_day.dates.isin(forecasts.test_days(target).dates)
    actual, forecast = every_day.actual[is_left_out], every_day.forecast[is_left_out]
    hits, moved = count_hits(forecast, actual)
    label = "with the break days"
    assessment = assess(
        every_day, with_breaks.baselines, with_breaks.density, settings, label=label, look=look
    )
    return LeftOut(
        dates=[f"{date:%Y-%m-%d}" for date in every_day.dates[is_left_out]],
        direction_hits=int(hits),
        direction_days=int(moved),
        rmse=float(np.sqrt(np.mean((actual - forecast) ** 2))),
        zero_rmse=float(np.sqrt(np.mean(actual**2))),
        evidence=assessment.evidence,
    )
