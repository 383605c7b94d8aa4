"""What drivers and days add to a forecast: known exactly of a linear network."""

import sys

import numpy as np
import pytest
import torch

from ironore_lightning.model.attribution import (
    Explanation,
    agreement,
    explain,
    mean_explanation,
)
from ironore_lightning.model.training import build_forecaster

NAMES = ["freight", "stocks", "freight"]
USUAL = np.array([0.5, 0.25, -1.0], dtype=np.float32)


def draw_window(length, seed=0):
    return np.random.default_rng(seed).normal(size=(length, 3)).astype(np.float32)


@pytest.fixture
def forecaster(compose):
    """Return a network of three columns, with weights large enough to bend."""

    def build(*overrides, factor=1.0, seed=0):
        config = compose(*overrides)
        torch.manual_seed(seed)
        network = build_forecaster(3, config.fit_settings)
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(factor)
        return network

    return build


def test_a_linear_network_adds_its_weights_times_the_input(forecaster):
    network, window = forecaster("model=nlinear"), draw_window(20)
    weights = network.network.output.weight.detach().numpy().reshape(19, 3)
    # It reads differences from the last row, which therefore has the opposite of all weights.
    weights = np.vstack([weights, -weights.sum(axis=0)])
    expected = weights * (window - USUAL)
    found = explain(network, window, NAMES, usual=USUAL)
    np.testing.assert_allclose(found.matrix, expected, atol=1e-6)
    np.testing.assert_allclose(found.by_lag, expected.sum(axis=1), atol=1e-5)
    by_column = expected.sum(axis=0)
    assert list(found.by_driver) == ["freight", "stocks"]
    # Freight stands in two columns.
    assert found.by_driver["freight"] == pytest.approx(by_column[0] + by_column[2], abs=1e-5)
    assert found.by_driver["stocks"] == pytest.approx(by_column[1], abs=1e-5)


@pytest.mark.parametrize(
    "model", ["bilstm", "bilstm_gaussian", "bilstm_student_t", "bilstm_quantile", "tiny"]
)
def test_what_is_added_sums_to_the_forecast_less_that_of_the_usual_window(forecaster, model):
    network, window = forecaster(f"model={model}", factor=1.5), draw_window(20)
    found = explain(network, window, NAMES, usual=USUAL)
    usual = np.broadcast_to(USUAL, window.shape)
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.stack([window, usual])))
    given, before = network.head.forecast(outputs).tolist()
    assert abs(given - before) > 1e-3
    assert found.matrix.sum() == pytest.approx(given - before, rel=0.01)
    assert sum(found.by_lag) == pytest.approx(given - before, rel=0.01)
    assert sum(found.by_driver.values()) == pytest.approx(given - before, rel=0.01)


def test_the_same_window_is_explained_alike_and_the_usual_one_not_at_all(forecaster):
    network, window = forecaster("model=tiny"), draw_window(20)
    first, second = (explain(network, window, NAMES, usual=USUAL) for _ in range(2))
    assert (first.matrix == second.matrix).all()
    usual = np.tile(USUAL, (20, 1))
    assert not explain(network, usual, NAMES, usual=USUAL).matrix.any()


def test_a_column_that_the_network_does_not_read_adds_nothing(forecaster):
    network, window = forecaster("model=tiny"), draw_window(20)
    with torch.no_grad():
        for name, weight in network.network.lstm.named_parameters():
            if name.startswith("weight_ih_l0"):
                weight[:, 1] = 0
    found = explain(network, window, NAMES, usual=USUAL)
    assert found.by_driver["stocks"] == 0
    assert found.by_driver["freight"] != 0


def test_the_mean_of_two_networks_explains_their_mean_forecast():
    first, second = (
        Explanation({}, [], np.array(matrix))
        for matrix in ([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]], [[3.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    )
    found = mean_explanation([first, second], NAMES)
    assert found.matrix.tolist() == [[2, 1, 2], [0, 1, 0]]
    assert found.by_driver == {"freight": 4.0, "stocks": 2.0}
    assert found.by_lag == [5.0, 1.0]


def test_agreement_is_the_mean_correlation_of_all_pairs():
    up, down, flat = np.array([[1.0, 2.0, 3.0]]), np.array([[3.0, 2.0, 1.0]]), np.zeros((1, 3))
    one, other, third, constant = (Explanation({}, [], each) for each in (up, 2 * up, down, flat))
    assert agreement([one, other]) == pytest.approx(1.0)
    assert agreement([one, other, third]) == pytest.approx((1 - 1 - 1) / 3)
    assert agreement([one]) is None
    assert agreement([one, constant]) is None


def test_without_captum_a_line_names_the_extra(forecaster, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    network = forecaster("model=tiny")
    assert explain(network, draw_window(20), NAMES, usual=USUAL) is None
    (message,) = caplog.messages
    assert message.startswith("no explanation: captum is not installed; install it with pip ")
    assert "[explain]" in message
