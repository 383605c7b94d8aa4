"""Propose the settings of a file: an entry of `data` to be confirmed line by line."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from ironore_lightning.data.contract_names import contract_months, fitting_format
from ironore_lightning.errors import DataError
from ironore_lightning.inspect.guesses import Guess
from ironore_lightning.reading.cells import RawTable, parse_numbers
from ironore_lightning.settings.data import ALL_MONTHS

CONFIRM = "a guess: confirm"

FEWEST_CONTRACTS = 3

WIDTH = 80
"""Columns of a usual terminal."""

FREQUENCIES = {"daily": 4, "weekly": 10, "monthly": 45, "quarterly": 3660}
"""Most calendar days between two values (median)."""

ROLES = {
    "price_column": ("settle", "settlement", "close", "price", "last", "结算价", "收盘价", "종가"),
    "volume_column": ("volume", "vol", "成交量", "거래량"),
    "open_interest_column": ("open_interest", "open interest", "openinterest", "oi", "持仓量"),
}
"""Usual headers of a long table of contracts."""


def propose(found: Guess | None) -> list[str]:
    """Return the lines of YAML that may read a file, an entry of `data`; None has none."""
    if found is None:
        return ["# No column of dates was found, so no settings are proposed."]
    entry = _contracts(found) or _drivers(found)
    return ["# Settings that may read the file; confirm each guess.", "data:", *entry]


def _entry(section: str, found: Guess, more: Iterable[tuple[str, object, str]]) -> list[str]:
    """Return the lines of an entry below `data`."""
    name = re.sub(r"\W+", "_", Path(found.settings.file).name.partition(".")[0]) or "file"
    lines = [f"  {section}:", f"    {_spelt(name)}:"]
    for key, value, comment in (*_written(found), *more):
        line = f"      {key}: {_spelt(value)}"
        beside = f"{line}  # {comment}" if comment else line
        # A terminal would break a longer line, which is no YAML then.
        lines += [beside] if len(beside) < WIDTH else [f"      # {comment}:", line]
    return lines


def _spelt(value: object) -> str:
    """Return a value as YAML on one line."""
    flow = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False
    )
    return flow.removesuffix("\n").removesuffix("\n...")


def _written(found: Guess) -> list[tuple[str, object, str]]:
    """Return the settings of how the file is written, those that are not as usual."""
    settings = found.settings
    others = [_spelt(date_format) for date_format in found.date_formats[1:]]
    comment = f"{CONFIRM}; all rows also fit {' and '.join(others)}" if others else CONFIRM
    lines: list[tuple[str, object, str]] = [
        ("file", settings.file, "below data.root"),
        ("format", settings.format, ""),
        ("date_column", settings.date_column, CONFIRM),
        ("date_format", settings.date_format, comment),
        ("delimiter", settings.delimiter, CONFIRM if settings.delimiter else ""),
    ]
    for key, value in settings.model_dump(exclude_defaults=True).items():
        if key not in {name for name, *_ in lines}:
            lines.append((key, list(value) if isinstance(value, tuple) else value, CONFIRM))
    return lines


# --- drivers --------------------------------------------------------------------------------------


def _drivers(found: Guess) -> list[str]:
    """Return the entry of a file of drivers."""
    columns = {
        header: {"unit": "unknown", "positive": bool(np.nanmin(values) > 0)}
        for header, values in _numbers(found.table).items()
        if np.isfinite(values).any()
    }
    days = found.days.dropna().sort_values()
    spacing = days.drop_duplicates().diff().dt.days.median()
    frequency = next((word for word, most in FREQUENCIES.items() if spacing <= most), "daily")
    entry = _entry(
        "sources",
        found,
        [
            ("frequency", frequency, CONFIRM),
            ("publication_lag_days", 0, f"{CONFIRM}; days until it is out"),
        ],
    )
    lines = [f"        {_spelt(name)}: {_spelt(column)}" for name, column in columns.items()]
    note = "  # of a prepared table, under data.table: the lines above frequency"
    ranks = [header for header in columns if re.fullmatch(r"[A-Za-z]*\d{1,2}", header)]
    if len(ranks) >= FEWEST_CONTRACTS:
        note = (
            "  # the nearest contract, the next, and so on? they jump at every roll; below "
            "data.contracts, layout: ranks needs the days of its rolls"
        )
    return [note, *entry, f"      columns:  # {CONFIRM} each unit and sign", *lines]


def _numbers(table: RawTable) -> dict[str, np.ndarray]:
    """Return the columns that hold numbers."""
    columns: dict[str, np.ndarray] = {}
    for number, header in enumerate(table.headers):
        if header and number != table.date_number:
            try:
                columns[header] = parse_numbers(table, header)
            except DataError:
                continue
    return columns


# --- contracts ------------------------------------------------------------------------------------


def contract_format(names: Sequence[str]) -> str | None:
    """Return how contracts are written, or None if the names are no contracts."""
    return fitting_format(names) if len(names) >= FEWEST_CONTRACTS else None


def _ending(
    prices: Iterable[np.ndarray], names: Sequence[str], written: str | None
) -> list[tuple[str, object, str]]:
    """Return the last lines of an entry: unit, sign, and the listed months if a year lacks some."""
    lines: list[tuple[str, object, str]] = [("unit", "unknown", CONFIRM)]
    futures: dict[str, object] = {}
    if any((values <= 0).any() for values in prices):
        lines.append(("positive", False, f"{CONFIRM}: the file holds prices at or below zero"))
        futures["adjustment"] = "difference"
    months = sorted(contract_months(names, written, where="").values()) if written else []
    listed = sorted({month.month for month in months})
    is_year = bool(months) and months[-1].ordinal - months[0].ordinal >= len(ALL_MONTHS)
    if is_year and len(listed) < len(ALL_MONTHS):
        futures["listed_months"] = listed
    return [*lines, ("futures", futures, CONFIRM)] if futures else lines


def _contracts(found: Guess) -> list[str] | None:
    """Return the entry of a table of contracts; None if the file is none."""
    table = found.table
    headers = [h for n, h in enumerate(table.headers) if h and n != table.date_number]
    contracts = [header for header in headers if re.search(r"\d", header)]
    prices = [values for header, values in _numbers(table).items() if header in contracts]
    if len(contracts) >= FEWEST_CONTRACTS and {*map(_month_number, contracts)} <= {*range(1, 13)}:
        numbers = [("layout", "month_numbers", CONFIRM), *_ending(prices, contracts, None)]
        return _entry("contracts", found, numbers)
    written = contract_format(contracts)
    if written is not None:
        wide = [("layout", "wide", CONFIRM), ("contract_format", written, CONFIRM)]
        return _entry("contracts", found, [*wide, *_ending(prices, contracts, written)])
    return _long(found, headers)


def _month_number(header: str) -> int:
    return int(header) if re.fullmatch(r"0?[1-9]|1[0-2]", header) else 0


def _long(found: Guess, headers: Sequence[str]) -> list[str] | None:
    """Return the entry of a table with a row a day and contract; None if the file is none."""
    if not found.days.dropna().duplicated().any():
        return None
    numbers = _numbers(found.table)
    for header in headers:
        cells = found.table.column(header)
        names = sorted({str(cell).strip() for cell in cells.dropna()})
        written = contract_format(names)
        rows = pd.DataFrame({"day": found.days, "name": cells})
        if written is None or rows.duplicated().any():
            continue
        roles = {
            role: next((name for name in numbers if name.lower() in known), None)
            for role, known in ROLES.items()
        }
        others = [name for name in numbers if name != header]
        roles["price_column"] = roles["price_column"] or next(iter(others), None)
        more = [
            ("layout", "long", CONFIRM),
            ("contract_format", written, CONFIRM),
            ("contract_column", header, CONFIRM),
            *((role, name, CONFIRM) for role, name in roles.items() if name),
        ]
        prices = [numbers[name] for name in [roles["price_column"]] if name]
        return _entry("contracts", found, [*more, *_ending(prices, names, written)])
    return None
