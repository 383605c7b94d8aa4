"""The status of a run, the lock on its folder, and whether it can be resumed."""

import datetime
import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from filelock import FileLock, Timeout

from ironore_lightning.errors import (
    ConfigError,
    DataError,
    MachineError,
    RunPruned,
    exit_status,
    machine_errors,
)
from ironore_lightning.files import read_json, write_json
from ironore_lightning.process.interrupts import raise_on_interrupt
from ironore_lightning.run_folder.layout import (
    LEFT_BY_A_RUN,
    LOCK_FILE,
    LOG_FILE,
    RESULTS_FILE,
    STATUS_FILE,
)

log = logging.getLogger(__name__)

COMPLETE: Final = "complete"
RUNNING: Final = "running"
FAILED: Final = "failed"
PRUNED: Final = "pruned"
INTERRUPTED: Final = "interrupted"


PATIENCE_SECONDS = 5.0
"""How long to wait for a folder, which a summary holds for a moment to see whether it is free."""

RESUMABLE_ERRORS = tuple(f"{kind.__name__}: " for kind in (ConfigError, DataError, MachineError))
"""How the errors begin after which a run can go on: what they speak of is not the run."""

CONFIG_PLACES_HINT = (
    "if its command had --config-dir, --config-name or hydra.searchpath, give them beside resume="
)
"""What to try where the settings of a run are not found again."""


@dataclass(frozen=True)
class Status:
    """How far a run is.

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
        """Raise `ValueError` for what no run ends with."""
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
        """Whether a checkpoint of this run may be continued; one that failed by itself may not."""
        was_stopped = self.state == FAILED and (self.error or "").startswith(RESUMABLE_ERRORS)
        return self.state in {RUNNING, INTERRUPTED} or was_stopped


class RunAttempt:
    """One try at the run of a folder, which is locked meanwhile.

    Attributes:
        status: What it is now; before `start`, what an earlier try left.

    Args:
        folder: Of the run.
        resume: Whether it may only go on: then its status stays until `start`.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        """Look at what is there."""
        self.folder = folder
        self.resume = resume
        self.has_started = False
        self.began = time.monotonic()
        self.status = _read(folder)

    def finished(self, settings: Mapping[str, Any]) -> float | None:
        """Return the objective if these settings have run to the end in this folder.

        Raises:
            ConfigError: If the folder holds a finished run of other settings.
        """
        if self.status.state != COMPLETE or not (self.folder / RESULTS_FILE).exists():
            return None
        before = read_json(self.folder / RESULTS_FILE, dict[str, Any]).get("settings")
        if before != settings:
            known = before if isinstance(before, dict) else {}
            keys = ", ".join(_differences(settings, known)) or "keys of another version"
            raise ConfigError(
                f"{self.folder} holds a finished run that differs in {keys}; choose another folder "
                "(hydra.sweep.dir for a multirun, hydra.run.dir for one run)"
            )
        log.info("%s has finished before; nothing is run again", self.folder)
        return self.status.objective

    def start(self, settings: Mapping[str, Any]) -> Path | None:
        """Say that the run has started.

        Args:
            settings: Of the run.

        Returns:
            The last checkpoint of an interrupted try with the same settings, to go on from; or
            None, when everything that a broken try has left is removed.

        Raises:
            ConfigError: If it was to go on and cannot.
        """
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        checkpoint = self.folder / "checkpoints" / "last.ckpt"
        if self.resume:
            _require_resumable(self.folder, self.status, digest)
        self.has_started = True
        if self.status.is_resumable and self.status.settings == digest and checkpoint.exists():
            if not is_helper_process():
                log.info("%s was interrupted and goes on from its last epoch", self.folder)
                going = replace(self.status, state=RUNNING, ended=None, error=None)
                self._become(replace(going, exit_status=None))
            return checkpoint
        if not is_helper_process():
            _remove_leftovers(self.folder, self.status)
            self._become(Status(RUNNING, settings=digest, started=_now()))
        return None

    def complete(self, objective: float) -> None:
        """Say that everything is written.

        Raises:
            FileNotFoundError: If the results, or the whole folder, are not there.
        """
        if not is_helper_process():
            (self.folder / RESULTS_FILE).stat()
        self._become(replace(self.status, state=COMPLETE, objective=objective, exit_status=0))

    def stop(self, error: BaseException) -> None:
        """Say why the run did not end; a finished run of the same folder stays finished."""
        if self.status.state == COMPLETE or (self.resume and not self.has_started):
            return
        if isinstance(error, RunPruned):
            self._become(replace(self.status, state=PRUNED, error=str(error), exit_status=0))
        elif isinstance(error, Exception):
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"
            known = exit_status(error)
            self._become(replace(self.status, state=FAILED, error=message, exit_status=known))
        else:
            status = error.code if isinstance(error, SystemExit) else 130
            known = status % 256 if isinstance(status, int) else 1
            self._become(replace(self.status, state=INTERRUPTED, error=None, exit_status=known))

    def _become(self, status: Status) -> None:
        if status.state != RUNNING:
            worked = (self.status.seconds or 0.0) + time.monotonic() - self.began
            status = replace(status, ended=_now(), seconds=round(worked, 3))
        if not is_helper_process():
            write_json(self.folder / STATUS_FILE, asdict(status))
        self.status = status  # only now: a run whose end could not be written has not ended


@contextmanager
def run_attempt(folder: Path, *, resume: bool = False) -> Iterator[RunAttempt]:
    """Hold a run folder, and write how the run ended however it ends.

    Args:
        folder: Of the run.
        resume: Whether what is there may only go on.

    Raises:
        ConfigError: If another process works in the folder, or its status cannot be read.
        MachineError: For whatever the operating system refused.
    """
    with nullcontext() if is_helper_process() else lock_folder(folder):
        this = RunAttempt(folder, resume=resume)
        try:
            with machine_errors(folder):
                yield this
        except BaseException as error:
            # Where the disk is full, its status stays `running`: without its process, interrupted.
            with suppress(OSError, MemoryError):
                this.stop(error)
            raise


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder; the lock ends with the process, however that ends.

    Raises:
        ConfigError: If another process holds it.
        MachineError: If the folder or its lock cannot be written.
    """
    raise_on_interrupt()
    lock = FileLock(folder / LOCK_FILE)
    with machine_errors(folder / LOCK_FILE):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=PATIENCE_SECONDS)
        except Timeout:
            raise ConfigError(
                f"{folder}: another process works in this folder; wait for it or choose another one"
            ) from None
    try:
        yield
    finally:
        lock.release()


def is_helper_process() -> bool:
    """Return whether lightning started this process to help another one, which keeps the record.

    A rank that anybody else has set is gone since this package was imported.
    """
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def read_status(folder: Path) -> Status:
    """Say how far the run of a folder is, `running` only while its process lives.

    Raises:
        ConfigError: If its file holds no status.
    """
    status = _read(folder)
    if status.state != RUNNING or _is_held(folder):
        return status
    # It may have ended between the two looks.
    status = _read(folder)
    return replace(status, state=INTERRUPTED) if status.state == RUNNING else status


def _read(folder: Path) -> Status:
    path = folder / STATUS_FILE
    return read_json(path, Status) if path.exists() else Status(INTERRUPTED)


def _remove_leftovers(folder: Path, status: Status) -> None:
    if not (folder / STATUS_FILE).exists():
        return
    if status.state in {RUNNING, INTERRUPTED} and (folder / LOG_FILE).exists():
        os.truncate(folder / LOG_FILE, 0)  # its lines come again; of a failure they stay
    for name in LEFT_BY_A_RUN:
        path = folder / name
        is_folder = path.is_dir() and not path.is_symlink()
        shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)


def _require_resumable(folder: Path, status: Status, digest: str) -> None:
    """Raise `ConfigError` for a run that must not be continued."""
    if reason := _why_not_resumable(folder, status, digest):
        raise ConfigError(
            f"resume: {folder} cannot go on: {reason}; nothing was removed; start it anew with its "
            "own command, whose settings .hydra/overrides.yaml holds"
        )


def _why_not_resumable(folder: Path, status: Status, digest: str) -> str | None:
    """Say why a run cannot go on; without a last checkpoint it begins anew."""
    if status.state == COMPLETE:
        return f"it has finished, but {RESULTS_FILE} is missing"
    if not status.is_resumable:
        return f"it ended by itself ({status.state}: {' '.join((status.error or '').split())})"
    has_begun = (folder / "checkpoints" / "last.ckpt").exists()
    if status.settings != digest and (has_begun or status.settings is not None):
        return (
            "its settings are not those that it was started with; has conf/ been changed? "
            f"{CONFIG_PLACES_HINT}"
        )
    return None


def _is_held(folder: Path) -> bool:
    """Return whether a process holds the lock of a folder; to look needs no right to write."""
    path = folder / LOCK_FILE
    try:
        if path.is_file():
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # held, or of another user: its status says running
        return True
    return False


def _differences(ours: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the keys of ours, dotted, that another tree has otherwise; what only that has stays."""
    names: list[str] = []
    for key in sorted(ours):
        mine, its = ours[key], other.get(key)
        if isinstance(mine, Mapping) and isinstance(its, Mapping):
            names += _differences(mine, its, f"{prefix}{key}.")
        elif mine != its:
            names.append(f"{prefix}{key}")
    return names


def _now() -> str:
    return datetime.datetime.now(tz=datetime.UTC).astimezone().isoformat(timespec="milliseconds")
