"""Say what a finished run is worth, without training.

RUN is the folder of a finished run, such as one of a multirun, whose test days nobody has scored.
It gets the verdict, the tables and the pictures of a run that was started alone, from its data and
its checkpoint. Each set of forecasts is counted as a look at these days.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import Console, Lines, print_safely
from ironore_lightning.run_folder.layout import MULTIRUN_FILE, STATUS_FILE


def main(arguments: Sequence[str] | None = None) -> int:
    """Assess a finished run, print the verdict last, and return the exit status."""
    parser = CommandParser("evaluate", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        help="where the raw files are, if they are no longer where the run has read them",
    )
    return run_plain(parser, _evaluate, arguments)


def _evaluate(options: argparse.Namespace) -> None:
    with quick_imports():
        from ironore_lightning.experiment import assess_run, recall_run
        from ironore_lightning.run_folder.lock import lock_folder
        from ironore_lightning.run_folder.looks import ledger_path, require_ledger
        from ironore_lightning.run_folder.record import read_run
        from ironore_lightning.summary.membership import member_evidence, read_membership

    looks = ledger_path(Path.cwd())
    require_ledger(looks)
    folder = options.run.absolute()
    _require_finished(folder)
    record = read_run(folder, options.data_root)
    with lock_folder(folder), machine_errors(folder), _printed():
        assess_run(recall_run(record), looks=looks)
    if member := read_membership(folder):
        print_safely(f"Earned so far: {member_evidence([member])}.\n")


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


@contextmanager
def _printed() -> Iterator[None]:
    """Print what our own modules log."""
    console = Console(sys.stdout)
    console.setFormatter(Lines("%(message)s"))
    log = logging.getLogger("ironore_lightning")
    log.setLevel(logging.INFO)
    log.addHandler(console)
    try:
        yield
    finally:
        log.removeHandler(console)


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
