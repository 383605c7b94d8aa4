"""Rank trials by validation, and assess the best on its test days, corrected for the search."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.evaluation.selection import discount_for_search
from ironore_lightning.run_folder.status import COMPLETE, FAILED, PRUNED
from ironore_lightning.summary.choice import Choice, assess_choice, scored_days
from ironore_lightning.summary.runs import CompleteRun, Run, read_runs
from ironore_lightning.summary.trials import LEDGER_KEYS, Joined, Trial, gather_trials, join_runs

MAX_NAMED_FOLDS = 12
"""Most missing folds that are named."""

BY_ERROR = "validation RMSE"
"""Ranks trials whose objectives are different losses."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Results of all runs in a folder.

    Attributes:
        folder: The folder.
        runs: All runs, in the order of their start.
        trials: Of the complete runs.
        ranking: One row per trial, best validation first: `trial`, `validation`, `spread` (over
            seeds, NaN with one), `num_runs`, `num_seeds`, `num_folds`, `seconds`,
            `num_parameters`. A walk-forward is ranked by its first fold: later ones validate on
            earlier test days.
        ranked_by: Name of the quantity in `validation`.
        ledger: One row per test day: `date`, `actual`, `is_roll`, and the forecast of each ranked
            trial.
        choice: None if trials cannot be compared.
        notes: Missing runs, and differences between runs.
        sentence: The verdict.
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
        """Number of runs in each state, in words."""
        states = Counter(run.status.state for run in self.runs)
        parts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        return f"{len(self.runs)} runs: {parts}"

    @property
    def worst_exit_status(self) -> int:
        """The largest exit status of a failed run; 0 if none failed."""
        failed = [run.status for run in self.runs if run.status.state == FAILED]
        return max((status.exit_status or 1 for status in failed), default=0)


def summarize(folder: Path, *, looks: Path | None = None) -> Summary:
    """Return the summary of the runs below a folder.

    Args:
        folder: Where the runs are.
        looks: Ledger that counts the look at the test days of the chosen trial.

    Raises:
        ConfigError: If there is no run.
    """
    runs = read_runs(folder)
    trials = gather_trials(runs)
    whole = _whole(trials)
    ranked_by = _ranked_by(list(whole.values()))
    ranking = _rank(whole, ranked_by)
    notes = _notes(runs, trials, whole)
    choice, ledger = None, pd.DataFrame(columns=[*LEDGER_KEYS])
    # Pruned and unreadable runs are trials, too.
    unranked = [run.status.state == PRUNED or not run.is_readable for run in runs]
    num_trials = len(trials) + sum(unranked)
    try:
        joined = {name: join_runs(whole[name].runs) for name in ranking["trial"]}
        ledger = _ledger(whole, joined)
    except ConfigError as error:
        sentence = f"No best can be named: {error}."
    else:
        try:
            choice = _choose(whole, joined, ledger, num_trials=num_trials, looks=looks)
            sentence = choice.assessment.verdict
            notes += choice.left_out
        except (ConfigError, DataError) as error:
            reason = str(error).rstrip(".?")
            sentence = f"Validation chose {next(iter(joined))}, which cannot be assessed: {reason}."
    if not trials:
        sentence = "No run is complete, so there is nothing to judge."
    return Summary(folder, runs, trials, ranking, ranked_by, ledger, choice, notes, sentence)


def ranked_trials(runs: Sequence[Run]) -> dict[str, Trial]:
    """Return the trials with all folds by name, in the order of validation, the best first."""
    whole = _whole(gather_trials(runs))
    ranking = _rank(whole, _ranked_by(list(whole.values())))
    return {name: whole[name] for name in ranking["trial"]}


def _whole(trials: Sequence[Trial]) -> dict[str, Trial]:
    """Return the trials that have all the folds that there are, by name."""
    folds = {fold for trial in trials for fold in trial.folds}
    return {trial.name: trial for trial in trials if set(trial.folds) == folds}


def _choose(
    trials: Mapping[str, Trial],
    joined: Mapping[str, Joined],
    ledger: pd.DataFrame,
    *,
    num_trials: int,
    looks: Path | None,
) -> Choice:
    """Return the test results of the first trial, corrected for all the others."""
    name, chosen = next(iter(joined.items()))
    discount = discount_for_search(
        scored_days(chosen, trials[name]),
        {other: ledger[other].to_numpy(np.float64) for other in joined},
        chosen=name,
        num_trials=num_trials,
    )
    return assess_choice(trials[name], chosen, discount, looks=looks)


def _ranked_by(trials: Sequence[Trial]) -> str:
    """Return what ranks trials: the objective, if it is the same quantity for all."""
    objectives = {
        (
            trial.config.monitor,
            # Losses depend on the network; the other monitors are errors in per cent.
            (trial.config.model.head, trial.config.training.loss)
            if trial.config.monitor == "val/loss"
            else None,
        )
        for trial in trials
    }
    return next(iter(objectives))[0] if len(objectives) == 1 else BY_ERROR


def _rank(trials: Mapping[str, Trial], ranked_by: str) -> pd.DataFrame:
    """Return the trials by validation of their first fold, smallest first."""
    rows = []
    for name, trial in trials.items():
        first = [run for run in trial.runs if run.fold == trial.folds[0]]
        by_seed = [validation_objective(run, ranked_by) for run in first]
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


def validation_objective(run: Run, ranked_by: str) -> float:
    """Return the quantity that ranks a run; NaN if it is unknown."""
    if ranked_by != BY_ERROR:
        return math.nan if run.status.objective is None else run.status.objective
    if not isinstance(run, CompleteRun):
        return math.nan
    return run.validation.rmse


def _ledger(trials: Mapping[str, Trial], joined: Mapping[str, Joined]) -> pd.DataFrame:
    """Return the test forecasts of all trials by day.

    Raises:
        ConfigError: If there is no trial, or if targets, days or outcomes differ.
    """
    targets = {trials[name].config.target.model_dump_json() for name in joined}
    if len(targets) > 1:
        raise ConfigError("the runs differ in their target, so they forecast different things")
    if not joined:
        raise ConfigError("no trial has all the folds that there are")
    first_name, first = next(iter(joined.items()))
    for name, other in joined.items():
        for rows, others in ((first.days, other.days), (first.validation, other.validation)):
            if list(rows["date"]) != list(others["date"]):
                raise ConfigError(
                    f"{first_name} and {name} are not validated and tested on the same days; set "
                    "data.panel.start and split=by_date, so that no choice moves them"
                )
            if not np.allclose(rows["actual"], others["actual"], rtol=0, atol=1e-9):
                raise ConfigError(
                    "the runs differ in what happened on the same days, so in their data"
                )
    forecasts = pd.DataFrame({name: trial.days["forecast"] for name, trial in joined.items()})
    return pd.concat([first.days[[*LEDGER_KEYS]], forecasts], axis=1)


def _notes(
    runs: Sequence[Run], trials: Sequence[Trial], whole: Mapping[str, Trial]
) -> tuple[str, ...]:
    """Return notes on missing runs and on differences between runs."""
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
    """Return a note on runs that are not complete; empty if all are."""
    number = sum(run.status.state not in {COMPLETE, PRUNED} for run in runs)
    if not number:
        return ""
    unreadable = sum(not run.is_readable for run in runs)
    note = f"; {unreadable} cannot be read, and count as trials looked at" if unreadable else ""
    return f"{number} of {len(runs)} runs are not complete; they are not in these figures{note}"


def _missing_folds(folds: Sequence[int]) -> str:
    """Return the missing folds between the first and the last one, as text."""
    missing = sorted({*range(folds[0], folds[-1])} - {*folds}) if folds else []
    more = f" and {len(missing) - MAX_NAMED_FOLDS} more" if len(missing) > MAX_NAMED_FOLDS else ""
    return ", ".join(map(str, missing[:MAX_NAMED_FOLDS])) + more
