"""Continuous series, targets and joins equal slow loops, for each roll rule and each layout."""

import random
from functools import cache

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.contracts import build_continuous
from ironore_lightning.data.features import build_target
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data.rolls import RollFacts
from ironore_lightning.settings.data import DataSettings, FuturesSettings
from ironore_lightning.settings.samples import TargetSettings
from tests import slow_futures as slow

CSV = {"format": "csv", "date_column": "date", "date_format": "%Y-%m-%d", "delimiter": ","}
WIDE = {"file": "leg.csv", "contract_format": "I%y%m"}
LONG = {
    "file": "leg.csv",
    "layout": "long",
    "contract_format": "X{code}%y",
    "contract_column": "contract",
    "price_column": "settle",
    "volume_column": "volume",
    "open_interest_column": "oi",
}
FILES = {
    "file": "legs/*.csv",
    "layout": "files",
    "contract_format": "leg_%Y%m",
    "price_column": "settle",
    "volume_column": "volume",
    "open_interest_column": "oi",
}
MONTH_NUMBERS = {"file": "leg.csv", "layout": "month_numbers"}
RANKS = {"file": "leg.csv", "layout": "ranks", "ranked_columns": [f"M{k}" for k in range(1, 9)]}
CODES = "FGHJKMNQUVXZ"
NUM_CASES = 14


@cache
def market(*, negative=False, blanks=0.0):
    return slow.Market(17, negative=negative, blanks=blanks)


def calendar():
    """From the tenth of each month on, the contract two months later is held."""
    entries = []
    for year in range(2018, 2024):
        for month in range(1, 13):
            number = year * 12 + month + 1
            day = slow.datetime.date(year, month, 10)
            entries.append((day, (number // 12, number % 12 + 1)))
    return entries


def by_month(offset, listed=range(1, 13)):
    return lambda market: slow.held_by_month(market, offset, listed)


CASES = {
    "month offset 1, wide": (WIDE, {}, by_month(1)),
    "month offset 2, long": (LONG, {"month_offset": 2, "adjustment": "difference"}, by_month(2)),
    "month offset 3, month numbers": (MONTH_NUMBERS, {"month_offset": 3}, by_month(3)),
    "January, May and September, wide": (
        WIDE, {"listed_months": [1, 5, 9]}, by_month(1, (1, 5, 9)),
    ),
    "HKNUZ, long": (
        LONG, {"listed_months": [3, 5, 7, 9, 12], "adjustment": "none"},
        by_month(1, (3, 5, 7, 9, 12)),
    ),
    "quarterly, month numbers": (
        MONTH_NUMBERS, {"listed_months": [3, 6, 9, 12], "month_offset": 2},
        by_month(2, (3, 6, 9, 12)),
    ),
    "last price, files": (
        FILES, {"roll": "last_trading_day", "adjustment": "difference"},
        slow.held_until_last_price,
    ),
    "five days before the last one, wide": (
        WIDE, {"roll": "last_trading_day", "days_before": 5, "roll_file": "rolls.csv"},
        lambda market: slow.held_until_last_day(market, 5),
    ),
    "volume, long": (LONG, {"roll": "volume"}, lambda m: slow.held_by_figures(m.volume)),
    "open interest, long": (
        LONG, {"roll": "open_interest", "adjustment": "difference"},
        lambda m: slow.held_by_figures(m.open_interest),
    ),
    "calendar, wide": (
        WIDE, {"roll": "calendar", "roll_file": "rolls.csv"},
        lambda market: slow.held_by_calendar(market, calendar()),
    ),
    "calendar, ranks": (
        RANKS, {"roll": "calendar", "roll_file": "rolls.csv"},
        lambda market: slow.held_by_calendar(market, calendar()),
    ),
    "bridged, wide": (WIDE, {"bridge_days": 8}, by_month(1)),
    "negative, long": (LONG, {"adjustment": "difference"}, by_month(1)),
}  # fmt: skip


def market_of(name):
    if name.startswith("negative"):
        return market(negative=True)
    return market(blanks=0.03) if name.startswith("bridged") else market()


def rows(header, lines):
    return "\n".join([header, *(",".join(map(str, line)) for line in lines)]) + "\n"


def write_wide(folder, market, columns, header):
    """A column for each of the functions of day and contract prices."""
    lines = (
        [day, *(column(day, prices) for column in columns)] for day, prices in market.prices.items()
    )
    (folder / "leg.csv").write_text(rows("date," + header, lines))


def write_market(folder, market, layout, roll_file):
    """The market in one layout."""
    figures = (market.prices, market.volume, market.open_interest)
    contracts = market.contracts
    if layout is WIDE:
        columns = [lambda _, prices, own=own: prices.get(own, "") for own in contracts]
        write_wide(folder, market, columns, ",".join(f"I{y % 100}{m:02}" for y, m in contracts))
    elif layout is MONTH_NUMBERS:
        columns = [lambda day, prices, m=m: next_of_month(day, prices, m) for m in range(1, 13)]
        write_wide(folder, market, columns, ",".join(f"{m:02}" for m in range(1, 13)))
    elif layout is RANKS:
        nearest = slow.held_by_calendar(market, calendar())
        columns = [lambda day, prices, k=k: ranked(nearest[day], prices, k) for k in range(8)]
        write_wide(folder, market, columns, ",".join(layout["ranked_columns"]))
    elif layout is LONG:
        lines = (
            [day, f"X{CODES[m - 1]}{y % 100}", *(own[day].get((y, m), "") for own in figures)]
            for day in reversed(market.prices)
            for y, m in contracts
            if (y, m) in market.prices[day]
        )
        (folder / "leg.csv").write_text(rows("date,contract,settle,volume,oi", lines))
    else:
        (folder / "legs").mkdir()
        for own in contracts:
            days = [day for day, prices in market.prices.items() if own in prices]
            lines = ([day, *(table[day].get(own, "") for table in figures)] for day in days)
            path = folder / "legs" / f"leg_{own[0]}{own[1]:02}.csv"
            path.write_text(rows("date,settle,volume,oi", lines))
    if roll_file == "days":
        entries = [(day, own) for own, day in market.last_days().items()]
    else:
        entries = calendar()
    names = [(day, contract_name(layout, own)) for day, own in entries]
    (folder / "rolls.csv").write_text(rows("date,contract", names))
    (folder / "holidays.txt").write_text("\n".join(map(str, market.holidays)) + "\n")


def contract_name(layout, contract):
    year, month = contract
    return f"I{year % 100}{month:02}" if layout is WIDE else f"{year}-{month:02}"


def next_of_month(day, prices, month):
    """In its own month the column goes on with the contract that expires, then next year's."""
    year = day.year if month >= day.month else day.year + 1
    return prices.get((year, month), prices.get((year + 1, month), ""))


def ranked(nearest, prices, rank):
    if nearest is None:
        return 1e6  # of no known contract
    number = nearest[0] * 12 + nearest[1] - 1 + rank
    return prices.get((number // 12, number % 12 + 1), "")


def write_drivers(folder, days):
    """A daily driver with blanks and a weekly one."""
    rng = random.Random(3)  # noqa: S311 - invented numbers
    daily = {day: rng.gauss(50, 5) for day in days if rng.random() < 0.8}
    weekly = {day: rng.gauss(50, 5) for day in days if day.weekday() == 4}
    for name, values in (("daily", daily), ("weekly", weekly)):
        (folder / f"{name}.csv").write_text(rows(f"date,{name}", values.items()))
    return {"daily": (daily, 1), "weekly": (weekly, 4)}


def settings(folder, layout, futures, *, positive):
    sources = {
        name: {
            **CSV,
            "file": f"{name}.csv",
            "frequency": name,
            "publication_lag_days": lag,
            "columns": {name: {"unit": "", "positive": False}},
        }
        for name, lag in (("daily", 1), ("weekly", 4))
    }
    market_roll = {"month_offset": 1, "adjustment": "ratio", "bridge_days": 0}
    return DataSettings(
        name="invented",
        root=str(folder),
        contracts={"leg": {**CSV, "unit": "", **layout, "positive": positive, "futures": futures}},
        sources=sources,
        prices={},
        sample=None,
        table=None,
        holidays="holidays.txt",
        futures=market_roll,
        panel={"start": None, "as_published": True, "break_days": ()},
    )


def assert_same(numbers, expected):
    """Compare to nearly the last bit, and return how many numbers there are."""
    assert len(numbers) == len(expected) > 1000
    np.testing.assert_allclose(numbers, expected, rtol=1e-10, atol=1e-10)
    return len(numbers)


@pytest.mark.parametrize("name", CASES)
def test_series_targets_and_joins_equal_slow_loops(name, tmp_path):
    layout, futures, hold = CASES[name]
    own = market_of(name)
    positive = not name.startswith("negative")
    write_market(tmp_path, own, layout, "days" if "last one" in name else "calendar")
    drivers = write_drivers(tmp_path, own.prices)
    data = settings(tmp_path, layout, futures, positive=positive)
    horizon_5 = TargetSettings(series="leg", kind="log_return", horizon=5)
    raw = read_raw(data)
    panel = build_panel(raw, data, horizon_5)

    expected = slow.SlowSeries(
        own, hold(own), futures.get("adjustment", "ratio"), positive=positive
    )
    days = panel.futures["leg"].days
    assert [day.date() for day in days.index] == expected.days
    assert [(month.year, month.month) for month in days["contract_month"]] == expected.contracts
    assert len(panel.futures["leg"].rolls) == len(expected.rolls) >= 16
    compared = 2 * len(expected.days)
    for numbers, loops in (
        (days["raw_price"], expected.raw),
        (days["level"], expected.level),
        (days["adjusted_price"], expected.adjusted),
        (days["log_return"], expected.returns),
        (days["change"], expected.changes),
        (panel.values["leg"], expected.level),
        (panel.log_returns["leg"], expected.returns),
        (panel.changes["leg"], expected.changes),
    ):
        compared += assert_same(numbers, loops)
    if positive:
        percent = [100 * move for move in expected.returns]
        compared += assert_same(build_target(panel, horizon_5)["value"], slow.target(percent, 5))
    for driver, (values, lag) in drivers.items():
        joined, stale = slow.join(values, lag, expected.days)
        compared += assert_same(panel.values[driver], joined)
        compared += assert_same(panel.staleness[driver], stale)
    assert days["change"].notna().sum() == len(expected.days) - 1
    assert compared >= 260_000 / NUM_CASES


def test_the_cases_compare_260_000_numbers():
    assert len(CASES) == NUM_CASES


# --- the future does not change the past ----------------------------------------------------------

RULES = {
    "month offset": {"month_offset": 2},
    "last price": {"roll": "last_trading_day"},
    "days before the last one": {
        "roll": "last_trading_day", "days_before": 5, "roll_file": "rolls.csv",
    },
    "volume": {"roll": "volume"},
    "open interest": {"roll": "open_interest", "adjustment": "difference"},
    "calendar": {"roll": "calendar", "roll_file": "rolls.csv"},
}  # fmt: skip

CUTS = ["2019-03-06", "2020-08-17", "2021-05-14", "2022-12-30", "2023-06-15"]


def as_table(figures):
    """Figures by day and contract as a table (T, C)."""
    table = pd.DataFrame.from_dict(figures, orient="index").sort_index(axis=1)
    months = pd.PeriodIndex([f"{year}-{month:02}" for year, month in table.columns], freq="M")
    index = pd.DatetimeIndex(table.index, name="date")
    return table.set_axis(months, axis=1).set_axis(index, axis=0).astype(float)


def build(rule, closes, activity):
    entries = calendar()
    if rule.get("days_before"):
        entries = [(day, own) for own, day in market().last_days().items()]
    months = pd.PeriodIndex([f"{year}-{month:02}" for _, (year, month) in entries], freq="M")
    roll_days = pd.Series(months, index=pd.DatetimeIndex([day for day, _ in entries]))
    facts = RollFacts(activity, roll_days if "roll_file" in rule else None, market().holidays)
    futures = {"month_offset": 1, "adjustment": "ratio", "bridge_days": 0} | rule
    return build_continuous(closes, FuturesSettings(**futures), name="leg", facts=facts).days


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_prices_and_figures_of_the_future_leave_the_past_as_it_is(rule):
    closes = as_table(market().prices)
    figures = market().volume if rule.get("roll") == "volume" else market().open_interest
    activity = as_table(figures).reindex_like(closes)
    whole = build(rule, closes, activity).drop(columns="adjusted_price")
    assert whole["contract_month"].nunique() > 60
    rng = np.random.default_rng(5)
    for cut in CUTS:
        later = closes.index > cut
        noise = np.where(later[:, None], rng.uniform(0.2, 5, closes.shape), 1.0)
        shocked = build(rule, closes * noise, activity * noise[:, ::-1])
        ended = build(rule, closes[~later], activity[~later])
        past = whole.loc[:cut]
        assert len(past) > 250
        for again in (shocked, ended):
            known = again.loc[:cut, list(past)]
            pd.testing.assert_frame_equal(known, past, check_exact=True, check_freq=False)
        assert not shocked.loc[cut:, "raw_price"].equals(whole.loc[cut:, "raw_price"])
