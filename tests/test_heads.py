"""What the outputs of the network mean."""

import numpy as np
import pytest
import torch
from scipy import stats

from ironore_lightning.evaluation.distributions import LEVELS
from ironore_lightning.experiment import run_experiment
from ironore_lightning.model.heads import NUM_OUTPUTS, Head


@pytest.fixture
def raw():
    def draw(kind):
        generator = torch.Generator().manual_seed(0)
        return 3 * torch.randn(50, NUM_OUTPUTS[kind], generator=generator)

    return draw


def test_a_point_says_its_one_number(raw):
    head = Head("point", "mse")
    outputs = raw("point")
    parameters = head.parameters(outputs)
    assert torch.equal(head.forecast(parameters), outputs[:, 0])
    assert head.distribution(parameters) is None


def test_quantiles_never_cross_and_their_middle_is_the_median(raw):
    head = Head("quantile", "mse")
    outputs = raw("quantile")
    quantiles = head.parameters(outputs)
    assert quantiles.shape == (50, 19)
    assert (quantiles.diff(dim=1) > 0).all()
    assert torch.equal(head.forecast(quantiles), outputs[:, 9])
    assert LEVELS[9] == 0.5


def test_each_quantile_is_its_neighbour_and_a_step(raw):
    outputs = raw("quantile")
    quantiles = Head("quantile", "mse").parameters(outputs)
    steps = torch.nn.functional.softplus(outputs - 1)
    for column in range(9):
        expected = quantiles[:, column + 1] - steps[:, column]
        torch.testing.assert_close(quantiles[:, column], expected, rtol=0, atol=1e-4)
    for column in range(10, 19):
        expected = quantiles[:, column - 1] + steps[:, column]
        torch.testing.assert_close(quantiles[:, column], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["gaussian", "student_t"])
def test_likelihoods_are_those_of_scipy(raw, kind):
    head = Head(kind, "mse")
    parameters = head.parameters(raw(kind))
    target = torch.linspace(-5, 5, 50)
    columns = parameters.double().numpy().T
    if kind == "gaussian":
        expected = stats.norm.logpdf(target.numpy(), columns[0], columns[1])
    else:
        assert (columns[2] > 2).all()
        expected = stats.t.logpdf(target.numpy(), columns[2], columns[0], columns[1])
    assert (columns[1] > 0).all()
    assert head.mean_loss(parameters, target).item() == pytest.approx(-expected.mean(), rel=1e-4)


def test_pinball_loss_by_hand():
    head = Head("quantile", "mse")
    quantiles = torch.arange(19.0).unsqueeze(0)
    loss = head.mean_loss(quantiles, torch.tensor([9.0]))
    by_hand = np.mean([max(q * (9 - v), (q - 1) * (9 - v)) for v, q in enumerate(LEVELS)])
    assert loss.item() == pytest.approx(by_hand)


@pytest.mark.usefixtures("one_quick_figure")
@pytest.mark.parametrize("kind", ["gaussian", "student_t", "quantile"])
def test_a_network_that_says_distributions_is_assessed_as_one(compose, tmp_path, kind):
    config = compose(f"model=bilstm_{kind}", "model.hidden_size=4", "training.max_epochs=2")
    result = run_experiment(config, tmp_path)
    test = result.forecasts.predictions.query("segment == 'test'")
    assert (test["lower_90"] < test["lower_80"]).all()
    assert (test["upper_80"] < test["upper_90"]).all()
    assert {"model", "EWMA", "GARCH(1,1)-t"} == set(result.assessment.density)
    exact = result.assessment.density["model"]["crps"]
    assert (exact is None) == (kind == "quantile")
    assert result.assessment.density["model"]["pinball"] < 1.0
