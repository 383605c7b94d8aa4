"""Checkpoints: kept at little cost, written whole, and read without running what is in them."""

import copy
import io
import math
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from ironore_lightning.errors import ConfigError, IronOreError
from ironore_lightning.record import write_bytes

SECONDS_BETWEEN_WRITES = 5.0
"""What a killed run has to do again at most, beside the epoch in which it was killed."""

RANDOM_STATE = "random_state"

PARTS = {
    "epoch": int,
    "global_step": int,
    "state_dict": dict,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "WindowDataModule": dict,
    RANDOM_STATE: Tensor,
}
"""What every checkpoint of a run holds."""


MAY_DIFFER = (
    ".stopping_reason",
    ".stopping_reason_message",
    ".current_score",
    ".pytorch-lightning_version",
)
"""What two checkpoints of one run may say in other words: patience ran out, nothing has become
better since the run went on, lightning is newer."""


class Checkpoints(ModelCheckpoint):
    """Save the best epoch, and the last one every few seconds and at the end.

    A run that goes on from `last.ckpt` does what it would have done: the state of the generator
    that dropout draws on is in it, that of each process. What it has done after that is done
    again, with the same result.

    Args:
        folder: Where to.
        monitor: Score that makes an epoch the best.
    """

    def __init__(self, folder: Path, monitor: str) -> None:
        """Save when everything else that an epoch does is done."""
        super().__init__(
            filename="best",
            monitor=monitor,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        # Lightning would take a name with :: in it for an address, and keep an object in its place.
        self.dirpath = os.path.realpath(folder)
        self.last = folder / "last.ckpt"
        self.written = -math.inf  # the first epoch is due at once
        self.random_state: Tensor | None = None
        self.has_started = False  # from here on an error is none of a checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the folder as it is; lightning would read its name as an address."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the random state back; what was drawn while setting up is forgotten."""
        super().on_train_start(trainer, pl_module)
        if self.random_state is not None:
            self._put_random_state_back(trainer)
        self.has_started = True

    def _put_random_state_back(self, trainer: Trainer) -> None:
        assert self.random_state is not None
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.set_rng_state(self.random_state, trainer.strategy.root_device)
        else:
            torch.set_rng_state(self.random_state)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch if it is the best one, and as the last one if that is due."""
        super().on_train_epoch_end(trainer, pl_module)
        is_over = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        is_due = time.monotonic() - self.written >= SECONDS_BETWEEN_WRITES
        if is_over or trainer.strategy.broadcast(is_due):  # all processes save, or none
            trainer.save_checkpoint(self.last, weights_only=False)
            self.written = time.monotonic()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state of the generator, a row a process."""
        device = trainer.strategy.root_device
        is_card = device.type == "cuda"
        state = torch.cuda.get_rng_state(device) if is_card else torch.get_rng_state()
        checkpoint[RANDOM_STATE] = _of_all_processes(state.to(device), trainer.world_size).cpu()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take that of this process; generators want it on the CPU."""
        # Torch reads the generator's state from where the storage begins: no view of it.
        self.random_state = checkpoint[RANDOM_STATE][trainer.global_rank].cpu().clone()


def _of_all_processes(state: Tensor, num_processes: int) -> Tensor:
    """Gather a tensor, shape (N,), of every process, shape (R, N)."""
    if num_processes == 1:
        return state[None]
    states = [torch.empty_like(state) for _ in range(num_processes)]
    torch.distributed.all_gather(states, state)
    return torch.stack(states)


class PatientCheckpointIO(TorchCheckpointIO):
    """Keep the best epoch in memory until the last one is written, or the fit ends.

    So `best.ckpt` is never older than `last.ckpt` says, and an epoch that is soon surpassed is
    never written.

    A file takes the place of the one before only when it is complete. Lightning's own writes to the
    folder for temporary files and moves from there, which between two file systems is a copy: a
    full disk or a kill would leave half a file and take the one before.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.best: tuple[dict[str, Any], Path] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Copy the best epoch, since its tensors are trained on; write the last one."""
        assert storage_options is None
        path = Path(path)
        if path.stem == "best":
            self.best = copy.deepcopy(checkpoint), path
        else:
            self.teardown()
            _write(checkpoint, path)

    def teardown(self) -> None:
        """Write the best epoch, however the fit has ended."""
        if self.best is not None:
            _write(*self.best)
            self.best = None

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # noqa: ANN401 - as in lightning
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read one as carefully as anywhere."""
        return read_checkpoint(Path(path))


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    content = io.BytesIO()
    torch.save(checkpoint, content)
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, content.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read tensors and plain values; a pickle that names anything else is refused unread.

    Torch stores its archives uncompressed. One that claims to hold more than its own size would
    fill the memory, and is refused as well. Torch does not look at the checksums that it writes.

    Where it says that the best one lies, its folder may have moved since. Lightning would forget
    which epoch was the best, and take the next one for that.

    Raises:
        ConfigError: Naming the file, if it is missing or no checkpoint of this package.
    """
    try:
        raw = path.read_bytes()  # once, for a run that goes on may write the next one meanwhile
        _require_whole(path, raw)
        content: dict[str, Any] = torch.load(io.BytesIO(raw), weights_only=True, map_location="cpu")
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # torch lets through whatever broken bytes cause
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a checkpoint: {reason}") from None
    for key, kind in PARTS.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ConfigError(f"{path}: is no checkpoint of a run, it holds no {key}")
    _bring_home(content, os.path.realpath(path.parent))
    return content


def _require_whole(path: Path, raw: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > len(raw):
            raise ConfigError(f"{path}: refused, it would unpack to {unpacked:,} bytes")
        if (damaged := archive.testzip()) is not None:
            raise ConfigError(f"{path}: is damaged: {damaged} is not what was written")


def _bring_home(content: Mapping[str, Any], folder: str) -> None:
    for state in content["callbacks"].values():
        if isinstance(state, dict) and isinstance(state.get("dirpath"), str):
            state.update(_moved(state, state["dirpath"], folder))


def _moved(value: Any, old: str, new: str) -> Any:  # noqa: ANN401 - of any shape
    """Replace the folder at the beginning of every path in a callback's state."""
    if isinstance(value, dict):
        return {_moved(key, old, new): _moved(one, old, new) for key, one in value.items()}
    is_inside = isinstance(value, str) and Path(value).is_relative_to(old)
    return str(Path(new) / Path(value).relative_to(old)) if is_inside else value


def require_network(path: Path, content: Mapping[str, Any], network: nn.Module) -> None:
    """Raise `ConfigError` unless the weights of a checkpoint are those of such a network."""
    wanted = network.state_dict()
    for name in sorted({*wanted, *map(str, content["state_dict"])}):
        shapes = [
            tuple(one.shape) if isinstance(one, Tensor) else None
            for one in (content["state_dict"].get(name), wanted.get(name))
        ]
        if shapes[0] != shapes[1] or shapes[1] is None:
            raise ConfigError(
                f"{path}: holds another network: {name} has the shape {shapes[0]}, "
                f"expected {shapes[1]}"
            )
        require_numbers(path, name, content["state_dict"][name], wanted[name].dtype)


def require_numbers(path: Path, name: str, found: Tensor, kind: torch.dtype) -> None:
    """Raise `ConfigError` unless a tensor of a checkpoint is dense, of a kind, and finite."""
    stored = (found.dtype, found.layout, found.device.type)
    if stored != (kind, torch.strided, "cpu"):
        said = ", ".join(map(str, stored))
        raise ConfigError(f"{path}: {name} is stored as {said}; expected {kind}, dense")
    if not torch.isfinite(found).all():
        raise ConfigError(f"{path}: {name} holds a number that is not finite")


def require_alike(path: Path, content: object, model: object, place: str = "") -> None:
    """Raise `ConfigError` unless a checkpoint is built like another one of the same run.

    Lightning and torch take whatever they find, and fail somewhere in the next epochs.
    """
    if place.endswith(MAY_DIFFER):
        return
    forms = [_form(one) for one in (content, model)]
    if forms[0] != forms[1]:
        where = " ".join(place.removeprefix(".").split()) or "the whole"
        raise ConfigError(f"{path}: cannot go on: {where} is {forms[0]}, expected {forms[1]}")
    if isinstance(content, dict) and isinstance(model, dict):
        for key, value in content.items():
            require_alike(path, value, model[key], f"{place}.{key}")
    elif isinstance(content, list | tuple) and isinstance(model, list | tuple):
        for number, (one, other) in enumerate(zip(content, model, strict=True)):
            require_alike(path, one, other, f"{place}.{number}")


def _form(value: object) -> str:
    """Say what a value is, but for its numbers."""
    kind = type(value).__name__
    if isinstance(value, Tensor):
        return f"{kind} {tuple(value.shape)} of {value.dtype}, {value.layout} on {value.device}"
    if isinstance(value, dict):
        return f"{kind} of {sorted(map(repr, value))}"
    if isinstance(value, str):
        return repr(value)
    return f"{kind} of {len(value)}" if isinstance(value, list | tuple) else kind


@contextmanager
def blamed(path: Path | None, *, until: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Say of whatever goes wrong that a checkpoint cannot be taken up.

    Args:
        path: Of the checkpoint; without one, errors stay as they are.
        until: Whether it has been taken up, so that errors stay as they are.

    Raises:
        ConfigError: Naming the checkpoint.
    """
    try:
        yield
    except (IronOreError, OSError):
        raise
    except Exception as error:  # what comes of a wrong value is as manifold as values are
        if path is None or until():
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: cannot go on: {type(error).__name__}: {reason}") from error
