"""One line of the console for each epoch, and quiet from lightning."""

import logging
import math
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from rich.text import Text

from ironore_lightning.evaluation.labels import epoch_speed, loss_trend
from ironore_lightning.process.terminal import open_bar
from ironore_lightning.report.console import BAD, GOOD, with_symbol
from ironore_lightning.settings.evaluation import ThresholdSettings

if TYPE_CHECKING:
    from ironore_lightning.process.screen import Bar

log = logging.getLogger(__name__)

QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
    "lightning.fabric.strategies.launchers.subprocess_script",
)
"""Loggers of lightning of which only warnings are printed."""


HEADER = "epoch  train loss  val loss   to best      best    time"
STYLES = {"IMPROVING": GOOD, "DECLINING": BAD}


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
        self.best_loss: float = last.get("best_loss", math.inf)
        self.started = 0.0
        self.bar: Bar | None = None
        if last:
            _cut_log(log_file, last["log_bytes"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the header and open the progress bar."""
        if not trainer.is_global_zero:
            log.setLevel(logging.WARNING)  # only one process prints
            return
        if math.isinf(self.best_loss):
            log.info(Text(explain_words(self.thresholds), style="dim"))
            log.info(Text(HEADER, style="bold"))
        assert trainer.max_epochs is not None
        self.bar = open_bar(total=trainer.max_epochs, done=trainer.current_epoch, unit="training")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the timer."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the losses and labels of the epoch."""
        seconds = time.perf_counter() - self.started
        scores = trainer.callback_metrics
        loss, before = float(scores["val/loss"]), self.best_loss
        self.best_loss = min(before, loss)
        self.seconds += seconds
        trend = loss_trend(loss, before, self.thresholds)
        line = Text(
            f"{trainer.current_epoch + 1:5d} {float(scores['train/loss']):11.4f} {loss:9.4f} "
            f"{'' if math.isinf(before) else format(loss - before, '+.4f'):>9} "
            f"{self.best_loss:9.4f} {seconds:5.2f} s  "
        )
        line.append(with_symbol(trend, trend, emoji=self.emoji), STYLES.get(trend))
        speed = epoch_speed(seconds, self.thresholds)
        line.append(f" {with_symbol(speed, speed, emoji=self.emoji)}")
        log.info(line)
        if self.bar:
            self.bar.advance(f"val loss {loss:.4f}, best {self.best_loss:.4f}")

    def state_dict(self) -> dict[str, Any]:
        """Return the best loss, the seconds, and the size of the log."""
        return {
            "best_loss": self.best_loss,
            "seconds": self.seconds,
            "log_bytes": self.log_file.stat().st_size if self.log_file.exists() else 0,
        }

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the progress bar."""
        self._close_bar()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the progress bar."""
        self._close_bar()

    def _close_bar(self) -> None:
        if self.bar:
            self.bar.close()
            self.bar = None


def explain_words(thresholds: ThresholdSettings) -> str:
    """Return what the words of an epoch mean, in one line."""
    return (
        f"IMPROVING best yet, PLATEAU within {thresholds.plateau_tolerance:g}, DECLINING worse; "
        f"FAST <{thresholds.fast_epoch_time:g}, SLOW >{thresholds.medium_epoch_time:g} s"
    )


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
