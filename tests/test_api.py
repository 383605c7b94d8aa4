"""From Python, everything that the commands do."""

import datetime
import json

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from ironore_lightning import api
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.run_folder.looks import VARIABLE

QUICK = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")


class Counter(lightning.Callback):
    def __init__(self):
        self.losses = []

    def on_validation_end(self, trainer, *_):
        self.losses.append(float(trainer.callback_metrics["val/loss"]))


@pytest.fixture(scope="module")
def counter():
    return Counter()


@pytest.fixture(scope="module")
def result(counter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "run"
    return api.train(QUICK, folder=folder, callbacks=[counter], quiet=True)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_gives_tables(result):
    test = result.predictions.query("segment == 'test'")
    error = test["actual"] - test["forecast"]
    assert result.scores.loc["model", "rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert result.scores.loc["zero", "rmse"] == pytest.approx(np.sqrt((test["actual"] ** 2).mean()))
    assert len(result.scores) == 10
    assert result.sentence.startswith("Direction was right on ")


def test_a_run_gives_figures(result):
    figures = api.figures(result)
    assert {"timeseries_comparison", "residuals_analysis", "equity_curve"} <= set(figures)
    assert all(isinstance(figure, Figure) for figure in figures.values())


def test_callbacks_of_ones_own_are_called(counter, result):
    assert min(counter.losses) == pytest.approx(result.run.objective)
    assert len(counter.losses) == 2


def test_a_run_leaves_the_files_of_the_command_line(result, train, tmp_path):
    other = tmp_path / "other"
    assert train(*QUICK, f"hydra.run.dir={other}") == (0, "")
    folder = result.run.folder
    names = {path.name for path in other.iterdir()} - {path.name for path in folder.iterdir()}
    assert {name for name in names if not name.startswith("events.")} == set()
    status = read_json(folder / "status.json")
    assert (status["state"], status["objective"]) == ("complete", result.run.objective)
    log = (folder / "training.log").read_text(encoding="utf-8")
    assert result.sentence in log
    for name in ("predictions.csv", "evaluation_results.json"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_a_finished_run_is_assessed_again_and_not_trained(result):
    again = api.train(QUICK, folder=result.run.folder, callbacks=[Counter()], quiet=True)
    assert again.sentence == result.sentence
    with pytest.raises(ConfigError, match="holds a finished run that differs in seed"):
        api.train([*QUICK, "seed=1"], folder=result.run.folder, quiet=True)


def test_a_run_is_loaded_with_its_network(result):
    run = api.load_run(result.run.folder)
    rows = run.datamodule.origins[:3]
    windows = torch.from_numpy(run.datamodule.windows(rows))
    outputs = run.trained.forecaster(windows)
    forecast = run.trained.forecaster.head.forecast(outputs).detach().numpy()
    assert forecast == pytest.approx(result.predictions["forecast"][:3], rel=1e-4)


def test_a_part_of_the_test_days_is_evaluated(result, tmp_path):
    part = api.evaluate(result.run.folder, first="2025-05-01", output_dir=tmp_path / "part")
    whole = result.predictions.query("segment == 'test' and date >= '2025-05-01'")
    assert part.assessment.scores.num_days == len(whole)
    with pytest.raises(ConfigError, match="first: a date is written YYYY-MM-DD, got May"):
        api.evaluate(result.run.folder, first="May")


def test_the_next_day_is_forecast(result):
    said = api.forecast(result.run.folder, today=datetime.date(2025, 8, 14))
    assert (said.origin, said.date) == ("2025-08-13", "2025-08-14")
    assert said.bounds["lower_80"] < said.forecast < said.bounds["upper_80"]


def frame_of(num_days=80, *, skill=0.0):
    random = np.random.default_rng(1)
    dates = pd.bdate_range("2025-01-02", periods=num_days + 1)
    actual = random.normal(size=num_days)
    noise = random.normal(size=num_days)
    return pd.DataFrame(
        {
            "origin": dates[:-1],
            "date": dates[1:],
            "forecast": skill * actual + (1 - skill) * noise,
            "actual": actual,
        }
    )


def test_a_morning_is_rehearsed(result, tmp_path):
    settings = (f"desk.runs=[{result.run.folder}]", f"desk.folder={tmp_path / 'desk'}")
    said = api.desk([*settings, "desk.now=2025-07-01T06:00"])
    assert (f"{said.origin}", f"{said.date}") == ("2025-06-30", "2025-07-01")


@pytest.mark.parametrize(("skill", "grade"), [(0.0, "NONE"), (0.9, "SUSPECT")])
def test_a_frame_of_forecasts_is_judged(skill, grade):
    judgement = api.assess(frame_of(skill=skill), trained_until="2024-12-31")
    assert judgement.assessment.evidence.grade == grade
    assert judgement.assessment.scores.num_days == 80


def test_a_look_from_python_is_counted(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "looks.sqlite"))
    assert api.assess(frame_of(), trained_until="2024-12-31").assessment.evidence.look == 1
    other = frame_of().assign(forecast=0.1)
    assert api.assess(other, trained_until="2024-12-31").assessment.evidence.look == 2


def test_mistakes_are_raised_in_one_line(tmp_path):
    cases = {
        ("seed=-1",): "seed: input should be greater than or equal to 0, got -1",
        ("modle=tiny",): "modle",
        "seed=1": "overrides: expected a list of them, as in",
        ("-m", "seed=0,1"): "-m: flags belong to the command line",
        ("experiment=walk_forward",): "these settings start many runs; python train.py does that",
    }
    for overrides, said in cases.items():
        with pytest.raises(ConfigError, match=said) as error:
            api.train(overrides, folder=tmp_path / "none")
        assert len(error.value.lines) == 1
    with pytest.raises(ConfigError, match="callbacks: expected callbacks of Lightning, got 'x'"):
        api.train(folder=tmp_path / "none", callbacks=["x"])
    with pytest.raises(DataError, match=r"frame.csv: .*origin"):
        api.assess(frame_of().drop(columns="origin"))
    assert list(tmp_path.iterdir()) == []
