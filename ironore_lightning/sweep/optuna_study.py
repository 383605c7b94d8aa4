"""The Optuna study of a search, kept in the folder of the sweep."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ironore_lightning.errors import ConfigError, RunPruned, missing_extra
from ironore_lightning.files import short_reason
from ironore_lightning.run_folder.status import COMPLETE, PRUNED, Status
from ironore_lightning.sweep.sweeper import MAX_RUNS

try:
    import optuna
    from optuna.distributions import BaseDistribution, distribution_to_json
    from optuna.exceptions import StorageInternalError
    from optuna.trial import Trial, TrialState
    from optuna_integration import PyTorchLightningPruningCallback
    from sqlalchemy.pool import NullPool
except ImportError as error:
    raise ConfigError(f"hydra/sweeper: {missing_extra('Optuna', 'search')}") from error

if TYPE_CHECKING:
    from lightning import LightningModule, Trainer

FILE = "study.db"
NAME = "search"
SPACE = "space"
ERROR = "error"

KEPT = ("sampler", "seed", "pruner", "startup_trials", "warmup_epochs")
"""Settings that must stay when a search continues; n_trials and n_jobs may change."""

LARGEST_VALUE = 2**20
"""Most bytes of one value of the study."""

LOCK_SECONDS = 60
"""Seconds that a process waits while another one writes to the study."""


class SearchSettings(BaseModel):
    """Settings of a search; their values are in `conf/hydra/sweeper/optuna.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    n_trials: int = Field(ge=1)
    """Total number of trials, including those of earlier commands in the same folder."""
    n_jobs: int = Field(ge=1, le=MAX_RUNS)
    """Trials handed to the launcher at once."""
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "hyperband", "none"]
    seed: int = Field(ge=0)
    """Seed of the sampler."""
    startup_trials: int = Field(ge=0)
    """Random trials, never pruned, before the sampler uses their results."""
    warmup_epochs: int = Field(ge=0)
    """Epochs before a trial may be pruned by the median."""
    params: dict[str, Any]
    """Intervals, ranges and choices by setting, as Hydra writes them."""
    trial: int | None
    """Number of the trial that a job runs; None in the command that starts the jobs."""


def read_settings(node: Mapping[str, Any]) -> SearchSettings:
    """Validate the settings of a search in Hydra's `sweeper` node.

    Raises:
        ConfigError: If a setting is wrong.
    """
    plain = {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in node.items()
        if key != "_target_"
    }
    try:
        return SearchSettings.model_validate(plain)
    except ValidationError as error:
        lines = [
            f"hydra.sweeper.{'.'.join(map(str, mistake['loc']))}: "
            f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}, got {mistake['input']!r}"
            for mistake in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None


class Pruning(PyTorchLightningPruningCallback):  # type: ignore[misc]  # it has no types
    """Report the monitor after every epoch, and raise `RunPruned` when it is unpromising.

    Args:
        trial: Of the study.
        monitor: What the study makes small.
        known_epochs: Epochs that the trial reported before it was cut off. They are not reported
            again, and not judged: Optuna would look at the last one of them.
    """

    def __init__(self, trial: Trial, monitor: str, *, known_epochs: int) -> None:
        """Prune by `monitor`."""
        super().__init__(trial, monitor)
        self.known_epochs = known_epochs

    def on_validation_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Report to the study unless it knows the epoch."""
        if trainer.current_epoch < self.known_epochs:
            return
        try:
            super().on_validation_end(trainer, pl_module)
        except optuna.TrialPruned:
            raise RunPruned(
                f"pruned after epoch {trainer.current_epoch + 1}: other trials were better by then"
            ) from None


def open_study(
    folder: Path,
    settings: SearchSettings,
    space: Mapping[str, BaseDistribution],
    fixed: Sequence[str],
) -> optuna.Study:
    """Open or create the study of a folder; interrupted trials are queued to run again.

    Args:
        folder: Of the sweep.
        settings: How the search goes.
        space: What may vary.
        fixed: Overrides that all trials share.

    Raises:
        ConfigError: If it searches another space, or with other settings beside it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = _storage(folder)
    study = optuna.create_study(
        study_name=NAME, storage=storage, pruner=_pruner(settings), load_if_exists=True
    )
    # A sampler restarted with its old seed would repeat its proposals.
    study.sampler = _sampler(settings, offset=len(study.trials))
    wanted = {key: distribution_to_json(values) for key, values in space.items()}
    wanted |= dict(override.partition("=")[::2] for override in fixed)
    wanted |= {f"hydra.sweeper.{key}": str(getattr(settings, key)) for key in KEPT}
    _require_same_search(study, wanted, folder)
    study_id = storage.get_study_id_from_name(NAME)
    for trial in study.trials:
        if trial.state == TrialState.RUNNING:
            trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
            storage.set_trial_state_values(trial_id, TrialState.WAITING)
    return study


@contextmanager
def study_errors(folder: Path) -> Iterator[None]:
    """Turn any error of Optuna or SQLite into one line on the study's file.

    Raises:
        ConfigError: If the file is none, is damaged, or cannot be written.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = short_reason(getattr(cause, "orig", cause))
        raise ConfigError(f"{folder / FILE}: cannot be used as a study: {reason}") from None


def ask(
    study: optuna.Study, settings: SearchSettings, space: Mapping[str, BaseDistribution]
) -> list[Trial]:
    """Return the next trials: waiting ones first, then new ones, until there are `n_trials`."""
    waiting = sum(trial.state == TrialState.WAITING for trial in study.trials)
    new = max(settings.n_trials - len(study.trials), 0)
    return [study.ask(dict(space)) for _ in range(min(settings.n_jobs, waiting + new))]


def tell(study: optuna.Study, trial: Trial, status: Status) -> None:
    """Report the end of a trial to the study."""
    if status.state == COMPLETE:
        study.tell(trial, status.objective)
    elif status.state == PRUNED:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        trial.set_user_attr(ERROR, status.error or status.state)
        study.tell(trial, state=TrialState.FAIL)


def pruning(folder: Path, number: int, settings: SearchSettings, monitor: str) -> Pruning:
    """Return the callback that asks the study after each epoch whether to prune the trial."""
    with study_errors(folder):
        storage = _storage(folder)
        study = optuna.load_study(study_name=NAME, storage=storage, pruner=_pruner(settings))
        study_id = storage.get_study_id_from_name(NAME)
        trial = Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))
        known_epochs = len(study.trials[number].intermediate_values)
    return Pruning(trial, monitor, known_epochs=known_epochs)


def _require_same_search(study: optuna.Study, wanted: dict[str, str], folder: Path) -> None:
    written = study.user_attrs.get(SPACE, wanted)
    names = {str(key): str(value) for key, value in written.items()}
    changed = sorted(key for key in {*wanted, *names} if wanted.get(key) != names.get(key))
    if changed:
        raise ConfigError(
            f"{folder} holds a search that differs in {short_reason(', '.join(changed))}; choose "
            "another hydra.sweep.dir"
        )
    study.set_user_attr(SPACE, wanted)


def _storage(folder: Path) -> optuna.storages.RDBStorage:
    # SQLite frees its locks with the process that held them, however that ended. A path inside
    # the URL would have to be free of its signs.
    engine = {"creator": partial(_connect, folder / FILE), "poolclass": NullPool}
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database without its views, which may be endless, and triggers."""
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    connection.set_authorizer(_allow_tables)
    return connection


def _allow_tables(action: int, *arguments: str | None) -> int:
    """Deny what a view or trigger asks for; its name is the last argument."""
    is_allowed = arguments[-1] is None and action != sqlite3.SQLITE_RECURSIVE
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


def _sampler(settings: SearchSettings, *, offset: int) -> optuna.samplers.BaseSampler:
    seed = settings.seed + offset
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=settings.startup_trials)


def _pruner(settings: SearchSettings) -> optuna.pruners.BasePruner:
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.MedianPruner(
        n_startup_trials=settings.startup_trials, n_warmup_steps=settings.warmup_epochs
    )
