"""Say whether the record of a desk is what was written.

DESK is the folder of a desk. The first entry that was changed, removed, inserted or back-dated is
named, and the exit status is then 3.

A record that was rewritten together with its head looks whole. With --expect HASH, the hash of the
newest entry that somebody wrote down on an earlier morning, nothing before that can have changed.

With --page the page of a past morning is made again from the record, as DESK/desk_DAY.html unless
--output names another file.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import ConfigError, RecordError, machine_errors
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_safely

KEPT = ("record.jsonl", "head.json", "desk.html", "desk.json")
"""Files of a desk that a past page must not replace."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a record, print what was found, and return the exit status."""
    parser = CommandParser("verify", __doc__)
    parser.add_argument("desk", type=Path, metavar="DESK", help="folder of a desk")
    parser.add_argument("--expect", metavar="HASH", help="of an entry, written down earlier")
    parser.add_argument(
        "--page", metavar="DAY", help="whose forecast, or refusal on that day, is shown again"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="takes the page, DESK/desk_DAY.html if not given",
    )
    return run_plain(parser, _verify, arguments)


def _verify(options: argparse.Namespace) -> None:
    expected = _expected(options.expect)
    page = _page_file(options)
    with quick_imports():
        from ironore_lightning.desk.record import verify

    found = verify(options.desk, expected)
    if found.fault:
        raise RecordError(f"{options.desk}: {found.fault}")
    until = f"; entry {found.confirmed} has the expected hash" if found.confirmed else ""
    print_safely(
        f"{options.desk}: {found.num_entries} entries, each as it was chained{until}\n"
        f"newest: {found.head}\n"
    )
    if not expected:
        print_safely(
            "Somebody who rewrites the whole record is found only by a hash that was written down "
            "before: --expect HASH.\n"
        )
    if page:
        _write_page(options.desk, options.page, page)


def _expected(text: str | None) -> str | None:
    """Return the hash of --expect in small letters."""
    if text is not None and not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ConfigError(
            f"--expect: a hash has 64 digits from 0 to f, got {text!r}; the morning page shows it"
        )
    return text and text.lower()


def _page_file(options: argparse.Namespace) -> Path | None:
    """Return the file that takes the page of --page, which is none that a desk keeps."""
    if options.page is None:
        if options.output is not None:
            raise ConfigError("--output: takes the page of --page DAY, which is missing")
        return None
    output: Path = options.output or options.desk / f"desk_{options.page}.html"
    if output.resolve() in [(options.desk / name).resolve() for name in KEPT]:
        raise ConfigError(f"--output: {output} is a file of the desk; name another one")
    return output


def _write_page(desk: Path, day: str, output: Path) -> None:
    from ironore_lightning.desk.page import entries_until, page_text
    from ironore_lightning.desk.record import read_record
    from ironore_lightning.files import write_text
    from ironore_lightning.settings.base import parse_day

    text = page_text(entries_until(read_record(desk), parse_day("--page", day)))
    with machine_errors(output):
        write_text(output, text)
    print_safely(f"page of {day}: {output}\n")


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
