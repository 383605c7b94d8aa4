"""The live days of a record: forecasts whose outcome has become known."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ironore_lightning.desk.entries import Entry, Forecast, Outcome
from ironore_lightning.evaluation.days import OUTCOME_WORDS, ScoredDays
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
    """Return the days that have been settled, in time order; there may be none.

    Only the first forecast from an origin counts: its number stands in the outcome.

    Args:
        entries: Of a whole record.

    Returns:
        Days whose frame has `volatility` (known at the origin), and `rank` and `num_scores` of
        `Outcome`, too.
        What the days are, such as their unit, is that of the newest forecast.
    """
    forecasts = {
        entry.number: entry.content for entry in entries if isinstance(entry.content, Forecast)
    }
    outcomes = [entry.content for entry in entries if isinstance(entry.content, Outcome)]
    rows = [_row(forecasts[outcome.forecast], outcome) for outcome in outcomes]
    frame = pd.DataFrame(rows, columns=["date", "is_roll", *COLUMNS])
    frame = frame.astype({"is_roll": bool, **dict.fromkeys(COLUMNS, np.float64)})
    frame["date"] = pd.to_datetime(frame["date"])
    frame = frame.sort_values("date", ignore_index=True)
    if not forecasts:
        return ScoredDays(frame, "given", horizon=1)
    newest = list(forecasts.values())[-1]
    kind = next(kind for kind, word in OUTCOME_WORDS.items() if word == newest.word)
    rhythm = next(
        rhythm
        for rhythm in (SIX_DAYS, EVERY_DAY, WEEKLY, MONTHLY, DAILY)
        if rhythm.per_year == newest.rows_per_year or rhythm == DAILY
    )
    return ScoredDays(frame, kind, newest.horizon, unit=newest.unit, rhythm=rhythm)


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
