"""Runs side by side: each launcher leaves what the same runs leave one after the other."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher

from ironore_lightning.experiment import run_experiment
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
TWO_WORKERS = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.fixture(scope="module")
def make_sweep(run_command):
    """Start a sweep as a user does, a process of its own, into a folder."""

    def sweep(folder, *overrides, status=0):
        command = ("train.py", "-m", *QUICK, *overrides, f"hydra.sweep.dir={folder}")
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
def by_joblib(make_sweep, tmp_path_factory):
    """Three runs, and a fourth that cannot write its checkpoints."""
    folder = tmp_path_factory.mktemp("joblib")
    (folder / "seed=3").mkdir()
    (folder / "seed=3" / "checkpoints").write_text("no folder", encoding="utf-8")
    return folder, make_sweep(folder, *TWO_WORKERS, "seed=3,0,1,2", status=1)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def states(folder):
    return {path.parent.name: read_json(path)["state"] for path in folder.glob("*/status.json")}


def require_same_runs(folder, reference, seeds, failed=()):
    """Every run is complete in a folder of its own, with the forecasts it has by itself."""
    names = [f"seed={seed}" for seed in seeds]
    assert states(folder) == {**dict.fromkeys(names, "complete"), **dict.fromkeys(failed, "failed")}
    for name in names:
        predictions = (folder / name / "predictions.csv").read_bytes()
        assert predictions == (reference / name / "predictions.csv").read_bytes(), name
    runs = read_json(folder / "summary.json")["runs"]
    assert sorted(run["run"] for run in runs) == sorted([*names, *failed])


def test_the_seeds_of_the_reference_are_told_apart(one_by_one):
    written = {path.read_bytes() for path in one_by_one.glob("seed=*/predictions.csv")}
    assert len(written) == 3


def test_two_joblib_workers_leave_what_one_process_leaves_and_outlive_a_failed_run(
    by_joblib, one_by_one
):
    folder, process = by_joblib
    require_same_runs(folder, one_by_one, seeds=range(3), failed=["seed=3"])
    assert "4 runs: 3 complete, 1 failed" in process.stdout
    assert process.stderr.startswith(f"MachineError: {folder / 'seed=3'}")
    assert process.stderr.count("\n") == 1


def test_two_joblib_workers_share_the_runs(by_joblib):
    statuses = [read_json(by_joblib[0] / f"seed={seed}" / "status.json") for seed in range(3)]
    times = sorted((status["started"], status["ended"]) for status in statuses)
    # A worker that came late has missed one run, and not all.
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(times))


def test_submitit_on_this_machine_leaves_what_one_process_leaves(make_sweep, one_by_one, tmp_path):
    process = make_sweep(tmp_path, "hydra/launcher=submitit_local", "seed=0,1")
    require_same_runs(tmp_path, one_by_one, seeds=range(2))
    assert "guessing reaches" in process.stdout.splitlines()[-1]
    outputs = sorted(tmp_path.glob(".submitit/*/*_log.out"))
    assert len(outputs) == 2
    said = [path.read_text(encoding="utf-8") for path in outputs]
    assert all("best val/loss: " in text and "guessing reaches" not in text for text in said)


def test_ray_leaves_what_one_process_leaves(make_sweep, one_by_one, tmp_path):
    reason = "ray is not installed; it is part of the extra `cluster`"
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason=reason)
    make_sweep(tmp_path, "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "seed=0,1")
    require_same_runs(tmp_path, one_by_one, seeds=range(2))


def test_a_search_by_two_joblib_workers_finishes_every_trial(make_sweep, tmp_path):
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
    started = []

    class Launcher(JoblibLauncher):
        def launch(self, job_overrides, initial_job_idx):
            started.append((self.joblib["n_jobs"], len(job_overrides), initial_job_idx))

    launch(Launcher(n_jobs=wanted), [["seed=0"]] * num_jobs, first=4)
    assert started == [(workers, num_jobs, 4)]


def test_no_workers_are_refused_in_a_line(train, tmp_path):
    overrides = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=0", f"hydra.sweep.dir={tmp_path}")
    code, said = train("-m", "model=tiny", *overrides, "seed=0,1")
    assert code == 2
    assert said == (
        "ConfigError: hydra.launcher.n_jobs: 0 workers run nothing; give 1 or more, or -1 for all "
        "cores\n"
    )


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        (("hydra/launcher=joblib",), None),  # as many as there are cores, a thread each
        (("hydra/launcher=joblib", "hardware.threads=2"), 2),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=3"), None),  # of which there are two
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
