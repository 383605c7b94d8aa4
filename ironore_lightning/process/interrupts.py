"""Ctrl-C at any moment of a command: one line, status 130, and no traceback."""

import os
import signal
import sys
import time
from collections.abc import Callable

INTERRUPTED = 130
LINE = "interrupted\n"

SECONDS_OF_ONE_HAND = 1.0
"""Ctrl-C within this time of the one before is impatience; a command may be writing its end."""

_presses: list[float] = []


def exit_on_interrupt() -> None:
    """Let Ctrl-C end a command that has not begun, while it is imported or its settings are read.

    Nothing is lost, and whoever imports or reads might take an exception for one of its own. A
    Ctrl-C that whoever started the command wants to be ignored stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """Let Ctrl-C end a command that has begun by an exception, however often it is pressed."""
    if signal.getsignal(signal.SIGINT) is _end:
        _presses.clear()
        signal.signal(signal.SIGINT, _raise_once)


def run_interruptible(command: Callable[[], int | None]) -> int | None:
    """Run a command until Ctrl-C; what has begun says so by `raise_on_interrupt`.

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
    finally:  # nobody may listen
        os._exit(INTERRUPTED)


def _raise_once(*_: object) -> None:
    is_impatience = bool(_presses) and time.monotonic() - _presses[-1] < SECONDS_OF_ONE_HAND
    _presses.append(time.monotonic())
    if not is_impatience:
        raise KeyboardInterrupt
