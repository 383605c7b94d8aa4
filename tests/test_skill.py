"""The tests that decide the grade, against regressions and rotations done by hand."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from ironore_lightning.evaluation.skill import (
    chosen_rotation,
    encompassing,
    predictive_slope,
    rotation,
    skill_p,
)

NUM_DAYS = 131


@pytest.fixture(scope="module")
def days():
    """Return a forecast that knows a little of a rising market, and the market."""
    rng = np.random.default_rng(5)
    known, unknown = rng.standard_normal((2, NUM_DAYS))
    return known, 0.3 + 0.2 * known + unknown


def newey_west_t(forecast, actual, *, lags):
    """Regress on a constant and the forecast; lags weigh 1 - k / (lags + 1), as in a textbook."""
    num_days = len(actual)
    design = np.column_stack([np.ones(num_days), forecast])
    inverse = np.linalg.inv(design.T @ design)
    slope = inverse @ design.T @ actual
    scores = design * (actual - design @ slope)[:, None]
    meat = scores.T @ scores
    for lag in range(1, lags + 1):
        products = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (products + products.T)
    error = np.sqrt((inverse @ meat @ inverse)[1, 1] * num_days / (num_days - 2))
    return slope[1] / error


# --- slope ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("horizon", "lags"), [(1, 4), (4, 4), (9, 8)])
def test_the_slope_is_that_of_a_regression_with_newey_west_errors(days, horizon, lags):
    forecast, actual = days
    found = predictive_slope(forecast, actual, horizon=horizon)
    statistic = newey_west_t(forecast, actual, lags=lags)  # floor(4 * 1.31^(2/9)) = 4
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p_value == pytest.approx(student.sf(statistic, 129), rel=1e-9)
    opposite = predictive_slope(-forecast, actual, horizon=horizon)
    assert opposite.p_value == pytest.approx(1 - found.p_value)


@pytest.mark.parametrize("unit", [1e-150, 1e100], ids=str)
def test_no_unit_and_no_drift_changes_a_test(days, unit):
    forecast, actual = days
    rivals = {"other": np.sin(np.arange(NUM_DAYS))}
    for test in (
        lambda said, went: predictive_slope(said, went, horizon=1),
        rotation,
        lambda said, went: encompassing(said, went, rivals, horizon=1),
    ):
        expected = test(forecast, actual).p_value
        assert test(unit * forecast, unit * actual).p_value == pytest.approx(expected)
        assert test(forecast + 5, actual + 3).p_value == pytest.approx(expected)


# --- rotation -------------------------------------------------------------------------------------


def test_the_rotation_compares_with_every_circular_shift(days):
    forecast, actual = days
    centred = actual - actual.mean()
    shifted = [np.roll(forecast, days) @ centred for days in range(NUM_DAYS)]
    assert np.mean(shifted) == pytest.approx(0, abs=1e-9)
    statistic = shifted[0] / np.sqrt(np.mean(np.square(shifted)))
    found = rotation(forecast, actual)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(norm.sf(statistic))


def test_a_smooth_forecast_has_to_beat_smooth_ones():
    """Two slow waves meet by luck: a regression is sure, and a rotation is not."""
    day = np.arange(250)
    rng = np.random.default_rng(0)
    forecast = np.sin(day / 40)
    actual = np.sin(day / 40 + 0.9) + 0.3 * rng.standard_normal(250)
    slope, rotated = predictive_slope(forecast, actual, horizon=1), rotation(forecast, actual)
    assert slope.p_value < 1e-4
    assert rotated.p_value > 0.05
    assert skill_p(slope, rotated) == rotated.p_value


@pytest.mark.parametrize(
    ("forecast", "actual", "reason"),
    [
        (np.arange(9.0), np.arange(9.0) ** 2, "needs at least 10 days"),
        (np.full(20, 0.3), np.arange(20.0), "the forecast never changes"),
        (np.arange(20.0), np.full(20, 0.3), "the market never changes"),
        (np.where(np.arange(20) == 7, np.nan, 1.0), np.arange(20.0), "not all values are finite"),
    ],
)
def test_what_cannot_covary_has_no_p_value(forecast, actual, reason):
    slope, rotated = predictive_slope(forecast, actual, horizon=1), rotation(forecast, actual)
    assert skill_p(slope, rotated) is None
    for found in (slope, rotated, encompassing(forecast, actual, {}, horizon=1)):
        assert (found.p_value, found.note) == (None, f"undefined: {reason}")


def test_a_perfect_forecast_is_surely_skilled():
    wave = np.sin(np.arange(60.0)) + np.cos(np.arange(60.0) ** 2)
    assert rotation(wave, wave).p_value < 1e-4


# --- encompassing ---------------------------------------------------------------------------------


def test_encompassing_is_the_robust_t_of_the_forecast_beside_its_rivals(days):
    forecast, actual = days
    rivals = np.random.default_rng(6).standard_normal((2, NUM_DAYS))
    found = encompassing(forecast, actual, dict(zip("ab", rivals, strict=True)), horizon=1)
    design = np.column_stack([np.ones(NUM_DAYS), forecast, *rivals])
    inverse = np.linalg.inv(design.T @ design)
    slopes = inverse @ design.T @ actual
    scores = design * (actual - design @ slopes)[:, None]
    variance = (inverse @ scores.T @ scores @ inverse)[1, 1] * NUM_DAYS / (NUM_DAYS - 4)
    statistic = slopes[1] / np.sqrt(variance)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(student.sf(statistic, NUM_DAYS - 4))


def test_a_forecast_adds_nothing_to_rivals_of_which_it_is_made(days):
    forecast, actual = days
    other = np.cos(np.arange(NUM_DAYS))
    rivals = {"ridge": other, "AR(1)": 2 * forecast + 3 * other + 1, "zero": np.zeros(NUM_DAYS)}
    found = encompassing(forecast, actual, rivals, horizon=1)
    assert found.note == "undefined: its rivals add up to the forecast"


def test_a_noisy_copy_adds_nothing_to_its_original(days):
    """The noise is orthogonal to forecast and market, so the copy's slope beside it is zero."""
    forecast, actual = days
    known = np.column_stack([np.ones(NUM_DAYS), forecast, actual])
    noise = np.random.default_rng(9).standard_normal(NUM_DAYS)
    noise -= known @ np.linalg.lstsq(known, noise)[0]
    copy = forecast + 0.3 * noise
    assert encompassing(copy, actual, {}, horizon=1).p_value < 0.1
    beside = encompassing(copy, actual, {"AR(1)": forecast}, horizon=1)
    assert beside.p_value == pytest.approx(0.5)


# --- the best of many -----------------------------------------------------------------------------


def test_the_chosen_one_is_measured_by_the_best_of_all_on_every_shift(days):
    forecast, actual = days
    trials = {"chosen": forecast, "other": np.random.default_rng(1).standard_normal(NUM_DAYS)}
    centred = actual - actual.mean()
    rows = []
    for values in trials.values():
        shifted = np.array([np.roll(values, shift) @ centred for shift in range(NUM_DAYS)])
        rows.append(shifted / np.sqrt(np.mean(shifted**2)))
    largest = np.max(rows, axis=0)
    expected = np.mean(largest >= rows[0][0])
    found = chosen_rotation(trials, actual, chosen="chosen")
    assert found.p_value == pytest.approx(expected)
    assert found.statistic == pytest.approx(rows[0][0])


def test_twins_cost_nothing_and_strangers_do(days):
    forecast, actual = days
    alone = chosen_rotation({"chosen": forecast}, actual, chosen="chosen").p_value
    twins = {"chosen": forecast, **{str(n): (n + 2) * forecast for n in range(50)}}
    assert chosen_rotation(twins, actual, chosen="chosen").p_value == alone
    rng = np.random.default_rng(3)
    strangers = {"chosen": forecast, **{str(n): rng.standard_normal(NUM_DAYS) for n in range(50)}}
    assert chosen_rotation(strangers, actual, chosen="chosen").p_value > 5 * alone


def test_constant_trials_are_left_out(days):
    forecast, actual = days
    trials = {"chosen": forecast, "flat": np.zeros(NUM_DAYS)}
    alone = chosen_rotation({"chosen": forecast}, actual, chosen="chosen")
    assert chosen_rotation(trials, actual, chosen="chosen") == alone
    assert chosen_rotation(trials, actual, chosen="flat").p_value is None


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_size_of_a_forecast_does_not_change_what_it_adds(size):
    forecast, actual, rival = np.random.default_rng(4).normal(size=(3, 131))
    plain, sized = (
        encompassing(scale * forecast, actual, {"rival": rival}, horizon=1) for scale in (1, size)
    )
    assert sized.p_value == pytest.approx(plain.p_value)
