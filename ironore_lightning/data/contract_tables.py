"""Cells to prices of monthly contracts."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.data.raw_files import (
    by_date,
    named_headers,
    read_cells,
    require_positive,
)
from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import RawTable, parse_numbers
from ironore_lightning.reading.dates import parse_dates
from ironore_lightning.reading.raw_bytes import listed, source_path
from ironore_lightning.settings.data import ContractsSettings

LARGEST_FACTOR = 10
"""Largest ratio of a price to the one before or beside it; beyond it, a decimal point is lost."""

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


def read_contracts(name: str, settings: ContractsSettings, root: Path) -> pd.DataFrame:
    """Read the prices of monthly contracts.

    Args:
        name: Of the price leg, for messages.
        settings: The layout: a pickle of a dict, or a table with one column for each contract
            month, headed YYYY-MM.
        root: Folder of the files.

    Returns:
        Float64, shape (T, C), NaN where there is no price; over an ascending unique DatetimeIndex
        `date` and a sorted monthly PeriodIndex. A contract may have no price at all.

    Raises:
        DataError: If the file does not fit the settings, or a price is not above zero, after its
            contract's month, or more than `LARGEST_FACTOR` times the contract's last one or
            another contract's of the day.
    """
    path = source_path(settings, root)
    table = read_cells(settings, root)
    headers = _contract_headers(table)
    dates = parse_dates(table)
    frame = by_date(table, dates, {header: parse_numbers(table, header) for header in headers})
    frame.columns = pd.PeriodIndex(frame.columns, freq="M")
    frame = frame.sort_index(axis=1)
    for month in frame.columns:
        require_positive(path.name, frame[month], f"a price of {name} must be above zero")
        _require_expired(path.name, frame[month])
    if not frame.notna().to_numpy().any():
        raise DataError(f"{path.name}: no contract of {name} has a price")
    _require_similar(path.name, frame, frame.ffill().shift().to_numpy(), "the one before")
    lowest = np.broadcast_to(frame.min(axis=1).to_numpy()[:, None], frame.shape)
    _require_similar(path.name, frame, lowest, "another contract's")
    return frame


def _contract_headers(table: RawTable) -> list[str]:
    """Return the headers of contract months; those without a digit are notes and skipped."""
    headers = [header for header in named_headers(table) if any(map(str.isdigit, header))]
    wrong = [header for header in headers if not _MONTH.fullmatch(header)]
    if wrong or not headers:
        names = listed(wrong or named_headers(table))
        raise DataError(f"{table.file}: not headed by a contract month YYYY-MM: {names}")
    return headers


def _require_expired(file: str, prices: pd.Series) -> None:
    """Raise at the first price after the contract's own month, when it is settled."""
    month = prices.name
    assert isinstance(month, pd.Period)
    late = prices[prices.index > month.end_time].dropna()
    if len(late):
        raise DataError(
            f"{file}: column '{month}', {late.index[0]:%Y-%m-%d}: {late.iloc[0]:g} is a price from "
            "after the contract's own month; are contracts mixed up? If not, blank it"
        )


def _require_similar(
    file: str, frame: pd.DataFrame, others: NDArray[np.float64], label: str
) -> None:
    """Raise at the first price that is too far from that of `others`, (T, C)."""
    prices = frame.to_numpy(dtype=np.float64)
    # A ratio could overflow. Next to a blank, high and low are both the price.
    high, low = np.fmax(prices, others), np.fmin(prices, others)
    wrong = np.argwhere(high / LARGEST_FACTOR > low)
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{file}: column '{frame.columns[column]}', {frame.index[row]:%Y-%m-%d}: the price is "
            f"{prices[row, column]:g} and {label} {others[row, column]:g}; is a decimal point lost?"
        )
