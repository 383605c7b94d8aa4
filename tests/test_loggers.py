"""What each logger has of a run, read back as its users would; nothing needs a network."""

import struct
from pathlib import Path

import pandas as pd
import pytest
from lightning import Callback

from ironore_lightning import experiment
from ironore_lightning.errors import ConfigError, TrainingError
from ironore_lightning.experiment import assess_run, fit_run, run_experiment
from ironore_lightning.recall import recall_run
from ironore_lightning.report import loggers
from ironore_lightning.run_folder.record import read_run

mlflow = pytest.importorskip("mlflow")
wandb = pytest.importorskip("wandb")
from wandb.proto.wandb_internal_pb2 import Record  # noqa: E402

NUM_EPOCHS = 3
QUICK = ("model=tiny", f"training.max_epochs={NUM_EPOCHS}")
EVERY = "logger=[tensorboard,csv,mlflow,wandb]"
pytestmark = [
    pytest.mark.usefixtures("one_quick_figure", "in_a_folder_of_its_own"),
    # Of SQLAlchemy 2.1 on MLflow's tables, and of wandb's and MLflow's own imports.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # MLflow leaves its database to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
]


@pytest.fixture(scope="module")
def in_a_folder_of_its_own(tmp_path_factory):
    """Go where a user might be; stores of all runs lie below it."""
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield folder
    wandb.teardown()


@pytest.fixture(scope="module")
def finished(compose, in_a_folder_of_its_own):
    folder = in_a_folder_of_its_own / "it's a run"
    return folder, run_experiment(compose(*QUICK, EVERY), folder)


def mlflow_run(folder):
    client = mlflow.MlflowClient("sqlite:///outputs/mlflow.db")
    (identity,) = (
        found.experiment_id for found in client.search_experiments(filter_string="name = 'ironore'")
    )
    found = client.search_runs([identity])
    (run,) = [run for run in found if run.data.tags["run_folder"] == str(folder)]
    return client, run


def steps(client, run, name):
    return [point.step for point in client.get_metric_history(run.info.run_id, name)]


def wandb_runs(folder):
    """The offline runs of a folder, oldest first, each as its records."""
    files = Path("outputs/wandb").glob("offline-run-*/*.wandb")
    # Their names have whole seconds and a random part.
    runs = [list(records(path)) for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]
    return [run for run in runs if opened(run).run_group == folder.name]


def records(path):
    """Read wandb's log: LevelDB's format, after a header of seven bytes."""
    content, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if (room := 32768 - place % 32768) < 7:
            place += room
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # a whole record, or its last part
            yield Record.FromString(parts)
            parts = b""


def opened(run):
    return next(record.run for record in run if record.HasField("run"))


def exit_codes(run):
    return [record.exit.exit_code for record in run if record.HasField("exit")]


def history(run):
    rows = [record.history.item for record in run if record.HasField("history")]
    return [
        {item.key or "/".join(item.nested_key): item.value_json for item in row} for row in rows
    ]


def wandb_steps(run, name):
    return [int(float(row["trainer/global_step"])) for row in history(run) if name in row]


# --- a run that finishes --------------------------------------------------------------------------


def test_every_logger_has_the_curves_and_the_same_figures_at_the_end(finished):
    folder, result = finished
    table = pd.read_csv(folder / "metrics.csv")
    assert list(table["step"]) == [1, 2, 3, 3, 3]
    assert table["val/loss"].min() == pytest.approx(result.run.objective)
    ends = {
        name: table[name].dropna() for name in table if name.startswith(("val_kept", "verdict"))
    }
    assert len(ends) == 17
    assert {len(values) for values in ends.values()} == {1}
    figures = {name: values.iloc[0] for name, values in ends.items()}
    assert figures["verdict/rmse"] == result.assessment.scores.rmse
    assert figures["val_kept/rmse"] == result.run.validation.rmse

    client, run = mlflow_run(folder)
    assert {name: run.data.metrics[name] for name in figures} == pytest.approx(figures)
    assert steps(client, run, "val/loss") == steps(client, run, "train/loss") == [1, 2, 3]

    (records_of_run,) = wandb_runs(folder)
    last = {name: value for row in history(records_of_run) for name, value in row.items()}
    assert {name: float(last[name]) for name in figures} == pytest.approx(figures)
    assert wandb_steps(records_of_run, "val/loss") == [1, 2, 3]


def test_every_logger_has_the_hyperparameters_and_knows_that_the_run_has_finished(finished):
    folder, _ = finished
    assert "learning_rate: 0.001\n" in (folder / "hparams.yaml").read_text(encoding="utf-8")
    _, run = mlflow_run(folder)
    assert run.data.params["network"] == "bilstm"
    assert run.info.status == "FINISHED"
    (records_of_run,) = wandb_runs(folder)
    config = {
        item.key: item.value_json for record in records_of_run for item in record.config.update
    }
    assert config["network"] == '"bilstm"'
    assert exit_codes(records_of_run) == [0]
    assert wandb.run is None


def test_nothing_goes_to_a_network_unless_somebody_asks(finished, in_a_folder_of_its_own):
    assert finished[1].run.loggers[3].experiment.settings.mode == "offline"
    assert finished[1].run.loggers[2]._tracking_uri.startswith("sqlite:////")
    assert {path.name for path in (in_a_folder_of_its_own / "outputs").iterdir()} == {
        *("mlflow.db", "wandb"),
    }


# --- a run that does not --------------------------------------------------------------------------


class Fail(Callback):
    def on_train_epoch_end(self, trainer, pl_module):  # noqa: ARG002 - lightning's
        if trainer.current_epoch == 1:
            raise TrainingError("this is the end")


def test_a_run_that_fails_is_marked_as_failed_everywhere(compose, in_a_folder_of_its_own):
    folder = in_a_folder_of_its_own / "failing"
    with pytest.raises(TrainingError, match="this is the end"):
        run_experiment(compose(*QUICK, EVERY), folder, callbacks=[Fail()])
    assert mlflow_run(folder)[1].info.status == "FAILED"
    assert [exit_codes(run) for run in wandb_runs(folder)] == [[1]]
    assert len(list(folder.glob("*.end"))) == 1
    assert wandb.run is None


def test_a_run_that_goes_on_says_nothing_twice(compose, in_a_folder_of_its_own, monkeypatch):
    folder, config = in_a_folder_of_its_own / "going on", compose(*QUICK, EVERY)
    with monkeypatch.context() as patch:
        # All epochs are logged by then, and the scores of the kept one.
        patch.setattr(experiment, "report_validation", stop)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, folder)
    assert mlflow_run(folder)[1].info.status == "FAILED"
    fit_run(config, folder, resume=True)
    table = pd.read_csv(folder / "metrics.csv")
    assert list(table["step"]) == [1, 2, 3, 3]
    assert table["val_kept/rmse"].notna().sum() == 1
    client, run = mlflow_run(folder)
    assert run.info.status == "FINISHED"
    assert steps(client, run, "val/loss") == [1, 2, 3]
    assert steps(client, run, "val_kept/rmse") == [3]
    first, second = wandb_runs(folder)
    assert [wandb_steps(attempt, "val/loss") for attempt in (first, second)] == [[1, 2, 3], []]
    assert wandb_steps(second, "val_kept/rmse") == [3]


def stop(_):
    raise KeyboardInterrupt


def test_epochs_after_the_checkpoint_are_logged_once(compose, in_a_folder_of_its_own):
    folder = in_a_folder_of_its_own / "cut"
    config = compose(*QUICK, EVERY)
    values = {"val/loss": 1.0, "train/loss": 2.0}
    with loggers.open_loggers(config, folder, {}) as opened_loggers:
        for step in (1, 2, 3):
            for logger in opened_loggers:
                logger.log_metrics(values, step)
    with loggers.open_loggers(config, folder, {"epoch": 0}) as opened_loggers:
        for step in (2, 3, 4):
            for logger in opened_loggers:
                logger.log_metrics(values, step)
    assert list(pd.read_csv(folder / "metrics.csv")["step"]) == [1, 2, 3, 4]
    assert steps(*mlflow_run(folder), "val/loss") == [1, 2, 3, 4]
    assert [wandb_steps(run, "val/loss") for run in wandb_runs(folder)] == [[1, 2, 3], [2, 3, 4]]


# --- a run that is evaluated later ----------------------------------------------------------------


def test_a_verdict_that_comes_later_goes_to_the_same_run(compose, in_a_folder_of_its_own):
    folder = in_a_folder_of_its_own / "later"
    fit_run(compose(*QUICK, EVERY), folder)
    before = pd.read_csv(folder / "metrics.csv")
    assert not [name for name in before if name.startswith("verdict")]
    for _ in range(2):
        result = assess_run(recall_run(read_run(folder, None)), looks=None)
    after = pd.read_csv(folder / "metrics.csv")
    pd.testing.assert_frame_equal(after[list(before)].iloc[:4], before)
    assert list(after["verdict/rmse"].dropna()) == [result.assessment.scores.rmse]
    client, run = mlflow_run(folder)
    assert run.data.metrics["verdict/rmse"] == result.assessment.scores.rmse
    assert steps(client, run, "val/loss") == [1, 2, 3]
    assert [opened(each).job_type for each in wandb_runs(folder)] == ["train", *2 * ["evaluate"]]


# --- which loggers --------------------------------------------------------------------------------


def test_a_run_needs_no_logger_at_all(compose, in_a_folder_of_its_own):
    folder = in_a_folder_of_its_own / "silent"
    fit_run(compose(*QUICK, "logger=[]"), folder)
    assert (folder / "final_results.json").exists()
    assert not [
        path for path in folder.iterdir() if path.name.startswith(("event", "metr", "hpar"))
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("logger=[csv,csv]", "logger: csv is named twice"),
        ("logger=comet", "logger: input should be 'tensorboard', 'csv', 'mlflow' or 'wandb'"),
        ("logger=null", "logger: "),
    ],
)
def test_a_wrong_logger_is_refused_in_a_line(compose, setting, said):
    with pytest.raises(ConfigError) as caught:
        compose("model=tiny", setting)
    (line,) = caught.value.lines
    assert line.startswith(f"ConfigError: {said}")


def test_one_logger_is_a_list_of_one_and_older_runs_have_tensorboard(compose):
    config = compose("model=tiny", "logger=csv")
    assert config.logger == ["csv"]
    settings = config.model_dump(mode="json")
    del settings["logger"]
    assert type(config).model_validate(settings, strict=False).logger == ["tensorboard"]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_logger_that_is_not_installed_is_named_with_what_installs_it(
    compose, monkeypatch, in_a_folder_of_its_own, name
):
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    folder = in_a_folder_of_its_own / "missing"
    with pytest.raises(
        ConfigError, match=rf"^logger={name}: {name} is not installed; .*\[{name}\]"
    ):
        fit_run(compose(*QUICK, f"logger={name}"), folder)
    assert not folder.exists()


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "step,val/loss\n1,=cmd()\n", "\x00"])
def test_a_table_of_curves_that_is_none_is_refused_in_a_line(content, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"metrics\.csv: holds no curves of a run") as caught:
        loggers._earlier_rows(path, None)
    assert len(caught.value.lines) == 1


def test_tensorboard_stays_in_the_folder_that_an_older_run_has_for_it(compose, tmp_path):
    (tmp_path / "tensorboard").mkdir()
    with loggers.open_loggers(compose("model=tiny"), tmp_path, {"epoch": 0}) as (logger,):
        logger.log_metrics({"val/loss": 1.0}, 2)
    names = [path.name for path in (tmp_path / "tensorboard").glob("events.out.tfevents.*")]
    assert len(names) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]
