"""Dates of a raw file: text, real dates, and numbers that count from an epoch."""

import datetime
import re
import zoneinfo

import pandas as pd

from ironore_lightning.errors import DataError, closest
from ironore_lightning.reading.cells import RawTable, as_text, stray_rows
from ironore_lightning.reading.raw_bytes import one_line, quoted

COUNTS = {"unix_s": "s", "unix_ms": "ms", "excel": "D"}
"""Units of dates that are numbers, by the word for them in `date_format`."""

EARLIEST, LATEST = pd.Timestamp("1950-01-01"), pd.Timestamp("2101-01-01")
"""A number beyond them counts something else, such as rows."""

_ABOUT_FORMATS = f"set date_format, as %d/%m/%Y for text or {', '.join(COUNTS)} for numbers"

_CORRECT = "correct it, or date_format, which python -m ironore_lightning.inspect proposes"

_NUMERIC = r"%[^aAbBpZzf%]"
"""Matches a numeric directive of a date format; a fraction may be of any length."""

_OFFSET = re.compile(r"\s*(?:Z|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>[0-5]\d)?(?::?00)?)$")
"""Matches the offset from UTC at the end of a date."""


def parse_dates(table: RawTable, header: str | None = None) -> pd.Series:
    """Read a column of dates as the settings of the file say.

    Args:
        table: The cells.
        header: Column of the dates; null is the `date_column` of the settings.

    Returns:
        Trading days as datetime64[us], shape (T,), NaT where the cell is blank. A stamp with a
        zone is that of `timezone`; one later than `day_ends` belongs to the next calendar day.

    Raises:
        DataError: If a date is not written as `date_format` says, or has a zone or a time of day
            that the settings do not name.
    """
    number = table.date_number if header is None else table.number_of(header)
    cells, where = table.numbered(number), table.place(number)
    date_format = table.settings.date_format
    if date_format in COUNTS:
        stamps = _counted(table, cells, where, COUNTS[date_format])
    elif date_format is not None:
        stamps = _of_text(table, cells, date_format, where)
    elif pd.api.types.is_datetime64_any_dtype(cells.dtype):
        stamps = cells
    else:
        stamps = _of_objects(table, cells, where)
    local = _in_zone(table, stamps, where)
    return _trading_days(table, local, where).astype("datetime64[us]")


def _in_zone(table: RawTable, stamps: pd.Series, where: str) -> pd.Series:
    """Return stamps as a clock in `timezone` shows them; those without a zone stay."""
    name = table.settings.timezone
    try:
        zone = zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = closest(name or "", zoneinfo.available_timezones())
        raise DataError(
            f"{table.file}: timezone {quoted(name)} is unknown, expected one such as Asia/Shanghai "
            f"or UTC{hint}"
        ) from None
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return stamps
    if zone is None:
        raise DataError(
            f"{where}: dates have a timezone ({stamps.dt.tz}); set timezone, the one whose "
            "calendar names the trading day, as timezone: Asia/Shanghai"
        )
    local: pd.Series = stamps.dt.tz_convert(zone).dt.tz_localize(None)
    return local


def _trading_days(table: RawTable, stamps: pd.Series, where: str) -> pd.Series:
    """Return the day that each stamp belongs to, by `day_ends`."""
    days: pd.Series = stamps.dt.normalize()
    minutes = (stamps - days).dt.total_seconds() // 60
    if table.settings.day_ends is None:
        timed = stamps.notna() & (stamps != days)
        if timed.any():
            row, latest = int(timed.argmax()), int(minutes.max())
            raise DataError(
                f"{where}, {table.row_name(row)}: {stamps.iloc[row]} has a time of day; set "
                "day_ends, the last time that belongs to the day of its date, as day_ends: "
                f'"{latest // 60:02d}:{latest % 60:02d}"'
            )
        return days
    hour, minute = map(int, table.settings.day_ends.split(":"))
    next_days: pd.Series = days + pd.Timedelta(days=1)
    return days.where(~(minutes > 60 * hour + minute), next_days)


def _of_text(
    table: RawTable, cells: pd.Series, date_format: str, where: str
) -> "pd.Series[pd.Timestamp]":
    """Parse cells of one date format."""
    # Pandas guesses where the format is "mixed" or "ISO8601".
    plain_format = date_format.removesuffix("%z").rstrip()
    if "%" not in date_format or "%Z" in date_format or "%z" in plain_format:
        raise DataError(
            f"{where}: date_format {quoted(date_format)} must spell a date, as %d/%m/%Y, with %z "
            f"at its end if at all; or be one of {', '.join(COUNTS)}, or null for real dates"
        )
    if pd.api.types.is_datetime64_any_dtype(cells.dtype) or _are_dates(cells.dropna()):
        raise DataError(f"{where}: holds real dates, so date_format must be null")
    text = as_text(table.file, cells)
    blank = table.is_blank(text)
    if plain_format == date_format:
        return _strictly_parsed(table, text, blank, date_format, where)
    found = [_OFFSET.search(cell) for cell in text]
    offsets = pd.Series([_offset(match) for match in found], dtype="timedelta64[us]")
    plain = [
        cell[: match.start()] if match else cell for cell, match in zip(text, found, strict=True)
    ]
    _refuse(table, where, text, ~blank & offsets.isna(), blank, quoted(date_format))
    local = _strictly_parsed(table, pd.Series(plain, dtype="str"), blank, plain_format, where)
    return (local - offsets).dt.tz_localize("UTC")


def _offset(match: re.Match[str] | None) -> pd.Timedelta | None:
    """Return how far a clock is ahead of UTC."""
    if match is None:
        return None
    hours, minutes = int(match["hours"] or 0), int(match["minutes"] or 0)
    return pd.Timedelta(minutes=60 * hours + minutes) * (-1 if match["sign"] == "-" else 1)


def _strictly_parsed(
    table: RawTable,
    text: "pd.Series[str]",
    blank: "pd.Series[bool]",
    date_format: str,
    where: str,
) -> "pd.Series[pd.Timestamp]":
    """Parse dates that, written again, are the same but for case, spaces and leading zeros."""
    try:
        dates = pd.to_datetime(text.mask(blank), format=date_format, errors="coerce")
        back = dates.dt.strftime(date_format).fillna("")
    except ValueError as error:
        raise DataError(f"{where}: date_format {quoted(date_format)}: {one_line(error)}") from None
    # Without separators, a missing digit shifts the others and gives another date.
    is_exact = re.search(f"{_NUMERIC}{_NUMERIC}", date_format) is not None
    wrong = ~blank & (dates.isna() | (_normalised(text, is_exact) != _normalised(back, is_exact)))
    if wrong.any():
        row = int(wrong.argmax())
        hint = (
            f", in which {dates.iloc[row]:%Y-%m-%d} is {quoted(back.iloc[row])}; are digits lost? "
            "store dates as text with all their digits, or as real dates"
            if back.iloc[row]
            else ""
        )
        _refuse(table, where, text, wrong, blank, quoted(date_format) + hint)
    return dates


def _refuse(
    table: RawTable,
    where: str,
    text: "pd.Series[str]",
    wrong: "pd.Series[bool]",
    blank: "pd.Series[bool]",
    expected: str,
) -> None:
    """Raise at the first wrong date, if there is one."""
    if wrong.any():
        row = int(wrong.argmax())
        remedies = stray_rows(table, wrong, blank)
        raise DataError(
            f"{where}, {table.row_name(row)}: {quoted(text.iloc[row])} is not a date "
            f"written as {expected}; {f'set {remedies[0]}' if remedies else _CORRECT}"
        )


def _normalised(text: "pd.Series[str]", is_exact: bool) -> "pd.Series[str]":
    """Return dates without case, repeated spaces and leading zeros, unless `is_exact`."""
    if is_exact:
        return text
    folded = text.str.lower().str.replace(r"\s+", " ", regex=True)
    folded = folded.str.replace(r"(\.[0-9]*?)0+$", r"\1", regex=True)  # of fractions of a second
    return folded.str.replace(r"(?<![0-9])[0 ]+(?=[0-9])", "", regex=True)


def _of_objects(table: RawTable, cells: pd.Series, where: str) -> "pd.Series[pd.Timestamp]":
    """Return cells that are dates already, or blank; in a workbook also serial numbers."""
    filled = ~table.is_blank(as_text(table.file, cells))
    if table.settings.format == "excel":
        serials = pd.to_numeric(cells.where(cells.map(_is_number)), errors="coerce")
        days = _moments(serials, "D", table.epoch)
        cells = cells.astype(object).where(days.isna(), days)
    wrong = filled & ~cells.map(_is_date)
    if wrong.any():
        row = int(wrong.argmax())
        remedies = stray_rows(table, wrong, ~filled)
        raise DataError(
            f"{where}, {table.row_name(row)}: {quoted(cells.iloc[row])} is not a real date; "
            f"{f'set {remedies[0]}' if remedies else _ABOUT_FORMATS}"
        )
    try:
        return pd.to_datetime(cells.where(filled, None))
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: {one_line(error)}") from None


def _are_dates(cells: pd.Series) -> bool:
    return len(cells) > 0 and all(map(_is_date, cells))


def _is_date(cell: object) -> bool:
    return isinstance(cell, datetime.date)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _counted(table: RawTable, cells: pd.Series, where: str, unit: str) -> "pd.Series[pd.Timestamp]":
    """Return dates that count days, seconds or milliseconds from an epoch."""
    text = as_text(table.file, cells)
    blank = table.is_blank(text)
    counts = pd.to_numeric(text.mask(blank), errors="coerce")
    stamps = _moments(counts, unit, table.epoch if unit == "D" else pd.Timestamp(0))
    wrong = ~blank & stamps.isna()
    word = next(word for word, other in COUNTS.items() if other == unit)
    _refuse(table, where, text, wrong, blank, f"{word}, a number of {EARLIEST:%Y} to {LATEST:%Y}")
    return stamps if unit == "D" else stamps.dt.tz_localize("UTC")


def _moments(counts: "pd.Series[float]", unit: str, epoch: pd.Timestamp) -> pd.Series:
    """Return numbers as moments from `EARLIEST` to `LATEST`, to the microsecond; others are NaT."""
    in_days = {"D": 1.0, "s": 86_400.0, "ms": 86_400_000.0}[unit]
    least, most = ((day - epoch) / pd.Timedelta(days=1) for day in (EARLIEST, LATEST))
    fits = (counts >= least * in_days) & (counts < most * in_days)
    microseconds = (counts.where(fits, 0.0) * (86_400e6 / in_days)).round()
    moments = epoch + pd.to_timedelta(microseconds.astype("int64"), unit="us")
    return moments.where(fits).astype("datetime64[us]")
