"""Say what many runs are worth together: ``python -m ironore_lightning.summarize DIR``.

DIR is any folder of runs, also one that is still growing; a multirun ends with the same.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.errors import WRONG_INPUT, in_our_words, last_words
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import end_in_order, ending_in_a_line
from ironore_lightning.process.terminal import open_streams, say

USAGE = "usage: python -m ironore_lightning.summarize DIR\n"


def main(arguments: Sequence[str]) -> int:
    """Summarise a folder, print the verdict last, and return the exit status."""
    open_streams()
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return WRONG_INPUT
    if arguments[0] in {"-h", "--help"}:
        say(f"{__doc__}\n{USAGE}")
        return 0
    try:
        with quick_imports():
            from ironore_lightning.summary.outputs import report
        end_in_order()
        report(Path(arguments[0]))
    except Exception as error:
        return last_words(in_our_words(error))
    return 0


if __name__ == "__main__":
    sys.exit(ending_in_a_line(lambda: main(sys.argv[1:])))
