"""A record of invented mornings, for the tests of the desk."""

import datetime
from itertools import pairwise

import numpy as np
import pandas as pd

from ironore_lightning.desk.entries import (
    Driver,
    Forecast,
    Outcome,
    Size,
    Source,
    TailRisk,
)

FIRST_DAY = datetime.date(2025, 3, 3)


def clock(day, hour=6):
    """The moment at which the desk of a day writes."""
    return datetime.datetime.combine(day, datetime.time(hour), datetime.UTC)


def weekdays(number, step=1):
    """Days from a Monday on."""
    days = pd.bdate_range(FIRST_DAY, periods=number * step)[::step]
    return [day.date() for day in days]


def forecast(date, origin, **changes):
    """A forecast of the return on a day."""
    price = 100.0
    bounds = {"lower_80": -1.5, "upper_80": 1.7, "lower_90": -2.0, "upper_90": 2.2}
    values = {
        "origin": origin,
        "rows": [origin - datetime.timedelta(days=1), origin],
        "date": date,
        "settles_at": "12:00",
        "series": "iron ore",
        "contract": "2025-05",
        "unit": "%",
        "kind_of_target": "log_return",
        "rules": "ef" * 32,
        "word": "return",
        "noun": "day",
        "rows_per_year": 252.0,
        "horizon": 1,
        "forecast": 0.1,
        "bounds": bounds,
        "price": price,
        "price_forecast": price * 1.001,
        "price_bounds": {name: price * (1 + bound / 100) for name, bound in bounds.items()},
        "volatility": 1.25,
        "grade": "SUGGESTIVE",
        "evidence": "SUGGESTIVE: p = 0.06 on 131 test days",
        "drivers": [
            Driver(
                name="port stocks",
                value=120.0,
                window=[118.0, 120.0],
                age=3,
                oldest=5,
                low=90.0,
                high=150.0,
                share=0.08,
            ),
            Driver(
                name="rebar",
                value=3600.0,
                window=[3550.0, 3600.0],
                age=1,
                oldest=4,
                low=3000.0,
                high=3500.0,
                share=-0.02,
            ),
        ],
        "lags": [0.0, 0.01, -0.02, 0.05],
        "agreement": 0.9,
        "risk": [
            TailRisk(level=0.9, long_var=1.5, long_es=2.0, short_var=1.4, short_es=1.9),
            TailRisk(level=0.99, long_var=3.0, long_es=4.0, short_var=2.9, short_es=3.8),
        ],
        "size": Size(
            lot_size=100.0,
            currency="USD",
            budget=5000.0,
            level=0.99,
            lots=12,
            side="either",
            reason="the direction does not count below grade SUPPORTED",
        ),
        "prices": [(origin - datetime.timedelta(days=1), 99.0), (origin, price)],
        "next_roll": datetime.date(2025, 4, 15),
        "alarms": [],
        "data": {"prices.csv": "ab" * 32},
        "sources": [
            Source(
                folder="outputs/run", checkpoint="cd" * 32, trained_until=FIRST_DAY, is_refit=False
            )
        ],
    }
    return Forecast(**(values | changes))


def write_mornings(record, number, *, seed=0, step=1, **changes):
    """Append that many mornings: the outcome of the day before, and the forecast of the day."""
    draws = np.random.default_rng(seed)
    days = weekdays(number + 1, step)
    pending = None
    for origin, date in pairwise(days):
        if pending:
            record.append(outcome(pending, draws), clock(date))
        value = float(draws.normal(0, 0.3))
        pending = record.append(forecast(date, origin, forecast=value, **changes), clock(date))


def outcome(entry, draws):
    """What became of a forecast: noise."""
    return Outcome(
        forecast=entry.number,
        date=entry.content.date,
        actual=float(draws.normal(0, 1.25)),
        is_roll=False,
        rank=float(draws.uniform(0.01, 1)),
        num_scores=120,
    )
