"""Describe a raw file without running anything in it, and propose settings that read it.

Every guess is marked as one to confirm. The exit status is 2, with one line, if the file cannot be
read.
"""

import codecs
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.inspect.guesses import FORMATS, Guess, first_settings, format_of, guess
from ironore_lightning.inspect.proposal import propose
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_parts
from ironore_lightning.reading.cells import as_text
from ironore_lightning.reading.pickles import read_held
from ironore_lightning.reading.raw_bytes import listed, quoted, read_bytes
from ironore_lightning.reading.tables import read_raw_table
from ironore_lightning.report.table import Table, make_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the description of the file on the command line; return the exit status."""
    parser = CommandParser("inspect", __doc__)
    expected = f"a file ending in {', '.join(FORMATS)}"
    parser.add_argument("file", type=Path, metavar="FILE", help=expected)
    parser.add_argument("--sheet-name", metavar="NAME", help="of a workbook with several sheets")
    return run_plain(
        parser,
        lambda options: print_parts(describe(options.file, options.sheet_name)),
        arguments,
    )


def describe(path: Path, sheet_name: str | None = None) -> list[str | Table]:
    """Return what describes a file: lines, the summary first, and a table of its parts.

    Raises:
        DataError: If the file cannot be read.
    """
    if format_of(path) == "pickle":
        held = read_held(path.name, read_bytes(path))
        if isinstance(held, dict) and all(map(_is_month, held)):
            return [*_describe_contracts(path.name, held), "", *propose(guess(path))]
    found = guess(path, sheet_name)
    return [*_describe_table(path, found), "", *propose(found)]


def _is_month(header: str) -> bool:
    return re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", header) is not None


def _describe_contracts(file: str, contracts: Mapping[str, pd.Series]) -> list[str | Table]:
    """Return a summary and one row per contract."""
    months = pd.PeriodIndex(list(contracts), freq="M")
    gaps = pd.period_range(months[0], months[-1], freq="M").difference(months)
    spans = pd.DataFrame(
        {
            "contract": [str(month) for month in months],
            "first_date": [_day(prices.index.min()) for prices in contracts.values()],
            "last_date": [_day(prices.index.max()) for prices in contracts.values()],
            "priced_from": [_day(prices.first_valid_index()) for prices in contracts.values()],
            "priced_to": [_day(prices.last_valid_index()) for prices in contracts.values()],
            "rows": [len(prices) for prices in contracts.values()],
            "missing": [int(prices.isna().sum()) for prices in contracts.values()],
        }
    )
    return [
        f"{file}: pickle, {len(months)} contracts from {months[0]} to {months[-1]}",
        f"months missing in between: {', '.join(str(month) for month in gaps) or 'none'}",
        f"prices: {spans['rows'].sum() - spans['missing'].sum()}, missing {spans['missing'].sum()}",
        "",
        make_table(spans),
    ]


def _describe_table(path: Path, found: Guess | None) -> list[str | Table]:
    """Return a summary and one row per column."""
    table = read_raw_table(path, first_settings(path)) if found is None else found.table
    settings = table.settings
    lines = [
        f"{path.name}: {settings.format}, {len(table.cells)} rows, {len(table.headers)} columns"
    ]
    if settings.delimiter is not None:
        mark = "yes" if read_bytes(path).startswith(codecs.BOM_UTF8) else "no"
        encoding = settings.encoding
        written = f"encoding: {encoding} (a guess)"
        written = f"UTF-8 byte order mark: {mark}" if encoding == "utf-8" else written
        lines.append(f"{written}; delimiter: {settings.delimiter!r} (a guess)")
    rows = []
    for position, header in enumerate(table.headers):
        cells = table.cells.iloc[:, position]
        blank = table.is_blank(as_text(path.name, cells))
        filled = cells[~blank]
        ends = "" if filled.empty else f"{quoted(filled.iloc[0])} .. {quoted(filled.iloc[-1])}"
        name = listed([header]) if header else "(no header)"
        unread = table.unreadable.get(position)
        rows.append((name, len(filled), int(blank.sum()), unread or ends))
    columns = pd.DataFrame(rows, columns=["column", "filled", "blank", "first and last"])
    return [*lines, make_table(columns)]


def _day(date: object) -> str:
    """Write a date, or a dash where there is none."""
    return f"{date:%Y-%m-%d}" if isinstance(date, pd.Timestamp) else "-"


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
