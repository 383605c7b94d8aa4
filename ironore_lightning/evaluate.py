"""Say what a finished run is worth, without training.

RUN is the folder of a finished run, such as one of a multirun, whose test days nobody has scored.
It gets the verdict, the tables and the pictures of a run that was started alone, from its data and
its checkpoint.

With --from or --to it is scored on other days after its validation, such as those of newer files.
The files go into RUN/evaluation_FROM_TO, and the run stays as it is. Each set of forecasts is
counted as a look at these days.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_safely, printed
from ironore_lightning.run_folder.layout import MULTIRUN_FILE, STATUS_FILE

if TYPE_CHECKING:  # it imports pandas, which --help does not need
    from ironore_lightning.run_folder.record import RunRecord


def main(arguments: Sequence[str] | None = None) -> int:
    """Assess a finished run, print the verdict, and return the exit status."""
    parser = CommandParser("evaluate", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        help="where the raw files are; newer ones need --from or --to",
    )
    parser.add_argument("--from", dest="first", metavar="DAY", help="first day that is scored")
    parser.add_argument("--to", dest="last", metavar="DAY", help="last day that is scored")
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="takes the files of --from and --to"
    )
    return run_plain(parser, _evaluate, arguments)


def _evaluate(options: argparse.Namespace) -> None:
    with quick_imports():
        from ironore_lightning.run_folder.lock import lock_folder
        from ironore_lightning.run_folder.looks import ledger_path, require_ledger
        from ironore_lightning.run_folder.record import read_run
        from ironore_lightning.summary.membership import member_evidence, read_membership

    looks = ledger_path(Path.cwd())
    require_ledger(looks)
    folder = options.run.absolute()
    _require_finished(folder)
    record = read_run(folder, options.data_root)
    with lock_folder(folder), machine_errors(folder), printed():
        if options.first or options.last:
            _assess_other_days(record, options, looks)
        elif options.output_dir:
            raise ConfigError("--output-dir: takes the files of other days; name them with --from")
        else:
            _assess_own_days(record, looks)
    if member := read_membership(folder):
        print_safely(f"Earned so far: {member_evidence([member])}.\n")


def _assess_own_days(record: "RunRecord", looks: Path | None) -> None:
    from ironore_lightning.experiment import assess_run
    from ironore_lightning.recall import recall_run

    assess_run(recall_run(record), looks=looks)


def _assess_other_days(
    record: "RunRecord", options: argparse.Namespace, looks: Path | None
) -> None:
    from ironore_lightning.recall import assess_on_days, other_days_folder
    from ironore_lightning.settings.base import parse_day

    days = {"from": options.first, "to": options.last}
    first, last = (day and parse_day(f"--{name}", day) for name, day in days.items())
    folder = options.output_dir or other_days_folder(record.folder, first, last)
    assess_on_days(record, folder.absolute(), first=first, last=last, looks=looks)


def _require_finished(folder: Path) -> None:
    """Raise `ConfigError` for a folder of many runs, and for a run that has not finished."""
    from ironore_lightning.run_folder.status import COMPLETE, read_status

    if (folder / MULTIRUN_FILE).exists():
        raise ConfigError(
            f"{folder}: holds many runs; name one of its folders, or summarise them with "
            f"python -m ironore_lightning.summarize {folder}"
        )
    if (folder / STATUS_FILE).exists() and (state := read_status(folder).state) != COMPLETE:
        raise ConfigError(
            f"{folder}: this run is {state} and not complete, so there is nothing to assess; one "
            f"that was interrupted goes on with python train.py resume={folder}"
        )


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
