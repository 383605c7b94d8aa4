"""The runs below a folder, as their files tell: complete, failed, pruned, running, interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ironore_lightning.config.experiment import Config
from ironore_lightning.config.samples import WalkForwardSplit
from ironore_lightning.errors import ConfigError
from ironore_lightning.record import read_json
from ironore_lightning.status import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    RESULTS_FILE,
    STATUS_FILE,
    Status,
    read_status,
)

RUN_KEYS = ("seed", "split.fold")
"""What tells the runs of one trial apart."""


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: Where it is.
        name: Its path below the folder that is summarised.
        status: How far it is.
        overrides: What its command line set, by key; empty where that was not kept.
        config: Its settings; None unless it is complete.
        results: Its `final_results.json`; empty unless it is complete.
    """

    folder: Path
    name: str
    status: Status
    overrides: dict[str, str]
    config: Config | None
    results: dict[str, Any]

    @property
    def seed(self) -> int | None:
        """Seed of a complete run."""
        return self.config.seed if self.config else None

    @property
    def fold(self) -> int:
        """Fold of a walk-forward; 0 for the one segment of any other split."""
        is_fold = self.config is not None and isinstance(self.config.split, WalkForwardSplit)
        return self.config.split.fold if is_fold else 0  # type: ignore[union-attr]  # is_fold

    @property
    def seconds(self) -> float | None:
        """Time that processes worked on it; of the fit alone where that was not kept."""
        if self.status.seconds is not None:
            return self.status.seconds
        return self.results["training"]["seconds"] if self.results else None


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
    status, config, results, overrides = Status(INTERRUPTED), None, {}, {}
    try:
        overrides = _read_overrides(folder)
        status = read_status(folder)
        if status.state == COMPLETE or not (folder / STATUS_FILE).exists():
            results = read_json(folder / RESULTS_FILE)
            config = Config.model_validate(results["settings"])
            if status.state != COMPLETE:  # of a version that kept no status
                status = Status(COMPLETE, objective=results["training"]["best_score"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        results = {}
        status = Status(FAILED, error=f"its results cannot be read: {reason}", exit_status=1)
    name = str(folder.relative_to(top))
    return Run(folder, name, status, overrides, config, results)


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
    pairs = (line.lstrip("+").partition("=") for line in lines)
    return {key: value for key, _, value in pairs}
