"""Why there is no forecast this morning, and what a reader should know of one."""

import datetime
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ironore_lightning.data_quality.break_days import jumps_together
from ironore_lightning.desk.entries import Driver
from ironore_lightning.desk.newest import Newest
from ironore_lightning.forecast.next_day import NextDayForecast
from ironore_lightning.report.style import counted
from ironore_lightning.run_folder.record import RunRecord
from ironore_lightning.settings.desk import DeskSettings

LIKE_A_BREAK = 6.0
"""Jump of all contracts of a leg against the other legs, in usual moves, that nobody explains. It
was seen on none of 1,217 days of the sample market, and on 9 of 1,219 of the original files."""


def learnt_until(run: RunRecord) -> datetime.date:
    """Return the newest day whose outcome a run was fitted to or chosen by."""
    return run.refit.until if run.refit else run.validation_span.last_date


def settled(date: datetime.date, settings: DeskSettings) -> datetime.datetime:
    """Return the moment when the outcome of a day becomes known."""
    return datetime.datetime.combine(date, settings.settles_at, datetime.UTC)


def read_drivers(newest: Newest) -> list[Driver]:
    """Return the newest window of each input beside the training rows of all runs that read it.

    The ranges of several runs are those that all of them have seen.
    """
    length = max(run.settings.window.sequence_length for run in newest.runs)
    drivers: dict[str, Driver] = {}
    for run in newest.runs:
        inputs = newest.inputs(run)
        first, last = run.training_rows.first_date, run.training_rows.last_date
        trained = inputs.loc[pd.Timestamp(first) : pd.Timestamp(last)]
        for feature in run.settings.features.names:
            values, name = inputs[feature.label], feature.label
            age = newest.panel.staleness[feature.name]
            driver = Driver(
                name=name,
                value=float(values.iloc[-1]),
                window=values.tail(length).tolist(),
                age=int(age.iloc[-1]),
                oldest=int(age.loc[trained.index].max()),
                low=float(trained[name].min()),
                high=float(trained[name].max()),
            )
            drivers[name] = _narrower(drivers[name], driver) if name in drivers else driver
    return list(drivers.values())


def _narrower(one: Driver, other: Driver) -> Driver:
    return one.model_copy(
        update={
            "oldest": min(one.oldest, other.oldest),
            "low": max(one.low, other.low),
            "high": min(one.high, other.high),
        }
    )


def doubts(newest: Newest, settings: DeskSettings, now: datetime.datetime) -> list[str]:
    """Return why the newest row may be none, a line each: then no outcome is taken from it."""
    return [*_unsettled(newest, settings, now), *_breaks(newest)]


def refusals(
    newest: Newest,
    next_day: NextDayForecast,
    drivers: Sequence[Driver],
    settings: DeskSettings,
    now: datetime.datetime,
) -> list[str]:
    """Return why a forecast may not be used, a line each; nothing if it may."""
    return [
        *_learnt(newest, next_day),
        *_late(next_day, settings, now),
        *(line for driver in drivers for line in _strange(driver, settings, next_day.noun)),
        *_without_a_price(next_day),
    ]


def _unsettled(newest: Newest, settings: DeskSettings, now: datetime.datetime) -> Iterator[str]:
    origin = newest.origin.date()
    if now < settled(origin, settings):
        yield (
            f"the newest row is of {origin}, which settles at {settings.settles_at:%H:%M} UTC; "
            "ask again later, or leave that row out"
        )


def _learnt(newest: Newest, next_day: NextDayForecast) -> Iterator[str]:
    for run in newest.runs:
        if f"{learnt_until(run)}" >= next_day.date:
            yield (
                f"{run.folder}: has learnt outcomes until {learnt_until(run)}, so it knows that of "
                f"{next_day.date}; refresh the files, or take a run that has not"
            )
    if np.isfinite(newest.outcomes["value"].iloc[-1]):
        yield (
            f"{next_day.series}: the files hold the outcome of {next_day.date} already, so nothing "
            "is a forecast of it; refresh the files"
        )


def _late(
    next_day: NextDayForecast, settings: DeskSettings, now: datetime.datetime
) -> Iterator[str]:
    if next_day.age_days > settings.max_age_days:
        passed = counted(next_day.age_days, "trading day")
        yield (
            f"the newest row is {next_day.origin}, {passed} before the last one that should be "
            f"there by {now:%Y-%m-%d} (desk.max_age_days={settings.max_age_days}); refresh the "
            "files; if nobody has traded, the next row is forecast, and runs that were trained "
            "with data.holidays know such days"
        )
    elif now >= (moment := settled(datetime.date.fromisoformat(next_day.date), settings)):
        yield (
            f"the outcome of {next_day.date} is known since {moment:%Y-%m-%d %H:%M} UTC, so "
            "nothing is a forecast of it any more; refresh the files"
        )


def _strange(driver: Driver, settings: DeskSettings, noun: str) -> Iterator[str]:
    """Yield what no training row had."""
    if driver.age > driver.oldest:
        yield (
            f"{driver.name}: no new value for {counted(driver.age, noun)}, in training never more "
            f"than {driver.oldest}; refresh its file"
        )
    beyond = _beyond(driver)
    if beyond > settings.beyond_range:
        yield (
            f"{driver.name}: its value {driver.value:g} lies outside of {driver.low:g} to "
            f"{driver.high:g}, which training has seen, by {100 * beyond:.0f} % of that range "
            f"(desk.beyond_range={settings.beyond_range:g}); correct the file, or refit on newer "
            "rows"
        )


def _beyond(driver: Driver) -> float:
    """Return how far a value lies outside of the training rows, as a share of their range."""
    outside = max(driver.low - driver.value, driver.value - driver.high, 0.0)
    width = driver.high - driver.low
    if width > 0:
        return outside / width
    return math.inf if outside else 0.0


def _without_a_price(next_day: NextDayForecast) -> Iterator[str]:
    if next_day.contract_month is not None and next_day.price is None:
        yield (
            f"{next_day.series}: contract {next_day.contract_month} is held on {next_day.date} and "
            f"has no price on {next_day.origin}; add it to its file"
        )


def _breaks(newest: Newest) -> Iterator[str]:
    """Yield each leg whose contracts have jumped today as after a change of specification."""
    for leg in newest.panel.futures:
        known = newest.config.data.panel.breaks_of(leg)
        if newest.origin.date() in known:
            continue
        if jumps_together(newest.raw.contracts, leg, newest.origin, least=LIKE_A_BREAK):
            yield (
                f"{leg}: on {newest.origin:%Y-%m-%d} all its contracts jump against the other legs "
                f"by more than {LIKE_A_BREAK:g} usual moves; if the specification has changed, "
                "train with that day in data.panel.break_days; if not, the next row is forecast"
            )
