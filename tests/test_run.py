"""The real train.py in a process of its own, from raw files to verdict."""

import json
import os
import re
import signal
import time
from pathlib import Path

import forks
import pandas as pd
import pytest
import torch
from parts_of_a_run import samples_of
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ironore_lightning.experiment import run_experiment
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.model.hardware import usable_cores

ROOT = Path(__file__).parents[1]
QUICK = ("model=tiny", "training.max_epochs=3")
FILES = (
    ".hydra/config.yaml",
    "status.json",
    "training.log",
    "losses.csv",
    "report.html",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "evaluation_results.json",
    "final_results.json",
    "predictions.csv",
    "baselines.csv",
    "density.csv",
    "risk.csv",
    "price_clues.csv",
    "provenance.json",
)
PLOTS = {
    "actual_vs_predicted_scatter",
    "timeseries_comparison",
    "residuals_analysis",
    "distribution_comparison",
    "equity_curve",
    "calibration",
    "losses",
    "importance",
}


SPEED = re.compile(r"(FAST|MEDIUM|SLOW)$", re.MULTILINE)
"""Ends the line of an epoch."""


@pytest.fixture(scope="module")
def finished(run_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    process = run_python("train.py", *QUICK, f"hydra.run.dir={folder}")
    assert process.returncode == 0, process.stderr
    return folder, process


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_leaves_every_file(finished):
    folder, _ = finished
    missing = [name for name in FILES if not (folder / name).is_file()]
    assert missing == []
    assert list(folder.glob("events.out.tfevents.*"))
    assert not list(folder.rglob("*.part"))


def test_a_quiet_run_writes_nothing_to_standard_error(finished):
    assert finished[1].stderr == ""


def test_the_console_ends_with_the_sentence_that_is_also_in_the_results(finished):
    folder, process = finished
    last, page, files = process.stdout.strip().splitlines()[-3:]
    sentence = read_json(folder / "evaluation_results.json")["sentence"]
    assert last == sentence
    assert (page, files) == (f"page: {folder / 'report.html'}", f"files: {folder}")
    assert "guessing reaches" in sentence
    assert sentence in (folder / "training.log").read_text(encoding="utf-8")


def test_every_epoch_is_a_line_on_the_console_and_in_the_log(finished):
    folder, process = finished
    line = re.compile(r"^\s+[123] +\d\.\d{4} +\d\.\d{4} .* s .*(FAST|MEDIUM|SLOW)$", re.MULTILINE)
    assert len(line.findall(process.stdout)) == 3
    log = (folder / "training.log").read_text(encoding="utf-8")
    assert len(re.findall(r"(FAST|MEDIUM|SLOW)$", log, re.MULTILINE)) == 3
    assert "\r" not in process.stdout  # no progress bar in a file


def test_predictions_cover_the_split_table_in_time_order(finished):
    folder, _ = finished
    predictions = pd.read_csv(folder / "predictions.csv", parse_dates=["date"])
    bounds = ["lower_80", "upper_80", "lower_90", "upper_90"]
    assert list(predictions) == ["date", "segment", "actual", "forecast", *bounds, "is_roll"]
    test = predictions[predictions["segment"] == "test"]
    assert (test["lower_90"] < test["lower_80"]).all()
    assert (test["lower_80"] < test["forecast"]).all()
    assert (test["forecast"] < test["upper_80"]).all()
    assert (test["upper_80"] < test["upper_90"]).all()
    assert predictions["date"].is_monotonic_increasing
    assert predictions["date"].is_unique
    assert predictions.drop(columns=bounds).notna().all(axis=None)
    split = read_json(folder / "final_results.json")["split"]
    for segment, rows in zip(split, predictions.groupby("segment", sort=False), strict=True):
        name, frame = rows
        assert (segment["segment"], segment["samples"]) == (name, len(frame))
        assert segment["first_date"] == f"{frame['date'].iloc[0]:%Y-%m-%d}"
        assert segment["last_date"] == f"{frame['date'].iloc[-1]:%Y-%m-%d}"


def test_results_follow_from_the_predictions(finished):
    folder, _ = finished
    predictions = pd.read_csv(folder / "predictions.csv")
    test = predictions[predictions["segment"] == "test"]
    scores = read_json(folder / "evaluation_results.json")["scores"]
    error = test["forecast"] - test["actual"]
    assert scores["num_days"] == len(test) == 131
    assert scores["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    assert scores["zero_rmse"] == pytest.approx((test["actual"] ** 2).mean() ** 0.5)
    moved = test[test["actual"] != 0]
    hits = (moved["actual"] * moved["forecast"] > 0).sum()
    assert (scores["direction_hits"], scores["direction_days"]) == (hits, len(moved))


def test_final_results_hold_settings_split_training_and_evaluation(finished):
    final = read_json(finished[0] / "final_results.json")
    keys = ["settings", "split", "training_rows", "training", "validation", "evaluation"]
    assert list(final) == keys
    rows = pd.read_csv(finished[0] / "predictions.csv").query("segment == 'val'")
    error = rows["actual"] - rows["forecast"]
    assert final["validation"]["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    assert final["settings"]["model"]["hidden_size"] == 4
    assert final["training"]["num_epochs"] == 3
    assert final["training"]["num_parameters"] == 601
    assert final["evaluation"] == read_json(finished[0] / "evaluation_results.json")


def test_provenance_names_command_code_versions_and_data(finished):
    made_of = read_json(finished[0] / "provenance.json")
    assert "train.py" in made_of["command"][1]
    assert set(made_of["git"]) == {"commit", "dirty"}
    assert made_of["packages"]["torch"] == torch.__version__
    judging = {"scipy", "statsmodels", "arch", "matplotlib"}  # what the grade and pictures rest on
    assert judging <= set(made_of["packages"])
    assert len(made_of["input_sha256"]) == 6
    digests = [*made_of["input_sha256"].values(), made_of["table_sha256"]]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)


def test_the_checkpoint_reloads_without_running_code_and_repeats_the_forecast(finished, compose):
    folder, _ = finished
    path = folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    forecaster = Forecaster.load_from_checkpoint(path, weights_only=True).eval()
    assert forecaster.hparams["num_features"] == 12
    assert content["WindowDataModule"]["center"].shape == (12,)

    datamodule = samples_of(compose(*QUICK))
    (batch,) = datamodule.predict_dataloader()
    with torch.no_grad():
        forecast = forecaster.head.forecast(forecaster(batch.inputs))
    written = pd.read_csv(folder / "predictions.csv")["forecast"]
    assert forecast.double().tolist() == written.tolist()


def test_plots_are_pictures_of_a_readable_size(finished):
    folder = finished[0] / "plots"
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in PLOTS for kind in ("png", "svg")
    }
    for name in PLOTS:
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.size == (1200, 700)
        assert 'width="864pt" height="504pt"' in (folder / f"{name}.svg").read_text(
            encoding="utf-8"
        )


def test_tensorboard_holds_curves_scores_pictures_and_hyperparameters(finished):
    folder, _ = finished
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    curves = {"train/loss", "val/loss", "val/rmse", "val/mae", "val/direction"}
    assert curves == {name for name in scalars if name.startswith(("train/", "val/"))}
    assert {name.partition("/")[0] for name in scalars} == {"train", "val", "val_kept", "verdict"}
    assert len([name for name in scalars if name.startswith("verdict/")]) == 10
    for name in curves:
        assert len(events.Scalars(name)) == 3, name
    results = read_json(folder / "evaluation_results.json")
    scores, fit = results["scores"], read_json(folder / "final_results.json")
    for name in ("rmse", "direction_accuracy", "r2_zero", "correlation"):
        (verdict,), (best) = (
            events.Scalars(f"{group}/{name}") for group in ("verdict", "val_kept")
        )
        assert verdict.value == pytest.approx(scores[name])
        assert best[0].value == pytest.approx(fit["validation"][name])
    (loss,) = events.Scalars("val_kept/loss")
    assert loss.value == pytest.approx(min(event.value for event in events.Scalars("val/loss")))
    assert not [name for name in scalars if "baseline" in name or name.startswith("test")]
    assert set(events.Tags()["images"]) == {f"verdict/{name}" for name in PLOTS}
    (text,) = events.Tensors("verdict/text_summary")
    card = text.tensor_proto.string_val[0].decode()
    assert card.startswith(f"**{results['evidence']['line']}**\n\n{results['sentence']}\n\n")
    for row in fit["split"]:
        days = (row["segment"], row["first_date"], row["last_date"], row["samples"])
        assert f"| {' | '.join(map(str, days))} |" in card
    metadata = events.PluginTagToContent("hparams")
    assert set(metadata) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}


@pytest.mark.usefixtures("one_quick_figure")
def test_two_runs_with_one_seed_agree_bit_for_bit_and_another_seed_does_not(
    finished, compose, tmp_path
):
    first = (finished[0] / "predictions.csv").read_bytes()
    folders = [tmp_path / f"seed={seed}" for seed in (0, 1)]
    for folder in folders:
        run_experiment(compose(*QUICK, folder.name), folder)
    again, other = ((folder / "predictions.csv").read_bytes() for folder in folders)
    assert again == first
    assert other != first
    weights = [
        torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        for folder in (finished[0], folders[0])
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_real_files_run_to_the_verdict(run_command, real_data, tmp_path):
    process = run_command(
        "train.py",
        "data=original",
        f"data.root={real_data}",
        "features=prices",
        "thresholds=trading",
        *QUICK,
        f"hydra.run.dir={tmp_path}",
    )
    assert process.returncode == 0, process.stderr
    final = read_json(tmp_path / "final_results.json")
    assert [(segment["rows"], segment["samples"]) for segment in final["split"]] == [
        (607, 588),
        (130, 130),
        (131, 131),
    ]
    assert "guessing reaches" in process.stdout


def test_what_a_user_got_wrong_ends_with_status_2_and_one_line(run_command, tmp_path):
    """The other ways to be wrong are in `test_bad_settings.py`, without a process each."""
    process = run_command("train.py", "model.dropout=2", f"hydra.run.dir={tmp_path}")
    assert process.returncode == 2
    line = "ConfigError: model.dropout: input should be less than 1, got 2\n"
    assert (process.stdout, process.stderr) == ("", line)


def wait_for_epochs(folder, number):
    """Wait until a run has said so many epochs more than when this was first able to look."""
    deadline, first = time.monotonic() + 120, None
    while time.monotonic() < deadline:
        time.sleep(0.01)
        if (folder / "training.log").exists():
            log = (folder / "training.log").read_text(encoding="utf-8")
            epochs = len(SPEED.findall(log))
            first = epochs if first is None else min(first, epochs)  # going on cuts the log first
            if epochs >= first + number:
                return
    pytest.fail("no epoch in two minutes")


@pytest.mark.skipif(usable_cores() < 2, reason="there is one core only")
def test_two_processes_train_one_model_speak_once_and_end_and_go_on_together(tmp_path):
    whole, stopped, said = (tmp_path / name for name in ("whole", "stopped", "said"))
    settings = ("model=bilstm_small", "training.max_epochs=15", "training.patience=15")
    cheap = "evaluation.bootstrap_repetitions=100"
    command = ["train.py", *settings, "hardware.devices=2", cheap, "logger=[csv,tensorboard]"]
    process = forks.run(*command, f"hydra.run.dir={whole}")
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("guessing reaches") == 1
    assert len(SPEED.findall(process.stdout)) == 15
    assert not re.search("distributed|sync_dist|deprecated", process.stdout + process.stderr)
    assert [name for name in FILES if not (whole / name).is_file()] == []

    run = forks.start([*command, f"hydra.run.dir={stopped}"], out=os.devnull, err=said)
    wait_for_epochs(stopped, 2)
    os.kill(run.pid, signal.SIGTERM)  # the other process hears of it from this one
    assert forks.wait(run) == 143
    assert said.read_text(encoding="utf-8") == ""

    run = forks.start(["train.py", f"resume={stopped}"], out=os.devnull, err=said)
    wait_for_epochs(stopped, 2)
    other = int(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text(encoding="utf-8"))
    os.kill(other, signal.SIGKILL)
    # Lightning looks after it every five seconds, and kills this one if it comes first.
    assert forks.wait(run) in {1, -signal.SIGKILL}
    line = f"MachineError: {stopped}: another process of this run has ended\n"
    assert said.read_text(encoding="utf-8") in {line, ""}

    process = forks.run("train.py", f"resume={stopped}")
    assert process.returncode == 0, process.stderr
    # Dropout has drawn other numbers in each process.
    first, second = (folder / "predictions.csv" for folder in (whole, stopped))
    assert first.read_bytes() == second.read_bytes()
    curves = pd.read_csv(whole / "metrics.csv")
    assert list(curves["step"]) == [*range(1, 16), 15, 15]
    pd.testing.assert_frame_equal(pd.read_csv(stopped / "metrics.csv"), curves)


def test_a_loss_that_is_no_number_names_the_epoch_and_fails_the_run(run_command, tmp_path):
    days = pd.date_range("2024-01-01", periods=80, freq="B").strftime("%Y-%m-%d")
    huge = pd.DataFrame({"date": days, "driver": range(80), "Y": 1e25})  # its square overflows
    huge.to_csv(tmp_path / "table.csv", index=False)
    process = run_command(
        "train.py",
        "data=table",
        f"data.root={tmp_path}",
        "features.names=[driver]",
        "target.series=Y",
        "target.kind=given",
        *QUICK,
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert process.returncode == 1
    assert process.stderr.startswith("TrainingError: train/loss is inf in epoch 1; lower")
    assert process.stderr.count("\n") == 1
    assert (tmp_path / "run" / "provenance.json").is_file()
    assert "TrainingError" in (tmp_path / "run" / "training.log").read_text(encoding="utf-8")


def test_help_starts_with_examples_and_needs_neither_hydra_nor_torch(run_python):
    process = run_python("-X", "importtime", "train.py", "--help")
    assert process.returncode == 0
    assert process.stdout.splitlines()[2].strip().startswith("python train.py")
    assert "thresholds: default, research, trading" in process.stdout
    assert "pydantic" in process.stderr
    assert not re.search(r"\| +(hydra|torch|lightning|pandas)$", process.stderr, re.MULTILINE)


def test_the_settings_can_be_seen_without_running(run_command):
    process = run_command("train.py", "--cfg", "job", "experiment=stationary_small")
    assert process.returncode == 0
    assert "hidden_size: 16" in process.stdout
