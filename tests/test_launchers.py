"""Runs side by side: each launcher leaves what the same runs leave one after the other."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher

from ironore_lightning.experiment import run_experiment
from ironore_lightning.process import workers
from ironore_lightning.sweep.callback import MultirunCallback
from ironore_lightning.sweep.sweeper import launch

ROOT = Path(__file__).parents[1]
QUICK = (
    "model=tiny",
    "training.max_epochs=2",
    "features=single",
    "data.panel.start=2024-06-03",
    "evaluation.bootstrap_repetitions=100",
)
pytestmark = pytest.mark.usefixtures("one_quick_figure")
TWO_WORKERS = ("hydra.launcher.n_jobs=2",)
KILL = f"""
import os, runpy
from ironore_lightning import experiment

usual = experiment.predict_samples

def predict_samples(datamodule, trained, config):
    if config.seed == 2:
        os.kill(os.getpid(), 9)
    return usual(datamodule, trained, config)

experiment.predict_samples = predict_samples
runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
"""
"""A train.py in which the process of a run is killed once its network is trained."""


@pytest.fixture(scope="module")
def make_sweep(run_command):
    """Start a sweep as a user does, a process of its own, into a folder."""

    def sweep(folder, *overrides, status=0, script="train.py"):
        command = (str(script), "-m", *QUICK, *overrides, f"hydra.sweep.dir={folder}")
        process = run_command(*command)
        assert process.returncode == status, process.stdout + process.stderr
        return process

    return sweep


@pytest.fixture(scope="module")
def one_by_one(compose, tmp_path_factory):
    """The reference: three runs in this process."""
    folder = tmp_path_factory.mktemp("one_by_one")
    for seed in range(3):
        run_experiment(compose(*QUICK, f"seed={seed}"), folder / f"seed={seed}")
    return folder


@pytest.fixture(scope="module")
def hurt_sweep(make_sweep, tmp_path_factory):
    """Two workers on four runs: seed 2 is killed, and seed 3 cannot write its checkpoints."""
    folder = tmp_path_factory.mktemp("local")
    script = folder.parent / "kill.py"
    script.write_text(KILL, encoding="utf-8")
    (folder / "seed=3").mkdir()
    (folder / "seed=3" / "checkpoints").write_text("no folder", encoding="utf-8")
    return folder, make_sweep(folder, *TWO_WORKERS, "seed=0,2,1,3", status=1, script=script)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def states(folder):
    return {path.parent.name: read_json(path)["state"] for path in folder.glob("*/status.json")}


def require_same_runs(folder, reference, seeds, failed=(), listed=()):
    """Every run is complete in a folder of its own, with the forecasts it has by itself."""
    names = [f"seed={seed}" for seed in seeds]
    assert states(folder) == {**dict.fromkeys(names, "complete"), **dict.fromkeys(failed, "failed")}
    for name in names:
        predictions = (folder / name / "predictions.csv").read_bytes()
        assert predictions == (reference / name / "predictions.csv").read_bytes(), name
    runs = read_json(folder / "summary.json")["runs"]
    assert sorted(run["run"] for run in runs) == sorted([*names, *failed, *listed])


def test_the_seeds_of_the_reference_are_told_apart(one_by_one):
    written = {path.read_bytes() for path in one_by_one.glob("seed=*/predictions.csv")}
    assert len(written) == 3


def test_two_workers_share_the_runs(hurt_sweep):
    first, second = (read_json(hurt_sweep[0] / f"seed={seed}" / "status.json") for seed in (0, 2))
    assert second["started"] < first["ended"]


def test_two_workers_outlive_a_run_that_fails_and_one_that_is_killed(hurt_sweep, one_by_one):
    folder, process = hurt_sweep
    require_same_runs(folder, one_by_one, seeds=range(2), failed=["seed=2", "seed=3"])
    assert "4 runs: 2 complete, 2 failed" in process.stdout
    killed, refused = sorted(process.stderr.splitlines())  # each as soon as its run has ended
    assert refused.startswith(f"MachineError: {folder / 'seed=3'}")
    assert killed == (
        f"MachineError: {folder / 'seed=2'}: the process of this run was killed, perhaps for lack "
        "of memory; give the same command with this hydra.sweep.dir to go on"
    )
    status = read_json(folder / "seed=2" / "status.json")
    assert (status["error"], status["exit_status"]) == (killed, 1)


def test_the_same_command_completes_what_was_killed(hurt_sweep, make_sweep, one_by_one, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(hurt_sweep[0], folder)
    (folder / "seed=3" / "checkpoints").unlink()
    process = make_sweep(folder, *TWO_WORKERS, "seed=0,2,1,3")
    assert process.stderr == ""
    assert re.search(r"/4 +\d\.\d{4} +\d+\.\d s  seed=2 \(resumed\)\n", process.stdout)
    assert re.search(r"/4 +\d\.\d{4} +before  seed=0\n", process.stdout)
    shutil.rmtree(folder / "seed=3")
    require_same_runs(folder, one_by_one, seeds=range(3), listed=["seed=3"])


def test_two_joblib_workers_leave_what_one_process_leaves(make_sweep, one_by_one, tmp_path):
    make_sweep(tmp_path, "hydra/launcher=joblib", *TWO_WORKERS, "seed=0,1")
    require_same_runs(tmp_path, one_by_one, seeds=range(2))


def test_submitit_on_this_machine_leaves_what_one_process_leaves(make_sweep, one_by_one, tmp_path):
    process = make_sweep(tmp_path, "hydra/launcher=submitit_local", "seed=0,1")
    require_same_runs(tmp_path, one_by_one, seeds=range(2))
    assert "guessing reaches" in process.stdout.splitlines()[-2]
    assert len(re.findall(r" [12]/2 +\d\.\d{4} ", process.stdout)) == 2
    said = [(tmp_path / f"seed={seed}" / "training.log").read_text("utf-8") for seed in (0, 1)]
    assert all("best val/loss: " in text and "guessing reaches" not in text for text in said)


def test_ray_leaves_what_one_process_leaves(make_sweep, one_by_one, tmp_path):
    reason = "ray is not installed; it is part of the extra `cluster`"
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason=reason)
    make_sweep(tmp_path, "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "seed=0,1")
    require_same_runs(tmp_path, one_by_one, seeds=range(2))


def test_a_search_by_two_workers_finishes_every_trial(make_sweep, tmp_path):
    make_sweep(
        tmp_path,
        *TWO_WORKERS,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.n_jobs=2",
        "training.learning_rate=tag(log, interval(1e-4, 1e-2))",
    )
    assert states(tmp_path) == {f"trial_{number}": "complete" for number in range(3)}
    runs = read_json(tmp_path / "summary.json")["runs"]
    assert len({run["overrides"]["training.learning_rate"] for run in runs}) == 3


@pytest.mark.parametrize(
    ("wanted", "num_jobs", "workers"),
    [(1000, 1, 1), (1000, 9, 3), (2, 9, 2), (-1, 9, 3), (-1, 2, 2), (-3, 9, 1), (-9, 9, 1)],
)
def test_joblib_starts_no_more_workers_than_jobs_and_cores(monkeypatch, wanted, num_jobs, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    started, ended = [], []

    class Launcher(JoblibLauncher):
        def launch(self, job_overrides, initial_job_idx):
            started.append((self.joblib["n_jobs"], len(job_overrides), initial_job_idx))
            return ["first", "second"]

    launch(Launcher(n_jobs=wanted), [["seed=0"]] * num_jobs, on_end=ended.append, first=4)
    assert started == [(workers, num_jobs, 4)]
    assert ended == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("joblib", "0"), ("local", "0"), ("local", "1.5"), ("local", "null"), ("local", "two")],
)
def test_a_number_that_is_none_of_workers_is_refused_in_a_line(name, wanted, train, tmp_path):
    overrides = (f"hydra/launcher={name}", f"hydra.launcher.n_jobs={wanted}")
    code, said = train("-m", "model=tiny", *overrides, f"hydra.sweep.dir={tmp_path}", "seed=0,1")
    assert code == 2
    shown = "None" if wanted == "null" else wanted
    assert said == (
        f"ConfigError: hydra.launcher.n_jobs: {shown} workers run nothing; give 1 or more, or -1 "
        "for all cores\n"
    )


def test_a_system_that_cannot_fork_is_told_of_joblib(train, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "can_fork", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    overrides = ("model=tiny", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={tmp_path}")
    code, said = train("-m", *overrides, "seed=0,1")
    assert code == 2
    assert said == (
        "ConfigError: hydra.launcher.n_jobs: 2 processes were asked for, which this system cannot "
        "fork; choose hydra/launcher=joblib\n"
    )
    assert not list(tmp_path.glob("seed=*"))


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        (("hydra/launcher=joblib",), None),  # as many as there are cores, a thread each
        (("hydra/launcher=joblib", "hardware.threads=2"), 2),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=3"), None),  # of which there are two
        (("hydra.launcher.n_jobs=2", "hardware.threads=2"), 2),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=-2", "hardware.threads=2"), None),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=-9", "hardware.threads=2"), None),
        (("hardware.threads=2",), None),
        (("hardware.threads=3",), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_more_threads_than_cores_are_warned_of(monkeypatch, caplog, overrides, jobs):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = hydra_compose("config", overrides=list(overrides), return_hydra_config=True)
    MultirunCallback().on_multirun_start(composed)
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == (jobs is not None)
    start = f"{jobs} jobs of {composed.hardware.threads} thread(s)"
    assert all(line.startswith(start) for line in warned)
