"""A finished run on other days than its test days, without training."""

import json
import shutil

import pandas as pd
import pytest
from small_market import cut_market

from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.evaluate import main
from ironore_lightning.experiment import run_experiment
from ironore_lightning.run_folder.looks import VARIABLE
from ironore_lightning.summary.runs import run_folders

pytestmark = pytest.mark.usefixtures("one_quick_figure")

QUICK = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")
TABLES = ("predictions.csv", "baselines.csv", "density.csv", "risk.csv", "price_clues.csv")


@pytest.fixture(scope="module")
def market(compose, tmp_path_factory):
    """Raw files until 13 August 2025."""
    root = tmp_path_factory.mktemp("market") / "raw"
    read_raw(compose(f"data.root={root}").data)
    return root


@pytest.fixture(scope="module")
def make_run(compose, market, tmp_path_factory):
    """Train on the files as they were at the end of May."""
    earlier = cut_market(market, tmp_path_factory.mktemp("earlier") / "raw", "2025-05-30")

    def make(*overrides):
        folder = tmp_path_factory.mktemp("run")
        run_experiment(compose("data=original", f"data.root={earlier}", *QUICK, *overrides), folder)
        return folder

    return make


@pytest.fixture(scope="module")
def run(make_run):
    return make_run()


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def rows_of(folder, name="predictions.csv"):
    return pd.read_csv(folder / name, index_col="date")


def test_days_of_newer_files_are_scored_and_the_run_stays_as_it_is(run, market, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    assert main([f"run={run}", f"data.root={market}", "from=2025-06-02", "to=2025-07-31"]) == 0
    folder = run / "evaluation_2025-06-02_2025-07-31"
    days = rows_of(folder).query("segment == 'test'")
    weekdays = pd.bdate_range("2025-06-02", "2025-07-31")
    assert (len(days), days.index[0], days.index[-1]) == (44, "2025-06-02", "2025-07-31")
    assert len(weekdays) == 44
    result = read_json(folder / "evaluation_results.json")
    assert result["scores"]["num_days"] == 44
    error = days["actual"] - days["forecast"]
    assert result["scores"]["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    assert run_folders(run) == {run}  # other days make no other run
    assert {path.name for path in folder.iterdir()} >= {*TABLES, "plots", "provenance.json"}
    after = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    del after[folder.name]
    assert {name for name in before if before[name] != after.get(name)} <= {".lock"}
    said = capsys.readouterr().out
    assert result["sentence"] in said
    assert "test days of the run itself" not in said
    assert "44 test" in said


@pytest.mark.parametrize(
    "overrides",
    [(), ("model.head=gaussian", "split=walk_forward", "split.rolling=true", "split.fold=1")],
)
def test_its_own_test_days_get_its_own_verdict(make_run, overrides):
    folder = make_run(*overrides)
    own = rows_of(folder).query("segment == 'test'").index
    assert main([str(folder), "--from", own[0], "--to", own[-1]]) == 0
    again = folder / f"evaluation_{own[0]}_{own[-1]}"
    known, found = (read_json(place / "evaluation_results.json") for place in (folder, again))
    assert found.pop("sentence") == (
        f"{known.pop('sentence')} {len(own)} of these {len(own)} days were test days of the run "
        "itself."
    )
    assert found == known
    for name in TABLES:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_part_of_the_days_has_the_forecasts_of_the_whole(run):
    assert main([str(run), "--from", "2025-05-05"]) == 0
    part = run / "evaluation_2025-05-05_end"
    for name in TABLES:
        whole = rows_of(run, name)
        kept = whole.index >= "2025-05-05"
        if name == "predictions.csv":
            kept |= whole["segment"] != "test"
        pd.testing.assert_frame_equal(rows_of(part, name), whole[kept])


def test_what_happens_after_the_last_day_changes_nothing(run, market, tmp_path):
    cut = cut_market(market, tmp_path / "cut", "2025-07-10")
    assert main([str(run), "--data-root", str(market), "--to=2025-07-10"]) == 0
    known = run / "evaluation_start_2025-07-10"
    assert (
        main([str(run), f"data.root={cut}", f"output_dir={tmp_path / 'then'}", "to=2025-07-10"])
        == 0
    )
    for name in (*TABLES, "evaluation_results.json"):
        assert (known / name).read_bytes() == (tmp_path / "then" / name).read_bytes(), name


def test_a_restated_training_row_is_refused_by_name(run, market, tmp_path, capsys):
    changed = shutil.copytree(market, tmp_path / "changed")
    contracts = pd.read_pickle(changed / "Raw_M65F_DSP.pkl")
    for prices in contracts.values():
        prices[prices.index == "2023-05-10"] *= 1.01
    pd.to_pickle(contracts, changed / "Raw_M65F_DSP.pkl")
    assert main([str(run), "--data-root", str(changed), "--from=2025-06-02"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "price_65_m1: its values from" in said
    assert "put the old files back, train again" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from=2024-12-02"], "the run has learnt from outcomes until 2024-12-04"),
        (["--from=2026-01-02"], "the newest outcome until --to is of 2025-05-30; give other days"),
        (["--to=2024-12-02"], "the data hold no outcome after it until 2024-12-02"),
        (["--from=02.06.2025"], "--from: a date is written YYYY-MM-DD, got 02.06.2025"),
        (["--from=2025-05-20", "to=2025-05-19"], "--from 2025-05-20: lies after --to 2025-05-19"),
        (["form=2025-06-02"], "unrecognized arguments: form=2025-06-02"),
        (["--output-dir=x"], "name them with --from"),
    ],
)
def test_days_that_cannot_be_scored_are_refused_in_one_line(run, arguments, said, capsys):
    before = {path.name for path in run.iterdir()}
    assert main([str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert {path.name for path in run.iterdir()} == before


def test_other_days_are_a_look_at_these_days(run, market, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "looks.sqlite"))
    numbers = []
    for first in ("2025-06-02", "2025-06-03", "2025-06-02"):
        folder = tmp_path / f"from_{first}"
        arguments = [f"from={first}", f"data.root={market}", f"output_dir={folder}"]
        assert main([str(run), *arguments]) == 0
        numbers.append(read_json(folder / "evaluation_results.json")["evidence"]["look"])
    assert numbers == [1, 2, 1]


def test_a_link_in_the_folder_of_a_stranger_is_not_followed(run, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = shutil.copytree(run, tmp_path / "copy", ignore=lambda *_: {"evaluation_2025-05-06_end"})
    (copy / "evaluation_2025-05-06_end").symlink_to(elsewhere)
    assert main([str(copy), "--from=2025-05-06"]) == 2
    (copy / "evaluation_2025-05-07_end").mkdir()
    (copy / "evaluation_2025-05-07_end" / "plots").symlink_to(elsewhere)
    assert main([str(copy), "--from=2025-05-07"]) == 2
    assert capsys.readouterr().err.count(" is a link") == 2
    assert list(elsewhere.iterdir()) == []
