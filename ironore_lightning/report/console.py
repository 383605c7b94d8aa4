"""The lines of a run on the console."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.market_cache import Market
from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.comparison import as_table
from ironore_lightning.evaluation.labels import epoch_speed, loss_trend
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.trading import ONE_DAY_LATER, TradingResult, usual_cost
from ironore_lightning.model.training import TrainingFacts
from ironore_lightning.process.terminal import TEST_RESULTS
from ironore_lightning.run_folder.results import RunResult
from ironore_lightning.settings.evaluation import ThresholdSettings

log = logging.getLogger(__name__)
test_log = logging.getLogger(TEST_RESULTS)

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

QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
)
"""Loggers of lightning of which only warnings are worth saying."""


class EpochReport(Callback):
    """One line an epoch, and a bar over the epochs where a person watches a terminal.

    Args:
        thresholds: Where the words for speed and trend change.
        log_file: Of the run; a run that goes on forgets the lines after its checkpoint.
        emoji: Whether a symbol stands before each word.
        last: What the last checkpoint knows; empty for a run that begins.
    """

    def __init__(
        self,
        thresholds: ThresholdSettings,
        *,
        log_file: Path,
        emoji: bool,
        last: Mapping[str, Any],
    ) -> None:
        """Start with the epochs that the checkpoint has seen."""
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
        """Head the columns."""
        if not trainer.is_global_zero:
            log.setLevel(logging.WARNING)  # one process speaks for all
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
        self.bar.clear()  # the line below takes its place
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
        self.seconds += seconds
        self.bar.n += 1
        self.bar.refresh()

    def state_dict(self) -> dict[str, Any]:
        """Keep what the next line is compared with, and where in the log it belongs."""
        return {
            "previous_loss": self.previous_loss,
            "best_loss": self.best_loss,
            "seconds": self.seconds,
            "log_bytes": self.log_file.stat().st_size if self.log_file.exists() else 0,
        }

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.bar.close()


@rank_zero_only
def _cut_log(log_file: Path, num_bytes: int) -> None:
    """Forget the lines behind the checkpoint: its later epochs and results come again."""
    if log_file.exists():
        os.truncate(log_file, min(num_bytes, log_file.stat().st_size))


def silence_lightning() -> None:
    """Leave out what lightning says of itself: advertisements, and what our own lines say."""
    # A filter and not a level: lightning sets the level back.
    for name in QUIET:
        logging.getLogger(name).addFilter(_is_worth_printing)
    # Windows are gathered from memory, which takes a process of its own longer.
    warnings.filterwarnings("ignore", message=r".*does not have many workers")
    # lightning 2.6 calls something that torch 2.13 is about to rename.
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")


def _is_worth_printing(record: logging.LogRecord) -> bool:
    """Return whether lightning warns; one function, which a logger takes as a filter once."""
    return record.levelno > logging.INFO


def report_market(market: Market, datamodule: WindowDataModule) -> None:
    """Print rows, samples and dates of each segment; warn of bridged days and constant columns."""
    for line in datamodule.table.to_string(index=False).splitlines():
        log.info(line)
    for line in market.panel.bridging(pd.DatetimeIndex(datamodule.features.index)):
        log.warning(line)
    training = datamodule.training_rows
    same = [str(name) for name in training.columns[(training == training.iloc[0]).all()]]
    if same:
        log.warning("%s: the same on all training rows, so it tells nothing", ", ".join(same))


def report_result(result: RunResult, datamodule: WindowDataModule) -> None:
    """Print scores and summary; the last line says what the run is worth."""
    config, emoji = result.config, result.config.report.emoji
    report_validation(result.facts, config.monitor, result.folder)
    report_scores(result.assessment.scores)
    report_assessment(result.assessment)
    for line in (*summary_lines(result, datamodule), result.assessment.evidence.line):
        test_log.info(line)
    test_log.info(_with_symbol("verdict", result.sentence, emoji=emoji))


def report_validation(facts: TrainingFacts, monitor: str, folder: Path) -> None:
    """Print what validation made of the fit, and where its files are."""
    log.info("best %s: %.4f, in epoch %d", monitor, facts.best_score, facts.best_epoch)
    log.info("files: %s", folder)


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
    test_log.info("%-22s %10s %14s", f"test, {scores.num_days} days", "model", "zero forecast")
    for name, model, zero in rows:
        test_log.info("%-22s %10s %14s", name, _number(model), _number(zero))


def report_assessment(assessment: Assessment) -> None:
    """Print what stands beside the model's scores: baselines, tests, intervals, profits."""
    table = as_table(assessment.table)
    scores = [row.scores for row in assessment.table]
    table["hits"] = [f"{each.direction_hits}/{each.direction_days}" for each in scores]
    table["95 %"] = [
        f"{_number(each.direction_low, 1)}-{_number(each.direction_high, 1)}" for each in scores
    ]
    names = {"direction_accuracy": "accuracy", "correlation": "ic", "rank_correlation": "rank_ic"}
    table = table.rename(columns=names)
    table["accuracy"] = table["accuracy"].where(table["direction_low"].notna())
    columns = ["rmse", "mae", "rmse_ratio", "mae_ratio", "r2_zero", "r2_mean", "accuracy", "hits"]
    columns += ["95 %", "ic", "rank_ic", "clark_west_holm_p"]
    _print_table(f"same {assessment.scores.num_days} days", table[columns])
    kept = ", ".join(assessment.confidence_set.kept)
    test_log.info("cannot be told from the best by squared error: %s", kept)
    tests = {
        name: (test.statistic, test.p_value, test.note) for name, test in assessment.tests.items()
    }
    _print_table("tests of skill", _frame(tests, ["statistic", "p", "note"]))
    intervals = {
        f"{100 * interval.coverage_nominal:.0f} %": (
            None if interval.coverage is None else 100 * interval.coverage,
            interval.mean_width,
            interval.winkler,
            interval.binomial_p,
            interval.independence_p,
        )
        for interval in assessment.intervals
    }
    header = ["covered, %", "mean width", "Winkler", "p of misses", "p of independence"]
    _print_table("intervals", _frame(intervals, header))
    density = {
        name: (losses["pinball"], losses["crps"]) for name, losses in assessment.density.items()
    }
    _print_table("distributions", _frame(density, ["pinball", "exact CRPS"]))
    _report_profits(assessment.trading)


def _report_profits(results: Sequence[TradingResult]) -> None:
    """Print what strategies earned: Sharpe ratios at every cost, the rest at the usual one."""
    if not results:
        return
    shown = usual_cost(sorted({result.cost_bp for result in results}))
    sharpe: dict[str, dict[str, float | None]] = {}
    rest: dict[str, tuple[object, ...]] = {}
    for result in results:
        name = f"{result.name}{ONE_DAY_LATER if result.delay_days else ''}"
        sharpe.setdefault(name, {})[f"{result.cost_bp:g} bp"] = result.sharpe
        if result.cost_bp == shown:
            rest[name] = (
                result.num_days,
                result.sharpe_error,
                result.total_return,
                result.max_drawdown,
                result.turnover,
            )
    _print_table("Sharpe after costs", pd.DataFrame.from_dict(sharpe, orient="index"))
    header = ["days", "Sharpe error", "return, %", "drawdown, %", "turnover"]
    _print_table(f"after {shown:g} bp a turn", _frame(rest, header))


def _frame(rows: Mapping[str, tuple[object, ...]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(dict(rows), orient="index", columns=columns)


def _print_table(title: str, table: pd.DataFrame) -> None:
    """Print a table under its title; nothing of an empty one."""
    if table.empty:
        return
    text = table.astype(object).where(table.notna(), "–")
    test_log.info("")
    for line in (
        text.rename_axis(title)
        .reset_index()
        .to_string(index=False, float_format=lambda value: f"{value:.3f}")
        .splitlines()
    ):
        test_log.info(line)


def summary_lines(result: RunResult, datamodule: WindowDataModule) -> list[str]:
    """Say in plain language what was done and what came of it."""
    config, facts, labels = result.config, result.facts, result.labels
    scores, table = result.assessment.scores, datamodule.table
    samples = [f"{row.samples} {row.segment}" for row in table.itertuples()]
    ended = "stopped early" if facts.stopped_early else "ran to its last epoch"
    lines = [
        ("data", f"Data split: {', '.join(samples)} samples"),
        (
            "features",
            f"Features prepared: {datamodule.features.shape[1]} columns, windows of "
            f"{config.window.sequence_length} days, scaler {config.scaling.method} fitted on "
            "training rows",
        ),
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
    return [_with_symbol(symbol, line, emoji=config.report.emoji) for symbol, line in lines]


def _with_symbol(symbol: str, text: str, *, emoji: bool) -> str:
    return f"{EMOJI[symbol]} {text}" if emoji else text


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
