"""The two that are compared, their shared days, and what is found on them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.errors import ConfigError, DataError, single_line
from ironore_lightning.evaluation.comparison import Duel, duel
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.forecasts import days_of
from ironore_lightning.run_folder.forecast_tables import read_predictions
from ironore_lightning.run_folder.layout import RESULTS_FILE, require_local_files
from ironore_lightning.run_folder.looks import count_look
from ironore_lightning.run_folder.record import RunRecord, require_test_days
from ironore_lightning.settings.experiment import Config
from ironore_lightning.summary.choice import scored_days
from ironore_lightning.summary.ranking import ranked_trials
from ironore_lightning.summary.runs import RUN_KEYS, read_runs
from ironore_lightning.summary.trials import join_runs

NOT_COMPARED = {"name", "report"}
"""Settings that change no forecast."""

SAME_OUTCOME = 1e-6
"""Largest difference of an outcome, per cent, that a file explains."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One of the two that are compared.

    Attributes:
        name: Its folder, or the trial.
        config: Its settings; of a trial, those of its first run.
        days: Its test days.
        num_runs: Runs whose forecasts these are.
    """

    name: str
    config: Config
    days: ScoredDays
    num_runs: int = 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two contenders on their shared days.

    Attributes:
        first: With the shared days.
        second: With the same days.
        duel: What is found on them.
        settings: By key, the values of those that differ, a column each.
        looks: Which look at these days each of them was; None where nothing is counted.
    """

    first: Contender
    second: Contender
    duel: Duel
    settings: pd.DataFrame
    looks: tuple[int | None, int | None]


def read_contender(path: Path) -> Contender:
    """Read a run, the trial that validation chose of many runs, or the trial of a name.

    Raises:
        ConfigError: If there is none, or its files are not those of finished runs.
    """
    if (path / RESULTS_FILE).exists():
        require_local_files(path)
        require_test_days(path)
        record = RunRecord.read(path)
        config = record.settings
        predictions = read_predictions(path, config.target.kind)
        return Contender(single_line(path), config, days_of(predictions, "test", config.target))
    folder, wanted = (path, None) if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        raise ConfigError(f"{path}: there is no such run, folder of runs, or trial")
    trials = ranked_trials(read_runs(folder))
    if not trials:
        raise ConfigError(f"{folder}: no run below it is complete")
    name = wanted or next(iter(trials))
    if name not in trials:
        known = "; ".join(trials)
        raise ConfigError(f"{folder}: it has no trial {name!r}; its trials are: {known}")
    trial = trials[name]
    days = scored_days(join_runs(trial.runs), trial)
    return Contender(f"{single_line(folder)}/{name}", trial.config, days, len(trial.runs))


def compare_contenders(
    first: Contender, second: Contender, *, looks: Path | None = None
) -> Comparison:
    """Compare two on the days that both forecast, and count a look of each at them.

    Raises:
        ConfigError: If they forecast different things, or share no day.
        DataError: If their outcomes of a shared day differ.
    """
    target = first.config.target
    if second.config.target != target:
        raise ConfigError(
            f"{first.name} forecasts {_what(first.config)}, and {second.name} "
            f"{_what(second.config)}; only forecasts of the same thing can be compared"
        )
    shared = first.days.dates.intersection(second.days.dates)
    if shared.empty:
        raise ConfigError(f"{first.name} and {second.name} have no test day in common")
    ours, theirs = (_on_days(contender, shared) for contender in (first, second))
    _require_same_outcomes(ours, theirs)
    counted = tuple(count_look(looks, side.days, what=side.name) for side in (ours, theirs))
    return Comparison(
        ours,
        theirs,
        duel(ours.days, theirs.days.forecast),
        _differences(first, second),
        (counted[0], counted[1]),
    )


def _on_days(contender: Contender, dates: pd.DatetimeIndex) -> Contender:
    rows = contender.days.frame
    kept = rows[rows["date"].isin(dates)].reset_index(drop=True)
    return replace(contender, days=replace(contender.days, frame=kept))


def _require_same_outcomes(ours: Contender, theirs: Contender) -> None:
    differ = np.abs(ours.days.actual - theirs.days.actual) > SAME_OUTCOME
    if differ.any():
        row = int(differ.argmax())
        raise DataError(
            f"{ours.name} and {theirs.name} disagree on what happened on "
            f"{ours.days.dates[row]:%Y-%m-%d} ({ours.days.actual[row]:g} and "
            f"{theirs.days.actual[row]:g} {ours.days.unit}, {differ.sum()} days in all); they were "
            "run on different data"
        )


def _what(config: Config) -> str:
    target = config.target
    return f"the {target.kind} of {target.series} over {target.horizon} day(s)"


def _flat(config: Config) -> pd.Series:
    """Return the settings of a run by their dotted keys."""
    return pd.json_normalize(config.model_dump(mode="json", exclude=NOT_COMPARED)).iloc[0]


def _differences(first: Contender, second: Contender) -> pd.DataFrame:
    """Return the settings that differ, by their dotted keys; a key of one only is a dash.

    Seed and fold are left out of a trial that has several.
    """
    table = pd.DataFrame(
        {side: _flat(contender.config) for side, contender in (("A", first), ("B", second))}
    )
    text = table.where(table.notna(), "–").astype(str)
    if max(first.num_runs, second.num_runs) > 1:
        text = text.drop(index=[*RUN_KEYS], errors="ignore")
    return text[text["A"] != text["B"]].rename_axis("setting")
