"""Cells to dated numbers: drivers and one prepared table.

Every mistake in a file is a `DataError` of one line that names the file, the column and the first
row or date. Dates are datetime64[us], the default of pandas 3.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import RawTable, parse_numbers
from ironore_lightning.reading.dates import parse_dates
from ironore_lightning.reading.raw_bytes import listed, quoted, source_path
from ironore_lightning.reading.tables import read_raw_table, require_headers
from ironore_lightning.settings.data import SourceSettings, TableSettings
from ironore_lightning.settings.files import FileSettings

MEDIAN_SPACING_DAYS = {
    "daily": (1, 4),
    "weekly": (5, 10),
    "monthly": (25, 35),
    "quarterly": (80, 100),
}
"""Least and most calendar days between dates (median), by frequency of the source."""

_FEWEST_DATES = 8


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
    table = read_cells(settings, root)
    dates = parse_dates(table)
    headers = settings.headers
    frame = by_date(
        table, dates, {driver: parse_numbers(table, header) for driver, header in headers.items()}
    )
    for driver, column in settings.columns.items():
        if column.positive:
            advice = f"if that is right, set data.sources.{name}.columns.{driver}.positive: false"
            require_positive(table.file, frame[driver.strip()], advice)
    _require_values(table.file, frame)
    _require_spacing(table.file, frame, settings)
    return frame


class PreparedTable(NamedTuple):
    """One prepared table.

    Attributes:
        frame: Float64, shape (T, columns), in the order of the file, NaN where a cell is blank;
            over an ascending unique DatetimeIndex `date`.
        unusable: Why each other column cannot be used, by header.
        held: The contract of each row as text, shape (T,), a blank being that of the row before;
            None without a column that names it.
    """

    frame: pd.DataFrame
    unusable: dict[str, str]
    held: pd.Series | None


def read_table(settings: TableSettings, root: Path) -> PreparedTable:
    """Read one prepared table, whose columns need not all be numbers.

    Raises:
        DataError: If the file does not fit the settings.
    """
    table = read_cells(settings, root)
    contract = (settings.contract_column or "").strip()
    headers = [header for header in named_headers(table) if header != contract]
    dates = parse_dates(table)
    values: dict[str, NDArray[np.float64]] = {}
    wrong: dict[str, str] = {}
    for header in headers:
        try:
            values[header] = parse_numbers(table, header)
        except DataError as error:
            wrong[header] = str(error)
    frame = by_date(table, dates, values)
    for header in frame.columns[frame.isna().all()]:
        wrong[header] = f"{table.file}: no value in column {quoted(header)}; fill it"
    held = _held(table.column(contract), dates) if contract else None
    return PreparedTable(frame.dropna(axis=1, how="all"), wrong, held)


def _held(cells: pd.Series, dates: pd.Series) -> pd.Series:
    """Return the contract of each date, in time order; a blank is that of the date before."""
    text = cells.astype(object).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    dated = text.set_axis(pd.DatetimeIndex(dates), axis=0)[dates.notna().to_numpy()].sort_index()
    return dated.mask(dated == "").ffill().fillna("")


def read_cells(settings: FileSettings, root: Path) -> RawTable:
    """Read the cells and check their headers."""
    table = read_raw_table(source_path(settings, root), settings)
    require_headers(table)
    return table


def named_headers(table: RawTable) -> list[str]:
    """Return the headers of all columns but the date."""
    dates = table.date_number
    headers = [header for number, header in enumerate(table.headers) if header and number != dates]
    if not headers:
        raise DataError(f"{table.file}: there is no column besides the date")
    return headers


def by_date(
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


def require_positive(file: str, values: pd.Series, advice: str) -> None:
    """Raise at the first date with a value at or below zero."""
    wrong = (values <= 0).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{file}: column {quoted(str(values.name))}, {values.index[row]:%Y-%m-%d}: "
            f"{values.iloc[row]:g} is not above zero; {advice}"
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
