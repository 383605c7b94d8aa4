"""How checkpoints are written and found again."""

from pathlib import Path

import pytest
import torch

from ironore_lightning.experiment import run_experiment
from ironore_lightning.model import checkpoints
from ironore_lightning.model.checkpoints import _write, read_checkpoint
from ironore_lightning.report.epochs import EpochReport

SETTINGS = ("model=tiny", "training.max_epochs=4", "evaluation.bootstrap_repetitions=100")
pytestmark = pytest.mark.usefixtures("one_quick_figure")
KINDS = {
    # What comes after the first epoch is worse, and shall not be taken for the best one.
    "the first epoch is the best": ("training.learning_rate=0.1",),
    "cosine, adamw, dropout": (
        "training.schedule=cosine",
        "training.optimizer=adamw",
        "model.dropout=0.5",
        "model.head=student_t",
        "monitor=val/rmse",
    ),
}


def stop_in_the_third(config, folder, monkeypatch):
    usual = EpochReport.on_train_epoch_start

    def start(report, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        usual(report, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SECONDS_BETWEEN_WRITES", 0.0)
        patch.setattr(EpochReport, "on_train_epoch_start", start)
        with pytest.raises(SystemExit):
            run_experiment(config, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_whose_folder_was_moved_goes_on_to_the_same_end(kind, compose, tmp_path, monkeypatch):
    config = compose(*SETTINGS, *KINDS[kind])
    whole = run_experiment(config, tmp_path / "whole")
    assert (whole.run.facts.best_epoch == 1) == ("learning_rate" in KINDS[kind][0])
    stop_in_the_third(config, tmp_path / "before", monkeypatch)
    moved = (tmp_path / "before").rename(tmp_path / "after")
    last = moved / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last) == {"epoch": 1}
    result = run_experiment(config, moved, resume=True)
    assert result.run.facts.best_epoch == whole.run.facts.best_epoch
    assert result.run.facts.best_score == whole.run.facts.best_score
    first, second = (tmp_path / name / "predictions.csv" for name in ("whole", "after"))
    assert first.read_bytes() == second.read_bytes()
    assert not (tmp_path / "before").exists()


@pytest.mark.parametrize("end", ["its last epoch", "patience"])
def test_a_fit_that_was_over_is_not_gone_on_with(end, compose, tmp_path, monkeypatch):
    patient = ("training.patience=1", "training.learning_rate=0.1") if end == "patience" else ()
    config = compose(*SETTINGS, *patient)
    whole = run_experiment(config, tmp_path)
    assert whole.run.facts.stopped_early == (end == "patience")
    before = (tmp_path / "predictions.csv").read_bytes()
    monkeypatch.setattr("lightning.Trainer.fit", None)
    again = run_experiment(config, tmp_path, resume=True)
    assert again.run.facts == whole.run.facts
    assert (tmp_path / "predictions.csv").read_bytes() == before


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints" / "last.ckpt"
    _write({"epoch": 1}, path)
    usual = Path.open

    def write_half(one, *mode):
        with usual(one, *mode) as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", write_half)
    with pytest.raises(OSError, match="No space left on device") as caught:
        _write({"epoch": 2}, path)
    assert caught.value.filename == str(path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [path.name for path in path.parent.iterdir()] == ["last.ckpt"]


def test_no_folder_is_made_for_the_checkpoint_of_a_run_that_has_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        _write({"epoch": 1}, tmp_path / "run" / "checkpoints" / "a.ckpt")
    assert list(tmp_path.iterdir()) == []
