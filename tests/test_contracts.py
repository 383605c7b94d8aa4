"""The continuous series against hand-worked rolls and a loop over days."""

import datetime
import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.contracts import build_continuous
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import FuturesSettings

NAN = np.nan
ADJUSTMENTS = ["ratio", "difference", "none"]

DAYS = [
    "2024-01-30",
    "2024-01-31",
    "2024-02-01",
    "2024-02-28",
    "2024-02-29",
    "2024-03-01",
    "2024-03-04",
]
PRICES = {
    # The front contract goes on in its own month, as real ones do, but is no longer held then.
    "2024-02": [100, 104, 104.5, 105, 106, NAN, NAN],
    "2024-03": [NAN, 130, 132.6, 120, 125, 125.5, 127],
    "2024-04": [NAN, NAN, NAN, 180, 200, 190, 228],
    "2024-05": [NAN, NAN, NAN, NAN, NAN, NAN, 300],
}
# January holds 2024-02, February 2024-03, March 2024-04. Rolled on 31 January at 130 / 104 = 1.25
# (130 - 104 = 26) and on 29 February at 200 / 125 = 1.6 (200 - 125 = 75).
RAW = [100, 104, 132.6, 120, 125, 190, 228]
GROWTH = [NAN, 104 / 100, 132.6 / 130, 120 / 132.6, 125 / 120, 190 / 200, 228 / 190]


def settings(adjustment="ratio", *, month_offset=1, bridge_days=0):
    return FuturesSettings(
        month_offset=month_offset, adjustment=adjustment, bridge_days=bridge_days
    )


def curve(days=DAYS, **changes):
    """The hand-made table; `changes` maps a contract, as in `c2024_03`, to new prices."""
    prices = PRICES | {key[1:].replace("_", "-"): value for key, value in changes.items()}
    kept = {month: prices[month] for month in sorted(prices) if prices[month] is not None}
    table = pd.DataFrame(kept, index=pd.DatetimeIndex(days, name="date"), dtype=float)
    return table.set_axis(pd.PeriodIndex(table.columns, freq="M"), axis=1)


def build(closes=None, adjustment="ratio", *, break_days=(), **changes):
    closes = curve() if closes is None else closes
    days = [datetime.date.fromisoformat(day) for day in break_days]
    return build_continuous(closes, settings(adjustment, **changes), name="leg", break_days=days)


def assert_column(series, column, expected):
    assert len(series.days) == len(expected)
    np.testing.assert_allclose(series.days[column], expected, rtol=1e-12)


def random_curve(seed=0, *, months=15, first="2021-01"):
    """A curve on business days, each contract listed for a year until the end of its month."""
    rng = np.random.default_rng(seed)
    contracts = pd.period_range(first, periods=months, freq="M")
    days = pd.bdate_range((contracts[0] - 1).start_time, contracts[-1].start_time, inclusive="left")
    moves = rng.normal(0, 0.02, (len(days), months)) + rng.normal(0, 0.02, (len(days), 1))
    closes = 100 * np.exp(np.cumsum(moves, axis=0) + rng.normal(0, 0.1, months))
    closes[rng.random(len(days)) < 0.04] = NAN  # holidays
    table = pd.DataFrame(closes, index=days.rename("date"), columns=contracts)
    return table.where(days.to_numpy()[:, None] <= contracts.end_time.to_numpy())


# --- the rolls of the hand-made table -------------------------------------------------------------


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_the_contract_of_the_next_month_is_held(adjustment):
    days = build(adjustment=adjustment).days
    assert list(days.index.strftime("%Y-%m-%d")) == DAYS
    assert list(days["contract_month"].astype(str)) == (
        ["2024-02"] * 2 + ["2024-03"] * 3 + ["2024-04"] * 2
    )
    np.testing.assert_array_equal(days["raw_price"], RAW)
    assert not days["is_break"].any()


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_a_roll_is_on_the_last_day_of_the_month_before_the_contracts_own(adjustment):
    rolls = build(adjustment=adjustment).rolls
    assert list(rolls.index.strftime("%Y-%m-%d")) == ["2024-01-31", "2024-02-29"]
    assert list(rolls["from_month"].astype(str)) == ["2024-02", "2024-03"]
    assert list(rolls["to_month"].astype(str)) == ["2024-03", "2024-04"]
    np.testing.assert_array_equal(rolls["ratio"], [1.25, 1.6])
    np.testing.assert_array_equal(rolls["difference"], [26, 75])


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_returns_are_those_of_the_contract_held_whatever_the_adjustment(adjustment):
    assert_column(build(adjustment=adjustment), "log_return", np.log(GROWTH))


def test_ratio_adjustment_divides_the_rolls_out():
    series = build(adjustment="ratio")
    # Factors since the oldest contract: 1, then 1.25, then 1.25 x 1.6 = 2.
    assert_column(series, "level", [100, 104, 106.08, 96, 100, 95, 114])
    assert_column(series, "adjusted_price", [200, 208, 212.16, 192, 200, 190, 228])


def test_difference_adjustment_subtracts_the_rolls():
    series = build(adjustment="difference")
    # Shifts since the oldest contract: 0, then 26, then 26 + 75 = 101.
    assert_column(series, "level", [100, 104, 106.6, 94, 99, 89, 127])
    assert_column(series, "adjusted_price", [201, 205, 207.6, 195, 200, 190, 228])


def test_without_adjustment_the_level_is_the_price_of_the_contract_held():
    series = build(adjustment="none")
    np.testing.assert_array_equal(series.days["level"], RAW)
    np.testing.assert_array_equal(series.days["adjusted_price"], RAW)


def test_the_published_case_of_crude_oil_in_2011():
    # The March contract of CL until 28 February, its April contract since; a public worked example
    # (raynergobran.com, April 2011), which lists the prices and the difference-adjusted series.
    march = [90.54, 89.03, 87.48, 86.94, 86.71, 86.73]
    april = [89.94, 89.13, 88.73, 87.57, 87.84]
    days = pd.bdate_range("2011-02-21", "2011-03-04", name="date")
    assert len(days) == 10
    closes = pd.DataFrame(
        {"2011-03": march + [NAN] * 4, "2011-04": [NAN] * 5 + april}, index=days
    ).set_axis(pd.PeriodIndex(["2011-03", "2011-04"], freq="M"), axis=1)

    panama = build(closes, "difference")
    listed = [93.75, 92.24, 90.69, 90.15, 89.92, 89.94, 89.13, 88.73, 87.57, 87.84]
    np.testing.assert_allclose(panama.days["adjusted_price"], listed, atol=1e-9)
    assert panama.rolls["difference"].tolist() == [pytest.approx(3.21)]

    ratio = build(closes, "ratio")
    assert ratio.rolls["ratio"].tolist() == [pytest.approx(1.0370114147353855, rel=1e-12)]
    assert ratio.days["adjusted_price"].iloc[0] == pytest.approx(93.891, abs=5e-4)
    true = [-1.6678, -1.741, -0.6173, -0.2646, 0.0231, -0.9006, -0.4488, -1.3073, 0.3083]
    for series in (panama, ratio):
        simple = 100 * np.expm1(series.days["log_return"].iloc[1:])
        np.testing.assert_allclose(simple, true, atol=5e-5)
    # What a splice would have made of the roll.
    spliced = 100 * build(closes, "none").days["level"].pct_change()
    assert spliced.iloc[6] == pytest.approx(2.7672, abs=5e-5)


def test_two_months_ahead_are_held_with_an_offset_of_two():
    closes = curve(c2024_03=[128, 130, 132.6, 120, 125, 125.5, 127])
    closes.loc["2024-01-31", pd.Period("2024-04", "M")] = 195
    closes.loc["2024-02-01", pd.Period("2024-04", "M")] = 190
    closes.loc["2024-02-29":"2024-03-01", pd.Period("2024-05", "M")] = [260, 273]
    series = build(closes, month_offset=2)
    assert list(series.days["contract_month"].astype(str)) == (
        ["2024-03"] * 2 + ["2024-04"] * 3 + ["2024-05"] * 2
    )
    np.testing.assert_array_equal(series.days["raw_price"], [128, 130, 190, 180, 200, 273, 300])
    np.testing.assert_array_equal(series.rolls["ratio"], [195 / 130, 260 / 200])
    growth = [NAN, 130 / 128, 190 / 195, 180 / 190, 200 / 180, 273 / 260, 300 / 273]
    assert_column(series, "log_return", np.log(growth))


# --- properties -----------------------------------------------------------------------------------


def held_returns(closes, months):
    """Log returns of the contract held, by a loop over days."""
    returns = [NAN]
    for (before, _), (day, month) in pairwise(months.items()):
        returns.append(np.log(closes.loc[day, month] / closes.loc[before, month]))
    return np.array(returns)


@pytest.mark.parametrize("seed", range(3))
def test_ratio_adjusted_levels_grow_as_the_contract_held(seed):
    closes = random_curve(seed)
    days = build(closes).days
    expected = held_returns(closes, days["contract_month"])
    assert len(expected) > 250
    for level in ("level", "adjusted_price"):
        np.testing.assert_allclose(np.log(days[level]).diff(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_every_adjustment_gives_the_same_returns_bit_for_bit(seed):
    closes = random_curve(seed)
    ratio, *others = (build(closes, name).days["log_return"].to_numpy() for name in ADJUSTMENTS)
    assert len(others) == 2
    for other in others:
        np.testing.assert_array_equal(other, ratio)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_the_newest_price_is_the_anchor(adjustment):
    days = build(random_curve(), adjustment).days
    newest = days["contract_month"] == days["contract_month"].iloc[-1]
    assert newest.sum() > 10
    assert days["adjusted_price"].iloc[-1] == days["raw_price"].iloc[-1]
    np.testing.assert_allclose(
        days.loc[newest, "adjusted_price"], days.loc[newest, "raw_price"], rtol=1e-14
    )
    assert days["level"].iloc[0] == days["raw_price"].iloc[0]


def test_the_two_anchors_differ_by_one_factor_or_one_shift():
    closes = random_curve()
    ratio = build(closes, "ratio").days
    factors = ratio["adjusted_price"] / ratio["level"]
    assert factors.iloc[0] != pytest.approx(1)
    np.testing.assert_allclose(factors, factors.iloc[0], rtol=1e-13)
    panama = build(closes, "difference").days
    shifts = panama["adjusted_price"] - panama["level"]
    assert shifts.iloc[0] != pytest.approx(0)
    np.testing.assert_allclose(shifts, shifts.iloc[0], atol=1e-10)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_a_later_roll_changes_nothing_but_the_adjusted_price(adjustment):
    closes = random_curve()
    whole = build(closes, adjustment).days
    cuts = range(40, len(closes) - 25, 37)
    assert len(cuts) > 5
    for cut in cuts:
        known = build(closes.iloc[:cut], adjustment).days
        past = whole.loc[known.index]
        assert len(known) >= 30
        for column in ("level", "raw_price", "contract_month", "log_return", "is_break"):
            pd.testing.assert_series_equal(known[column], past[column], check_exact=True)
        is_rewritten = (known["adjusted_price"] != past["adjusted_price"]).all()
        assert is_rewritten == (adjustment != "none")


def test_prices_of_a_contract_in_its_own_month_are_never_used():
    closes = random_curve()
    own_month = closes.index.to_period("M").to_numpy()[:, None] == closes.columns.to_numpy()
    assert (own_month & closes.notna().to_numpy()).sum() > 200
    shocked = closes.mask(own_month, closes * 1.5)
    pd.testing.assert_frame_equal(build(closes).days, build(shocked).days, check_exact=True)
    rolls = build(closes).rolls
    assert len(rolls) == 14
    assert (rolls.index.to_period("M") == rolls["from_month"] - 1).all()


def test_a_row_without_any_price_is_no_trading_day():
    closes = curve()
    holidays = pd.DatetimeIndex(["2024-02-02", "2024-03-02"], name="date")
    with_holidays = pd.concat([closes, pd.DataFrame(index=holidays, columns=closes.columns)])
    with_holidays = with_holidays.astype(float).sort_index().rename_axis("date")
    assert len(with_holidays) == 9
    pd.testing.assert_frame_equal(build(with_holidays).days, build(closes).days)


def test_days_before_the_first_contract_that_can_be_held_are_left_out():
    closes = curve()
    early = pd.DataFrame(50.0, index=pd.DatetimeIndex(["2023-06-01"]), columns=closes.columns)
    longer = pd.concat([early, closes]).rename_axis("date")
    pd.testing.assert_frame_equal(build(longer).days, build(closes).days)


def test_one_contract_is_never_rolled():
    series = build(curve().iloc[:2])
    assert series.rolls.empty
    assert_column(series, "level", [100, 104])
    assert_column(series, "adjusted_price", [100, 104])


def test_a_contract_that_stands_still_over_its_roll_returns_exactly_zero():
    closes = random_curve()
    rolls = build(closes).rolls
    assert len(rolls) == 14
    for day, month in rolls["to_month"].items():
        after = closes.index[closes.index.get_loc(day) + 1 :]
        first = closes.loc[after, month].first_valid_index()
        closes.loc[first, month] = closes.loc[day, month]
    days = build(closes).days
    is_first = days["contract_month"] != days["contract_month"].shift(
        fill_value=pd.Period("2021-01")
    )
    assert is_first.sum() == 14
    np.testing.assert_array_equal(days.loc[is_first, "log_return"], np.zeros(14))


# --- gaps -----------------------------------------------------------------------------------------

BRIDGE = "complete the file or bridge it with ++data.contracts.leg.futures.bridge_days=1"
LAST_DAY = (
    "complete the file or set ++data.contracts.leg.futures.roll=last_trading_day, whose contract "
    "always has a price"
)
GAPS = {
    "in mid-month": (
        curve(c2024_03=[NAN, 130, 132.6, NAN, 125, 125.5, 127]),
        [
            "contract 2024-03 is held but has no price from 2024-02-28 to 2024-02-28 (1 trading",
            BRIDGE,
        ],
    ),
    "at a roll, newer leg": (
        curve(c2024_04=[NAN, NAN, NAN, 180, NAN, 190, 228]),
        ["the roll from 2024-03 to 2024-04", "2024-04 has no price on 2024-02-29", BRIDGE],
    ),
    "at a roll, newer leg before its listing": (
        curve(c2024_03=[NAN, NAN, 132.6, 120, 125, 125.5, 127]),
        ["the roll from 2024-02 to 2024-03", "2024-03 has no price on 2024-01-31"],
    ),
    "at a roll, older leg": (
        curve(c2024_03=[NAN, 130, 132.6, 120, NAN, 125.5, 127]),
        ["contract 2024-03 is held but has no price from 2024-02-29", BRIDGE],
    ),
    "a missing month": (
        curve(c2024_04=None),
        ["contract 2024-04 is held but has no price from 2024-03-01 to 2024-03-04 (2 trading"],
    ),
    "a contract that ends too early": (
        curve(c2024_04=[NAN, NAN, NAN, 180, 200, 190, NAN]),
        ["contract 2024-04 is held but has no price from 2024-03-04 to 2024-03-04", LAST_DAY],
    ),
}


@pytest.mark.parametrize(("closes", "parts"), GAPS.values(), ids=GAPS)
def test_a_gap_is_named_with_contract_and_date(closes, parts):
    with pytest.raises(DataError) as caught:
        build(closes)
    message = str(caught.value)
    assert "\n" not in message
    for part in ["leg: ", *parts, "data.futures.bridge_days", "; complete the file"]:
        assert part in message


def test_a_curve_without_a_contract_to_hold_is_refused():
    with pytest.raises(DataError, match="leg: no contract has a price 12 month"):
        build(month_offset=12)


def test_a_day_without_the_held_contract_can_be_bridged():
    closes = curve(c2024_03=[NAN, 130, 132.6, NAN, 125, 125.5, 127])
    series = build(closes, bridge_days=1)
    assert list(series.days.index.strftime("%m-%d")) == [
        "01-30", "01-31", "02-01", "02-29", "03-01", "03-04",
    ]  # fmt: skip
    assert_column(
        series, "log_return", np.log([NAN, 1.04, 132.6 / 130, 125 / 132.6, 0.95, 228 / 190])
    )
    assert_column(series, "level", [100, 104, 106.08, 100, 95, 114])


def test_a_roll_is_bridged_where_the_newer_contract_lacks_the_last_day():
    closes = curve(c2024_04=[NAN, NAN, NAN, 180, NAN, 190, 228])
    series = build(closes, bridge_days=1)
    assert len(series.days) == 7
    assert list(series.rolls.index.strftime("%m-%d")) == ["01-31", "02-28"]
    np.testing.assert_array_equal(series.rolls["ratio"], [1.25, 1.5])
    # The older contract stands in on 29 February: 125 x 1.5 = 187.5, then 190.
    growth = [*GROWTH[:5], 190 / 187.5, 228 / 190]
    assert_column(series, "log_return", np.log(growth))
    # From the roll day to 1 March the two returns add up to the newer contract's own, 190 / 180.
    assert series.days["log_return"].iloc[4:6].sum() == pytest.approx(np.log(190 / 180), rel=1e-12)
    # Factor 1.25 x 1.5 = 1.875.
    assert_column(series, "level", [100, 104, 106.08, 96, 100, 190 / 1.875, 228 / 1.875])


def test_a_roll_is_bridged_where_the_older_contract_lacks_the_last_day():
    closes = curve(c2024_03=[NAN, 130, 132.6, 120, NAN, 125.5, 127])
    series = build(closes, bridge_days=1)
    assert "2024-02-29" not in series.days.index
    assert list(series.rolls.index.strftime("%m-%d")) == ["01-31", "02-28"]
    # Since the roll on 28 February the newer contract is held, at 180.
    assert_column(
        series, "log_return", np.log([NAN, 1.04, 132.6 / 130, 120 / 132.6, 190 / 180, 228 / 190])
    )
    assert_column(series, "level", [100, 104, 106.08, 96, 190 / 1.875, 228 / 1.875])


def test_a_gap_longer_than_the_bridge_is_refused():
    closes = curve(c2024_03=[NAN, 130, 132.6, NAN, NAN, 125.5, 127])
    with pytest.raises(DataError, match=r"from 2024-02-28 to 2024-02-29 \(2 trading day"):
        build(closes, bridge_days=1)
    # Bridged by two, no day is left in February on which both legs have a price.
    with pytest.raises(DataError, match="gap at the roll from 2024-03 to 2024-04"):
        build(closes, bridge_days=2)


# --- break days -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adjustment", "level"),
    [
        # 120 after 132.6 is no move; from 106.08 on it goes 125 / 120, 190 / 200, 228 / 190.
        ("ratio", [100, 104, 106.08, 106.08, 110.5, 104.975, 125.97]),
        ("difference", [100, 104, 106.6, 106.6, 111.6, 101.6, 139.6]),
        ("none", RAW),
    ],
    ids=ADJUSTMENTS,
)
def test_a_break_day_has_no_return_and_its_level_does_not_jump(adjustment, level):
    series = build(adjustment=adjustment, break_days=["2024-02-28"])
    assert_column(series, "is_break", [False, False, False, True, False, False, False])
    assert_column(series, "log_return", [*np.log(GROWTH[:3]), 0, *np.log(GROWTH[4:])])
    assert_column(series, "left_out", [0, 0, 0, np.log(GROWTH[3]), 0, 0, 0])
    assert_column(series, "level", level)
    assert series.days["adjusted_price"].iloc[-1] == 228


@pytest.mark.parametrize("adjustment", ["ratio", "difference"])
def test_a_break_on_the_first_day_of_a_contract_does_not_undo_the_roll(adjustment):
    plain = build(adjustment=adjustment).days
    broken = build(adjustment=adjustment, break_days=["2024-03-01"]).days
    assert list(broken["is_break"]) == [False] * 5 + [True, False]
    np.testing.assert_array_equal(broken["level"].iloc[:5], plain["level"].iloc[:5])
    assert broken["level"].iloc[5] == pytest.approx(broken["level"].iloc[4], rel=1e-14)
    assert broken["log_return"].iloc[5] == 0


def test_a_break_day_that_is_no_trading_day_is_refused():
    with pytest.raises(DataError, match="leg: break day 2024-02-05 is not a trading day"):
        build(break_days=["2024-02-28", "2024-02-05"])


@pytest.mark.parametrize("day", ["2023-12-29", "2024-01-30", "2024-03-05", "2030-01-01"])
def test_a_break_day_without_a_return_in_the_data_is_ignored(day):
    pd.testing.assert_frame_equal(build(break_days=[day]).days, build().days)


# --- an independent slow build --------------------------------------------------------------------


def slow_rolls(closes, months):
    """Last day of each month on which the contract held and the next one have a price."""
    rolls = {}
    for held, newer in pairwise(dict.fromkeys(months.values())):
        for day, month in months.items():
            if month == held and closes.loc[day, [held, newer]].notna().all():
                rolls[held, newer] = day
    return rolls


def slow_build(closes):
    """Walk over the days, then roll by roll back from the newest contract."""
    months = {}
    for day in closes.index:
        month = day.to_period("M") + 1
        if month in closes and np.isfinite(closes.loc[day, month]):
            months[day] = month
    rolls = slow_rolls(closes, months)
    factor = {months[max(months)]: 1.0}
    for (older, newer), day in reversed(rolls.items()):
        factor[older] = factor[newer] * closes.loc[day, newer] / closes.loc[day, older]
    adjusted = [closes.loc[day, month] * factor[month] for day, month in months.items()]
    return months, rolls, adjusted


def assert_equals_slow_build(closes):
    series = build(closes)
    months, rolls, adjusted = slow_build(closes)
    assert len(months) == len(series.days)
    assert len(rolls) == len(series.rolls)
    assert list(series.days.index) == list(months)
    assert list(series.days["contract_month"]) == list(months.values())
    assert list(series.rolls.index) == list(rolls.values())
    pairs = zip(series.rolls["from_month"], series.rolls["to_month"], strict=True)
    assert list(pairs) == list(rolls)
    np.testing.assert_allclose(series.days["adjusted_price"], adjusted, rtol=1e-12)
    expected = held_returns(closes, pd.Series(months))
    np.testing.assert_allclose(series.days["log_return"], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_curve_equals_a_loop_over_days(seed):
    assert_equals_slow_build(random_curve(seed))


@pytest.fixture(scope="module")
def real_contracts(real_data, compose):
    return read_raw(compose("data=original", f"data.root={real_data}").data).contracts


@pytest.mark.parametrize("leg", ["price_65_m1", "price_62_m1"])
def test_the_original_curves_equal_a_loop_over_days(real_contracts, leg):
    assert_equals_slow_build(real_contracts[leg])
    assert len(build(real_contracts[leg]).rolls) == 68


@pytest.mark.parametrize("leg", ["price_65_m1", "price_62_m1"])
def test_a_curve_of_years_is_built_in_a_blink(real_contracts, leg):
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        build(real_contracts[leg])
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.2


# --- prices at or below zero ----------------------------------------------------------------------

NEGATIVE = [60, -2, -4, 10, 15, 15.5, 17]  # of 2024-03; 2024-04 as in the table above
CHANGES = [NAN, 4, -4 - (-2), 10 - (-4), 15 - 10, 190 - 200, 228 - 190]
LEVELS = [100, 104, -4 + 106, 10 + 106, 15 + 106, 190 - 79, 228 - 79]
"""Rolled on 31 January at -2 - 104 = -106 and on 29 February at 200 - 15 = 185: -106 + 185 = 79."""


@pytest.mark.parametrize("adjustment", ["difference", "none"])
def test_negative_prices_have_changes_within_one_contract_and_no_returns(adjustment):
    futures = settings(adjustment)
    series = build_continuous(curve(c2024_03=NEGATIVE), futures, name="leg", positive=False)
    assert series.days["log_return"].isna().all()
    assert_column(series, "raw_price", [100, 104, -4, 10, 15, 190, 228])
    assert_column(series, "change", CHANGES)
    expected = LEVELS if adjustment == "difference" else [100, 104, -4, 10, 15, 190, 228]
    assert_column(series, "level", expected)
    assert series.rolls["ratio"].isna().all()
    assert list(series.rolls["difference"]) == [-106, 185]


def test_the_change_of_a_break_day_is_left_out():
    day = "2024-02-28"
    series = build(break_days=[day], adjustment="difference")
    assert_column(series, "change", [NAN, 4, 132.6 - 130, 0, 125 - 120, 190 - 200, 228 - 190])
    assert series.days["left_out_change"].tolist() == [0, 0, 0, 120 - 132.6, 0, 0, 0]


def test_a_bridged_roll_carries_the_change_over_by_the_difference_of_the_roll_day():
    # 2024-03 has no price on 31 January: rolled on the 30th at 130 - 100 = 30, so on 1 February it
    # has moved from 104 + 30.
    closes = curve(c2024_03=[130, NAN, 132.6, 120, 125, 125.5, 127])
    series = build(closes, bridge_days=1)
    assert_column(series, "change", [NAN, 4, 132.6 - 134, 120 - 132.6, 5, 190 - 200, 228 - 190])
