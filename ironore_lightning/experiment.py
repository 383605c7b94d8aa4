"""One run, from settings to verdict; the only module that knows all the others."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.features import build_features, build_target, require_no_target_leak
from ironore_lightning.data.market import Market, build_market
from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw import RawData
from ironore_lightning.errors import DataError, MachineError
from ironore_lightning.evaluation.assessment import Assessment, assess
from ironore_lightning.evaluation.forecasts import Forecasts, build_forecasts
from ironore_lightning.evaluation.labels import Labels, direction_sentence, label
from ironore_lightning.evaluation.metrics import evaluate
from ironore_lightning.files import read_json, write_csv, write_json
from ironore_lightning.model.checkpoints import (
    WEIGHTS,
    Checkpoints,
    network_parts,
    read_checkpoint,
    read_last,
    require_finite,
)
from ironore_lightning.model.distributed import DistributedShutdown, has_lost_a_process
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.report.console import (
    EpochReport,
    TrainingFacts,
    report_assessment,
    report_constants,
    report_scores,
    report_segments,
    report_validation,
    report_verdict,
    silence_lightning,
    summary_lines,
)
from ironore_lightning.report.equity import equity_figures
from ironore_lightning.report.plots import draw_figures
from ironore_lightning.report.style import default_style, write_figures
from ironore_lightning.report.tensorboard import (
    close_session,
    hyperparameters,
    open_session,
    silence_writer,
)
from ironore_lightning.run_folder.layout import PROVENANCE_FILE, RESULTS_FILE
from ironore_lightning.run_folder.provenance import provenance, table_digest
from ironore_lightning.run_folder.record import Provenance
from ironore_lightning.settings.experiment import Config

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a run found.

    Attributes:
        folder: Where its files are.
        facts: How the fit went.
        forecasts: Of model and baselines, with the checkpoint that validation chose.
        assessment: Of the test segment.
        labels: Words for its scores.
        sentence: What it is worth.
    """

    folder: Path
    facts: TrainingFacts
    forecasts: Forecasts
    assessment: Assessment
    labels: Labels
    sentence: str

    @property
    def objective(self) -> float:
        """Best `monitor` on the validation segment, which a sweep makes small."""
        return self.facts.best_score


def run_experiment(
    config: Config,
    folder: Path,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: Path | None = None,
) -> RunResult:
    """Train, evaluate and write one run into `folder`.

    Args:
        config: Its settings.
        folder: Where its files go.
        callbacks: Of whoever started it, to watch the fit.
        checkpoint: Of the last epoch of an earlier try in the same folder, to go on from exactly.

    Raises:
        ConfigError: If the settings do not fit the machine or the data.
        DataError: If a raw file or the table made of it is wrong.
        TrainingError: If a loss is no number; what was complete stays.
        RunPruned: If a search stops the fit.
    """
    silence_lightning()
    silence_writer()
    set_up_process(config.hardware)
    # What goes on has kept its market, if it was to; a folder's word is no reason to write one.
    data = config.data if checkpoint is None else config.data.read_only()
    market = build_market(data, config.target)
    datamodule = cut_samples(market.panel, config)
    last: dict[str, Any] = {}
    if checkpoint is not None:
        require_same_data(datamodule, folder)
        last = read_own_checkpoints(datamodule, config, folder)
    logger = build_logger(folder, last)
    if checkpoint is None:
        open_run(market, datamodule, logger, config, folder)

    forecaster, facts, parameters = train(
        datamodule, logger, config, folder, callbacks=callbacks, last=last
    )
    outcomes, head = datamodule.outcomes, forecaster.head
    is_test = torch.tensor((outcomes["segment"] == "test").to_numpy())
    forecasts = build_forecasts(
        outcomes,
        datamodule.windows(),
        head.forecast(parameters).double().numpy(),
        head.distribution(parameters[is_test]),
        config.evaluation,
        horizon=config.target.horizon,
    )
    result = evaluate_run(forecasts, facts, config, folder)
    close_run(result, datamodule, logger, config)
    return result


def train(
    datamodule: WindowDataModule,
    logger: TensorBoardLogger,
    config: Config,
    folder: Path,
    *,
    callbacks: Sequence[Callback],
    last: dict[str, Any],
) -> tuple[Forecaster, TrainingFacts, Tensor]:
    """Fit a network, and return it with what its best epoch says of every sample, shape (N, P).

    Raises:
        MachineError: If another process that trains the same network has gone.
        SystemExit: With 130 after Ctrl-C and 143 after SIGTERM.
    """
    seed_everything(config.seed, verbose=False)
    forecaster = build_forecaster(datamodule, config)
    try:
        trainer, facts = fit(
            forecaster,
            datamodule,
            logger,
            config,
            folder,
            callbacks=callbacks,
            last=last,
        )
        return forecaster, facts, predict(trainer, forecaster, datamodule, folder)
    except BaseException as error:
        with suppress(OSError):  # the first error is the one to tell
            rank_zero_only(close_session)(logger.log_dir, None, (), step=0)
        if isinstance(error, SystemExit):  # lightning says 1 of Ctrl-C, and nothing of SIGTERM
            raise SystemExit(130 if error.code == 1 else 143) from error
        if config.hardware.devices > 1 and has_lost_a_process(error):
            raise MachineError(f"{folder}: another process of this run has ended") from error
        raise


@rank_zero_only
def open_run(
    market: Market,
    datamodule: WindowDataModule,
    logger: TensorBoardLogger,
    config: Config,
    folder: Path,
) -> None:
    """Say and write what the run is made of, once even if several processes train."""
    folder.mkdir(parents=True, exist_ok=True)
    report_segments(datamodule.table)
    for line in market.panel.bridging(pd.DatetimeIndex(datamodule.features.index)):
        log.warning(line)
    made_of = provenance(
        seed=config.seed,
        digests=market.raw.digests,
        features=datamodule.features,
        target=datamodule.target,
        training=datamodule.split.train,
    )
    training = datamodule.split.train
    report_constants(datamodule.features.iloc[training.start : training.stop])
    write_json(folder / PROVENANCE_FILE, made_of)
    open_session(logger, hyperparameters(config))


def build_logger(folder: Path, last: Mapping[str, Any]) -> TensorBoardLogger:
    """Write curves into `folder`; what the last checkpoint does not know yet is drawn anew."""
    # Curves count epochs from 1, checkpoints from 0.
    purge = {"purge_step": last["epoch"] + 2} if last else {}
    return TensorBoardLogger(folder / "tensorboard", "", "", default_hp_metric=False, **purge)


def require_same_data(datamodule: WindowDataModule, folder: Path) -> None:
    """Raise unless the table is known to be the one that an interrupted run was training on."""
    made_of = read_json(folder / PROVENANCE_FILE, Provenance)
    if table_digest(datamodule.features, datamodule.target) != made_of.table_sha256:
        raise DataError(
            f"{folder}: the data have changed since this run was interrupted, so it cannot go on; "
            "start it in another folder"
        )


def read_own_checkpoints(
    datamodule: WindowDataModule, config: Config, folder: Path
) -> dict[str, Any]:
    """Read what an interrupted run goes on from.

    Raises:
        ConfigError: If one of its checkpoints is not whole, or not of such a run.
    """
    checkpoints = folder / "checkpoints"
    with torch.device("meta"):  # only its form is asked for
        network = build_forecaster(datamodule, config)
    last = read_last(checkpoints / "last.ckpt", network, config.training, config.hardware)
    read_checkpoint(checkpoints / "best.ckpt", network_parts(network))
    return last


def build_datamodule(raw: RawData, config: Config) -> WindowDataModule:
    """Join raw data and cut them into samples."""
    panel = build_panel(raw, config.data, config.target)
    return cut_samples(panel, config)


def cut_samples(panel: Panel, config: Config) -> WindowDataModule:
    """Choose features and target, and cut them into samples."""
    features = build_features(panel, config.features.names)
    target = build_target(panel, config.target).loc[features.index]
    require_no_target_leak(features, target)
    return lay_windows(features, target, config)


def lay_windows(features: pd.DataFrame, target: pd.DataFrame, config: Config) -> WindowDataModule:
    """Cut features, shape (T, F), and their target into samples."""
    return WindowDataModule(
        features=features,
        target=target,
        split=config.split,
        scaling=config.scaling,
        sequence_length=config.window.sequence_length,
        horizon=config.target.horizon,
        batch_size=config.training.batch_size,
        seed=config.seed,
    )


def build_forecaster(datamodule: WindowDataModule, config: Config) -> Forecaster:
    """Size the network by the features that there are."""
    return Forecaster(
        num_features=datamodule.features.shape[1],
        model=config.model.model_dump(),
        training=config.training.model_dump(),
        monitor=config.monitor,
    )


def build_trainer(
    config: Config,
    logger: TensorBoardLogger,
    callbacks: list[Callback],
    *,
    folder: Path,
) -> Trainer:
    """Set lightning up for the configured machine, quiet but for our own callbacks.

    Slurm is none of its business: it would go on from any `hpc_ckpt_*.ckpt` in the working
    directory, write one there, and queue the job again. Of the two settings against that, the
    environment stops the writing, and `folder` has no such file to read.
    """
    hardware = config.hardware
    return Trainer(
        default_root_dir=folder,
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        strategy="ddp" if hardware.devices > 1 else "auto",
        precision=hardware.precision,
        deterministic=hardware.deterministic,
        max_epochs=config.training.max_epochs,
        logger=logger,
        log_every_n_steps=1,
        callbacks=callbacks,
        plugins=[LightningEnvironment()],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the sampler shares its batches out itself
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def fit(
    forecaster: Forecaster,
    datamodule: WindowDataModule,
    logger: TensorBoardLogger,
    config: Config,
    folder: Path,
    *,
    callbacks: Sequence[Callback] = (),
    last: dict[str, Any] | None = None,
) -> tuple[Trainer, TrainingFacts]:
    """Train until patience or epochs run out; stopping and checkpoint watch the one `monitor`.

    Args:
        forecaster: To be fitted.
        datamodule: On its training segment.
        logger: Where curves go.
        config: How.
        folder: Where checkpoints go.
        callbacks: More of them.
        last: To go on from; what follows is what would have followed without a stop.

    Raises:
        TrainingError: If a loss is no number.
    """
    stopping = EarlyStopping(config.monitor, patience=config.training.patience)
    report = EpochReport(
        config.thresholds, log_file=folder / "training.log", emoji=config.report.emoji
    )
    checkpoints = Checkpoints(folder / "checkpoints", stopping, report, last or {})
    several = [DistributedShutdown()] if config.hardware.devices > 1 else []
    trainer = build_trainer(
        config,
        logger,
        [stopping, report, *callbacks, *several, checkpoints],
        folder=folder / "checkpoints",
    )
    is_over = False
    if last:
        report.load_state_dict(last)
        report.cut_log()
        is_over = last["has_stopped"] or last["epoch"] + 1 == trainer.max_epochs
    if not is_over:
        try:
            trainer.fit(forecaster, datamodule=datamodule)
        finally:
            checkpoints.write_best()
    return trainer, _facts(forecaster, checkpoints.numbers)


def _facts(forecaster: Forecaster, numbers: Mapping[str, Any]) -> TrainingFacts:
    """Say how a fit went, before and after an interruption."""
    return TrainingFacts(
        num_epochs=numbers["epoch"] + 1,
        best_epoch=numbers["best_epoch"] + 1,
        best_score=numbers["best_score"],
        stopped_early=numbers["has_stopped"],
        seconds=numbers["seconds"],
        num_parameters=sum(one.numel() for one in forecaster.parameters() if one.requires_grad),
    )


def predict(
    trainer: Trainer, forecaster: Forecaster, datamodule: WindowDataModule, folder: Path
) -> Tensor:
    """Let the checkpoint that validation chose speak of every sample, shape (N, P)."""
    best = folder / "checkpoints" / "best.ckpt"
    forecaster.load_state_dict(read_checkpoint(best, network_parts(forecaster))[WEIGHTS])
    batches: Any = trainer.predict(forecaster, datamodule=datamodule)
    parameters = torch.cat(batches)
    require_finite(best, "the forecast of its network", parameters)
    return parameters


def evaluate_run(
    forecasts: Forecasts, facts: TrainingFacts, config: Config, folder: Path
) -> RunResult:
    """Assess the test segment and say what the forecasts are worth."""
    days = forecasts.test_days(config.target)
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
    )
    sentence = f"{direction_sentence(scores)} {assessment.evidence.sentence}"
    return RunResult(folder, facts, forecasts, assessment, labels, sentence)


@rank_zero_only
def close_run(
    result: RunResult, datamodule: WindowDataModule, logger: TensorBoardLogger, config: Config
) -> None:
    """Write and say what the run found; the last line is what it is worth."""
    write_results(result, datamodule, config)
    plots = sorted((result.folder / "plots").glob("*.png"))
    close_session(logger.log_dir, result.assessment, plots, step=result.facts.num_epochs)
    report_result(result, datamodule, config)


@default_style
def write_results(result: RunResult, datamodule: WindowDataModule, config: Config) -> None:
    """Write forecasts, assessment and plots."""
    folder = result.folder
    days = result.forecasts.test_days(config.target)
    write_csv(folder / "predictions.csv", result.forecasts.predictions, index=False)
    for name in ("baselines", "density"):
        frame = getattr(result.forecasts, name)
        dated = pd.concat([days.frame["date"], frame], axis=1)
        write_csv(folder / f"{name}.csv", dated, index=False)
    evaluation = {
        "segment": "test",
        "mape_is": "of the price rebuilt from the return; of a return it has no meaning",
        **asdict(result.assessment),
        "labels": asdict(result.labels),
        "sentence": result.sentence,
    }
    write_json(folder / "evaluation_results.json", evaluation)
    training = datamodule.features.index[datamodule.split.train]
    final = {
        "settings": config.model_dump(mode="json"),
        "split": datamodule.table.to_dict("records"),
        "training_rows": {
            "first_date": f"{training[0]:%Y-%m-%d}",
            "last_date": f"{training[-1]:%Y-%m-%d}",
        },
        "training": asdict(result.facts),
        "evaluation": evaluation,
    }
    write_json(folder / RESULTS_FILE, final)
    title = (
        f"{config.name}: LSTM on {len(config.features.names)} columns of data={config.data.name}"
    )
    figures = draw_figures(result.forecasts.predictions, title=title)
    figures |= equity_figures(days, config.evaluation, title=title)
    write_figures(figures, folder / "plots")


def report_result(result: RunResult, datamodule: WindowDataModule, config: Config) -> None:
    """Print scores and summary; the last line says what the run is worth."""
    scores = result.assessment.scores
    report_validation(result.facts, config.monitor, result.folder)
    report_scores(scores)
    report_assessment(result.assessment)
    lines = summary_lines(
        samples=dict(zip(datamodule.table["segment"], datamodule.table["samples"], strict=True)),
        features=(
            f"{datamodule.features.shape[1]} columns, windows of {config.window.sequence_length} "
            f"days, scaler {config.scaling.method} fitted on training rows"
        ),
        facts=result.facts,
        scores=scores,
        labels=result.labels,
        emoji=config.report.emoji,
    )
    lines.append(result.assessment.evidence.line)
    report_verdict(lines, result.sentence, emoji=config.report.emoji)
