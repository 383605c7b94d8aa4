"""Fit finished runs once more on all days, for the days to come.

A refit has the settings of its RUN and as many epochs as validation chose, and no test days: it
carries the grade that the run has earned. `forecast` takes its folder like that of a run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import machine_errors
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_safely, printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit each run once more, say where its refit is, and return the exit status."""
    parser = CommandParser("refit", __doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folder of a finished run or refit"
    )
    parser.add_argument("--data-root", metavar="DIR", help="newer files in place of the run's own")
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="takes a folder RUN_DATE for each RUN (by default it is RUN/refit_DATE)",
    )
    parser.add_argument(
        "--accept-restated",
        action="store_true",
        help="refit although values that a run has learnt are others now",
    )
    return run_plain(parser, _refit, arguments)


def _refit(options: argparse.Namespace) -> None:
    with quick_imports():  # of torch, which --help does not need
        from ironore_lightning.refit.refitting import refit_folder

    for folder in options.runs:
        with machine_errors(folder), printed():
            made = refit_folder(
                folder,
                data_root=options.data_root,
                output_dir=options.output_dir,
                accept_restated=options.accept_restated,
            )
        assert made.refit is not None
        print_safely(f"{made.folder}: {made.refit.sentence}\n")


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
