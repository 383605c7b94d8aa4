"""The best epoch and the last one, kept at little cost where an epoch takes a tenth of a second."""

import copy
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

SECONDS_BETWEEN_WRITES = 5.0
"""What a killed run has to do again at most, beside the epoch in which it was killed."""

RANDOM_STATE = "random_state"


class Checkpoints(ModelCheckpoint):
    """Save the best epoch, and the last one every few seconds and at the end.

    A run that goes on from `last.ckpt` does what it would have done: the state of the generator
    that dropout draws on is in it. What it has done after that is done again, with the same result.

    Args:
        folder: Where to.
        monitor: Score that makes an epoch the best.
    """

    def __init__(self, folder: Path, monitor: str) -> None:
        """Save when everything else that an epoch does is done."""
        super().__init__(
            folder,
            filename="best",
            monitor=monitor,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        self.last = folder / "last.ckpt"
        self.written = -math.inf  # the first epoch is due at once
        self.random_state: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the random state back; what was drawn while setting up is forgotten."""
        super().on_train_start(trainer, pl_module)
        if self.random_state is None:
            return
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
        """Add the state of the generator."""
        device = trainer.strategy.root_device
        is_card = device.type == "cuda"
        state = torch.cuda.get_rng_state(device) if is_card else torch.get_rng_state()
        checkpoint[RANDOM_STATE] = state

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take it; generators want it on the CPU."""
        self.random_state = checkpoint[RANDOM_STATE].cpu()


class PatientCheckpointIO(TorchCheckpointIO):
    """Keep the best epoch in memory until the last one is written, or the fit ends.

    So `best.ckpt` is never older than `last.ckpt` says, and an epoch that is soon surpassed is
    never written.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.best: tuple[dict[str, Any], str | Path] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Copy the best epoch, since its tensors are trained on; write the last one."""
        if Path(path).stem == "best":
            self.best = copy.deepcopy(checkpoint), path
            return
        self.teardown()
        super().save_checkpoint(checkpoint, path)

    def teardown(self) -> None:
        """Write the best epoch, however the fit has ended."""
        if self.best is not None:
            super().save_checkpoint(*self.best)
            self.best = None
