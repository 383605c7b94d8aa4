"""Model and baselines side by side, against numbers by hand, scikit-learn and scipy."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, pearsonr, spearmanr
from scipy.stats import t as student
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from ironore_lightning.evaluation.comparison import as_table, compare
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.metrics import Scores, base_rate, correlation
from ironore_lightning.evaluation.significance import clark_west

ACTUAL = np.array([1.0, -2.0, 0.0, 3.0])
BY_HAND = {
    "model": np.array([1.0, -1.0, -1.0, -1.0]),
    "zero": np.zeros(4),
    "expanding mean": np.full(4, 0.5),
}


def noise(num_days=300, *, seed=0):
    """Return outcomes and forecasts, of which one knows a little."""
    rng = np.random.default_rng(seed)
    actual = rng.standard_t(4, num_days)
    actual[::50] = 0.0
    return actual, {
        "model": 0.2 * actual + rng.normal(0, 0.5, num_days),
        "zero": np.zeros(num_days),
        "expanding mean": rng.normal(0.05, 0.02, num_days),
        "coin": rng.normal(0, 0.3, num_days),
    }


def rows_by_name(actual, forecasts, *, horizon=1):
    days = ScoredDays(pd.DataFrame({"actual": actual}), "log_return", horizon)
    return {row.name: row for row in compare(days, forecasts)}


def test_errors_by_hand():
    model = rows_by_name(ACTUAL, BY_HAND)["model"]
    # The errors are 0, -1, 1 and 4; those of zero 1, -2, 0 and 3.
    assert model.scores.rmse == pytest.approx(np.sqrt(18 / 4))
    assert model.scores.mae == pytest.approx(6 / 4)
    assert model.scores.rmse_ratio == pytest.approx(np.sqrt(18 / 14))
    assert model.scores.mae_ratio == pytest.approx(1.0)
    assert model.scores.r2_zero == pytest.approx(1 - 18 / 14)
    assert model.scores.r2_mean == pytest.approx(1 - 18 / 13)


def test_direction_by_hand():
    model = rows_by_name(ACTUAL, BY_HAND)["model"]
    assert (model.scores.direction_hits, model.scores.direction_days) == (2, 3)
    assert model.scores.direction_accuracy == pytest.approx(200 / 3)
    assert model.scores.base_rate == pytest.approx(200 / 3)
    exact = binomtest(2, 3).proportion_ci(0.95, method="exact")
    assert model.scores.direction_low == pytest.approx(100 * exact.low)
    assert model.scores.direction_high == pytest.approx(100 * exact.high)


def test_correlations_by_hand():
    model = rows_by_name(ACTUAL, BY_HAND)["model"]
    assert model.scores.correlation == pytest.approx(1 / np.sqrt(39))
    assert model.scores.rank_correlation == pytest.approx(
        1 / np.sqrt(15)
    )  # three forecasts share a rank


def test_p_values_by_hand():
    model = rows_by_name(ACTUAL, BY_HAND)["model"]
    # Of forecast times outcome, 1 + 2 + 0 - 3, the mean is 0.
    assert model.clark_west_p == pytest.approx(0.5)
    # Loss differences -1, -3, 1, 7: mean 1, variance 14, and the correction sqrt(3 / 4).
    assert model.diebold_mariano_p == pytest.approx(
        student.cdf(1 / np.sqrt(14 / 4) * np.sqrt(3 / 4), df=3)
    )


@pytest.mark.parametrize("name", ["model", "expanding mean", "coin"])
def test_scores_agree_with_scikit_learn_and_scipy(name):
    actual, forecasts = noise()
    row, forecast = rows_by_name(actual, forecasts)[name], forecasts[name]
    assert row.scores.rmse == pytest.approx(root_mean_squared_error(actual, forecast))
    assert row.scores.mae == pytest.approx(mean_absolute_error(actual, forecast))
    assert row.scores.correlation == pytest.approx(pearsonr(actual, forecast).statistic)
    assert row.scores.rank_correlation == pytest.approx(spearmanr(actual, forecast).statistic)
    assert (row.scores.direction_hits, row.scores.direction_days) == (
        int((forecast * actual > 0).sum()),
        294,
    )


def test_r2_of_the_tests_own_mean_is_that_of_scikit_learn():
    actual, forecasts = noise()
    hindsight = {**forecasts, "expanding mean": np.full(len(actual), actual.mean())}
    model = rows_by_name(actual, hindsight)["model"]
    assert model.scores.r2_mean == pytest.approx(r2_score(actual, forecasts["model"]))


def test_rows_come_in_the_order_of_the_forecasts():
    actual, forecasts = noise()
    assert [row.name for row in rows_by_name(actual, forecasts).values()] == list(forecasts)


def test_zero_is_the_measure_and_has_no_sign():
    zero = rows_by_name(*noise())["zero"]
    assert (zero.scores.rmse_ratio, zero.scores.mae_ratio, zero.scores.r2_zero) == (1.0, 1.0, 0.0)
    assert (zero.scores.direction_hits, zero.scores.direction_days) == (0, 294)
    assert (zero.scores.direction_low, zero.scores.direction_high) == (None, None)
    assert (zero.scores.correlation, zero.scores.rank_correlation) == (None, None)
    assert (zero.clark_west_p, zero.diebold_mariano_p) == (None, None)


def test_the_expanding_mean_explains_nothing_beyond_itself():
    assert rows_by_name(*noise())["expanding mean"].scores.r2_mean == 0.0


def test_what_is_undefined_where_nothing_moves_is_none():
    forecasts = {name: values[:30] for name, values in noise()[1].items()}
    row = rows_by_name(np.zeros(30), forecasts)["model"]
    assert (row.scores.direction_hits, row.scores.direction_days) == (0, 0)
    scores = row.scores
    undefined = {field.name for field in fields(Scores) if getattr(scores, field.name) is None}
    assert undefined >= {"rmse_ratio", "r2_zero", "direction_accuracy", "base_rate", "correlation"}
    numbers = [value for value in vars(scores).values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()


def test_p_values_know_that_outcomes_overlap():
    actual, forecasts = noise()
    row = rows_by_name(actual, forecasts, horizon=3)["model"]
    zero = forecasts["zero"]
    expected = clark_west(forecasts["model"], actual, benchmark=zero, horizon=3).p_value
    assert row.clark_west_p == expected != rows_by_name(actual, forecasts)["model"].clark_west_p


@pytest.mark.parametrize(
    ("actual", "expected"),
    [([1, 2, -1, 0], 200 / 3), ([-1, -2, 1], 200 / 3), ([1, -1], 50.0), ([0, 0], None), ([], None)],
)
def test_the_base_rate_is_that_of_the_better_constant_sign(actual, expected):
    assert base_rate(np.array(actual, dtype=np.float64)) == (expected and pytest.approx(expected))


def test_a_correlation_with_a_constant_is_undefined():
    varied, constant = np.arange(5.0), np.full(5, 0.1)
    assert correlation(varied, constant) is None
    assert correlation(constant, varied) is None
    assert correlation(np.array([]), np.array([])) is None
    assert correlation(varied, -2 * varied) == pytest.approx(-1.0)


@pytest.mark.parametrize("unit", [1e-200, 1e200], ids=str)
def test_a_correlation_does_not_depend_on_the_unit(unit):
    actual, forecasts = noise()
    expected = correlation(forecasts["model"], actual)
    assert correlation(unit * forecasts["model"], unit * actual) == pytest.approx(expected)


def test_a_table_has_a_line_a_forecaster():
    table = as_table(list(rows_by_name(*noise()).values()))
    assert list(table.index) == ["model", "zero", "expanding mean", "coin"]
    assert table.loc["model", "direction_days"] == 294
