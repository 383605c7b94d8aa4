"""What many runs are worth together: ranked by validation, the best tested, looking paid for."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.assessment import Assessment, Block, assess, skill_years
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.evaluation.selection import Discount, discount_for_looking
from ironore_lightning.evaluation.verdict import direction_label, direction_sentence
from ironore_lightning.status import COMPLETE, FAILED, PRUNED
from ironore_lightning.sweep.runs import Run, read_runs
from ironore_lightning.sweep.trials import Joined, Trial, gather_trials, join

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
            NaN with one), `num_runs`, `num_seeds`, `num_folds`, `seconds`, `num_parameters`.
        ranked_by: What `validation` is.
        ledger: A row a test day: `date`, `actual`, `is_roll`, and the forecast of each ranked
            trial, NaN where it has none.
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
    most = max((len(trial.folds) for trial in trials), default=0)
    whole = {trial.name: trial for trial in trials if len(trial.folds) == most}
    joined = {name: join(trial.runs) for name, trial in whole.items()}
    ranked_by = _ranked_by(list(whole.values()))
    ranking = _rank(whole, joined, ranked_by)
    notes = _notes(runs, trials, whole)
    choice, ledger = None, pd.DataFrame()
    try:
        ledger = _ledger(whole, joined, list(ranking["trial"]))
        sentence = "No run is complete, so there is nothing to judge."
        if not ranking.empty:
            best = str(ranking["trial"].iloc[0])
            num_trials = len(trials) + sum(run.status.state == PRUNED for run in runs)
            choice = _choose(whole[best], joined[best], ledger, num_trials=num_trials)
            assessment = choice.assessment
            sentence = f"{direction_sentence(assessment.scores)} {assessment.evidence.sentence}"
    except ConfigError as error:
        sentence = f"No best can be named: {error}."
    return Summary(folder, runs, trials, ranking, ranked_by, ledger, choice, notes, sentence)


def _choose(trial: Trial, joined: Joined, ledger: pd.DataFrame, *, num_trials: int) -> Choice:
    """Open the test days of the chosen trial, and discount them for all the others."""
    target, settings = trial.config.target, trial.config.evaluation
    common = ledger.dropna()
    forecasts = common.drop(columns=["date", "actual", "is_roll"])
    discount = discount_for_looking(
        common["actual"].to_numpy(np.float64),
        {str(name): one.to_numpy(np.float64) for name, one in forecasts.items()},
        chosen=trial.name,
        num_trials=num_trials,
        is_roll=common["is_roll"].to_numpy(dtype=bool),
        kind=target.kind,
        horizon=target.horizon,
        reps=settings.bootstrap_repetitions,
        seed=settings.bootstrap_seed,
    )
    scores = evaluate(joined.days, kind=target.kind)
    assessment = assess(
        joined.days,
        joined.baselines,
        joined.density,
        settings,
        kind=target.kind,
        horizon=target.horizon,
        label=direction_label(scores, trial.config.thresholds),
        discount=discount,
    )
    seeds = trial.seeds if len(trial.seeds) > 1 else ()
    by_seed = {seed: evaluate(join(trial.of_seed(seed)).days, kind=target.kind) for seed in seeds}
    return Choice(trial, joined, assessment, discount, by_seed, skill_years(joined.days))


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


def _rank(
    trials: Mapping[str, Trial], joined: Mapping[str, Joined], ranked_by: str
) -> pd.DataFrame:
    """Order trials by validation, smallest first."""
    rows = []
    for name, trial in trials.items():
        by_seed = [
            float(np.mean([run.status.objective for run in trial.of_seed(seed)]))
            for seed in trial.seeds
        ]
        mean = float(np.mean([run.status.objective for run in trial.runs]))
        if ranked_by == BY_ERROR:
            rows_of_val = joined[name].validation
            mean = float(((rows_of_val["actual"] - rows_of_val["forecast"]) ** 2).mean() ** 0.5)
        rows.append(
            {
                "trial": name,
                "validation": mean,
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


def _ledger(
    trials: Mapping[str, Trial], joined: Mapping[str, Joined], order: Sequence[str]
) -> pd.DataFrame:
    """Put the test forecasts of all trials side by side.

    Raises:
        ConfigError: If two trials do not forecast the same thing.
    """
    targets = {trial.config.target.model_dump_json() for trial in trials.values()}
    if len(targets) > 1:
        raise ConfigError("the runs differ in their target, so they forecast different things")
    frames = [
        joined[name]
        .days[["date", "actual", "is_roll", "forecast"]]
        .rename(
            columns={"actual": f"actual {number}", "is_roll": f"is_roll {number}", "forecast": name}
        )
        for number, name in enumerate(order)
    ]
    if not frames:
        return pd.DataFrame(columns=["date", "actual", "is_roll"])
    merged = reduce(lambda one, other: one.merge(other, on="date", how="outer"), frames)
    merged = merged.sort_values("date", ignore_index=True)
    actual = merged[[f"actual {number}" for number in range(len(order))]]
    if not np.allclose(actual.max(axis=1), actual.min(axis=1), rtol=0, atol=1e-9):
        raise ConfigError("the runs differ in what happened on the same days, so in their data")
    is_roll = merged[[f"is_roll {number}" for number in range(len(order))]]
    known = pd.DataFrame(
        {
            "date": merged["date"],
            "actual": actual.bfill(axis=1).iloc[:, 0],
            "is_roll": is_roll.bfill(axis=1).iloc[:, 0].astype(bool),
        }
    )
    return pd.concat([known, merged[list(order)]], axis=1)


def _notes(
    runs: Sequence[Run], trials: Sequence[Trial], whole: Mapping[str, Trial]
) -> tuple[str, ...]:
    """Say what is missing, and what makes the runs unlike each other."""
    notes = []
    unfinished = [run for run in runs if run.status.state not in {COMPLETE, PRUNED}]
    if unfinished:
        notes.append(
            f"{len(unfinished)} of {len(runs)} runs are not complete; they are not in these figures"
        )
    if len(whole) < len(trials):
        notes.append(
            f"{len(trials) - len(whole)} trials lack folds that others have; they are not ranked"
        )
    for trial in whole.values():
        if len(trial.runs) < len(trial.folds) * len({run.seed for run in trial.runs}):
            notes.append(f"{trial.name}: some folds have fewer seeds than others")
    tables = {json.dumps(_inputs(run), sort_keys=True) for run in runs if run.results}
    if len(tables) > 1:
        notes.append("the runs were made of different input files")
    return tuple(notes)


def _inputs(run: Run) -> object:
    path = run.folder / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8"))["input_sha256"] if path.exists() else None
