"""Checkpoints: written atomically, and read as plain data.

Plain numbers within their bounds and tensors of a known form are copied into objects that were
built afresh. Lightning, which would take paths and structures as well, reads none of it.
"""

import copy
import io
import math
import pickletools
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ironore_lightning.errors import ConfigError, TrainingError
from ironore_lightning.files import write_bytes
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.settings.training import HardwareSettings, TrainingSettings

SECONDS_BETWEEN_WRITES = 5.0
"""Most training time that a killed run repeats, besides the epoch in progress."""

WEIGHTS = "state_dict"
SCALER = "WindowDataModule"
MOMENTS = ("exp_avg", "exp_avg_sq")
RANDOM_STATES = "random_states"

NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in ("Byte", "Double", "Float")),
}
"""Globals that the pickle of a checkpoint may load."""

MAX_STEPS = 20_000
"""Most opcodes of that pickle; the deepest network has a third of them."""

LARGEST = torch.finfo(torch.float32).max
Tensors = Mapping[str, Tensor]
Parts = Mapping[str, Tensors]
Bounds = Mapping[str, tuple[float, float]]

SCORE, COUNT = (-LARGEST, LARGEST), (0, 2**63 - 1)


class Checkpoints(ModelCheckpoint):
    """Saves the best epoch, and the last one every few seconds and at the end.

    The best one waits in memory until the last one is written, or the fit ends. So `best.ckpt` is
    never older than `last.ckpt` says, and an epoch that is soon surpassed is never written. A run
    that goes on from `last.ckpt` does what it would have done.

    Attributes:
        numbers: How far the run has come, by the names in `_bounds`.

    Args:
        folder: Where to.
        stopping: Whose monitor makes an epoch the best.
        report: Whose numbers are kept as well.
        last: To go on from, as `read_last` returns it; empty for a run that begins.
    """

    def __init__(
        self, folder: Path, stopping: EarlyStopping, report: Callback, last: dict[str, Any]
    ) -> None:
        """Start without a best epoch."""
        super().__init__(monitor=stopping.monitor, save_on_train_epoch_end=True)
        self.folder, self.stopping, self.report = folder, stopping, report
        self.last, self.numbers = last, last
        self.best: dict[str, Any] = {}
        self.written = -math.inf  # the first epoch is due at once

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Do nothing; lightning would read a folder name with :: as a URL."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the state to resume from, before any random number is drawn."""
        if last := self.last:
            pl_module.load_state_dict(last[WEIGHTS])
            _restore_optimizer(last, trainer, pl_module)
            self.stopping.wait_count = last["epoch"] - last["best_epoch"]
            self.stopping.best_score = torch.tensor(last["best_score"])
            progress = trainer.fit_loop.epoch_progress
            for counts in (progress.total, progress.current):
                counts.load_state_dict(dict.fromkeys(counts.state_dict(), last["epoch"] + 1))
            state, device = last[RANDOM_STATES][str(trainer.global_rank)], pl_module.device
            is_card = device.type == "cuda"
            torch.cuda.set_rng_state(state, device) if is_card else torch.set_rng_state(state)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the epoch if it is the best one; write it as the last one if that is due."""
        self.numbers = self._count(trainer, pl_module)
        self.best_model_score = torch.tensor(self.numbers["best_score"])
        if self.numbers["best_epoch"] == trainer.current_epoch and trainer.is_global_zero:
            self.best = copy.deepcopy(
                _network(trainer, pl_module)
            )  # training changes the tensors in place
        is_over = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        is_due = time.monotonic() - self.written >= SECONDS_BETWEEN_WRITES
        if is_over or trainer.strategy.broadcast(is_due):  # all processes save, or none
            state = _training_state(trainer, pl_module)
            if trainer.is_global_zero:
                self.write_best()
                content = _network(trainer, pl_module) | self.numbers | state
                _write(content, self.folder / "last.ckpt")
            trainer.strategy.barrier()
            self.written = time.monotonic()

    def write_best(self) -> None:
        """Write the best epoch if it is still in memory."""
        if self.best:
            path = self.folder / "best.ckpt"
            _write(self.best, path)
            self.best, self.best_model_path = {}, str(path)

    def _count(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        epoch, score = trainer.current_epoch, float(trainer.callback_metrics[self.stopping.monitor])
        best = self.numbers.get("best_score", math.inf), self.numbers.get("best_epoch", epoch)
        best_score, best_epoch = min(best, (score, epoch))
        optimizer, schedule = trainer.optimizers[0], pl_module.lr_schedulers()
        plateau = schedule if isinstance(schedule, ReduceLROnPlateau) else None
        scaler = trainer.precision_plugin.state_dict()
        return {
            "epoch": epoch,
            "best_epoch": best_epoch,
            "best_score": best_score,
            "has_stopped": trainer.should_stop,
            "steps": int(optimizer.state_dict()["state"].get(0, {}).get("step", 0)),
            "learning_rate": optimizer.param_groups[0]["lr"],
            "plateau_score": plateau.best if plateau else 0.0,
            "plateau_epochs": plateau.num_bad_epochs if plateau else 0,
            "loss_scale": scaler.get("scale", 1.0),
            "loss_scale_steps": scaler.get("_growth_tracker", 0),
            **self.report.state_dict(),
        }


class FixedEpochs(Checkpoint):
    """Gives each epoch its learning rate, and saves the last one as `best.ckpt`.

    Args:
        folder: Where to.
        learning_rates: One for each epoch.
    """

    def __init__(self, folder: Path, learning_rates: Sequence[float]) -> None:
        """Wait for the first epoch."""
        self.folder, self.learning_rates = folder, learning_rates

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the learning rate of the epoch."""
        trainer.optimizers[0].param_groups[0]["lr"] = self.learning_rates[trainer.current_epoch]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the network after the last epoch.

        Raises:
            TrainingError: If it has diverged.
        """
        if trainer.current_epoch + 1 < len(self.learning_rates):
            return
        if not all(torch.isfinite(weight).all() for weight in pl_module.parameters()):
            raise TrainingError(
                "the refit has diverged: a weight is NaN or infinite; look for absurd values in "
                "the newest data"
            )
        _write(_network(trainer, pl_module), self.folder / "best.ckpt")


def _network(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return weights and scaler, with the two keys that `load_from_checkpoint` needs."""
    return {
        "pytorch-lightning_version": lightning.__version__,
        "hyper_parameters": dict(module.hparams),
        "epoch": trainer.current_epoch,
        WEIGHTS: dict(module.state_dict()),
        SCALER: trainer.datamodule.state_dict(),  # type: ignore[attr-defined]  # fit sets it
    }


def _training_state(trainer: Trainer, module: LightningModule) -> dict[str, dict[str, Tensor]]:
    """Return moments by weight, zero before the first step, and random states by rank."""
    device, states = trainer.strategy.root_device, trainer.optimizers[0].state
    is_card = device.type == "cuda"
    own = (torch.cuda.get_rng_state(device) if is_card else torch.get_rng_state()).to(device)
    drawn = [own]
    if trainer.world_size > 1:
        drawn = [torch.empty_like(own) for _ in range(trainer.world_size)]
        torch.distributed.all_gather(drawn, own)
    return {
        RANDOM_STATES: {str(rank): state for rank, state in enumerate(drawn)},
        **{
            moment: {
                name: states[weight].get(moment, torch.zeros_like(weight))
                for name, weight in module.named_parameters()
            }
            for moment in MOMENTS
        },
    }


def _restore_optimizer(last: Mapping[str, Any], trainer: Trainer, module: LightningModule) -> None:
    """Restore the optimizer, its schedule and the gradient scaler."""
    optimizer, schedule = trainer.optimizers[0], module.lr_schedulers()
    fresh, step = optimizer.state_dict(), torch.tensor(float(last["steps"]))
    fresh["param_groups"][0]["lr"] = last["learning_rate"]
    fresh["state"] = {
        number: {"step": step.clone(), **{moment: last[moment][name] for moment in MOMENTS}}
        for number, (name, _) in enumerate(module.named_parameters())
    }
    optimizer.load_state_dict(fresh)
    if isinstance(schedule, LRScheduler):
        schedule.last_epoch = last["epoch"] + 1
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.best, schedule.num_bad_epochs = last["plateau_score"], last["plateau_epochs"]
    if scaler := trainer.precision_plugin.state_dict():
        own = {"scale": last["loss_scale"], "_growth_tracker": last["loss_scale_steps"]}
        trainer.precision_plugin.load_state_dict(scaler | own)


def _write(content: dict[str, Any], path: Path) -> None:
    stream = io.BytesIO()
    torch.save(content, stream)
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, stream.getvalue())


def read_last(
    path: Path, network: Forecaster, training: TrainingSettings, hardware: HardwareSettings
) -> dict[str, Any]:
    """Read the state that a run resumes from.

    Args:
        path: Last checkpoint.
        network: Network that the settings build.
        training: Settings of its training.
        hardware: Number of processes, and device.

    Raises:
        ConfigError: Naming the file, if it lacks a part of such a run.
    """
    generator = torch.Generator("cuda" if hardware.accelerator == "gpu" else "cpu")
    fresh = {str(rank): generator.get_state() for rank in range(hardware.devices)}
    moments = {moment: dict(network.named_parameters()) for moment in MOMENTS}
    wanted = {**network_parts(network), **moments, RANDOM_STATES: fresh}
    last = read_checkpoint(path, wanted, _bounds(training))
    for state in last[RANDOM_STATES].values():
        try:
            generator.set_state(state)
        except RuntimeError as error:
            raise ConfigError(f"{path}: {RANDOM_STATES}: {error}") from None
    return last


def _bounds(training: TrainingSettings) -> Bounds:
    """Return the bounds of the plain numbers of a checkpoint."""
    return {
        "epoch": (0, training.max_epochs - 1),
        "best_epoch": (0, training.max_epochs - 1),
        "best_score": SCORE,  # monitor of that epoch
        "has_stopped": (False, True),  # whether patience ran out
        "steps": (0, 2**24),  # of the optimizer, which counts in float32
        "learning_rate": (0.0, training.learning_rate),  # of the next epoch
        "plateau_score": SCORE,  # what `reduce_on_plateau` compares with; 0 without it
        "plateau_epochs": COUNT,  # since the last improvement; 0 without it
        "loss_scale": (1 / LARGEST, LARGEST),  # of precision 16-mixed; 1 without it
        "loss_scale_steps": COUNT,  # since its last change; 0 without it
        "best_loss": SCORE,  # smallest validation loss
        "seconds": (0.0, LARGEST),  # of all epochs
        "log_bytes": COUNT,  # of training.log
    }


def network_parts(network: Forecaster) -> Parts:
    """Return the names and shapes of the weights and scaler of a network."""
    column = torch.empty(network.hparams["num_features"], dtype=torch.float64)
    return {WEIGHTS: network.state_dict(), SCALER: {"center": column, "spread": column}}


def read_checkpoint(
    path: Path, wanted: Parts | None = None, bounds: Bounds | None = None
) -> dict[str, Any]:
    """Read the wanted parts of a checkpoint, and nothing else.

    Args:
        path: Of the file.
        wanted: By part and name, tensors like those that it must have.
        bounds: By name, least and largest of the plain numbers; without them, of `epoch`.

    Raises:
        ConfigError: Naming the file, if it is missing or holds anything else in these places.
    """
    wanted = wanted or {}
    content = _load(path, sum(like.nbytes for part in wanted.values() for like in part.values()))
    found: dict[str, Any] = {part: _take(path, content, part, wanted[part]) for part in wanted}
    for name, (low, high) in (bounds or {"epoch": COUNT}).items():
        found[name] = value = content.get(name)
        if type(value) is not type(low) or not low <= value <= high:
            said = value if isinstance(value, int | float) else _form(value)
            raise ConfigError(f"{path}: {name} is {said}, expected {low} to {high}")
    return found


def _load(path: Path, num_bytes: int) -> dict[Any, Any]:
    """Read tensors and plain values; reject a pickle that loads anything else."""
    try:
        size = path.stat().st_size
        if num_bytes and not num_bytes <= size <= 2 * num_bytes + 2**20:
            raise ValueError(f"it has {size:,} bytes, and its tensors should have {num_bytes:,}")
        raw = path.read_bytes()  # once, since a live run may replace it meanwhile
        _require_whole(raw)
        content: object = torch.load(io.BytesIO(raw), weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # broken bytes raise anything in torch
        reason = repr(str(error) or type(error).__name__)[1:200].rstrip("'\"")
        raise ConfigError(
            f"{path}: cannot be read as a checkpoint of this version: {reason}"
        ) from None
    return content if isinstance(content, dict) else {}


def _require_whole(raw: bytes) -> None:
    """Raise unless an archive is intact, uncompressed, and holds a harmless pickle."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > len(raw):
            raise ValueError(f"it would unpack to {unpacked:,} bytes")
        if (damaged := archive.testzip()) is not None:  # torch ignores checksums
            raise ValueError(f"{damaged} is not what was written")
        for entry in archive.infolist():
            if entry.filename.lower().endswith("data.pkl"):
                _require_plain(archive.read(entry))


def _require_plain(pickled: bytes) -> None:
    """Raise unless a pickle is a small tree that asks for what tensors are rebuilt with.

    What is used twice could hold itself a million times over, and what is nested a hundred thousand
    times breaks the interpreter.
    """
    slots: dict[object, str] = {}  # opcode that made each memo entry
    made = ""
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        is_known = opcode.name != "GLOBAL" or argument in NAMES
        is_new = "GET" not in opcode.name or slots.get(argument) in {"BINUNICODE", "GLOBAL"}
        if number > MAX_STEPS or not is_known or not is_new:
            raise ValueError(f"it holds more than tensors and numbers: {argument or opcode.name}")
        if "PUT" in opcode.name:
            slots[argument] = made
        made = opcode.name


def _take(path: Path, content: Mapping[Any, Any], part: str, like: Tensors) -> Tensors:
    """Return copies of the tensors of a part, checked against known names and shapes."""
    named = content.get(part)
    named, taken = named if isinstance(named, dict) else {}, {}
    for name, tensor in like.items():
        form, expected = _form(named.get(name)), _form(tensor)
        if form != expected:
            raise ConfigError(f"{path}: {part}: {name} is {form}, expected {expected}")
        taken[name] = named[name].detach().clone(memory_format=torch.contiguous_format)
        require_finite(path, f"{part}: {name}", taken[name])
    if len(named) > len(like):
        raise ConfigError(f"{path}: {part}: holds {len(named)} tensors, expected {len(like)}")
    return taken


def _form(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} of {value.dtype}"
    return "missing" if value is None else f"a {type(value).__name__}"


def require_finite(path: Path, name: str, numbers: Tensor) -> None:
    """Raise `ConfigError` if a number from a checkpoint is not finite."""
    if not torch.isfinite(numbers).all():
        raise ConfigError(f"{path}: {name} holds a number that is not finite")
