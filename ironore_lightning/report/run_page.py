"""The figures and the page of one run."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ironore_lightning.data_quality.column_report import column_report
from ironore_lightning.errors import ConfigError, single_line
from ironore_lightning.evaluation.distributions import Distribution
from ironore_lightning.files import read_json, write_text
from ironore_lightning.report.calibration import calibration_figures, draw_losses
from ironore_lightning.report.equity import equity_figures
from ironore_lightning.report.figures import draw_figures
from ironore_lightning.report.importance import draw_importance, importance_section
from ironore_lightning.report.page import Page, Section, Table, render_page
from ironore_lightning.report.sections import assessment_sections, picture
from ironore_lightning.report.style import counted, default_style, said_in, write_figures
from ironore_lightning.run_folder.layout import PAGE_FILE, PROVENANCE_FILE
from ironore_lightning.run_folder.losses import read_losses
from ironore_lightning.run_folder.overrides import read_overrides
from ironore_lightning.run_folder.results import FittedRun, RunResult


@default_style
def write_run_figures(result: RunResult) -> dict[str, str]:
    """Write the figures of a run as PNG and SVG, and return the SVG texts by name."""
    return write_figures(run_figures(result), result.run.folder / "plots")


@default_style
def run_figures(result: RunResult) -> dict[str, Figure]:
    """Return the figures of a run by name."""
    run, days = result.run, result.days
    title = f"{_title(run)}, evidence {result.assessment.evidence.grade}"
    figures: dict[str, Figure] = draw_figures(
        result.forecasts.predictions, title=title, word=days.word, unit=days.unit
    )
    figures |= equity_figures(days, run.config.evaluation, title=title)
    figures |= calibration_figures(days, _distribution(run), title=title)
    losses = read_losses(run.folder)
    if not losses.empty:
        figures["losses"] = draw_losses(
            losses, best_epoch=run.facts.best_epoch, monitor=run.config.monitor, title=title
        )
    worth = draw_importance(result.importance, num_days=len(days), title=title)
    if worth:
        figures["importance"] = worth
    return said_in(figures, days.rhythm)


def _title(run: FittedRun) -> str:
    """Return run, series, model and seed."""
    config = run.config
    return (
        f"{config.name}, run {single_line(run.folder.name)}: {config.target.series} by "
        f"{config.model.title}, seed {config.seed}"
    )


def _distribution(run: FittedRun) -> Distribution | None:
    """Return the predictive distribution of the test days; None from a point forecaster."""
    is_test = (run.datamodule.outcomes["segment"] == "test").to_list()
    return run.trained.forecaster.head.distribution(run.trained.outputs[is_test])


def write_run_page(result: RunResult, pictures: Mapping[str, str]) -> None:
    """Write `report.html`, which holds everything there is to say of a run.

    Args:
        result: The assessed run.
        pictures: SVG texts of its figures by name.
    """
    run, assessment, days = result.run, result.assessment, result.days
    sections = assessment_sections(
        assessment, days, run.config.evaluation, pictures, name="the model"
    )
    after_forecast, grade = 3, assessment.evidence.grade
    worth = importance_section(result.importance, pictures, grade=grade)
    page = Page(
        title=_title(run),
        grade=grade,
        verdict=result.sentence,
        lines=[assessment.evidence.line],
        remark=f"{len(days)} {days.rhythm.words('test days')}, "
        f"{days.dates[0]:%Y-%m-%d} to {days.dates[-1]:%Y-%m-%d}; "
        f"data={run.config.data.name}",
        sections=[
            *sections[:after_forecast],
            _training_section(result, pictures),
            *sections[after_forecast:],
            worth.said_in(days.rhythm),
            _data_section(run),
            _settings_section(run),
            _provenance_section(run),
        ],
    )
    write_text(run.folder / PAGE_FILE, render_page(page))


def _training_section(result: RunResult, pictures: Mapping[str, str]) -> Section:
    run, labels = result.run, result.labels
    facts, monitor = run.facts, run.config.monitor
    ended = "patience ended it" if facts.stopped_early else "it ran to its last epoch"
    scores, unit = run.validation, result.days.unit
    error = f"error {labels.error}, " if labels.error else ""
    losses = read_losses(run.folder)
    table = Table(losses, "Losses by epoch", {"learning_rate": 6}, is_folded=True)
    return Section(
        "Training",
        facts=[
            ("model", f"{run.config.model.title}, {facts.num_parameters:,} parameters"),
            ("epochs", f"{facts.num_epochs} in {facts.seconds:.1f} s; {ended}"),
            ("epoch kept", f"{facts.best_epoch}, with {monitor} {facts.best_score:.4f}"),
            (
                "RMSE on validation",
                f"{scores.rmse:.4f} {unit}; that of zero {scores.zero_rmse:.4f} {unit}",
            ),
            (
                "in the original system's words",
                f"{labels.complexity}, {labels.training}; "
                f"direction {labels.direction}, {error}"
                f"correlation {labels.correlation}",
            ),
        ],
        pictures=picture(pictures, "losses"),
        tables=[table],
    )


def _data_section(run: FittedRun) -> Section:
    """Return segments, columns, and how old their values are."""
    days, say = pd.DatetimeIndex(run.datamodule.features.index), run.panel.rhythm.words
    names = dict.fromkeys(feature.name for feature in run.config.features.names)
    columns = pd.DataFrame([column_report(run.panel, name, days) for name in names])
    columns, segments = (
        table.rename(columns=lambda name: str(name).replace("_", " "))
        for table in (columns, run.datamodule.table)
    )
    return Section(
        "Data and staleness",
        text=[
            f"{len(days)} rows from {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}; the target is "
            f"{run.config.target.series} ({run.config.target.kind.replace('_', ' ')}, "
            f"{say(counted(run.config.target.horizon, 'trading day'))} ahead).",
        ],
        tables=[
            Table(segments, "Segments, in time order"),
            Table(
                columns,
                say(
                    "Columns that the model reads: days that repeat an earlier value, and the "
                    "longest time without a new one, in trading days"
                ),
                {"minimum": 2, "maximum": 2},
            ),
        ],
        points=run.panel.warnings(days),
    )


def _settings_section(run: FittedRun) -> Section:
    """Return the settings that were chosen for the run, and all of them."""
    every = pd.DataFrame(_flat(run.config.model_dump(mode="json")), columns=["setting", "value"])
    try:
        chosen = read_overrides(run.folder)
    except ConfigError:  # a run that Python started has no command line
        chosen = []
    rows = [override.partition("=")[::2] for override in chosen]
    text = "" if rows else "The command changed none of the defaults."
    return Section(
        "Settings",
        text=[text] if text else [],
        tables=[
            Table(
                pd.DataFrame(rows, columns=["setting", "value"]),
                "What the command changed; conf/README.md explains each setting",
            ),
            Table(every, f"All {len(every)} settings", is_folded=True),
        ],
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting by its dotted key, with its value as text."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _provenance_section(run: FittedRun) -> Section:
    """Return command, code, versions and hashes, as the run has noted them."""
    made_of = read_json(run.folder / PROVENANCE_FILE, dict[str, Any])
    hashes = {"the table": made_of.get("table_sha256"), **made_of.get("input_sha256", {})}
    git = made_of.get("git") or {}
    changed = " with changes" if git.get("dirty") else ""
    return Section(
        "Provenance",
        facts=[
            ("command", " ".join(map(str, made_of.get("command", ["unknown"])))),
            ("code", f"{git.get('commit') or 'unknown'}{changed}"),
            ("Python", f"{made_of.get('python')} on {made_of.get('platform')}"),
        ],
        tables=[
            Table(
                pd.DataFrame(hashes.items(), columns=["file", "SHA-256"]),
                "Hashes of what was read",
                is_folded=True,
            ),
            Table(
                pd.DataFrame(made_of.get("packages", {}).items(), columns=["package", "version"]),
                "Versions",
                is_folded=True,
            ),
        ],
    )
