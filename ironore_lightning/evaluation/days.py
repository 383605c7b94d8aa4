"""The test days: forecast, outcome, rolls, kind of return and horizon."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.settings.samples import TargetSettings
from ironore_lightning.trading_calendar.rhythm import DAILY, Rhythm

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

OUTCOME_WORDS = {
    "log_return": "return",
    "simple_return": "return",
    "change": "change",
    "given": "outcome",
}
"""What an outcome is called, by `target.kind`."""


def to_price(change: float | None, base: float | None, kind: str) -> float | None:
    """Return where an outcome of some kind (`target.kind`) takes a price; None if one is unknown.

    Args:
        change: The outcome, per cent or in the unit of the price.
        base: The price before.
        kind: `log_return`, `simple_return` or `change`.
    """
    if change is None or base is None:
        return None
    if kind == "change":
        return base + change
    growth = np.exp(change / 100) if kind == "log_return" else 1 + change / 100
    return float(base * growth)


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
        frame: One row per day in time order: `date` of the outcome, `actual` and `forecast` (in
            `unit`), `is_roll` (the contract changes at the close of the origin) and, to score
            intervals, their bounds `lower_80`, `upper_80`, `lower_90`, `upper_90` (NaN where
            unknown). Where the outcome is no return, perhaps `profit`: the simple return, per cent,
            that a position earns on `target.profit_series` over the same days.
        kind: `target.kind`: how a price follows from a return; nothing else has a price.
        horizon: Days ahead that a forecast reaches.
        rhythm: Of the rows; what is called a day is a week or month of a weekly or monthly market.
        clues: Of the same days, what may explain skill that nobody can trade, see `tradability`;
            None if nothing is known.
        risk: Of the same days, value at risk and expected shortfall of three forecasters, see
            `build_risk`; None where nobody has computed them.
        unit: Of outcomes and forecasts, for people.
    """

    frame: pd.DataFrame
    kind: str
    horizon: int
    clues: pd.DataFrame | None = None
    risk: pd.DataFrame | None = None
    unit: str = "%"
    rhythm: Rhythm = DAILY

    def __len__(self) -> int:
        """Count the days (N)."""
        return len(self.frame)

    @property
    def actual(self) -> Floats:
        """Outcomes, shape (N,), in `unit`."""
        return self.frame["actual"].to_numpy(np.float64)

    @property
    def forecast(self) -> Floats:
        """Forecasts, shape (N,), in `unit`."""
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
    def is_return(self) -> bool:
        """Whether outcomes are returns, from which a price can be rebuilt."""
        return self.word == "return"

    @property
    def word(self) -> str:
        """What an outcome is called: a return, a change or just an outcome."""
        return OUTCOME_WORDS[self.kind]

    @property
    def has_profit(self) -> bool:
        """Whether it is known what a position earns."""
        return self.is_return or "profit" in self.frame

    @property
    def earned(self) -> Floats:
        """Returns that a long position earns, of the kind `earned_kind`, shape (N,), per cent."""
        return self.actual if self.is_return else self.frame["profit"].to_numpy(np.float64)

    @property
    def earned_kind(self) -> str:
        """Kind of the returns that a position earns: `log_return` or `simple_return`."""
        return self.kind if self.is_return else "simple_return"

    def with_forecast(self, forecast: Floats) -> "ScoredDays":
        """Return the same days with another forecast, shape (N,), in `unit`."""
        return replace(self, frame=self.frame.assign(forecast=forecast))


def scored_days(frame: pd.DataFrame, target: TargetSettings, rhythm: Rhythm) -> ScoredDays:
    """Return the days of a frame, whose forecasts are of a target."""
    return ScoredDays(frame, target.kind, target.horizon, unit=target.unit_name, rhythm=rhythm)
