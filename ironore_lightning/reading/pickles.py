"""Tables and contracts in pickles, taken from the inert stand-ins that `unpickling` makes.

The numbers are taken from their bytes, so the version of pandas and NumPy that wrote them does not
matter.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import RawTable, header_text
from ironore_lightning.reading.raw_bytes import quoted
from ironore_lightning.reading.unpickling import EXPECTED, StandIn, is_stand_in, load_inert
from ironore_lightning.settings.files import FileSettings

Array = NDArray[Any]

YEARS = range(1900, 2200)
"""Years of contracts and dates; others would only inflate the table."""

_FEWEST_BYTES = 4  # of a price, as float32
_NUMBERS = ("f8", "f4", "i8", "i4")
_TOO_MANY = "claims more prices than it has bytes"
_TIME_OF_DAY = 'has a time of day; set day_ends, the last time of a day, as day_ends: "23:59"'
_DATE_UNITS = ("s", "ms", "us", "ns")


def read_pickle(file: str, raw: bytes, settings: FileSettings) -> RawTable:
    """Read a DataFrame or a dict of Series; a hostile pickle runs nothing.

    Returns:
        Of a frame, its columns beside its index; of a dict, a column a contract in ascending
        order, beside the dates of all, with headers such as 2024-01.

    Raises:
        DataError: If the pickle has more than `MAX_STEPS` opcodes, is broken, names something that
            such an object does not need, or holds something else; or if a contract of a dict has a
            date twice, a price without a date, an infinite price, or a time of day that
            `settings` do not expect.
    """
    held = read_held(file, raw)
    if isinstance(held, Frame):
        headers, columns, index = held.headers, held.columns, held.index
        unreadable = held.unreadable
    else:
        table = _side_by_side(file, held, is_timed=settings.day_ends is not None)
        headers = ["", *held]
        columns = {0: table.index.to_numpy()}
        columns |= {n: table[key].to_numpy() for n, key in enumerate(held, start=1)}
        index, unreadable = 0, {}
    cells = pd.DataFrame(columns)
    return RawTable(
        file,
        tuple(headers),
        cells.reindex(columns=range(len(headers))),
        settings,
        row_noun="row",
        row_numbers=range(1, len(cells) + 1),
        index=index,
        unreadable=unreadable,
    )


@dataclass(frozen=True)
class Frame:
    """A pickled DataFrame.

    Attributes:
        headers: Of the columns, the index among them.
        columns: Values by number of the column, each (T,).
        index: Number of the index; None where it holds row numbers.
        unreadable: Why a column cannot be read, by its number.
    """

    headers: list[str]
    columns: dict[int, Array]
    index: int | None
    unreadable: dict[int, str]


def read_held(file: str, raw: bytes) -> Frame | dict[str, pd.Series]:
    """Read what a pickle holds, as `read_pickle` does.

    Returns:
        A frame; or by contract, in ascending order, prices as float64 over a DatetimeIndex, as
        they are stored: neither prices nor dates are checked.
    """
    loaded = load_inert(file, raw)
    try:
        if is_stand_in(loaded, "DataFrame"):
            return _frame(loaded, max_bytes=len(raw))
        return _curves(loaded, max_rows=len(raw) // _FEWEST_BYTES)
    except DataError as error:
        raise DataError(f"{file}: {error}; {EXPECTED}") from None
    except MemoryError:
        raise
    except Exception as error:
        # An unexpected layout raises nearly anything.
        raise DataError(f"{file}: is not laid out as pandas does it; {EXPECTED}") from error


def _side_by_side(file: str, curves: dict[str, pd.Series], *, is_timed: bool) -> pd.DataFrame:
    """Return the series of a dict as one table, after checking their dates and prices."""
    for name, prices in curves.items():
        dates = pd.DatetimeIndex(prices.index)
        if dates.hasnans:
            raise DataError(f"{file}: column {name}: a price without a date")
        for wrong, problem in (
            ((dates != dates.normalize()) & (not is_timed), _TIME_OF_DAY),
            (dates.duplicated(), "is there twice"),
            (np.isinf(prices.to_numpy()), "has an infinite price"),
        ):
            if wrong.any():
                raise DataError(f"{file}: column {name}: {dates[int(wrong.argmax())]} {problem}")
    return pd.concat(curves, axis=1, sort=True)


def _curves(loaded: object, *, max_rows: int) -> dict[str, pd.Series]:
    """Return the series of a loaded dict, in ascending order of their keys."""
    if not isinstance(loaded, dict):
        raise DataError(f"holds a {type(loaded).__name__}")
    if not loaded:
        raise DataError("holds an empty dict")
    curves: dict[str, pd.Series] = {}
    for key, value in loaded.items():
        name = key.strip() if isinstance(key, str) else str(_month(key))
        if name in curves:
            raise DataError(f"contract {_spelt(name)} is there twice")
        curves[name] = _series(value, _spelt(name))
        # Thousands of contracts could share a few bytes and expand to gigabytes.
        max_rows -= len(curves[name])
        if max_rows < 0:
            raise DataError(_TOO_MANY)
    return {name: curves[name] for name in sorted(curves)}


def _spelt(name: str) -> str:
    """Return the name of a contract for messages."""
    return quoted(name).strip("'")


def _month(key: object) -> pd.Period:
    """Return a contract month from the arguments (None, MonthEnd(1), ordinal)."""
    if not is_stand_in(key, "Period"):
        raise DataError(f"a key is a {type(key).__name__}")
    _, frequency, ordinal = key.args
    if not is_stand_in(frequency, "MonthEnd") or frequency.args[0] != 1:
        raise DataError("a key is a Period of another length than a month")
    # A Period counts the months from January 1970.
    year, month = 1970 + ordinal // 12, ordinal % 12 + 1
    if year not in YEARS:
        raise DataError(f"a contract month lies outside {YEARS[0]} to {YEARS[-1]}")
    return pd.Period(year=year, month=month, freq="M")


def _series(value: object, name: str) -> pd.Series:
    """Return the prices of a contract from the state of its Series."""
    if not is_stand_in(value, "Series"):
        raise DataError(f"contract {name} is a {type(value).__name__}")
    stored = value.state["_mgr"].state[3]["0.14.1"]  # the part that pandas reads
    if not is_stand_in(stored["axes"][0], "_new_DatetimeIndex"):
        raise DataError(f"the dates of contract {name} are no DatetimeIndex")
    dates = _values(_data_of(stored["axes"][0]), f"the dates of contract {name}")
    (block,) = stored["blocks"]
    prices = _values(block["values"], f"the prices of contract {name}")
    if prices.dtype.kind not in "fi":
        raise DataError(f"the prices of contract {name} are no numbers")
    if len(dates) != len(prices):
        raise DataError(f"contract {name} has {len(prices)} prices for {len(dates)} dates")
    _require_years(dates, f"contract {name}")
    index = pd.DatetimeIndex(dates.astype("datetime64[us]"), name="date")
    return pd.Series(prices.astype("float64"), index=index)


def _require_years(dates: Array, what: str) -> None:
    """Raise if a date lies outside `YEARS`."""
    years = dates.astype("datetime64[Y]").astype(int)[~np.isnat(dates)] + 1970
    if len(years) and not (years.min() in YEARS and years.max() in YEARS):
        raise DataError(f"{what} has a date outside {YEARS[0]} to {YEARS[-1]}")


def _frame(made: StandIn, *, max_bytes: int) -> Frame:
    """Return the columns of a DataFrame from the blocks that its state keeps."""
    blocks, (labels, index) = made.state["_mgr"].args
    names = [header_text(label) for label in _values(_data_of(labels), "the headers").tolist()]
    has_index = not _is_range(index)
    headers = [_name_of(index)] * has_index + names
    columns: dict[int, Array] = {}
    unreadable: dict[int, str] = {}
    if has_index:
        columns[0] = _values(_data_of(index), "the index")
    for block in blocks:
        stored, placement, _ = block.args
        numbers = [number + has_index for number in _places(placement, len(names))]
        try:
            values = np.atleast_2d(_values(stored, "its values"))
        except DataError as error:
            unreadable |= dict.fromkeys(numbers, f"{error}, expected numbers, text or dates")
            continue
        # Thousands of blocks could share a few bytes and expand to gigabytes.
        max_bytes -= _stored_bytes(stored, values)
        if max_bytes < 0:
            raise DataError(_TOO_MANY)
        columns |= dict(zip(numbers, values, strict=True))
    if len({len(column) for column in columns.values()}) > 1:
        raise DataError("has columns of different lengths")
    for column in columns.values():
        if column.dtype.kind == "M":
            _require_years(column, "a column")
    return Frame(headers, columns, 0 if has_index else None, unreadable)


def _stored_bytes(stored: object, values: Array) -> int:
    """Return the least bytes that the values of a block take in a pickle."""
    if values.dtype != object:
        return values.nbytes
    letters = sum(map(len, values.flat)) if is_stand_in(stored, "ArrowStringArray") else 0
    return letters + 2 * values.size


def _is_range(index: object) -> bool:
    """Whether an index only numbers the rows."""
    return is_stand_in(index, "_new_Index") and index.args[0].__name__ == "RangeIndex"


def _name_of(index: object) -> str:
    """Return the name of an index as a header; empty without one."""
    assert isinstance(index, StandIn)
    name = index.args[1].get("name")
    return name.strip() if isinstance(name, str) else ""


def _data_of(index: object) -> object:
    """Return the array of an index."""
    if not is_stand_in(index, "_new_DatetimeIndex") and not is_stand_in(index, "_new_Index"):
        raise DataError(f"dates are kept in a {type(index).__name__}")
    return index.args[1]["data"]


def _places(placement: object, num_columns: int) -> list[int]:
    """Return the numbers of the columns of a block."""
    if is_stand_in(placement, "slice"):
        return [*range(num_columns)[slice(*placement.args)]]
    return [int(place) for place in _values(placement, "the places of a block")]


def _values(made: object, what: str) -> Array:
    """Return an array of numbers, dates or texts as it was stored."""
    if is_stand_in(made, "__pyx_unpickle_NDArrayBacked"):
        values = _values(made.state[1], what)  # the state is (dtype, array, ...)
        if made.args[0].__name__ == "PeriodArray":
            return _months(values, made.state[0])
        return values
    if is_stand_in(made, "ArrowStringArray"):
        return _arrow_texts(made.state["_pa_array"])
    return _array(made, what)


def _months(ordinals: Array, dtype: StandIn) -> Array:
    """Return months, which a Period counts from January 1970, as texts such as 2024-01."""
    if dtype.args[0] != "period[M]":
        raise DataError("has Periods of another length than a month")
    return np.array([f"{1970 + n // 12:04d}-{n % 12 + 1:02d}" for n in ordinals.tolist()], object)


def _arrow_texts(made: StandIn) -> Array:
    """Return the texts of an array of Arrow; a missing one is empty."""
    if not is_stand_in(made, "_restore_array"):
        raise DataError(f"holds texts in a {type(made).__name__}")
    kind, length, _, offset, (valid, ends, letters), *_ = made.args[0]
    width = {"large_string": "i8", "string": "i4"}[kind.args[0]]
    places = np.frombuffer(_bytes(ends), f"<{width}")[offset : offset + length + 1]
    if len(places) != length + 1 or (np.diff(places) < 0).any():
        raise DataError("holds texts that overlap")
    text = _bytes(letters)
    texts = [text[start:end].decode() for start, end in pairwise(places.tolist())]
    if valid is not None:
        bits = np.unpackbits(np.frombuffer(_bytes(valid), "u1"), bitorder="little")
        is_valid = bits[offset : offset + length].tolist()
        texts = [cell if there else "" for cell, there in zip(texts, is_valid, strict=True)]
    return np.array(texts, dtype=object)


def _array(made: object, what: str) -> Array:
    """Return an array, of one dimension or two, from what NumPy wrote."""
    if is_stand_in(made, "_reconstruct"):
        _, shape, dtype, is_fortran, raw = made.state
    elif is_stand_in(made, "_frombuffer"):
        raw, dtype, shape, order = made.args
        is_fortran = order == "F"
    else:
        raise DataError(f"{what} are a {type(made).__name__}")
    kind = dtype.args[0]
    if kind == "O8":
        if not isinstance(raw, list) or not all(
            isinstance(cell, str | float | int | None) for cell in raw
        ):
            raise DataError(f"{what} are of type 'O8'")
        array = np.array(raw, dtype=object)
    else:
        array = _numbers(raw, dtype, kind, what)
    fits = isinstance(shape, tuple) and len(shape) in (1, 2)
    if not fits or not all(type(n) is int and n >= 0 for n in shape):
        raise DataError(f"{what} do not have the shape they state")
    if math.prod(shape) != len(array):
        raise DataError(f"{what} do not have the shape they state")
    return array.reshape(shape, order="F" if is_fortran else "C")


def _numbers(raw: object, dtype: StandIn, kind: object, what: str) -> Array:
    """Return numbers or dates from their bytes."""
    if kind not in ("M8", *_NUMBERS):
        spelt = quoted(kind) if isinstance(kind, str) else f"a {type(kind).__name__}"
        raise DataError(f"{what} are of type {spelt}")
    order = dtype.state[1]
    if order not in ("<", ">"):
        raise DataError(f"{what} have no byte order")
    array = np.frombuffer(_bytes(raw), dtype=f"{order}{kind}{_unit(dtype)}")
    return array.astype(array.dtype.newbyteorder("="))


def _unit(dtype: StandIn) -> str:
    """Return the unit of a date, such as `[ns]`; empty for a number."""
    if dtype.args[0] != "M8":
        return ""
    name, count = dtype.state[8][1][:2]
    unit = _bytes(name).decode("ascii")
    if unit not in _DATE_UNITS or count != 1:
        raise DataError(f"dates count in units of {quoted(unit)}")
    return f"[{unit}]"


def _bytes(raw: object) -> bytes:
    """Return bytes, which protocol 2 writes as `_codecs.encode(text, "latin1")`."""
    if is_stand_in(raw, "py_buffer") or is_stand_in(raw, "bytearray"):
        return _bytes(raw.args[0])
    if is_stand_in(raw, "encode") and isinstance(raw.args[0], str):
        return raw.args[0].encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise TypeError(f"expected bytes, got {type(raw).__name__}")
    return bytes(raw)
