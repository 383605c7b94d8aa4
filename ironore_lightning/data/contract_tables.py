"""Cells to prices of monthly contracts, from each layout of the files."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.data.contract_names import contract_months
from ironore_lightning.data.raw_files import by_date, named_headers, read_cells
from ironore_lightning.data.rolls import (
    NO_MONTH,
    Months,
    as_months,
    month_ordinals,
    next_listed,
    since_roll_day,
)
from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import RawTable, as_text, parse_numbers
from ironore_lightning.reading.dates import parse_dates
from ironore_lightning.reading.raw_bytes import listed, quoted, require_files
from ironore_lightning.settings.data import ALL_MONTHS, ContractsSettings
from ironore_lightning.settings.files import FileSettings

LARGEST_FACTOR = 10
"""Largest ratio of a price to the one before or beside it; beyond it, a decimal point is lost."""


@dataclass(frozen=True)
class Curve:
    """The contracts of a price leg, as its file has them.

    Attributes:
        prices: Float64, shape (T, C), NaN where there is no price; over an ascending unique
            DatetimeIndex `date` and a sorted monthly PeriodIndex. A contract may have no price.
        activity: Volume or open interest that decides the rolls, same shape; None where none does.
        roll_days: Contract months by ascending date, of `roll_file`; None without such a file.
        remarks: What was wrong before the first row that a run uses, a line each.
    """

    prices: pd.DataFrame
    activity: pd.DataFrame | None = None
    roll_days: pd.Series | None = None
    remarks: Sequence[str] = ()


def read_contracts(
    name: str, settings: ContractsSettings, root: Path, *, start: datetime.date | None = None
) -> Curve:
    """Read the prices of monthly contracts of the listed months, and what decides their rolls.

    Args:
        name: Of the price leg, for messages.
        settings: The layout of its file or files.
        root: Folder of the files.
        start: First row that a run uses. Up to the last wrong price before it, days are left out
            and a remark tells why.

    Raises:
        DataError: If a file does not fit the settings, or a price from `start` on is not above
            zero, after its contract's month, or more than `LARGEST_FACTOR` times the contract's
            last one or another contract's of the day.
    """
    file = Path(settings.file).name
    roll_days = _read_roll_days(settings, root)
    if settings.layout == "files":
        columns = _join_files(settings, root)
    else:
        table = read_cells(settings, root)
        if settings.layout == "long":
            columns = _pivot_rows(table, settings)
        elif settings.layout == "ranks":
            assert roll_days is not None  # ContractsSettings require the file
            columns = {"prices": _place_ranks(table, settings, roll_days)}
        elif settings.layout == "month_numbers":
            columns = {"prices": _place_month_numbers(table, settings)}
        else:
            columns = {"prices": _take_columns(table, settings)}
    prices = columns["prices"]
    months = pd.PeriodIndex(prices.columns).month
    prices = prices.loc[:, months.isin(settings.futures.listed_months)]
    prices, remarks = _without_old_mistakes(file, prices, name, settings, start)
    if not prices.notna().to_numpy().any():
        raise DataError(f"{file}: no contract of {name} has a price")
    activity = columns["activity"].reindex_like(prices) if "activity" in columns else None
    return Curve(prices, activity, roll_days, remarks)


def _measured(settings: ContractsSettings) -> dict[str, str]:
    """Return the header of the prices, and of what decides the rolls, of a long file."""
    headers = {"prices": settings.price_column or ""}
    if settings.futures.roll in ("volume", "open_interest"):
        headers["activity"] = getattr(settings, f"{settings.futures.roll}_column")
    return headers


def _months(names: Sequence[str], settings: ContractsSettings, where: str) -> dict[str, int]:
    """Return the ordinal of the month of each name of a listed contract."""
    months = contract_months(names, settings.contract_format, where=where)
    by_month: dict[pd.Period, str] = {}
    for name, month in months.items():
        if month in by_month:
            twice = f"{quoted(by_month[month])} and {quoted(name)}"
            raise DataError(f"{where}: contract {month} is there twice, as {twice}; keep one")
        by_month[month] = name
    listed = settings.futures.listed_months
    return {name: month.ordinal for name, month in months.items() if month.month in listed}


def _take_columns(table: RawTable, settings: ContractsSettings) -> pd.DataFrame:
    """Return the prices of a file with a column a contract."""
    months = _months(named_headers(table), settings, f"{table.file}: header")
    columns = {header: parse_numbers(table, header) for header in months}
    frame = by_date(table, parse_dates(table), columns)
    frame.columns = as_months(list(months.values()))
    return frame.sort_index(axis=1)


def _join_files(settings: ContractsSettings, root: Path) -> dict[str, pd.DataFrame]:
    """Return what is measured of a file a contract, whose name is that of the file."""
    found = settings.paths(root)
    require_files(found)
    paths = {path.name.removesuffix(".gz").rpartition(".")[0]: path for path in found}
    if len(paths) < len(found):
        raise DataError(f"{settings.file}: two of the {len(found)} files have the same name")
    months = _months(list(paths), settings, f"{settings.file}: name of a file")
    columns: dict[str, dict[int, pd.Series]] = {measure: {} for measure in _measured(settings)}
    for name, month in months.items():
        own = settings.model_copy(update={"file": str(paths[name].relative_to(root))})
        table = read_cells(own, root)
        headers = _measured(settings)
        parsed = {measure: parse_numbers(table, header) for measure, header in headers.items()}
        for measure, values in by_date(table, parse_dates(table), parsed).items():
            columns[str(measure)][month] = values
    return {
        measure: pd.concat(
            {month: own[month] for month in sorted(own)}, axis=1, sort=True
        ).set_axis(as_months(sorted(own)), axis=1)
        for measure, own in columns.items()
    }


def _pivot_rows(table: RawTable, settings: ContractsSettings) -> dict[str, pd.DataFrame]:
    """Return what is measured of a file with a row a day and contract."""
    header = settings.contract_column or ""
    names = as_text(table.file, table.column(header))
    months = _months(list(names.unique()), settings, f"{table.file}: column {quoted(header)}")
    rows = pd.DataFrame({"date": parse_dates(table), "month": names.map(months)})
    rows = rows.assign(
        **{measure: parse_numbers(table, own) for measure, own in _measured(settings).items()}
    )
    filled = rows["prices"].notna()
    for wrong, problem in (
        (filled & rows["date"].isna(), "has a price without a date"),
        (filled & (names == ""), "is blank beside a price"),
        (
            rows["month"].notna() & rows.duplicated(["date", "month"]),
            "is there twice on this date; keep one",
        ),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            contract = quoted(names.iloc[row])
            raise DataError(f"{table.file}: {table.row_name(row)}: contract {contract} {problem}")
    rows = rows.dropna(subset=["date", "month"])
    months_of_rows = rows["month"].to_numpy(np.int64)
    return {
        measure: _table(rows["date"], months_of_rows, rows[measure].to_numpy())
        for measure in _measured(settings)
    }


def _table(
    dates: pd.Series | pd.DatetimeIndex, months: Months, values: NDArray[np.float64]
) -> pd.DataFrame:
    """Return values of dates and contracts, each shape (N,), as a table (T, C)."""
    index, rows = np.unique(dates, return_inverse=True)
    contracts, columns = np.unique(months, return_inverse=True)
    table = np.full((len(index), len(contracts)), np.nan)
    table[rows, columns] = values
    return pd.DataFrame(
        table, index=pd.DatetimeIndex(index, name="date"), columns=as_months(contracts)
    )


_NUMBERS = {f"{month:{width}}" for month in ALL_MONTHS for width in ("d", "02d")}
"""Headers of `month_numbers`: 1 to 12, and 01 to 12."""


def _place_month_numbers(table: RawTable, settings: ContractsSettings) -> pd.DataFrame:
    """Return the prices of columns 01 to 12, each the next contract of that month.

    On a day of month M that is the first contract after M. In its own month a column may hold the
    contract that expires or already the one of next year, which nobody can tell: those cells are
    not read.
    """
    numbers = {header: int(header) for header in table.headers if header in _NUMBERS}
    if not numbers:
        raise DataError(
            f"{table.file}: has no column 01 to 12, as layout: month_numbers has, but "
            f"{listed(filter(None, table.headers))}"
        )
    listed_months = settings.futures.listed_months
    used = {header: month for header, month in numbers.items() if month in listed_months}
    columns = {header: parse_numbers(table, header) for header in used}
    frame = by_date(table, parse_dates(table), columns)
    own = month_ordinals(pd.DatetimeIndex(frame.index))[:, None]
    ahead = (np.array(list(used.values())) - 1 - own) % 12
    return _place(frame, np.where(ahead == 0, NO_MONTH, own + ahead))


def _place_ranks(
    table: RawTable, settings: ContractsSettings, roll_days: pd.Series
) -> pd.DataFrame:
    """Return the prices of columns of the nearest listed contract, the next, and so on."""
    columns = {header.strip(): parse_numbers(table, header) for header in settings.ranked_columns}
    frame = by_date(table, parse_dates(table), columns)
    months = [since_roll_day(pd.DatetimeIndex(frame.index), roll_days)]
    for _ in frame.columns[1:]:
        after = np.where(months[-1] == NO_MONTH, NO_MONTH, months[-1] + 1)
        months.append(next_listed(after, settings.futures.listed_months))
    return _place(frame, np.stack(months, axis=1))


def _place(frame: pd.DataFrame, months: Months) -> pd.DataFrame:
    """Return prices by the month that `months` names for each of them, same shape."""
    rows, columns = np.nonzero(months != NO_MONTH)
    dates = pd.DatetimeIndex(frame.index)[rows]
    return _table(dates, months[rows, columns], frame.to_numpy()[rows, columns])


def _read_roll_days(settings: ContractsSettings, root: Path) -> pd.Series | None:
    """Return the listed contracts of the roll file by date."""
    if settings.futures.roll_file is None:
        return None
    layout = FileSettings(
        file=settings.futures.roll_file,
        format="csv",
        date_column="date",
        date_format="%Y-%m-%d",
        delimiter=",",
    )
    table = read_cells(layout, root)
    names = as_text(table.file, table.column("contract"))
    months = _months(list(names.unique()), settings, f"{table.file}: column 'contract'")
    entries = pd.DataFrame({"date": parse_dates(table), "month": names.map(months)})
    entries = entries.dropna(subset=["month"]).sort_values("date", kind="stable")
    dates, ordinals = pd.DatetimeIndex(entries["date"]), entries["month"].to_numpy(np.int64)
    rolls = pd.Series(as_months(ordinals), index=dates)
    if rolls.empty or dates.hasnans:
        raise DataError(f"{table.file}: expected the date of each contract, listed months only")
    back = np.flatnonzero((np.diff(ordinals) <= 0) | (dates[1:] == dates[:-1]))
    if len(back):
        before, after = rolls.iloc[back[0]], rolls.iloc[back[0] + 1]
        raise DataError(
            f"{table.file}: contract {after}, {dates[back[0] + 1]:%Y-%m-%d}, follows {before}, "
            f"{dates[back[0]]:%Y-%m-%d}; expected a later date for each later contract"
        )
    return rolls


def _without_old_mistakes(
    file: str,
    prices: pd.DataFrame,
    name: str,
    settings: ContractsSettings,
    start: datetime.date | None,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the prices after the last wrong one before `start`, and remarks on what is left out.

    Raises:
        DataError: At the first wrong price from `start` on.
    """
    finders: list[_Finder] = [_find_expired]
    if settings.positive:
        finders = [_find_not_positive, *finders, _find_unlike_before, _find_unlike_others]
    remarks: list[str] = []
    for find in finders:
        while len(cells := np.argwhere((found := find(prices, name)).wrong)):
            first_row = 0 if start is None else prices.index.searchsorted(pd.Timestamp(start))
            is_old = cells[0, 0] < first_row
            row, column = cells[cells[:, 0] < first_row][-1] if is_old else cells[0]
            day = f"{prices.index[row]:%Y-%m-%d}"
            problem = found.problem(row, column)
            told = f"{file}: contract {prices.columns[column]}, {day}: {problem}"
            if not is_old:
                raise DataError(told)
            remarks.append(f"{told}; days up to it lie before data.panel.start and are left out")
            prices = prices.iloc[row + 1 :]
    return prices, remarks


class _Found(NamedTuple):
    """Wrong prices, shape (T, C), and what is wrong with that of a row and column."""

    wrong: NDArray[np.bool_]
    problem: Callable[[int, int], str]


_Finder = Callable[[pd.DataFrame, str], _Found]
"""From the prices (T, C) and the name of the leg to the wrong ones."""


def _find_not_positive(prices: pd.DataFrame, name: str) -> _Found:
    values = prices.to_numpy()

    def problem(row: int, column: int) -> str:
        return (
            f"{values[row, column]:g} is not above zero; a price of {name} must be above zero, "
            f"unless data.contracts.{name} has positive: false and futures.adjustment: difference "
            "(then forecast it with target.kind=change)"
        )

    return _Found(values <= 0, problem)


def _find_expired(prices: pd.DataFrame, _: str) -> _Found:
    """Find prices after the contract's own month, when it is settled."""
    values = prices.to_numpy()
    own = pd.PeriodIndex(prices.columns).asi8
    late = month_ordinals(pd.DatetimeIndex(prices.index))[:, None] > own

    def problem(row: int, column: int) -> str:
        return (
            f"{values[row, column]:g} is a price from after the contract's own month; are "
            "contracts mixed up? If not, blank it"
        )

    return _Found(late & np.isfinite(values), problem)


def _find_unlike_before(prices: pd.DataFrame, _: str) -> _Found:
    return _find_unlike(prices, prices.ffill().shift().to_numpy(), "the one before")


def _find_unlike_others(prices: pd.DataFrame, _: str) -> _Found:
    lowest = np.broadcast_to(prices.min(axis=1).to_numpy()[:, None], prices.shape)
    return _find_unlike(prices, lowest, "another contract's")


def _find_unlike(prices: pd.DataFrame, others: NDArray[np.float64], label: str) -> _Found:
    """Find prices that are too far from those of `others`, (T, C)."""
    values = prices.to_numpy(dtype=np.float64)
    # A ratio could overflow. Next to a blank, high and low are both the price.
    high, low = np.fmax(values, others), np.fmin(values, others)

    def problem(row: int, column: int) -> str:
        return (
            f"the price is {values[row, column]:g} and {label} {others[row, column]:g}; "
            "is a decimal point lost?"
        )

    return _Found(high / LARGEST_FACTOR > low, problem)
