"""A checkpoint that is not what was written: a line with its name, or no harm at all."""

import copy
import datetime
import io
import random
import shutil
from pathlib import Path

import pytest
import torch

from ironore_lightning.data.market import build_market
from ironore_lightning.errors import ConfigError
from ironore_lightning.experiment import cut_samples, require_own_checkpoints, run_experiment
from ironore_lightning.forecast import main as forecast
from ironore_lightning.model import checkpoints
from ironore_lightning.model.checkpoints import read_checkpoint
from ironore_lightning.report.console import EpochReport

SETTINGS = ("model=tiny", "training.max_epochs=3", "training.schedule=reduce_on_plateau")
TODAY = datetime.date(2025, 8, 14)
NETWORK_WEIGHT = ("state_dict", "network.output.weight")


@pytest.fixture(scope="module")
def config(compose):
    return compose(*SETTINGS)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_experiment(config, folder)
    return folder


@pytest.fixture(scope="module")
def stopped(config, tmp_path_factory):
    """A run that was stopped in its third epoch, the second of which was the best."""
    folder = tmp_path_factory.mktemp("stopped")
    usual = EpochReport.on_train_epoch_start

    def stop_in_the_third(report, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        usual(report, trainer, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "SECONDS_BETWEEN_WRITES", 0.0)
        patch.setattr(EpochReport, "on_train_epoch_start", stop_in_the_third)
        with pytest.raises(SystemExit) as ended:
            run_experiment(config, folder)
    assert ended.value.code == 130
    return folder


@pytest.fixture(scope="module")
def datamodule(config):
    market = build_market(config.data, config.futures, config.panel, config.target)
    return cut_samples(market.panel, config)


def positions(value, place=()):
    """Return every position in a checkpoint, but for weights, which have tests of their own."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    found = [place] if place else []
    for key, one in inner:
        if place[:1] not in {("state_dict",), ("hyper_parameters",)}:
            found += positions(one, (*place, key))
    return found


def damaged(path, place, value):
    """Put a value at a position of a checkpoint."""
    content = copy.deepcopy(torch.load(path, weights_only=True))
    *outer, last = place
    inner = content
    for key in outer:
        inner = inner[key]
    inner[last] = value
    torch.save(content, path)


def refusal(call, *arguments, **settings):
    """Return what is said where a call is refused, which must be a line, or nothing."""
    try:
        call(*arguments, **settings)
    except ConfigError as error:
        said = error.lines
    else:
        return ""
    assert len(said) == 1
    return said[0].removeprefix("ConfigError: ")


def go_on(config, folder):
    """Go on, and return what is said where that is refused."""
    last = folder / "checkpoints" / "last.ckpt"
    return refusal(run_experiment, config, folder, checkpoint=last)


FREE = ("pytorch-lightning_version", "stopping_reason", "stopping_reason_message", "current_score")


def test_a_word_anywhere_in_a_checkpoint_is_refused_in_a_line_or_does_no_harm(
    config, datamodule, stopped, whole, tmp_path
):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    last = folder / "checkpoints" / "last.ckpt"
    good = last.read_bytes()
    places, taken = positions(torch.load(last, weights_only=True)), []
    for place in places:
        last.write_bytes(good)
        damaged(last, place, "odd")
        if said := refusal(require_own_checkpoints, datamodule, config, folder):
            assert said.startswith(f"{last}: "), place
        else:
            taken.append(place)
    assert len(places) > 150
    assert [place[-1] for place in taken] == list(FREE)
    for number, place in enumerate(taken):
        trial = Path(shutil.copytree(stopped, tmp_path / str(number)))
        last = trial / "checkpoints" / "last.ckpt"
        damaged(last, place, "odd")
        if said := go_on(config, trial):
            assert said.startswith(f"{last}: cannot go on: "), place
        else:
            mine, its = ((one / "predictions.csv").read_bytes() for one in (trial, whole))
            assert mine == its, place


DEEP = {
    "version": ("pytorch-lightning_version",),
    "loops": ("loops", "fit_loop"),
    "progress": ("loops", "fit_loop", "epoch_progress"),
    "stopping": ("callbacks", "EarlyStopping{'monitor': 'val/loss', 'mode': 'min'}"),
    "report": ("callbacks", "EpochReport"),
    "optimizer": ("optimizer_states", 0),
    "schedule": ("lr_schedulers", 0),
}


@pytest.mark.parametrize("kind", DEEP)
def test_what_both_checkpoints_have_wrong_is_refused_when_it_is_taken_up(
    kind, config, stopped, tmp_path
):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    best, last = (folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    for path in (best, last):
        damaged(path, DEEP[kind], "odd")
    assert go_on(config, folder).startswith(f"{last}: cannot go on: ")


def test_patience_that_is_no_number_is_refused(config, stopped, tmp_path):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    for name in ("best", "last"):
        path = folder / "checkpoints" / f"{name}.ckpt"
        damaged(path, (*DEEP["stopping"], "stopped_epoch"), "odd")
    assert "last.ckpt: cannot go on: TypeError: " in go_on(config, folder)


def test_an_error_that_comes_later_is_none_of_the_checkpoint(
    config, stopped, tmp_path, monkeypatch
):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))

    def fail(*_):
        raise ZeroDivisionError("a mistake in the code")

    monkeypatch.setattr(EpochReport, "on_train_epoch_end", fail)
    with pytest.raises(ZeroDivisionError):
        go_on(config, folder)


def test_a_flipped_bit_is_refused_or_changes_nothing(stopped, tmp_path):
    path = tmp_path / "last.ckpt"
    good = (stopped / "checkpoints" / "last.ckpt").read_bytes()
    draw = random.Random(0)  # noqa: S311 - no secret
    num_refused = 0
    for _ in range(500):
        bits = bytearray(good)
        bits[draw.randrange(len(bits))] ^= 1 << draw.randrange(8)
        path.write_bytes(bits)
        if said := refusal(read_checkpoint, path):
            assert said.startswith(f"{path}: ")
            num_refused += 1
        else:
            assert is_equal(torch.load(path), torch.load(io.BytesIO(good)))
    assert num_refused > 250  # the others lie between what is stored


def is_equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return all(is_equal(*pair) for pair in zip(one, other, strict=True))
    return one == other


WEIGHTS = {
    "nan": (lambda one: torch.full_like(one, float("nan")), "a number that is not finite"),
    "infinite": (lambda one: torch.full_like(one, float("inf")), "a number that is not finite"),
    "whole": (lambda one: one.to(torch.int64), "stored as torch.int64"),
    "complex": (lambda one: one.to(torch.complex64), "stored as torch.complex64"),
    "sparse": (lambda one: one.to_sparse(), "torch.sparse_coo"),
    "meta": (lambda one: torch.empty_like(one, device="meta"), "torch.strided, meta"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize(
    "place", [NETWORK_WEIGHT, ("WindowDataModule", "spread")], ids=["weight", "scaler"]
)
def test_numbers_that_a_network_cannot_have_make_no_forecast(kind, place, whole, tmp_path, capsys):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    best = folder / "checkpoints" / "best.ckpt"
    change, expected = WEIGHTS[kind]
    damaged(best, place, change(torch.load(best, weights_only=True)[place[0]][place[1]]))
    assert forecast([f"run={folder}"], today=TODAY) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"ConfigError: {best}: ")
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_a_spread_of_zero_makes_no_forecast(whole, tmp_path, capsys):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    best = folder / "checkpoints" / "best.ckpt"
    spread = torch.load(best, weights_only=True)["WindowDataModule"]["spread"]
    damaged(best, ("WindowDataModule", "spread"), torch.zeros_like(spread))
    assert forecast([f"run={folder}"], today=TODAY) == 2
    assert "its scaler has a spread that is not above zero" in capsys.readouterr().err


def test_a_run_that_does_not_know_its_data_does_not_go_on(config, stopped, tmp_path):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    (folder / "provenance.json").unlink()
    assert f"{folder / 'provenance.json'}: there is no such file" in go_on(config, folder)
