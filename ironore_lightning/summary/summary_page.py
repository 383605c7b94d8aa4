"""The figures and the page of a summary."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from ironore_lightning.errors import single_line
from ironore_lightning.report.calibration import calibration_figures
from ironore_lightning.report.equity import equity_figures
from ironore_lightning.report.page import Page, Picture, Section, Table
from ironore_lightning.report.sections import assessment_sections
from ironore_lightning.report.style import counted, said_in
from ironore_lightning.run_folder.layout import PAGE_FILE
from ironore_lightning.run_folder.status import COMPLETE, PRUNED
from ironore_lightning.summary.choice import Choice, scored_days
from ironore_lightning.summary.fold_figures import chosen_figures
from ironore_lightning.summary.ranking import Summary, validation_objective
from ironore_lightning.summary.runs import CompleteRun, Run, varying_keys
from ironore_lightning.summary.sensitivity import advice, searched_settings
from ironore_lightning.summary.trial_figures import Tuning, tuning_figures

SHOWN_TRIALS = 5
"""Most trials whose forecasts are drawn."""

CAPTIONS = {
    "performance_rankings": "All trials by validation; test scores are not shown on purpose",
    "recommendation": "What mattered on validation, and what was tried when",
    "top_models_timeseries": "What the first trials forecast for the test days",
}


def summary_figures(summary: Summary, choice: Choice) -> dict[str, Figure]:
    """Return the figures of the chosen trial, and those of a search if there was one."""
    tuning = _tuning(summary, choice)
    days, settings = scored_days(choice.joined, choice.trial), choice.trial.config.evaluation
    figures = {
        **chosen_figures(tuning),
        **equity_figures(days, settings, title=tuning.title),
        **calibration_figures(days, None, title=tuning.title),
        **tuning_figures(tuning),
    }
    return said_in(figures, days.rhythm)


def _tuning(summary: Summary, choice: Choice) -> Tuning:
    """Return the data of the figures."""
    shown = list(summary.ranking["trial"].head(SHOWN_TRIALS))
    config, grade = choice.trial.config, choice.assessment.evidence.grade
    seeds = ", ".join(map(str, choice.trial.seeds))
    return Tuning(
        title=f"{config.name}, {single_line(summary.folder.resolve().name)}: "
        f"{config.target.series} by {config.model.title}, seed {seeds}, evidence {grade}",
        monitor=summary.ranked_by,
        ranking=summary.ranking,
        runs=_varied_runs(summary),
        parameters=varying_keys(summary.runs),
        series=summary.ledger[["date", "actual", *shown]],
        days=choice.joined.days,
        assessment=choice.assessment,
        num_folds=len(choice.trial.folds),
        horizon=config.target.horizon,
        word=scored_days(choice.joined, choice.trial).word,
    )


def _varied_runs(summary: Summary) -> pd.DataFrame:
    """Return complete and pruned runs with all settings that vary, as numbers where possible."""
    trial_of = {run.folder: trial.name for trial in summary.trials for run in trial.runs}
    keys = varying_keys(summary.runs)
    rows = [
        {
            "number": number,
            "state": run.status.state,
            "objective": validation_objective(run, summary.ranked_by),
            "trial": trial_of.get(run.folder, run.name),
            **{key: _value(run, key) for key in keys},
        }
        for number, run in enumerate(summary.runs)
        if run.status.state in {COMPLETE, PRUNED}
    ]
    return pd.DataFrame(rows)


def _value(run: Run, key: str) -> object:
    """Return the value of a key on the run's command line, or else in its settings."""
    text = run.overrides.get(key)
    if text is None:
        settings = run.config.model_dump(mode="json") if isinstance(run, CompleteRun) else {}
        return _at(settings, key)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _at(settings: Mapping[str, Any], key: str) -> object:
    """Return the setting at a dotted key; `default` if it is no single setting."""
    found: object = settings
    for part in key.split("."):
        found = found.get(part, "default") if isinstance(found, Mapping) else "default"
    return "default" if isinstance(found, Mapping) else found


def summary_page(
    summary: Summary,
    pictures: Mapping[str, str],
    *,
    runs: pd.DataFrame,
    discount: Sequence[tuple[str, str]],
) -> Page:
    """Return the page of a summary.

    Args:
        summary: Of all runs.
        pictures: SVG texts of its figures, by file name without suffix.
        runs: One row per run.
        discount: Corrections for the number of trials, label and value.
    """
    choice = summary.choice
    lines, sections = [], []
    if choice is not None:
        lines = [
            f"{counted(len(summary.ranking), 'trial')} ranked by {summary.ranked_by} on "
            f"validation; the first was tested: {choice.trial.name}",
            choice.assessment.evidence.line,
        ]
        sections = _chosen_sections(summary, choice, pictures, discount)
    return Page(
        title=single_line(summary.folder.resolve().name),
        grade=choice.assessment.evidence.grade if choice else "",
        verdict=summary.sentence,
        lines=lines,
        remark=summary.counts,
        sections=[
            *sections,
            Section("All runs", tables=[_run_table(summary, runs)]),
            Section("Notes", points=[*summary.notes, *(choice.discount.notes if choice else ())]),
        ],
    )


def _chosen_sections(
    summary: Summary,
    choice: Choice,
    pictures: Mapping[str, str],
    discount: Sequence[tuple[str, str]],
) -> list[Section]:
    """Return the sections on the chosen trial, and on how it was chosen."""
    days, settings = scored_days(choice.joined, choice.trial), choice.trial.config.evaluation
    meaning, *sections = assessment_sections(
        choice.assessment, days, settings, pictures, name="the chosen trial"
    )
    search = [
        Picture(days.rhythm.words(caption), pictures[name])
        for name, caption in CAPTIONS.items()
        if name in pictures
    ]
    keys = varying_keys(summary.runs)
    is_search = len(summary.ranking) > 1 and bool(searched_settings(keys))
    ranking = summary.ranking.rename(columns=lambda name: str(name).replace("_", " "))
    return [
        meaning,
        Section("What the search takes off", facts=discount).said_in(days.rhythm),
        *sections,
        Section(
            "The search",
            pictures=search,
            tables=[
                Table(
                    ranking,
                    f"Trials by {summary.ranked_by} on validation, lower is better; spread is over "
                    "seeds",
                    {"validation": 5, "spread": 5, "seconds": 1},
                )
            ],
        ),
        Section(
            "What a further search should try",
            points=advice(_varied_runs(summary), keys) if is_search else [],
        ),
    ]


def _run_table(summary: Summary, runs: pd.DataFrame) -> Table:
    """Return all runs, with links to the pages of those that have one."""
    others = [name for name in runs if name not in ("run", "overrides")]
    shown = runs[["run", *others, "overrides"]].dropna(axis="columns", how="all")
    links = {
        run.name: f"{quote(run.folder.relative_to(summary.folder).as_posix())}/{PAGE_FILE}"
        for run in summary.runs
        if (run.folder / PAGE_FILE).is_file()
    }
    decimals = {"validation": 5, "val_rmse": 4, "val_direction": 1, "val_r2_zero": 4, "seconds": 1}
    return Table(shown, "The best trial first, incomplete runs last", decimals, links)
