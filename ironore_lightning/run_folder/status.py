"""The status file of a run."""

import datetime
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, Literal

from ironore_lightning.errors import ConfigError, DataError, MachineError
from ironore_lightning.files import read_json
from ironore_lightning.run_folder.layout import STATUS_FILE
from ironore_lightning.run_folder.lock import is_locked

COMPLETE: Final = "complete"
RUNNING: Final = "running"
FAILED: Final = "failed"
PRUNED: Final = "pruned"
INTERRUPTED: Final = "interrupted"

RESUMABLE_ERRORS = tuple(f"{kind.__name__}: " for kind in (ConfigError, DataError, MachineError))
"""Prefixes of errors after which a run can resume: the run did not cause them."""


@dataclass(frozen=True)
class Status:
    """State of a run.

    Attributes:
        state: `running`, `complete`, `failed`, `pruned` by a search, or `interrupted`.
        started: When, ISO 8601 with the zone; None for a folder in which nothing has started.
        ended: When, ISO 8601 with the zone; None while it runs or where its process was killed.
        objective: Best `monitor` on validation, of a complete run.
        error: What went wrong, or when it was pruned, in one line.
        exit_status: What the run would have ended a process with.
        settings: Digest of what it was started with.
        seconds: For how long processes have worked on it, by a clock that nobody sets; without the
            tries that were killed.
    """

    __pydantic_config__: ClassVar[dict[str, bool]] = {"strict": True, "allow_inf_nan": False}

    state: Literal["complete", "running", "failed", "pruned", "interrupted"]
    started: str | None = None
    ended: str | None = None
    objective: float | None = None
    error: str | None = None
    exit_status: int | None = None
    settings: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for a status that no run ends with."""
        for moment in (self.started, self.ended):
            datetime.datetime.fromisoformat(moment or "2000-01-01")
        if self.state == COMPLETE and (self.objective is None or not math.isfinite(self.objective)):
            raise ValueError(f"a complete run has an objective, and not {self.objective}")
        if self.seconds is not None and self.seconds < 0:
            raise ValueError("seconds must not be negative")
        if self.exit_status not in {None, *range(256)}:
            raise ValueError("exit_status must be from 0 to 255")

    @property
    def is_resumable(self) -> bool:
        """Whether this run may be resumed; one that failed by itself may not."""
        was_stopped = self.state == FAILED and (self.error or "").startswith(RESUMABLE_ERRORS)
        return self.state in {RUNNING, INTERRUPTED} or was_stopped


def read_status(folder: Path) -> Status:
    """Return the status of a run, `running` only while its process lives.

    Raises:
        ConfigError: If its file holds no status.
    """
    status = last_status(folder)
    if status.state != RUNNING or is_locked(folder):
        return status
    # It may have ended in between.
    status = last_status(folder)
    return replace(status, state=INTERRUPTED) if status.state == RUNNING else status


def last_status(folder: Path) -> Status:
    """Return the content of the status file, whether or not the process lives."""
    path = folder / STATUS_FILE
    return read_json(path, Status) if path.exists() else Status(INTERRUPTED)
