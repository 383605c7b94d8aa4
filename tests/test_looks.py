"""The ledger of looks: who assessed forecasts on the same test days, and how often."""

import multiprocessing
import resource
import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest

from ironore_lightning import experiment
from ironore_lightning.errors import ConfigError, MachineError
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.experiment import evaluate_run
from ironore_lightning.model.facts import TrainingFacts
from ironore_lightning.model.training import TrainedNetwork
from ironore_lightning.run_folder.forecast_tables import read_forecasts
from ironore_lightning.run_folder.looks import count_look, ledger_path, require_ledger
from ironore_lightning.run_folder.results import FittedRun
from ironore_lightning.summary.ranking import summarize

MARKET = np.random.default_rng(1).normal(0, 1.5, 300)


def days_of(first, last, *, forecast=0, actual=MARKET, kind="log_return"):
    """Days of the market; a forecaster is a random seed."""
    dates = pd.bdate_range("2025-01-01", periods=len(actual))
    forecasts = np.random.default_rng(forecast).normal(0, 0.2, len(actual))
    frame = pd.DataFrame({"date": dates, "actual": actual, "forecast": forecasts})
    return ScoredDays(frame.iloc[first:last].reset_index(drop=True), kind, 1)


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "outputs" / "looks.sqlite"


@pytest.fixture
def look(ledger):
    """Count a look at some days of the market."""
    return lambda first, last, **how: count_look(ledger, days_of(first, last, **how), what="a run")


def test_every_other_forecast_of_the_same_days_is_one_more_look(look):
    assert [look(0, 100, forecast=seed) for seed in range(14)] == [*range(1, 15)]


def test_the_same_forecast_of_the_same_days_keeps_its_number(look):
    assert [look(0, 100, forecast=seed) for seed in (0, 1, 0, 2, 1, 0)] == [1, 2, 1, 3, 2, 1]


def test_outcomes_with_one_decimal_are_those_of_the_same_days(look):
    assert [look(0, 100), look(0, 100, forecast=1, actual=MARKET.round(1))] == [1, 2]


def test_a_day_appended_each_morning_is_one_more_look(look):
    assert [look(0, 100), look(0, 101), look(0, 102), look(1, 103)] == [1, 2, 3, 4]


def test_windows_count_each_other_if_they_share_a_day_and_only_then(look):
    assert [look(0, 63), look(63, 126), look(126, 189)] == [1, 1, 1]  # folds of a walk-forward
    assert look(0, 189, forecast=1) == 4
    assert look(188, 250, forecast=2) == 3  # the last fold, and the joined ones
    assert look(189, 250) == 2


def test_the_same_dates_of_another_market_are_other_days(look):
    other = np.random.default_rng(2).normal(0, 1.5, len(MARKET))
    assert [look(0, 200), look(0, 200, actual=other), look(0, 200, forecast=1)] == [1, 1, 2]


def test_days_without_a_move_do_not_make_two_markets_one(look):
    quiet = np.where(np.arange(len(MARKET)) % 3 == 0, 0.0, MARKET)
    other = np.where(np.arange(len(MARKET)) % 3 == 0, 0.0, MARKET[::-1])
    assert [look(0, 200, actual=quiet), look(0, 200, actual=other, forecast=1)] == [1, 1]


def test_another_kind_of_return_rounding_and_restated_days_are_still_the_same_days(look):
    simple = 100 * np.expm1(MARKET / 100)
    restated = np.where(np.arange(len(MARKET)) < 90, MARKET, -MARKET)
    assert look(0, 100) == 1
    assert look(0, 100, actual=simple, kind="simple_return") == 2
    assert look(0, 100, actual=MARKET.round(2)) == 3
    assert look(0, 100, actual=restated) == 4


def test_the_last_digits_of_another_processor_make_no_other_look(look, ledger):
    assert look(0, 100) == 1
    days = days_of(0, 100, actual=MARKET * (1 + 1e-15))
    assert count_look(ledger, days.with_forecast(days.forecast * (1 - 1e-15)), what="") == 1


def test_later_looks_and_other_outcomes_of_later_days_change_no_number(look):
    numbers = [look(0, 100, forecast=seed) for seed in range(3)]
    changed = np.where(np.arange(len(MARKET)) < 100, MARKET, 9.0)
    look(0, 150, actual=changed)
    assert [look(0, 100, forecast=seed) for seed in range(3)] == numbers == [1, 2, 3]


def test_a_fresh_ledger_knows_of_one_look_only_and_none_of_nothing(look, tmp_path):
    assert [look(0, 100, forecast=seed) for seed in range(5)][-1] == 5
    days = days_of(0, 100, forecast=9)
    assert count_look(tmp_path / "fresh.sqlite", days, what="") == 1
    assert count_look(None, days, what="") is None


def test_the_environment_names_the_ledger(monkeypatch, tmp_path):
    assert ledger_path(tmp_path) is None  # as for all tests
    monkeypatch.setenv("IRONORE_LOOKS", "shared.sqlite")
    assert ledger_path(tmp_path) == tmp_path / "shared.sqlite"
    monkeypatch.delenv("IRONORE_LOOKS")
    assert ledger_path(tmp_path) == tmp_path / "outputs" / "looks.sqlite"


# --- runs -----------------------------------------------------------------------------------------


@pytest.fixture
def write_forecasts(write_run, tmp_path):
    """Write the folder of a finished run of one forecaster, a random seed."""

    def write(name, seed):
        forecast = np.random.default_rng(seed).normal(0, 0.2, len(MARKET))
        overrides = ["model=tiny", f"model.dropout=0.{seed}"]
        return write_run(
            tmp_path / name, overrides, MARKET, forecast, objective=1 + seed, borders=(150, 200)
        )

    return write


@pytest.fixture
def evaluate_folder(compose, ledger, monkeypatch):
    """Evaluate the forecasts of a folder as the end of a single run does; return its look."""
    monkeypatch.setattr(experiment, "_importance", lambda _: {})  # there is no network

    def evaluate(folder):
        config = compose("evaluation.bootstrap_repetitions=100")
        facts = TrainingFacts(1, 1, 1.0, stopped_early=False, seconds=1.0, num_parameters=100)
        forecasts = read_forecasts(folder, config.target.kind)
        trained = TrainedNetwork(None, facts, None)
        run = FittedRun(config, folder, None, None, trained, forecasts.predictions)
        result = evaluate_run(run, forecasts, looks=ledger)
        return result.assessment.evidence.look

    return evaluate


def test_a_deleted_run_folder_leaves_its_look(write_forecasts, evaluate_folder):
    for seed in range(2):
        folder = write_forecasts("run", seed)
        assert evaluate_folder(folder) == 1 + seed
        shutil.rmtree(folder)


def test_a_summary_is_one_look_and_that_of_a_single_run_is_the_run_s_own(
    write_forecasts, evaluate_folder, ledger, tmp_path
):
    single = write_forecasts("single/run", 1)
    assert evaluate_folder(single) == 1
    write_forecasts("many/first", 0)
    write_forecasts("many/second", 2)  # validation does not choose it, so nobody sees its test
    for _ in range(2):
        summary = summarize(tmp_path / "many", looks=ledger)
        assert summary.choice.assessment.evidence.look == 2
    assert summarize(single.parent, looks=ledger).choice.assessment.evidence.look == 1
    assert summarize(single.parent).choice.assessment.evidence.look is None


# --- several processes, and files that are no ledger ----------------------------------------------


def _count_ten(ledger, process):
    for number in range(10):
        count_look(ledger, days_of(0, 100, forecast=10 * process + number), what=process)


def test_no_look_of_several_processes_at_once_is_lost(look, ledger):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count_ten, args=(ledger, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert look(0, 100, forecast=99) == 41
    assert {look(0, 100, forecast=seed) for seed in range(40)} == {*range(1, 41)}


def write_text(path):
    path.write_text("no database at all, but a text that is long enough to be looked at " * 9)


def write_other(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE looks (id INTEGER)")
    connection.close()


def add_trigger(path):
    count_look(path, days_of(0, 100), what="")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER forget AFTER INSERT ON looks BEGIN DELETE FROM looks; END"
        )
    connection.close()


def cut(path):
    count_look(path, days_of(0, 100), what="")
    path.write_bytes(path.read_bytes()[:9000])


def overwrite(path):
    count_look(path, days_of(0, 100), what="")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize("damage", [write_text, write_other, add_trigger, cut, overwrite])
def test_a_file_that_is_no_ledger_is_one_line_and_stays_as_it_is(damage, ledger):
    ledger.parent.mkdir()
    damage(ledger)
    before = ledger.read_bytes()
    with pytest.raises(ConfigError, match="looks") as refused:
        count_look(ledger, days_of(0, 100, forecast=5), what="")
    (line,) = refused.value.lines
    assert str(ledger) in line
    assert "IRONORE_LOOKS=FILE" in line
    assert ledger.read_bytes() == before


def test_a_place_that_cannot_be_written_is_one_line_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "looks.sqlite"):
        with pytest.raises(MachineError) as refused:
            require_ledger(place)
        assert len(refused.value.lines) == 1
        assert str(tmp_path) in refused.value.lines[0]


def test_a_full_disk_is_one_line_and_leaves_the_ledger_as_it_was(look):
    assert look(0, 100) == 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(MachineError, match=r"looks.sqlite: .*disk"):
            look(0, 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert look(0, 100, forecast=1) == 2
