"""One attempt at a run: start, resume or skip it, and write how it ended."""

import datetime
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ironore_lightning.errors import (
    ConfigError,
    MachineError,
    RunPruned,
    exit_status,
    machine_errors,
)
from ironore_lightning.files import read_json, write_json
from ironore_lightning.run_folder.layout import (
    EVENT_FILES,
    LEFT_BY_A_RUN,
    LOG_FILE,
    RESULTS_FILE,
    STATUS_FILE,
)
from ironore_lightning.run_folder.lock import is_helper_process, lock_folder
from ironore_lightning.run_folder.status import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    PRUNED,
    RUNNING,
    Status,
    last_status,
)

log = logging.getLogger(__name__)


CONFIG_PLACES_HINT = (
    "if its command had --config-dir, --config-name or hydra.searchpath, give them beside resume="
)
"""Advice for a run whose settings cannot be composed again."""


class RunAttempt:
    """One attempt at the run of a locked folder.

    Attributes:
        status: Present status; before `start`, that of an earlier attempt.

    Args:
        folder: Run folder.
        resume: Whether the run may only resume; its status then stays until `start`.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        """Read the status that an earlier attempt has left."""
        self.folder = folder
        self.resume = resume
        self.has_started = False
        self.began = time.monotonic()
        self.status = last_status(folder)

    def finished(self, settings: Mapping[str, Any]) -> float | None:
        """Return the objective if a run of these settings is complete in this folder.

        Raises:
            ConfigError: If the folder holds a finished run of other settings.
        """
        if self.status.state != COMPLETE or not (self.folder / RESULTS_FILE).exists():
            return None
        before = read_json(self.folder / RESULTS_FILE, dict[str, Any]).get("settings")
        known = _deciding(before) if isinstance(before, dict) else {}
        if known != _deciding(settings):
            keys = ", ".join(_differences(_deciding(settings), known)) or "keys of another version"
            raise ConfigError(
                f"{self.folder} holds a finished run that differs in {keys}; choose another folder "
                "(hydra.sweep.dir for a multirun, hydra.run.dir for one run)"
            )
        log.info("%s has finished before; nothing is run again", self.folder)
        return self.status.objective

    def start(self, settings: Mapping[str, Any]) -> bool:
        """Write that the run has started.

        It resumes from the last checkpoint of an earlier attempt with the same settings. Otherwise
        the files of that attempt are removed.

        Raises:
            ConfigError: If it must resume and cannot.
        """
        digest = _digest(settings)
        checkpoint = self.folder / "checkpoints" / "last.ckpt"
        if self.resume:
            _require_resumable(self.folder, self.status, digest)
        self.has_started = True
        if self.status.is_resumable and self.status.settings == digest and checkpoint.exists():
            if not is_helper_process():
                log.info("%s was interrupted and goes on from its last saved epoch", self.folder)
                running = replace(self.status, state=RUNNING, ended=None, error=None)
                self._write_status(replace(running, exit_status=None))
            return True
        if not is_helper_process():
            _remove_leftovers(self.folder, self.status)
            self._write_status(Status(RUNNING, settings=digest, started=_now()))
        return False

    def complete(self, objective: float) -> None:
        """Write that the run is complete.

        Raises:
            FileNotFoundError: If the results or the folder are missing.
        """
        if not is_helper_process():
            (self.folder / RESULTS_FILE).stat()
        self._write_status(replace(self.status, state=COMPLETE, objective=objective, exit_status=0))

    def stop(self, error: BaseException) -> None:
        """Write why the run has stopped; a complete run stays complete."""
        if self.status.state == COMPLETE or (self.resume and not self.has_started):
            return
        if isinstance(error, RunPruned):
            self._write_status(replace(self.status, state=PRUNED, error=str(error), exit_status=0))
        elif isinstance(error, Exception):
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"
            known = exit_status(error)
            self._write_status(replace(self.status, state=FAILED, error=message, exit_status=known))
        else:
            status = error.code if isinstance(error, SystemExit) else 130
            known = status % 256 if isinstance(status, int) else 1
            self._write_status(
                replace(self.status, state=INTERRUPTED, error=None, exit_status=known)
            )

    def _write_status(self, status: Status) -> None:
        if status.state != RUNNING:
            worked = (self.status.seconds or 0.0) + time.monotonic() - self.began
            status = replace(status, ended=_now(), seconds=round(worked, 3))
        if not is_helper_process():
            write_json(self.folder / STATUS_FILE, asdict(status))
        self.status = status  # last: a run whose end was not written has not ended


@contextmanager
def run_attempt(folder: Path, *, resume: bool = False) -> Iterator[RunAttempt]:
    """Lock a run folder, and write how the run has ended.

    Args:
        folder: Run folder.
        resume: Whether the run may only resume.

    Raises:
        ConfigError: If another process works in the folder, or its status cannot be read.
        MachineError: If the operating system refuses a file or memory.
    """
    with nullcontext() if is_helper_process() else lock_folder(folder):
        attempt = RunAttempt(folder, resume=resume)
        try:
            with machine_errors(folder):
                yield attempt
        except BaseException as error:
            # On a full disk the status stays `running`, which reads as interrupted later.
            with suppress(OSError, MemoryError):
                attempt.stop(error)
            raise


def write_death(folder: Path, error: MachineError) -> None:
    """Write that the process of a run has died, unless the run was complete.

    Raises:
        MachineError: If the status cannot be written.
    """
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        RunAttempt(folder).stop(error)


def _remove_leftovers(folder: Path, status: Status) -> None:
    if not (folder / STATUS_FILE).exists():
        return
    if status.state in {RUNNING, INTERRUPTED} and (folder / LOG_FILE).exists():
        os.truncate(folder / LOG_FILE, 0)  # the run logs them again; those of a failure stay
    for path in (*(folder / name for name in LEFT_BY_A_RUN), *folder.glob(EVENT_FILES)):
        is_folder = path.is_dir() and not path.is_symlink()
        shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)


def _require_resumable(folder: Path, status: Status, digest: str) -> None:
    """Raise `ConfigError` for a run that cannot resume."""
    if reason := _why_not_resumable(folder, status, digest):
        raise ConfigError(
            f"resume: {folder} cannot go on: {reason}; nothing was removed; start it anew with its "
            "own command, whose settings .hydra/overrides.yaml holds"
        )


def _why_not_resumable(folder: Path, status: Status, digest: str) -> str | None:
    """Return why a run cannot be resumed; without a last checkpoint it starts again."""
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


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_deciding(settings), sort_keys=True).encode()).hexdigest()


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what a run computes; older runs lack the others."""
    settings = {key: value for key, value in settings.items() if key != "logger"}
    report = settings.get("report")
    if not isinstance(report, Mapping):
        return settings
    kept = {
        key: value for key, value in report.items() if key not in {"assess_every_run", "detail"}
    }
    return {**settings, "report": kept}


def _differences(ours: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys whose values differ in another tree of settings."""
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
