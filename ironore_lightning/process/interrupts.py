"""Ctrl-C at any moment of a command: one line, status 130, and no traceback."""

import os
import signal
import sys
import time
from collections.abc import Callable

INTERRUPTED = 130
LINE = "interrupted\n"

REPEAT_SECONDS = 1.0
"""A second Ctrl-C within this time is ignored, since the command may be writing its status."""

_presses: list[float] = []


def exit_on_interrupt() -> None:
    """Make Ctrl-C exit at once, while modules are imported and settings are read.

    An exception might be caught by the code that imports or reads. Where the parent process
    ignores Ctrl-C, it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """Make Ctrl-C raise `KeyboardInterrupt`, once the command has begun."""
    if signal.getsignal(signal.SIGINT) is _end:
        _presses.clear()
        signal.signal(signal.SIGINT, _raise_once)


def run_interruptible(command: Callable[[], int | None]) -> int | None:
    """Run a command until Ctrl-C; it calls `raise_on_interrupt` once it has begun.

    Raises:
        SystemExit: With 130 after Ctrl-C.
    """
    before = signal.getsignal(signal.SIGINT)
    exit_on_interrupt()
    try:
        return command()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # also while Python itself ends
        sys.stderr.write(LINE)
        sys.exit(INTERRUPTED)
    finally:
        if signal.getsignal(signal.SIGINT) in {_end, _raise_once}:
            signal.signal(signal.SIGINT, before)


def _end(*_: object) -> None:
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        os.write(2, LINE.encode())
    finally:  # standard error may be closed
        os._exit(INTERRUPTED)


def _raise_once(*_: object) -> None:
    is_repeated = bool(_presses) and time.monotonic() - _presses[-1] < REPEAT_SECONDS
    _presses.append(time.monotonic())
    if not is_repeated:
        raise KeyboardInterrupt
