"""Ctrl-C at any moment of a command: one line, status 130, and no traceback."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable

INTERRUPTED = 130
LINE = "interrupted\n"

SECONDS_OF_ONE_HAND = 1.0
"""Ctrl-C within this time of the one before is impatience; a command may be writing its end."""


def end_at_once() -> None:
    """Let Ctrl-C end a command that is still being imported: nothing has begun that could break.

    A Ctrl-C that whoever started the command wants to be ignored stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def ending_in_a_line(command: Callable[[], int | None]) -> int | None:
    """Let Ctrl-C end a command, which can write its end, however often it is pressed in a row.

    Raises:
        SystemExit: With 130 after Ctrl-C.
    """
    before, own = signal.getsignal(signal.SIGINT), _raising_once()
    if before in {signal.default_int_handler, _end}:
        signal.signal(signal.SIGINT, own)
    try:
        return command()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # also while Python itself ends
        sys.stderr.write(LINE)
        sys.exit(INTERRUPTED)
    finally:
        if signal.getsignal(signal.SIGINT) is own:
            signal.signal(signal.SIGINT, before)


def _end(*_: object) -> None:
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        os.write(2, LINE.encode())
    finally:  # nobody may listen
        os._exit(INTERRUPTED)


def _raising_once() -> Callable[..., None]:
    pressed = -math.inf

    def press(*_: object) -> None:
        nonlocal pressed
        is_impatience = time.monotonic() - pressed < SECONDS_OF_ONE_HAND
        pressed = time.monotonic()
        if not is_impatience:
            raise KeyboardInterrupt

    return press
