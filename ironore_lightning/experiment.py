"""One run, from settings to verdict; and a finished run, judged without training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from ironore_lightning.data.datamodule import (
    EVALUATION_BATCH,
    WindowDataModule,
    build_datamodule,
    outcomes_with_breaks,
)
from ironore_lightning.data.market_cache import Market, build_market
from ironore_lightning.data.price_clues import build_clues
from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.assessment import assess
from ironore_lightning.evaluation.distributions import Distribution
from ironore_lightning.evaluation.forecasts import Forecasts, build_forecasts, build_predictions
from ironore_lightning.evaluation.labels import label
from ironore_lightning.evaluation.left_out import assess_left_out
from ironore_lightning.evaluation.metrics import evaluate
from ironore_lightning.files import write_json
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.model.hardware import cpu_precision, set_up_process
from ironore_lightning.model.training import (
    FitContext,
    TrainedNetwork,
    load_best,
    read_resume_state,
    train,
)
from ironore_lightning.report.console import report_market, report_result, report_validation
from ironore_lightning.report.epochs import EpochReport, silence_lightning
from ironore_lightning.report.figures import write_run_figures
from ironore_lightning.report.tensorboard import (
    close_session,
    hyperparameters,
    mark_failure_in_tensorboard,
    open_session,
    silence_writer,
)
from ironore_lightning.run_folder.forecast_tables import (
    read_predictions,
    write_predictions,
    write_tables,
)
from ironore_lightning.run_folder.layout import PROVENANCE_FILE, TENSORBOARD
from ironore_lightning.run_folder.lock import is_helper_process
from ironore_lightning.run_folder.looks import count_look, require_ledger
from ironore_lightning.run_folder.provenance import provenance, require_same_table
from ironore_lightning.run_folder.record import RunRecord
from ironore_lightning.run_folder.results import FittedRun, RunResult, write_fit, write_results
from ironore_lightning.settings.experiment import Config

Rows = npt.NDArray[np.intp]

SAME_FORECAST, SAME_IN_MIXED_PRECISION = 1e-4, 2e-2
"""Largest difference of a forecast computed again, as a share of the largest one: processors and
cards round differently."""


def run_experiment(
    config: Config,
    folder: Path,
    *,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    looks: Path | None = None,
) -> RunResult:
    """Train, evaluate and write one run into `folder`.

    Args:
        config: All settings.
        folder: Where the files go.
        callbacks: Additional callbacks of the fit.
        resume: Whether to continue the interrupted run of this folder from its last checkpoint.
        looks: Ledger of looks at test days; None counts nothing.

    Raises:
        ConfigError: If the settings do not fit the machine or the data.
        DataError: If a raw file or the table made of it is wrong.
        LeakageError: If a feature equals the target.
        TrainingError: If a loss is NaN or infinite; files already written are kept.
        MachineError: If another process of this run has died.
        RunPruned: If a search stops the fit.
    """
    require_ledger(looks)
    return assess_run(fit_run(config, folder, callbacks=callbacks, resume=resume), looks=looks)


def fit_run(
    config: Config, folder: Path, *, callbacks: Sequence[Callback] = (), resume: bool = False
) -> FittedRun:
    """Train, validate and remember the forecasts; the test segment is forecast, and not scored.

    This is all that a run of a multirun does: validation chooses, and only the choice is assessed.
    Arguments and errors are those of `run_experiment`.
    """
    silence_lightning()
    set_up_process(config.hardware)
    # Settings of a resumed run may be a stranger's, so nothing is written to the path they name.
    data = config.data.without_saving_sample() if resume else config.data
    market = build_market(data, config.target)
    datamodule = build_datamodule(market.panel, config.dataset_settings)
    last: dict[str, Any] = {}
    if resume:
        require_same_table(folder, datamodule, remedy="start it anew in another folder")
        last = read_resume_state(folder, datamodule.features.shape[1], config.fit_settings)
    logger = build_logger(folder, last)
    report = EpochReport(
        config.thresholds, log_file=folder / "training.log", emoji=config.report.emoji, last=last
    )
    if not resume:
        open_run(market, datamodule, logger, config, folder)
    with mark_failure_in_tensorboard(logger.log_dir):
        context = FitContext(folder, logger, report, callbacks, last)
        trained = train(datamodule, config.fit_settings, context)
    predictions = predict_samples(datamodule, trained, config)
    run = FittedRun(config, folder, market.panel, datamodule, trained, predictions)
    close_fit(run)
    return run


def build_logger(folder: Path, last: Mapping[str, Any]) -> TensorBoardLogger:
    """Write curves into `folder`; those after the last checkpoint are deleted and drawn again."""
    silence_writer()
    # `purge_step` is the first step deleted. Curves count epochs from 1, checkpoints from 0.
    purge = {"purge_step": last["epoch"] + 2} if last else {}
    return TensorBoardLogger(folder / TENSORBOARD, "", "", default_hp_metric=False, **purge)


@rank_zero_only
def open_run(
    market: Market,
    datamodule: WindowDataModule,
    logger: TensorBoardLogger,
    config: Config,
    folder: Path,
) -> None:
    """Print and save what the run is made of, once even if several processes train."""
    folder.mkdir(parents=True, exist_ok=True)
    report_market(market, datamodule)
    write_json(folder / PROVENANCE_FILE, provenance(market, datamodule))
    open_session(logger, hyperparameters(config))


def predict_samples(
    datamodule: WindowDataModule, trained: TrainedNetwork, config: Config
) -> pd.DataFrame:
    """Turn the network's outputs into forecasts of every sample, with their bounds."""
    rows = datamodule.outcomes.set_axis(datamodule.origins, axis=0)
    return _predictions(rows, trained.outputs, trained, config)


def _predictions(
    outcomes: pd.DataFrame, outputs: Tensor, trained: TrainedNetwork, config: Config
) -> pd.DataFrame:
    """Return the predictions of some rows of the table, which are the index of `outcomes`."""
    return build_predictions(
        outcomes.reset_index(drop=True),
        trained.forecaster.head.forecast(outputs).double().numpy(),
        _distribution(outcomes, outputs, trained),
        config.evaluation,
        horizon=config.target.horizon,
    )


def _distribution(
    outcomes: pd.DataFrame, outputs: Tensor, trained: TrainedNetwork
) -> Distribution | None:
    """Return the predictive distribution of the test rows; None from a point forecaster."""
    is_test = torch.tensor((outcomes["segment"] == "test").to_numpy())
    return trained.forecaster.head.distribution(outputs[is_test])


@rank_zero_only
def close_fit(run: FittedRun) -> None:
    """Save and print the forecasts and the validation scores."""
    write_predictions(run.folder, run.predictions)
    write_fit(run)
    close_session(run)
    report_validation(run)


def recall_run(record: RunRecord) -> FittedRun:
    """Build a finished run again from its data and its best checkpoint, without training.

    The forecasts are those in its folder.

    Raises:
        ConfigError: If the checkpoint is not of this run.
        DataError: If the data have changed since.
    """
    data = record.settings.data.without_saving_sample()  # the folder is untrusted: write nothing
    config, folder = record.settings.model_copy(update={"data": data}), record.folder
    set_up_process(config.hardware.on_cpu())
    panel = build_market(data, config.target).panel
    datamodule = build_datamodule(panel, config.dataset_settings)
    require_same_table(folder, datamodule, remedy="put back those of then")
    path = folder / "checkpoints" / "best.ckpt"
    forecaster, _ = load_best(path, datamodule.features.shape[1], config.fit_settings)
    outputs = _run_network(forecaster, datamodule, datamodule.origins, config)
    trained = TrainedNetwork(forecaster, record.training, outputs)
    predictions = read_predictions(folder, config.target.kind)
    again = predict_samples(datamodule, trained, config)
    is_full = config.hardware.precision == "32-true"
    if not _agree(predictions, again, SAME_FORECAST if is_full else SAME_IN_MIXED_PRECISION):
        raise ConfigError(f"{path}: is not the network that wrote predictions.csv beside it")
    return FittedRun(config, folder, panel, datamodule, trained, predictions)


def _agree(predictions: pd.DataFrame, again: pd.DataFrame, tolerance: float) -> bool:
    """Return whether two tables hold the same days, outcomes and forecasts."""
    # Values, for pandas 2 keeps dates in the unit that they were made in.
    same_days = all(np.array_equal(again[name], predictions[name]) for name in ("date", "segment"))
    return same_days and all(
        np.allclose(
            again[name], predictions[name], rtol=0, atol=tolerance * again[name].abs().max()
        )
        for name in ("actual", "forecast")
    )


def _run_network(
    forecaster: Forecaster, datamodule: WindowDataModule, rows: Rows, config: Config
) -> Tensor:
    """Return the outputs of the network for windows that end at `rows`, shape (N, P)."""
    windows = torch.split(torch.from_numpy(datamodule.windows(rows)), EVALUATION_BATCH)
    network = forecaster.eval()
    with torch.no_grad(), cpu_precision(config.hardware.precision):
        return torch.cat([network(batch.to(network.device)).cpu() for batch in windows])


def complete_forecasts(run: FittedRun) -> Forecasts:
    """Return the forecasts of a run with those of the baselines, and write their tables."""
    config, datamodule = run.config, run.datamodule
    rows = datamodule.outcomes.set_axis(datamodule.origins, axis=0)
    distribution = _distribution(rows, run.trained.outputs, run.trained)
    horizon = config.target.horizon
    windows = datamodule.windows()
    forecasts = replace(
        build_forecasts(run.predictions, windows, distribution, horizon=horizon),
        clues=build_clues(run.panel, datamodule, config.data.prices, config.dataset_settings),
        with_breaks=_with_breaks(run) if len(datamodule.left_out) else None,
    )
    rank_zero_only(write_tables)(run.folder, forecasts)
    return forecasts


def _with_breaks(run: FittedRun) -> Forecasts:
    """Return the forecasts with the test days that a break of the specification leaves out."""
    datamodule, trained, config = run.datamodule, run.trained, run.config
    more = _run_network(trained.forecaster, datamodule, datamodule.left_out, config)
    every_row = outcomes_with_breaks(datamodule)
    order = np.argsort(np.concatenate([datamodule.origins, datamodule.left_out]))
    outputs = torch.cat([trained.outputs, more.to(trained.outputs)])[order]
    return build_forecasts(
        _predictions(every_row, outputs, trained, config),
        datamodule.windows(every_row.index.to_numpy(copy=True)),
        _distribution(every_row, outputs, trained),
        horizon=config.target.horizon,
    )


def assess_run(run: FittedRun, *, looks: Path | None) -> RunResult:
    """Assess the test segment, and write, draw and print what the forecasts are worth.

    Args:
        run: Fitted just now, or recalled.
        looks: Ledger that counts the look; None counts nothing.

    Raises:
        MachineError: If the ledger or a file cannot be written.
    """
    result = evaluate_run(run, complete_forecasts(run), looks=looks)
    close_run(result)
    return result


def evaluate_run(run: FittedRun, forecasts: Forecasts, *, looks: Path | None) -> RunResult:
    """Count the look at the test segment, assess it, and say what the forecasts are worth."""
    config = run.config
    days = forecasts.test_days(config.target)
    look = None if is_helper_process() else count_look(looks, days, what=run.folder)
    labels = label(
        evaluate(days),
        config.thresholds,
        num_parameters=run.facts.num_parameters,
        training_seconds=run.facts.seconds,
    )
    assessment = assess(
        days,
        forecasts.baselines,
        forecasts.density,
        config.evaluation,
        label=labels.direction,
        look=look,
    )
    left_out = assess_left_out(forecasts, config.target, config.evaluation, look=look)
    sentence = " ".join([assessment.verdict, *([left_out.sentence] if left_out else [])])
    return RunResult(run, forecasts, assessment, labels, sentence, left_out)


@rank_zero_only
def close_run(result: RunResult) -> None:
    """Save and print the results; the last line is the verdict."""
    write_results(result)
    plots = write_run_figures(result)
    close_session(result.run, result.assessment, plots)
    report_result(result)
