"""Trials: runs that differ only in seed and fold, with one joint forecast."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.forecasts import conformal_bounds, mean_forecast
from ironore_lightning.run_folder.overrides import short_names
from ironore_lightning.settings.experiment import Config
from ironore_lightning.summary.runs import RUN_KEYS, CompleteRun, Run, varying_keys

LEDGER_KEYS = ("date", "actual", "is_roll")
"""Columns of the ledger beside the trials."""

LONG_NUMBER = 8
"""Longer numbers in a trial's name are rounded."""


@dataclass(frozen=True)
class Trial:
    """One configuration, with all its seeds and folds.

    Attributes:
        name: Its settings that differ from those of other trials.
        runs: Complete runs, one for each seed and fold.
    """

    name: str
    runs: tuple[CompleteRun, ...]

    @property
    def config(self) -> Config:
        """Settings of its first run."""
        return self.runs[0].config

    @property
    def folds(self) -> tuple[int, ...]:
        """Its folds, ascending."""
        return tuple(sorted({run.fold for run in self.runs}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with runs of all folds, ascending."""
        seeds = sorted({run.seed for run in self.runs})
        return tuple(seed for seed in seeds if len(self.of_seed(seed)) == len(self.folds))

    @property
    def seconds(self) -> float:
        """Total working time of its runs, seconds."""
        return sum(run.seconds for run in self.runs)

    @property
    def num_parameters(self) -> int:
        """Trainable parameters of its network."""
        return self.runs[0].record.training.num_parameters

    def of_seed(self, seed: int) -> tuple[CompleteRun, ...]:
        """Return the runs of one seed."""
        return tuple(run for run in self.runs if run.seed == seed)


@dataclass(frozen=True, eq=False)
class Joined:
    """The forecasts of a trial: mean over seeds, fold after fold.

    Attributes:
        days: Test days in time order, as `assess` reads them, with `fold` and `segment`.
        validation: `date`, `actual` and `forecast` of the validation segment of the first fold.
            Later folds validate on test days of earlier ones.
    """

    days: pd.DataFrame
    validation: pd.DataFrame


def gather_trials(runs: Sequence[Run]) -> list[Trial]:
    """Return complete runs grouped by data and settings except seed and fold.

    They are in the order of their start. Of two runs with equal settings the first one counts.
    """
    complete = [run for run in runs if isinstance(run, CompleteRun)]
    groups: dict[str, dict[tuple[int, int], CompleteRun]] = {}
    for run in complete:
        groups.setdefault(_trial_key(run), {}).setdefault((run.seed, run.fold), run)
    keys = [key for key in varying_keys(complete) if key not in RUN_KEYS]
    trials: dict[str, Trial] = {}
    for group in groups.values():
        name = unique_name(trial_name(next(iter(group.values())), keys), {*trials, *LEDGER_KEYS})
        trials[name] = Trial(name, tuple(group.values()))
    return list(trials.values())


def trial_name(run: CompleteRun, keys: Sequence[str]) -> str:
    """Return a run's overrides of some keys as text, or else the name of its experiment."""
    parts = [
        f"{name}={_rounded(run.overrides[key])}"
        for key, name in short_names(keys).items()
        if key in run.overrides
    ]
    return ", ".join(parts) or run.config.name


def _rounded(value: str) -> str:
    """Return a long decimal number with four digits."""
    is_long = len(value) > LONG_NUMBER and re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", value)
    return f"{float(value):.4g}" if is_long else value


def unique_name(name: str, taken: Collection[str]) -> str:
    """Return the name, numbered if it is taken: rounding can make names equal."""
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name} ({number})", number + 1
    return candidate


def join_runs(runs: Sequence[CompleteRun]) -> Joined:
    """Return the mean forecast over seeds, with the folds in sequence.

    Args:
        runs: Of one trial.

    Raises:
        ConfigError: If the test segments of two folds share a day.
    """
    by_fold: dict[int, list[CompleteRun]] = {}
    for run in sorted(runs, key=lambda run: (run.fold, run.seed)):
        by_fold.setdefault(run.fold, []).append(run)
    parts = [_join_seeds(fold_runs) for fold_runs in by_fold.values()]
    days = pd.concat([part.days for part in parts], ignore_index=True)
    if not days["date"].is_monotonic_increasing or not days["date"].is_unique:
        raise ConfigError(
            f"{runs[0].folder.parent}: the test segments of the folds overlap, so they have no "
            "joint series; summarise them apart"
        )
    return Joined(days, parts[0].validation)


def _join_seeds(runs: Sequence[CompleteRun]) -> Joined:
    """Return the mean forecast over the seeds of one fold; one seed keeps its own intervals."""
    mean = mean_forecast([run.predictions for run in runs])
    if len(runs) > 1:
        config = runs[0].config
        bounds = conformal_bounds(mean, config.evaluation.adaptation, horizon=config.target.horizon)
        mean[bounds.columns] = bounds
    test = mean[mean["segment"] == "test"].assign(fold=runs[0].fold)
    validation = mean.loc[mean["segment"] == "val", ["date", "actual", "forecast"]]
    return Joined(test, validation)


def _trial_key(run: CompleteRun) -> str:
    """Return the data and settings of a run as text, without seed, fold, name and report."""
    settings = run.config.model_dump(mode="json", exclude={"seed", "name", "report"})
    settings["split"].pop("fold", None)
    return json.dumps([run.record.table_sha256, settings], sort_keys=True)
