"""Scaling against scikit-learn's own transform."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from ironore_lightning.data.scaling import ROWS_AT_ONCE, fit_scaler, scale_table
from ironore_lightning.settings.samples import ScalingSettings

METHODS = ["minmax", "standard", "robust", "none"]


def table(rows=200, seed=0):
    """Columns of very different size, one of them with a large offset."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(4, (rows, 4)) * [1, 1e3, 1e-6, 2] + [0, 5e3, 0, 1e4]


def fit(rows, method):
    return fit_scaler(rows, ScalingSettings(method=method))


@pytest.mark.parametrize(
    ("method", "reference"),
    [("minmax", MinMaxScaler()), ("standard", StandardScaler()), ("robust", RobustScaler())],
    ids=METHODS[:3],
)
def test_a_method_equals_scikit_learn(method, reference):
    training, later = table(), table(50, seed=1) * 3
    scaler = fit(training, method)
    reference.fit(training)
    for rows in (training, later):
        np.testing.assert_allclose(
            scaler.apply(rows), reference.transform(rows), rtol=1e-6, atol=1e-6
        )


def test_none_leaves_values_as_they_are():
    np.testing.assert_array_equal(fit(table(), "none").apply(table()), table().astype(np.float32))


def test_minmax_by_hand():
    scaler = fit(np.array([[10.0, -1.0], [30.0, 1.0], [20.0, 0.0]]), "minmax")
    np.testing.assert_allclose(
        scaler.apply(np.array([[10.0, 1.0], [25.0, -1.0]])), [[0, 1], [0.75, 0]], rtol=1e-7
    )


def test_standard_by_hand():
    scaler = fit(np.array([[1.0], [2.0], [3.0], [6.0]]), "standard")
    # Mean 3, variance (4 + 1 + 0 + 9) / 4.
    np.testing.assert_allclose(scaler.apply(np.array([[5.0]])), [[2 / np.sqrt(3.5)]], rtol=1e-7)


def test_robust_by_hand():
    scaler = fit(np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]]), "robust")
    # Median 3, quartiles 2 and 4.
    np.testing.assert_allclose(scaler.apply(np.array([[7.0]])), [[2.0]], rtol=1e-7)


def test_a_value_beyond_the_training_rows_is_not_clipped():
    scaler = fit(np.array([[0.0], [10.0]]), "minmax")
    np.testing.assert_allclose(scaler.apply(np.array([[-5.0], [20.0]])), [[-0.5], [2.0]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 7.3, -1e6], ids=str)
def test_a_constant_column_stays_finite_and_keeps_its_unit(method, value):
    scaler = fit(np.full((30, 1), value), method)
    assert scaler.spread.tolist() == [1.0]
    scaled = scaler.apply(np.array([[value], [value + 2.0]]))
    np.testing.assert_allclose(scaled[1] - scaled[0], [2.0], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_spread_is_above_zero(method):
    scaler = fit(table(), method)
    assert scaler.center.shape == scaler.spread.shape == (4,)
    assert (scaler.spread > 0).all()


def test_many_rows_are_scaled_as_few_are():
    rows = np.random.default_rng(0).normal(size=(2 * ROWS_AT_ONCE + 3, 2))
    scaler = fit(rows[:100], "standard")
    scaled = scale_table(scaler, pd.DataFrame(rows))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, scaler.apply(rows))
