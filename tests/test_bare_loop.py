"""The fast path of a fit comes to the numbers of a loop that anybody can write."""

import pytest
import torch
from benchmarks.bare_loop import fit_bare
from lightning import seed_everything
from parts_of_a_run import fit_context_of, samples_of

from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.model.training import build_forecaster, fit
from ironore_lightning.report.epochs import silence_lightning


def fit_both(config, folder):
    """Fit as a run does and as a loop does; facts of one, and what the other ends with."""
    silence_lightning()
    set_up_process(config.hardware)
    datamodule = samples_of(config)
    seed_everything(config.seed, verbose=False)
    forecaster = build_forecaster(12, config.fit_settings)
    _, facts = fit(forecaster, datamodule, config.fit_settings, fit_context_of(config, folder))
    return facts, fit_bare(datamodule, config)


@pytest.mark.parametrize("head", ["point", "gaussian", "student_t", "quantile"])
def test_a_fit_equals_a_hand_written_loop(compose, tmp_path, head):
    config = compose("model=bilstm_small", f"model.head={head}", "training.max_epochs=3")
    facts, bare = fit_both(config, tmp_path)
    assert facts.num_epochs == bare.num_epochs == 3
    assert facts.best_score == pytest.approx(min(bare.losses), abs=1e-6)
    saved = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    for name, weight in bare.weights.items():
        torch.testing.assert_close(saved[f"network.{name}"], weight, rtol=0, atol=1e-6)


def test_patience_ends_both_in_the_same_epoch(compose, tmp_path):
    config = compose("model=tiny", "training.patience=2", "training.learning_rate=0.5")
    facts, bare = fit_both(config, tmp_path)
    assert facts.stopped_early
    assert facts.num_epochs == bare.num_epochs < config.training.max_epochs
