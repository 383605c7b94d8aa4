"""Import large packages without garbage collection."""

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage, of which modules make none, nor ever among them again.

    Of a run of ten seconds that takes more than one. A signal waits for the end: a module that is
    interrupted may say that it cannot be imported.
    """
    is_first = "lightning" not in sys.modules
    gc.disable()
    can_wait = hasattr(signal, "pthread_sigmask")  # not on Windows
    told_to_end = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, told_to_end) if can_wait else set()
    try:
        yield
    finally:
        if is_first:  # else the garbage of earlier runs would be kept
            gc.freeze()
        gc.enable()
        if can_wait:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
