"""Why there is no forecast this morning, and what a reader should know of one."""

import datetime
import math
from collections.abc import Iterator, Sequence

import pandas as pd

from ironore_lightning.data_quality.break_days import jumps_together
from ironore_lightning.desk.entries import Driver, Entry, Forecast, Restatement
from ironore_lightning.desk.newest import Newest
from ironore_lightning.forecast.next_day import NextDayForecast
from ironore_lightning.report.style import counted
from ironore_lightning.settings.desk import DeskSettings

LIKE_A_BREAK = 6.0
"""Jump of all contracts of a leg against the other legs, in usual moves, that nobody explains. It
was seen on none of 1,207 days of the sample market, and on 9 of 1,209 of the original files."""

SAME = 1e-9
"""Relative difference of a value that two machines compute."""


def settled(date: datetime.date, settings: DeskSettings) -> datetime.datetime:
    """Return the moment when the outcome of a day becomes known."""
    return datetime.datetime.combine(date, settings.settles_at, datetime.UTC)


def read_drivers(newest: Newest) -> list[Driver]:
    """Return the newest value of each input beside those of the training rows."""
    drivers: dict[str, Driver] = {}
    for run in newest.runs:
        inputs = newest.inputs(run)
        rows = slice(*map(pd.Timestamp, vars(run.training_rows).values()))
        trained = inputs.loc[rows]
        for feature in run.settings.features.names:
            age = newest.panel.staleness[feature.name]
            drivers.setdefault(
                feature.label,
                Driver(
                    name=feature.label,
                    value=float(inputs[feature.label].iloc[-1]),
                    age=int(age.iloc[-1]),
                    oldest=int(age.loc[rows].max()),
                    low=float(trained[feature.label].min()),
                    high=float(trained[feature.label].max()),
                ),
            )
    return list(drivers.values())


def refusals(
    newest: Newest,
    next_day: NextDayForecast,
    drivers: Sequence[Driver],
    settings: DeskSettings,
    now: datetime.datetime,
) -> list[str]:
    """Return why a forecast may not be used, a line each; nothing if it may."""
    return [
        *_late(next_day, settings, now),
        *(line for driver in drivers for line in _strange(driver, settings, next_day.noun)),
        *_without_a_price(next_day),
        *_breaks(newest),
    ]


def _late(
    next_day: NextDayForecast, settings: DeskSettings, now: datetime.datetime
) -> Iterator[str]:
    origin = datetime.date.fromisoformat(next_day.origin)
    if now < settled(origin, settings):
        yield (
            f"the newest row is of {origin}, which settles at {settings.settles_at:%H:%M} UTC, and "
            f"it is {now:%Y-%m-%d %H:%M}; leave that row out, or correct desk.settles_at"
        )
    elif next_day.age_days > settings.max_age_days:
        yield (
            f"the newest row is {next_day.origin}, and {counted(next_day.age_days, 'trading day')} "
            f"have passed since (desk.max_age_days={settings.max_age_days}); refresh the files, or "
            "name the holidays (data.holidays of the runs)"
        )
    elif now >= (moment := settled(datetime.date.fromisoformat(next_day.date), settings)):
        yield (
            f"the outcome of {next_day.date} was known at {moment:%H:%M} UTC, so what is said at "
            f"{now:%Y-%m-%d %H:%M} is no forecast; refresh the files, or correct desk.settles_at"
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


Values = dict[str, dict[str, float | None]]
"""By origin, YYYY-MM-DD, the value of each input; None where the row is gone."""


def restated(entries: Sequence[Entry], newest: Newest) -> Values:
    """Return the inputs that are others now than when they were forecast with.

    Restatements that the record has accepted do not count again.
    """
    inputs = pd.concat([newest.inputs(run) for run in newest.runs], axis=1)
    inputs = inputs.loc[:, ~inputs.columns.duplicated()]
    found: Values = {}
    for origin, before in _known_values(entries).items():
        day = pd.Timestamp(origin)
        now = inputs.loc[day].to_dict() if day in inputs.index else dict.fromkeys(before)
        changed = {
            name: now[name]
            for name, value in before.items()
            if name in now and not _is_same(value, now[name])
        }
        if changed:
            found[origin] = changed
    return found


def _is_same(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is now
    return abs(now - before) <= SAME * max(abs(before), 1.0)


def _known_values(entries: Sequence[Entry]) -> Values:
    """Return by origin what the inputs were when they were last read or accepted."""
    known: Values = {}
    for entry in entries:
        content = entry.content
        if isinstance(content, Forecast):
            values = {driver.name: driver.value for driver in content.drivers}
            known.setdefault(f"{content.origin}", {}).update(values)
        elif isinstance(content, Restatement):
            for origin, accepted in content.values.items():
                known.setdefault(origin, {}).update(accepted)
    return known


def restatement_lines(entries: Sequence[Entry], changed: Values) -> list[str]:
    """Return a line for each input that was restated: its newest origin, before and now."""
    known = _known_values(entries)
    lines = []
    for name in sorted({name for values in changed.values() for name in values}):
        origins = sorted(origin for origin, values in changed.items() if name in values)
        last = origins[-1]
        before, now = known[last][name], changed[last][name]
        more = f", and those of {len(origins) - 1} more rows," if origins[1:] else ""
        lines.append(
            f"{name}: its value of {last}{more} was {_number(before)} when it was forecast with "
            f"and is {_number(now)} now; put the old file back, or take the new values with "
            "desk.accept_restated=true"
        )
    return lines


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"
