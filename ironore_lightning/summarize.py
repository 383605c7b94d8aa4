"""Say what many runs are worth together: ``python -m ironore_lightning.summarize DIR``.

DIR is any folder of runs, also one that is still growing; a multirun ends with the same.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.errors import WRONG_INPUT, report_error, translate_error
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import raise_on_interrupt, run_interruptible
from ironore_lightning.process.terminal import open_streams, print_safely

USAGE = "usage: python -m ironore_lightning.summarize DIR\n"


def main(arguments: Sequence[str]) -> int:
    """Summarise a folder, print the verdict last, and return the exit status."""
    open_streams()
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return WRONG_INPUT
    if arguments[0] in {"-h", "--help"}:
        print_safely(f"{__doc__}\n{USAGE}")
        return 0
    try:
        with quick_imports():
            from ironore_lightning.summary.outputs import report
        raise_on_interrupt()
        report(Path(arguments[0]))
    except Exception as error:
        return report_error(translate_error(error))
    return 0


if __name__ == "__main__":
    sys.exit(run_interruptible(lambda: main(sys.argv[1:])))
