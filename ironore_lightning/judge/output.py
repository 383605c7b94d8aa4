"""Write and print the verdict on a file of forecasts."""

import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ironore_lightning.errors import single_line
from ironore_lightning.files import write_json, write_text
from ironore_lightning.judge.judgement import Judgement
from ironore_lightning.report.console import report_assessment, report_scores, with_symbol
from ironore_lightning.report.equity import equity_figures
from ironore_lightning.report.figures import draw_figures
from ironore_lightning.report.style import default_style
from ironore_lightning.summary.outputs import baseline_table
from ironore_lightning.summary.page import Page, render_page

log = logging.getLogger(__name__)


@default_style
def write_judgement(judgement: Judgement, folder: Path) -> None:
    """Write `judgement.json`, and a page with the verdict, the scores and the figures."""
    title = f"{judgement.config.name}: forecasts of {single_line(judgement.file.name)}"
    rows = judgement.days.frame.assign(segment="test")
    figures = draw_figures(rows, title=title)
    figures |= equity_figures(judgement.days, judgement.config.evaluation, title=title)
    write_json(
        folder / "judgement.json",
        {
            "file": str(judgement.file),
            "notes": list(judgement.notes),
            "rules": judgement.config.evaluation.model_dump(mode="json"),
            **asdict(judgement.assessment),
            "sentence": judgement.sentence,
        },
    )
    page = Page(
        title=title,
        verdict_lines=(judgement.assessment.evidence.line, judgement.sentence),
        counts=_days_line(judgement),
        table=pd.DataFrame(),
        chosen_table=baseline_table(judgement.assessment.table, name="the forecast"),
        discount=(),
        advice=(),
        figures=figures,
        captions={},
        notes=judgement.notes,
    )
    write_text(folder / "judgement.html", render_page(page))


def print_judgement(judgement: Judgement, folder: Path) -> None:
    """Print the tables of a run, notes, and the verdict as the last line."""
    report_scores(judgement.assessment.scores)
    report_assessment(judgement.assessment)
    log.info("%s", _days_line(judgement))
    for note in judgement.notes:
        log.info("note: %s", note)
    log.info("files: %s", folder / "judgement.html")
    log.info("%s", judgement.assessment.evidence.line)
    emoji = judgement.config.report.emoji
    log.info("%s", with_symbol("verdict", judgement.sentence, emoji=emoji))


def _days_line(judgement: Judgement) -> str:
    dates = judgement.days.dates
    return f"{len(dates)} days from {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"
