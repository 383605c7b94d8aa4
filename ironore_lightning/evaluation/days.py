"""The test days: forecast, outcome, rolls, kind of return and horizon."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.trading_calendar.rhythm import DAILY, Rhythm

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def hits(forecast: Floats, actual: Floats) -> Flags:
    """Return whether each day is a hit, shape (N,).

    A day that did not move has no sign, and a forecast of exactly zero is a miss.
    """
    is_hit: Flags = (actual != 0) & (np.sign(forecast) == np.sign(actual))
    return is_hit


@dataclass(frozen=True, eq=False)
class ScoredDays:
    """Forecasts and outcomes of some days.

    Attributes:
        frame: One row per day in time order: `date` of the outcome, `actual` and `forecast` (per
            cent), `is_roll` (the contract changes at the close of the origin) and, to score
            intervals, their bounds `lower_80`, `upper_80`, `lower_90`, `upper_90` (per cent, NaN
            where unknown).
        kind: `target.kind`: how a price follows from a return; a `given` target has no price.
        horizon: Days ahead that a forecast reaches.
        rhythm: Of the rows; what is called a day is a week or month of a weekly or monthly market.
        clues: Of the same days, what may explain skill that nobody can trade, see `tradability`;
            None if nothing is known.
    """

    frame: pd.DataFrame
    kind: str
    horizon: int
    clues: pd.DataFrame | None = None
    rhythm: Rhythm = DAILY

    def __len__(self) -> int:
        """Count the days (N)."""
        return len(self.frame)

    @property
    def actual(self) -> Floats:
        """Outcomes, shape (N,), per cent."""
        return self.frame["actual"].to_numpy(np.float64)

    @property
    def forecast(self) -> Floats:
        """Forecasts, shape (N,), per cent."""
        return self.frame["forecast"].to_numpy(np.float64)

    @property
    def is_roll(self) -> Flags:
        """Whether the contract changes at the close of each origin, shape (N,)."""
        return self.frame["is_roll"].to_numpy(dtype=bool)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """Days on which the outcomes are complete, shape (N,)."""
        return pd.DatetimeIndex(self.frame["date"])

    @property
    def has_price(self) -> bool:
        """Whether the target has a price, which can be traded and rebuilt."""
        return self.kind != "given"

    def with_forecast(self, forecast: Floats) -> "ScoredDays":
        """Return the same days with another forecast, shape (N,), per cent."""
        return replace(self, frame=self.frame.assign(forecast=forecast))
