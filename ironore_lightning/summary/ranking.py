"""Rank trials by validation, assess the best on its test days, discount for the search."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.assessment import Assessment, Block, assess, skill_years
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.labels import direction_label, direction_sentence
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.evaluation.selection import Discount, discount_for_search
from ironore_lightning.run_folder.status import COMPLETE, FAILED, PRUNED
from ironore_lightning.summary.runs import CompleteRun, Run, read_runs
from ironore_lightning.summary.trials import LEDGER_KEYS, Joined, Trial, gather_trials, join

MOST_NAMED = 12
"""Folds that are named where many are missing."""

BY_ERROR = "validation RMSE"
"""What ranks trials whose objectives are different losses."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The trial that validation chose, and what its test days say.

    Attributes:
        trial: Its name.
        joined: Its forecasts.
        assessment: Of its test days, discounted for all that was tried.
        discount: That discount.
        seeds: Test scores by seed, where there are several.
        years: Skill by calendar year.
    """

    trial: Trial
    joined: Joined
    assessment: Assessment
    discount: Discount
    seeds: Mapping[int, Scores]
    years: Sequence[Block]


@dataclass(frozen=True, eq=False)
class Summary:
    """What a folder of runs holds.

    Attributes:
        folder: The folder.
        runs: All of them, in the order in which they were started.
        trials: What the complete ones make.
        ranking: A row a trial, best validation first: `trial`, `validation`, `spread` (over seeds,
            NaN with one), `num_runs`, `num_seeds`, `num_folds`, `seconds`, `num_parameters`. Of a
            walk-forward the first fold validates: later ones validate on test days of earlier ones.
        ranked_by: What `validation` is.
        ledger: A row a test day: `date`, `actual`, `is_roll`, and the forecast of each ranked
            trial.
        choice: None where none can be made.
        notes: What a reader must know besides.
        sentence: What it is all worth.
    """

    folder: Path
    runs: Sequence[Run]
    trials: Sequence[Trial]
    ranking: pd.DataFrame
    ranked_by: str
    ledger: pd.DataFrame
    choice: Choice | None
    notes: tuple[str, ...]
    sentence: str

    @property
    def counts(self) -> str:
        """How many runs there are in each state, in words."""
        states = Counter(run.status.state for run in self.runs)
        parts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        return f"{len(self.runs)} runs: {parts}"

    @property
    def worst_exit_status(self) -> int:
        """The largest exit status of a failed run; 0 if none failed."""
        failed = [run.status for run in self.runs if run.status.state == FAILED]
        return max((status.exit_status or 1 for status in failed), default=0)


def summarize(folder: Path) -> Summary:
    """Read the runs below a folder and say what they are worth together.

    Raises:
        ConfigError: If there is no run.
    """
    runs = read_runs(folder)
    trials = gather_trials(runs)
    folds = {fold for trial in trials for fold in trial.folds}
    whole = {trial.name: trial for trial in trials if set(trial.folds) == folds}
    ranked_by = _ranked_by(list(whole.values()))
    ranking = _rank(whole, ranked_by)
    notes = _notes(runs, trials, whole)
    choice, ledger = None, pd.DataFrame(columns=[*LEDGER_KEYS])
    try:
        joined = {name: join(whole[name].runs) for name in ranking["trial"]}
        ledger = _ledger(whole, joined)
        # What cannot be read now may have been seen before.
        unranked = [run.status.state == PRUNED or not run.is_readable for run in runs]
        num_trials = len(trials) + sum(unranked)
        choice = _choose(whole, joined, ledger, num_trials=num_trials)
        assessment = choice.assessment
        sentence = f"{direction_sentence(assessment.scores)} {assessment.evidence.sentence}"
    except ConfigError as error:
        sentence = f"No best can be named: {error}."
    if not trials:
        sentence = "No run is complete, so there is nothing to judge."
    return Summary(folder, runs, trials, ranking, ranked_by, ledger, choice, notes, sentence)


def _choose(
    trials: Mapping[str, Trial],
    joined: Mapping[str, Joined],
    ledger: pd.DataFrame,
    *,
    num_trials: int,
) -> Choice:
    """Open the test days of the first trial, and discount them for all the others."""
    name, own = next(iter(joined.items()))
    trial, settings = trials[name], trials[name].config.evaluation
    days = scored(own, trial)
    discount = discount_for_search(
        days,
        {other: ledger[other].to_numpy(np.float64) for other in joined},
        chosen=name,
        num_trials=num_trials,
        reps=settings.bootstrap_repetitions,
        seed=settings.bootstrap_seed,
    )
    assessment = assess(
        days,
        own.baselines,
        own.density,
        settings,
        label=direction_label(evaluate(days), trial.config.thresholds),
        discount=discount,
    )
    seeds = trial.seeds if len(trial.seeds) > 1 else ()
    by_seed = {seed: evaluate(scored(join(trial.of_seed(seed)), trial)) for seed in seeds}
    return Choice(trial, own, assessment, discount, by_seed, skill_years(own.days))


def scored(joined: Joined, trial: Trial) -> ScoredDays:
    """Return the joined test days as the trial's target means them."""
    return ScoredDays(joined.days, trial.config.target.kind, trial.config.target.horizon)


def _ranked_by(trials: Sequence[Trial]) -> str:
    """Name what trials are ranked by: the objective, if it is the same quantity for all."""
    objectives = {
        (
            trial.config.monitor,
            # The loss is the network's own; the other monitors are errors in per cent.
            (trial.config.model.head, trial.config.training.loss)
            if trial.config.monitor == "val/loss"
            else None,
        )
        for trial in trials
    }
    return next(iter(objectives))[0] if len(objectives) == 1 else BY_ERROR


def _rank(trials: Mapping[str, Trial], ranked_by: str) -> pd.DataFrame:
    """Order trials by validation of their first fold, smallest first."""
    rows = []
    for name, trial in trials.items():
        first = [run for run in trial.runs if run.fold == trial.folds[0]]
        by_seed = [validation(run, ranked_by) for run in first]
        rows.append(
            {
                "trial": name,
                "validation": float(np.mean(by_seed)),
                "spread": float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else np.nan,
                "num_runs": len(trial.runs),
                "num_seeds": len(trial.seeds),
                "num_folds": len(trial.folds),
                "seconds": trial.seconds,
                "num_parameters": trial.num_parameters,
            }
        )
    columns = ["trial", "validation", "spread", "num_runs", "num_seeds", "num_folds"]
    frame = pd.DataFrame(rows, columns=[*columns, "seconds", "num_parameters"])
    return frame.sort_values("validation", kind="stable", ignore_index=True)


def validation(run: Run, ranked_by: str) -> float:
    """Return what ranks a run; NaN of one that was stopped before that was known."""
    if ranked_by != BY_ERROR:
        return math.nan if run.status.objective is None else run.status.objective
    if not isinstance(run, CompleteRun):
        return math.nan
    rows = run.forecasts.predictions
    rows = rows[rows["segment"] == "val"]
    return float(((rows["actual"] - rows["forecast"]) ** 2).mean() ** 0.5)


def _ledger(trials: Mapping[str, Trial], joined: Mapping[str, Joined]) -> pd.DataFrame:
    """Put the test forecasts of all trials side by side.

    Raises:
        ConfigError: If there is none, if two do not forecast the same thing, or if they are not
            validated and tested on the same days.
    """
    targets = {trials[name].config.target.model_dump_json() for name in joined}
    if len(targets) > 1:
        raise ConfigError("the runs differ in their target, so they forecast different things")
    if not joined:
        raise ConfigError("no trial has all the folds that there are")
    first_name, first = next(iter(joined.items()))
    for name, own in joined.items():
        for rows, others in ((first.days, own.days), (first.validation, own.validation)):
            if list(rows["date"]) != list(others["date"]):
                raise ConfigError(
                    f"{first_name} and {name} are not validated and tested on the same days; set "
                    "data.panel.start and split=by_date, so that no choice moves them"
                )
            if not np.allclose(rows["actual"], others["actual"], rtol=0, atol=1e-9):
                raise ConfigError(
                    "the runs differ in what happened on the same days, so in their data"
                )
    forecasts = pd.DataFrame({name: own.days["forecast"] for name, own in joined.items()})
    return pd.concat([first.days[[*LEDGER_KEYS]], forecasts], axis=1)


def _notes(
    runs: Sequence[Run], trials: Sequence[Trial], whole: Mapping[str, Trial]
) -> tuple[str, ...]:
    """Say what is missing, and what makes the runs unlike each other."""
    notes = []
    if unfinished := _unfinished(runs):
        notes.append(unfinished)
    if len(whole) < len(trials):
        notes.append(
            f"{len(trials) - len(whole)} trials lack folds that others have; they are not ranked"
        )
    folds = next(iter(whole.values())).folds if whole else ()
    if len(folds) > 1 and len(whole) > 1:
        notes.append(
            f"trials are ranked by the validation segment of fold {folds[0]} alone, since later "
            "folds validate on test days of earlier ones"
        )
    if missing := _missing_folds(folds):
        notes.append(f"no run of fold {missing}; the joined days have a gap")
    for trial in whole.values():
        if len(trial.runs) < len(trial.folds) * len({run.seed for run in trial.runs}):
            notes.append(f"{trial.name}: some folds have fewer seeds than others")
    files = [run.record.input_sha256 for run in runs if isinstance(run, CompleteRun)]
    if any(digest != files[0] for digest in files):
        notes.append("the runs were made of different input files")
    return tuple(notes)


def _unfinished(runs: Sequence[Run]) -> str:
    """Say how many runs are not complete, and how many of them cannot be read."""
    number = sum(run.status.state not in {COMPLETE, PRUNED} for run in runs)
    if not number:
        return ""
    unreadable = sum(not run.is_readable for run in runs)
    said = f"; {unreadable} cannot be read, and count as trials looked at" if unreadable else ""
    return f"{number} of {len(runs)} runs are not complete; they are not in these figures{said}"


def _missing_folds(folds: Sequence[int]) -> str:
    """Name the folds that lie between those there are."""
    missing = sorted({*range(folds[0], folds[-1])} - {*folds}) if folds else []
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    return ", ".join(map(str, missing[:MOST_NAMED])) + more
