"""What many runs are worth together, on forecasts made by hand."""

import csv
import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from conftest import digest, write_status

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.metrics import evaluate
from ironore_lightning.run_folder.forecast_tables import read_forecasts
from ironore_lightning.summary.choice import scored_days
from ironore_lightning.summary.outputs import discount_lines, report, run_table, summary_lines
from ironore_lightning.summary.ranking import summarize
from ironore_lightning.summary.runs import read_runs

NUM_DAYS = 500
BORDERS = (250, 350)


@pytest.fixture(scope="module")
def market():
    return np.random.default_rng(1).normal(0, 1.5, NUM_DAYS)


@pytest.fixture
def write_trial(write_run, market, tmp_path):
    """Write a trial of two seeds that say one forecast, and one hundredth more."""

    def write(name, objective, forecast, *overrides, minute=0):
        for seed in (0, 1):
            write_run(
                tmp_path / f"{name},seed={seed}",
                ["model=tiny", f"model.dropout={name}", f"seed={seed}", *overrides],
                market,
                np.asarray(forecast) + 0.01 * seed,
                objective=objective + 0.2 * seed,
                borders=BORDERS,
                minute=minute + seed,
            )
        return tmp_path

    return write


@pytest.fixture
def noise():
    """Return forecasts that know nothing."""
    return lambda seed: np.random.default_rng(100 + seed).normal(0, 0.2, NUM_DAYS)


def test_trials_are_ranked_by_the_mean_of_their_seeds_on_validation(write_trial, noise):
    write_trial("0.3", 2.0, noise(0))
    write_trial("0.2", 1.0, noise(1))
    folder = write_trial("0.1", 3.0, noise(2))
    summary = summarize(folder)
    assert summary.counts == "6 runs: 6 complete"
    assert summary.ranked_by == "val/loss"
    assert list(summary.ranking["trial"]) == ["dropout=0.2", "dropout=0.3", "dropout=0.1"]
    assert list(summary.ranking["validation"]) == pytest.approx([1.1, 2.1, 3.1])
    assert list(summary.ranking["spread"]) == pytest.approx([0.2 / 2**0.5] * 3)
    assert list(summary.ranking["num_runs"]) == [2, 2, 2]
    assert list(summary.ranking["seconds"]) == [180.0] * 3


def test_the_first_by_validation_is_tested_whatever_the_others_reach(write_trial, noise, market):
    write_trial("0.2", 2.0, market)  # it knows everything, and validation does not like it
    folder = write_trial("0.1", 1.0, noise(0))
    choice = summarize(folder).choice
    assert choice.trial.name == "dropout=0.1"
    assert choice.assessment.scores.direction_accuracy < 60
    assert choice.discount.num_trials == 2


def test_the_mean_over_seeds_is_evaluated_as_a_model_of_its_own(write_trial, noise, market):
    folder = write_trial("0.1", 1.0, noise(0))
    choice = summarize(folder).choice
    error = market[350:] - (noise(0)[350:] + 0.005)
    assert choice.assessment.scores.rmse == pytest.approx((error**2).mean() ** 0.5)
    assert set(choice.seeds) == {0, 1}
    for seed, scores in choice.seeds.items():
        error = market[350:] - (noise(0)[350:] + 0.01 * seed)
        assert scores.rmse == pytest.approx((error**2).mean() ** 0.5)


def test_the_joined_folds_are_assessed_by_the_function_of_a_single_run(
    write_run, market, noise, tmp_path
):
    for fold in range(3):
        stop = 250 + 60 * fold
        write_run(
            tmp_path / str(fold),
            ["model=tiny", "split=walk_forward", f"split.fold={fold}"],
            market,
            noise(0)[: stop + 60],
            objective=1.0 + fold,
            borders=(stop - 50, stop),
        )
    choice = summarize(tmp_path).choice
    assert choice.assessment.scores.num_days == len(choice.joined.days) == 180
    error = market[250:430] - noise(0)[250:430]
    assert choice.assessment.scores.rmse == pytest.approx((error**2).mean() ** 0.5)
    alone = evaluate(
        scored_days(choice.joined, choice.trial),
        mean=np.tile(0.01 * np.arange(60), 3),  # of the tables that `write_run` writes
    )
    assert choice.assessment.scores == alone
    assert len(choice.assessment.blocks) == 2  # of 63 days
    assert [year.first_date[:4] for year in choice.years] == ["2021", "2022"]
    assert sum(year.num_days for year in choice.years) == 180


def test_different_losses_are_no_common_measure(write_trial, noise, market):
    def forecast(seed):
        return np.full(NUM_DAYS, 0.01 * seed)

    write_trial("0.1", 1.0, noise(0) * 4)
    folder = write_trial("0.2", 9.0, noise(1) * 0, "training.loss=mae")
    summary = summarize(folder)
    assert summary.ranked_by == "validation RMSE"
    assert summary.ranking["trial"].iloc[0] == "dropout=0.2, loss=mae"
    errors = [market[250:350] - forecast(seed)[250:350] for seed in (0, 1)]
    rmse = [float((error**2).mean() ** 0.5) for error in errors]
    assert summary.ranking["validation"].iloc[0] == pytest.approx(np.mean(rmse))
    assert summary.ranking["spread"].iloc[0] == pytest.approx(np.std(rmse, ddof=1))


def test_the_ledger_holds_every_trial_side_by_side(write_trial, noise, market):
    write_trial("0.1", 1.0, noise(0))
    folder = write_trial("0.2", 2.0, noise(1))
    ledger = summarize(folder).ledger
    assert list(ledger) == ["date", "actual", "is_roll", "dropout=0.1", "dropout=0.2"]
    assert len(ledger) == 150
    assert ledger["actual"].tolist() == pytest.approx(market[350:].tolist())
    assert ledger["dropout=0.2"].tolist() == pytest.approx((noise(1)[350:] + 0.005).tolist())


@pytest.mark.parametrize("borders", [(250, 360), (240, 350)], ids=["tested", "validated"])
def test_trials_of_other_days_have_no_best(write_run, market, tmp_path, borders):
    for name, own in (("0.1", BORDERS), ("0.2", borders)):
        write_run(
            tmp_path / name,
            ["model=tiny", f"model.dropout={name}"],
            market,
            market * 0.1,
            objective=float(name),
            borders=own,
        )
    summary = summarize(tmp_path)
    assert summary.choice is None
    said = "No best can be named: dropout=0.1 and dropout=0.2 are not validated and tested on the"
    assert summary.sentence.startswith(said)
    assert len(run_table(summary)) == 2


def test_seeds_of_data_that_moved_on_are_never_averaged(write_run, market, tmp_path):
    for seed, day in ((0, 0), (1, 1)):
        folder = write_run(
            tmp_path / str(seed),
            ["model=tiny", f"seed={seed}"],
            market[day:],
            market[day : day + 400],
            objective=1.0,
            borders=BORDERS,
        )
        path = folder / "provenance.json"
        made_of = json.loads(path.read_text())
        path.write_text(json.dumps({**made_of, "table_sha256": digest(str(day))}))
    summary = summarize(tmp_path)
    assert [trial.name for trial in summary.trials] == ["ironore", "ironore (2)"]
    assert "differ in what happened on the same days" in summary.sentence


def test_runs_of_different_targets_have_no_best(write_trial, noise):
    write_trial("0.1", 1.0, noise(0))
    folder = write_trial("0.2", 2.0, noise(1), "target.kind=simple_return")
    summary = summarize(folder)
    assert summary.choice is None
    assert summary.sentence.startswith("No best can be named: the runs differ in their target")


def test_runs_on_different_data_have_no_best(write_run, market, noise, tmp_path):
    for name, actual in (("0.1", market), ("0.2", market + 1)):
        write_run(
            tmp_path / name,
            ["model=tiny", f"model.dropout={name}"],
            actual,
            noise(0),
            objective=1.0,
            borders=BORDERS,
        )
    assert "differ in what happened on the same days" in summarize(tmp_path).sentence


def test_failed_and_running_runs_are_listed_and_counted_apart(write_trial, noise):
    folder = write_trial("0.1", 1.0, noise(0))
    write_status(folder / "bad", state="failed", error="DataError: x", exit_status=2, minute=7)
    write_status(folder / "worse", state="failed", error="TrainingError: y", exit_status=1)
    write_status(folder / "killed", state="running", ended=None, minute=9)
    summary = summarize(folder)
    assert summary.counts == "5 runs: 2 complete, 2 failed, 1 interrupted"
    assert summary.worst_exit_status == 2
    assert "3 of 5 runs are not complete" in summary.notes[0]
    table = run_table(summary)
    assert list(table["status"][:2]) == ["complete", "complete"]
    assert sorted(table["status"][2:]) == ["failed", "failed", "interrupted"]
    assert set(table["error"].dropna()) == {"DataError: x", "TrainingError: y"}


def test_pruned_trials_count_as_looked_at(write_trial, noise):
    folder = write_trial("0.1", 1.0, noise(0))
    for number in range(4):
        write_status(folder / f"cut{number}", state="pruned", error="pruned after epoch 2")
    discount = summarize(folder).choice.discount
    assert (discount.num_trials, discount.num_scored) == (5, 1)


@pytest.fixture
def write_folds(write_run, market, noise, tmp_path):
    """Write folds of 60 days of a trial, each with the objective it is given."""

    def write(name, objectives, seed=0):
        for fold, objective in objectives.items():
            stop = 250 + 60 * fold
            setting = [f"model.dropout={name}", "split=walk_forward", f"split.fold={fold}"]
            write_run(
                tmp_path / f"{name}-{fold}-{seed}",
                ["model=tiny", *setting, f"seed={seed}"],
                market,
                noise(0)[: stop + 60],
                objective=objective,
                borders=(stop - 50, stop),
            )
        return tmp_path

    return write


def test_trials_that_lack_folds_are_not_ranked(write_folds):
    write_folds("0.1", {0: 0.1, 1: 0.1})
    summary = summarize(write_folds("0.2", {0: 0.2}))
    assert list(summary.ranking["trial"]) == ["dropout=0.1"]
    assert "1 trials lack folds" in summary.notes[0]
    assert summary.choice.discount.num_trials == 2


def test_later_folds_choose_nothing_since_they_validate_on_tested_days(write_folds):
    write_folds("0.1", {0: 2.0, 1: 0.1, 2: 0.1})
    summary = summarize(write_folds("0.2", {0: 1.0, 1: 9.0, 2: 9.0}))
    assert summary.choice.trial.name == "dropout=0.2"
    assert list(summary.ranking["validation"]) == [1.0, 2.0]
    assert "ranked by the validation segment of fold 0 alone" in summary.notes[0]
    tested = set(summary.choice.joined.days["date"])
    assert not tested & set(summary.choice.joined.validation["date"])


def test_a_fold_with_more_seeds_weighs_no_more(write_folds):
    write_folds("0.1", {0: 3.0, 1: 3.0})
    for seed in (1, 2, 3):
        write_folds("0.1", {1: 0.1}, seed=seed)
    summary = summarize(write_folds("0.2", {0: 2.0, 1: 2.0}))
    assert list(summary.ranking["trial"]) == ["dropout=0.2", "dropout=0.1"]
    assert any("some folds have fewer seeds" in note for note in summary.notes)


def test_trials_of_other_folds_have_no_best(write_folds):
    write_folds("0.1", {0: 1.0, 1: 1.0})
    summary = summarize(write_folds("0.2", {2: 2.0, 3: 2.0}))
    assert summary.sentence == "No best can be named: no trial has all the folds that there are."


def test_a_gap_between_folds_is_told(write_folds):
    summary = summarize(write_folds("0.1", {0: 1.0, 3: 1.0}))
    assert "no run of fold 1, 2; the joined days have a gap" in summary.notes


WALK = {"method": "walk_forward", "initial": 99, "step": 9, "val": 0.1, "rolling": False}
DAMAGE = {
    "predictions missing": lambda run: (run / "predictions.csv").unlink(),
    "predictions empty": lambda run: (run / "predictions.csv").write_text(""),
    "predictions cut": lambda run: cut(run / "predictions.csv", 9000),
    "predictions of bytes": lambda run: (run / "predictions.csv").write_bytes(b"\x00\xff" * 99),
    "a word in predictions": lambda run: edit(run / "predictions.csv", 5, "forecast", "x"),
    "a hole in predictions": lambda run: edit(run / "predictions.csv", 5, "forecast", ""),
    "a word in is_roll": lambda run: edit(run / "predictions.csv", 5, "is_roll", "x"),
    "a day twice": lambda run: edit(run / "predictions.csv", 5, "date", "2021-01-04"),
    "provenance garbled": lambda run: (run / "provenance.json").write_text("{"),
    "provenance empty": lambda run: (run / "provenance.json").write_text("{}"),
    "no objective": lambda run: write_status(run, state="complete", objective=None),
    "an objective that is no number": lambda run: write_status(
        run, state="complete", objective=float("nan")
    ),
    "an absurd forecast": lambda run: edit(run / "predictions.csv", 400, "forecast", "1e30"),
    "a huge outcome": lambda run: edit(run / "predictions.csv", 400, "actual", "9" * 400),
    "an endless bound": lambda run: edit(run / "predictions.csv", 400, "lower_80", "inf"),
    "a bound less": lambda run: recolumn(run / "predictions.csv", "upper_90", "upper_99"),
    "an unknown segment": lambda run: edit(run / "predictions.csv", 5, "segment", "then"),
    "segments in disorder": lambda run: edit(run / "predictions.csv", 5, "segment", "test"),
    "a zone": lambda run: edit(run / "predictions.csv", 5, "date", "2021-01-11T00:00:00+05:00"),
    "a huge table": lambda run: os.truncate(run / "predictions.csv", 2**28 + 1),
    "huge results": lambda run: os.truncate(run / "final_results.json", 2**22 + 1),
    "a fold far away": lambda run: set_in(run, "split.fold", "300000000", WALK),
    "a loop of resamples": lambda run: set_in(
        run, "evaluation.bootstrap_repetitions", "1" + "0" * 12
    ),
    "an absolute source": lambda run: set_in(run, "data.sources.index.file", '"/etc/passwd"'),
    "a source outside": lambda run: set_in(run, "data.sources.index.file", '"../a.csv"'),
    "a number of many digits": lambda run: set_in(run, "seed", "9" * 5000),
    "deep settings": lambda run: (run / "final_results.json").write_text("[" * 10**6),
    "a digest that is none": lambda run: set_digest(run, "\x1b[2J"),
    "endless seconds": lambda run: set_status(run, '"seconds": 90.0', '"seconds": 1e999'),
    "seconds that are none": lambda run: set_status(run, '"seconds": 90.0', '"seconds": NaN'),
    "seconds that run back": lambda run: set_status(run, '"seconds": 90.0', '"seconds": -1.0'),
    "seconds as text": lambda run: set_status(run, '"seconds": 90.0', '"seconds": "90"'),
    "an unknown state": lambda run: set_status(run, '"complete"', '"won"'),
    "an exit status of its own": lambda run: set_status(
        run, '"exit_status": 0', '"exit_status": 256'
    ),
    "a start that is no time": lambda run: set_status(run, "2026-01-02T", "\\u001b[2J"),
    "a command line of tags": lambda run: command_line(run, "- !!int ''\n- [!!bool maybe]"),
    "a command line of laughs": lambda run: command_line(run, "- &a [ha]\n- [*a, *a]\n"),
    "no training": lambda run: drop(run / "final_results.json", "training"),
}

DAMAGED_TABLES = {
    "baselines missing": lambda run: (run / "baselines.csv").unlink(),
    "baselines reversed": lambda run: backwards(run / "baselines.csv"),
    "baselines cut": lambda run: cut(run / "baselines.csv", 500),
    "density a folder": lambda run: as_folder(run / "density.csv"),
    "clues missing": lambda run: (run / "price_clues.csv").unlink(),
    "a clue of no role": lambda run: widen(run / "price_clues.csv", 1),
    "a hole in baselines": lambda run: edit(run / "baselines.csv", 5, "zero", ""),
    "a NaN in baselines": lambda run: edit(run / "baselines.csv", 5, "zero", "nan"),
    "an absurd baseline": lambda run: edit(run / "baselines.csv", 5, "zero", "1e30"),
    "a baseline less": lambda run: recolumn(run / "baselines.csv", "zero", "one"),
    "a thousand baselines": lambda run: widen(run / "baselines.csv", 1000),
    "an absurd loss": lambda run: edit(run / "density.csv", 5, "pinball model", "-1e30"),
}


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


def edit(path, row, column, value):
    frame = pd.read_csv(path, dtype=str)
    frame.loc[row, column] = value
    frame.to_csv(path, index=False)


def backwards(path):
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)


def as_folder(path):
    path.unlink()
    path.mkdir()


def recolumn(path, name, other):
    pd.read_csv(path, dtype=str).rename(columns={name: other}).to_csv(path, index=False)


def widen(path, number):
    frame = pd.read_csv(path, dtype=str)
    more = pd.DataFrame("0", frame.index, [f"b{place}" for place in range(number)])
    pd.concat([frame, more], axis=1).to_csv(path, index=False)


def set_in(run, key, value, fields=None):
    path = run / "final_results.json"
    results = json.loads(path.read_text())
    *above, last = key.split(".")
    node = results["settings"]
    for part in above:
        node = node[part]
    node.update(fields or {}, **{last: "VALUE"})
    path.write_text(json.dumps(results).replace('"VALUE"', value))


def set_digest(run, value):
    path = run / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "table_sha256": value}))


def set_status(run, old, new):
    path = run / "status.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def command_line(run, text):
    (run / ".hydra" / "overrides.yaml").write_text(text)


def drop(path, key):
    values = json.loads(path.read_text())
    values.pop(key)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_run_has_failed_with_a_line_that_says_why(write_trial, noise, damage):
    folder = write_trial("0.1", 1.0, noise(0))
    damage(folder / "0.1,seed=0")
    bad, good = sorted(read_runs(folder), key=lambda run: run.name)
    assert (bad.status.state, good.status.state) == ("failed", "complete")
    assert bad.status.error.startswith(f"its results cannot be read: {folder / '0.1,seed=0'}")
    assert bad.status.error.isprintable()
    assert len(bad.status.error) < 500


@pytest.mark.parametrize("damage", DAMAGED_TABLES.values(), ids=DAMAGED_TABLES)
def test_a_damaged_table_of_baselines_takes_no_run_out_and_changes_no_choice(
    write_trial, noise, damage
):
    write_trial("0.1", 1.0, noise(0))
    folder = write_trial("0.2", 2.0, noise(1))
    before = summarize(folder)
    damage(folder / "0.2,seed=0")
    after = summarize(folder)
    assert (after.counts, after.sentence) == (before.counts, before.sentence)
    damage(folder / "0.1,seed=0")  # of the chosen trial; these runs have no network to ask
    said = summarize(folder).sentence
    assert said.startswith("Validation chose dropout=0.1, which cannot be assessed: ")
    assert said.isprintable()
    with pytest.raises(ConfigError, match="^" + re.escape(str(folder / "0.1,seed=0"))):
        read_forecasts(folder / "0.1,seed=0", "log_return")


def test_a_damaged_run_takes_no_other_one_out_of_the_summary(write_trial, noise):
    write_trial("0.1", 1.0, noise(0))
    folder = write_trial("0.2", 2.0, noise(1))
    DAMAGE["predictions cut"](folder / "0.1,seed=0")
    summary = report(folder)
    assert summary.counts == "4 runs: 3 complete, 1 failed"
    assert summary.choice.trial.name == "dropout=0.1"
    assert summary.choice.trial.seeds == (1,)
    assert summary.choice.discount.num_trials == 3  # what cannot be read has been looked at
    assert "1 of 4 runs are not complete" in summary.notes[0]
    assert "1 cannot be read, and count as trials looked at" in summary.notes[0]
    assert summary.worst_exit_status == 1


def test_words_of_a_run_folder_stay_words(write_trial, noise, capsys):
    folder = write_trial("0.1", 1.0, noise(0))
    said = ['"=HYPERLINK(1)\\e[2J=\\n=x"', "'@SUM(1)=+cmd'", "model.dropout=-0.1"]
    for name, words in (("0.1,seed=0", said), ("0.1,seed=1", said[:1])):
        command_line(folder / name, "".join(f"- {word}\n" for word in words))
    write_status(folder / "=bad\x1b", state="failed", error="\x1b]0;x\x07=1", exit_status=1)
    report(folder)
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    assert "\n=x" not in printed
    for file in ("summary.csv", "trial_ledger.csv"):
        with (folder / file).open(encoding="utf-8", newline="") as lines:
            cells = [cell for row in csv.reader(lines) for cell in row]
        assert all(cell.isprintable() for cell in cells)
        assert not [cell for cell in cells if cell[:1] in {"=", "@"}]
    bad = pd.read_csv(folder / "summary.csv").set_index("status").loc["failed"]
    assert (bad["run"], bad["error"]) == ("'=bad\\x1b", "\\x1b]0;x\\x07=1")


def test_a_trial_may_be_called_as_a_column_of_the_ledger(write_run, market, noise, tmp_path):
    setting = ["model=tiny", "name=actual"]
    write_run(tmp_path / "a", setting, market, noise(0), objective=1.0, borders=BORDERS)
    summary = summarize(tmp_path)
    assert list(summary.ledger) == ["date", "actual", "is_roll", "actual (2)"]
    assert summary.choice is not None


def test_runs_that_differ_in_name_only_are_one_trial(write_run, market, noise, tmp_path):
    for name in ("a", "b"):
        setting = ["model=tiny", f"name={name}"]
        write_run(tmp_path / name, setting, market, noise(0), objective=1.0, borders=BORDERS)
    assert summarize(tmp_path).choice.discount.num_trials == 1


def test_nothing_complete_is_nothing_to_judge(tmp_path):
    write_status(tmp_path / "bad", state="failed", error="DataError: x", exit_status=2)
    summary = report(tmp_path)
    assert summary.choice is None
    assert summary.sentence == "No run is complete, so there is nothing to judge."
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 1
    assert "DataError: x" in (tmp_path / "summary.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hundred(write_run, market, tmp_path_factory):
    """A hundred trials that know nothing."""
    folder = tmp_path_factory.mktemp("hundred")
    rng = np.random.default_rng(7)
    for number in range(100):
        write_run(
            folder / f"{number:03}",
            ["model=tiny"],
            market,
            rng.normal(0, 0.2, NUM_DAYS),
            objective=rng.normal(2.2, 0.05),
            borders=BORDERS,
            minute=number,
        )
        path = folder / f"{number:03}" / "final_results.json"
        results = json.loads(path.read_text())
        results["settings"]["training"]["learning_rate"] = (number + 1) / 1000
        path.write_text(json.dumps(results))
        (path.parent / ".hydra" / "overrides.yaml").write_text(
            json.dumps([f"training.learning_rate={(number + 1) / 1000}"])
        )
    return folder, summarize(folder)


def test_the_best_of_a_hundred_without_skill_is_not_called_skilled(hundred):
    _, summary = hundred
    assert summary.choice.discount.num_trials == 100
    assert summary.choice.assessment.evidence.grade in {"NONE", "SUGGESTIVE"}
    test_rmse = [
        ((summary.ledger["actual"] - summary.ledger[name]) ** 2).mean()
        for name in summary.ranking["trial"]
    ]
    luckiest = int(np.argmin(test_rmse))
    assert luckiest != 0  # the table does not choose by test
    lines = dict(discount_lines(summary.choice))
    assert lines["trials looked at"] == "100 (100 with forecasts)"


def test_even_the_luckiest_of_a_hundred_by_test_is_not_called_skilled(hundred):
    folder, summary = hundred
    hits = [
        int((summary.ledger["actual"] * summary.ledger[name] > 0).sum())
        for name in summary.ranking["trial"]
    ]
    name = summary.ranking["trial"].iloc[int(np.argmax(hits))]
    assert max(hits) > 84  # 56 % of 150 days, which a label alone would call GOOD
    (run,) = next(trial for trial in summary.trials if trial.name == name).runs
    status = run.folder / "status.json"
    kept = status.read_text()
    status.write_text(json.dumps({**json.loads(kept), "objective": 0.0}))
    try:
        cheated = summarize(folder)
    finally:
        status.write_text(kept)
    assert cheated.choice.trial.name == name
    assert cheated.choice.assessment.evidence.earned in {"NONE", "SUGGESTIVE"}
    assert cheated.choice.discount.chosen_p > 0.05
    assert cheated.choice.discount.deflated_sharpe < 0.95


def test_files_and_lines_say_the_same(write_trial, noise, capsys):
    write_trial("0.1", 1.0, noise(0))
    folder = write_trial("0.2", 2.0, noise(1))
    summary = report(folder)
    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[-2:] == [summary.sentence, f"page: {folder / 'summary.html'}"]
    written = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert written["sentence"] == summary.sentence
    assert written["chosen"]["trial"] == "dropout=0.1"
    assert written["chosen"]["evaluation"]["evidence"]["grade"] in printed[-3]
    table = pd.read_csv(folder / "summary.csv")
    assert list(table["rank"]) == [1, 1, 2, 2]
    assert list(table["validation"]) == pytest.approx([1.0, 1.2, 2.0, 2.2])
    assert {"val_rmse", "val_direction", "seconds", "overrides", "status"} <= set(table)
    assert not [name for name in table if name.startswith("test")]
    ledger = pd.read_csv(folder / "trial_ledger.csv")
    pd.testing.assert_frame_equal(
        ledger.drop(columns="date"), summary.ledger.drop(columns="date"), check_exact=True
    )


def test_the_printed_ranking_and_the_page_show_no_test_score_of_a_trial_not_chosen(
    write_trial, noise
):
    write_trial("0.1", 1.0, noise(0))
    folder = write_trial("0.2", 2.0, noise(1))
    summary = report(folder)
    ranking = "\n".join(map(str, summary_lines(summary)[:4]))
    assert "dropout=0.2" in ranking
    assert "test" not in ranking
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert summary.sentence[:60] in page
    assert "test_rmse" not in page


def test_the_page_leads_to_the_pages_of_the_runs_that_have_one(write_trial, noise):
    folder = write_trial("0.1", 1.0, noise(0))
    (folder / "0.1,seed=1" / "report.html").touch()
    report(folder)
    page = (folder / "summary.html").read_text(encoding="utf-8")
    links = re.findall('<td.*?<a href="(.*?)">(.*?)</a>', page)
    assert links == [("0.1%2Cseed%3D1/report.html", "0.1,seed=1")]


def test_one_trial_has_its_own_pictures_and_no_ranking(write_trial, noise):
    folder = write_trial("0.1", 1.0, noise(0))
    report(folder)
    assert {path.stem for path in (folder / "plots").glob("*.svg")} == {
        *("timeseries_comparison", "actual_vs_predicted_scatter", "equity_curve", "calibration")
    }


def test_a_summary_is_written_again_as_the_folder_grows(write_trial, noise):
    folder = write_trial("0.1", 1.0, noise(0))
    assert report(folder).counts == "2 runs: 2 complete"
    write_trial("0.2", 0.5, noise(1))
    assert report(folder).choice.trial.name == "dropout=0.2"
    assert json.loads((folder / "summary.json").read_text())["counts"] == "4 runs: 4 complete"
