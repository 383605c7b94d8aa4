"""A checkpoint that is not what was written: a line with its name, or no harm at all."""

import datetime
import io
import math
import os
import random
import shutil
from pathlib import Path

import pytest
import torch

from ironore_lightning.errors import ConfigError
from ironore_lightning.experiment import run_experiment
from ironore_lightning.forecast.__main__ import main as forecast
from ironore_lightning.model import checkpoints
from ironore_lightning.model.checkpoints import read_checkpoint
from ironore_lightning.model.training import read_resume_state
from ironore_lightning.report.epochs import EpochReport

pytestmark = pytest.mark.usefixtures("one_quick_figure")
SETTINGS = (
    "model=tiny",
    "training.max_epochs=3",
    "training.schedule=reduce_on_plateau",
    "evaluation.bootstrap_repetitions=100",
)
TODAY = datetime.date(2025, 8, 14)
OUTPUT, NAN = "network.output.weight", math.nan
NETWORK_WEIGHT = ("state_dict", OUTPUT)


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


def positions(value, place=()):
    """Return every position in a checkpoint."""
    inner = value.items() if isinstance(value, dict) else ()
    found = [place] if place else []
    for key, one in inner:
        found += positions(one, (*place, key))
    return found


def damaged(path, changes):
    """Put values at positions of a checkpoint; what a function returns of the one that is there."""
    content = torch.load(path, weights_only=True)
    for (*outer, last), value in changes.items():
        inner = content
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value(inner[last]) if callable(value) else value
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
    return refusal(run_experiment, config, folder, resume=True)


def test_a_word_anywhere_in_a_checkpoint_is_refused_in_a_line_or_not_looked_at(
    config, stopped, tmp_path
):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    last = folder / "checkpoints" / "last.ckpt"
    good = last.read_bytes()
    places, taken = positions(torch.load(last, weights_only=True)), []
    for place in places:
        last.write_bytes(good)
        damaged(last, {place: "odd"})
        if said := refusal(read_resume_state, folder, 12, config.fit_settings):
            assert said.startswith(f"{last}: "), place
        else:
            taken.append(place)
    assert len(places) > 70
    # Nothing here reads those: they are what lightning's own `load_from_checkpoint` asks for.
    assert {place[0] for place in taken} == {"pytorch-lightning_version", "hyper_parameters"}


LAST = {
    "an epoch that was never": ({("epoch",): 10**9}, "epoch is 1000000000, expected 0 to 2"),
    "an epoch before the first": ({("epoch",): -5}, "epoch is -5, expected 0 to 2"),
    "a truth for an epoch": ({("epoch",): True}, "epoch is True, expected 0 to 2"),
    "a best score that is none": ({("best_score",): NAN}, "best_score is nan, expected "),
    "an endless best loss": ({("best_loss",): -math.inf}, "best_loss is -inf, expected "),
    "a large learning rate": ({("learning_rate",): 0.5}, "learning_rate is 0.5, expected 0.0 to"),
    "seconds below zero": ({("seconds",): -1.0}, "seconds is -1.0, expected 0.0 to "),
    "steps below zero": ({("steps",): -1}, "steps is -1, expected 0 to "),
    "a moment of another shape": (
        {("exp_avg", OUTPUT): torch.zeros(3)},
        f"exp_avg: {OUTPUT} is (3,) of torch.float32, expected (1, 8) of torch.float32",
    ),
    "a moment that is none": (
        {("exp_avg_sq", OUTPUT): lambda numbers: numbers * NAN},
        f"exp_avg_sq: {OUTPUT} holds a number that is not finite",
    ),
    "a moment too many": (
        {("exp_avg", "more"): torch.zeros(3)},
        "exp_avg: holds 13 tensors, expected 12",
    ),
    "a short random state": (
        {("random_states", "0"): torch.zeros(5, dtype=torch.uint8)},
        "random_states: 0 is (5,) of torch.uint8, expected (5056,) of torch.uint8",
    ),
    "a random state of fractions": (
        {("random_states", "0"): lambda state: state.double()},
        "random_states: 0 is (5056,) of torch.float64, expected (5056,) of torch.uint8",
    ),
    "a random state that no generator has": (
        {("random_states", "0"): torch.zeros_like},
        "random_states: Invalid mt19937 state",
    ),
    "a random state of another process": (
        {("random_states", "1"): torch.zeros(5056, dtype=torch.uint8)},
        "random_states: holds 2 tensors, expected 1",
    ),
    "a tensor of eight gigabytes that are one": (
        {("random_states", "0"): torch.zeros(1, dtype=torch.uint8).expand(2**33)},
        "random_states: 0 is (8589934592,) of torch.uint8, expected (5056,) of torch.uint8",
    ),
}


@pytest.mark.parametrize("kind", LAST)
def test_what_no_such_run_can_have_is_refused(kind, config, stopped, tmp_path):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    changes, expected = LAST[kind]
    for name in ("best", "last"):  # they may agree in it
        damaged(folder / "checkpoints" / f"{name}.ckpt", changes if name == "last" else {})
    said = refusal(read_resume_state, folder, 12, config.fit_settings)
    assert said.startswith(f"{folder / 'checkpoints' / 'last.ckpt'}: {expected}"), said


def test_no_path_and_no_structure_of_a_checkpoint_is_taken(config, whole, stopped, tmp_path):
    folder, victim = Path(shutil.copytree(stopped, tmp_path / "run")), tmp_path / "victim"
    victim.mkdir()
    names = "Checkpoints{'monitor': 'val/loss', 'mode': 'min', 'every_n_train_steps': 0"
    names += ", 'every_n_epochs': 1, 'train_time_interval': None}"
    evil = f"{folder / 'checkpoints'}/../../victim"
    kept = {
        "dirpath": str(folder / "checkpoints"),
        "best_k_models": {evil: torch.tensor(1e9)},
        "kth_best_model_path": evil,
        "best_model_path": f"local://{victim}",
    }
    changes = {
        ("callbacks",): {names: kept},
        ("loops",): {"fit_loop": {"epoch_progress": {"current": {"processed": 7}}}},
        ("lr_schedulers",): [{"factor": 0.0}],
        ("optimizer_states",): [{"param_groups": [{"lr": 1.0, "betas": (2.0, -1.0)}]}],
    }
    for name in ("best", "last"):
        damaged(folder / "checkpoints" / f"{name}.ckpt", changes)
    assert go_on(config, folder) == ""
    assert victim.is_dir()
    mine, its = ((run / "predictions.csv").read_bytes() for run in (folder, whole))
    assert mine == its


def test_an_expanded_moment_takes_memory_of_its_own(config, stopped, tmp_path):
    """In the fused optimiser it would be written far beyond its one number."""
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    last = folder / "checkpoints" / "last.ckpt"
    good = torch.load(last, weights_only=True)
    changes = {}
    for moment in ("exp_avg", "exp_avg_sq"):
        for name, numbers in good[moment].items():
            changes[moment, name] = torch.zeros(1).expand(numbers.shape)
    damaged(last, changes | {("padding",): torch.zeros(2000)})
    assert go_on(config, folder) == ""


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
    "nan": (lambda weight: torch.full_like(weight, NAN), "holds a number that is not finite"),
    "infinite": (
        lambda weight: torch.full_like(weight, math.inf),
        "holds a number that is not finite",
    ),
    "whole": (lambda weight: weight.to(torch.int64), "tensors and numbers: torch LongStorage"),
    "complex": (lambda weight: weight.to(torch.complex64), "numbers: torch ComplexFloatStorage"),
    "sparse": (lambda weight: weight.to_sparse(), "numbers: torch._utils _rebuild_sparse_tensor"),
    "meta": (lambda weight: weight.to("meta"), "torch._utils _rebuild_meta_tensor_no_storage"),
    "a column": (lambda weight: weight[:1, ..., :1] if weight.dim() > 1 else weight[:1], " is (1,"),
    "bytes": (lambda weight: weight.to(torch.uint8), " of torch.uint8, expected ("),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize(
    "place", [NETWORK_WEIGHT, ("WindowDataModule", "spread")], ids=["weight", "scaler"]
)
def test_numbers_that_a_network_cannot_have_make_no_forecast(kind, place, whole, tmp_path, capsys):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    best = folder / "checkpoints" / "best.ckpt"
    change, expected = WEIGHTS[kind]
    damaged(best, {place: change})
    assert forecast([str(folder)], today=TODAY) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"ConfigError: {best}: ")
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_a_spread_of_zero_makes_no_forecast(whole, tmp_path, capsys):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    best = folder / "checkpoints" / "best.ckpt"
    damaged(best, {("WindowDataModule", "spread"): torch.zeros_like})
    assert forecast([str(folder)], today=TODAY) == 2
    assert "its scaler has a spread that is not above zero" in capsys.readouterr().err


def test_weights_whose_forecast_is_no_number_are_refused(config, whole, tmp_path, capsys):
    folder = Path(shutil.copytree(whole, tmp_path / "whole"))
    best = folder / "checkpoints" / "best.ckpt"
    damaged(best, {NETWORK_WEIGHT: lambda weight: torch.full_like(weight, 3e38)})
    expected = f"{best}: the forecast of its network holds a number that is not finite"
    assert forecast([str(folder)], today=TODAY) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"ConfigError: {expected}\n")
    assert go_on(config, folder) == expected  # its fit was over


def test_a_checkpoint_is_not_larger_and_not_smaller_than_its_network(tmp_path):
    path = tmp_path / "best.ckpt"
    torch.save({"epoch": 0, "part": {"a": torch.zeros(1).expand(2**30)}}, path)
    wanted = {"part": {"a": torch.empty(2**30, device="meta")}}
    with pytest.raises(ConfigError, match="its tensors should have 4,294,967,296"):
        read_checkpoint(path, wanted)
    os.truncate(path, 2**40)  # a hole
    with pytest.raises(ConfigError, match="it has 1,099,511,627,776 bytes"):
        read_checkpoint(path, wanted)


def test_a_run_that_does_not_know_its_data_does_not_go_on(config, stopped, tmp_path):
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    (folder / "provenance.json").unlink()
    assert f"{folder / 'provenance.json'}: there is no such file" in go_on(config, folder)
