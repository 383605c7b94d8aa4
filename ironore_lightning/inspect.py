"""Describe a raw file without running anything in it.

The exit status is 2, with one line, if the file cannot be read.
"""

import codecs
import csv
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import DataError
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_parts
from ironore_lightning.reading.cells import as_text
from ironore_lightning.reading.pickles import read_held
from ironore_lightning.reading.raw_bytes import listed, quoted, read_bytes
from ironore_lightning.reading.tables import read_raw_table
from ironore_lightning.report.table import Table, make_table
from ironore_lightning.settings.files import FileSettings

Format = Literal["csv", "pickle", "parquet", "excel"]

_FORMATS: dict[str, Format] = {
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".xlsx": "excel",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the description of the file on the command line; return the exit status."""
    parser = CommandParser("inspect", __doc__)
    expected = f"a file ending in {', '.join(_FORMATS)}"
    parser.add_argument("file", type=Path, metavar="FILE", help=expected)
    return run_plain(parser, lambda options: print_parts(describe(options.file)), arguments)


def describe(path: Path) -> list[str | Table]:
    """Return what describes a file: lines, the summary first, and a table of its parts.

    Raises:
        DataError: If the file cannot be read.
    """
    file_format = _FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise DataError(f"{path.name}: expected a file ending in {', '.join(_FORMATS)}")
    if file_format == "pickle":
        held = read_held(path.name, read_bytes(path))
        if isinstance(held, dict) and all(map(_is_month, held)):
            return _describe_contracts(path.name, held)
    return _describe_table(path, file_format)


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


def _describe_table(path: Path, file_format: Format) -> list[str | Table]:
    """Return a summary and one row per column."""
    raw = read_bytes(path)
    delimiter = _guess_delimiter(raw) if file_format == "csv" else None
    settings = FileSettings(
        file=path.name,
        format=file_format,
        date_column=None,
        date_format="%Y-%m-%d" if file_format == "csv" else None,
        delimiter=delimiter,
    )
    table = read_raw_table(path, settings)
    lines = [f"{path.name}: {file_format}, {len(table.cells)} rows, {len(table.headers)} columns"]
    if delimiter is not None:
        mark = "yes" if raw.startswith(codecs.BOM_UTF8) else "no"
        lines.append(f"UTF-8 byte order mark: {mark}; delimiter: {delimiter!r} (a guess)")
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


def _guess_delimiter(raw: bytes) -> str:
    """Guess the delimiter of a CSV from its first lines."""
    sample = b"\n".join(raw[:20_000].splitlines()[:20]).decode("utf-8-sig", errors="replace")
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def _day(date: object) -> str:
    """Write a date, or a dash where there is none."""
    return f"{date:%Y-%m-%d}" if isinstance(date, pd.Timestamp) else "-"


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
