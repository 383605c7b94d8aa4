"""Say what many runs are worth together.

FOLDER is any folder of runs, also one that is still growing; a multirun ends with the same.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible


def main(arguments: Sequence[str] | None = None) -> int:
    """Summarise a folder, print the verdict last, and return the exit status."""
    parser = CommandParser("summarize", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the runs are")
    return run_plain(parser, _summarize, arguments)


def _summarize(options: argparse.Namespace) -> None:
    with quick_imports():
        from ironore_lightning.summary.outputs import report
    report(options.folder)


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
