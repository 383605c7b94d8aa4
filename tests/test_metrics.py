"""Scores against hand-worked numbers and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.metrics import (
    chance_accuracy,
    evaluate,
    guessing_band,
)
from ironore_lightning.model.epoch_metrics import DirectionAccuracy, direction_hits

ACTUAL = [1.0, -2.0, 0.0, 3.0, -1.0]
FORECAST = [0.5, 1.0, 0.5, 0.0, -2.0]


def frame(actual, forecast):
    return pd.DataFrame({"actual": actual, "forecast": forecast})


def test_scores_of_five_days_worked_out_by_hand():
    scores = evaluate(ScoredDays(frame(ACTUAL, FORECAST), "log_return", 1))
    # errors: -0.5, 3, 0.5, -3, -1; squares sum to 0.25 + 9 + 0.25 + 9 + 1 = 19.5
    assert scores.num_days == 5
    assert scores.rmse == pytest.approx(np.sqrt(19.5 / 5))
    assert scores.mae == pytest.approx(8 / 5)
    assert scores.zero_rmse == pytest.approx(np.sqrt(15 / 5))
    assert scores.zero_mae == pytest.approx(7 / 5)
    assert scores.r2_zero == pytest.approx(1 - 19.5 / 15)


def test_a_day_without_a_move_is_not_counted_and_a_zero_forecast_is_a_miss():
    scores = evaluate(ScoredDays(frame(ACTUAL, FORECAST), "log_return", 1))
    assert (scores.direction_hits, scores.direction_days) == (2, 4)
    assert scores.direction_accuracy == 50.0
    assert scores.zero_forecast_days == 1
    assert scores.up_share == 50.0


def test_errors_and_r2_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    actual, forecast = generator.normal(size=(2, 131))
    scores = evaluate(ScoredDays(frame(actual, forecast), "log_return", 1))
    assert scores.rmse == pytest.approx(np.sqrt(mean_squared_error(actual, forecast)), rel=1e-12)
    assert scores.mae == pytest.approx(mean_absolute_error(actual, forecast), rel=1e-12)
    assert scores.r2 == pytest.approx(r2_score(actual, forecast), rel=1e-12)
    assert scores.correlation == pytest.approx(np.corrcoef(actual, forecast)[0, 1], rel=1e-12)


def test_mape_is_of_the_rebuilt_price_whatever_the_price_was():
    actual, forecast = [2.0, -3.0], [1.0, 1.0]
    before = np.array([100.0, 80.0])
    price = before * np.exp(np.array(actual) / 100)
    rebuilt = before * np.exp(np.array(forecast) / 100)
    scores = evaluate(ScoredDays(frame(actual, forecast), "log_return", 1))
    assert scores.mape == pytest.approx(100 * np.mean(np.abs(rebuilt - price) / price))
    assert scores.naive_mape == pytest.approx(100 * np.mean(np.abs(before - price) / price))


def test_mape_of_simple_returns_compounds_simply():
    scores = evaluate(ScoredDays(frame([10.0], [0.0]), "simple_return", 1))
    assert scores.mape == pytest.approx(100 * 0.1 / 1.1)


def test_a_given_target_has_no_price_and_so_no_mape():
    scores = evaluate(ScoredDays(frame(ACTUAL, FORECAST), "given", 1))
    assert (scores.mape, scores.naive_mape) == (None, None)


def test_the_zero_forecast_ties_with_itself():
    scores = evaluate(ScoredDays(frame(ACTUAL, [0.0] * 5), "log_return", 1))
    assert (scores.rmse, scores.mae, scores.mape) == (
        scores.zero_rmse,
        scores.zero_mae,
        scores.naive_mape,
    )
    assert scores.r2_zero == 0.0
    assert scores.direction_hits == 0
    assert scores.correlation is None


@pytest.mark.parametrize(
    ("actual", "forecast"),
    [([0.0, 0.0], [1.0, 2.0]), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 1.0])],
    ids=["no move", "one day", "constant"],
)
def test_what_is_undefined_is_none_and_not_a_number_made_up(actual, forecast):
    scores = evaluate(ScoredDays(frame(actual, forecast), "log_return", 1))
    assert scores.r2 is None
    assert scores.correlation is None
    if not any(actual):
        assert scores.direction_accuracy is None
        assert scores.guessing_low is None
        assert scores.r2_zero is None


@pytest.mark.parametrize(
    ("days", "low", "high"),
    [(131, 54, 77), (20, 6, 14), (50, 18, 32), (252, 110, 142)],
    ids=str,
)
def test_the_band_of_guessing_is_the_binomial_one(days, low, high):
    assert guessing_band(days, horizon=1) == (
        pytest.approx(100 * low / days),
        pytest.approx(100 * high / days),
    )


def test_direction_accuracy_adds_up_over_batches():
    metric = DirectionAccuracy()
    metric.update(torch.tensor(FORECAST[:2]), torch.tensor(ACTUAL[:2]))
    metric.update(torch.tensor(FORECAST[2:]), torch.tensor(ACTUAL[2:]))
    assert metric.compute() == 50.0
    metric.reset()
    metric.update(torch.tensor([1.0]), torch.tensor([0.0]))
    assert metric.compute().isnan()


def test_hits_need_the_same_sign():
    hits, days = direction_hits(torch.tensor([1.0, 1.0, -1.0]), torch.tensor([2.0, -2.0, -2.0]))
    assert (int(hits), int(days)) == (2, 3)


def test_returns_that_overlap_are_no_more_than_those_that_do_not():
    actual, forecast = np.tile([1.0, -1.0], 50), np.ones(100)
    scores = evaluate(ScoredDays(frame(actual, forecast), "log_return", 5))
    assert (scores.direction_days, scores.days_apart) == (100, 20)
    assert (scores.guessing_low, scores.guessing_high) == guessing_band(20, horizon=1) == (30, 70)


def test_the_chance_of_signs_in_another_order_by_hand():
    """Up on 3 of 4 days that moved, forecast up on 2 and down on 1: (2 * 3 + 1 * 1) / 16."""
    actual, forecast = np.array([1.0, 2, 3, -1, 0]), np.array([1.0, -1, 2, 0, 5])
    assert chance_accuracy(forecast, actual) == pytest.approx(100 * 7 / 16)
    assert chance_accuracy(np.ones(5), actual) == 75.0
    assert chance_accuracy(np.ones(2), np.zeros(2)) is None
