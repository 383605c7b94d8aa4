"""The lines of a run on the console."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ironore_lightning.data.break_days import doubtful_breaks
from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.comparison import as_table
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.trading import ONE_DAY_LATER, TradingResult, usual_cost

if TYPE_CHECKING:  # they import lightning, which the verdict on a file does not need
    from ironore_lightning.data.datamodule import WindowDataModule
    from ironore_lightning.data.market_cache import Market
    from ironore_lightning.run_folder.results import FittedRun, RunResult

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


def report_market(market: "Market", datamodule: "WindowDataModule") -> None:
    """Print rows, samples and dates of each segment; warn of what is doubtful in the data."""
    for line in datamodule.table.to_string(index=False).splitlines():
        log.info(line)
    bridging = market.panel.bridging(pd.DatetimeIndex(datamodule.features.index))
    for line in (*bridging, *doubtful_breaks(market.raw.contracts, market.panel.futures)):
        log.warning(line)
    training = datamodule.training_rows
    constant = [str(name) for name in training.columns[(training == training.iloc[0]).all()]]
    if constant:
        log.warning(
            "%s: constant on all training rows, so it carries no information", ", ".join(constant)
        )


def report_validation(run: "FittedRun") -> None:
    """Print the best epoch by validation, and the folder of the run."""
    facts, monitor = run.facts, run.config.monitor
    log.info("best %s: %.4f, in epoch %d", monitor, facts.best_score, facts.best_epoch)
    log.info("files: %s", run.folder)


def report_result(result: "RunResult") -> None:
    """Print scores and summary; the last line is the verdict."""
    report_scores(result.assessment.scores)
    report_assessment(result.assessment)
    for line in (*summary_lines(result), result.assessment.evidence.line):
        log.info(line)
    log.info(with_symbol("verdict", result.sentence, emoji=result.run.config.report.emoji))


def report_scores(scores: Scores) -> None:
    """Print the test scores beside those of the zero forecast."""
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


def report_assessment(assessment: Assessment) -> None:
    """Print baselines, tests, intervals, distributions and profits."""
    table = as_table(assessment.table)
    scores = [row.scores for row in assessment.table]
    table["hits"] = [f"{score.direction_hits}/{score.direction_days}" for score in scores]
    table["95 %"] = [
        f"{_number(score.direction_low, 1)}-{_number(score.direction_high, 1)}" for score in scores
    ]
    names = {"direction_accuracy": "accuracy", "correlation": "ic", "rank_correlation": "rank_ic"}
    table = table.rename(columns=names)
    table["accuracy"] = table["accuracy"].where(table["direction_low"].notna())
    columns = ["rmse", "mae", "rmse_ratio", "mae_ratio", "r2_zero", "r2_mean", "accuracy", "hits"]
    columns += ["95 %", "ic", "rank_ic", "clark_west_p"]
    _print_table(f"same {assessment.scores.num_days} days", table[columns])
    kept = ", ".join(assessment.confidence_set.kept)
    log.info("cannot be told from the best by squared error: %s", kept)
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
    """Print the results of strategies: Sharpe ratios at every cost, the rest at the usual one."""
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
    """Print a table with its title, unless it is empty."""
    if table.empty:
        return
    text = table.astype(object).where(table.notna(), "–")
    log.info("")
    for line in (
        text.rename_axis(title)
        .reset_index()
        .to_string(index=False, float_format=lambda value: f"{value:.3f}")
        .splitlines()
    ):
        log.info(line)


def summary_lines(result: "RunResult") -> list[str]:
    """Return lines on data, training and test scores, in plain words."""
    config, facts, labels = result.run.config, result.run.facts, result.labels
    scores, datamodule = result.assessment.scores, result.run.datamodule
    table = datamodule.table
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
    return [with_symbol(symbol, line, emoji=config.report.emoji) for symbol, line in lines]


def with_symbol(symbol: str, text: str, *, emoji: bool) -> str:
    """Return a line with the symbol of its kind in front, if symbols are wanted."""
    return f"{EMOJI[symbol]} {text}" if emoji else text


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
