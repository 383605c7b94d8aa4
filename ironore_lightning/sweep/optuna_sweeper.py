"""The Optuna sweeper: search space, trials, pruning."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from hydra.utils import to_absolute_path

from ironore_lightning.errors import ConfigError
from ironore_lightning.run_folder.status import COMPLETE, PRUNED
from ironore_lightning.sweep.jobs import require_right_jobs
from ironore_lightning.sweep.progress import sweep_progress
from ironore_lightning.sweep.sweeper import (
    RunSweeper,
    job_status,
    launch,
    require_none_refused,
)

if TYPE_CHECKING:
    from lightning import Callback
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

log = logging.getLogger(__name__)

UNSEARCHABLE = {
    "seed": "the luckiest seed says nothing of the next; run several seeds of the best settings",
    "monitor": "trials that minimise different things have no best",
    "split": "trials of different days have no best; search on one, then walk forward behind it",
    "target": "trials that forecast different things have no best",
    "data": "trials on different data have no best",
    "evaluation": "it judges trials, and makes none better",
    "thresholds": "it judges trials, and makes none better",
    "hardware": "it changes how fast a trial is, and not how good",
    "name": "it changes nothing",
    "report": "it changes nothing",
    "training.loss": "it is the objective itself; with monitor=val/rmse it may be searched",
    "model.head": "its loss is the objective itself; with monitor=val/rmse it may be searched",
}
"""Settings that a search must not choose, and why."""

LOSS_SETTINGS = {"training.loss", "model.head"}


class OptunaSweeper(RunSweeper):
    """Runs trials that Optuna proposes until there are `n_trials`; each trial is a run."""

    __module__ = "hydra_plugins.ironore_lightning"  # Hydra accepts no other package

    def __init__(self, **settings: object) -> None:
        """Keep the settings; Hydra would wrap an error raised here in one of its own."""
        self.given = settings

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has `n_trials`.

        Raises:
            ConfigError: If Optuna is missing, a setting or the space is wrong, or the study in the
                folder has another space.
        """
        from ironore_lightning.sweep.optuna_study import read_settings

        self.settings = read_settings(self.given)
        params = [f"{key}={value}" for key, value in self.settings.params.items()]
        latest = {item.get_key_element(): item for item in self.parse([*params, *arguments])}
        fixed = [str(item.input_line) for item in latest.values() if not item.is_sweep_override()]
        space = search_space(
            [item for item in latest.values() if item.is_sweep_override()],
            monitor=str(self.config.monitor),
        )
        require_right_jobs([fixed], self.composer)
        with self.locked() as folder:
            self._run_trials(folder, space, sorted(fixed))

    def _run_trials(
        self, folder: Path, space: Mapping[str, "BaseDistribution"], fixed: Sequence[str]
    ) -> None:
        from ironore_lightning.sweep.optuna_study import open_study, study_errors

        with study_errors(folder):
            study = open_study(folder, self.settings, space, fixed)
            done = sum(trial.state.is_finished() for trial in study.trials)
        total, monitor = self.settings.n_trials, str(self.config.monitor)
        with sweep_progress(total=total, done=done, keys=space, monitor=monitor) as progress:
            while self._run_batch(study, folder, space, fixed, progress.report):
                pass
        with study_errors(folder):
            _report(study)

    def _run_batch(
        self,
        study: "Study",
        folder: Path,
        space: Mapping[str, "BaseDistribution"],
        fixed: Sequence[str],
        on_end: Callable[[JobReturn], None],
    ) -> bool:
        """Run the next trials, and return whether there were any."""
        from ironore_lightning.sweep.optuna_study import ask, study_errors, tell

        with study_errors(folder):
            trials = ask(study, self.settings, space)
        if not trials:
            return False
        batch = [[*fixed, *_overrides(trial, space)] for trial in trials]
        self.validate_batch_is_legal(batch)
        results = launch(self.launcher, batch, first=trials[0].number, on_end=on_end)
        with study_errors(folder):
            for trial, result in zip(trials, results, strict=True):
                tell(study, trial, job_status(result))
        require_none_refused(results)
        return True


def search_space(overrides: Sequence[Override], *, monitor: str) -> dict[str, "BaseDistribution"]:
    """Return the search space of overrides: `choice`, `range`, `interval` or `tag(log, interval)`.

    Args:
        overrides: The sweeps.
        monitor: Metric that the search minimizes.

    Raises:
        ConfigError: If the space is empty or holds a setting that a search must not choose.
    """
    space: dict[str, BaseDistribution] = {}
    for override in overrides:
        key = override.get_key_element()
        _require_searchable(key, monitor)
        space[key] = _distribution(key, override)
    if not space:
        raise ConfigError(
            "hydra.sweeper.params: there is nothing to search; give a setting an interval, a range "
            "or a choice, as in 'training.learning_rate=tag(log, interval(1e-4, 1e-2))'"
        )
    return space


def _require_searchable(key: str, monitor: str) -> None:
    name = key.lstrip("+")
    for refused, reason in UNSEARCHABLE.items():
        is_below = name == refused or name.startswith(f"{refused}.")
        if is_below and not (refused in LOSS_SETTINGS and monitor != "val/loss"):
            raise ConfigError(f"{key}: a search may not choose it: {reason}")


def _distribution(key: str, override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution

    sweep = override.value()
    try:
        if override.is_choice_sweep():
            return CategoricalDistribution(list(override.sweep_string_iterator()))
        return _range(sweep) if isinstance(sweep, RangeSweep) else _interval(sweep)
    except ValueError as error:
        raise ConfigError(f"{key}: cannot be searched: {error}") from None


def _range(sweep: RangeSweep) -> "BaseDistribution":
    from optuna.distributions import IntDistribution

    values = sweep.range()
    if not isinstance(values, range):
        raise ValueError("a range of fractions is better an interval or a choice")
    if not values:
        raise ValueError("there is no value in it")
    if sweep.tags:
        raise ValueError("a range takes no tag; log is for an interval")
    return IntDistribution(values[0], values[-1], step=values.step)


def _interval(sweep: object) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    assert isinstance(sweep, IntervalSweep)
    assert sweep.start is not None
    assert sweep.end is not None
    if not math.isfinite(sweep.end - sweep.start):
        raise ValueError("an interval needs two finite ends")
    if unknown := sweep.tags - {"log"}:
        raise ValueError(f"there is no tag {', '.join(sorted(unknown))}, only log")
    is_log = "log" in sweep.tags
    if isinstance(sweep.start, int) and isinstance(sweep.end, int):
        return IntDistribution(sweep.start, sweep.end, log=is_log)
    return FloatDistribution(float(sweep.start), float(sweep.end), log=is_log)


def _overrides(trial: "Trial", space: Mapping[str, "BaseDistribution"]) -> list[str]:
    """Return the overrides of a trial: its values, folder and number."""
    values = [f"{key}={trial.params[key]}" for key in space]
    own = [f"hydra.sweep.subdir=trial_{trial.number}", f"hydra.sweeper.trial={trial.number}"]
    return [*values, *own]


def _report(study: "Study") -> None:
    states = [trial.state.name.lower() for trial in study.trials]
    counts = [
        f"{states.count(state)} {word}"
        for state, word in (("complete", COMPLETE), ("pruned", PRUNED), ("fail", "failed"))
    ]
    log.info("trials: %s", ", ".join(counts))


def pruning_callbacks(monitor: str) -> list["Callback"]:
    """Return the pruning callback of a job that is a trial of a search, or nothing.

    Args:
        monitor: Metric that the search minimizes.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN or hydra.sweeper.get("trial") is None:
        return []
    from ironore_lightning.sweep.optuna_study import pruning, read_settings

    settings = read_settings(hydra.sweeper)
    if settings.pruner == "none" or settings.trial is None:
        return []
    folder = Path(to_absolute_path(hydra.sweep.dir))
    return [pruning(folder, settings.trial, settings, monitor)]
