"""A run that is stopped, however, goes on as if it had not been."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import forks
import pytest
import torch
from hydra import compose as compose_tree
from hydra import initialize_config_dir
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ironore_lightning.cli.resume import expand_resume
from ironore_lightning.data.market_cache import _build, _read
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.experiment import run_experiment

ROOT = Path(__file__).parents[1]
NUM_EPOCHS = 25
SETTINGS = (
    "model=bilstm_small",  # with dropout, which draws random numbers
    "training.schedule=reduce_on_plateau",
    "training.learning_rate=0.05",  # so high that the schedule lowers it, twice
    f"training.max_epochs={NUM_EPOCHS}",
    f"training.patience={NUM_EPOCHS}",
    "evaluation.bootstrap_repetitions=100",
)
pytestmark = pytest.mark.usefixtures("one_quick_figure")
EPOCH = re.compile(r"INFO +(\d+) .*(?:FAST|MEDIUM|SLOW)$", re.MULTILINE)


@pytest.fixture(scope="module")
def whole(compose, tmp_path_factory):
    """The run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run_experiment(compose(*SETTINGS), folder)
    return folder


def stop(folder, number, *, epochs, arguments):
    """Start or continue the run in a process of its own, and stop it after some epochs."""
    process = forks.start(["train.py", *arguments], out=os.devnull, err=os.devnull)
    log = folder / "training.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if log.exists() and len(EPOCH.findall(log.read_text(encoding="utf-8"))) >= epochs:
            break
        time.sleep(0.01)
    os.kill(process.pid, number)
    return forks.wait(process)


def content(folder, name):
    """Return what is in a checkpoint, but for times and their length: tensors by their bytes."""
    found = {}
    stored = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    for key, value in stored.items():
        for inner, part in value.items() if isinstance(value, dict) else [("", value)]:
            is_tensor = isinstance(part, torch.Tensor)
            found[key, inner] = part.numpy().tobytes() if is_tensor else part
    return {key: value for key, value in found.items() if key[0] not in ("seconds", "log_bytes")}


STOPS = (
    (signal.SIGINT, 130, "interrupted", 4),
    (signal.SIGTERM, 143, "interrupted", 8),
    (signal.SIGKILL, -9, "running", 12),
)


def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bits(whole, tmp_path):
    arguments = [*SETTINGS, f"hydra.run.dir={tmp_path}"]
    for number, status, state, epochs in STOPS:
        assert stop(tmp_path, number, epochs=epochs, arguments=arguments) == status
        written = json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))
        assert written["state"] == state
        assert written["exit_status"] == (status if status > 0 else None)
        assert not (tmp_path / "predictions.csv").exists()
        arguments = [f"resume={tmp_path}"]

    process = forks.run("train.py", *arguments)
    assert process.returncode == 0, process.stderr
    assert json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))["state"] == "complete"
    for name in ("predictions.csv", "baselines.csv", "density.csv"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ("best", "last"):
        mine, theirs = (content(folder, name) for folder in (tmp_path, whole))
        assert mine == theirs
    assert len(mine) > 50
    log = (tmp_path / "training.log").read_text(encoding="utf-8")
    assert EPOCH.findall(log) == [str(epoch) for epoch in range(1, NUM_EPOCHS + 1)]
    assert log.count("guessing reaches") == 1
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    reference = EventAccumulator(str(whole))
    reference.Reload()
    for name in ("val/loss", "train/loss", "train/learning_rate"):
        curve = [(event.step, event.value) for event in events.Scalars(name)]
        assert curve == [(event.step, event.value) for event in reference.Scalars(name)], name
        assert [step for step, _ in curve] == list(range(1, NUM_EPOCHS + 1))
    assert len({value for _, value in curve}) == 3  # a lost look at the plateau would show


def test_what_cannot_go_on_is_refused_in_a_line(tmp_path):
    with pytest.raises(ConfigError, match="holds no run that could go on"):
        expand_resume([f"resume={tmp_path}"])
    with pytest.raises(ConfigError, match="nothing beside them; leave out: seed=1"):
        expand_resume([f"resume={tmp_path}", "seed=1"])
    with pytest.raises(ConfigError, match="nothing beside them; leave out: --multirun"):
        expand_resume(["-m", f"resume={tmp_path}", "--config-name", "mine"])
    assert expand_resume(["seed=1"]) == ["seed=1"]


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_a_plus_changes_nothing_and_other_processes_are_told_once(plus, tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=1\n")
    (tmp_path / "status.json").write_text("{}")
    own = expand_resume([f"{plus}resume={tmp_path}"])
    assert own[:2] == ["seed=1", "+resume=true"]
    assert expand_resume(own) == own


def test_a_run_goes_on_with_its_own_arguments_as_one_run(tmp_path):
    folder = tmp_path / "it's=1,b"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- experiment=walk_forward\n- split.fold=2\n")
    (folder / "status.json").write_text("{}")
    *own, resume, mode, output_subdir, where = expand_resume([f"resume={folder}"])
    assert own == ["experiment=walk_forward", "split.fold=2"]
    assert resume == "+resume=true"
    assert mode == "hydra.mode=RUN"
    assert output_subdir == "hydra.output_subdir=null"
    assert where == f"hydra.run.dir='{tmp_path}/it\\'s=1,b'"


@pytest.mark.parametrize(
    "name", ["back\\slash", "trailing\\", "it's", "a\\'b\\\\'", 'dq"x', "{y} %s,[z]=1"]
)
def test_a_run_goes_on_in_its_own_folder_whatever_that_is_called(name, tmp_path):
    folder = tmp_path / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("[]")
    (folder / "status.json").write_text("{}")
    *_, where = expand_resume([f"resume={folder}"])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose_tree("config", overrides=[where], return_hydra_config=True)
    assert composed.hydra.run.dir == str(folder)


@pytest.mark.parametrize("name", ["${seed}", "${now:%Y}"])
def test_a_name_that_settings_would_fill_in_is_refused(name, tmp_path, monkeypatch):
    folder = tmp_path / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("[]")
    (folder / "status.json").write_text("{}")
    with pytest.raises(ConfigError, match=r".* holds \$\{ in its name"):
        expand_resume([f"resume={folder}"])
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"holds \$\{ in its name"):
        expand_resume(["resume=."])


def test_a_run_goes_on_from_anywhere_with_the_places_of_its_settings(train, monkeypatch, tmp_path):
    members, elsewhere = tmp_path / "own" / "model", tmp_path / "elsewhere"
    members.mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(ROOT / "conf" / "model" / "tiny.yaml", members / "mine.yaml")
    monkeypatch.chdir(tmp_path)
    own = ("model=mine", "training.max_epochs=1", "data.root=数据", "hydra.job.chdir=true")
    own += ("evaluation.bootstrap_repetitions=100",)
    assert train("--config-dir=own", *own, "hydra.run.dir=run") == (0, "")
    results, status = (tmp_path / "run" / name for name in ("final_results.json", "status.json"))
    settings = json.loads(results.read_text(encoding="utf-8"))["settings"]
    assert settings["data"]["root"] == str(tmp_path / "数据")
    assert len(list((tmp_path / "数据").glob("*.pkl"))) == 2
    status.write_text(status.read_text(encoding="utf-8").replace("complete", "interrupted"))

    monkeypatch.chdir(elsewhere)
    code, said = train("resume=../run")
    assert code == 2
    assert said.startswith("ConfigError: model=mine: there is no such member; members are: bilstm,")
    assert said.endswith("hydra.searchpath, give them beside resume=\n")
    assert json.loads(status.read_text(encoding="utf-8"))["state"] == "interrupted"
    assert train("--config-dir", "../own", "resume=../run") == (0, "")
    assert json.loads(status.read_text(encoding="utf-8"))["state"] == "complete"
    assert json.loads(results.read_text(encoding="utf-8"))["settings"] == settings


def test_a_run_whose_data_have_changed_does_not_go_on(compose, tmp_path):
    root, folder = tmp_path / "raw", tmp_path / "run"
    quick = ("model=tiny", "training.max_epochs=1", "evaluation.bootstrap_repetitions=100")
    read_raw(compose(f"data.root={root}").data)
    config = compose("data=original", f"data.root={root}", *quick)
    run_experiment(config, folder)
    path = root / "group.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    *cells, last = lines[-2].split(",")
    lines[-2] = ",".join([*cells, str(float(last) + 1)])
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    for known in (_build, _read):
        known.cache_clear()  # as a new process would find it
    with pytest.raises(DataError, match="the data have changed since this run began"):
        run_experiment(config, folder, resume=True)
