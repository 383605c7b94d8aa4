"""Roll rules: which contract month is held on each trading day.

Every rule decides with what is known at the close before. A month is an ordinal, counted from
January 1970 as pandas does.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ironore_lightning.settings.data import FuturesSettings

Months = npt.NDArray[np.int64]

NO_MONTH = np.iinfo(np.int64).min
"""Ordinal of a month that is not there, pandas' NaT."""


@dataclass(frozen=True)
class RollFacts:
    """What decides the rolls of a leg beside its prices.

    Attributes:
        activity: Volume or open interest by day and contract, shape (T, C).
        roll_days: Contract months by ascending date, of the roll file.
        holidays: Weekdays without trading, to count the days before a last trading day.
    """

    activity: pd.DataFrame | None = None
    roll_days: pd.Series | None = None
    holidays: Sequence[datetime.date] = ()


NO_FACTS = RollFacts()


def held_months(
    days: pd.DatetimeIndex, closes: pd.DataFrame, settings: FuturesSettings, facts: RollFacts
) -> pd.PeriodIndex:
    """Return the contract month that is held on each day.

    Args:
        days: Ascending days, shape (T,); those after the data are decided by what is known then.
        closes: Prices, ascending days, sorted monthly Period columns, NaN where there is none.
        settings: The rule and the listed months.
        facts: What the rule reads beside the prices.

    Returns:
        Shape (T,), NaT where the rule names no contract.
    """
    if settings.roll == "month_offset":
        wanted = month_ordinals(days) + settings.month_offset
        held = next_listed(wanted, settings.listed_months)
    elif settings.roll == "last_trading_day" and facts.roll_days is None:
        held = _until_the_last_price(days, closes)
    elif settings.roll == "last_trading_day":
        held = _until_the_last_day(days, closes, settings, facts)
    elif settings.roll == "calendar":
        assert facts.roll_days is not None  # FuturesSettings require the file
        held = since_roll_day(days, facts.roll_days)
    else:
        assert facts.activity is not None  # ContractsSettings require its column
        held = _by_activity(days, facts.activity)
        # A contract that has its last price is over, however much of it was open.
        nearest = _until_the_last_price(days, closes)
        held = np.where(held == NO_MONTH, NO_MONTH, np.maximum(held, nearest))
    return as_months(held)


def as_months(ordinals: Sequence[int] | Months) -> pd.PeriodIndex:
    """Return contract months from their ordinals."""
    # The stubs of pandas do not know this method.
    months: pd.PeriodIndex = pd.PeriodIndex.from_ordinals(  # type: ignore[attr-defined]
        ordinals, freq="M"
    )
    return months


def month_ordinals(days: pd.DatetimeIndex) -> Months:
    """Return the calendar month of each day, shape (T,)."""
    return np.asarray((days.year - 1970) * 12 + days.month - 1, dtype=np.int64)


def next_listed(months: Months, listed: Sequence[int]) -> Months:
    """Return the first listed month at or after each month, same shape."""
    wait = [min((month - 1 - start) % 12 for month in listed) for start in range(12)]
    return np.where(months == NO_MONTH, NO_MONTH, months + np.array(wait)[months % 12])


def since_roll_day(days: pd.DatetimeIndex, roll_days: pd.Series) -> Months:
    """Return the newest month of `roll_days` by each day, `NO_MONTH` before the first."""
    ordinals = pd.PeriodIndex(roll_days).asi8
    newest = pd.DatetimeIndex(roll_days.index).searchsorted(days, side="right") - 1
    return np.where(newest < 0, NO_MONTH, ordinals[newest])


def _until_the_last_price(days: pd.DatetimeIndex, closes: pd.DataFrame) -> Months:
    """Hold the nearest contract that has a price on the day or later.

    Nothing is over after the data, where no contract can have one.
    """
    priced = closes.dropna(how="all").dropna(axis=1, how="all")
    last = np.array([prices.last_valid_index() for _, prices in priced.items()], "datetime64[us]")
    known = np.minimum(days.to_numpy(), last.max()).astype("datetime64[us]")
    nearest = (last >= known[:, None]).argmax(axis=1)
    return np.asarray(pd.PeriodIndex(priced.columns).asi8[nearest])


def _until_the_last_day(
    days: pd.DatetimeIndex, closes: pd.DataFrame, settings: FuturesSettings, facts: RollFacts
) -> Months:
    """Hold each contract of the roll file until its last trading day, or some days before it.

    The first one is not held while a nearer contract has prices, and none after the last one.
    """
    assert facts.roll_days is not None
    last_days = facts.roll_days.index.to_numpy().astype("datetime64[D]")
    holidays = np.asarray(facts.holidays, dtype="datetime64[D]")
    roll_days = np.busday_offset(
        last_days, -settings.days_before, roll="backward", holidays=holidays
    )
    ordinals = pd.PeriodIndex(facts.roll_days).asi8
    number = np.searchsorted(roll_days, days.to_numpy().astype("datetime64[D]"), side="left")
    held = np.append(ordinals, NO_MONTH)[number]
    nearer = closes.loc[:, closes.columns < facts.roll_days.iloc[0]].dropna(how="all")
    if len(nearer):
        held[days <= nearer.index[-1]] = NO_MONTH
    return np.asarray(held)


def _by_activity(days: pd.DatetimeIndex, activity: pd.DataFrame) -> Months:
    """Hold the contract with the highest figure; a later one takes over once its is higher.

    A day is decided by the figures of the rows before it; the first has none.
    """
    figures = activity.ffill().fillna(-1.0).to_numpy()
    held, decided = -1, [-1]
    for row in figures:
        if held < 0:
            held = int(row.argmax()) if row.max() >= 0 else -1
        elif row[held:].max() > row[held]:
            held += int(row[held:].argmax())
        decided.append(held)
    rows_before = pd.DatetimeIndex(activity.index).searchsorted(days, side="left")
    column = np.array(decided)[rows_before]
    return np.where(column < 0, NO_MONTH, pd.PeriodIndex(activity.columns).asi8[column])
