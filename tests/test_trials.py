"""Runs read back, grouped into trials, averaged over seeds and joined over folds."""

import numpy as np
import pandas as pd
import pytest
from conftest import write_status

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.intervals import (
    adaptive_intervals,
    ewma_volatility,
    scaled_scores,
)
from ironore_lightning.run_folder.forecast_tables import read_forecasts
from ironore_lightning.run_folder.lock import lock_folder
from ironore_lightning.summary.choice import join_tables
from ironore_lightning.summary.runs import CompleteRun, read_runs, varying_keys
from ironore_lightning.summary.trials import Trial, gather_trials, join_runs

WALK = ("model=tiny", "split=walk_forward")


@pytest.fixture(scope="module")
def market():
    return np.random.default_rng(0).normal(0, 1.5, 300)


@pytest.fixture
def walk(write_run, market, tmp_path):
    """Two seeds of two folds of 40 days, and a forecast that says its own seed."""
    for minute, (fold, seed) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        stop = 200 + 40 * fold
        write_run(
            tmp_path / f"split.fold={fold},seed={seed}",
            [*WALK, f"split.fold={fold}", f"seed={seed}"],
            market,
            np.full(stop + 40, 0.1 + 0.2 * seed + fold),
            objective=2.0 + seed + 10 * fold,
            borders=(stop - 40, stop),
            minute=minute,
        )
    return tmp_path


def test_runs_are_read_in_the_order_in_which_they_were_started(write_run, market, tmp_path):
    for name, minute in (("a", 5), ("b", 1)):
        write_run(
            tmp_path / name,
            ["model=tiny", f"seed={minute}"],
            market,
            market[:200],
            objective=minute,
            borders=(100, 150),
            minute=minute,
        )
    runs = read_runs(tmp_path)
    assert [run.name for run in runs] == ["b", "a"]
    assert [run.seed for run in runs] == [1, 5]
    assert [run.seconds for run in runs] == [90.0, 90.0]
    assert runs[0].overrides == {"model": "tiny", "seed": "1"}
    assert varying_keys(runs) == ("seed",)


def test_every_state_is_told_apart(walk):
    write_status(walk / "wrong", state="failed", error="DataError: x", exit_status=2)
    write_status(walk / "cut", state="pruned", error="pruned after epoch 3")
    write_status(walk / "killed", state="running", ended=None)
    write_status(walk / "alive", state="running", ended=None)
    with lock_folder(walk / "alive"):
        states = {run.name: run.status.state for run in read_runs(walk)}
    assert len(states) == 8
    assert {states[name] for name in states if name.startswith("split")} == {"complete"}
    assert states["wrong"] == "failed"
    assert states["cut"] == "pruned"
    assert states["killed"] == "interrupted"
    assert states["alive"] == "running"


def test_results_of_another_version_are_a_failed_run_with_the_reason(walk):
    path = walk / "split.fold=0,seed=0" / "final_results.json"
    path.write_text(path.read_text().replace('"settings": {', '"settings": {"older_key": 1, '))
    (run,) = [run for run in read_runs(walk) if run.name == "split.fold=0,seed=0"]
    assert run.status.state == "failed"
    assert run.status.error.startswith(f"its results cannot be read: {path}: settings.older_key: ")
    assert not isinstance(run, CompleteRun)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no run below"):
        read_runs(tmp_path)
    with pytest.raises(ConfigError, match="there is no such folder"):
        read_runs(tmp_path / "nowhere")


def test_runs_that_differ_in_seed_and_fold_only_are_one_trial(walk):
    (trial,) = gather_trials(read_runs(walk))
    assert trial.name == "ironore"
    assert len(trial.runs) == 4
    assert trial.seeds == (0, 1)
    assert trial.folds == (0, 1)
    assert trial.seconds == 360.0


def test_a_trial_is_named_by_what_tells_it_from_the_others(write_run, market, tmp_path):
    values = ["model.dropout=0.1", "model.dropout=0.12345678901234"]
    for number, value in enumerate(values):
        for seed in (0, 1):
            write_run(
                tmp_path / f"{number}-{seed}",
                ["model=tiny", value, f"seed={seed}", "window.sequence_length=20"],
                market,
                market[:200],
                objective=1.0,
                borders=(100, 150),
            )
    trials = gather_trials(read_runs(tmp_path))
    assert [trial.name for trial in trials] == ["dropout=0.1", "dropout=0.1235"]
    assert [len(trial.runs) for trial in trials] == [2, 2]


def test_the_same_run_in_two_folders_counts_once(walk, write_run, market):
    write_run(
        walk / "again",
        [*WALK, "split.fold=0", "seed=0"],
        market,
        np.full(240, 9.0),
        objective=2.0,
        borders=(160, 200),
        minute=50,
    )
    (trial,) = gather_trials(read_runs(walk))
    assert len(trial.runs) == 4
    assert 9.0 not in join_runs(trial.runs).days["forecast"].tolist()


def test_a_seed_that_lacks_a_fold_is_no_whole_seed(walk):
    write_status(walk / "split.fold=1,seed=1", state="failed", error="x", exit_status=1)
    (trial,) = gather_trials(read_runs(walk))
    assert trial.seeds == (0,)
    assert trial.folds == (0, 1)


def tables_of(trial):
    """The tables of all its runs."""
    return {run: read_forecasts(run.folder, "log_return") for run in trial.runs}


def test_seeds_are_averaged_and_folds_follow_each_other(walk, market):
    (trial,) = gather_trials(read_runs(walk))
    joined = join_runs(trial.runs)
    assert len(joined.days) == 80
    assert joined.days["actual"].tolist() == pytest.approx(market[200:280].tolist())
    assert joined.days["forecast"].tolist() == pytest.approx([0.2] * 40 + [1.2] * 40)
    assert joined.days["fold"].tolist() == [0] * 40 + [1] * 40
    assert joined.days["date"].is_monotonic_increasing
    baselines, density, _ = join_tables(trial, tables_of(trial))
    assert len(baselines) == len(density) == 80
    assert baselines["expanding mean"].tolist() == pytest.approx(
        [0.01 * day for day in range(40)] * 2
    )
    assert joined.validation["actual"].tolist() == pytest.approx(market[160:200].tolist())


def test_the_intervals_of_a_mean_are_made_of_its_own_errors(walk, market):
    (trial,) = gather_trials(read_runs(walk))
    days = join_runs(trial.runs).days.iloc[:40]
    volatility = ewma_volatility(market[:240], horizon=1)
    val, test = slice(160, 200), slice(200, 240)
    expected = adaptive_intervals(
        scaled_scores(market[val], np.full(40, 0.2), volatility[val]),
        actual=market[test],
        forecast=np.full(40, 0.2),
        volatility=volatility[test],
        coverage=0.8,
        horizon=1,
        adaptation=trial.config.evaluation.adaptation,
    )
    np.testing.assert_allclose(days["lower_80"], expected.lower)
    np.testing.assert_allclose(days["upper_80"], expected.upper)


def test_one_seed_keeps_its_own_intervals_and_distribution(walk):
    (trial,) = gather_trials(read_runs(walk))
    alone = join_runs(trial.of_seed(0))
    assert alone.days["lower_80"].tolist() == pytest.approx([-1.9] * 40 + [-0.9] * 40)
    one_seed = Trial(trial.name, trial.of_seed(0))
    _, density, _ = join_tables(one_seed, tables_of(one_seed))
    assert ("pinball", "model") in density
    _, density, _ = join_tables(trial, tables_of(trial))
    assert list(density) == [("pinball", "EWMA")]


def test_folds_whose_test_days_overlap_are_refused(walk, write_run, market):
    write_run(
        walk / "overlap",
        [*WALK, "split.fold=2", "seed=0"],
        market,
        np.zeros(260),
        objective=2.0,
        borders=(180, 220),
    )
    (trial,) = gather_trials(read_runs(walk))
    with pytest.raises(ConfigError, match="overlap"):
        join_runs(trial.runs)


def test_later_days_change_no_earlier_day_of_a_joined_series(walk):
    (trial,) = gather_trials(read_runs(walk))
    before = join_runs(trial.runs).days
    for seed in (0, 1):
        path = walk / f"split.fold=1,seed={seed}" / "predictions.csv"
        frame = pd.read_csv(path)
        frame.loc[260:, ["actual", "forecast"]] = 7.0
        frame.to_csv(path, index=False)
    (later,) = gather_trials(read_runs(walk))
    after = join_runs(later.runs).days
    assert not after.iloc[60:].equals(before.iloc[60:])
    pd.testing.assert_frame_equal(after.iloc[:60], before.iloc[:60], check_exact=True)
