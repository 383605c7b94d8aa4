"""Profits against numbers worked out by hand, and time that runs in one direction."""

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kurtosis, norm, skew

from ironore_lightning.errors import DataError
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.trading import (
    BUY_AND_HOLD,
    FLAT,
    ONE_DAY_LATER,
    SIGN,
    THRESHOLD,
    Terms,
    capital,
    daily_profit,
    drawdown,
    equity_curves,
    positions,
    sharpe_error,
    trading_result,
    trading_table,
)

# Long, flip to short, flat, long, held through a roll, long.
FORECAST = np.array([1.0, -1.0, 0.0, 2.0, 2.0, 0.5])
ACTUAL = np.array([1.0, 2.0, 5.0, -1.0, 2.0, -3.0])
IS_ROLL = np.array([False, False, False, False, True, False])
COSTS_BP = [0.0, 2.0, 5.0, 10.0]


def terms(*, kind="simple_return", cost_bp=10.0, delay_days=0, horizon=1):
    return Terms(kind=kind, cost_bp=cost_bp, delay_days=delay_days, horizon=horizon)


def market(num_days, *, seed=3):
    """Draw forecast and actual, per cent, and a roll every 21 days."""
    source = np.random.default_rng(seed)
    actual = 1.4 * source.standard_t(4, num_days)
    forecast = 0.1 * actual + 0.3 * source.standard_normal(num_days)
    return forecast, actual, np.arange(num_days) % 21 == 20


def scored(forecast, actual, is_roll, *, kind="log_return", horizon=1):
    dates = pd.bdate_range("2024-01-01", periods=len(actual))
    columns = {"date": dates, "actual": actual, "forecast": forecast, "is_roll": is_roll}
    return ScoredDays(pd.DataFrame(columns), kind, horizon)


def table(forecast, actual, is_roll, *, buffer=0.2, costs_bp=COSTS_BP, **target):
    days = scored(forecast, actual, is_roll, **target)
    return trading_table(days, buffer=buffer, costs_bp=costs_bp)


def curves(forecast, actual, is_roll, *, buffer=0.2, cost_bp=5.0, **target):
    return equity_curves(
        scored(forecast, actual, is_roll, **target), buffer=buffer, cost_bp=cost_bp
    )


@pytest.fixture
def six_days():
    """The sign strategy of six days at 10 basis points a turn."""
    held = positions(FORECAST, buffer=0.0, terms=terms())
    return trading_result(SIGN, held, ACTUAL, IS_ROLL, terms=terms())


# --- worked out by hand -----------------------------------------------------------------------


def test_the_sign_strategy_is_flat_on_a_forecast_of_zero():
    held = positions(FORECAST, buffer=0.0, terms=terms())
    np.testing.assert_array_equal(held, [1, -1, 0, 1, 1, 1])


def test_the_threshold_strategy_trades_only_above_the_buffer():
    held = positions(FORECAST, buffer=1.0, terms=terms())
    np.testing.assert_array_equal(held, [0, 0, 0, 1, 1, 0])


def test_profits_of_six_days_with_a_flip_a_flat_day_and_a_roll():
    held = np.array([1.0, -1.0, 0.0, 1.0, 1.0, 1.0])
    # Turns: entry 1, flip 2, exit 1, entry 1, roll 2, nothing; 0.1 % each.
    expected = [1 - 0.1, -2 - 0.2, -0.1, -1 - 0.1, 2 - 0.2, -3]
    profit = daily_profit(held, ACTUAL, IS_ROLL, terms=terms())
    np.testing.assert_allclose(profit, expected, rtol=1e-12)


def test_the_result_of_six_days_worked_out_by_hand(six_days):
    growth = 1.009 * 0.978 * 0.999 * 0.989 * 1.018 * 0.97
    assert (six_days.name, six_days.cost_bp, six_days.delay_days) == ("sign", 10.0, 0)
    assert (six_days.num_periods, six_days.num_days) == (6, 6)
    assert six_days.total_return == pytest.approx(100 * (growth - 1))
    assert six_days.mean_day == pytest.approx(-3.7 / 6)
    assert six_days.annual_return == pytest.approx(-252 * 3.7 / 6)
    assert six_days.max_drawdown == pytest.approx(100 * (1 - growth / 1.009))
    assert six_days.turnover == pytest.approx(7 / 6)
    assert six_days.hit_rate == 40.0
    assert six_days.profit_factor == pytest.approx(2.7 / 6.4)
    assert six_days.num_trades == 3


def test_volatility_and_sharpe_agree_with_pandas_and_scipy(six_days):
    profit = pd.Series([0.9, -2.2, -0.1, -1.1, 1.8, -3.0])
    ratio = profit.mean() / profit.std()
    third, fourth = skew(profit), kurtosis(profit, fisher=False)
    error = math.sqrt((1 - third * ratio + (fourth - 1) / 4 * ratio**2) / 5)
    assert six_days.annual_volatility == pytest.approx(profit.std() * math.sqrt(252))
    assert six_days.sharpe == pytest.approx(ratio * math.sqrt(252))
    assert six_days.sharpe == pytest.approx(six_days.annual_return / six_days.annual_volatility)
    assert six_days.sharpe_error == pytest.approx(error * math.sqrt(252))


@pytest.mark.parametrize(
    ("before", "after", "turns"),
    [(1, 1, 2), (-1, -1, 2), (1, -1, 2), (0, 1, 1), (1, 0, 1), (0, 0, 0)],
    ids=["hold", "hold short", "flip", "enter", "leave", "stay away"],
)
def test_at_a_roll_the_old_contract_is_sold_and_the_new_one_bought(before, after, turns):
    held, rolls = np.array([before, after], dtype=float), np.array([False, True])
    profit = daily_profit(held, np.zeros(2), rolls, terms=terms(cost_bp=100.0))
    assert profit[1] == pytest.approx(-turns)


def test_a_roll_before_the_first_position_costs_nothing_more():
    profit = daily_profit(np.ones(1), np.ones(1), np.array([True]), terms=terms())
    assert profit == pytest.approx([0.9])


def test_a_log_return_is_turned_into_money():
    profit = daily_profit(
        np.array([1.0, -1.0]),
        np.array([10.0, 10.0]),
        np.zeros(2, dtype=bool),
        terms=terms(kind="log_return", cost_bp=0.0),
    )
    np.testing.assert_allclose(profit, 100 * (math.exp(0.1) - 1) * np.array([1, -1]))


def test_a_day_without_a_move_is_neither_hit_nor_miss():
    held, actual = np.ones(3), np.array([1.0, 0.0, -1.0])
    result = trading_result(SIGN, held, actual, np.zeros(3, dtype=bool), terms=terms())
    assert result.hit_rate == 50.0


def test_drawdown_counts_from_the_starting_capital():
    np.testing.assert_allclose(drawdown(np.array([80.0, 120.0, 90.0])), [20.0, 0.0, 25.0])


# --- published numbers ------------------------------------------------------------------------


def test_the_error_of_a_sharpe_ratio_gives_the_published_probabilities():
    # Bailey & Lopez de Prado (2012): 24 months, Sharpe 0.458 a month, above zero.
    crooked = sharpe_error(0.458, skewness=-2.448, kurtosis=10.164, num_periods=24)
    normal = sharpe_error(0.458, skewness=0.0, kurtosis=3.0, num_periods=24)
    assert norm.cdf(0.458 / crooked) == pytest.approx(0.9134, abs=5e-5)
    assert norm.cdf(0.458 / normal) == pytest.approx(0.9817, abs=5e-5)


def test_the_error_of_a_sharpe_ratio_agrees_with_performance_analytics():
    ratio, reference = 2 / math.sqrt(12), 1 / math.sqrt(12)
    error = sharpe_error(ratio, skewness=-0.72, kurtosis=5.78, num_periods=59)
    assert norm.cdf((ratio - reference) / error) == pytest.approx(0.948692519479404, abs=1e-12)


def test_the_error_of_a_sharpe_ratio_is_its_spread_over_many_histories():
    source = np.random.default_rng(5)
    no_rolls = np.zeros(131, dtype=bool)
    results = [
        trading_result(
            BUY_AND_HOLD,
            np.ones(131),
            0.2 + 2 * source.standard_normal(131),
            no_rolls,
            terms=terms(cost_bp=0.0),
        )
        for _ in range(400)
    ]
    spread = np.std([result.sharpe for result in results])
    assert spread == pytest.approx(np.mean([result.sharpe_error for result in results]), rel=0.1)


# --- the table --------------------------------------------------------------------------------


def test_every_strategy_stands_beside_buy_and_hold_and_flat_at_every_cost():
    results = table(*market(131))
    found = [(each.cost_bp, each.name, each.delay_days) for each in results]
    at_once = [(name, 0) for name in (BUY_AND_HOLD, FLAT, SIGN, THRESHOLD)]
    plans = [*at_once, (SIGN, 1), (THRESHOLD, 1)]
    assert found == [(cost, *plan) for cost, plan in itertools.product(COSTS_BP, plans)]
    assert {each.num_days for each in results} == {131}


@pytest.mark.parametrize("kind", ["log_return", "simple_return"])
def test_buy_and_hold_compounds_the_actual(kind):
    forecast, actual, is_roll = market(131)
    held = table(forecast, actual, is_roll, kind=kind)[0]
    simple = np.expm1(actual / 100) if kind == "log_return" else actual / 100
    assert held.total_return == pytest.approx(100 * (np.prod(1 + simple) - 1))
    assert held.num_trades == 1


def test_buy_and_hold_pays_the_entry_and_every_roll():
    free, *_, dear = (each for each in table(*market(131)) if each.name == BUY_AND_HOLD)
    # Six rolls of two turns and one entry.
    assert dear.turnover == pytest.approx(13 / 131)
    assert free.mean_day - dear.mean_day == pytest.approx(0.1 * 13 / 131)


def test_doing_nothing_earns_nothing_at_any_cost():
    results = [each for each in table(*market(40)) if each.name == FLAT]
    assert len(results) == 4
    for each in results:
        assert (each.total_return, each.mean_day, each.turnover) == (0.0, 0.0, 0.0)
        assert (each.annual_volatility, each.max_drawdown, each.num_trades) == (0.0, 0.0, 0)
        assert (each.sharpe, each.sharpe_error, each.hit_rate) == (None, None, None)
        assert each.profit_factor is None


def test_a_buffer_of_zero_is_the_sign_strategy():
    results = table(*market(131), buffer=0.0)
    for sign, threshold in zip(results[2::6], results[3::6], strict=True):
        assert threshold == dataclasses.replace(sign, name=THRESHOLD)


@pytest.mark.parametrize("kind", ["log_return", "simple_return"])
@pytest.mark.parametrize("cost_bp", COSTS_BP)
def test_perfect_foresight_earns_every_move_less_the_costs(kind, cost_bp):
    _, actual, is_roll = market(131)
    chosen = terms(kind=kind, cost_bp=cost_bp)
    held = positions(actual, buffer=0.0, terms=chosen)
    profit = daily_profit(held, actual, is_roll, terms=chosen)
    simple = 100 * np.expm1(actual / 100) if kind == "log_return" else actual
    flips = np.abs(np.diff(held))
    # A roll costs two turns whether or not the position flips with it.
    turns = 1 + np.where(is_roll[1:], 2, flips).sum()
    assert profit.sum() == pytest.approx(np.abs(simple).sum() - cost_bp / 100 * turns)
    result = trading_result(SIGN, held, actual, is_roll, terms=chosen)
    assert result.hit_rate == 100.0
    assert result.turnover == pytest.approx(turns / 131)


def test_higher_costs_never_earn_more():
    results = table(*market(131))
    for plan in range(6):
        totals = [each.total_return for each in results[plan::6]]
        assert len(totals) == 4
        assert totals == sorted(totals, reverse=True)


# --- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [0.0, 0.2])
def test_a_delay_shifts_the_positions_by_one_day_exactly(buffer):
    forecast, _, _ = market(131)
    at_once = positions(forecast, buffer=buffer, terms=terms())
    later = positions(forecast, buffer=buffer, terms=terms(delay_days=1))
    assert later[0] == 0
    np.testing.assert_array_equal(later[1:], at_once[:-1])


def test_one_day_later_earns_the_return_of_the_day_after():
    forecast, actual, is_roll = market(131)
    late = table(forecast, actual, is_roll)[4]
    no_roll_first = np.append(is_roll[1:], False)
    shifted = table(forecast[:-1], actual[1:], no_roll_first[:-1])[2]
    assert late.total_return == pytest.approx(shifted.total_return)
    assert late.mean_day == pytest.approx(shifted.mean_day * 130 / 131)
    assert (late.num_trades, late.num_days) == (shifted.num_trades, 131)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("changed", ["forecast", "actual", "is_roll"])
def test_a_change_of_the_future_changes_no_earlier_position_or_profit(changed, horizon):
    before = dict(zip(("forecast", "actual", "is_roll"), market(90), strict=True))
    after = {name: values.copy() for name, values in before.items()}
    if changed == "is_roll":
        after[changed][60:] = ~after[changed][60:]
    else:
        after[changed][60:] = -9 * after[changed][60:] + 1
    for delay_days in (0, 1):
        chosen = terms(delay_days=delay_days, horizon=horizon)
        first = delay_days % horizon
        num_before = len(range(first, 60 - horizon + 1, horizon))
        old, new = (
            positions(each["forecast"], buffer=0.2, terms=chosen) for each in (before, after)
        )
        np.testing.assert_array_equal(old[:num_before], new[:num_before])
        old, new = (
            daily_profit(held, each["actual"], each["is_roll"], terms=chosen)
            for held, each in ((old, before), (new, after))
        )
        np.testing.assert_array_equal(old[:num_before], new[:num_before])
        assert (old != new).any()
    old, new = (curves(**each, horizon=horizon) for each in (before, after))
    pd.testing.assert_frame_equal(
        old[: 60 - horizon + 1], new[: 60 - horizon + 1], check_exact=True
    )
    assert (old != new).any(axis=None)


# --- a horizon of several days ----------------------------------------------------------------


def test_only_every_third_forecast_of_three_days_is_traded():
    forecast = np.array([1.0, -9, -9, -1, 9, 9, 1])
    held = positions(forecast, buffer=0.0, terms=terms(horizon=3))
    np.testing.assert_array_equal(held, [1, -1, 1])
    late = positions(forecast, buffer=0.0, terms=terms(horizon=3, delay_days=1))
    np.testing.assert_array_equal(late, [1, -1])


def test_profits_of_three_days_pay_the_rolls_inside_them():
    actual = np.array([3.0, 0, 0, 4, 0, 0, 5])
    is_roll = np.array([True, False, True, True, False, True, False])
    profit = daily_profit(np.array([1.0, 1, 0]), actual, is_roll, terms=terms(horizon=3))
    # Entry 1 and a roll inside 2; a roll at the start 2 and one inside 2; exit 1.
    np.testing.assert_allclose(profit, [3 - 0.3, 4 - 0.4, -0.1])
    rows = terms(horizon=3, delay_days=1)
    profit = daily_profit(np.array([1.0, 1]), np.roll(actual, 1), is_roll, terms=rows)
    np.testing.assert_allclose(profit, [3 - 0.5, 4 - 0.2])


def test_a_period_of_three_days_is_a_third_of_the_number_a_year():
    actual = np.array([3.0, 0, 0, -1, 0, 0])
    result = trading_result(
        BUY_AND_HOLD,
        np.ones(2),
        actual,
        np.zeros(6, dtype=bool),
        terms=terms(cost_bp=0.0, horizon=3),
    )
    assert (result.num_periods, result.num_days) == (2, 6)
    assert result.mean_day == pytest.approx(2 / 6)
    assert result.annual_return == pytest.approx(252 * 2 / 6)
    assert result.turnover == pytest.approx(1 / 6)
    assert result.annual_volatility == pytest.approx(math.sqrt(8) * math.sqrt(84))
    assert result.sharpe == pytest.approx(1 / math.sqrt(8) * math.sqrt(84))


# --- ruin and other ends ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "position", "move", "left"),
    [
        ("simple_return", 1.0, -150.0, 0.0),
        ("simple_return", 1.0, -100.0, 0.0),
        ("simple_return", -1.0, 150.0, 0.0),
        ("simple_return", -1.0, -150.0, 250.0),
        ("log_return", 1.0, -150.0, 100 * math.exp(-1.5)),
        ("log_return", -1.0, 150.0, 0.0),
    ],
    ids=str,
)
def test_what_is_lost_is_lost_and_never_more_than_all(kind, position, move, left):
    held, actual = np.full(4, position), np.array([0.0, move, 50.0, 50.0])
    chosen = terms(kind=kind, cost_bp=0.0)
    path = capital(daily_profit(held, actual, np.zeros(4, dtype=bool), terms=chosen))
    assert path[1] == pytest.approx(left)
    result = trading_result(SIGN, held, actual, np.zeros(4, dtype=bool), terms=chosen)
    assert 0 <= result.max_drawdown <= 100
    if left == 0:
        np.testing.assert_array_equal(path[1:], 0)
        assert (result.total_return, result.max_drawdown) == (-100.0, 100.0)


def test_after_a_ruin_nothing_is_traded():
    held, actual = np.array([1.0, 1, -1, 1]), np.array([1.0, -150, 1, 1])
    result = trading_result(SIGN, held, actual, np.ones(4, dtype=bool), terms=terms(cost_bp=0.0))
    assert result.num_trades == 1
    assert result.turnover == 3 / 4
    assert result.hit_rate == 50.0
    assert result.mean_day == pytest.approx(-99 / 4)


@pytest.mark.parametrize("kind", ["log_return", "simple_return"])
def test_no_drawdown_is_above_a_hundred_in_a_wild_market(kind):
    forecast, actual, is_roll = market(300)
    results = table(forecast, np.clip(20 * actual, -150, 150), is_roll, kind=kind)
    assert len(results) == 24
    assert all(0 <= each.max_drawdown <= 100 for each in results)
    assert all(each.total_return >= -100 for each in results)
    assert any(each.max_drawdown == 100 for each in results)


@pytest.mark.parametrize(
    ("forecast", "actual"),
    [([1.0], [2.0]), ([0.0], [0.0]), ([1.0, 1.0], [0.0, 0.0]), ([1.0] * 9, [0.7] * 9), ([], [])],
    ids=["one day", "one day without anything", "no move", "constant", "no day"],
)
@pytest.mark.parametrize("horizon", [1, 5])
def test_what_is_undefined_is_none_and_nothing_warns(forecast, actual, horizon):
    days = np.array(forecast), np.array(actual), np.zeros(len(actual), dtype=bool)
    results = table(*days, horizon=horizon)
    assert len(results) == 24
    for each in results:
        numbers = [value for value in vars(each).values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers)
        if each.num_periods < 2:
            assert (each.sharpe, each.sharpe_error, each.annual_volatility) == (None, None, None)
    assert results[0].sharpe is None
    assert results[0].profit_factor is None


def test_no_day_at_all_has_no_mean():
    result = table(np.empty(0), np.empty(0), np.empty(0, dtype=bool))[2]
    assert (result.num_days, result.total_return, result.max_drawdown) == (0, 0.0, 0.0)
    assert (result.mean_day, result.annual_return, result.turnover) == (None, None, None)


# --- the curves -------------------------------------------------------------------------------


def test_the_curves_end_where_the_results_do():
    days = market(131)
    found = curves(*days)
    later = [f"{SIGN}{ONE_DAY_LATER}", f"{THRESHOLD}{ONE_DAY_LATER}"]
    assert list(found) == [BUY_AND_HOLD, FLAT, SIGN, THRESHOLD, *later]
    assert len(found) == 131
    results = table(*days, costs_bp=[5.0])
    for name, each in zip(found, results, strict=True):
        assert found[name].iloc[-1] == pytest.approx(100 + each.total_return)
        assert drawdown(found[name].to_numpy()).max() == pytest.approx(each.max_drawdown)


def test_a_curve_moves_on_the_day_on_which_an_outcome_is_complete():
    actual = np.array([3.0, 0, 0, -1, 0, 0, 2])
    found = curves(
        np.ones(7), actual, np.zeros(7, dtype=bool), kind="simple_return", cost_bp=0.0, horizon=3
    )
    np.testing.assert_allclose(found[SIGN], 100 * np.cumprod(1 + actual / 100))
    assert found[FLAT].eq(100.0).all()
    np.testing.assert_allclose(found[f"{SIGN}{ONE_DAY_LATER}"], 100.0)


# --- what is refused --------------------------------------------------------------------------


def test_a_forecast_or_return_that_is_no_number_is_refused():
    broken = np.array([1.0, np.nan])
    with pytest.raises(DataError, match="forecast must be finite, got nan in row 1"):
        positions(broken, buffer=0.0, terms=terms())
    with pytest.raises(DataError, match="actual must be finite, got nan in row 1"):
        daily_profit(np.ones(2), broken, np.zeros(2, dtype=bool), terms=terms())
    with pytest.raises(DataError, match=r"one axis, got the shape \(2, 1\)"):
        positions(np.ones((2, 1)), buffer=0.0, terms=terms())


def test_returns_in_the_wrong_unit_are_refused():
    with pytest.raises(DataError, match="actual must be a return in per cent, got -5000"):
        daily_profit(np.ones(2), np.array([1.0, -5000]), np.zeros(2, dtype=bool), terms=terms())
    with pytest.raises(DataError, match="compounded profits overflow"):
        capital(np.full(400, 900.0))


def test_days_that_do_not_fit_together_are_refused():
    with pytest.raises(DataError, match="2 returns make 2 positions, but there are 3 roll flags"):
        daily_profit(np.ones(2), np.ones(2), np.zeros(3, dtype=bool), terms=terms())
    with pytest.raises(DataError, match="make 2 positions, but there are 2 roll flags and 1"):
        daily_profit(np.ones(1), np.ones(2), np.zeros(2, dtype=bool), terms=terms())


def test_trading_changes_none_of_its_inputs():
    days = market(40)
    copies = [values.copy() for values in days]
    table(*days)
    curves(*days)
    for values, copy in zip(days, copies, strict=True):
        np.testing.assert_array_equal(values, copy)
