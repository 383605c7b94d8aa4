"""Names of futures contracts, such as 2024-01, Jan-24, I2401 or CLF24, to contract months."""

import re
from collections.abc import Sequence

import pandas as pd

from ironore_lightning.errors import DataError
from ironore_lightning.reading.raw_bytes import listed, quoted

CODES = "FGHJKMNQUVXZ"
"""Letters of the months, January to December, in the names of futures."""

# English whatever the locale, which `strptime` would follow.
_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

_PARTS = {
    "%Y": r"(?P<year>[0-9]{4})",
    "%y": r"(?P<short_year>[0-9]{2})",
    "%m": r"(?P<number>0?[1-9]|1[0-2])",
    "%b": rf"(?P<name>{'|'.join(name[:3] for name in _NAMES)})",
    "%B": rf"(?P<name>{'|'.join(_NAMES)})",
    "{code}": rf"(?P<code>[{CODES}])",
    "%d": r"(?:0?[1-9]|[12][0-9]|3[01])",
    "%H": r"[0-9]{2}",
    "%M": r"[0-9]{2}",
    "%S": r"[0-9]{2}",
    "%%": "%",
}
"""Patterns of what a format may hold: directives of `strptime`, and the letter of the month."""

FIRST_SHORT_YEAR = 69
"""A year of two digits lies between 1969 and 2068, as `strptime` reads it."""

_COMMON = (
    *("%Y-%m", "%Y%m", "%y-%m", "%y%m", "%Y/%m", "%m/%Y", "%b-%y", "%b-%Y", "%b %y", "%b %Y"),
    *("%b%y", "%B %Y", "%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S"),
)


def contract_months(
    names: Sequence[str], contract_format: str, *, where: str
) -> dict[str, pd.Period]:
    """Return the month of each name; a name without a digit is a note and left out.

    Args:
        names: Headers, cells or names of files.
        contract_format: How they are written. Years of two digits are 1969 to 2068.
        where: File and what was searched, for messages.

    Raises:
        DataError: If a name with a digit does not fit, or the format names no month of a year.
    """
    dated = [name for name in names if any(map(str.isdigit, name))]
    months = _parse(dated, contract_format, where)
    wrong = [name for name, month in zip(dated, months, strict=True) if month is None]
    if wrong or not dated:
        raise DataError(
            f"{where}: not a contract month written as {contract_format!r}: "
            f"{listed(wrong or names)}{_hint(dated)}"
        )
    return {name: month for name, month in zip(dated, months, strict=True) if month is not None}


def fitting_format(names: Sequence[str]) -> str | None:
    """Return the common format that fits all names, or None if there is none."""
    fitting = (other for other in _candidates(names) if names and None not in _parse(names, other))
    return next(fitting, None)


def _hint(names: Sequence[str]) -> str:
    """Return the setting that fits names with a digit, if a common one does."""
    if not names:
        return ""
    if (other := fitting_format(names)) is not None:
        return f"; set contract_format: {other!r}"
    numbers = [int(re.sub("[^0-9]", "", name)) for name in names]
    if min(numbers) <= 1:  # they count, and are no years
        return (
            "; columns of the nearest contract, the next and so on need layout: ranks, and columns "
            "01 to 12 layout: month_numbers"
        )
    return ""


def _candidates(names: Sequence[str]) -> list[str]:
    """Return formats to try, with the letters before the digits of the first name."""
    letters = "".join(re.findall(r"^[A-Za-z_ ]*", next(iter(names), "")))
    return [
        *_COMMON,
        *(f"{letters}{digits}" for digits in ("%y%m", "%Y%m", "%Y-%m")),
        *(f"{letters[:-1]}{{code}}{year}" for year in ("%y", "%Y")),
    ]


def _parse(names: Sequence[str], contract_format: str, where: str = "") -> list[pd.Period | None]:
    """Return the month of each name, None where it does not fit."""
    pattern = _pattern(contract_format)
    if not {"year", "short_year"} & {*pattern.groupindex} or not (
        {"number", "name", "code"} & {*pattern.groupindex}
    ):
        raise DataError(
            f"{where}: contract_format {quoted(contract_format)} must hold a year (%Y or %y) and "
            "a month (%m, %b, %B or {code})"
        )
    return [_month(match) if (match := pattern.fullmatch(name)) else None for name in names]


def _pattern(contract_format: str) -> re.Pattern[str]:
    """Return the pattern of a format, whose directives may each be there once."""
    pieces = re.split(r"(%.|\{code\})", contract_format)
    exact = re.search(r"%[Yymd]%[Yymd]", contract_format) is not None
    seen: set[str] = set()
    pattern = ""
    for piece in pieces:
        known = piece in _PARTS and (piece == "%%" or piece not in seen)
        part = _PARTS[piece] if known else re.escape(piece)
        # Without separators, a missing digit would shift the others.
        pattern += part.replace("0?", "0") if exact else part
        seen.add(piece)
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


def _month(match: re.Match[str]) -> pd.Period:
    found = match.groupdict()
    if "code" in found:
        month = CODES.index(found["code"].upper()) + 1
    elif "name" in found:
        starts = [name[:3] for name in _NAMES]
        month = starts.index(found["name"][:3].lower()) + 1
    else:
        month = int(found["number"])
    if "year" in found:
        return pd.Period(year=int(found["year"]), month=month, freq="M")
    short = int(found["short_year"])
    century = 1900 if short >= FIRST_SHORT_YEAR else 2000
    return pd.Period(year=century + short, month=month, freq="M")
