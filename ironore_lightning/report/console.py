"""The lines of a run on the console and in its log."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.text import Text

from ironore_lightning.data_quality.break_days import doubtful_breaks
from ironore_lightning.data_quality.suspicious_returns import suspicion
from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.comparison import Row, as_table
from ironore_lightning.evaluation.evidence import Evidence
from ironore_lightning.evaluation.labels import Labels
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.trading import (
    BUY_AND_HOLD,
    ONE_DAY_LATER,
    SIGN,
    TradingResult,
    usual_cost,
)
from ironore_lightning.process.terminal import LOG_ONLY, short_path
from ironore_lightning.report.table import Table, make_facts, make_table, number
from ironore_lightning.run_folder.lock import is_helper_process
from ironore_lightning.settings.evaluation import ReportSettings
from ironore_lightning.settings.samples import TargetSettings
from ironore_lightning.trading_calendar.rhythm import DAILY

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
    "model": "🧠",
    "training": "⏳",
    "test": "🎯",
    "intervals": "📏",
    "trading": "💰",
    "grade": "🏁",
}
"""Symbols that every terminal shows two columns wide."""

GOOD, BAD = "green", "red"

GRADE_STYLES = {
    "SUSPECT": "bold red",
    "INSUFFICIENT": "yellow",
    "NONE": "red",
    "SUGGESTIVE": "yellow",
    "SUPPORTED": "green",
    "STRONG": "bold green",
}


def report_step(what: str) -> None:
    """Print what is done next, once even if several processes train."""
    if not is_helper_process():
        log.info(Text(f"{what} ...", style="dim"))


def report_market(market: "Market", datamodule: "WindowDataModule", target: TargetSettings) -> None:
    """Print rows, samples and dates of each segment; warn of what is doubtful in the data."""
    log.info(make_table(datamodule.table))
    panel, days = market.panel, pd.DatetimeIndex(datamodule.features.index)
    if panel.rhythm != DAILY:
        log.info("rhythm: %s", panel.rhythm.sentence)
    doubtful = doubtful_breaks(market.raw.contracts, panel.futures)
    for line in (*panel.warnings(days), *doubtful, *suspicion(panel, target, days)):
        log.warning(line)
    training = datamodule.training_rows
    constant = [str(name) for name in training.columns[(training == training.iloc[0]).all()]]
    if constant:
        log.warning(
            "%s: constant on all training rows, so it carries no information", ", ".join(constant)
        )


def report_validation(run: "FittedRun") -> None:
    """Print the best epoch by validation; the log also names the folder of the run."""
    facts, monitor = run.facts, run.config.monitor
    log.info("best %s: %.4f, in epoch %d", monitor, facts.best_score, facts.best_epoch)
    log.info("files: %s", run.folder, extra=LOG_ONLY)


def report_result(result: "RunResult") -> None:
    """Print the closing report of a run, one screen long, and its tables before that.

    The sentence of the verdict is followed by the paths only.
    """
    run, report = result.run, result.run.config.report
    report_tables(result.assessment, report)
    log.info("")
    facts = make_facts(_with_symbols(_run_facts(result), report))
    log.info(facts.said_in(result.days.rhythm))
    report_verdict(result.assessment, result.sentence, report, labels=result.labels)
    page = run.folder / "report.html"
    report_files(*([page] if page.exists() else []), run.folder)


def report_verdict(
    assessment: Assessment, sentence: str, report: ReportSettings, *, labels: Labels | None = None
) -> None:
    """Print scores, intervals, trading and grade on half a screen, and the sentence of the verdict.

    Args:
        assessment: Of the test days.
        sentence: The verdict.
        report: Whether symbols are shown.
        labels: The original system's words for the scores; None without a run.
    """
    log.info("")
    log.info(_score_table(assessment, labels).said_in(assessment.rhythm))
    log.info("")
    log.info(make_facts(_with_symbols(_outcome_facts(assessment), report)))
    log.info(sentence)


def report_files(*paths: Path) -> None:
    """Print where files are, below the working directory without the way to it."""
    for path in paths:
        log.info("%s: %s", "page" if path.suffix == ".html" else "files", short_path(path))


def _with_symbols(
    facts: Sequence[tuple[str, str | Text]], report: ReportSettings
) -> list[tuple[str, str | Text]]:
    return [(with_symbol(name, name, emoji=report.emoji), text) for name, text in facts]


def _run_facts(result: "RunResult") -> list[tuple[str, str | Text]]:
    """Return what a run was made of."""
    config, facts, labels = result.run.config, result.run.facts, result.labels
    datamodule = result.run.datamodule
    samples = ", ".join(f"{row.samples} {row.segment}" for row in datamodule.table.itertuples())
    num_columns = datamodule.features.shape[1]
    ended = "early stop" if facts.stopped_early else "to the last"
    return [
        ("data", f"{config.data.name}: {samples} days"),
        (
            "model",
            f"{labels.complexity}: {facts.num_parameters:,} parameters, {num_columns} columns, "
            f"{config.window.sequence_length} days",
        ),
        (
            "training",
            f"{labels.training}: {facts.seconds:.1f} s, {facts.num_epochs} epochs, {ended}; "
            f"{config.monitor} {facts.best_score:.4f} in epoch {facts.best_epoch}",
        ),
    ]


def _score_table(assessment: Assessment, labels: Labels | None) -> Table:
    """Return the scores beside those of zero and of the best baseline."""
    model, zero = assessment.scores, _scores_of(assessment, "zero")
    words = labels or Labels("", "", "", "", "")
    base_rate = f"{words.direction} (base rate {number(model.base_rate, 1)})".lstrip()
    best = _best_baseline(assessment)
    rows = [
        (f"RMSE, {assessment.unit}", "rmse", 3, words.error),
        (f"MAE, {assessment.unit}", "mae", 3, "* best baseline by RMSE" if best else ""),
        ("R2 against zero", "r2_zero", 3, ""),
        ("direction, %", "direction_accuracy", 1, base_rate),
        ("correlation", "correlation", 3, words.correlation),
    ]
    columns = {
        f"test, {model.num_days} days": [Text(name) for name, *_ in rows],
        "model": [_score(model, zero, key, digits) for _, key, digits, _ in rows],
        # Zero forecasts no direction, and has no correlation.
        "zero": [
            Text(number(getattr(zero, key) if key in ERRORS_AND_R2 else None, digits))
            for _, key, digits, _ in rows
        ],
    }
    if best:
        columns[f"{best.name} *"] = [
            Text(number(getattr(best.scores, key), digits)) for _, key, digits, _ in rows
        ]
    return Table("", {**columns, "": [Text(word) for *_, word in rows]})


ERRORS_AND_R2 = {"rmse", "mae", "r2_zero"}


def _score(model: Scores, zero: Scores, name: str, digits: int) -> Text:
    """Return a score, green or red where it is better or worse than zero, or than a constant sign.

    Direction is compared with the base rate, the accuracy of the better constant sign.
    """
    value = getattr(model, name)
    rival = model.base_rate if name == "direction_accuracy" else getattr(zero, name)
    if value is None or rival is None or value == rival:
        return Text(number(value, digits))
    is_better = value < rival if name in {"rmse", "mae"} else value > rival
    return Text(number(value, digits), style=GOOD if is_better else BAD)


def _scores_of(assessment: Assessment, name: str) -> Scores:
    return next(row.scores for row in assessment.table if row.name == name)


def _best_baseline(assessment: Assessment) -> Row | None:
    """Return the baseline with the smallest error on these days, apart from zero."""
    others = [row for row in assessment.table[1:] if row.name != "zero"]
    return min(others, key=lambda row: row.scores.rmse, default=None)


def _outcome_facts(assessment: Assessment) -> list[tuple[str, str | Text]]:
    """Return what intervals, trading and grade come to."""
    facts: list[tuple[str, str | Text]] = []
    if covered := [
        f"{100 * interval.coverage_nominal:.0f} % covered {100 * interval.coverage:.1f} %"
        for interval in assessment.intervals
        if interval.coverage is not None
    ]:
        facts.append(("intervals", ", ".join(covered)))
    if assessment.trading:
        facts.append(("trading", _trading_line(assessment.trading)))
    return [*facts, ("grade", _grade(assessment.evidence))]


def _trading_line(results: Sequence[TradingResult]) -> str:
    """Return the sign strategy beside buy and hold, all of it at the one cost that is named."""
    cost = usual_cost(sorted({result.cost_bp for result in results}))
    at_once = {
        result.name: result
        for result in results
        if result.cost_bp == cost and not result.delay_days
    }
    sign, hold = at_once[SIGN], at_once[BUY_AND_HOLD]
    return (
        f"by its sign, after {cost:g} bp a turn: {sign.total_return:+.1f} %, Sharpe "
        f"{number(sign.sharpe, 2)} ± {number(sign.sharpe_error, 2)}, drawdown "
        f"{sign.max_drawdown:.1f} %; buy and hold: {hold.total_return:+.1f} %, Sharpe "
        f"{number(hold.sharpe, 2)}"
    )


def _grade(evidence: Evidence) -> Text:
    return Text(evidence.grade, style=GRADE_STYLES[evidence.grade])


def report_tables(assessment: Assessment, report: ReportSettings) -> None:
    """Print all scores, baselines, tests, intervals, distributions and profits, or only log them.

    Args:
        assessment: Of the test days.
        report: Whether the console shows these tables, too.
    """
    extra = None if report.detail == "full" else LOG_ONLY
    tables = [
        _against_zero(assessment),
        _baselines(assessment),
        _tests(assessment),
        _intervals(assessment),
        _distributions(assessment),
        _tail_risk(assessment),
        trading_table(assessment.trading),
    ]
    for table in tables:
        if table.columns and any(table.columns.values()):
            log.info("", extra=extra)
            log.info(table.said_in(assessment.rhythm), extra=extra)
    kept = ", ".join(assessment.confidence_set.kept)
    log.info("cannot be told from the best by squared error: %s", kept, extra=extra)
    log.info(assessment.evidence.line, extra=extra)


def _against_zero(assessment: Assessment) -> Table:
    scores, unit = assessment.scores, assessment.unit
    frame = pd.DataFrame(
        [
            (f"RMSE, {unit}", scores.rmse, scores.zero_rmse),
            (f"MAE, {unit}", scores.mae, scores.zero_mae),
            ("direction, %", scores.direction_accuracy, None),
            ("R2 (test mean)", scores.r2, None),
            ("R2 (zero)", scores.r2_zero, 0.0),
            ("correlation", scores.correlation, None),
            ("MAPE of the price, %", scores.mape, scores.naive_mape),
        ],
        columns=["score", "model", "zero forecast"],
    )
    return make_table(frame.map(_with_four_digits), f"test, {scores.num_days} days")


def _with_four_digits(value: object) -> object:
    return value if isinstance(value, str) else number(value, 4)  # type: ignore[arg-type]


def _baselines(assessment: Assessment) -> Table:
    table = as_table(assessment.table)
    scores = [row.scores for row in assessment.table]
    table["hits"] = [
        "–" if row.name == "zero" else f"{score.direction_hits}/{score.direction_days}"
        for row, score in zip(assessment.table, scores, strict=True)
    ]
    table["95 %"] = [
        f"{number(score.direction_low, 1)}-{number(score.direction_high, 1)}" for score in scores
    ]
    table["accuracy"] = table["direction_accuracy"].where(table["direction_low"].notna())
    names = {"correlation": "ic", "rank_correlation": "rank_ic", "clark_west_p": "CW p"}
    names |= {"rmse_ratio": "rmse/0", "mae_ratio": "mae/0"}
    table = table.rename(columns=names).rename_axis("forecaster").reset_index()
    columns = ["forecaster", "rmse", "mae", "accuracy", "hits", "95 %", "r2_zero", "CW p", "ic"]
    columns += ["rank_ic", "rmse/0", "mae/0", "r2_mean"]
    return make_table(
        table[columns], f"same {assessment.scores.num_days} days", elsewhere="the log"
    )


def _tests(assessment: Assessment) -> Table:
    rows = [
        (name, test.statistic, test.p_value, test.note) for name, test in assessment.tests.items()
    ]
    return make_table(
        pd.DataFrame(rows, columns=["test", "statistic", "p", "note"]), "tests of skill"
    )


def _intervals(assessment: Assessment) -> Table:
    rows = [
        (
            f"{100 * interval.coverage_nominal:.0f} %",
            None if interval.coverage is None else 100 * interval.coverage,
            interval.mean_width,
            interval.winkler,
            interval.binomial_p,
            interval.independence_p,
        )
        for interval in assessment.intervals
    ]
    header = ["interval", "covered, %", "mean width", "Winkler", "p of misses", "p of independence"]
    return make_table(pd.DataFrame(rows, columns=header), "intervals", elsewhere="the log")


def _distributions(assessment: Assessment) -> Table:
    rows = [
        (name, losses["pinball"], losses["crps"]) for name, losses in assessment.density.items()
    ]
    header = ["distribution", "pinball", "exact CRPS"]
    return make_table(pd.DataFrame(rows, columns=header), "distributions")


def _tail_risk(assessment: Assessment) -> Table:
    names = {
        "forecaster": "forecaster",
        "side": "side",
        "level": "level",
        "num_days": "days",
        "exceedances": "beyond",
        "mean_var": "VaR",
        "mean_es": "ES",
        "binomial_p": "p of beyond",
        "independence_p": "p of independence",
        "shortfall_z": "Z2 of ES",
        "shortfall_p": "p of Z2",
    }
    rows = [asdict(found) for found in assessment.risk]
    frame = pd.DataFrame(rows, columns=list(names)).rename(columns=names)
    title = "tail risk: days that lost more than the value at risk"
    return make_table(frame, title, elsewhere="the log")


def trading_table(results: Sequence[TradingResult]) -> Table:
    """Return one row for each strategy and cost; every figure of a row is after that cost."""
    rows = [
        {
            "strategy": f"{result.name}{ONE_DAY_LATER if result.delay_days else ''}",
            "cost, bp": f"{result.cost_bp:g}",
            "return, %": number(result.total_return, 2),
            "Sharpe": number(result.sharpe, 2),
            "±": number(result.sharpe_error, 2),
            "drawdown, %": number(result.max_drawdown, 2),
            "turnover": result.turnover,
            "trades": result.num_trades,
        }
        for result in sorted(results, key=lambda result: (result.delay_days, result.name))
    ]
    title = "trading: a row for each cost of a turn, and all of it after that cost"
    return make_table(pd.DataFrame(rows), title, elsewhere="the log")


def with_symbol(symbol: str, text: str, *, emoji: bool) -> str:
    """Return a line with the symbol of its kind in front, if symbols are wanted."""
    return f"{EMOJI[symbol]} {text}" if emoji else text
