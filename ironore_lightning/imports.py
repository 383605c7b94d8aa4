"""How to import much without waiting long."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage, of which modules make none, nor ever among them again.

    Of a run of ten seconds that takes more than one.
    """
    is_first = "lightning" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if is_first:  # else the garbage of earlier runs would be kept
            gc.freeze()
        gc.enable()
