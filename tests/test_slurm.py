"""A run inside a Slurm job is the run that it is anywhere else."""

import signal

import pytest
import torch
from lightning import Callback
from parts_of_a_run import fit_context_of, samples_of

from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.model.training import build_forecaster, fit
from ironore_lightning.report.epochs import silence_lightning

SLURM = {
    "SLURM_NTASKS": "1",
    "SLURM_JOB_ID": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_JOB_NAME": "x",
}


class Watch(Callback):
    """Remember who would hear Slurm's signal while a fit goes on."""

    def on_train_start(self, trainer, _):
        self.handler = signal.getsignal(signal.SIGUSR1)
        self.first_epoch = trainer.current_epoch


@pytest.fixture
def fitted(compose, tmp_path, monkeypatch):
    """One epoch in a Slurm job, started where an earlier job has left a checkpoint of lightning."""
    config = compose("model=tiny", "training.max_epochs=1")
    set_up_process(config.hardware)
    silence_lightning()
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_7.ckpt").write_bytes(b"no checkpoint")
    datamodule = samples_of(config)
    torch.manual_seed(0)
    forecaster, watch, folder = build_forecaster(12, config.fit_settings), Watch(), tmp_path / "run"
    _, facts = fit(
        forecaster, datamodule, config.fit_settings, fit_context_of(config, folder, watch)
    )
    return facts, watch


def test_nothing_of_slurm_is_read_or_listened_to(fitted, tmp_path):
    facts, watch = fitted
    assert (watch.first_epoch, facts.num_epochs) == (0, 1)
    assert watch.handler == signal.SIG_DFL
    assert [path.name for path in tmp_path.rglob("hpc_ckpt_*")] == ["hpc_ckpt_7.ckpt"]
