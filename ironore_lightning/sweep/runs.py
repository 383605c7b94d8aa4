"""The runs below a folder, as their files tell: complete, failed, pruned, running, interrupted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from pydantic import BaseModel

from ironore_lightning.config.experiment import Config
from ironore_lightning.config.samples import WalkForwardSplit
from ironore_lightning.errors import ConfigError, MachineError
from ironore_lightning.predictions import Forecasts, read_forecasts
from ironore_lightning.record import read_json, readable
from ironore_lightning.status import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    RESULTS_FILE,
    STATUS_FILE,
    Status,
    read_status,
    require_own_files,
)

RUN_KEYS = ("seed", "split.fold")
"""What tells the runs of one trial apart."""


class Training(BaseModel):
    """How the fit of a complete run went."""

    num_parameters: int
    seconds: float
    best_score: float


class TestScores(BaseModel):
    """What a complete run reached on its test segment; None where undefined."""

    rmse: float
    direction_accuracy: float | None
    r2_zero: float | None


class Evaluation(BaseModel):
    """What is read of a run's evaluation."""

    scores: TestScores


class Results(BaseModel):
    """What is read of `final_results.json`."""

    settings: Config
    training: Training
    evaluation: Evaluation


class Sources(BaseModel):
    """What a run was made of, of `provenance.json`.

    Attributes:
        input_sha256: Digests of the raw files, by name.
        table_sha256: Digest of the table that was cut into samples.
    """

    input_sha256: dict[str, str]
    table_sha256: str


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder.

    Attributes:
        folder: Where it is.
        name: Its path below the folder that is summarised.
        status: How far it is.
        overrides: What its command line set, by key; empty where that was not kept.
    """

    folder: Path
    name: str
    status: Status
    overrides: dict[str, str]

    @property
    def seconds(self) -> float | None:
        """Time that processes worked on it."""
        return self.status.seconds


@dataclass(frozen=True, eq=False)
class CompleteRun(Run):
    """A run with all its results.

    Attributes:
        results: Its settings and scores.
        sources: What it was made of.
        forecasts: Of the model and of the baselines.
    """

    results: Results
    sources: Sources
    forecasts: Forecasts

    @property
    def config(self) -> Config:
        """Its settings."""
        return self.results.settings

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seed

    @property
    def fold(self) -> int:
        """Fold of a walk-forward; 0 for the one segment of any other split."""
        split = self.config.split
        return split.fold if isinstance(split, WalkForwardSplit) else 0

    @property
    def seconds(self) -> float:
        """Time that processes worked on it; of the fit alone where that was not kept."""
        kept = self.status.seconds
        return self.results.training.seconds if kept is None else kept


def read_runs(folder: Path) -> list[Run]:
    """Read every run below a folder, in the order in which they were started.

    Raises:
        ConfigError: If there is none.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder")
    found = run_folders(folder)
    if not found:
        raise ConfigError(f"{folder}: there is no run below this folder")
    runs = [_read_run(one, folder) for one in found]
    return sorted(runs, key=lambda run: (run.status.started or "", run.name))


def run_folders(folder: Path) -> set[Path]:
    """Return the folders of all runs below a folder."""
    return {path.parent for name in (STATUS_FILE, RESULTS_FILE) for path in folder.rglob(name)}


def varying(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the keys that the runs' command lines set to different values, sorted."""
    keys = sorted({key for run in runs for key in run.overrides})
    return tuple(key for key in keys if len({run.overrides.get(key) for run in runs}) > 1)


def _read_run(folder: Path, top: Path) -> Run:
    run = Run(folder, readable(folder.relative_to(top)), Status(INTERRUPTED), {})
    try:
        require_own_files(folder)
        run = replace(run, overrides=_read_overrides(folder))
        run = replace(run, status=read_status(folder))
        if run.status.state == COMPLETE or not (folder / STATUS_FILE).exists():
            run = _read_complete(run)
    except (OSError, ValueError, MachineError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        said = f"its results cannot be read: {readable(reason)}"
        failed = Status(FAILED, error=said, exit_status=1)
        run = replace(run, status=failed)
    return run


def _read_complete(run: Run) -> CompleteRun:
    results = Results.model_validate(read_json(run.folder / RESULTS_FILE))
    status = run.status
    if status.state != COMPLETE:  # of a version that kept no status
        status = Status(COMPLETE, objective=results.training.best_score)
    if status.objective is None or not math.isfinite(status.objective):
        raise ValueError(f"its objective is {status.objective}")
    return CompleteRun(
        run.folder,
        run.name,
        status,
        run.overrides,
        results,
        Sources.model_validate(read_json(run.folder / "provenance.json")),
        read_forecasts(run.folder),
    )


def _read_overrides(folder: Path) -> dict[str, str]:
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return {}
    try:
        lines = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ConfigError(f"{path}: holds no list of settings")
    pairs = (readable(line).lstrip("+").partition("=") for line in lines)
    return {key: value for key, _, value in pairs}
