"""Roll rules, worked out by hand: which contract is held, and what it earns."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.contracts import build_continuous
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data.rolls import RollFacts, held_months
from ironore_lightning.errors import DataError
from ironore_lightning.prepare import data_report
from ironore_lightning.settings.data import DataSettings, FuturesSettings
from ironore_lightning.settings.samples import TargetSettings

NAN = np.nan
CSV = {
    "file": "curve.csv",
    "format": "csv",
    "date_column": "date",
    "date_format": "%Y-%m-%d",
    "delimiter": ",",
    "unit": "USD/t",
}
TARGET = TargetSettings(series="near", kind="log_return", horizon=1)
WEEK = ["2024-03-11", "2024-03-12", "2024-03-13", "2024-03-14", "2024-03-15", "2024-03-18"]


def futures(**changes):
    return FuturesSettings(**{"month_offset": 1, "adjustment": "ratio", "bridge_days": 0} | changes)


def market(folder, contracts, start=None):
    return DataSettings(
        name="own",
        root=str(folder),
        contracts=contracts,
        sources={},
        prices={},
        sample=None,
        table=None,
        holidays=None,
        futures={"month_offset": 1, "adjustment": "ratio", "bridge_days": 0},
        panel={
            "start": start and datetime.date.fromisoformat(start),
            "as_published": True,
            "break_days": (),
        },
    )


def table(days, columns):
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(days, name="date"), dtype=float)
    return frame.set_axis(pd.PeriodIndex(frame.columns, freq="M"), axis=1)


def held(days, closes=None, facts=None, **changes):
    closes = table(days, {"2024-03": 1.0}) if closes is None else closes
    months = held_months(pd.DatetimeIndex(days), closes, futures(**changes), facts or RollFacts())
    return [None if month is pd.NaT else f"{month}" for month in months]


def roll_days(entries):
    months = pd.PeriodIndex(list(entries.values()), freq="M")
    return RollFacts(roll_days=pd.Series(months, index=pd.DatetimeIndex(list(entries))))


FIRSTS = [f"2024-{month:02}-01" for month in range(1, 13)]


@pytest.mark.parametrize(
    ("listed", "offset", "months"),
    [
        # From January to December, the number of the month that is held.
        ([1, 5, 9], 1, [5, 5, 5, 5, 9, 9, 9, 9, 1, 1, 1, 1]),
        ([3, 5, 7, 9, 12], 1, [3, 3, 5, 5, 7, 7, 9, 9, 12, 12, 12, 3]),
        ([3, 6, 9, 12], 2, [3, 6, 6, 6, 9, 9, 9, 12, 12, 12, 3, 3]),
        (range(1, 13), 12, list(range(1, 13))),
    ],
    ids=["DCE 01 05 09", "copper HKNUZ", "quarterly, two months ahead", "a year ahead"],
)
def test_the_first_listed_contract_from_the_offset_on_is_held(listed, offset, months):
    again = held(FIRSTS, listed_months=list(listed), month_offset=offset)
    assert [int(month[5:]) for month in again] == months
    assert all(month > day[:7] for month, day in zip(again, FIRSTS, strict=True))


def test_a_contract_of_may_is_followed_by_that_of_september():
    days = ["2024-04-29", "2024-04-30", "2024-05-02", "2024-05-03"]
    closes = table(days, {"2024-05": [800, 808, 810, NAN], "2024-09": [780, 790, 797.9, 790]})
    series = build_continuous(closes, futures(listed_months=[1, 5, 9]), name="leg")
    assert list(series.days["contract_month"].astype(str)) == ["2024-05"] * 2 + ["2024-09"] * 2
    growth = [808 / 800, 797.9 / 790, 790 / 797.9]
    np.testing.assert_allclose(series.days["log_return"][1:], np.log(growth), rtol=1e-14)
    np.testing.assert_array_equal(series.days["change"][1:], [8, 797.9 - 790, 790 - 797.9])


# --- the last trading day -------------------------------------------------------------------------


def test_a_contract_is_held_until_its_last_price():
    closes = table(
        WEEK, {"2024-03": [1, 1, 1, NAN, NAN, NAN], "2024-04": 2, "2024-05": [NAN] * 5 + [3]}
    )
    rule = {"roll": "last_trading_day"}
    assert held(WEEK, closes, **rule) == ["2024-03"] * 3 + ["2024-04"] * 3
    # Nothing has a price after the data, and nothing is over then.
    assert held(["2024-03-19"], closes, **rule) == ["2024-04"]


def test_a_hole_in_the_held_contract_is_no_roll():
    closes = table(WEEK, {"2024-03": [1, NAN, 1, NAN, NAN, NAN], "2024-04": 2})
    for bridge_days in (0, 3):  # nobody knew on the 12th that it was not over
        with pytest.raises(DataError, match="2024-03 is held but has no price from 2024-03-12"):
            build_continuous(
                closes, futures(roll="last_trading_day", bridge_days=bridge_days), name="leg"
            )


def test_a_contract_is_rolled_days_before_its_last_trading_day():
    file = {"2024-03-15": "2024-03", "2024-04-15": "2024-04"}
    rule = {"roll": "last_trading_day", "roll_file": "f"}
    # On the close of Friday the 15th itself, of Wednesday the 13th two days before it, and of
    # Tuesday the 12th if the 13th is a holiday.
    assert held(WEEK, facts=roll_days(file), **rule) == ["2024-03"] * 5 + ["2024-04"]
    two = rule | {"days_before": 2}
    assert held(WEEK, facts=roll_days(file), **two) == ["2024-03"] * 3 + ["2024-04"] * 3
    holiday = RollFacts(None, roll_days(file).roll_days, [datetime.date(2024, 3, 13)])
    assert held(WEEK, facts=holiday, **two) == ["2024-03"] * 2 + ["2024-04"] * 4


def test_a_file_of_last_days_rules_only_the_time_that_it_tells_of():
    facts = roll_days({"2024-03-13": "2024-04", "2024-03-14": "2024-05"})
    rule = {"roll": "last_trading_day", "roll_file": "rolls.csv"}
    # The contract of March, which is not in it, has a last price on the 11th.
    closes = table(WEEK, {"2024-03": [1] + [NAN] * 5, "2024-04": 2, "2024-05": 3})
    expected = [None, "2024-04", "2024-04", "2024-05", None, None]
    assert held(WEEK, closes, facts, **rule) == expected
    with pytest.raises(DataError, match=r"held on 2024-03-15; add the next ones to rolls\.csv"):
        build_continuous(closes, futures(**rule), name="leg", facts=facts)


# --- volume and open interest ---------------------------------------------------------------------


def test_a_later_contract_takes_over_on_the_day_after_its_open_interest_is_the_highest():
    interest = table(
        WEEK,
        {
            "2024-03": [100, 80, 70, 200, NAN, NAN],
            "2024-04": [50, 80, 90, 10, 15, 15],
            "2024-05": [20, 81, NAN, 20, 5, 14],
        },
    )
    # 12 March: known is 100, 50, 20. On the 12th May has 81, April 80 and March 80: May is held
    # from the 13th on, although April has more later and March on the 14th: never back.
    rule = {"roll": "open_interest"}
    assert held(WEEK, facts=RollFacts(interest), **rule) == [None, "2024-03"] + ["2024-05"] * 4
    assert held(["2024-03-19"], facts=RollFacts(interest), **rule) == ["2024-05"]


def test_a_contract_that_has_its_last_price_is_over_however_much_of_it_was_open():
    prices = {"2024-03": [1, 1, 1, NAN, NAN, NAN], "2024-04": [2.0] * 6, "2024-05": [3.0] * 6}
    interest = table(WEEK, {"2024-03": [99, 99, 99, NAN, NAN, NAN], "2024-04": 50, "2024-05": 60})
    found = held(WEEK, table(WEEK, prices), RollFacts(interest), roll="open_interest")
    # March has its last price on the 13th; the nearest that is left follows.
    assert found == [None, "2024-03", "2024-03", "2024-04", "2024-04", "2024-04"]


def test_a_stray_price_on_a_known_holiday_makes_no_trading_day():
    held_prices = [10, 11, NAN, 13, 14, 15]  # none on Wednesday the 13th, a holiday
    closes = table(WEEK, {"2024-04": held_prices, "2024-09": [NAN, NAN, 7, NAN, NAN, NAN]})
    with pytest.raises(DataError, match="2024-04 is held but has no price from 2024-03-13"):
        build_continuous(closes, futures(), name="leg")
    facts = RollFacts(holidays=[datetime.date(2024, 3, 13)])
    series = build_continuous(closes, futures(), name="leg", facts=facts)
    assert list(series.days["raw_price"]) == [10, 11, 13, 14, 15]


def test_the_advice_for_a_leg_that_no_command_line_can_name_is_a_line_of_its_settings():
    days = pd.bdate_range("2024-01-02", "2024-04-30")
    closes = table(days, {"2024-03": 1.0, "2024-05": 2.0})
    with pytest.raises(DataError) as caught:
        build_continuous(closes, futures(), name="f.csv: my leg")
    assert "or set listed_months: [3, 5] below futures of that leg" in str(caught.value)


def test_a_blank_counts_as_the_last_known_volume_and_a_tie_is_no_crossover():
    volume = table(WEEK, {"2024-03": [9, NAN, NAN, 9, 9, 9], "2024-04": [8, 9, 9, NAN, 10, 1]})
    # 9 and 9 on the 12th to the 14th is a tie; 10 on the 15th rules Monday the 18th.
    expected = [None] + ["2024-03"] * 4 + ["2024-04"]
    assert held(WEEK, facts=RollFacts(volume), roll="volume") == expected


def test_a_series_that_is_rolled_by_volume_begins_on_its_second_day():
    closes = table(WEEK, {"2024-03": [10, 11, 12, 13, 14, 15], "2024-05": [20, 21, 22, 24, 25, 26]})
    volume = table(WEEK, {"2024-03": [9, 9, 1, 1, 1, 1], "2024-05": [5, 5, 5, 5, 5, 5]})
    series = build_continuous(closes, futures(roll="volume"), name="leg", facts=RollFacts(volume))
    assert list(series.days["raw_price"]) == [11, 12, 24, 25, 26]
    assert list(series.rolls.index.strftime("%Y-%m-%d")) == ["2024-03-13"]
    growth = [12 / 11, 24 / 22, 25 / 24, 26 / 25]
    np.testing.assert_allclose(series.days["log_return"][1:], np.log(growth), rtol=1e-14)


# --- a calendar -----------------------------------------------------------------------------------


def test_a_calendar_names_the_first_day_of_each_contract():
    # The 16th is a Saturday, so the contract of June is held from Monday on.
    facts = roll_days({"2024-03-12": "2024-05", "2024-03-16": "2024-06"})
    expected = [None] + ["2024-05"] * 4 + ["2024-06"]
    assert held(WEEK, facts=facts, roll="calendar", roll_file="f") == expected


# --- advice ---------------------------------------------------------------------------------------


def market_until(last_day, *, months=range(1, 13), ahead=13):
    """Two years of contracts, each with prices until `last_day` of its month."""
    days = pd.bdate_range("2022-01-03", "2023-12-29")
    contracts = pd.period_range("2022-01", "2025-01", freq="M")
    contracts = contracts[contracts.month.isin(months)]
    frame = pd.DataFrame(100.0, index=days.rename("date"), columns=contracts)
    ordinals = np.asarray(days.year * 12 + days.month)[:, None]
    distance = (contracts.year * 12 + contracts.month).to_numpy() - ordinals
    last = np.array([last_day(contract) for contract in contracts], dtype="datetime64[D]")
    return frame.where((distance <= ahead) & (days.to_numpy()[:, None] <= last))


def day_of_month(day, months_before=0):
    return lambda contract: (contract - months_before).start_time.date().replace(day=day)


ADVICE = {
    # The contract of M + 1 ends on the 22nd of M.
    "ends in the month before": (
        market_until(day_of_month(22, 1)), {}, "++data.contracts.leg.futures.month_offset=2",
    ),
    # The same, but only the nearest three contracts are listed.
    "only the nearest are listed": (
        market_until(day_of_month(22, 1), ahead=2), {"month_offset": 1},
        "++data.contracts.leg.futures.roll=last_trading_day",
    ),
    "DCE": (
        market_until(day_of_month(14), months=(1, 5, 9)), {},
        "++data.contracts.leg.futures.listed_months=[1,5,9]",
    ),
    "quarterly, ends in the month before": (
        market_until(day_of_month(22, 1), months=(3, 6, 9, 12)), {},
        "++data.contracts.leg.futures.listed_months=[3,6,9,12] "
        "++data.contracts.leg.futures.month_offset=2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("closes", "changes", "advice"), ADVICE.values(), ids=ADVICE)
def test_the_rule_that_fits_is_named_and_it_is_not_advised_to_bridge(closes, changes, advice):
    with pytest.raises(DataError) as caught:
        build_continuous(closes, futures(**changes), name="curve.csv: leg")
    assert str(caught.value).endswith(
        f"; complete the file or set {advice}, whose contract always has a price"
    )
    named = dict(item.rsplit(".", 1)[1].split("=") for item in advice.split())
    parsed = {key: pd.eval(value) if key != "roll" else value for key, value in named.items()}
    series = build_continuous(closes, futures(**changes | parsed), name="leg")
    assert len(series.days) == len(closes)
    assert len(series.bridged) == 0


# --- holes before the start -----------------------------------------------------------------------


def with_hole(first, last):
    closes = market_until(day_of_month(28))
    closes.loc[first:last, pd.Period("2022-04", "M")] = NAN
    return closes


def test_the_series_begins_after_the_last_hole_before_the_start():
    closes = with_hole("2022-03-08", "2022-03-09")
    with pytest.raises(DataError, match="2022-04 is held but has no price from 2022-03-08"):
        build_continuous(closes, futures(), name="leg")
    for start in ("2022-03-10", "2022-06-01"):
        day = datetime.date.fromisoformat(start)
        series = build_continuous(closes, futures(), name="leg", start=day)
        assert f"{series.days.index[0]:%Y-%m-%d}" == "2022-03-10"
        assert np.isnan(series.days["log_return"].iloc[0])
        assert series.days["level"].iloc[0] == series.days["raw_price"].iloc[0]
        assert series.remark == (
            "leg: contract 2022-04 is held but has no price from 2022-03-08 to 2022-03-09 (2 "
            "trading day(s), data.futures.bridge_days allows 0); it lies before data.panel.start, "
            "and the series begins after it"
        )


@pytest.mark.parametrize("start", ["2022-03-09", "2022-01-03"])
def test_a_hole_that_reaches_the_start_is_refused(start):
    closes = with_hole("2022-03-08", "2022-03-09")
    with pytest.raises(DataError, match="2022-04 is held but has no price from 2022-03-08"):
        build_continuous(closes, futures(), name="leg", start=datetime.date.fromisoformat(start))


def test_days_without_any_trading_before_the_start_are_a_hole():
    closes = market_until(day_of_month(28)).drop(pd.bdate_range("2022-03-07", "2022-03-25"))
    day = datetime.date(2022, 4, 1)
    series = build_continuous(closes, futures(), name="leg", start=day)
    assert f"{series.days.index[0]:%Y-%m-%d}" == "2022-03-28"
    assert "no trading day between 2022-03-04 and 2022-03-28; it lies before" in series.remark


def test_an_early_time_without_some_contracts_can_be_left_out():
    closes = market_until(day_of_month(28))
    closes.loc[:"2022-06-30", pd.Period("2022-06", "M")] = NAN
    advice = r"2022-05-02 to 2022-05-31 .* or begin after it with data\.panel\.start=2022-06-01$"
    with pytest.raises(DataError, match=advice):
        build_continuous(closes, futures(), name="leg")
    start = datetime.date(2022, 6, 1)
    assert len(build_continuous(closes, futures(), name="leg", start=start).days) == 413


def test_two_legs_of_one_file_hold_two_contracts(tmp_path):
    """January holds February or March; from 1 February on it is March or April."""
    (tmp_path / "curve.csv").write_text(
        "date,2024-02,2024-03,2024-04\n"
        "2024-01-30,100,110,120\n2024-01-31,101,112,123\n2024-02-01,,114,126\n"
    )
    contracts = {
        "near": CSV | {"futures": {}},
        "far": CSV | {"futures": {"month_offset": 2, "adjustment": "difference"}},
    }
    data = market(tmp_path, contracts)
    panel = build_panel(read_raw(data), data, TARGET)
    returns = np.log([[101 / 100, 112 / 110], [114 / 112, 126 / 123]])
    np.testing.assert_allclose(panel.log_returns.iloc[1:], returns, rtol=1e-14)
    np.testing.assert_array_equal(panel.changes.iloc[1:], [[1, 2], [2, 3]])
    # Rolled on the 31st at 112 / 101 and at 123 - 112 = 11.
    np.testing.assert_allclose(panel.values["near"], [100, 101, 114 / (112 / 101)], rtol=1e-14)
    np.testing.assert_array_equal(panel.values["far"], [110, 112, 126 - 11])


# --- the report -----------------------------------------------------------------------------------


def test_the_report_tells_of_bridges_of_what_is_left_out_and_of_no_ratio_below_zero(tmp_path):
    """The contract of February has no price on the 17th and 18th; -1 on the 10th is no mistake."""
    days = pd.bdate_range("2024-01-08", "2024-02-06")
    prices = pd.DataFrame({"2024-02": 5.0, "2024-03": 6.0}, index=days.rename("date"))
    prices.loc["2024-01-10", "2024-02"] = -1
    prices.loc["2024-01-09":"2024-01-09", "2024-02"] = NAN
    prices.loc["2024-01-17":"2024-01-18", "2024-02"] = NAN
    prices.to_csv(tmp_path / "curve.csv")
    negative = {"positive": False, "futures": {"adjustment": "difference", "bridge_days": 2}}
    data = market(tmp_path, {"near": CSV | negative})
    raw = read_raw(data)
    panel = build_panel(raw, data, TARGET)
    features = panel.values
    report = data_report(raw, panel, features, pd.DataFrame({"value": features["near"]}))
    assert report["bridged_days"] == {"near": 3}
    # From Tuesday the 16th to Friday the 19th.
    assert report["longest_bridge_days"] == {"near": 3}
    (roll,) = report["rolls"]["near"]
    assert (roll["roll_day"], roll["ratio"], roll["difference"]) == ("2024-01-31", None, 1.0)
    json.dumps(report, allow_nan=False)
    late = market(tmp_path, {"near": CSV | negative | {"positive": True}}, start="2024-01-15")
    (remark, bridged) = build_panel(read_raw(late), late, TARGET).warnings(days)
    assert "contract 2024-02, 2024-01-10: -1 is not above zero" in remark
    assert bridged.startswith("near: 2 trading days without a price")
