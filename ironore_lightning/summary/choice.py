"""Assess the trial that validation chose, and no other."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.evaluation import days as evaluation_days
from ironore_lightning.evaluation.assessment import Assessment, Block, assess, skill_years
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.forecasts import Forecasts
from ironore_lightning.evaluation.labels import direction_label
from ironore_lightning.evaluation.left_out import assess_left_out
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.evaluation.selection import Discount
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.run_folder.forecast_tables import has_tables, read_forecasts
from ironore_lightning.run_folder.looks import count_look
from ironore_lightning.summary.runs import CompleteRun
from ironore_lightning.summary.trials import Joined, Trial, join_runs
from ironore_lightning.trading_calendar.rhythm import find_rhythm


@dataclass(frozen=True, eq=False)
class Choice:
    """The trial chosen by validation, and its test results.

    Attributes:
        trial: Its runs.
        joined: Its forecasts.
        assessment: Of its test days, corrected for all trials.
        discount: That correction.
        seeds: Test scores by seed, if there are several.
        years: Skill by calendar year.
        left_out: What its runs scored on days that break days leave out, a sentence each.
    """

    trial: Trial
    joined: Joined
    assessment: Assessment
    discount: Discount
    seeds: Mapping[int, Scores]
    years: Sequence[Block]
    left_out: tuple[str, ...]


def assess_choice(
    trial: Trial, joined: Joined, discount: Discount, *, looks: Path | None
) -> Choice:
    """Count the look at the test days of the chosen trial, and assess it as a single run is.

    Args:
        trial: Its runs; tables that they lack are computed from data and checkpoint, and written
            into their folders.
        joined: Its forecasts.
        discount: Correction for all trials.
        looks: Ledger that counts the look; None counts nothing.

    Raises:
        ConfigError: If a checkpoint is damaged.
        DataError: If tables are missing, and the data have changed since.
    """
    tables = {run: _with_tables(run) for run in trial.runs if _needs_tables(run, trial)}
    days = scored_days(joined, trial)
    settings = trial.config.evaluation
    look = count_look(looks, days, what=trial.runs[0].folder.parent)
    baselines, density, clues = join_tables(trial, tables)
    assessment = assess(
        replace(days, clues=clues),
        baselines,
        density,
        settings,
        label=direction_label(evaluate(days), trial.config.thresholds),
        discount=discount,
        look=look,
    )
    seeds = trial.seeds if len(trial.seeds) > 1 else ()
    by_seed = {seed: evaluate(scored_days(join_runs(trial.of_seed(seed)), trial)) for seed in seeds}
    left_out = tuple(_left_out(run, forecasts, look) for run, forecasts in tables.items())
    return Choice(
        trial,
        joined,
        assessment,
        discount,
        by_seed,
        skill_years(joined.days),
        tuple(days.rhythm.words(sentence) for sentence in left_out if sentence),
    )


def scored_days(joined: Joined, trial: Trial) -> ScoredDays:
    """Return the joined test days with the trial's kind of target, horizon and rhythm."""
    target = trial.config.target
    rhythm = find_rhythm(pd.DatetimeIndex(trial.runs[0].predictions["date"]))
    return evaluation_days.scored_days(joined.days, target, rhythm)


def _needs_tables(run: CompleteRun, trial: Trial) -> bool:
    """Return whether the tables of a run are needed: those of all seeds of a fold are the same.

    Break days may leave out test days, on which every run has its own forecast.
    """
    seeds = [other.seed for other in trial.runs if other.fold == run.fold]
    return run.seed == min(seeds) or bool(run.config.data.panel.break_days)


def _with_tables(run: CompleteRun) -> Forecasts:
    """Return forecasts of a run and the baselines, from its folder or else computed now.

    Tables that are damaged, or not all there, are computed again. Those of a run that was not
    assessed lack its forecasts of test days that break days leave out.
    """
    is_known = run.record.evidence is not None or not run.config.data.panel.break_days
    if is_known and has_tables(run.folder):
        with suppress(ConfigError):
            return read_forecasts(run.folder, run.config.target.kind)
    with quick_imports():  # of torch, which the summary of assessed runs does not need
        from ironore_lightning.experiment import complete_forecasts
        from ironore_lightning.recall import recall_run

    with machine_errors(run.folder):
        return complete_forecasts(recall_run(run.record))


def join_tables(
    trial: Trial, tables: Mapping[CompleteRun, Forecasts]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return baselines, density losses and clues of the joined days.

    Clues are those that all folds have. The losses of the model are known for a single seed only.

    Args:
        trial: Its runs.
        tables: Of at least one run of each fold.
    """
    ordered = sorted(tables, key=lambda run: (run.fold, run.seed))
    first = {run.fold: tables[run] for run in reversed(ordered)}
    by_fold = [first[fold] for fold in trial.folds]
    baselines, density, clues = (
        pd.concat([getattr(forecasts, name) for forecasts in by_fold], ignore_index=True)
        for name in ("baselines", "density", "clues")
    )
    if len(trial.runs) > len(trial.folds):
        density = density.drop(columns="model", level=1)
    return baselines, density, clues.dropna(axis=1)


def _left_out(run: CompleteRun, forecasts: Forecasts, look: int | None) -> str:
    """Return what a run scored on days that break days leave out; empty without any."""
    if run.record.left_out:
        return f"{run.name}: {run.record.left_out.sentence}"
    config = run.config
    found = assess_left_out(forecasts, config.target, config.evaluation, look=look)
    return f"{run.name}: {found.sentence}" if found else ""
