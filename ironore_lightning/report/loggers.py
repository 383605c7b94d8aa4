"""Loggers of lightning, and what all of them are told of a run."""

import hashlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from ironore_lightning.errors import ConfigError, missing_extra
from ironore_lightning.evaluation.assessment import Assessment, net_sharpe
from ironore_lightning.evaluation.evidence import GRADES
from ironore_lightning.evaluation.trading import usual_cost
from ironore_lightning.report import tensorboard
from ironore_lightning.run_folder.layout import CURVES_FILE, events_folder, is_of_multirun
from ironore_lightning.run_folder.lock import is_helper_process
from ironore_lightning.run_folder.results import FittedRun, RunResult
from ironore_lightning.settings.experiment import Config

PACKAGES = {"mlflow": ("mlflow", "sqlalchemy", "alembic"), "wandb": ("wandb",)}
"""What each extra installs, by logger."""

SHARED = Path("outputs")
"""Where MLflow and wandb keep all runs, below the working directory: a folder that somebody else
made cannot choose another place."""

ENDS = ("val_kept/", "verdict/")
"""Groups of figures that a run writes once, at its end."""


def require_loggers(config: Config) -> None:
    """Raise `ConfigError` with the command that installs a logger which is missing."""
    for name in config.logger:
        if not all(map(find_spec, PACKAGES.get(name, ()))):
            raise ConfigError(f"logger={name}: {missing_extra(name, name)}")


@contextmanager
def open_loggers(
    config: Config, folder: Path, last: Mapping[str, Any] | None
) -> Iterator[list[Logger]]:
    """Open the loggers of a run, and write at the end whether it succeeded.

    Args:
        config: Its settings.
        folder: The run folder.
        last: State in the last checkpoint of a run that goes on, whose curves are cut there; empty
            for a new run, and None for one that has finished.
    """
    loggers = [_build(name, config, folder, last) for name in config.logger]
    try:
        yield loggers
    except BaseException:
        for logger in loggers:
            with suppress(Exception):  # the first error matters
                _finish(logger, folder, succeeded=False)
        raise
    for logger in loggers:
        _finish(logger, folder, succeeded=True)


def _build(name: str, config: Config, folder: Path, last: Mapping[str, Any] | None) -> Logger:
    if name == "tensorboard":
        return tensorboard.build(events_folder(folder), last)
    if name == "csv":
        return _csv_logger(folder, last)
    if name == "mlflow":
        return _mlflow_logger(config, folder, last)
    return _wandb_logger(config, folder, last)


def _wandb_logger(config: Config, folder: Path, last: Mapping[str, Any] | None) -> WandbLogger:
    """Log offline, unless the environment asks for wandb's server.

    A run that goes on, or is evaluated later, is another one in the group of the first, since
    wandb cannot resume a run offline.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    logger = WandbLogger(
        name=_run_name(folder),
        project=config.name,
        save_dir=SHARED.absolute(),
        mode=os.environ.get("WANDB_MODE", "offline"),
        group=_run_name(folder),
        job_type="evaluate" if last is None else "train",
        settings={"silent": True, "console": "off"},
    )
    logger._wandb_init.pop("anonymous", None)  # wandb warns that it ignores this
    return logger


def _run_name(folder: Path) -> str:
    parent = f"{folder.absolute().parent.name}/" if is_of_multirun(folder) else ""
    return f"{parent}{folder.name}"


def _csv_logger(folder: Path, last: Mapping[str, Any] | None) -> CSVLogger:
    """Write curves into the run folder, after those up to the checkpoint."""
    rows = [] if last == {} else _earlier_rows(folder / CURVES_FILE, last)
    logger = CSVLogger(folder, name="", version="")
    with warnings.catch_warnings():
        # Its earlier table is written again.
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists")
        logger.experiment  # noqa: B018 - opens the table
    for row in rows:
        logger.log_metrics(row, int(row["step"]))
    logger.save()
    return logger


def _earlier_rows(path: Path, last: Mapping[str, Any] | None) -> list[dict[str, Tensor | float]]:
    """Read the curves of an earlier attempt, without what is logged again.

    Raises:
        ConfigError: If the file holds anything else.
    """
    if is_helper_process() or not path.exists():
        return []
    try:
        table = pd.read_csv(path, dtype="float64")
        table = table[table["step"].between(0, math.inf if last is None else last["epoch"] + 1)]
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{path}: holds no curves of a run; remove it") from error
    again = ENDS[1:] if last is None else ENDS
    kept = [name for name in table if not str(name).startswith(again)]
    rows = [row.dropna().to_dict() for _, row in table[kept].iterrows()]
    return [{str(name): value for name, value in row.items()} for row in rows if len(row) > 1]


class _MLFlowLogger(MLFlowLogger):
    """Leaves out what an earlier attempt has logged; MLflow keeps both of two equal points."""

    known: frozenset[tuple[str, int]] = frozenset()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the metrics that are new."""
        new = {name: value for name, value in metrics.items() if (name, step) not in self.known}
        super().log_metrics(new, step)


def _mlflow_logger(config: Config, folder: Path, last: Mapping[str, Any] | None) -> MLFlowLogger:
    """Log to MLflow's database, or to the server that the environment names."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would report to its maker
    SHARED.mkdir(exist_ok=True)
    import mlflow  # noqa: F401 - sets its log up, which would tell of each new table

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    store = SHARED.absolute()
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    logger = _MLFlowLogger(
        config.name,
        _run_name(folder),
        os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{store / 'mlflow.db'}",
        tags={"run_folder": str(folder.resolve()), "run_folder_sha256": digest},
    )
    _find_earlier_run(logger, digest, last)
    return logger


@rank_zero_only
def _find_earlier_run(logger: _MLFlowLogger, digest: str, last: Mapping[str, Any] | None) -> None:
    """Let a logger go on with the newest run of a folder, if that is wanted and there is one."""
    client, name = logger._mlflow_client, logger._experiment_name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:  # lightning would warn that it makes one
        client.create_experiment(name, (SHARED.absolute() / "mlartifacts").as_uri())
    if experiment is None or last == {}:
        return
    found = client.search_runs(
        [experiment.experiment_id],
        f"tags.run_folder_sha256 = '{digest}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if not found:
        return
    run = found[0]
    logger._run_id = run.info.run_id
    if last is None:
        return
    client.update_run(logger._run_id, status="RUNNING")
    logger.known = frozenset(
        (name, point.step)
        for name in run.data.metrics
        for point in client.get_metric_history(logger._run_id, name)
    )


def _finish(logger: Logger, folder: Path, *, succeeded: bool) -> None:
    logger.finalize("success" if succeeded else "failed")
    if isinstance(logger, WandbLogger):
        rank_zero_only(logger.experiment.finish)(exit_code=0 if succeeded else 1)
    if isinstance(logger, TensorBoardLogger) and not succeeded:
        rank_zero_only(tensorboard.mark_failure)(events_folder(folder))


def log_settings(loggers: Sequence[Logger], config: Config) -> None:
    """Write the hyperparameters of a run that starts."""
    values = hyperparameters(config)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            tensorboard.open_session(logger, values)
        else:
            logger.log_hyperparams(values)


def hyperparameters(config: Config) -> dict[str, bool | str | float]:
    """Return the settings that runs are compared by, by name."""
    return {
        "data": config.data.name,
        "features": ", ".join(feature.label for feature in config.features.names),
        "signal": config.data.sample.signal if config.data.sample else 0.0,
        "adjustment": config.data.futures.adjustment,
        "split": config.split.method,
        "fold": getattr(config.split, "fold", 0),
        "horizon": config.target.horizon,
        "sequence_length": config.window.sequence_length,
        "scaling": config.scaling.method,
        **config.model.model_dump(),
        "loss": config.training.loss,
        "monitor": config.monitor,
        "schedule": config.training.schedule,
        "optimizer": config.training.optimizer,
        "learning_rate": config.training.learning_rate,
        "weight_decay": config.training.weight_decay,
        "gradient_clip_norm": config.training.gradient_clip_norm,
        "batch_size": config.training.batch_size,
        "seed": config.seed,
    }


def log_validation(run: FittedRun) -> None:
    """Write the scores of the kept epoch on validation, in place of those of an earlier attempt.

    Raises:
        OSError: If the folder is missing, or something cannot be written.
    """
    figures = _validation(run)
    for logger in run.loggers:
        if isinstance(logger, TensorBoardLogger):
            tensorboard.close_session(events_folder(run.folder), run, figures)
        else:
            logger.log_metrics(figures, run.facts.num_epochs)


def log_verdict(result: RunResult, plots: Sequence[Path]) -> None:
    """Write what the verdict rests on, also for a run that has finished long ago.

    Raises:
        OSError: If the folder is missing, or something cannot be written.
    """
    run = result.run
    if not run.loggers:
        require_loggers(run.config)
        with open_loggers(run.config, run.folder, None) as loggers:
            _log_verdict(loggers, result, plots)
    else:
        _log_verdict(run.loggers, result, plots)


def _log_verdict(loggers: Sequence[Logger], result: RunResult, plots: Sequence[Path]) -> None:
    run, figures = result.run, _verdict(result.assessment)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            everything = {**_validation(run), **figures}
            folder = events_folder(run.folder)
            tensorboard.close_session(folder, run, everything, result, plots)
        else:
            logger.log_metrics(figures, run.facts.num_epochs)


def _validation(run: FittedRun) -> dict[str, float]:
    """Return the scores of the kept epoch on validation; curves end with another one."""
    scores = run.validation
    figures = {
        "epoch": run.facts.best_epoch,
        run.config.monitor.removeprefix("val/"): run.objective,
        "rmse": scores.rmse,
        "mae": scores.mae,
        "r2_zero": scores.r2_zero,
        "direction_accuracy": scores.direction_accuracy,
        "correlation": scores.correlation,
    }
    return _known("val_kept", figures)


def _verdict(assessment: Assessment) -> dict[str, float]:
    """Return the figures that a verdict rests on."""
    scores = assessment.scores
    coverages = {
        f"coverage_{100 * interval.coverage_nominal:.0f}": interval.coverage
        for interval in assessment.intervals
    }
    sharpe = {}
    if costs := sorted({traded.cost_bp for traded in assessment.trading}):
        shown = usual_cost(costs)
        sharpe[f"sharpe_after_{shown:g}_bp"] = net_sharpe(assessment.trading, shown)
    figures = {
        "rmse": scores.rmse,
        "r2_zero": scores.r2_zero,
        "direction_accuracy": scores.direction_accuracy,
        "base_rate": scores.base_rate,
        "correlation": scores.correlation,
        **coverages,
        **sharpe,
        "skill_p": assessment.evidence.skill_p,
        "grade": GRADES.index(assessment.evidence.earned),
    }
    return _known("verdict", figures)


def _known(group: str, figures: Mapping[str, float | None]) -> dict[str, float]:
    return {f"{group}/{name}": value for name, value in figures.items() if value is not None}
