"""Train a network and predict with its best epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger
from torch import Tensor

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.scaling import Scaler
from ironore_lightning.errors import ConfigError, MachineError
from ironore_lightning.model.checkpoints import (
    SCALER,
    WEIGHTS,
    Checkpoints,
    FixedEpochs,
    network_parts,
    read_checkpoint,
    read_last,
    require_finite,
)
from ironore_lightning.model.distributed import DistributedShutdown, has_lost_a_process
from ironore_lightning.model.facts import TrainingFacts
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.settings.training import FitSettings


@dataclass(frozen=True)
class FitContext:
    """Where a fit writes, its callbacks, and the state that it resumes from.

    Attributes:
        folder: Run folder; checkpoints go below it.
        loggers: Write the curves.
        report: Callback that prints each epoch; `last.ckpt` keeps its `state_dict`.
        callbacks: Other callbacks.
        last: State of an interrupted fit, of `read_resume_state`; empty at the start.
    """

    folder: Path
    loggers: Sequence[Logger]
    report: Callback
    callbacks: Sequence[Callback]
    last: dict[str, Any]

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"


@dataclass(frozen=True)
class TrainedNetwork:
    """A fitted network.

    Attributes:
        forecaster: With the weights of its best epoch.
        facts: How the fit went.
        outputs: Parameters of the head, shape (N, P), in the order of `datamodule.outcomes`.
    """

    forecaster: Forecaster
    facts: TrainingFacts
    outputs: Tensor


def train(
    datamodule: WindowDataModule, settings: FitSettings, context: FitContext
) -> TrainedNetwork:
    """Fit a network, and predict every sample with its best epoch.

    Raises:
        TrainingError: If a loss is NaN or infinite.
        MachineError: If another process that trains the same network has died.
        SystemExit: With 130 after Ctrl-C and 143 after SIGTERM.
    """
    seed_everything(settings.seed, verbose=False)
    forecaster = build_forecaster(datamodule.features.shape[1], settings)
    try:
        trainer, facts = fit(forecaster, datamodule, settings, context)
        outputs = predict_with_best(trainer, forecaster, datamodule, context.checkpoints)
    except SystemExit as ended:
        raise _exit_of_a_shell(ended) from ended
    except Exception as error:
        if settings.hardware.devices > 1 and has_lost_a_process(error):
            folder = context.folder
            raise MachineError(f"{folder}: another process of this run has ended") from error
        raise
    return TrainedNetwork(forecaster, facts, outputs)


def refit(
    datamodule: WindowDataModule,
    settings: FitSettings,
    checkpoints: Path,
    learning_rates: Sequence[float],
) -> None:
    """Fit a network to the training rows for a fixed number of epochs, and write `best.ckpt`.

    Nothing is validated, so that nothing stops it or chooses an epoch. On the rows of a run, and
    with the learning rates of its first epochs, the weights are those that the run had after them.

    Args:
        datamodule: Samples, of which only the training segment is used.
        settings: Of the run.
        checkpoints: Folder of the checkpoint.
        learning_rates: Of each epoch, in place of a schedule that may follow validation.

    Raises:
        TrainingError: If it diverges.
        SystemExit: With 130 after Ctrl-C and 143 after SIGTERM.
    """
    seed_everything(settings.seed, verbose=False)
    own = {"max_epochs": len(learning_rates), "schedule": "none"}
    fixed = replace(settings, training=settings.training.model_copy(update=own))
    forecaster = build_forecaster(datamodule.features.shape[1], fixed)
    context = FitContext(checkpoints.parent, [], Callback(), [], last={})
    epochs = FixedEpochs(checkpoints, learning_rates)
    trainer = build_trainer(fixed, context, [epochs], is_validated=False)
    try:
        trainer.fit(forecaster, datamodule=datamodule)
    except SystemExit as ended:
        raise _exit_of_a_shell(ended) from ended


def _exit_of_a_shell(ended: SystemExit) -> SystemExit:
    """Lightning exits with 1 after Ctrl-C; any other exit is SIGTERM."""
    return SystemExit(130 if ended.code == 1 else 143)


def build_forecaster(num_features: int, settings: FitSettings) -> Forecaster:
    """Build an untrained network for windows of so many columns (F)."""
    return Forecaster(
        num_features=num_features,
        sequence_length=settings.sequence_length,
        model=settings.model.model_dump(),
        training=settings.training.model_dump(),
        monitor=settings.monitor,
    )


def fit(
    forecaster: Forecaster,
    datamodule: WindowDataModule,
    settings: FitSettings,
    context: FitContext,
) -> tuple[Trainer, TrainingFacts]:
    """Train until patience or epochs run out; stopping and checkpoint watch the one `monitor`.

    A resumed fit gives the same result as an uninterrupted one.

    Raises:
        TrainingError: If a loss is NaN or infinite.
    """
    stopping = EarlyStopping(settings.monitor, patience=settings.training.patience)
    last = context.last
    checkpoints = Checkpoints(context.checkpoints, stopping, context.report, last)
    shutdown = [DistributedShutdown()] if settings.hardware.devices > 1 else []
    callbacks = [stopping, context.report, *context.callbacks, *shutdown, checkpoints]
    trainer = build_trainer(settings, context, callbacks)
    is_over = bool(last) and (last["has_stopped"] or last["epoch"] + 1 == trainer.max_epochs)
    if not is_over:
        try:
            trainer.fit(forecaster, datamodule=datamodule)
        finally:
            checkpoints.write_best()
    return trainer, _facts(forecaster, checkpoints.numbers)


def build_trainer(
    settings: FitSettings,
    context: FitContext,
    callbacks: Sequence[Callback],
    *,
    is_validated: bool = True,
) -> Trainer:
    """Set lightning up for the configured machine, quiet but for our own callbacks."""
    hardware = settings.hardware
    return Trainer(
        default_root_dir=context.checkpoints,  # holds no hpc_ckpt_*, which Slurm would resume
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        strategy="ddp" if hardware.devices > 1 else "auto",
        precision=hardware.precision,
        deterministic=hardware.deterministic,
        max_epochs=settings.training.max_epochs,
        logger=context.loggers,
        log_every_n_steps=1,
        callbacks=list(callbacks),
        plugins=[LightningEnvironment()],  # in a Slurm job: no checkpoint, no requeue
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if is_validated else 0,
        use_distributed_sampler=False,  # the sampler shares its batches out itself
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _facts(forecaster: Forecaster, numbers: Mapping[str, Any]) -> TrainingFacts:
    """Return the facts of a fit, including its time before an interruption."""
    weights = forecaster.parameters()
    return TrainingFacts(
        num_epochs=numbers["epoch"] + 1,
        best_epoch=numbers["best_epoch"] + 1,
        best_score=numbers["best_score"],
        stopped_early=numbers["has_stopped"],
        seconds=numbers["seconds"],
        num_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
    )


def predict_with_best(
    trainer: Trainer, forecaster: Forecaster, datamodule: WindowDataModule, checkpoints: Path
) -> Tensor:
    """Load the best epoch, and return the outputs of its network for every sample, shape (N, P)."""
    best = checkpoints / "best.ckpt"
    forecaster.load_state_dict(read_checkpoint(best, network_parts(forecaster))[WEIGHTS])
    batches: Any = trainer.predict(forecaster, datamodule=datamodule)
    outputs = torch.cat(batches)
    require_finite(best, "the forecast of its network", outputs)
    return outputs


def load_best(
    path: Path, num_features: int, settings: FitSettings
) -> tuple[Forecaster, Mapping[str, Mapping[str, Tensor]]]:
    """Build the network of a finished fit from its best checkpoint.

    Returns:
        The network, and all that the checkpoint holds.

    Raises:
        ConfigError: If the checkpoint holds anything else.
    """
    with torch.device("meta"):  # settings may ask for a larger network than the checkpoint holds
        wanted = network_parts(build_forecaster(num_features, settings))
    best = read_checkpoint(path, wanted)
    forecaster = build_forecaster(num_features, settings).eval()
    forecaster.load_state_dict(best[WEIGHTS])
    return forecaster, best


def load_network(path: Path, num_features: int, settings: FitSettings) -> tuple[Forecaster, Scaler]:
    """Build the network of a finished fit with the scaler of its features.

    Raises:
        ConfigError: If the checkpoint holds anything else.
    """
    forecaster, best = load_best(path, num_features, settings)
    scaler = Scaler(**{name: column.numpy() for name, column in best[SCALER].items()})
    if not (scaler.spread > 0).all():
        raise ConfigError(f"{path}: its scaler has a spread that is not above zero")
    return forecaster, scaler


def read_resume_state(folder: Path, num_features: int, settings: FitSettings) -> dict[str, Any]:
    """Read the state that an interrupted run resumes from.

    Raises:
        ConfigError: If one of its checkpoints is not whole, or not of such a run.
    """
    checkpoints = folder / "checkpoints"
    with torch.device("meta"):  # only names and shapes are needed
        network = build_forecaster(num_features, settings)
    last = read_last(checkpoints / "last.ckpt", network, settings.training, settings.hardware)
    read_checkpoint(checkpoints / "best.ckpt", network_parts(network))  # damaged: refused now
    return last
