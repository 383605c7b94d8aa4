"""Tables that explode, stand still or are hardly there: one line, or an honest verdict."""

import json
import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ironore_lightning.errors import ConfigError, DataError, TrainingError
from ironore_lightning.experiment import run_experiment

NUM_DAYS = 160
QUICK = (
    "data=table",
    "features.names=[a,b]",
    "model=tiny",
    "training.max_epochs=2",
    "window.sequence_length=5",
    "evaluation.bootstrap_repetitions=100",
)
GIVEN = ("target.kind=given", "target.series=Y")
PRICE = ("target.series=Y",)


def noise(seed, num_days=NUM_DAYS):
    return np.random.default_rng(seed).normal(size=num_days)


def with_one(value, *, day):
    values = noise(9)
    values[day] = value
    return values


def by_date(val_start, test_start):
    return ("split=by_date", f"split.val_start={val_start}", f"split.test_start={test_start}")


@pytest.fixture
def run(compose, tmp_path):
    """Run one experiment on a table of noise with some columns replaced; no warning may leak."""

    def run_table(columns, overrides):
        days = pd.date_range("2023-01-02", periods=NUM_DAYS, freq="B")
        table = pd.DataFrame({"date": days, "a": noise(1), "b": noise(2), "Y": noise(3)})
        table.assign(**columns).to_csv(tmp_path / "table.csv", index=False)
        kind = () if "target.series=Y" in overrides else GIVEN
        config = compose(*QUICK, f"data.root={tmp_path}", *kind, *overrides)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            return run_experiment(config, tmp_path / "run")

    return run_table


def numbers_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, float):
        yield value


def require_all_files(folder, *, num_plots):
    for name in ("evaluation_results.json", "final_results.json"):
        numbers = list(numbers_in(json.loads((folder / name).read_text(encoding="utf-8"))))
        assert len(numbers) > 20
        assert all(math.isfinite(number) for number in numbers)
    predictions = pd.read_csv(folder / "predictions.csv")
    assert np.isfinite(predictions[["actual", "forecast"]]).all(axis=None)
    plots = list((folder / "plots").glob("*.png"))
    assert len(plots) == num_plots
    for path in plots:
        with Image.open(path) as picture:
            assert picture.size == (1200, 700)


HONEST = {
    "a feature that explodes": ({"a": np.exp(np.linspace(0, 80, NUM_DAYS))}, ()),
    "one absurd feature value": ({"a": with_one(1e25, day=150)}, ()),
    "the largest step": ({}, ("training.learning_rate=1", "training.max_epochs=20")),
    "a constant target": ({"Y": np.ones(NUM_DAYS)}, ()),
    "constants only": ({"a": np.ones(NUM_DAYS), "b": np.zeros(NUM_DAYS)}, ()),
    "one batch": ({}, ("training.batch_size=100000",)),
    "one day to validate": ({}, by_date("2023-07-10", "2023-07-11")),
    "one day to test": ({}, by_date("2023-07-07", "2023-08-14")),
    "one epoch": ({}, ("training.max_epochs=1", "training.patience=1")),
    "no patience": ({}, ("training.max_epochs=40", "training.patience=1")),
    "a huge target": ({"Y": 1e30 * noise(5)}, ("training.loss=mae",)),
    "a tiny target": ({"Y": 1e-30 * noise(5)}, ()),
    "denormals of both precisions": ({"Y": 1e-310 * noise(5)}, ()),
    "quantiles of a huge target": ({"Y": 1e30 * noise(5)}, ("model.head=quantile",)),
    "a price that stands still": ({"Y": np.full(NUM_DAYS, 100.0)}, PRICE),
    "a price near nothing": ({"Y": 1e-300 * np.exp(noise(5).cumsum() / 100)}, PRICE),
}


STANDS_STILL = {"denormals of both precisions", "a price that stands still"}
"""No square is above 0, so that no driver can be worth a part of it: there is no figure of that."""


@pytest.mark.parametrize("case", HONEST)
def test_strange_numbers_end_with_an_honest_verdict_and_all_files(case, run):
    columns, overrides = HONEST[case]
    result = run(columns, overrides)
    assert result.assessment.evidence.grade == "INSUFFICIENT"
    assert "There is too little to judge by" in result.sentence
    num_plots = (7 if overrides == PRICE else 6) + (case not in STANDS_STILL)
    require_all_files(result.run.folder, num_plots=num_plots)
    if case == "one day to test":
        assert result.assessment.scores.num_days == 1
    if case == "no patience":
        assert result.run.facts.num_epochs < 40
        assert result.run.facts.stopped_early


REFUSED = {
    "a feature beyond all bounds": (
        {"a": np.exp(np.linspace(0, 700, NUM_DAYS))},
        ("scaling.method=standard",),
        DataError,
        r"a: 1\.01423e\+304 on 2023-08-11 is too large to learn from; is it a mistake in the",
    ),
    "a feature that single precision cannot hold": (
        {"a": with_one(-1e39, day=150)},
        ("scaling.method=none",),
        DataError,
        r"a: -1e\+39 on 2023-07-31 is too large to learn from",
    ),
    "a target that single precision cannot hold": (
        {"Y": with_one(1e40, day=10)},
        (),
        DataError,
        r"target: 1e\+40 on 2023-01-16 is too large to learn from",
    ),
    "an infinite target": (
        {"Y": with_one(np.inf, day=10)},
        (),
        DataError,
        "column 'Y', line 12: 'inf' is infinite, expected digits",
    ),
    "squares that overflow": (
        {"Y": 1e30 * noise(5)},
        (),
        TrainingError,
        "train/loss is inf in epoch 1; lower training.learning_rate or training.gradient_clip_norm,"
        " and look for absurd values in the data",
    ),
    "squares that overflow in validation": (
        {"Y": with_one(1e25, day=120)},
        (),
        TrainingError,
        "val/loss is inf in epoch 1; lower",
    ),
    "prices that jump by powers of ten": (
        {"Y": np.exp(10 * noise(5).cumsum())},
        (*PRICE, "target.kind=simple_return", "training.loss=mae"),
        DataError,
        r"table.csv: 'Y', 2023-01-03: the value is 5\.82959e-10 and the one before 0\.0003290",
    ),
    "one day to learn from": (
        {},
        by_date("2023-01-06", "2023-07-11"),
        ConfigError,
        "split: the train segment holds no sample",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_numbers_that_nothing_can_be_learnt_from_are_refused_in_a_line(case, run):
    columns, overrides, kind, expected = REFUSED[case]
    with pytest.raises(kind, match=expected) as caught:
        run(columns, overrides)
    assert len(caught.value.lines) == 1


def test_columns_that_never_change_are_warned_of(run, caplog):
    run({"b": np.ones(NUM_DAYS)}, ("training.max_epochs=1",))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == ["b: constant on all training rows, so it carries no information"]


def test_a_table_that_explodes_ends_the_process_with_a_line(train, tmp_path):
    days = pd.date_range("2023-01-02", periods=NUM_DAYS, freq="B")
    columns = {"a": noise(1), "b": noise(2), "Y": 1e30 * noise(3)}
    pd.DataFrame({"date": days, **columns}).to_csv(tmp_path / "table.csv", index=False)
    settings = (*QUICK, *GIVEN, f"data.root={tmp_path}")
    code, said = train(*settings, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 1
    assert re.fullmatch(r"TrainingError: train/loss is inf in epoch 1; .*\n", said)
    code, said = train(*settings, "training.loss=mae", f"hydra.run.dir={tmp_path / 'run'}")
    assert (code, said) == (0, "")
    status = json.loads((tmp_path / "run" / "status.json").read_text(encoding="utf-8"))
    assert status["state"] == "complete"
