"""Import large packages without garbage collection."""

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without garbage collection, and exclude the imported modules from it for good.

    That saves more than one second. SIGINT and SIGTERM wait for the end, since an interrupted
    module may raise `ImportError`.
    """
    is_first = "lightning" not in sys.modules
    gc.disable()
    can_wait = hasattr(signal, "pthread_sigmask")  # not on Windows
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals) if can_wait else set()
    try:
        yield
    finally:
        if is_first:  # later, the garbage of earlier runs would be kept
            gc.freeze()
        gc.enable()
        if can_wait:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
