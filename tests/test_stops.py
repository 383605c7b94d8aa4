"""A run that is told to end, at whatever moment, says so; one that goes on says nothing twice."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import forks
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ironore_lightning import experiment
from ironore_lightning.model import checkpoints
from ironore_lightning.model.checkpoints import read_checkpoint
from ironore_lightning.run_folder import attempt as attempt_module

ROOT = Path(__file__).parents[1]
QUICK = ("model=tiny", "training.max_epochs=3", "evaluation.bootstrap_repetitions=100")
pytestmark = pytest.mark.usefixtures("one_quick_figure")
SIGNALS = {"Ctrl-C": (signal.SIGINT, 130), "SIGTERM": (signal.SIGTERM, 143)}
MOMENTS = ("build_market", "predict_samples", "report_result")

KILL = f"""
import os, runpy, sys
from ironore_lightning import experiment
setattr(experiment, sys.argv.pop(1), lambda *_, **__: os.kill(os.getpid(), 9))
runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """The run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert train(*QUICK, f"hydra.run.dir={folder}") == (0, "")
    return folder


@pytest.fixture(autouse=True)
def usual_ctrl_c():
    """A shell lets what it starts in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def status(folder):
    found = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    return found["state"], found["exit_status"]


def send(number):
    """Send this process a signal, which ends it before it comes back."""

    def at_this_moment(*_, **__):
        os.kill(os.getpid(), number)
        pytest.fail("the signal did not end the run")

    return at_this_moment


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("told", SIGNALS)
def test_a_run_that_is_told_to_end_is_interrupted_at_every_moment(
    told, moment, train, tmp_path, monkeypatch
):
    number, code = SIGNALS[told]
    monkeypatch.setattr(experiment, moment, send(number))
    before = signal.getsignal(signal.SIGTERM)
    assert train(*QUICK, f"hydra.run.dir={tmp_path}")[0] == code
    assert status(tmp_path) == ("interrupted", code)
    assert signal.getsignal(signal.SIGTERM) is before


PRESS = """
import os, signal
for _ in range(5):
    os.kill(os.getpid(), signal.SIGINT)
"""
COMMANDS = {
    "train.py": "hydra",
    "-m ironore_lightning.prepare": "hydra",
    "-m ironore_lightning.audit": "hydra",
    "-m ironore_lightning.judge": "hydra",
    "-m ironore_lightning.forecast x": "numpy",
    "-m ironore_lightning.summarize x": "pandas",
    "-m ironore_lightning.inspect x": "pandas",
}
"""What each of them imports first of all that takes time."""


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_a_command_is_imported_is_one_line(command, run_python, tmp_path, monkeypatch):
    (tmp_path / f"{COMMANDS[command]}.py").write_text(PRESS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = run_python(*command.split())
    assert (process.returncode, process.stderr) == (130, "interrupted\n")


def test_further_ctrl_cs_let_a_run_write_its_end(train, tmp_path, monkeypatch):
    usual = attempt_module.write_json

    def write_and_press(*arguments):
        if arguments[1]["state"] == "interrupted":
            for _ in range(4):
                os.kill(os.getpid(), signal.SIGINT)
        usual(*arguments)

    monkeypatch.setattr(attempt_module, "write_json", write_and_press)
    monkeypatch.setattr(experiment, "build_market", send(signal.SIGINT))
    assert train(*QUICK, f"hydra.run.dir={tmp_path}") == (130, "interrupted\n")
    assert status(tmp_path) == ("interrupted", 130)


@pytest.mark.parametrize("told", SIGNALS)
def test_a_multirun_ends_with_the_run_that_was_told_to(told, train, tmp_path, monkeypatch):
    number, code = SIGNALS[told]
    monkeypatch.setattr(experiment, "build_market", send(number))
    assert train("-m", *QUICK, "seed=0,1", f"hydra.sweep.dir={tmp_path}")[0] == code
    assert status(tmp_path / "seed=0") == ("interrupted", code)
    assert not (tmp_path / "seed=1").exists()


def test_a_run_that_is_told_to_end_between_its_first_two_checkpoints_begins_anew(
    train, whole, tmp_path, monkeypatch
):
    write = checkpoints._write

    def write_best(content, path):
        write(content, path) if path.name == "best.ckpt" else send(signal.SIGINT)()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_write", write_best)
        assert train(*QUICK, f"hydra.run.dir={tmp_path}")[0] == 130
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["best.ckpt"]
    assert train(f"resume={tmp_path}") == (0, "")
    assert (tmp_path / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_a_run_that_lost_its_last_checkpoint_begins_anew(train, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for path in [*folder.glob("*.csv"), *folder.glob("*.json"), *folder.glob("plots")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = json.loads((whole / "status.json").read_text(encoding="utf-8"))
    found |= {"state": "running", "ended": None, "objective": None, "exit_status": None}
    (folder / "status.json").write_text(json.dumps(found), encoding="utf-8")
    (folder / "checkpoints" / "last.ckpt").unlink()
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["epoch"] > 0
    assert train(f"resume={folder}") == (0, "")
    assert (folder / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_a_run_below_a_link_goes_on_in_a_folder_whose_name_looks_like_an_address(
    train, whole, tmp_path, monkeypatch
):
    (tmp_path / "disk").mkdir()
    folder = tmp_path / "file::http: #%s\n'[a]*" / "x::y"
    folder.parent.symlink_to(tmp_path / "disk")
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "predict_samples", send(signal.SIGINT))
        name = str(folder).replace("'", "\\'")
        assert train(*QUICK, f"hydra.run.dir='{name}'")[0] == 130
    assert train(f"resume={folder}") == (0, "")
    assert (folder / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert not (tmp_path / "disk" / "x::y").is_symlink()


def lines(folder):
    """Return the log without times and seconds, which no two runs share, and the first words.

    These are logged before it is known whether a run begins anew, with an empty log.
    """
    log = (folder / "training.log").read_text(encoding="utf-8").replace(str(folder), "FOLDER")
    return [
        re.sub(r"\d+\.\d+ s\b|^\S+ \S+", "", line)
        for line in log.splitlines()
        if "importing torch" not in line
    ]


def shown(folder):
    """Return what TensorBoard shows: tag, and the steps at which it has something."""
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    return {
        (kind, tag): [event.step for event in read(tag)]
        for kind, read in (
            ("scalars", events.Scalars),
            ("images", events.Images),
            ("tensors", events.Tensors),
        )
        for tag in tags[kind]
    } | {"session ends": len(list(folder.glob("*.end")))}


@pytest.mark.parametrize(
    ("stopping", "moments"),
    [("last epoch", ("train", "report_result")), ("patience", ("report_result",))],
)
def test_a_run_that_is_killed_after_its_fit_again_and_again_says_nothing_twice(
    stopping, moments, whole, train, tmp_path
):
    killing = tmp_path / "train.py"
    killing.write_text(KILL, encoding="utf-8")
    own = list(QUICK)
    if stopping == "patience":
        own = [*QUICK, "training.max_epochs=9", "training.learning_rate=0.3"]
        own += ["training.patience=1"]
        whole = tmp_path / "whole"
        assert train(*own, f"hydra.run.dir={whole}") == (0, "")
    results = json.loads((whole / "final_results.json").read_text(encoding="utf-8"))
    assert results["training"]["stopped_early"] == (stopping == "patience")
    folder = tmp_path / "run"
    arguments = [*own, f"hydra.run.dir={folder}"]
    for moment in moments:
        assert forks.run(str(killing), moment, *arguments).returncode == -9
        assert status(folder) == ("running", None)
        arguments = [f"resume={folder}"]
    assert "guessing" not in (folder / "training.log").read_text(encoding="utf-8")
    assert train(*arguments) == (0, "")
    assert len(lines(whole)) > 30
    assert lines(folder) == lines(whole)
    assert shown(folder) == shown(whole)
    assert shown(whole)["session ends"] == 1
