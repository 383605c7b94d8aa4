"""The LightningModule and how it is fitted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.errors import TrainingError
from ironore_lightning.experiment import run_experiment
from ironore_lightning.model.losses import LOSSES, MeanLoss
from ironore_lightning.model.training import build_forecaster
from ironore_lightning.settings.samples import WindowSettings

pytestmark = pytest.mark.usefixtures("one_quick_figure")


@pytest.fixture
def make_datamodule(compose):
    def make(days=120):
        config = compose("model=tiny")
        generator = np.random.default_rng(0)
        index = pd.date_range("2024-01-01", periods=days, freq="B")
        features = pd.DataFrame(generator.normal(size=(days, 2)), index=index, columns=["a", "b"])
        dates = pd.Series(index, index=index).shift(-1)
        target = pd.DataFrame({"date": dates, "value": generator.normal(size=days)}, index=index)
        target.loc[dates.isna(), "value"] = np.nan
        window = WindowSettings(sequence_length=5)
        return WindowDataModule(features, target, replace(config.dataset_settings, window=window))

    return make


def forecaster_with(compose, *overrides):
    config = compose("model=tiny", *overrides)
    return build_forecaster(2, config.fit_settings)


@pytest.mark.parametrize(
    ("name", "expected"), [("mse", 2.5), ("mae", 1.5), ("huber", (0.5 + 1.5) / 2)]
)
def test_losses_by_hand(name, expected):
    forecast, target = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert LOSSES[name](forecast, target).item() == pytest.approx(expected)


def test_the_mean_loss_weighs_samples_and_not_batches():
    mean = MeanLoss()
    mean.add(torch.tensor(1.0), 3)
    mean.add(torch.tensor(5.0), 1)
    total, num_samples = mean.take()
    assert (total / num_samples).item() == 2.0
    assert mean.num_samples == 0


def optimizer_with(compose, *overrides):
    (optimizer,), schedules = forecaster_with(compose, *overrides).configure_optimizers()
    return optimizer, schedules


def test_the_optimiser_is_the_one_that_was_set(compose):
    adam, schedules = optimizer_with(compose, "training.learning_rate=0.01")
    assert (type(adam), schedules) == (Adam, [])
    assert adam.param_groups[0]["lr"] == 0.01
    decaying = ("training.optimizer=adamw", "training.weight_decay=0.1")
    adamw, _ = optimizer_with(compose, *decaying)
    assert type(adamw) is AdamW
    assert adamw.param_groups[0]["weight_decay"] == 0.1


def test_the_schedule_is_the_one_that_was_set(compose):
    _, (cosine,) = optimizer_with(compose, "training.schedule=cosine")
    assert isinstance(cosine, CosineAnnealingLR)
    assert cosine.T_max == 200
    _, (plateau,) = optimizer_with(compose, "training.schedule=reduce_on_plateau")
    assert isinstance(plateau, ReduceLROnPlateau)
    assert plateau.patience == 5


@pytest.mark.parametrize("schedule", ["cosine", "reduce_on_plateau"])
def test_a_scheduled_fit_lowers_the_learning_rate(compose, tmp_path, schedule):
    config = compose(
        "model=tiny",
        "training.max_epochs=6",
        "training.patience=3",
        "training.learning_rate=0.1",
        f"training.schedule={schedule}",
    )
    run_experiment(config, tmp_path)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert 0 <= last["learning_rate"] < 0.1


def test_training_stops_when_the_monitor_no_longer_improves(compose, tmp_path):
    setting = ("model=tiny", "training.patience=2", "training.learning_rate=0.5")
    result = run_experiment(compose(*setting), tmp_path)
    assert result.run.facts.stopped_early
    assert result.run.facts.num_epochs == result.run.facts.best_epoch + 2
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert best["epoch"] + 1 == result.run.facts.best_epoch
    assert last["epoch"] + 1 == result.run.facts.num_epochs
    assert result.run.objective == result.run.facts.best_score


def test_the_planted_signal_of_a_market_is_found_and_an_empty_market_stays_a_coin(
    compose, tmp_path
):
    setting = ("features=stationary", "model=bilstm_small", "scaling.method=standard")
    shared = (*setting, "training.max_epochs=40", "training.learning_rate=0.005")
    signal = run_experiment(compose(*shared, "data.sample.signal=0.5"), tmp_path / "signal")
    found = signal.assessment.scores
    # Half of the variance is planted: a forecast that found all of it would have R2 0.5.
    assert found.r2_zero > 0.2
    assert found.direction_accuracy > found.guessing_high
    assert signal.assessment.evidence.grade == "SUSPECT"  # nobody forecasts half of the variance
    assert signal.assessment.evidence.earned in {"SUGGESTIVE", "SUPPORTED"}
    nothing = run_experiment(compose(*shared), tmp_path / "empty")
    empty = nothing.assessment.scores
    assert nothing.assessment.evidence.grade in {"NONE", "INSUFFICIENT"}
    assert empty.r2_zero < 0.05
    assert empty.guessing_low <= empty.direction_accuracy <= empty.guessing_high


def test_a_loss_that_turns_to_nan_keeps_the_epochs_before(compose, tmp_path, monkeypatch):
    calls = []

    def break_in_the_second_epoch(forecast, target):
        calls.append(None)
        loss = torch.nn.functional.mse_loss(forecast, target)
        return loss * float("nan") if len(calls) > 25 else loss  # 19 batches and a validation

    monkeypatch.setitem(LOSSES, "mse", break_in_the_second_epoch)
    with pytest.raises(TrainingError, match="train/loss is nan in epoch 2"):
        run_experiment(compose("model=tiny", "training.max_epochs=5"), tmp_path)
    checkpoint = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 0
    assert all(weight.isfinite().all() for weight in checkpoint["state_dict"].values())


def test_the_network_is_sized_by_the_features(compose):
    forecaster = build_forecaster(2, compose("model=tiny").fit_settings)
    assert forecaster.network.lstm.input_size == 2


@pytest.mark.usefixtures("bfloat16")
def test_mixed_precision_on_a_cpu_is_a_choice_that_fits_nearly_the_same(compose, tmp_path):
    setting = ("model=bilstm_small", "training.max_epochs=3")
    plain = run_experiment(compose(*setting), tmp_path / "plain")
    mixed = run_experiment(compose(*setting, "hardware.precision=bf16-mixed"), tmp_path / "mixed")
    assert mixed.run.objective != plain.run.objective
    assert mixed.run.objective == pytest.approx(plain.run.objective, rel=0.01)
    last = torch.load(tmp_path / "mixed" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(weight.dtype == torch.float32 for weight in last["state_dict"].values())
