"""Joining legs and sources: as-of their publication, worked out by hand and day by day."""

import datetime
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.settings.data import DataSettings, FuturesSettings, PanelSettings
from ironore_lightning.settings.samples import FeaturesSettings, TargetSettings
from ironore_lightning.trading_calendar.holidays import Holidays

NAN = np.nan
FUTURES = FuturesSettings(month_offset=1, adjustment="ratio", bridge_days=0)
FILE = {"file": "f", "format": "csv", "date_column": "d", "date_format": "%d", "delimiter": ","}
# Monday 8 January 2024 to Wednesday the 17th.
DAYS = pd.bdate_range("2024-01-08", "2024-01-17", name="date")
PRICES = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0]


def curve(prices=PRICES, days=DAYS):
    columns = pd.PeriodIndex(["2024-02"], freq="M")
    return pd.DataFrame(np.array(prices)[:, None], index=days, columns=columns)


def source(values, name="driver"):
    dates = pd.DatetimeIndex([f"2024-01-{day:02}" for day in values], name="date")
    return pd.DataFrame({name: list(values.values())}, index=dates, dtype=float)


def target_of(series, kind="log_return"):
    return TargetSettings(series=series, kind=kind, horizon=1)


def panel_of(
    sources=None,
    *,
    legs=None,
    lags=None,
    as_published=True,
    start=None,
    break_days=None,
    target=None,
    **leg_settings,
):
    sources = sources or {}
    legs = legs or {"leg": curve()}
    data = DataSettings(
        name="hand",
        root=".",
        contracts={name: {**FILE, "unit": "USD/t", **leg_settings} for name in legs},
        sources={
            name: {
                **FILE,
                "frequency": "daily",
                "publication_lag_days": (lags or {}).get(name, 0),
                "columns": {column: {"unit": "USD/t", "positive": False} for column in frame},
            }
            for name, frame in sources.items()
        },
        prices={},
        sample=None,
        table=None,
        holidays=None,
        futures=FUTURES,
        panel=PanelSettings(start=start, as_published=as_published, break_days=break_days or ()),
    )
    raw = RawData(contracts=legs, sources=sources, digests={})
    target = target_of(target or next(iter(legs)))
    return build_panel(raw, data, target)


def assert_joined(panel, values, staleness, column="driver"):
    assert len(panel.days) == len(values) == len(staleness)
    np.testing.assert_array_equal(panel.values[column], values)
    np.testing.assert_array_equal(panel.staleness[column], staleness)


def test_a_leg_whose_prices_may_be_negative_has_changes_and_no_per_cent_return():
    legs = {
        "a": curve([100, 102, -37, -30, 1, 2, 3, 4]),
        "b": curve(PRICES[1:], DAYS[[0, *range(2, 8)]]),
    }
    negative = {"positive": False, "futures": {"adjustment": "difference"}}
    panel = panel_of(legs=legs, **negative)
    # Tuesday is no day of b, so Wednesday's change of a is -37 - 100, over both days.
    np.testing.assert_array_equal(panel.changes["a"], [NAN, -137, 7, 31, 1, 1, 1])
    assert panel.log_returns["a"].isna().all()
    changes = FeaturesSettings(names=[{"name": "a", "transform": "change"}]).names
    np.testing.assert_array_equal(
        build_features(panel, changes)["a change"], [-137, 7, 31, 1, 1, 1]
    )
    returns = FeaturesSettings(names=[{"name": "a", "transform": "log_return"}]).names
    with pytest.raises(ConfigError, match=r"a has no per-cent return.*take transform: change"):
        build_features(panel, returns)


# --- sources --------------------------------------------------------------------------------------


def test_a_blank_is_filled_with_the_value_before_and_counted_as_stale():
    daily = source({8: 5, 9: NAN, 10: NAN, 11: 6, 12: 6, 15: NAN, 16: 7, 17: 8})
    panel = panel_of({"s": daily})
    assert list(panel.days) == list(DAYS)
    # An equal value on the 12th is a new one.
    assert_joined(panel, [5, 5, 5, 6, 6, 6, 7, 8], [0, 1, 2, 0, 0, 1, 0, 0])


def test_a_column_is_empty_before_its_first_value():
    assert_joined(
        panel_of({"s": source({8: NAN, 10: 1, 16: 2})}),
        [NAN, NAN, 1, 1, 1, 1, 2, 2],
        [NAN, NAN, 0, 1, 2, 3, 0, 1],
    )


def test_a_value_from_before_the_first_row_is_carried_in():
    assert_joined(
        panel_of({"s": source({3: 1, 5: 2, 11: 3})}),
        [2, 2, 2, 3, 3, 3, 3, 3],
        [0, 1, 2, 0, 1, 2, 3, 4],
    )


def test_weekly_values_appear_on_their_publication_day():
    # Sundays 7 and 14 January, out on the Tuesdays 9 and 16.
    weekly = source({7: 400, 14: 410})
    assert_joined(
        panel_of({"s": weekly}, lags={"s": 2}),
        [NAN, 400, 400, 400, 400, 400, 410, 410],
        [NAN, 0, 1, 2, 3, 4, 0, 1],
    )


def test_what_is_published_on_a_weekend_is_read_on_monday():
    # Thursday the 11th and three days: Sunday the 14th. Staleness counts trading days from Monday.
    assert_joined(
        panel_of({"s": source({4: 1, 11: 2})}, lags={"s": 3}),
        [1, 1, 1, 1, 1, 2, 2, 2],
        [0, 1, 2, 3, 4, 0, 1, 2],
    )


def test_the_newest_of_two_values_out_on_one_day_counts():
    # Saturday the 13th, Sunday the 14th and Monday the 15th all reach their reader on Monday.
    assert_joined(
        panel_of({"s": source({8: 1, 13: 2, 14: 3, 15: 4})}),
        [1, 1, 1, 1, 1, 4, 4, 4],
        [0, 1, 2, 3, 4, 0, 1, 2],
    )


def test_lags_belong_to_their_source():
    panel = panel_of(
        {"now": source({8: 1, 9: 2}, "now"), "later": source({8: 1, 9: 2}, "later")},
        lags={"later": 3},
    )
    assert list(panel.values) == ["leg", "now", "later"]
    assert_joined(panel, [1, 2, 2, 2, 2, 2, 2, 2], [0, 0, 1, 2, 3, 4, 5, 6], "now")
    # Out on Thursday the 11th and Friday the 12th.
    assert_joined(panel, [NAN, NAN, NAN, 1, 2, 2, 2, 2], [NAN, NAN, NAN, 0, 0, 1, 2, 3], "later")


def test_not_as_published_joins_by_the_date_in_the_file():
    weekly = source({7: 400, 14: 410})
    assert_joined(
        panel_of({"s": weekly}, lags={"s": 2}, as_published=False),
        [400, 400, 400, 400, 400, 410, 410, 410],
        [0, 1, 2, 3, 4, 0, 1, 2],
    )


def test_a_column_that_is_not_out_by_the_last_day_is_refused():
    sources = {"s": source({8: 1}), "late": source({8: NAN, 16: 2}, "slow stock")}
    with pytest.raises(DataError, match=r"f: no value of 'slow stock' is out by .* 2024-01-17"):
        panel_of(sources, lags={"late": 3})


# --- legs -----------------------------------------------------------------------------------------


def test_rows_are_the_days_that_all_legs_share():
    other = curve(PRICES[:2] + PRICES[3:], DAYS.delete(2))
    panel = panel_of(legs={"a": curve(), "b": other})
    assert list(panel.days) == list(DAYS.delete(2))
    assert list(panel.values) == ["a", "b"]
    assert (panel.staleness == 0).all().all()


def test_returns_over_a_day_that_only_one_leg_has_are_summed():
    other = curve(PRICES[:2] + PRICES[4:], DAYS.delete([2, 3]))
    panel = panel_of(legs={"a": curve(), "b": other})
    assert len(panel.days) == 6
    growth = [101 / 100, 104 / 101, 105 / 104, 106 / 105, 107 / 106]
    for leg in ("a", "b"):
        returns = panel.log_returns[leg]
        assert np.isnan(returns.iloc[0])
        np.testing.assert_allclose(returns.iloc[1:], np.log(growth), rtol=1e-12)
        # The level tells the same.
        np.testing.assert_allclose(
            np.log(panel.values[leg]).diff().iloc[1:], returns.iloc[1:], rtol=1e-12
        )


def test_a_leg_that_begins_later_shortens_the_panel():
    panel = panel_of(legs={"a": curve(), "b": curve(PRICES[3:], DAYS[3:])})
    assert list(panel.days) == list(DAYS[3:])
    expected = np.log([NAN, 104 / 103, 105 / 104, 106 / 105, 107 / 106])
    np.testing.assert_allclose(panel.log_returns["a"], expected, rtol=1e-12)


def test_legs_without_a_common_day_are_refused():
    legs = {"a": curve(PRICES[:4], DAYS[:4]), "b": curve(PRICES[4:], DAYS[4:])}
    with pytest.raises(DataError, match="price legs a, b have no trading day in common"):
        panel_of(legs=legs)


def test_a_break_counts_even_on_a_day_that_only_its_leg_has():
    other = curve(PRICES[:2] + PRICES[3:], DAYS.delete(2))
    day = datetime.date(2024, 1, 10)
    panel = panel_of(legs={"a": curve(), "b": other}, break_days=[{"leg": "a", "day": day}])
    assert list(panel.breaks["a"]) == [False, False, True, False, False, False, False]
    assert not panel.breaks["b"].any()
    # 101 to 102 is the break, 102 to 103 on the 11th is a move.
    assert panel.log_returns["a"].iloc[2] == pytest.approx(np.log(103 / 102), rel=1e-12)


# --- mistakes -------------------------------------------------------------------------------------


def test_a_file_may_run_on_for_a_month():
    ahead = source({8: 1, 9: 2})
    ahead.index = pd.DatetimeIndex(["2024-01-08", "2024-02-17"], name="date")
    assert_joined(panel_of({"s": ahead}), [1] * 8, range(8))


def test_an_unknown_column_is_named_with_the_nearest_known_one():
    panel = panel_of({"s": source({8: 1}, "lump premium")})
    with pytest.raises(ConfigError) as caught:
        panel.require_column("lump premum", key="features.names")
    assert str(caught.value) == (
        "features.names: there is no column 'lump premum'; did you mean 'lump premium'?; "
        "columns are: leg, lump premium"
    )
    panel.require_column("leg", key="target.series")


# --- one prepared table ---------------------------------------------------------------------------


TABLE = DataSettings(
    name="table",
    root=".",
    contracts={},
    sources={},
    prices={},
    sample=None,
    table=FILE,
    holidays=None,
    futures=FUTURES,
    panel=PanelSettings(start=None, as_published=True, break_days=()),
)


def table_panel(columns, days, target):
    """The panel of a table, whose file is called f."""
    table = pd.DataFrame(columns, index=pd.DatetimeIndex(days, name="date"), dtype=float)
    return build_panel(
        RawData(contracts={}, sources={"table": table}, digests={}),
        TABLE,
        target,
    )


def test_a_table_has_its_own_days_and_no_legs():
    panel = table_panel({"x": [1, 2, 3], "y": [NAN, 5, 6]}, DAYS[:3], target_of("x"))
    assert list(panel.days) == list(DAYS[:3])
    assert_joined(panel, [1, 2, 3], [0, 0, 0], "x")
    assert_joined(panel, [NAN, 5, 6], [NAN, 0, 0], "y")
    assert panel.log_returns.shape == panel.breaks.shape == (3, 0)


# --- which rows are trading days ------------------------------------------------------------------

# Friday 5 to Monday 15 January 2024, every day of the calendar.
EVERY_DAY = pd.date_range("2024-01-05", "2024-01-15")


def test_blank_weekends_are_no_trading_days():
    price = [100, NAN, NAN, 110, 121, 121, 121, 110, NAN, NAN, 99]
    driver = [1, 2, 3, NAN, 5, 6, 7, 8, 9, 10, 11]  # one that is out at weekends as well
    panel = table_panel({"price": price, "driver": driver}, EVERY_DAY, target_of("price"))
    outcome = build_target(panel, target_of("price"))
    assert list(outcome.index.strftime("%d")) == ["05", "08", "09", "10", "11", "12", "15"]
    # Friday's return ends on Monday.
    assert list(outcome["date"].dropna().dt.strftime("%d")) == ["08", "09", "10", "11", "12", "15"]
    growth = [1.1, 1.1, 1, 1, 1 / 1.1, 0.9, NAN]
    np.testing.assert_allclose(outcome["value"], 100 * np.log(growth), rtol=0, atol=1e-12)
    # Sunday's driver is read on Monday; its own blank is filled.
    assert_joined(panel, [1, 3, 5, 6, 7, 8, 11], [0] * 7)
    feature = [{"name": "price", "transform": "log_return"}]
    own = build_features(panel, FeaturesSettings(names=feature).names)["price log_return"]
    np.testing.assert_allclose(own, 100 * np.log(growth[:-1]), rtol=0, atol=1e-12)


def test_a_given_target_keeps_the_days_that_do_not_know_it_yet():
    # Blank on Wednesday the 10th, as where a specification changes, and in the newest row.
    known = [1, NAN, NAN, 2, 3, NAN, 5, 6, NAN, NAN, NAN]
    driver = [1, NAN, NAN, 4, 5, 6, 7, 8, NAN, 10, 11]
    target = target_of("Y", "given")
    panel = table_panel({"Y": known, "driver": driver}, EVERY_DAY, target)
    assert list(panel.days.strftime("%d")) == ["05", "08", "09", "10", "11", "12", "15"]
    value = build_target(panel, target)["value"]
    np.testing.assert_array_equal(value, [1, 2, 3, NAN, 5, 6, NAN])


def test_weekdays_of_a_given_target_are_those_that_have_had_one_by_then():
    days = pd.date_range("2024-01-05", "2024-02-15")
    is_weekend = days.day_of_week > 4
    later = days >= "2024-01-22"  # from then on there is a target on Saturdays and Sundays, too
    known = np.where(is_weekend & ~later, NAN, 1.0 + np.arange(len(days)))
    target = target_of("Y", "given")
    columns = {"Y": known, "driver": np.arange(len(days))}
    whole = table_panel(columns, days, target)
    cut = {name: values[: 2 * 7] for name, values in columns.items()}
    past = table_panel(cut, days[: 2 * 7], target)
    assert list(past.days) == [day for day in days[: 2 * 7] if day.day_of_week < 5]
    assert list(whole.days[: len(past.days)]) == list(past.days)


def test_a_price_that_loses_its_decimal_point_is_refused():
    price = [100.0] * 5 + [1.5] * 3
    with pytest.raises(DataError, match=r"'price', 2024-01-15: the value is 1\.5 and the one befo"):
        table_panel({"price": price}, DAYS, target_of("price"))


def test_a_driver_as_target_has_the_days_on_which_it_is_new():
    index = source({8: 10, 9: NAN, 10: 20, 11: 20, 12: 20, 15: 10, 16: 10, 17: 10}, "index")
    panel = panel_of({"s": index}, target="index")
    assert list(panel.days) == list(DAYS.delete(1))
    percent = 100 * np.log(2)
    outcome = build_target(panel, target_of("index"))["value"]
    np.testing.assert_allclose(outcome, [percent, 0, 0, -percent, 0, 0, NAN], rtol=1e-12)
    # The leg's return from the 8th to the 10th is that of both days.
    np.testing.assert_allclose(panel.log_returns["leg"].iloc[1], np.log(102 / 100), rtol=1e-12)


def test_an_unknown_target_is_named_before_its_days_are_judged():
    with pytest.raises(ConfigError, match=r"target.series: .* 'prise'; did you mean 'price'"):
        table_panel({"price": [1.0] * 11}, EVERY_DAY, target_of("prise"))


NO_TRADING_DAYS = {
    "quarters": (
        pd.date_range("2008-01-31", periods=90, freq="QE"),
        "f: rows are 92 days apart (median from 2008-06-30 to 2013-09-30), but all must be trading "
        "days, weeks or months; no other is supported",
    ),
    "fortnights": (
        pd.date_range("2008-01-04", periods=90, freq="14D"),
        "f: rows are 14 days apart",
    ),
    "every other day": (
        pd.bdate_range("2024-01-08", periods=90)[::2],
        "f: rows are 2 days apart",
    ),
    "weeks, and days later": (
        pd.date_range("2020-01-03", "2020-12-25", freq="7D").union(
            pd.bdate_range("2020-12-28", periods=600)
        ),
        "f: rows are 7 days apart (median from 2020-01-03 to 2020-05-29)",
    ),
    "weeks, and months before": (
        pd.date_range("2010-01-31", periods=40, freq="ME").union(
            pd.date_range("2013-05-03", periods=300, freq="7D")
        ),
        "f: rows are 31 days apart (median from 2010-01-31 to 2011-10-31), but all must be trading "
        "days, weeks or months; leave out those that are spaced otherwise",
    ),
    "weeks with a mistyped year": (
        pd.date_range("2024-01-05", periods=90, freq="7D").insert(90, pd.Timestamp("2062-01-03")),
        "f: there is no week between 2025-09-19 and 2062-01-03 (13255 days, 28 are allowed)",
    ),
    "weeks without a year": (
        pd.date_range("2020-01-03", periods=300, freq="7D").delete(range(100, 152)),
        "f: there is no week between 2021-11-26 and 2022-12-02 (371 days, 28 are allowed); rows "
        "are missing, or a date is wrong",
    ),
    "months with a mistyped year": (
        pd.date_range("2008-01-31", periods=90, freq="ME").insert(90, pd.Timestamp("2051-07-31")),
        "f: there is no month between 2015-06-30 and 2051-07-31",
    ),
    "days with a mistyped year": (
        pd.bdate_range("2024-01-08", periods=90).insert(90, pd.Timestamp("2062-01-03")),
        "f: there is no trading day between 2024-05-10 and 2062-01-03",
    ),
    "days without a year": (
        pd.bdate_range("2020-01-01", "2024-01-01").drop(pd.bdate_range("2022-01-01", "2022-12-31")),
        "f: there is no trading day between 2021-12-31 and 2023-01-02 (367 days, 14 are allowed)",
    ),
    "weekends that repeat Friday's price": (
        pd.date_range("2024-01-08", periods=90),
        "f: 'price' never moves on a Saturday; blank it on days on which nobody trades, or leave "
        "these rows out",
    ),
}


@pytest.mark.parametrize(("days", "said"), NO_TRADING_DAYS.values(), ids=NO_TRADING_DAYS)
def test_rows_that_are_no_trading_days_are_refused_in_a_line(days, said):
    with pytest.raises(DataError) as caught:
        table_panel({"price": np.minimum(days.day_of_week, 4)}, days, target_of("price"))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_price_on_a_holiday_is_refused_by_name():
    days = pd.bdate_range("2024-01-08", periods=10)
    holidays = Holidays.of_years([days[3].date()])
    table = {"table": pd.DataFrame({"price": 1.0}, days)}
    raw = RawData({}, table, {}, holidays)
    with pytest.raises(DataError) as caught:
        build_panel(
            raw,
            TABLE.model_copy(update={"holidays": "holidays.txt"}),
            target_of("price"),
        )
    assert str(caught.value) == (
        "holidays.txt: price has a price on the holiday 2024-01-11; is it a file of another market?"
    )


def test_a_price_on_a_holiday_of_an_exchange_is_counted_in_a_warning():
    # Friday 29 March 2024 is a holiday of XSES; its derivatives may trade.
    days = pd.bdate_range("2024-03-18", "2024-04-05")
    holidays = Holidays((datetime.date(2024, 3, 29),), datetime.date(2024, 4, 8))
    raw = RawData({}, {"table": pd.DataFrame({"price": 1.0}, days)}, {}, holidays)
    data = TABLE.model_copy(update={"exchange": "XSES"})
    said = "price has a price on 1 day(s) without a session of XSES, the last on 2024-03-29"
    assert build_panel(raw, data, target_of("price")).doubts == [said]
    ended = replace(raw, holidays=replace(holidays, until=datetime.date(2024, 4, 5)))
    assert build_panel(ended, data, target_of("price")).doubts == [
        said,
        "exchange_calendars knows XSES until 2024-04-05 only; every later weekday counts as a "
        "trading day",
    ]


def test_known_holidays_explain_a_long_closure():
    days = pd.bdate_range("2023-01-02", periods=60)
    closed = days[20:34]  # 30 January to 16 February: 18 days without a row
    rows = pd.DataFrame({"price": 1.0}, days.drop(closed))
    all_but_one, every = (Holidays.of_years(list(part.date)) for part in (closed[1:], closed))
    data = TABLE.model_copy(update={"holidays": "holidays.txt"})
    assert (
        len(build_panel(RawData({}, {"t": rows}, {}, every), data, target_of("price")).days) == 46
    )
    with pytest.raises(DataError, match=r"no trading day between 2023-01-27 and 2023-02-17 \(21 d"):
        build_panel(RawData({}, {"t": rows}, {}, all_but_one), data, target_of("price"))


RHYTHMS = {
    "days": (pd.bdate_range("2020-01-01", periods=300), "daily rows, 252 a year"),
    "six days a week": (
        pd.bdate_range("2020-01-01", periods=300, freq="C", weekmask="Mon Tue Wed Thu Fri Sat"),
        "daily rows, six a week, 302 a year",
    ),
    "every day": (pd.date_range("2020-01-01", periods=300), "daily rows, seven a week, 365 a year"),
    "weeks": (pd.date_range("2008-01-04", periods=900, freq="7D"), "weekly rows, 52 a year"),
    "three weeks": (pd.date_range("2024-01-08", periods=3, freq="7D"), "weekly rows, 52 a year"),
    "weeks, three of them without trading": (
        pd.date_range("2008-01-04", periods=300, freq="7D").delete([100, 101, 102]),
        "weekly rows, 52 a year",
    ),
    "month ends": (pd.date_range("2008-01-31", periods=90, freq="ME"), "monthly rows, 12 a year"),
    "last trading days": (
        pd.date_range("2008-01-31", periods=90, freq="BME").delete(50),
        "monthly rows, 12 a year",
    ),
}


@pytest.mark.parametrize(("days", "said"), RHYTHMS.values(), ids=RHYTHMS)
def test_the_rhythm_is_found_from_the_dates(days, said):
    panel = table_panel({"price": np.arange(1.0, 1 + len(days))}, days, target_of("price"))
    assert panel.rhythm.sentence == said
    assert list(panel.days) == list(days)


def test_weekly_contracts_make_weekly_rows():
    days = pd.date_range("2024-01-01", "2024-01-31", freq="7D")
    panel = panel_of(legs={"leg": curve([100.0] * len(days), days)})
    assert panel.rhythm.noun == "week"


WEEKS = pd.date_range("2024-01-05", "2024-02-02", freq="7D")


@pytest.mark.parametrize("kind", ["log_return", "given"])
def test_a_weekly_target_among_daily_drivers_has_weekly_rows(kind):
    days = pd.bdate_range("2024-01-05", "2024-02-02")
    price = pd.Series(np.arange(1.0, 6.0), WEEKS).reindex(days)
    panel = table_panel({"price": price, "driver": np.arange(21.0)}, days, target_of("price", kind))
    assert list(panel.days) == list(WEEKS)
    assert panel.rhythm.noun == "week"
    assert_joined(panel, [0, 5, 10, 15, 20], [0] * 5)


MARKETS = {
    "Sunday to Thursday": pd.bdate_range(
        "2023-01-01", periods=400, freq="C", weekmask="Sun Mon Tue Wed Thu"
    ),
    "with a Saturday a year": pd.bdate_range("2023-01-02", periods=400).union(
        pd.DatetimeIndex(["2023-11-11", "2024-03-02"])
    ),
    "with a closure of ten days": pd.bdate_range("2020-01-02", periods=40).drop(
        pd.bdate_range("2020-01-24", "2020-01-31")
    ),
}


@pytest.mark.parametrize("days", MARKETS.values(), ids=MARKETS)
def test_days_of_five_a_week_are_trading_days(days):
    panel = table_panel({"price": [1.0] * len(days)}, days, target_of("price"))
    assert list(panel.days) == list(days)


# --- the original files ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(real_data, compose):
    """Raw data, settings and panel of both members, by name."""
    found = {}
    for member in ("original", "original_replica"):
        config = compose(f"data={member}", f"data.root={real_data}")
        raw = read_raw(config.data)
        panel = build_panel(raw, config.data, config.target)
        found[member] = (raw, config, panel)
    return found


@pytest.mark.parametrize("member", ["original", "original_replica"])
def test_the_original_files_give_868_rows_with_a_target(real, member):
    _, config, panel = real[member]
    features = build_features(panel, config.features.names)
    target = build_target(panel, config.target).loc[features.index]
    assert features.shape == (869, 12)
    assert int(target["value"].notna().sum()) == 868
    assert features.notna().to_numpy().all()
    assert features.index[0] == pd.Timestamp("2022-03-30")
    assert features.index[-1] == pd.Timestamp("2025-08-12")
    assert target["value"].iloc[:-1].notna().all()
    assert target["date"].iloc[-2] == pd.Timestamp("2025-08-12")


@pytest.mark.parametrize("member", ["original", "original_replica"])
def test_every_original_source_equals_a_fill_over_calendar_days(real, member):
    raw, config, panel = real[member]
    checked = 0
    for name, frame in raw.sources.items():
        lag = (
            config.data.sources[name].publication_lag_days if config.data.panel.as_published else 0
        )
        calendar = pd.date_range(frame.index[0], panel.days[-1])
        daily = frame.reindex(calendar).ffill()
        expected = daily.reindex(panel.days - pd.Timedelta(days=lag))
        assert list(expected) == list(frame)
        for column in expected:
            np.testing.assert_array_equal(panel.values[column], expected[column].to_numpy())
            checked += 1
    assert checked == 10


def test_the_replica_differs_only_in_weekly_columns_that_come_earlier(real):
    (_, _, published), (_, _, replica) = real["original"], real["original_replica"]
    weekly = {"IOCJ Inventory": 3, "IOCJ Weekly shipment": 2}
    same = [column for column in published.values if column not in weekly]
    assert len(same) == 10
    pd.testing.assert_frame_equal(published.values[same], replica.values[same], check_exact=True)
    pd.testing.assert_frame_equal(published.log_returns, replica.log_returns, check_exact=True)
    for column, lag in weekly.items():
        values = published.values[column].loc["2022-03-30":]
        early = replica.values[column].loc["2022-03-30":]
        assert (values != early).mean() > 0.15
        # What the replica reads on a day is published `lag` calendar days later at the latest, so
        # on one of the next `lag` rows.
        later = [(values.shift(-rows) == early).to_numpy() for rows in range(lag + 1)]
        assert len(later) == lag + 1
        assert np.any(later, axis=0)[:-lag].all()
