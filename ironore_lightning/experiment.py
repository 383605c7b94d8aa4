"""One run, from settings to verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from ironore_lightning.data.datamodule import (
    WindowDataModule,
    build_datamodule,
    outcomes_with_breaks,
)
from ironore_lightning.data.market_cache import Market, build_market
from ironore_lightning.data.panel import Panel
from ironore_lightning.data.price_clues import build_clues
from ironore_lightning.evaluation.assessment import assess
from ironore_lightning.evaluation.forecasts import Forecasts, build_forecasts
from ironore_lightning.evaluation.labels import label
from ironore_lightning.evaluation.left_out import assess_left_out
from ironore_lightning.evaluation.metrics import evaluate
from ironore_lightning.files import write_json
from ironore_lightning.model.hardware import cpu_precision, set_up_process
from ironore_lightning.model.training import (
    FitContext,
    TrainedNetwork,
    TrainingFacts,
    read_resume_state,
    train,
)
from ironore_lightning.report.console import (
    report_market,
    report_result,
)
from ironore_lightning.report.epochs import EpochReport, silence_lightning
from ironore_lightning.report.figures import write_run_figures
from ironore_lightning.report.tensorboard import (
    close_session,
    hyperparameters,
    mark_failure_in_tensorboard,
    open_session,
    silence_writer,
)
from ironore_lightning.run_folder.layout import PROVENANCE_FILE
from ironore_lightning.run_folder.lock import is_helper_process
from ironore_lightning.run_folder.looks import count_look, require_ledger
from ironore_lightning.run_folder.provenance import provenance, require_same_table
from ironore_lightning.run_folder.results import RunResult, write_results
from ironore_lightning.settings.experiment import Config


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
        looks: Ledger of looks at test days; None where nobody sees the results, as in a multirun.

    Raises:
        ConfigError: If the settings do not fit the machine or the data.
        DataError: If a raw file or the table made of it is wrong.
        LeakageError: If a feature equals the target.
        TrainingError: If a loss is NaN or infinite; files already written are kept.
        MachineError: If another process of this run has died.
        RunPruned: If a search stops the fit.
    """
    require_ledger(looks)
    silence_lightning()
    set_up_process(config.hardware)
    # Settings of a resumed run may be a stranger's, so nothing is written to the path they name.
    data = config.data.without_saving_sample() if resume else config.data
    market = build_market(data, config.target)
    datamodule = build_datamodule(market.panel, config.dataset_settings)
    last: dict[str, Any] = {}
    if resume:
        require_same_table(folder, datamodule)
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
    forecasts = forecast_samples(market.panel, datamodule, trained, config)
    result = evaluate_run(forecasts, trained.facts, config, folder, looks=looks)
    close_run(result, datamodule, logger)
    return result


def build_logger(folder: Path, last: Mapping[str, Any]) -> TensorBoardLogger:
    """Write curves into `folder`; those after the last checkpoint are deleted and drawn again."""
    silence_writer()
    # `purge_step` is the first step deleted. Curves count epochs from 1, checkpoints from 0.
    purge = {"purge_step": last["epoch"] + 2} if last else {}
    return TensorBoardLogger(folder / "tensorboard", "", "", default_hp_metric=False, **purge)


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


def forecast_samples(
    panel: Panel, datamodule: WindowDataModule, trained: TrainedNetwork, config: Config
) -> Forecasts:
    """Turn the network's outputs into forecasts, with those of the baselines beside them."""
    rows = datamodule.outcomes.set_axis(datamodule.origins, axis=0)
    clues = build_clues(panel, datamodule, config.data.prices, config.dataset_settings)
    forecasts = replace(
        _forecasts_of(rows, trained.outputs, datamodule, trained, config), clues=clues
    )
    if not len(datamodule.left_out):
        return forecasts
    windows = torch.from_numpy(datamodule.windows(datamodule.left_out))
    network = trained.forecaster.eval()
    with torch.no_grad(), cpu_precision(config.hardware.precision):
        more = network(windows.to(network.device)).to(trained.outputs)
    every_row = outcomes_with_breaks(datamodule)
    order = np.argsort(np.concatenate([datamodule.origins, datamodule.left_out]))
    outputs = torch.cat([trained.outputs, more])[order]
    with_breaks = _forecasts_of(every_row, outputs, datamodule, trained, config)
    return replace(forecasts, with_breaks=with_breaks)


def _forecasts_of(
    outcomes: pd.DataFrame,
    outputs: torch.Tensor,
    datamodule: WindowDataModule,
    trained: TrainedNetwork,
    config: Config,
) -> Forecasts:
    """Return the forecasts of some rows of the table, which are the index of `outcomes`."""
    head = trained.forecaster.head
    is_test = torch.tensor((outcomes["segment"] == "test").to_numpy())
    return build_forecasts(
        outcomes.reset_index(drop=True),
        datamodule.windows(outcomes.index.to_numpy(copy=True)),
        head.forecast(outputs).double().numpy(),
        head.distribution(outputs[is_test]),
        config.evaluation,
        horizon=config.target.horizon,
    )


def evaluate_run(
    forecasts: Forecasts,
    facts: TrainingFacts,
    config: Config,
    folder: Path,
    *,
    looks: Path | None,
) -> RunResult:
    """Count the look at the test segment, assess it, and say what the forecasts are worth."""
    days = forecasts.test_days(config.target)
    look = None if is_helper_process() else count_look(looks, days, what=folder)
    scores = evaluate(days)
    labels = label(
        scores,
        config.thresholds,
        num_parameters=facts.num_parameters,
        training_seconds=facts.seconds,
    )
    assessment = assess(
        days,
        forecasts.baselines,
        forecasts.density,
        config.evaluation,
        label=labels.direction,
        look=look,
    )
    sentence = assessment.verdict
    left_out = None
    if forecasts.with_breaks is not None:
        every_day = forecasts.with_breaks.test_days(config.target)
        left_out = assess_left_out(
            days, forecasts.with_breaks, every_day, config.evaluation, look=look
        )
        sentence += f" {left_out.sentence}"
    return RunResult(config, folder, facts, forecasts, assessment, labels, sentence, left_out)


@rank_zero_only
def close_run(result: RunResult, datamodule: WindowDataModule, logger: TensorBoardLogger) -> None:
    """Save and print the results; the last line is the verdict."""
    write_results(result, datamodule)
    plots = write_run_figures(result)
    close_session(logger.log_dir, result.assessment, plots, step=result.facts.num_epochs)
    report_result(result, datamodule)
