"""Two runs or trials on the days that both forecast."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from ironore_lightning.compare.__main__ import main
from ironore_lightning.evaluation.comparison import duel
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.experiment import run_experiment
from ironore_lightning.run_folder.looks import VARIABLE

pytestmark = pytest.mark.usefixtures("one_quick_figure")

QUICK = ("model=tiny", "training.max_epochs=1", "evaluation.bootstrap_repetitions=100")


@pytest.fixture(scope="module")
def first(compose, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "A"
    run_experiment(compose(*QUICK), folder)
    return folder


@pytest.fixture(scope="module")
def second(compose, tmp_path_factory):
    """A run that is tested on fewer days."""
    folder = tmp_path_factory.mktemp("second") / "B"
    split = ("split=by_date", "split.val_start=2024-08-09", "split.test_start=2025-05-01")
    run_experiment(compose(*QUICK, *split, "seed=1"), folder)
    return folder


@pytest.fixture(scope="module")
def sweep(train, tmp_path_factory):
    """Two trials of two seeds each."""
    folder = tmp_path_factory.mktemp("sweep") / "many"
    varied = ("model.head=point,gaussian", "seed=0,1")
    assert train("-m", *QUICK, *varied, f"hydra.sweep.dir={folder}") == (0, "")
    return folder


def compared(*arguments, folder):
    assert main([*map(str, arguments), f"output_dir={folder}"]) == 0
    return json.loads((folder / "comparison.json").read_text(encoding="utf-8"))


def days_of(actual, forecast):
    frame = pd.DataFrame(
        {
            "date": pd.bdate_range("2025-01-01", periods=len(actual)),
            "actual": actual,
            "forecast": forecast,
            "is_roll": False,
        }
    )
    return ScoredDays(frame, "log_return", 1)


def test_a_duel_has_the_test_of_diebold_and_mariano_in_both_directions():
    random = np.random.default_rng(3)
    actual, ours, theirs = random.normal(size=(3, 60))
    difference = (actual - ours) ** 2 - (actual - theirs) ** 2
    # Harvey, Leybourne & Newbold's correction for horizon 1, by hand.
    error = np.sqrt(np.mean((difference - difference.mean()) ** 2) / 60)
    statistic = difference.mean() / error * np.sqrt(59 / 60)
    p_value = 2 * student.sf(abs(statistic), df=59)
    there = duel(days_of(actual, ours), theirs)
    back = duel(days_of(actual, theirs), ours)
    assert there.diebold_mariano_p == pytest.approx(p_value)
    assert back.diebold_mariano_p == pytest.approx(p_value)
    assert there.giacomini_white.p_value == pytest.approx(back.giacomini_white.p_value)
    assert there.scores[0] == back.scores[1]
    assert there.same_sign == np.mean(np.sign(ours) == np.sign(theirs))


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (0.1, "A has the smaller squared errors, beyond what luck explains (Diebold-Mariano p 0."),
        (1.0, "by no more than luck explains (Diebold-Mariano p 0."),
        (None, "Their errors are the same, or too few to compare."),
    ],
)
def test_a_duel_says_whether_the_two_can_be_told_apart(noise, said):
    random = np.random.default_rng(7)
    actual, other, own = random.normal(size=(3, 100))
    forecast = actual + other if noise is None else actual + noise * own
    assert said in duel(days_of(actual, forecast), actual + other).sentence


def test_two_runs_are_compared_on_their_shared_days(first, second, tmp_path, capsys):
    found = compared(first, second, folder=tmp_path)
    rows = [
        pd.read_csv(folder / "predictions.csv", index_col="date").query("segment == 'test'")
        for folder in (first, second)
    ]
    shared = rows[1].index
    assert found["num_days"] == len(shared) < len(rows[0])
    for scores, predictions in zip(found["scores"], rows, strict=False):
        error = predictions.loc[shared, "actual"] - predictions.loc[shared, "forecast"]
        assert scores["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert found["scores"][2]["rmse"] == pytest.approx(np.sqrt((rows[1]["actual"] ** 2).mean()))
    assert found["settings"]["seed"] == {"A": "0", "B": "1"}
    assert found["settings"]["split.train"] == {"A": "0.7", "B": "–"}
    assert "hardware.accelerator" not in found["settings"]
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80 or str(tmp_path) in said
    assert found["sentence"] in said
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert found["sentence"].split(" (")[0] in page
    assert page.count("<svg") == 1


def test_a_folder_of_runs_is_its_chosen_trial_and_a_trial_has_its_name(sweep, tmp_path):
    summary = json.loads((sweep / "summary.json").read_text(encoding="utf-8"))
    chosen, other = (entry["trial"] for entry in summary["ranking"])
    found = compared(sweep, sweep / other, folder=tmp_path)
    assert (found["A"], found["B"]) == (f"{sweep}/{chosen}", f"{sweep}/{other}")
    ledger = pd.read_csv(sweep / "trial_ledger.csv")
    for scores, name in zip(found["scores"], (chosen, other), strict=False):
        assert scores["rmse"] == pytest.approx(
            np.sqrt(((ledger["actual"] - ledger[name]) ** 2).mean())
        )
    assert list(found["settings"]) == ["model.head"]


def test_both_are_looks_at_the_shared_days(first, second, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "looks.sqlite"))
    assert compared(first, second, folder=tmp_path / "once")["looks"] == [1, 2]
    assert compared(second, first, folder=tmp_path / "again")["looks"] == [2, 1]


def test_what_cannot_be_compared_is_refused_in_one_line(
    first, second, sweep, compose, tmp_path, capsys
):
    other = tmp_path / "horizon"
    run_experiment(compose(*QUICK, "target.horizon=2"), other)
    changed = shutil.copytree(second, tmp_path / "changed")
    table = pd.read_csv(changed / "predictions.csv")
    table.loc[len(table) - 1, "actual"] += 0.01
    table.to_csv(changed / "predictions.csv", index=False)
    cases = {
        (first, other): "only forecasts of the same thing can be compared",
        (first, tmp_path / "none"): "there is no run below this folder",
        (sweep / "nonsense", first): "it has no trial 'nonsense'; its trials are: head=",
        (first, changed): "disagree on what happened on 2025-08-13",
        (first, tmp_path / "no" / "where"): "there is no such run, folder of runs, or trial",
    }
    (tmp_path / "none").mkdir()
    for arguments, said in cases.items():
        assert main([*map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert said in error
