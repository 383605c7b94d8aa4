"""Changes and given targets, what is earned on them, and the contracts of a prepared table."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_panel import DAYS, NAN, curve, panel_of

from ironore_lightning.data.features import build_features, build_table, build_target
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data_quality.suspicious_returns import suspicion, suspicious_returns
from ironore_lightning.errors import ConfigError, DataError, LeakageError
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.trading import equity_curves, gross_profit, trading_table
from ironore_lightning.experiment import assess_run, run_experiment
from ironore_lightning.files import read_json
from ironore_lightning.forecast.next_day import forecast_next
from ironore_lightning.judge.judgement import judge_run
from ironore_lightning.recall import recall_run
from ironore_lightning.run_folder.forecast_tables import read_predictions
from ironore_lightning.run_folder.record import read_run
from ironore_lightning.settings.samples import FeatureSettings, TargetSettings

pytestmark = pytest.mark.usefixtures("one_quick_figure")


def change_of(series, **settings):
    return TargetSettings(series=series, kind="change", **{"horizon": 1, **settings})


@pytest.fixture
def table(compose, tmp_path):
    """Write a table of weekdays from Monday 29 January 2024 on, and join it by some settings."""

    def join(columns, *settings):
        days = pd.bdate_range("2024-01-29", periods=len(next(iter(columns.values()))), name="date")
        pd.DataFrame(columns, index=days).to_csv(tmp_path / "table.csv")
        names = "features.names=[price]" if "price" in columns else "features.names=[spread]"
        config = compose("data=table", f"data.root={tmp_path}", names, *settings)
        return build_panel(read_raw(config.data), config.data, config.target), config.target

    return join


# --- changes --------------------------------------------------------------------------------------


def test_the_change_of_a_leg_is_that_of_the_contract_held_over_a_roll():
    days = pd.DatetimeIndex(["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02"], name="date")
    months = pd.PeriodIndex(["2024-02", "2024-03"], freq="M")
    prices = [[100.0, 110.0], [101.0, 112.0], [99.0, 109.0], [98.0, 113.0]]
    panel = panel_of(legs={"leg": pd.DataFrame(prices, days, months)})
    # January holds February's contract, February March's: 101 - 100, 109 - 112, 113 - 109.
    np.testing.assert_array_equal(
        build_target(panel, change_of("leg"))["value"], [1.0, -3.0, 4.0, NAN]
    )
    two_days = build_target(panel, change_of("leg", horizon=2))
    np.testing.assert_array_equal(two_days["value"], [-2.0, 1.0, NAN, NAN])
    assert list(two_days["is_roll"]) == [False, True, False, False]


def test_a_break_day_is_in_no_change_but_is_told_beside_it():
    breaks = [{"leg": "leg", "day": "2024-01-10"}]
    legs = {"leg": curve([100, 101, 91, 93, 93, 94, 95, 96])}
    panel = panel_of(legs=legs, break_days=breaks)
    _, outcomes = build_table(panel, [FeatureSettings(name="leg")], change_of("leg"))
    np.testing.assert_array_equal(outcomes["value"], [1, NAN, 2, 0, 1, 1, 1, NAN])
    np.testing.assert_array_equal(outcomes["with_breaks"], [1, -10, 2, 0, 1, 1, 1, NAN])


def test_a_spread_that_crosses_zero_has_changes_and_no_returns(table):
    spread = {"spread": [2.0, -1.0, -1.0, 0.0, 3.5]}
    panel, target = table(spread, "target.series=spread", "target.kind=change")
    np.testing.assert_array_equal(build_target(panel, target)["value"], [-3, 0, 1, 3.5, NAN])
    for kind in ("log_return", "simple_return"):
        refused = target.model_copy(update={"kind": kind})
        with pytest.raises(DataError, match=r"spread: .* -1 on 2024-01-30; .*target.kind=change"):
            build_target(panel, refused)


def test_a_driver_that_is_the_next_change_is_a_leak(table):
    columns = {"spread": [2.0, -1.0, -1.0, 0.0, 3.5], "ahead": [-3.0, 0.0, 1.0, 3.5, 0.0]}
    panel, target = table(columns, "target.series=spread", "target.kind=change")
    with pytest.raises(LeakageError, match="ahead equals the target on 100 % of the rows"):
        build_table(panel, [FeatureSettings(name="ahead")], target)


@pytest.mark.parametrize("kind", ["log_return", "simple_return"])
def test_a_leg_with_negative_prices_asks_for_changes(compose, kind):
    leg = "data.contracts.price_65_m1"
    settings = (f"+{leg}.positive=false", f"+{leg}.futures.adjustment=difference")
    message = r"target.kind=\w+: price_65_m1 has no per-cent return.*set target.kind=change"
    with pytest.raises(ConfigError, match=message):
        compose(*settings, f"target.kind={kind}")
    assert compose(*settings, "target.kind=change").target.unit_name == "USD/dmt"
    with pytest.raises(ConfigError, match=r"target.profit_series: price_65_m1 has no per-cent"):
        compose(
            *settings,
            "target.kind=change",
            "target.series=price_62_m1",
            "target.profit_series=price_65_m1",
        )


def test_outcomes_have_the_unit_of_their_series(compose):
    assert compose().target.unit_name == "%"
    assert compose("target.kind=change").target.unit_name == "USD/dmt"
    assert compose("target.kind=change", "target.unit=cents").target.unit_name == "cents"
    with pytest.raises(ConfigError, match="unit: a log_return is in per cent"):
        compose("target.unit=cents")
    own = ("data=table", "data.root=.", "target.kind=given", "target.series=Y")
    assert compose(*own, "features.names=[a]").target.unit_name == "points"


# --- what is earned -------------------------------------------------------------------------------

PROFITABLE = {"spread": [2.0, -1.0, -1.0, 0.0, 3.5], "price": [100.0, 110.0, 99.0, 99.0, 198.0]}


@pytest.mark.parametrize("kind", ["change", "given"])
def test_the_profit_is_the_return_of_its_series_over_the_same_days(table, kind):
    settings = ("target.series=spread", f"target.kind={kind}", "target.profit_series=price")
    outcomes = build_target(*table(PROFITABLE, *settings))
    np.testing.assert_allclose(outcomes["profit"], [10, -10, 0, 100, NAN], atol=1e-12)
    outcomes = build_target(*table(PROFITABLE, *settings, "target.horizon=2"))
    np.testing.assert_allclose(outcomes["profit"], [-1, -10, 100, NAN, NAN], atol=1e-12)
    assert list(outcomes["value"].notna()) == [True, True, True, False, False]


def test_the_profit_on_a_leg_is_that_of_the_contract_held():
    target = change_of("b", profit_series="a")
    panel = panel_of(legs={"a": curve([100, 110, 99, 99, 99, 99, 99, 99]), "b": curve()})
    outcomes = build_target(panel, target)
    np.testing.assert_allclose(outcomes["profit"], [10, -10, 0, 0, 0, 0, 0, NAN], atol=1e-12)


def test_a_day_whose_profit_is_not_known_is_left_out(table):
    blank = PROFITABLE | {"price": [100.0, 110.0, NAN, 99.0, 198.0]}
    settings = ("target.series=spread", "target.kind=change", "target.profit_series=price")
    outcomes = build_target(*table(blank, *settings))
    np.testing.assert_array_equal(outcomes["value"], [-3, NAN, NAN, 3.5, NAN])


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ("prise", r"table.csv: target.profit_series: there is no column 'prise'; did you mean"),
        ("spread", r"spread: a return needs positive .*-1 .*name another target.profit_series"),
    ],
    ids=["unknown", "negative"],
)
def test_profits_need_a_price(table, series, message):
    settings = ("target.series=spread", "target.kind=change", f"target.profit_series={series}")
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        build_target(*table(PROFITABLE, *settings))
    assert "\n" not in str(caught.value)


def test_a_driver_that_is_the_profit_is_a_leak(table):
    ahead = PROFITABLE | {"ahead": [10.0, -10.0, 0.0, 100.0, 0.0]}
    settings = ("target.series=spread", "target.kind=change", "target.profit_series=price")
    panel, target = table(ahead, *settings)
    with pytest.raises(LeakageError, match="ahead equals the profit of the target"):
        build_table(panel, [FeatureSettings(name="ahead")], target)


def days_with_profit(kind="change"):
    """Four days on which the outcome and the profit differ in size and once in sign."""
    dates = pd.bdate_range("2024-01-29", periods=4)
    rows = {"date": dates, "actual": [3.0, -1.0, 2.0, 0.5], "forecast": [1.0, -1.0, -1.0, 0.05]}
    frame = pd.DataFrame({**rows, "is_roll": False, "profit": [10.0, -20.0, 5.0, -50.0]})
    return ScoredDays(frame, kind, 1, unit="USD/t")


@pytest.mark.parametrize("kind", ["change", "given"])
def test_positions_follow_the_forecast_and_earn_the_profit(kind):
    days = days_with_profit(kind)
    np.testing.assert_allclose(gross_profit(days), [10, 20, -5, -50])
    path = equity_curves(days, buffer=0.1, cost_bp=0.0)
    np.testing.assert_allclose(path["sign"], [110, 132, 125.4, 62.7])
    np.testing.assert_allclose(path["threshold"], [110, 132, 125.4, 125.4])
    np.testing.assert_allclose(path["buy and hold"], [110, 88, 92.4, 46.2])
    best, *_ = trading_table(days, buffer=0.1, costs_bp=[0.0])
    assert best.total_return == pytest.approx(-53.8)


def test_without_profits_nobody_knows_what_a_position_earns():
    days = days_with_profit()
    assert days.has_profit
    assert not replace(days, frame=days.frame.drop(columns="profit")).has_profit


# --- contracts of a table -------------------------------------------------------------------------

# The second contract is dearer by 10 % on the day on which the market does not move.
ROLLED = {
    "price": [100.0, 102.0, 112.2, 113.322, 113.322],
    "driver": [1.0, 2.0, 4.0, 8.0, 16.0],
    "contract": ["F24", None, "G24", None, None],
}
ROLLED_SETTINGS = (
    "features.names=[price,driver]",
    "target.series=price",
    "data.table.contract_column=contract",
)


def test_a_jump_between_two_contracts_is_in_no_outcome_and_in_no_feature(table):
    panel, target = table(ROLLED, *ROLLED_SETTINGS)
    outcomes = build_target(panel, target)
    first, second = 100 * np.log(1.02), 100 * np.log(1.01)
    np.testing.assert_allclose(outcomes["value"], [first, NAN, second, 0, NAN], atol=1e-12)
    # The older contract is sold, and the newer one bought, where the newer one has a price.
    assert list(outcomes["is_roll"]) == [False, False, True, False, False]
    two_days = build_target(panel, target.model_copy(update={"horizon": 2}))
    np.testing.assert_allclose(two_days["value"], [NAN, NAN, second, NAN, NAN], atol=1e-12)
    features = [
        FeatureSettings(name=name, transform=transform)
        for name, transform in (("price", "log_return"), ("price", "change"), ("driver", "change"))
    ]
    read = build_features(panel, features).to_numpy()
    np.testing.assert_allclose(read[:, 0], [first, 0, second, 0], atol=1e-12)
    np.testing.assert_allclose(read[:, 1], [2, 0, 1.122, 0], atol=1e-12)
    np.testing.assert_array_equal(read[:, 2], [1, 2, 4, 8])
    assert panel.contract_changes(panel.days) == {"price": 1}


def test_changes_and_profits_are_within_one_contract_too(table):
    columns = ROLLED | {"other": [5.0, 4.0, 2.0, 2.0, 1.0], "contract": [1, 1, 2, 2, 2]}
    panel, target = table(columns, *ROLLED_SETTINGS, "target.kind=change")
    np.testing.assert_allclose(
        build_target(panel, target)["value"], [2, NAN, 1.122, 0, NAN], atol=1e-12
    )
    settings = ("target.kind=given", "target.series=other", "target.profit_series=price")
    outcomes = build_target(*table(columns, *ROLLED_SETTINGS, *settings))
    np.testing.assert_allclose(outcomes["profit"], [2, NAN, 1, 0, NAN], atol=1e-12)
    np.testing.assert_array_equal(outcomes["value"], [5, NAN, 2, 2, NAN])


def test_days_between_two_contracts_are_no_break_days(table):
    panel, target = table(ROLLED, *ROLLED_SETTINGS)
    _, outcomes = build_table(panel, [FeatureSettings(name="driver")], target)
    assert outcomes["with_breaks"].isna().equals(outcomes["value"].isna())


def test_a_column_of_contracts_must_exist(table):
    message = (
        "table.csv: there is no column 'month'; its columns are 'date', 'price', 'driver', 'contr"
    )
    with pytest.raises(DataError, match=message):
        table(ROLLED, *ROLLED_SETTINGS, "data.table.contract_column=month")


def test_the_future_changes_no_move_that_was_known(table):
    """A later contract, a later blank and later prices leave earlier rows as they were."""
    source = np.random.default_rng(0)
    prices = {name: list(100 + source.normal(size=40).cumsum()) for name in ("price", "other")}
    contracts = [f"C{row // 10}" for row in range(40)]
    settings = (*ROLLED_SETTINGS, "features.names=[price,other]", "target.kind=change")
    settings = (*settings, "target.profit_series=other", "target.horizon=2")
    read = [FeatureSettings(name="price", transform="log_return"), FeatureSettings(name="other")]

    def tables(columns):
        panel, target = table(columns, *settings)
        return build_table(panel, read, target)

    before = tables({**prices, "contract": contracts})
    later = {name: [*values[:25], *source.normal(100, 5, 15)] for name, values in prices.items()}
    after = tables({**later, "contract": [*contracts[:25], *(["X", None, "Y"] * 5)]})
    for old, new in zip(before, after, strict=True):
        # Row 22 knows the outcome that is complete on row 24.
        pd.testing.assert_frame_equal(old.iloc[:22], new.iloc[:22], check_exact=True)
    assert not before[1].iloc[22:].equals(after[1].iloc[22:])


# --- suspicious returns ---------------------------------------------------------------------------


def quiet(days, jumps):
    """A price that moves by 1 % up and down, and by 9 % on some days."""
    moves = np.where(np.arange(len(days)) % 2 == 0, 1.0, -1.0)
    moves[days.get_indexer(pd.DatetimeIndex(jumps))] = 9.0
    return list(100 * np.exp(np.cumsum(moves) / 100))


def test_large_returns_on_days_of_rolls_are_listed(table):
    days = pd.bdate_range("2024-01-29", periods=120)
    # The first and the last trading day of a month; one in its middle, which happens.
    prices = quiet(days, ["2024-03-01", "2024-04-30", "2024-05-15"])
    panel, target = table({"price": prices}, "target.series=price")
    found = suspicious_returns(panel, target, panel.days)
    assert found == {"2024-03-01": pytest.approx(9.0), "2024-04-30": pytest.approx(9.0)}
    (line,) = suspicion(panel, target, panel.days)
    assert line.startswith("price: 2 moves of more than 6 standard deviations")
    assert "data.table.contract_column" in line


def test_the_same_trading_day_of_three_months_is_one_of_rolls(table):
    days = pd.bdate_range("2024-01-29", periods=120)
    # The eleventh weekday of February, April and June.
    jumps = ["2024-02-15", "2024-04-15", "2024-06-17"]
    panel, target = table({"price": quiet(days, jumps)}, "target.series=price")
    assert list(suspicious_returns(panel, target, panel.days)) == jumps
    panel, target = table({"price": quiet(days, jumps[:2])}, "target.series=price")
    assert suspicious_returns(panel, target, panel.days) == {}


def test_a_series_whose_contracts_are_known_is_not_suspected(table):
    days = pd.bdate_range("2024-01-29", periods=60)
    columns = {"price": quiet(days, ["2024-03-01"]), "contract": list(days.strftime("%b"))}
    settings = ("features.names=[price]", "target.series=price")
    panel, target = table(columns, *settings)
    assert len(suspicious_returns(panel, target, panel.days)) == 1
    panel, target = table(columns, *settings, "data.table.contract_column=contract")
    assert suspicious_returns(panel, target, panel.days) == {}
    leg = panel_of(legs={"leg": curve([100, 100, 100, 100, 1000, 100, 100, 100])})
    legs = TargetSettings(series="leg", kind="log_return", horizon=1)
    assert suspicious_returns(leg, legs, pd.DatetimeIndex(DAYS)) == {}


# --- a whole run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["change", "given"])
def test_a_run_its_record_and_its_verdict_have_the_same_profits(compose, tmp_path, kind):
    source = np.random.default_rng(0)
    days = pd.bdate_range("2023-01-02", periods=260, name="date")
    columns = {"spread": source.normal(size=260), "price": 100 + source.normal(size=260)}
    frame = pd.DataFrame({**columns, "driver": source.normal(size=260)}, index=days)
    frame.to_csv(tmp_path / "table.csv")
    config = compose(
        "experiment=debug",
        "data=table",
        f"data.root={tmp_path}",
        "features.names=[driver]",
        "target.series=spread",
        f"target.kind={kind}",
        "target.unit=EUR",
        "target.profit_series=price",
        "logger=[]",
    )
    folder = tmp_path / "run"
    run_experiment(config, folder)
    rows = pd.read_csv(folder / "predictions.csv", parse_dates=["date"]).set_index("date")
    origin = frame["price"].shift(1)
    earned = 100 * (frame["price"] / origin - 1)
    np.testing.assert_allclose(rows["profit"], earned.loc[rows.index], rtol=1e-9)
    wanted = read_json(folder / "evaluation_results.json", dict[str, Any])
    assert wanted["unit"] == "EUR"
    assert wanted["labels"]["error"] == ""
    assert len(wanted["trading"]) == 24
    test = read_predictions(folder, kind).query("segment == 'test'").reset_index(drop=True)
    hold = test["profit"]
    growth = 100 * np.prod(1 + hold / 100) - 100
    assert wanted["trading"][0]["total_return"] == pytest.approx(growth)
    record = read_run(folder, None)
    judged = judge_run(folder, looks=None)
    assert [vars(result) for result in judged.assessment.trading] == wanted["trading"]
    again = assess_run(recall_run(record), looks=None)
    assert [vars(result) for result in again.assessment.trading] == wanted["trading"]
    next_day = forecast_next([record], today=days[-1].date())
    price = None if kind == "given" else frame["spread"].iloc[-1] + next_day.forecast
    assert next_day.price == (None if price is None else pytest.approx(price))
    assert next_day.unit == "EUR"


def test_a_verdict_without_profits_names_the_setting(compose, tmp_path):
    source = np.random.default_rng(0)
    days = pd.bdate_range("2023-01-02", periods=260, name="date")
    pd.DataFrame({"spread": source.normal(size=260)}, index=days).to_csv(tmp_path / "table.csv")
    config = compose(
        "experiment=debug",
        "data=table",
        f"data.root={tmp_path}",
        "features.names=[spread]",
        "target.series=spread",
        "target.kind=change",
        "logger=[]",
    )
    folder = tmp_path / "run"
    result = run_experiment(config, folder)
    left_out = "Trading is left out, as nobody says what a position earns; target.profit_series"
    assert result.sentence.count(left_out) == 1
    assert result.assessment.trading == []
    assert left_out in read_json(folder / "evaluation_results.json", dict[str, Any])["sentence"]
    assert left_out in (folder / "report.html").read_text(encoding="utf-8")
