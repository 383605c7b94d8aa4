"""Features and target from a hand-made panel, every number worked out."""

import datetime
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.contracts import build_continuous
from ironore_lightning.data.features import build_features, build_table, build_target
from ironore_lightning.data.panel import Panel
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.settings.data import FuturesSettings
from ironore_lightning.settings.samples import FeatureSettings, TargetSettings

NAN = np.nan
DAYS = pd.bdate_range("2024-01-01", periods=6, name="date")
PRICES = [100.0, 110.0, 99.0, 99.0, 132.0, 66.0]
GROWTH = [NAN, 1.1, 0.9, 1.0, 132 / 99, 0.5]


def panel_of(
    columns=None,
    *,
    legs=None,
    returns=None,
    breaks=None,
    staleness=None,
    start=None,
):
    """A panel of `legs` (levels) and other `columns`; a leg's return is stated on its own."""
    legs = {"leg": PRICES} if legs is None else legs
    values = pd.DataFrame({**legs, **(columns or {})}, index=DAYS, dtype=float)
    no_return = dict.fromkeys(legs, np.log(GROWTH))
    return Panel(
        values=values,
        staleness=(0.0 * values).assign(**(staleness or {})),
        log_returns=pd.DataFrame({**no_return, **(returns or {})}, index=DAYS),
        breaks=pd.DataFrame({**dict.fromkeys(legs, False), **(breaks or {})}, index=DAYS),
        futures={},
        start=start,
    )


def feature(name="x", transform="level", window=None):
    return FeatureSettings(name=name, transform=transform, window=window)


def column(panel, *arguments, **changes):
    """The only column of a one-feature table, over all rows with a value."""
    table = build_features(panel, [feature(*arguments, **changes)])
    assert table.shape[1] == 1
    return table.iloc[:, 0]


def target(panel, series="leg", kind="log_return", horizon=1):
    return build_target(panel, TargetSettings(series=series, kind=kind, horizon=horizon))


# --- transforms -----------------------------------------------------------------------------------


def test_a_level_is_the_value_itself():
    values = column(panel_of({"x": [3, -1, 0, 0, 5, 4]}))
    np.testing.assert_array_equal(values, [3, -1, 0, 0, 5, 4])


def test_a_change_is_the_difference_to_the_row_before():
    values = column(panel_of({"x": [3, -1, 0, 0, 5, 4]}), transform="change")
    assert list(values.index) == list(DAYS[1:])
    np.testing.assert_array_equal(values, [-4, 1, 0, 5, -1])


def test_a_log_return_of_a_driver_is_in_per_cent_of_its_value():
    values = column(panel_of({"x": [50, 100, 100, 25, 50, 50]}), transform="log_return")
    percent = 100 * np.log(2)
    assert len(values) == 5
    np.testing.assert_allclose(values, [percent, 0, -2 * percent, percent, 0], rtol=1e-12)


def test_a_log_return_of_a_price_leg_is_that_of_the_contract_held():
    # Deliberately not the level's own.
    held = {"leg": [NAN, 0.01, -0.02, 0.0, 0.03, 0.04]}
    values = column(panel_of(returns=held), "leg", "log_return")
    np.testing.assert_array_equal(values, [1, -2, 0, 3, 4])


def test_staleness_is_that_of_the_panel():
    panel = panel_of({"x": [1.0] * 6}, staleness={"x": [0, 1, 2, 0, 1, 2]})
    np.testing.assert_array_equal(column(panel, transform="staleness"), [0, 1, 2, 0, 1, 2])


def test_a_zscore_measures_the_newest_of_the_trailing_rows():
    values = column(panel_of({"x": [1, 2, 3, 7, 7, 4]}), transform="zscore", window=3)
    # 1 2 3: mean 2, variance 2/3.   2 3 7: mean 4, variance 14/3.
    # 3 7 7: mean 17/3, variance 32/9.   7 7 4: mean 6, variance 2.
    expected = [
        1 / np.sqrt(2 / 3),
        3 / np.sqrt(14 / 3),
        (4 / 3) / np.sqrt(32 / 9),
        -2 / np.sqrt(2),
    ]
    assert list(values.index) == list(DAYS[2:])
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9 / 3], ids=str)
def test_a_zscore_is_zero_where_the_window_does_not_move(level):
    values = column(
        panel_of({"x": [7.1, 5, level, level, level, level]}), transform="zscore", window=3
    )
    assert len(values) == 4
    assert abs(values.iloc[0]) > 0.5
    np.testing.assert_array_equal(values.iloc[2:], [0, 0])


def test_a_zscore_equals_a_loop_over_windows():
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=400, name="date")
    values = pd.DataFrame({"x": 1500 + np.cumsum(rng.normal(0, 40, 400))}, index=days)
    nothing = pd.DataFrame(index=days)
    panel = Panel(values, 0 * values, nothing, nothing, {}, None)
    scores = column(panel, transform="zscore", window=60)
    assert len(scores) == 341
    for day, score in scores.items():
        window = values.loc[:day, "x"].to_numpy()[-60:]
        assert score == pytest.approx((window[-1] - window.mean()) / window.std(), rel=1e-9)


# --- the table ------------------------------------------------------------------------------------


def test_columns_come_in_the_order_of_the_list_with_their_labels():
    panel = panel_of({"x": [1, 2, 3, 4, 5, 6], "y": [6, 5, 4, 3, 2, 1]})
    features = [
        feature("y"),
        feature("leg", "log_return"),
        feature("x", "zscore", 2),
        feature("x"),
        feature("y", "change"),
    ]
    table = build_features(panel, features)
    labels = ["y", "leg log_return", "x zscore 2", "x", "y change"]
    assert list(table) == [feature.label for feature in features] == labels
    assert list(table.index) == list(DAYS[1:])
    np.testing.assert_array_equal(table["y"], [5, 4, 3, 2, 1])
    np.testing.assert_allclose(table["leg log_return"], 100 * np.log(GROWTH[1:]), rtol=1e-12)
    np.testing.assert_array_equal(table["x zscore 2"], [1] * 5)


def test_rows_before_the_start_feed_the_transforms_and_are_cut():
    panel = panel_of({"x": [1, 2, 4, 8, 9, 9]}, start=datetime.date(2024, 1, 3))
    table = build_features(
        panel, [feature(transform="change"), feature(transform="zscore", window=3)]
    )
    assert list(table.index) == list(DAYS[2:])
    np.testing.assert_array_equal(table["x change"], [2, 4, 1, 0])


def test_a_start_on_a_holiday_means_the_next_trading_day():
    panel = panel_of({"x": [1, 2, 4, 8, 9, 9]}, start=datetime.date(2024, 1, 6))
    assert list(build_features(panel, [feature()]).index) == [DAYS[-1]]


def test_without_a_start_the_first_complete_row_is_the_first():
    panel = panel_of({"x": [NAN, NAN, 4, 8, 9, 9], "y": [NAN, 1, 2, 3, 4, 5]})
    assert list(build_features(panel, [feature("x"), feature("y")]).index) == list(DAYS[2:])
    assert list(build_features(panel, [feature("y")]).index) == list(DAYS[1:])


# --- mistakes -------------------------------------------------------------------------------------


def test_a_feature_without_a_value_at_the_start_names_the_remedy():
    panel = panel_of({"x": [NAN, NAN, NAN, 8, 9, 9]}, start=datetime.date(2024, 1, 2))
    with pytest.raises(DataError) as caught:
        build_features(panel, [feature("leg"), feature("x")])
    assert str(caught.value) == (
        "x: it has no value yet on 2024-01-02; set data.panel.start=2024-01-04 or leave it out"
    )


@pytest.mark.parametrize("start", [None, datetime.date(2024, 1, 2)], ids=["no start", "start"])
def test_a_feature_that_never_has_a_value_can_only_be_left_out(start):
    panel = panel_of({"x": [1.0] * 6}, start=start)
    with pytest.raises(DataError, match=r"^x zscore 7: it has no value yet on .*; leave it out$"):
        build_features(panel, [feature(transform="zscore", window=7)])


def test_a_start_after_the_last_day_is_refused():
    panel = panel_of({"x": [1.0] * 6}, start=datetime.date(2024, 1, 9))
    with pytest.raises(ConfigError) as caught:
        build_features(panel, [feature()])
    assert (
        str(caught.value)
        == "data.panel.start=2024-01-09 lies after the last trading day 2024-01-08"
    )


def test_an_unknown_feature_lists_the_names_there_are():
    with pytest.raises(ConfigError) as caught:
        build_features(panel_of({"lump premium": [1.0] * 6}), [feature("lamp premium")])
    assert str(caught.value) == (
        "features.names: there is no column 'lamp premium'; did you mean 'lump premium'?; "
        "columns are: leg, lump premium"
    )


def test_an_unknown_target_lists_the_names_there_are():
    with pytest.raises(ConfigError, match=r"^target.series: there is no column 'lag'.*'leg'"):
        target(panel_of(), "lag")


@pytest.mark.parametrize("value", [0.0, -2.5], ids=["zero", "negative"])
def test_a_return_of_what_is_not_positive_is_refused(value):
    panel = panel_of({"margin": [3, 2, value, 4, -5, 6]})
    for build in (
        lambda: build_features(panel, [feature("margin", "log_return")]),
        lambda: target(panel, "margin"),
        lambda: target(panel, "margin", "simple_return"),
    ):
        with pytest.raises(DataError) as caught:
            build()
        message = str(caught.value)
        assert message.startswith(
            f"margin: a return needs positive values, but it is {value:g} on 2024-01-03"
        )
        assert "take its change" in message


def contango(adjustment):
    """A leg whose contracts each cost far more than the one before, and fall.

    Difference adjustment takes 60 off at the roll: 100, 90, then 150 - 60, 81 - 60, 54 - 60.
    """
    closes = pd.DataFrame(
        {"2024-02": [100, 90, NAN, NAN, NAN], "2024-03": [NAN, 150, 150, 81, 54]},
        index=pd.DatetimeIndex(
            ["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02", "2024-02-05"], name="date"
        ),
        dtype=float,
    ).set_axis(pd.PeriodIndex(["2024-02", "2024-03"], freq="M"), axis=1)
    settings = FuturesSettings(month_offset=1, adjustment=adjustment, bridge_days=0)
    series = build_continuous(closes, settings, name="leg")
    days = series.days
    return Panel(
        values=days[["level"]].set_axis(["leg"], axis=1),
        staleness=pd.DataFrame({"leg": 0.0}, index=days.index),
        log_returns=days[["log_return"]].set_axis(["leg"], axis=1),
        breaks=days[["is_break"]].set_axis(["leg"], axis=1),
        futures={"leg": series},
        start=None,
    )


def test_a_leg_that_its_adjustment_took_below_zero_has_no_percentage():
    panel = contango("difference")
    np.testing.assert_allclose(panel.values["leg"], [100, 90, 90, 21, -6], rtol=1e-12)
    with pytest.raises(DataError, match=r"leg: .* it is -6 on 2024-02-05; .*adjustment=ratio"):
        build_features(panel, [feature("leg", "log_return")])
    assert len(build_features(panel, [feature("leg"), feature("leg", "change")])) == 4
    assert len(build_features(contango("ratio"), [feature("leg", "log_return")])) == 4


@pytest.mark.parametrize("adjustment", ["ratio", "difference", "none"])
def test_the_target_is_of_the_contract_held_whatever_the_adjustment(adjustment):
    outcome = target(contango(adjustment))
    expected = 100 * np.log([90 / 100, 150 / 150, 81 / 150, 54 / 81])
    assert len(outcome) == 5
    np.testing.assert_allclose(outcome["value"].iloc[:4], expected, rtol=1e-12)


def test_the_target_says_after_which_rows_the_contract_changes():
    panel = contango("ratio")
    assert list(panel.days.strftime("%m-%d"))[1] == "01-31"
    for kind, horizon in (("log_return", 1), ("simple_return", 3), ("given", 1)):
        outcome = target(panel, kind=kind, horizon=horizon)
        assert outcome["is_roll"].tolist() == [False, True, False, False, False]
    assert target(panel_of({"x": [1.0] * 6}), "x")["is_roll"].tolist() == [False] * 6


# --- target ---------------------------------------------------------------------------------------


def test_the_target_is_the_next_days_return_and_carries_its_date():
    outcome = target(panel_of())
    assert list(outcome) == ["date", "value", "is_roll"]
    assert list(outcome.index) == list(DAYS)
    assert list(outcome["date"].iloc[:-1]) == list(DAYS[1:])
    np.testing.assert_allclose(outcome["value"].iloc[:-1], 100 * np.log(GROWTH[1:]), rtol=1e-12)
    # The last row stays: a forecast can be made of it.
    assert (
        outcome["date"].isna().tolist() == outcome["value"].isna().tolist() == [False] * 5 + [True]
    )


def test_a_target_of_three_days_adds_their_returns_up():
    outcome = target(panel_of(), horizon=3)
    assert list(outcome["date"].iloc[:3]) == list(DAYS[3:])
    expected = 100 * np.log([99 / 100, 132 / 110, 66 / 99])
    np.testing.assert_allclose(outcome["value"].iloc[:3], expected, rtol=1e-12)
    assert outcome[["date", "value"]].iloc[3:].isna().all().all()


@pytest.mark.parametrize(
    ("horizon", "expected"),
    [(1, [10, -10, 0, 100 / 3, -50]), (3, [-1, 20, -100 / 3])],
    ids=["one day", "three days"],
)
def test_a_simple_return_compounds(horizon, expected):
    outcome = target(panel_of(), kind="simple_return", horizon=horizon)
    assert int(outcome["value"].notna().sum()) == len(expected)
    np.testing.assert_allclose(outcome["value"].dropna(), expected, rtol=0, atol=1e-12)


def test_a_driver_can_be_the_target():
    outcome = target(panel_of({"x": [1, 2, 2, 1, 4, 4]}), "x")
    percent = 100 * np.log(2)
    expected = [percent, 0, -percent, 2 * percent, 0]
    np.testing.assert_allclose(outcome["value"].iloc[:-1], expected, rtol=1e-12)


def test_a_given_target_is_taken_row_by_row_and_never_filled():
    panel = panel_of({"Y": [1, 2, 2, 4, 5, 5]}, staleness={"Y": [0, 0, 1, 0, 0, 1]})
    outcome = target(panel, "Y", "given")
    np.testing.assert_array_equal(outcome["value"], [1, 2, NAN, 4, 5, NAN])
    assert list(outcome["date"].iloc[:-1]) == list(DAYS[1:])
    later = target(panel, "Y", "given", horizon=2)
    np.testing.assert_array_equal(later["value"], outcome["value"])
    assert list(later["date"].iloc[:-2]) == list(DAYS[2:])


def test_a_given_target_may_be_negative_or_zero():
    panel = panel_of({"Y": [1, -2, 0, 4, 5, NAN]}, staleness={"Y": [0, 0, 0, 0, 0, NAN]})
    np.testing.assert_array_equal(target(panel, "Y", "given")["value"], [1, -2, 0, 4, 5, NAN])


@pytest.mark.parametrize(
    ("horizon", "missing"), [(1, [2, 5]), (2, [1, 2, 4, 5]), (3, [0, 1, 2, 3, 4, 5])], ids=str
)
def test_a_break_day_drops_exactly_the_targets_that_span_it(horizon, missing):
    # The break is on the fourth row: the return from the third to it is no move.
    panel = panel_of(
        returns={"leg": [NAN, 0.01, 0.02, 0.0, 0.04, 0.05]},
        breaks={"leg": [False, False, False, True, False, False]},
    )
    for kind in ("log_return", "simple_return"):
        value = target(panel, kind=kind, horizon=horizon)["value"]
        assert np.flatnonzero(value.isna()).tolist() == missing
    # Its date is known all the same.
    assert target(panel, horizon=horizon)["date"].notna().sum() == 6 - horizon


def test_what_a_break_day_leaves_out_stands_beside_the_target():
    # The price halves twice; the second time, on the sixth row, the contracts were re-based.
    panel = replace(
        panel_of(
            {"x": np.arange(6.0)},
            returns={"leg": np.log([NAN, 1.1, 0.9, 1.0, 0.5, 1.0])},
            breaks={"leg": [False] * 5 + [True]},
        ),
        left_out=pd.DataFrame({"leg": np.log([1, 1, 1, 1, 1, 0.5])}, index=DAYS),
    )
    own = TargetSettings(series="leg", kind="simple_return", horizon=1)
    _, outcomes = build_table(panel, [feature()], own)
    np.testing.assert_allclose(outcomes["value"], [10, -10, 0, -50, NAN, NAN], atol=1e-12)
    expected = [10, -10, 0, -50, -50, NAN]
    np.testing.assert_allclose(outcomes["with_breaks"], expected, atol=1e-12)
    _, plain = build_table(panel_of({"x": np.arange(6.0)}), [feature()], own)
    assert "with_breaks" not in plain


def test_a_break_of_another_leg_does_not_touch_the_target():
    both = {"leg": PRICES, "other": PRICES}
    panel = panel_of(legs=both, breaks={"other": [False] * 3 + [True] + [False] * 2})
    assert target(panel)["value"].isna().tolist() == [False] * 5 + [True]


def test_the_target_does_not_depend_on_what_else_is_in_the_panel():
    alone = target(panel_of(), horizon=2)
    beside = target(panel_of({"x": [NAN] * 5 + [1.0], "y": [-1.0] * 6}), horizon=2)
    pd.testing.assert_frame_equal(alone, beside, check_exact=True)
