"""Read all runs below a folder, in any state."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from ironore_lightning.errors import ConfigError, MachineError, single_line
from ironore_lightning.evaluation.forecasts import days_of
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.run_folder.forecast_tables import read_predictions
from ironore_lightning.run_folder.layout import RESULTS_FILE, STATUS_FILE, require_local_files
from ironore_lightning.run_folder.overrides import read_overrides
from ironore_lightning.run_folder.record import RunRecord, read_refit, require_test_days
from ironore_lightning.run_folder.status import COMPLETE, FAILED, INTERRUPTED, Status, read_status
from ironore_lightning.settings.experiment import Config
from ironore_lightning.settings.samples import WalkForwardSplit

RUN_KEYS = ("seed", "split.fold")
"""Settings in which the runs of one trial differ."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder.

    Attributes:
        folder: Of the run.
        name: Path below the summarised folder.
        status: State of the run.
        overrides: Settings of its command line, by key; empty if unknown.
        is_readable: Whether its files can be read.
    """

    folder: Path
    name: str
    status: Status
    overrides: dict[str, str]
    is_readable: bool = field(default=True, kw_only=True)

    @property
    def seconds(self) -> float | None:
        """Working time, seconds; None if unknown."""
        return self.status.seconds


@dataclass(frozen=True, eq=False)
class CompleteRun(Run):
    """A run with all its results.

    Attributes:
        record: Settings, facts of the fit and inputs.
        predictions: Forecasts of the model.
    """

    record: RunRecord
    predictions: pd.DataFrame

    @property
    def config(self) -> Config:
        """Its settings."""
        return self.record.settings

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seed

    @property
    def fold(self) -> int:
        """Fold of a walk-forward; 0 for any other split."""
        split = self.config.split
        return split.fold if isinstance(split, WalkForwardSplit) else 0

    @property
    def seconds(self) -> float:
        """Working time, seconds; of the fit alone if the total is unknown."""
        kept = self.status.seconds
        return self.record.training.seconds if kept is None else kept

    @cached_property
    def validation(self) -> Scores:
        """Scores on the validation segment."""
        return evaluate(days_of(self.predictions, "val", self.config.target))


def read_runs(folder: Path) -> list[Run]:
    """Return every run below a folder, in the order of their start.

    Raises:
        ConfigError: If there is no run.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder")
    run_paths = run_folders(folder)
    if not run_paths:
        require_test_days(folder)
        raise ConfigError(f"{folder}: there is no run below this folder")
    runs = [_read_run(path, folder) for path in run_paths]
    return sorted(runs, key=lambda run: (run.status.started or "", run.name))


def run_folders(folder: Path) -> set[Path]:
    """Return the folders of all runs below a folder; a refit is no run."""
    paths = {path.parent for name in (STATUS_FILE, RESULTS_FILE) for path in folder.rglob(name)}
    return {path for path in paths if not _is_refit(path)}


def _is_refit(folder: Path) -> bool:
    with suppress(OSError, ValueError, MachineError):  # `_read_run` tells why it cannot be read
        require_local_files(folder)
        return read_refit(folder) is not None
    return False


def varying_keys(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the keys that the runs' command lines set to different values, sorted."""
    keys = sorted({key for run in runs for key in run.overrides})
    return tuple(key for key in keys if len({run.overrides.get(key) for run in runs}) > 1)


def _read_run(folder: Path, top: Path) -> Run:
    run = Run(folder, single_line(folder.relative_to(top)), Status(INTERRUPTED), {})
    try:
        require_local_files(folder)
        run = replace(run, overrides=_overrides(folder))
        status = read_status(folder)
        run = replace(run, status=replace(status, error=status.error and single_line(status.error)))
        if status.state == COMPLETE or not (folder / STATUS_FILE).exists():
            run = _read_complete(run)
    except (OSError, ValueError, MachineError) as error:
        reason = f"its results cannot be read: {single_line(error)}"
        failed = Status(FAILED, error=reason, exit_status=1)
        run = replace(run, status=failed, is_readable=False)
    return run


def _read_complete(run: Run) -> CompleteRun:
    record = RunRecord.read(run.folder)
    status = run.status
    if status.state != COMPLETE:  # an old version wrote no status
        status = Status(COMPLETE, objective=record.training.best_score)
    predictions = read_predictions(run.folder, record.settings.target.kind)
    return CompleteRun(run.folder, run.name, status, run.overrides, record, predictions)


def _overrides(folder: Path) -> dict[str, str]:
    if not (folder / ".hydra" / "overrides.yaml").exists():
        return {}
    pairs = (single_line(line).lstrip("+").partition("=") for line in read_overrides(folder))
    return {key: value for key, _, value in pairs}
