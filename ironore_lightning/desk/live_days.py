"""The live days of a record: forecasts whose outcome has become known."""

import datetime
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ironore_lightning.desk.entries import Entry, Forecast, Outcome
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.forecasts import BOUNDS
from ironore_lightning.trading_calendar.rhythm import (
    DAILY,
    EVERY_DAY,
    MONTHLY,
    SIX_DAYS,
    WEEKLY,
)

COLUMNS = ("actual", "forecast", *BOUNDS, "volatility", "rank", "num_scores")


def live_days(entries: Sequence[Entry]) -> ScoredDays:
    """Return the days that have been settled and count, in time order; there may be none.

    Args:
        entries: Of a whole record.

    Returns:
        Days that do not overlap, hence of horizon 1; the frame has `volatility` (known at the
        origin), and `rank` and `num_scores` of `Outcome`, too. What the days are, such as their
        unit, is that of the newest forecast.
    """
    forecasts = counting_forecasts(entries)
    outcomes = [entry.content for entry in entries if isinstance(entry.content, Outcome)]
    rows = [
        _row(forecasts[outcome.forecast], outcome)
        for outcome in outcomes
        if outcome.forecast in forecasts
    ]
    frame = pd.DataFrame(rows, columns=["date", "is_roll", *COLUMNS])
    frame = frame.astype({"is_roll": bool, **dict.fromkeys(COLUMNS, np.float64)})
    frame["date"] = pd.to_datetime(frame["date"])
    frame = frame.sort_values("date", ignore_index=True)
    if not forecasts:
        return ScoredDays(frame, "given", horizon=1)
    newest = list(forecasts.values())[-1]
    rhythm = next(
        rhythm
        for rhythm in (SIX_DAYS, EVERY_DAY, WEEKLY, MONTHLY, DAILY)
        if rhythm.per_year == newest.rows_per_year or rhythm == DAILY
    )
    return ScoredDays(frame, newest.kind_of_target, horizon=1, unit=newest.unit, rhythm=rhythm)


def counting_forecasts(entries: Sequence[Entry]) -> dict[int, Forecast]:
    """Return the forecasts that count, by number, whether or not their outcome is known.

    In the order of the record, a forecast counts if its origin is not before the day of the last
    one that counted. So no two from an origin count, and no two whose days overlap; and neither
    outcomes nor later entries change which ones do.
    """
    counting: dict[int, Forecast] = {}
    until = datetime.date.min
    for entry in entries:
        content = entry.content
        if isinstance(content, Forecast) and content.origin >= until:
            counting[entry.number], until = content, content.date
    return counting


def _row(forecast: Forecast, outcome: Outcome) -> dict[str, object]:
    return {
        "date": outcome.date,
        "is_roll": outcome.is_roll,
        "actual": outcome.actual,
        "forecast": forecast.forecast,
        **forecast.bounds,
        "volatility": forecast.volatility,
        "rank": outcome.rank,
        "num_scores": outcome.num_scores,
    }
