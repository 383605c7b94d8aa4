"""Read a file of anybody's forecasts, and check what can be checked without a market."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ironore_lightning.errors import DataError, closest
from ironore_lightning.evaluation.forecasts import BOUNDS
from ironore_lightning.reading.cells import RawTable, parse_numbers
from ironore_lightning.reading.dates import parse_dates
from ironore_lightning.reading.raw_bytes import listed, quoted, read_bytes
from ironore_lightning.reading.tables import read_raw_table, require_headers
from ironore_lightning.settings.files import FileSettings

FORMATS: dict[str, Literal["csv", "excel", "parquet"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "excel",
    ".parquet": "parquet",
}
"""Format of a file, by its suffix."""

PICKLES = {".pkl", ".pickle", ".p"}

DELIMITERS = ",;\t|"

LONGEST_HEADER = 4096
"""Bytes of the first line that are looked at."""

DATE_FORMAT = "%Y-%m-%d"

ORIGIN, DATE, FORECAST, ACTUAL = "origin", "date", "forecast", "actual"
REQUIRED = (ORIGIN, DATE, FORECAST)
OPTIONAL = (ACTUAL, *BOUNDS)

LARGEST = 100.0
"""Largest forecast, bound or outcome, per cent; beyond it stands a price or another unit."""

MOST_DAYS = 20_000
"""Most rows: eighty years."""

SMALLEST_SPREAD = 0.1
"""Outcomes that spread less, in per cent, are fractions."""

LARGEST_RATIO, SMALLEST_RATIO = 10.0, 1e-3
"""Size of forecasts relative to outcomes, beyond which they have another unit."""


@dataclass(frozen=True, eq=False)
class ForecastFile:
    """A file of forecasts.

    Attributes:
        name: Of the file, for messages.
        rows: In time order: `origin`, `date` of the outcome, `forecast`, `actual` and the four
            bounds, per cent; NaN where the file has no value.
        has_actual: Whether it has a column of outcomes.
        not_read: Headers of its other columns.
    """

    name: str
    rows: pd.DataFrame
    has_actual: bool
    not_read: tuple[str, ...]


def read_forecast_file(path: Path) -> ForecastFile:
    """Read and check a file of forecasts.

    Raises:
        DataError: Naming the file, the row, and what was expected there.
    """
    table = _read_table(path)
    rows = _parse(table)
    _require_time_order(table, rows)
    _require_bounds(table, rows)
    _require_outcomes_at_the_start(table, rows)
    not_read = [header for header in table.headers if header not in {"", *REQUIRED, *OPTIONAL}]
    return ForecastFile(
        table.file, rows.reset_index(drop=True), ACTUAL in table.headers, tuple(not_read)
    )


def require_units(file: str, rows: pd.DataFrame) -> None:
    """Raise `DataError` if forecasts, bounds or outcomes are not returns in per cent.

    Args:
        file: Name of the file.
        rows: Of a `ForecastFile`, those with an outcome.
    """
    for name in (FORECAST, *OPTIONAL):
        wrong = (rows[name].abs() > LARGEST).to_numpy()
        if wrong.any():
            row = rows.iloc[int(wrong.argmax())]
            raise DataError(
                f"{file}: {name} of {row[DATE]:%Y-%m-%d} is {row[name]:g}, which is no return in "
                "per cent; is it a price, or in basis points?"
            )
    spread = float(rows[ACTUAL].std())
    if 0 < spread < SMALLEST_SPREAD:
        raise DataError(
            f"{file}: the outcomes spread by {spread:.2g}, which is too little for per cent; "
            "are they fractions? multiply outcomes, forecasts and bounds by 100"
        )
    forecast_size, size = (float((rows[name] ** 2).mean() ** 0.5) for name in (FORECAST, ACTUAL))
    if forecast_size > LARGEST_RATIO * size > 0:
        raise DataError(
            f"{file}: forecasts have a mean size of {forecast_size:.3g}, outcomes of {size:.3g}; "
            "are they prices or basis points? expected are returns in per cent"
        )
    if 0 < forecast_size < SMALLEST_RATIO * size:
        raise DataError(
            f"{file}: forecasts have a mean size of {forecast_size:.2g}, outcomes of {size:.3g}; "
            "are they fractions? expected are returns in per cent"
        )


def _read_table(path: Path) -> RawTable:
    """Return the cells of the file, which has all columns that are needed."""
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise DataError(f"{path.name}: a pickle can run code, so it is not read; save it as .csv")
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise DataError(f"{path.name}: {quoted(suffix)} is no table; expected one of {known}")
    settings = FileSettings(
        file=path.name,
        format=FORMATS[suffix],
        date_column=ORIGIN,
        date_format=DATE_FORMAT,
        delimiter=_delimiter(path) if FORMATS[suffix] == "csv" else None,
        day_ends="23:59",  # a stamp is of its date
    )
    table = read_raw_table(path, settings)
    require_headers(table)
    _require_columns(table)
    if len(table.cells) > MOST_DAYS:
        raise DataError(f"{table.file}: has {len(table.cells)} rows, may have {MOST_DAYS}")
    return table


def _delimiter(path: Path) -> str:
    """Return the delimiter that the header has most of."""
    header = read_bytes(path)[:LONGEST_HEADER].partition(b"\n")[0]
    return max(DELIMITERS, key=lambda mark: header.count(mark.encode()))


def _require_columns(table: RawTable) -> None:
    headers = [*filter(None, table.headers)]
    for name in REQUIRED:
        if name not in headers:
            raise DataError(
                f"{table.file}: there is no column {quoted(name)}{closest(name, headers)}; its "
                f"columns are {listed(headers)}, needed are {', '.join(REQUIRED)}"
            )
    for lower, upper in (("lower_80", "upper_80"), ("lower_90", "upper_90")):
        there = [name for name in (lower, upper) if name in headers]
        if len(there) == 1:
            raise DataError(
                f"{table.file}: of {lower} and {upper}, only {there[0]} is there; add the other"
            )


def _parse(table: RawTable) -> pd.DataFrame:
    """Return the columns that are known, without blank rows; the index numbers the file's rows."""
    columns: dict[str, object] = {
        name: parse_dates(_with_format_of(table, name), name).to_numpy() for name in (ORIGIN, DATE)
    }
    for name in (FORECAST, *OPTIONAL):
        has_column = name in table.headers
        columns[name] = parse_numbers(table, name) if has_column else np.nan
    rows = pd.DataFrame(columns, index=range(len(table.cells))).dropna(how="all")
    if rows.empty:
        raise DataError(f"{table.file}: every row is blank")
    for name in REQUIRED:
        if rows[name].isna().any():
            row = table.row_name(int(rows.index[rows[name].isna()][0]))
            raise DataError(f"{table.file}: {row}: {name} is blank; fill it or remove the row")
    return rows


def _with_format_of(table: RawTable, name: str) -> RawTable:
    """Return the table as one whose dates are as those of a column: text, or real dates."""
    cells = table.column(name)
    is_text = cells.dtype == object and cells.map(lambda cell: isinstance(cell, str)).any()
    date_format = DATE_FORMAT if is_text or isinstance(cells.dtype, pd.StringDtype) else None
    settings = table.settings.model_copy(update={"date_format": date_format})
    return replace(table, settings=settings)


def _require_time_order(table: RawTable, rows: pd.DataFrame) -> None:
    steps = rows[DATE].diff()
    if (steps[1:] <= pd.Timedelta(0)).any():
        place = int(np.argmax(steps.to_numpy() <= np.timedelta64(0)))
        before, date = rows[DATE].iloc[place - 1], rows[DATE].iloc[place]
        problem = (
            "is there twice; keep one forecast of each day"
            if before == date
            else (f"follows {before:%Y-%m-%d}; sort the rows by date")
        )
        raise DataError(f"{_place(table, rows, place)}: the date {date:%Y-%m-%d} {problem}")
    wrong = (rows[ORIGIN] >= rows[DATE]).to_numpy()
    if wrong.any():
        place = int(wrong.argmax())
        origin, date = rows[ORIGIN].iloc[place], rows[DATE].iloc[place]
        raise DataError(
            f"{_place(table, rows, place)}: origin {origin:%Y-%m-%d} is not before the date "
            f"{date:%Y-%m-%d} that is forecast; origin is the last day the forecaster had seen"
        )


def _require_bounds(table: RawTable, rows: pd.DataFrame) -> None:
    """Raise unless the bounds of each day, if there are any, lie around its forecast in order."""
    for share in (80, 90):
        lower, upper = rows[f"lower_{share}"], rows[f"upper_{share}"]
        inside = (lower <= rows[FORECAST]) & (rows[FORECAST] <= upper)
        for wrong, problem in (
            (lower.isna() != upper.isna(), "one bound is blank and the other is not"),
            (lower > upper, "the lower bound lies above the upper one"),
            (lower.notna() & ~inside, "the forecast lies outside its own bounds"),
        ):
            if wrong.any():
                place = int(wrong.to_numpy().argmax())
                raise DataError(f"{_place(table, rows, place)}: {share} % interval: {problem}")
    crossed = (rows["lower_90"] > rows["lower_80"]) | (rows["upper_90"] < rows["upper_80"])
    if crossed.any():
        place = int(crossed.to_numpy().argmax())
        raise DataError(
            f"{_place(table, rows, place)}: the 80 % interval reaches beyond the 90 % one"
        )


def _require_outcomes_at_the_start(table: RawTable, rows: pd.DataFrame) -> None:
    """Raise if an outcome before the last one is missing, which would leave a day out by choice."""
    if ACTUAL not in table.headers:
        return
    known = rows[ACTUAL].notna().to_numpy()
    if not known.any():
        raise DataError(f"{table.file}: column {quoted(ACTUAL)} holds no value")
    last = int(np.flatnonzero(known)[-1])
    if not known[:last].all():
        place = int((~known).argmax())
        raise DataError(
            f"{_place(table, rows, place)}: actual is blank, though a later one is known; fill it"
        )


def _place(table: RawTable, rows: pd.DataFrame, place: int) -> str:
    """Return file and row of a row in `rows`."""
    return f"{table.file}: {table.row_name(int(rows.index[place]))}"
