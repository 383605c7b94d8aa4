"""The networks against torch's own pieces, and a network of somebody's own."""

import datetime

import pytest
import torch

from ironore_lightning.experiment import run_experiment
from ironore_lightning.forecast.__main__ import main as forecast
from ironore_lightning.model.bilstm import BiLSTM
from ironore_lightning.model.nlinear import NLinear
from ironore_lightning.model.shape import Shape


def settings(compose, **changes):
    return compose("model=tiny").model.model_copy(update=changes)


@pytest.fixture
def inputs():
    return torch.randn(7, 20, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_window_becomes_as_many_numbers_as_are_asked_for(
    compose, inputs, bidirectional, layer_norm, num_layers
):
    changes = {"bidirectional": bidirectional, "layer_norm": layer_norm, "num_layers": num_layers}
    network = BiLSTM(Shape(12, 20, 3), settings(compose, **changes))
    assert network(inputs).shape == (7, 3)


def test_the_default_network_has_the_size_worked_out_by_hand(compose):
    network = BiLSTM(Shape(12, 20, 1), compose().model)
    gates, hidden = 4, 96
    first = 2 * gates * (hidden * (12 + hidden) + 2 * hidden)
    second = 2 * gates * (hidden * (2 * hidden + hidden) + 2 * hidden)
    norm, output = 2 * 2 * hidden, 2 * hidden + 1
    assert sum(weight.numel() for weight in network.parameters()) == first + second + norm + output


def test_the_readout_is_the_end_of_both_passes(compose, inputs):
    network = BiLSTM(Shape(12, 20, 1), settings(compose, layer_norm=False)).eval()
    outputs, _ = network.lstm(inputs)
    forward_end, backward_end = outputs[:, -1, :4], outputs[:, 0, 4:]
    expected = network.output(torch.cat([forward_end, backward_end], dim=1))
    torch.testing.assert_close(network(inputs), expected, rtol=0, atol=1e-6)


def test_the_backward_half_reads_the_oldest_row(compose, inputs):
    network = BiLSTM(Shape(12, 20, 1), settings(compose, layer_norm=False)).eval()
    with torch.no_grad():
        network.output.weight[:, :4] = 0.0  # listen to the backward pass alone
    changed = inputs.clone()
    changed[:, 0] += 1.0
    assert (network(inputs) != network(changed)).all()


def test_weights_start_as_the_docstring_says(compose):
    network = BiLSTM(Shape(12, 20, 1), compose().model)
    for name, weight in network.lstm.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weight.chunk(4):
                torch.testing.assert_close(gate @ gate.T, torch.eye(96), rtol=0, atol=1e-5)
        elif name.startswith("weight_ih"):
            bound = (6 / sum(weight.shape)) ** 0.5
            assert weight.abs().max() <= bound
        else:
            gates = weight.chunk(4)
            assert all((gate == 0).all() for gate in (gates[0], gates[2], gates[3]))
            assert (gates[1] == (1.0 if name.startswith("bias_ih") else 0.0)).all()
    assert network.output.weight.abs().max() <= 0.1 * (6 / (192 + 1)) ** 0.5
    assert network.output.bias.item() == 0.0


def test_dropout_is_silent_when_forecasting(compose, inputs):
    network = BiLSTM(Shape(12, 20, 1), compose().model)
    assert not torch.equal(network(inputs), network(inputs))
    network.eval()
    assert torch.equal(network(inputs), network(inputs))


def test_nlinear_weighs_what_happened_since_the_last_row(compose):
    network = NLinear(Shape(2, 3, 1), compose("model=nlinear").model).eval()
    with torch.no_grad():
        network.output.weight[:] = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
        network.output.bias[:] = 0.5
    window = torch.tensor([[[1.0, 2.0], [3.0, 5.0], [2.0, 4.0]]])
    # The rows but the last one, less that one: (-1, -2) and (1, 1).
    assert network(window).item() == pytest.approx(-1 - 20 + 100 + 1000 + 0.5)
    assert network(window + 7.0).item() == network(window).item()


def test_a_run_is_named_for_its_network_and_its_checkpoint_forecasts(compose, tmp_path):
    config = compose("model=nlinear", "training.max_epochs=2")
    result = run_experiment(config, tmp_path)
    assert result.run.facts.num_parameters == 19 * 12 + 1
    assert config.model.title == "NLinear"
    assert forecast([str(tmp_path)], today=datetime.date(2025, 8, 14)) == 0
