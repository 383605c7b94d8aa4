"""Write and print the verdict on a file of forecasts."""

import logging
from dataclasses import asdict
from pathlib import Path

from ironore_lightning.errors import single_line
from ironore_lightning.files import write_json, write_text
from ironore_lightning.judge.judgement import Judgement
from ironore_lightning.report.calibration import calibration_figures
from ironore_lightning.report.console import report_files, report_tables, report_verdict
from ironore_lightning.report.equity import equity_figures
from ironore_lightning.report.figures import draw_figures
from ironore_lightning.report.page import Page, Section, render_page
from ironore_lightning.report.sections import assessment_sections
from ironore_lightning.report.style import default_style, said_in, svg_text

log = logging.getLogger(__name__)


@default_style
def write_judgement(judgement: Judgement, folder: Path) -> None:
    """Write `judgement.json`, and a page with the verdict, the scores and the figures."""
    config, days, grade = judgement.config, judgement.days, judgement.assessment.evidence.grade
    title = (
        f"{config.name}: forecasts of {config.target.series} in "
        f"{single_line(judgement.file.name)}, evidence {grade}"
    )
    figures = draw_figures(
        days.frame.assign(segment="test"), title=title, word=days.word, unit=days.unit
    )
    figures |= equity_figures(days, config.evaluation, title=title)
    figures |= calibration_figures(days, None, title=title)
    figures = said_in(figures, days.rhythm)
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
    sections = assessment_sections(
        judgement.assessment,
        days,
        config.evaluation,
        {name: svg_text(figure) for name, figure in figures.items()},
        name="the forecast",
    )
    page = Page(
        title=title,
        grade=grade,
        verdict=judgement.sentence,
        lines=[judgement.assessment.evidence.line],
        remark=_days_line(judgement),
        sections=[*sections, Section("Notes", points=judgement.notes)],
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
    noun = judgement.days.rhythm.noun
    return f"{len(dates)} {noun}s from {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"
