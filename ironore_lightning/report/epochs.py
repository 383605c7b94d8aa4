"""One line of the console for each epoch, and quiet from lightning."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from ironore_lightning.evaluation.labels import epoch_speed, loss_trend
from ironore_lightning.report.console import with_symbol
from ironore_lightning.settings.evaluation import ThresholdSettings

log = logging.getLogger(__name__)

QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
    "lightning.fabric.strategies.launchers.subprocess_script",
)
"""Loggers of lightning of which only warnings are printed."""


class EpochReport(Callback):
    """One line per epoch, and a progress bar on a terminal.

    Args:
        thresholds: Of the labels for speed and trend.
        log_file: Of the run; a resumed run removes the lines after its checkpoint.
        emoji: Whether a symbol precedes each label.
        last: State in the last checkpoint; empty for a new run.
    """

    def __init__(
        self,
        thresholds: ThresholdSettings,
        *,
        log_file: Path,
        emoji: bool,
        last: Mapping[str, Any],
    ) -> None:
        """Start from the state in the checkpoint."""
        self.thresholds = thresholds
        self.log_file = log_file
        self.emoji = emoji
        self.seconds: float = last.get("seconds", 0.0)
        self.previous_loss: float | None = last.get("previous_loss")
        self.best_loss: float = last.get("best_loss", float("inf"))
        self.started = 0.0
        self.bar = tqdm(disable=True)
        if last:
            _cut_log(log_file, last["log_bytes"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the header and open the progress bar."""
        if not trainer.is_global_zero:
            log.setLevel(logging.WARNING)  # only one process prints
        if self.previous_loss is None:
            log.info("epoch   train loss   val loss    change     time         lr best loss")
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            unit="epoch",
            leave=False,
            disable=not (trainer.is_global_zero and sys.stdout.isatty()),
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the timer."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the losses and labels of the epoch."""
        seconds = time.perf_counter() - self.started
        scores = trainer.callback_metrics
        loss = float(scores["val/loss"])
        words = [epoch_speed(seconds, self.thresholds)]
        change = ""
        if self.previous_loss is not None:
            change = f"{loss - self.previous_loss:+.4f}"
            words.insert(0, loss_trend(loss - self.previous_loss, self.thresholds))
        self.best_loss = min(self.best_loss, loss)
        self.bar.clear()  # so that the line below replaces it
        log.info(
            "%5d %12.4f %10.4f %9s %7.2f s %10.2e %9.4f  %s",
            trainer.current_epoch + 1,
            float(scores["train/loss"]),
            loss,
            change,
            seconds,
            trainer.optimizers[0].param_groups[0]["lr"],
            self.best_loss,
            " ".join(with_symbol(word, word, emoji=self.emoji) for word in words),
        )
        self.previous_loss = loss
        self.seconds += seconds
        self.bar.n += 1
        self.bar.refresh()

    def state_dict(self) -> dict[str, Any]:
        """Return the previous losses, the seconds, and the size of the log."""
        return {
            "previous_loss": self.previous_loss,
            "best_loss": self.best_loss,
            "seconds": self.seconds,
            "log_bytes": self.log_file.stat().st_size if self.log_file.exists() else 0,
        }

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the progress bar."""
        self.bar.close()


@rank_zero_only
def _cut_log(log_file: Path, num_bytes: int) -> None:
    """Remove the lines after the checkpoint, whose epochs will be repeated."""
    if log_file.exists():
        os.truncate(log_file, min(num_bytes, log_file.stat().st_size))


def silence_lightning() -> None:
    """Suppress lightning's advertisements, and what our own lines already say."""
    # Lightning resets levels, so this is a filter.
    for name in QUIET:
        logging.getLogger(name).addFilter(_is_worth_printing)
    # Worker processes would be slower, as windows are gathered from memory.
    warnings.filterwarnings("ignore", message=r".*does not have many workers")
    # lightning 2.6 calls a function that torch 2.13 deprecates.
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")


def _is_worth_printing(record: logging.LogRecord) -> bool:
    """Return whether a record is a warning; a logger adds this filter only once."""
    return record.levelno > logging.INFO
