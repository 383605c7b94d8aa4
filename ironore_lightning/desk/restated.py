"""What the record has read or told, and what the data say of it now."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ironore_lightning.desk.entries import Entry, Forecast, Outcome, Restatement
from ironore_lightning.desk.newest import Newest

Values = dict[str, dict[str, float | None]]
"""By row, YYYY-MM-DD, the value of each input, price or outcome; None where there is none."""

SAME = 1e-9
"""Relative difference of a value that two machines compute."""


def find_restated(entries: Sequence[Entry], newest: Newest) -> Values:
    """Return what is another value now than when it was forecast with or told.

    Every row of every window counts, with rows that came in between, the price that was forecast,
    and each outcome. Restatements that the record has accepted do not count again.
    """
    now = _values_now(entries, newest)
    found: Values = {}
    for row, before in _values_before(entries, newest).items():
        values = now.get(row, {})
        changed = {
            name: values.get(name)
            for name, value in before.items()
            if not _is_same(value, values.get(name))
        }
        if changed:
            found[row] = changed
    return found


def restatement_lines(entries: Sequence[Entry], newest: Newest, changed: Values) -> list[str]:
    """Return a line for each name that was restated: its newest row, before and now."""
    before = _values_before(entries, newest)
    lines = []
    for name in sorted({name for values in changed.values() for name in values}):
        rows = sorted(row for row, values in changed.items() if name in values)
        last = rows[-1]
        more = f", and those of {len(rows) - 1} more rows," if rows[1:] else ""
        lines.append(
            f"{name}: its value of {last}{more} was {_number(before[last][name])} and is "
            f"{_number(changed[last][name])} now; put the old file back, or take the new values "
            "with desk.accept_restated=true"
        )
    return lines


def _values_before(entries: Sequence[Entry], newest: Newest) -> Values:
    """Return what was read, told or accepted last, by row."""
    known: Values = {}
    names = set(newest.windows.columns)
    for entry in entries:
        content = entry.content
        if isinstance(content, Forecast):
            for row, values in _read_in(content, newest, names).items():
                for name, value in values.items():
                    known.setdefault(row, {}).setdefault(name, value)
        elif isinstance(content, Outcome):
            forecast = entries[content.forecast - 1].content
            assert isinstance(forecast, Forecast)
            name = f"outcome of {forecast.series}"
            known.setdefault(f"{forecast.origin}", {}).setdefault(name, content.actual)
        elif isinstance(content, Restatement):
            for row, accepted in content.values.items():
                known.setdefault(row, {}).update(accepted)
    return known


def _read_in(forecast: Forecast, newest: Newest, names: set[str]) -> Values:
    """Return what a forecast has read; a row that has come into its window had no values."""
    drivers = [driver for driver in forecast.drivers if driver.name in names]
    read: Values = {
        f"{row}": {driver.name: driver.window[place] for driver in drivers}
        for place, row in enumerate(forecast.rows)
    }
    days = newest.panel.days
    first, last = pd.Timestamp(forecast.rows[0]), pd.Timestamp(forecast.origin)
    for day in days[(days >= first) & (days <= last)]:
        read.setdefault(f"{day:%Y-%m-%d}", {driver.name: None for driver in drivers})
    if forecast.price is not None:
        read[f"{forecast.origin}"][f"price of {forecast.series}"] = forecast.price
    return read


def _values_now(entries: Sequence[Entry], newest: Newest) -> Values:
    now: Values = {f"{row:%Y-%m-%d}": {} for row in newest.panel.days}
    for row, values in newest.windows.to_dict("index").items():
        now[f"{row:%Y-%m-%d}"].update({str(name): value for name, value in values.items()})
    series = newest.config.target.series
    for row, outcome in newest.outcomes["value"].dropna().items():
        now[f"{row:%Y-%m-%d}"][f"outcome of {series}"] = float(outcome)
    for entry in entries:
        if isinstance(entry.content, Forecast) and f"{entry.content.origin}" in now:
            price = newest.prices(entry.content.contract).get(pd.Timestamp(entry.content.origin))
            if price is not None and np.isfinite(price):
                now[f"{entry.content.origin}"][f"price of {series}"] = float(price)
    return now


def _is_same(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is now
    return abs(now - before) <= SAME * max(abs(before), 1.0)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"
