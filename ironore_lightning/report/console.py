"""What a run says while it trains and when it ends."""

import logging
import sys
import time
import warnings
from dataclasses import dataclass

import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ironore_lightning.config import ThresholdSettings
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.verdict import Labels, epoch_speed, loss_trend

log = logging.getLogger(__name__)

EMOJI = {
    "IMPROVING": "📈",
    "PLATEAU": "➖",
    "DECLINING": "📉",
    "FAST": "⚡",
    "MEDIUM": "🕐",
    "SLOW": "🐢",
    "data": "📊",
    "features": "🔧",
    "model": "🧠",
    "training": "🏋️",
    "direction": "🎯",
    "error": "📏",
    "correlation": "🔗",
    "verdict": "⚖️",
}


@dataclass(frozen=True)
class TrainingFacts:
    """How a fit went.

    Attributes:
        num_epochs: Epochs run.
        best_epoch: The epoch whose weights were kept, from 1.
        best_score: Its `monitor` on the validation segment.
        stopped_early: Whether patience ended it.
        seconds: Wall-clock time of the fit.
        num_parameters: Trainable numbers of the network.
    """

    num_epochs: int
    best_epoch: int
    best_score: float
    stopped_early: bool
    seconds: float
    num_parameters: int


class EpochReport(Callback):
    """One line an epoch, and a bar over the epochs where a person watches a terminal.

    Args:
        thresholds: Where the words for speed and trend change.
        emoji: Whether a symbol stands before each word.
    """

    def __init__(self, thresholds: ThresholdSettings, *, emoji: bool) -> None:
        """Start with no epoch seen."""
        self.thresholds = thresholds
        self.emoji = emoji
        self.previous_loss: float | None = None
        self.best_loss = float("inf")
        self.started = 0.0
        self.bar = tqdm(disable=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Head the columns."""
        if not trainer.is_global_zero:
            log.setLevel(logging.WARNING)  # one process speaks for all
        log.info("epoch   train loss   val loss    change     time         lr      best")
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            unit="epoch",
            leave=False,
            disable=not (trainer.is_global_zero and sys.stdout.isatty()),
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what the epoch brought."""
        seconds = time.perf_counter() - self.started
        scores = trainer.callback_metrics
        loss = float(scores["val/loss"])
        words = [epoch_speed(seconds, self.thresholds)]
        change = ""
        if self.previous_loss is not None:
            change = f"{loss - self.previous_loss:+.4f}"
            words.insert(0, loss_trend(loss - self.previous_loss, self.thresholds))
        self.best_loss = min(self.best_loss, loss)
        with logging_redirect_tqdm():
            log.info(
                "%5d %12.4f %10.4f %9s %7.2f s %10.2e %9.4f  %s",
                trainer.current_epoch + 1,
                float(scores["train/loss"]),
                loss,
                change,
                seconds,
                trainer.optimizers[0].param_groups[0]["lr"],
                self.best_loss,
                " ".join(_with_symbol(word, word, emoji=self.emoji) for word in words),
            )
        self.previous_loss = loss
        self.bar.update()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.bar.close()


def quieten_lightning() -> None:
    """Leave out what lightning says of itself: advertisements, and what our own lines say."""
    # A filter and not a level: lightning sets the level back.
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(lambda record: record.levelno > logging.INFO)
    # lightning 2.6 calls something that torch 2.13 is about to rename.
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")


def report_segments(table: pd.DataFrame) -> None:
    """Print the split table: rows, samples and target dates of each segment."""
    for line in table.to_string(index=False).splitlines():
        log.info(line)


def report_scores(scores: Scores) -> None:
    """Print the test scores beside those of doing nothing."""
    rows = [
        ("RMSE, %", scores.rmse, scores.zero_rmse),
        ("MAE, %", scores.mae, scores.zero_mae),
        ("direction, %", scores.direction_accuracy, None),
        ("R2 (test mean)", scores.r2, None),
        ("R2 (zero)", scores.r2_zero, 0.0),
        ("correlation", scores.correlation, None),
        ("MAPE of the price, %", scores.mape, scores.naive_mape),
    ]
    log.info("%-22s %10s %14s", f"test, {scores.num_days} days", "model", "zero forecast")
    for name, model, zero in rows:
        log.info("%-22s %10s %14s", name, _number(model), _number(zero))


def summary_lines(
    *,
    samples: dict[str, int],
    features: str,
    facts: TrainingFacts,
    scores: Scores,
    labels: Labels,
    emoji: bool,
) -> list[str]:
    """Say in plain language what was done and what came of it.

    Args:
        samples: Number by segment.
        features: What the model read, in words.
        facts: How the fit went.
        scores: Of the test segment.
        labels: Words for them.
        emoji: Whether a symbol stands before each line.
    """
    ended = "stopped early" if facts.stopped_early else "ran to its last epoch"
    lines = [
        ("data", f"Data split: {', '.join(f'{n} {name}' for name, n in samples.items())} samples"),
        ("features", f"Features prepared: {features}"),
        ("model", f"Model complexity: {labels.complexity} ({facts.num_parameters:,} parameters)"),
        (
            "training",
            f"Training: {labels.training} ({facts.seconds:.1f} s, {facts.num_epochs} epochs, "
            f"{ended}; epoch {facts.best_epoch} kept)",
        ),
        (
            "direction",
            f"Direction: {labels.direction} ({_number(scores.direction_accuracy, 1)} %, "
            f"{scores.direction_hits} of {scores.direction_days} days; "
            f"{_number(scores.up_share, 1)} % of them went up)",
        ),
        (
            "error",
            f"Error: {labels.error} (RMSE {scores.rmse:.3f} %; a forecast of zero has "
            f"{scores.zero_rmse:.3f} %)",
        ),
        ("correlation", f"Correlation: {labels.correlation} ({_number(scores.correlation, 3)})"),
    ]
    return [_with_symbol(symbol, line, emoji=emoji) for symbol, line in lines]


def report_verdict(lines: list[str], sentence: str, *, emoji: bool) -> None:
    """Print the summary and, last, the sentence that says what the run is worth."""
    for line in lines:
        log.info(line)
    log.info(_with_symbol("verdict", sentence, emoji=emoji))


def _with_symbol(symbol: str, text: str, *, emoji: bool) -> str:
    return f"{EMOJI[symbol]} {text}" if emoji else text


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
