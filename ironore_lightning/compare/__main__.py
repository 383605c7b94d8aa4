"""Compare two runs, or two trials of many runs, on the days that both forecast.

A and B are folders: of a finished run; of many runs, for the trial that validation chose; or
MULTIRUN/TRIAL for another of its trials, by the name that its summary has for it.

The settings that differ, the scores on the shared test days, and the tests of Diebold and Mariano
and of Giacomini and White between the two are printed, and lie with both curves in
`comparison.html` and `comparison.json`. Each of the two is counted as a look at these days.
"""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import machine_errors
from ironore_lightning.process.interrupts import run_interruptible


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print and write what was found, and return the exit status."""
    parser = CommandParser("compare", __doc__)
    for name in ("A", "B"):
        parser.add_argument(name, type=Path, help="folder of a run, of many runs, or a trial")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="takes the files")
    return run_plain(parser, _compare, arguments)


def _compare(options: argparse.Namespace) -> None:
    from ironore_lightning.compare.contenders import compare_contenders, read_contender
    from ironore_lightning.compare.output import print_comparison, write_comparison
    from ironore_lightning.run_folder.looks import ledger_path, require_ledger

    looks = ledger_path(Path.cwd())
    require_ledger(looks)
    contenders = read_contender(options.A), read_contender(options.B)
    comparison = compare_contenders(*contenders, looks=looks)
    now = datetime.datetime.now(tz=datetime.UTC).astimezone()
    folder = options.output_dir or Path("outputs") / f"compare_{now:%Y-%m-%d_%H-%M-%S-%f}"
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_comparison(comparison, folder)
    print_comparison(comparison, folder)


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
