"""One run, from settings to verdict."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from ironore_lightning.data.datamodule import (
    EVALUATION_BATCH,
    WindowDataModule,
    build_datamodule,
    outcomes_with_breaks,
)
from ironore_lightning.data.market_cache import Market, build_market
from ironore_lightning.data_quality.price_clues import build_clues
from ironore_lightning.evaluation.assessment import assess
from ironore_lightning.evaluation.days import Floats
from ironore_lightning.evaluation.distributions import Distribution
from ironore_lightning.evaluation.forecasts import Forecasts, build_forecasts, build_predictions
from ironore_lightning.evaluation.importance import permutation_importance
from ironore_lightning.evaluation.labels import label
from ironore_lightning.evaluation.left_out import assess_left_out
from ironore_lightning.evaluation.metrics import evaluate
from ironore_lightning.evaluation.significance import Interval
from ironore_lightning.files import write_json
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.model.hardware import cpu_precision, set_up_process
from ironore_lightning.model.training import (
    FitContext,
    TrainedNetwork,
    read_resume_state,
    train,
)
from ironore_lightning.report.console import (
    report_market,
    report_result,
    report_step,
    report_validation,
)
from ironore_lightning.report.epochs import EpochReport, silence_lightning
from ironore_lightning.report.loggers import (
    log_settings,
    log_validation,
    log_verdict,
    open_loggers,
    require_loggers,
)
from ironore_lightning.report.run_page import write_run_figures, write_run_page
from ironore_lightning.run_folder.forecast_tables import (
    write_predictions,
    write_tables,
)
from ironore_lightning.run_folder.layout import PROVENANCE_FILE
from ironore_lightning.run_folder.lock import is_helper_process
from ironore_lightning.run_folder.looks import count_look, require_ledger
from ironore_lightning.run_folder.losses import LossFile
from ironore_lightning.run_folder.provenance import provenance, require_same_table
from ironore_lightning.run_folder.results import FittedRun, RunResult, write_fit, write_results
from ironore_lightning.settings.experiment import Config

Windows = npt.NDArray[np.float32]


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
    with _fitted(config, folder, callbacks, resume=resume) as run:
        return assess_run(run, looks=looks)


def fit_run(
    config: Config, folder: Path, *, callbacks: Sequence[Callback] = (), resume: bool = False
) -> FittedRun:
    """Train, validate and remember the forecasts; the test segment is forecast, and not scored.

    This is all that a run of a multirun does: validation chooses, and only the choice is assessed.
    Arguments and errors are those of `run_experiment`.
    """
    with _fitted(config, folder, callbacks, resume=resume) as run:
        return run


@contextmanager
def _fitted(
    config: Config, folder: Path, callbacks: Sequence[Callback], *, resume: bool
) -> Iterator[FittedRun]:
    """Fit a run, and keep its loggers open for what is done with it."""
    silence_lightning()
    require_loggers(config)
    set_up_process(config.hardware)
    report_step("reading the data")
    # Settings of a resumed run may be a stranger's, so nothing is written to the path they name.
    data = config.data.without_saving_sample() if resume else config.data
    market = build_market(data, config.target)
    datamodule = build_datamodule(market.panel, config.dataset_settings)
    last: dict[str, Any] = {}
    if resume:
        require_same_table(folder, datamodule, remedy="start it anew in another folder")
        last = read_resume_state(folder, datamodule.features.shape[1], config.fit_settings)
    report = EpochReport(
        config.thresholds, log_file=folder / "training.log", emoji=config.report.emoji, last=last
    )
    with open_loggers(config, folder, last) as loggers:
        if not resume:
            open_run(market, datamodule, loggers, config, folder)
        losses = LossFile(folder, last)
        context = FitContext(folder, loggers, report, [losses, *callbacks], last)
        trained = train(datamodule, config.fit_settings, context)
        predictions = predict_samples(datamodule, trained, config)
        run = FittedRun(config, folder, market.panel, datamodule, trained, predictions, loggers)
        close_fit(run)
        yield run


@rank_zero_only
def open_run(
    market: Market,
    datamodule: WindowDataModule,
    loggers: Sequence[Logger],
    config: Config,
    folder: Path,
) -> None:
    """Print and save what the run is made of, once even if several processes train."""
    folder.mkdir(parents=True, exist_ok=True)
    report_market(market, datamodule, config.target)
    write_json(folder / PROVENANCE_FILE, provenance(market, datamodule))
    log_settings(loggers, config)


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
    log_validation(run)
    report_validation(run)


def run_network(forecaster: Forecaster, windows: Windows, config: Config) -> Tensor:
    """Return the outputs of the network for windows (N, L, F), shape (N, P)."""
    batches = torch.split(torch.from_numpy(windows), EVALUATION_BATCH)
    network = forecaster.eval()
    with torch.no_grad(), cpu_precision(config.hardware.precision):
        return torch.cat([network(batch.to(network.device)).cpu() for batch in batches])


def complete_forecasts(run: FittedRun) -> Forecasts:
    """Return the forecasts of a run with those of the baselines, and write their tables."""
    forecasts = join_baselines(run)
    rank_zero_only(write_tables)(run.folder, forecasts)
    return forecasts


def join_baselines(run: FittedRun) -> Forecasts:
    """Return the forecasts of a run with those of the baselines."""
    config, datamodule = run.config, run.datamodule
    rows = datamodule.outcomes.set_axis(datamodule.origins, axis=0)
    distribution = _distribution(rows, run.trained.outputs, run.trained)
    horizon = config.target.horizon
    windows = datamodule.windows()
    return replace(
        build_forecasts(run.predictions, windows, distribution, horizon=horizon),
        clues=build_clues(run.panel, datamodule, config.data.prices, config.dataset_settings),
        with_breaks=_with_breaks(run) if len(datamodule.left_out) else None,
    )


def _with_breaks(run: FittedRun) -> Forecasts:
    """Return the forecasts with the test days that a break of the specification leaves out."""
    datamodule, trained, config = run.datamodule, run.trained, run.config
    more = run_network(trained.forecaster, datamodule.windows(datamodule.left_out), config)
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
    report_step(run.panel.rhythm.words("judging the test days beside the baselines"))
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
        is_return=days.is_return,
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
    said = [assessment.verdict, *([left_out.sentence] if left_out else [])]
    sentence = days.rhythm.words(" ".join(said))
    return RunResult(run, forecasts, assessment, labels, sentence, left_out, _importance(run))


def _importance(run: FittedRun) -> dict[str, Interval]:
    """Return what each driver is worth on the test days."""
    config, datamodule, forecaster = run.config, run.datamodule, run.trained.forecaster
    outcomes = datamodule.outcomes
    is_test = (outcomes["segment"] == "test").to_numpy()

    def predict(windows: Windows) -> Floats:
        return forecaster.head.forecast(run_network(forecaster, windows, config)).double().numpy()

    return permutation_importance(
        predict,
        datamodule.windows(datamodule.origins[is_test]),
        [feature.name for feature in config.features.names],
        outcomes.loc[is_test, "actual"].to_numpy(np.float64),
        horizon=config.target.horizon,
        reps=config.evaluation.bootstrap_repetitions,
    )


@rank_zero_only
def close_run(result: RunResult) -> None:
    """Save and print the results, the verdict and the paths."""
    write_results(result)
    report_step("drawing")
    write_run_page(result, write_run_figures(result))
    log_verdict(result, sorted((result.run.folder / "plots").glob("*.png")))
    report_result(result)
