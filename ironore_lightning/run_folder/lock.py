"""The lock on a run folder, which ends with its process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.process.interrupts import raise_on_interrupt
from ironore_lightning.run_folder.layout import LOCK_FILE

PATIENCE_SECONDS = 5.0
"""How long to wait for a folder: a summary locks it for a moment, to see whether it is free."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder; the lock ends with the process.

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
    """Return whether lightning started this process to help the one that writes the folder.

    A rank that anybody else has set is gone since this package was imported.
    """
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def is_locked(folder: Path) -> bool:
    """Return whether a process holds the lock of a folder, which need not be writable."""
    path = folder / LOCK_FILE
    try:
        if path.is_file():
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # held, or of another user: its status says running
        return True
    return False
