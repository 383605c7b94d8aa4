"""The real train.py with -m: grids, walk-forwards, and a sweep that is killed and started again."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import time
from pathlib import Path

import forks
import pandas as pd
import pytest
from PIL import Image

from ironore_lightning.experiment import run_experiment
from ironore_lightning.summarize import main as summary_command
from ironore_lightning.summary.ranking import summarize

ROOT = Path(__file__).parents[1]
QUICK = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")
PICTURES = {
    "actual_vs_predicted_scatter",
    "calibration",
    "equity_curve",
    "performance_rankings",
    "recommendation",
    "timeseries_comparison",
    "top_models_timeseries",
}
"""Of a search; those of a walk-forward differ."""


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def statuses(folder):
    return {path.parent.name: read_json(path) for path in sorted(folder.glob("*/status.json"))}


GRID = (
    "train.py",
    "-m",
    *QUICK,
    "features=single,prices",
    "seed=0,1",
    "window.sequence_length=20,900",  # no data can fill the larger one
)


@pytest.fixture(scope="module")
def grid(run_command, tmp_path_factory):
    """A grid of eight runs, of which half must fail, and how its command ended."""
    folder = tmp_path_factory.mktemp("grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IRONORE_LOOKS", str(folder / "looks.sqlite"))
        return folder, run_command(*GRID, f"hydra.sweep.dir={folder}")


def test_a_setting_that_the_data_cannot_fill_takes_no_other_run_down_and_the_exit_status_says_so(
    grid,
):
    folder, process = grid
    states = [status["state"] for status in statuses(folder).values()]
    assert sorted(states) == ["complete"] * 4 + ["failed"] * 4
    assert process.returncode == 2
    assert process.stderr.count("DataError: the data hold 866 rows with a target") == 4
    assert "Traceback" not in process.stderr


def test_a_multirun_is_one_look_at_its_test_days(grid):
    with contextlib.closing(sqlite3.connect(grid[0] / "looks.sqlite")) as ledger:
        looks = ledger.execute("SELECT what FROM looks").fetchall()
    assert looks == [(str(grid[0]),)]
    assert read_json(grid[0] / "summary.json")["chosen"]["evaluation"]["evidence"]["look"] == 1


def test_every_run_has_a_folder_named_by_its_own_values(grid):
    names = list(statuses(grid[0]))
    assert len(names) == 8
    assert "features=prices,seed=1,window.sequence_length=20" in names
    for name in names:
        overrides = (grid[0] / name / ".hydra" / "overrides.yaml").read_text(encoding="utf-8")
        assert all(f"- {override}\n" in overrides for override in name.split(","))


def test_a_multirun_ends_with_table_page_pictures_and_verdict(grid):
    folder, process = grid
    last = process.stdout.strip().splitlines()
    summary = read_json(folder / "summary.json")
    assert last[-2] == summary["sentence"]
    assert last[-1] == f"page: {folder / 'summary.html'}"
    assert summary["counts"] == "8 runs: 4 complete, 4 failed"
    assert summary["chosen"]["trial"] in {"features=single", "features=prices"}
    assert summary["chosen"]["seeds"] == [0, 1]
    table = pd.read_csv(folder / "summary.csv")
    assert list(table["status"]) == ["complete"] * 4 + ["failed"] * 4
    assert table["validation"].notna().sum() == 4
    ledger = pd.read_csv(folder / "trial_ledger.csv")
    assert list(ledger)[3:] == [trial["trial"] for trial in summary["ranking"]]
    assert len(ledger) == 131
    plots = {path.stem for path in (folder / "plots").glob("*.png")}
    assert plots == PICTURES
    for path in (folder / "plots").glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) >= 500
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert page.count("<svg") == len(PICTURES)
    assert summary["sentence"][:40] in page


def test_the_console_shows_of_each_run_its_validation_and_test_scores_only_of_the_chosen(grid):
    folder, process = grid
    lines = re.findall(r"^ +(\d)/8 +(\S+) +(\S.*?)  (.+)$", process.stdout, re.MULTILINE)
    assert [number for number, *_ in lines] == [*"12345678"]
    objectives = {name: f"{of['objective'] or 0:.4f}" for name, of in statuses(folder).items()}
    for _, objective, seconds, settings in lines:
        assert settings.split()[-1].startswith("sequence_length=")
        if objective == "failed":
            assert seconds == "DataError"
        else:
            assert (
                objective == objectives[settings.replace(" ", ",").replace(",seq", ",window.seq")]
            )
            assert re.fullmatch(r"\d+\.\d s", seconds)
    assert [objective for _, objective, *_ in lines].count("failed") == 4
    assert "FAST" not in process.stdout
    for name, status in statuses(folder).items():
        log = (folder / name / "training.log").read_text(encoding="utf-8")
        assert ("FAST" in log) == (status["state"] == "complete")
    assert process.stdout.count("guessing reaches") == 1
    assert "R2 (zero)" not in process.stdout


def test_the_same_command_repeats_nothing_that_is_finished(grid, run_command):
    folder, _ = grid
    before = statuses(folder)
    process = run_command(*GRID, f"hydra.sweep.dir={folder}")
    assert process.returncode == 2
    assert len(re.findall(r"/8 +\d\.\d{4} +before  ", process.stdout)) == 4
    after = statuses(folder)
    kept = [name for name, status in before.items() if status["state"] == "complete"]
    assert len(kept) == 4
    assert all(after[name] == before[name] for name in kept)
    assert read_json(folder / "summary.json")["counts"] == "8 runs: 4 complete, 4 failed"


def test_the_summary_can_be_asked_for_by_hand(grid, capsys):
    folder, _ = grid
    assert summary_command([str(folder)]) == 0
    assert read_json(folder / "summary.json")["sentence"] in capsys.readouterr().out.splitlines()
    for arguments, line in (
        ([], "ConfigError: the following arguments are required: FOLDER"),
        (["nowhere"], "ConfigError: nowhere: there is no"),
    ):
        assert summary_command(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith(line)
        assert said.count("\n") == 1


@pytest.mark.usefixtures("one_quick_figure")
def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path, compose):
    settings = (*QUICK, "training.max_epochs=25", "training.patience=25")
    command = ["train.py", "-m", *settings, "seed=0,1", f"hydra.sweep.dir={tmp_path}"]
    process = forks.start(command, out=os.devnull, err=os.devnull)
    second = tmp_path / "seed=1" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not second.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert forks.wait(process) == -signal.SIGKILL
    cut_off = statuses(tmp_path)
    assert [status["state"] for status in cut_off.values()] == ["complete", "running"]
    assert summarize(tmp_path).counts == "2 runs: 1 complete, 1 interrupted"

    again = forks.run(*command)
    assert again.returncode == 0, again.stderr
    after = statuses(tmp_path)
    assert [status["state"] for status in after.values()] == ["complete"] * 2
    assert after["seed=0"] == cut_off["seed=0"]
    assert re.findall(r"  (seed=.*)\n", again.stdout) == ["seed=0", "seed=1 (resumed)"]
    assert read_json(tmp_path / "summary.json")["counts"] == "2 runs: 2 complete"
    whole = tmp_path / "whole"
    run_experiment(compose(*settings, "seed=1"), whole)
    continued = tmp_path / "seed=1" / "predictions.csv"
    assert continued.read_bytes() == (whole / "predictions.csv").read_bytes()


def test_all_folds_of_a_walk_forward_are_joined_to_one_verdict(run_command, real_data, tmp_path):
    process = run_command(
        "train.py",
        "experiment=walk_forward",
        "data=original",
        f"data.root={real_data}",
        "features=prices",
        *QUICK,
        "split.initial=780",
        "seed=0,1",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert process.returncode == 0, process.stderr
    summary = read_json(tmp_path / "summary.json")
    # 868 rows end 849 windows of 20; after 780 of them two folds, of 63 and of 6 days.
    assert summary["counts"] == "4 runs: 4 complete"
    assert summary["chosen"]["folds"] == [0, 1]
    scores = summary["chosen"]["evaluation"]["scores"]
    assert scores["num_days"] == 69
    assert set(summary["chosen"]["by_seed"]) == {"0", "1"}
    plots = {path.stem for path in (tmp_path / "plots").glob("*.png")}
    of_the_chosen = {"actual_vs_predicted_scatter", "calibration", "equity_curve"}
    assert plots == of_the_chosen | {"joined_forecast", "block_skill"}
    ledger = pd.read_csv(tmp_path / "trial_ledger.csv")
    assert len(ledger) == 69
    tests = []
    for fold in range(2):
        frames = [
            pd.read_csv(tmp_path / f"split.fold={fold},seed={seed}" / "predictions.csv")
            for seed in (0, 1)
        ]
        rows = [frame[frame["segment"] == "test"]["forecast"].to_numpy() for frame in frames]
        tests += list((rows[0] + rows[1]) / 2)
    assert ledger.iloc[:, 3].tolist() == tests
