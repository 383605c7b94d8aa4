"""Read and check the three kinds of raw file: drivers, contracts, one prepared table.

Every mistake in a file is a `DataError` of one line that names the file, the column and the first
row or date. Dates are datetime64[us], the default of pandas 3.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.data.pickles import read_pickled_contracts
from ironore_lightning.data.raw_bytes import listed, quoted, source_path
from ironore_lightning.data.tables import (
    RawTable,
    parse_dates,
    parse_numbers,
    read_raw_table,
    require_headers,
)
from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import ContractsSettings, FileSettings, SourceSettings

MEDIAN_SPACING_DAYS = {"daily": (1, 4), "weekly": (5, 10)}
"""Least and most calendar days between dates (median), by frequency of the source."""

LARGEST_FACTOR = 10
"""Largest ratio of a price to the one before or beside it; beyond it, a decimal point is lost."""

_FEWEST_DATES = 8
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


def read_source(name: str, settings: SourceSettings, root: Path) -> pd.DataFrame:
    """Read a file of drivers.

    Args:
        name: Of the source, for messages.
        settings: Its layout and columns.
        root: Folder of the files.

    Returns:
        Float64, shape (T, columns), the columns in the order of the settings, NaN where a cell is
        blank; over an ascending unique DatetimeIndex `date`, the date in the file.

    Raises:
        DataError: If the file does not fit the settings.
    """
    table = _read_cells(settings, root)
    dates = _dates(table, settings)
    headers = [header.strip() for header in settings.columns]
    frame = _dated(table, dates, {header: parse_numbers(table, header) for header in headers})
    for header, column in settings.columns.items():
        if column.positive:
            advice = f"if that is right, set data.sources.{name}.columns.{header}.positive: false"
            _require_positive(table.file, frame[header.strip()], advice)
    _require_values(table.file, frame)
    _require_spacing(table.file, frame, settings)
    return frame


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
    if settings.format == "pickle":
        frame = _join_contracts(path.name, read_pickled_contracts(path))
    else:
        table = _read_cells(settings, root)
        headers = _contract_headers(table, settings)
        dates = _dates(table, settings)
        frame = _dated(table, dates, {header: parse_numbers(table, header) for header in headers})
        frame.columns = pd.PeriodIndex(frame.columns, freq="M")
        frame = frame.sort_index(axis=1)
    for month in frame.columns:
        _require_positive(path.name, frame[month], f"a price of {name} must be above zero")
        _require_expired(path.name, frame[month])
    if not frame.notna().to_numpy().any():
        raise DataError(f"{path.name}: no contract of {name} has a price")
    _require_similar(path.name, frame, frame.ffill().shift().to_numpy(), "the one before")
    lowest = np.broadcast_to(frame.min(axis=1).to_numpy()[:, None], frame.shape)
    _require_similar(path.name, frame, lowest, "another contract's")
    return frame


def read_table(settings: FileSettings, root: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read one prepared table, whose columns need not all be numbers.

    Returns:
        Float64, shape (T, columns), in the order of the file, NaN where a cell is blank; over an
        ascending unique DatetimeIndex `date`. And why each other column cannot be used, by header.

    Raises:
        DataError: If the file does not fit the settings.
    """
    table = _read_cells(settings, root)
    headers = _named_headers(table, settings)
    dates = _dates(table, settings)
    values: dict[str, NDArray[np.float64]] = {}
    wrong: dict[str, str] = {}
    for header in headers:
        try:
            values[header] = parse_numbers(table, header)
        except DataError as error:
            wrong[header] = str(error)
    frame = _dated(table, dates, values)
    for header in frame.columns[frame.isna().all()]:
        wrong[header] = f"{table.file}: no value in column {quoted(header)}; fill it"
    return frame.dropna(axis=1, how="all"), wrong


def _read_cells(settings: FileSettings, root: Path) -> RawTable:
    """Read the cells and check their headers."""
    table = read_raw_table(
        source_path(settings, root), file_format=settings.format, delimiter=settings.delimiter
    )
    require_headers(table)
    return table


def _named_headers(table: RawTable, settings: FileSettings) -> list[str]:
    """Return the headers of all columns but the date."""
    date_column = (settings.date_column or "").strip()
    table.column(date_column)
    headers = [header for header in table.headers if header and header != date_column]
    if not headers:
        raise DataError(f"{table.file}: there is no column besides the date")
    return headers


def _contract_headers(table: RawTable, settings: FileSettings) -> list[str]:
    """Return the headers of contract months; those without a digit are notes and skipped."""
    headers = [
        header for header in _named_headers(table, settings) if any(map(str.isdigit, header))
    ]
    wrong = [header for header in headers if not _MONTH.fullmatch(header)]
    if wrong or not headers:
        names = listed(wrong or _named_headers(table, settings))
        raise DataError(f"{table.file}: not headed by a contract month YYYY-MM: {names}")
    return headers


def _dates(table: RawTable, settings: FileSettings) -> pd.Series:
    return parse_dates(table, settings.date_column or "", settings.date_format)


def _dated(
    table: RawTable, dates: pd.Series, columns: Mapping[str, NDArray[np.float64]]
) -> pd.DataFrame:
    """Return columns by ascending date."""
    values = pd.DataFrame(columns, index=table.cells.index)
    undated = dates.isna()
    lost = undated & values.notna().any(axis=1)
    if lost.any():
        row = int(lost.argmax())
        header = values.columns[int(values.iloc[row].notna().argmax())]
        raise DataError(
            f"{table.file}: column {quoted(header)}, {table.row_name(row)}: a value without a date"
        )
    if undated.all():
        raise DataError(f"{table.file}: every row is blank")
    _require_unique(table, dates)
    frame = values.set_axis(pd.DatetimeIndex(dates, name="date"), axis=0)
    return frame[~undated.to_numpy()].sort_index()


def _join_contracts(file: str, contracts: Mapping[pd.Period, pd.Series]) -> pd.DataFrame:
    """Return unpickled contracts as one table, after checking their dates and prices."""
    for month, prices in contracts.items():
        dates = pd.DatetimeIndex(prices.index)
        if dates.hasnans:
            raise DataError(f"{file}: column {month}: a price without a date")
        for wrong, problem in (
            (dates != dates.normalize(), "has a time of day, expected one price a day"),
            (dates.duplicated(), "is there twice"),
            (np.isinf(prices.to_numpy()), "has an infinite price"),
        ):
            if wrong.any():
                raise DataError(f"{file}: column {month}: {dates[int(wrong.argmax())]} {problem}")
    frame = pd.concat(dict(contracts), axis=1, sort=True)
    frame.columns = pd.PeriodIndex(list(contracts), freq="M")
    return frame.rename_axis(index="date")


def _require_unique(table: RawTable, dates: pd.Series) -> None:
    """Raise if two rows have one date."""
    twice = dates.notna() & dates.duplicated()
    if twice.any():
        second = int(twice.argmax())
        first = int((dates == dates.iloc[second]).argmax())
        raise DataError(
            f"{table.file}: the date {dates.iloc[second]:%Y-%m-%d} is there twice, "
            f"on {table.row_name(first)} and {table.row_name(second)}; keep one"
        )


def _require_positive(file: str, values: pd.Series, advice: str) -> None:
    """Raise at the first date with a value at or below zero."""
    wrong = (values <= 0).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{file}: column {quoted(str(values.name))}, {values.index[row]:%Y-%m-%d}: "
            f"{values.iloc[row]:g} is not above zero; {advice}"
        )


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


def _require_values(file: str, frame: pd.DataFrame) -> None:
    """Raise if a column is blank."""
    blank = frame.columns[frame.isna().all()]
    if len(blank):
        raise DataError(f"{file}: no value in column {listed(blank)}; fill it or leave it out")


def _require_spacing(file: str, frame: pd.DataFrame, settings: SourceSettings) -> None:
    """Raise if the dates contradict the frequency, such as after swapping day and month."""
    dates = frame.index[frame.notna().any(axis=1)]
    if len(dates) < _FEWEST_DATES:
        return
    days = float(np.median(np.diff(dates.to_numpy()) / np.timedelta64(1, "D")))
    least, most = MEDIAN_SPACING_DAYS[settings.frequency]
    if not least <= days <= most:
        raise DataError(
            f"{file}: from {dates[0]:%Y-%m-%d} on, values are {days:g} days apart (median), but "
            f"frequency: {settings.frequency} means {least} to {most}; "
            f"are date_format {settings.date_format!r} and frequency right?"
        )
