"""Write and print the verdict on a file of forecasts."""

import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ironore_lightning.errors import single_line
from ironore_lightning.files import write_json, write_text
from ironore_lightning.judge.judgement import Judgement
from ironore_lightning.report.console import report_files, report_tables, report_verdict
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
    """Print days and notes, the scores, the verdict and the path of the page."""
    report = judgement.config.report
    report_tables(judgement.assessment, report)
    log.info("%s", _days_line(judgement))
    for note in judgement.notes:
        log.info("note: %s", note)
    report_verdict(judgement.assessment, judgement.sentence, report)
    report_files(folder / "judgement.html")


def _days_line(judgement: Judgement) -> str:
    dates = judgement.days.dates
    return f"{len(dates)} days from {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"
