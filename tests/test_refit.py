"""Refits: a finished run, fitted once more on all days."""

import datetime
import filecmp
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from parts_of_a_run import samples_of
from small_market import cut_market

from ironore_lightning import api
from ironore_lightning.audit.__main__ import read_finished
from ironore_lightning.compare.contenders import read_contender
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.experiment import fit_run, run_experiment
from ironore_lightning.forecast.next_day import describe, forecast_next, predict_rows
from ironore_lightning.judge.judgement import judge_run
from ironore_lightning.model.training import refit as refit_network
from ironore_lightning.recall import assess_on_days, recall_run
from ironore_lightning.refit import refitting
from ironore_lightning.refit.__main__ import main
from ironore_lightning.run_folder.forecast_tables import read_predictions
from ironore_lightning.run_folder.record import read_run
from ironore_lightning.summary.runs import read_runs, run_folders

TODAY = datetime.date(2025, 8, 14)
CUT = "2025-06-30"
pytestmark = pytest.mark.usefixtures("one_quick_figure")


@pytest.fixture(scope="module")
def market(compose, tmp_path_factory):
    root = tmp_path_factory.mktemp("market") / "raw"
    read_raw(compose(f"data.root={root}").data)
    return root


@pytest.fixture(scope="module")
def cut(market, tmp_path_factory):
    """The same files as they were on the evening of 30 June."""
    return cut_market(market, tmp_path_factory.mktemp("cut") / "raw", CUT)


@pytest.fixture(scope="module")
def settings(market):
    return (
        *("data=original", f"data.root={market}", "model=tiny"),
        *("training.max_epochs=3", "training.schedule=cosine"),
        "evaluation.bootstrap_repetitions=100",
    )


@pytest.fixture(scope="module")
def run(compose, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    run_experiment(compose(*settings), folder)
    return read_run(folder, None)


@pytest.fixture(scope="module")
def today(run):
    """The market as it is read now."""
    return refitting.read_market(run.settings)


@pytest.fixture(scope="module")
def refitted(run, today, tmp_path_factory):
    return refitting.refit_run(run, tmp_path_factory.mktemp("refits") / "whole", today)


@pytest.fixture(scope="module")
def early(run, cut, tmp_path_factory):
    """A refit on the evening of 30 June."""
    return refitting.refit_run(
        read_run(run.folder, str(cut)), tmp_path_factory.mktemp("refits") / "early"
    )


def weights(folder):
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)


def test_on_the_days_of_its_run_a_refit_has_the_weights_of_the_best_epoch(run, tmp_path):
    config = run.settings
    rates = refitting.learning_rates_of(run)
    assert len(rates) == run.training.best_epoch == 3
    assert rates[0] == config.training.learning_rate
    # A cosine over three epochs, from 1 to 3/4 and 1/4 of the first rate.
    assert rates == pytest.approx([rates[0], 0.75 * rates[0], 0.25 * rates[0]])
    refit_network(samples_of(config), config.fit_settings, tmp_path / "checkpoints", rates)
    again, best = weights(tmp_path), weights(run.folder)
    assert again["state_dict"].keys() == best["state_dict"].keys()
    for name, weight in best["state_dict"].items():
        assert torch.equal(again["state_dict"][name], weight), name


def test_a_refit_learns_every_day_with_an_outcome(run, refitted):
    assert str(refitted.refit.until) == "2025-08-13"
    assert str(refitted.training_rows.last_date) == "2025-08-12"
    rows = samples_of(run.settings).features.loc[:"2025-08-12"]
    scaler = weights(refitted.folder)["WindowDataModule"]
    np.testing.assert_allclose(scaler["center"], rows.min(), rtol=1e-12)
    np.testing.assert_allclose(scaler["spread"], rows.max() - rows.min(), rtol=1e-12)
    assert refitted.validation_span == run.validation_span


def test_a_walk_forward_that_forgets_keeps_the_length_of_its_past(compose, settings, today):
    forgets = ("split=walk_forward", "split.initial=400", "split.rolling=true")
    module = refitting.every_day(today.panel, compose(*settings, *forgets))
    assert len(module.origins) == len(module.training_rows) == 400
    assert str(module.outcomes["date"].iloc[-1].date()) == "2025-08-13"


def test_a_refit_made_again_has_the_same_bytes_and_is_not_made_twice(
    run, refitted, today, tmp_path, monkeypatch
):
    again = refitting.refit_run(run, tmp_path / "again", today)
    names = ["predictions.csv", "provenance.json", "final_results.json", "checkpoints/best.ckpt"]
    same, *_ = filecmp.cmpfiles(refitted.folder, again.folder, names, shallow=False)
    assert same == names
    monkeypatch.setattr(refitting, "fit", None)
    assert refitting.refit_run(run, again.folder, today) == again


def test_a_folder_that_holds_another_refit_is_refused(run, early, today):
    with pytest.raises(ConfigError, match="early: holds something else than this refit"):
        refitting.refit_run(run, early.folder, today)


def test_the_first_forecast_of_a_refit_has_the_bounds_of_the_errors_of_its_run(run, refitted):
    of_run, of_refit = (forecast_next([record], today=TODAY) for record in (run, refitted))
    assert of_refit.forecast != pytest.approx(of_run.forecast, abs=1e-3)
    for name, bound in of_run.bounds.items():
        reach = bound - of_run.forecast
        assert abs(reach) > 1
        assert of_refit.bounds[name] - of_refit.forecast == pytest.approx(reach, abs=1e-6), name


def test_a_network_with_a_distribution_keeps_the_bounds_that_it_has_said(
    compose, settings, today, tmp_path
):
    fitted = fit_run(compose(*settings, "model.head=gaussian"), tmp_path / "run")
    made = refitting.refit_run(read_run(fitted.folder, None), tmp_path / "refit", today)
    said = read_predictions(made.folder, "log_return")
    is_test = said["segment"] == "test"
    assert is_test.sum() == 131
    assert said.loc[~is_test, "lower_80"].isna().all()
    for name in ("lower_80", "upper_90"):
        assert said.loc[is_test, name].to_numpy() == pytest.approx(
            fitted.predictions.loc[is_test, name].to_numpy(), rel=1e-4
        )
    newest = predict_rows(made, today.panel).iloc[-1]
    wide, narrow = newest["upper_90"] - newest["forecast"], newest["upper_80"] - newest["forecast"]
    assert wide / narrow == pytest.approx(1.6449 / 1.2816, rel=1e-3)


def test_what_a_refit_has_learnt_it_takes_from_its_run_and_later_days_from_itself(
    run, early, market, today
):
    kind = run.settings.target.kind
    said = read_predictions(early.folder, kind)
    known = read_predictions(run.folder, kind)
    assert len(known) - len(said) == 32  # trading days after 30 June
    pd.testing.assert_frame_equal(said, known.iloc[: len(said)], rtol=1e-6)
    stitched, of_run = (
        predict_rows(read_run(one.folder, str(market)), today.panel) for one in (early, run)
    )
    # The outcome of 30 June is learnt; that of 1 July, whose origin is 30 June, is not.
    same = np.isclose(stitched["forecast"], of_run["forecast"], atol=1e-6)
    assert stitched.index[same][-1] == pd.Timestamp("2025-06-27")
    assert same.sum() == len(same) - 33


def test_a_refit_of_a_refit_keeps_what_was_forecast_in_between(early, run, market, today, tmp_path):
    later = refitting.refit_run(read_run(early.folder, str(market)), tmp_path / "later", today)
    assert (later.refit.of, str(later.refit.until)) == (str(run.folder), "2025-08-13")
    between = predict_rows(read_run(early.folder, str(market)), today.panel)["forecast"].iloc[:-1]
    said = read_predictions(later.folder, run.settings.target.kind)
    np.testing.assert_allclose(said["forecast"], between, rtol=1e-12)


def test_a_change_of_the_future_leaves_the_past_bit_for_bit(early, market, tmp_path):
    changed = shutil.copytree(market, tmp_path / "changed")
    for path in changed.glob("*.pkl"):
        contracts = pd.read_pickle(path)
        for prices in contracts.values():
            prices.loc["2025-07-15":] *= 1.1
        pd.to_pickle(contracts, path)
    first, second = (
        predict_rows(record, refitting.read_market(record.settings).panel)
        for record in (read_run(early.folder, str(root)) for root in (market, changed))
    )
    assert len(first) > 800
    past = slice(None, "2025-07-14")
    assert first.loc[past].to_numpy().tobytes() == second.loc[past].to_numpy().tobytes()
    assert (first.loc["2025-07-15":] != second.loc["2025-07-15":]).all(axis=None)


def test_a_forecast_says_that_it_is_of_a_refit_and_has_the_grade_of_the_run(run, refitted):
    said = forecast_next([refitted], today=TODAY)
    words = f"refit of {run.folder} until 2025-08-13"
    assert said.refits == [words]
    assert said.evidence == run.evidence
    assert f"network        {words}" in str(describe(said)[-1])
    assert refitted.evidence is None


def test_the_mean_of_refits_has_the_grade_of_the_mean_of_their_runs(
    compose, settings, run, refitted, today, tmp_path
):
    run_experiment(compose(*settings, "seed=1"), tmp_path / "other")
    other = read_run(tmp_path / "other", None)
    both = [refitted, refitting.refit_run(other, tmp_path / "refit", today)]
    said = forecast_next(both, today=TODAY)
    assert said.forecast == pytest.approx(
        np.mean([forecast_next([record], today=TODAY).forecast for record in both])
    )
    assert "of the mean of 2 runs" in said.evidence
    assert said.evidence == forecast_next([run, other], today=TODAY).evidence
    shutil.rmtree(other.folder)
    assert forecast_next(both, today=TODAY).evidence.startswith(
        "not known: a run that was refitted"
    )


@pytest.mark.parametrize(
    "look",
    [
        recall_run,
        lambda record: assess_on_days(record, record.folder, first=None, last=None, looks=None),
        lambda record: read_contender(record.folder),
        lambda record: judge_run(record.folder, looks=None),
        lambda record: read_finished(record.folder, record.settings),
        lambda record: read_runs(record.folder),
    ],
)
def test_who_asks_for_test_days_is_told_the_name_of_the_run(look, run, refitted):
    with pytest.raises(ConfigError) as caught:
        look(refitted)
    assert str(caught.value) == (
        f"{refitted.folder}: has no test days, as it is a refit of {run.folder} until 2025-08-13; "
        f"name {run.folder}, whose test days tell what it is worth"
    )


def test_a_summary_counts_no_refit_as_a_run(run, today):
    made = refitting.refit_run(run, run.folder / "refit_2025-08-13", today)
    assert run_folders(run.folder.parent) == {run.folder}
    shutil.rmtree(made.folder)


def test_restated_values_are_refused_unless_somebody_accepts_them(run, market, tmp_path):
    root = shutil.copytree(market, tmp_path / "restated")
    path = root / "Raw_65and62_Index.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("2023-03-15"))
    day, low, _ = lines[place].split(",")
    lines[place] = f"{day},{low},99.99"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    record = read_run(run.folder, str(root))
    with pytest.raises(
        DataError, match=r"65 Index: .* or take the new ones with refit: .* --accept-restated"
    ):
        refitting.refit_run(record, tmp_path / "refit")
    made = refitting.refit_run(record, tmp_path / "refit", accept_restated=True)
    assert made.refit.sentence.endswith("until 2025-08-13, on values that were restated since")
    kind = run.settings.target.kind
    said, known = (read_predictions(folder, kind) for folder in (made.folder, run.folder))
    np.testing.assert_allclose(said["forecast"], known["forecast"], rtol=1e-12)
    forecast_next([made], today=TODAY)  # the history is the one that it has learnt


def test_a_schedule_that_follows_validation_is_repeated_from_the_losses(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    training = run.settings.training.model_copy(update={"schedule": "reduce_on_plateau"})
    plateau = run.model_copy(
        update={
            "folder": folder,
            "settings": run.settings.model_copy(update={"training": training}),
            "training": run.training.__class__(**{**vars(run.training), "best_epoch": 3}),
        }
    )
    path = folder / "losses.csv"
    head = "epoch,train_loss,val_loss,learning_rate\n"
    path.write_text(f"{head}1,1,1,0.001\n2,1,1,0.0005\n3,1,1,0.00025\n4,1,1,0.000125\n")
    assert refitting.learning_rates_of(plateau) == [0.001, 0.0005, 0.00025]
    for wrong in (
        f"{head}1,1,1,0.001\n2,1,1,0.0005\n",
        f"{head}1,1,1,0.001\n2,1,1,9\n3,1,1,0.001\n",
    ):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match="has no learning rates of the first 3 epochs"):
            refitting.learning_rates_of(plateau)


def test_a_refit_is_due_after_so_many_rows(run, early, today, tmp_path, monkeypatch):
    desk = tmp_path / "refits"
    # The run has learnt the rows of its training segment only; 261 have come since.
    since = int((today.panel.days > pd.Timestamp(run.training_rows.last_date)).sum())
    assert since > 250
    assert refitting.newest_refit(run, desk, today, since + 1) == run
    shutil.copytree(early.folder, desk / f"{run.folder.name}_{CUT}")
    # 32 rows have come since 30 June.
    assert refitting.newest_refit(run, desk, today, 33).refit == early.refit
    made = refitting.newest_refit(run, desk, today, 32)
    assert made.folder.parent == desk
    assert made.folder.name.startswith("run_2025-08-13_")
    assert str(made.refit.until) == "2025-08-13"
    assert made.settings == run.settings
    monkeypatch.setattr(refitting, "fit", None)
    assert refitting.newest_refit(run, desk, today, 32) == made
    # On the morning after 30 June nobody knew the later one.
    then = refitting.read_market(early.settings)
    assert refitting.newest_refit(run, desk, then, 32).refit == early.refit


def test_a_refit_that_is_killed_leaves_nothing_that_is_taken_for_one(
    run, refitted, today, tmp_path, monkeypatch
):
    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(refitting, "write_predictions", kill)
        with pytest.raises(KeyboardInterrupt):
            refitting.refit_run(run, tmp_path / "refits" / "run_2025-08-13", today)
    assert list((tmp_path / "refits").iterdir()) == []
    # A kill that nobody can catch leaves its place, which no name of a run begins with.
    shutil.copytree(refitted.folder, tmp_path / "refits" / ".refit_abc" / "refit")
    assert refitting.newest_refit(run, tmp_path / "refits", today, 10**6) == run


def test_several_processes_are_refused(run, tmp_path):
    hardware = run.settings.hardware.model_copy(update={"devices": 2})
    settings = run.settings.model_copy(update={"hardware": hardware})
    with pytest.raises(ConfigError, match=r"hardware\.devices: a refit has one process"):
        refitting.refit_run(run.model_copy(update={"settings": settings}), tmp_path / "refit")


def test_the_command_names_each_refit(run, cut, tmp_path, capsys):
    arguments = [str(run.folder), f"--data-root={cut}", f"--output-dir={tmp_path}"]
    assert main(arguments) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"{tmp_path / 'run_2025-06-30'}: refit of {run.folder} until 2025-06-30"
    assert api.refit(tmp_path / "run_2025-06-30") == [tmp_path / "run_2025-06-30/refit_2025-06-30"]
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"ConfigError: {tmp_path / 'final_results.json'}: ")


@pytest.mark.parametrize("day", ["2025-03-31", "2025-06-06"])
def test_on_the_original_files_a_morning_forecasts_what_the_run_did(
    original_run, real_data, tmp_path, day
):
    folder, predictions = original_run
    root = cut_market(real_data, tmp_path / "cut", day)
    record = read_run(folder, str(root))
    said = forecast_next([record], today=datetime.date.fromisoformat(day))
    then = predictions.loc[said.date]
    assert said.forecast == pytest.approx(then["forecast"], abs=1e-6)
    for name, bound in said.bounds.items():
        assert bound == pytest.approx(then[name], abs=1e-6), name
    made = refitting.refit_run(record, tmp_path / "refit")
    after = forecast_next([made], today=datetime.date.fromisoformat(day))
    assert after.forecast != said.forecast
    for name, bound in said.bounds.items():
        assert after.bounds[name] - after.forecast == pytest.approx(bound - said.forecast, abs=1e-6)


@pytest.fixture(scope="module")
def original_run(compose, real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    quick = ("model=tiny", "training.max_epochs=2")
    fitted = fit_run(compose("data=original", f"data.root={real_data}", *quick), folder)
    return folder, fitted.predictions.set_index("date")
