"""Read pickled tables and contracts without running code from the pickle.

A pickle is a program: it names functions and calls them. Every name that pandas 2 or 3 writes for a
DataFrame or a dict of Series is replaced by an inert stand-in, which only stores its arguments, and
every other name is refused. The numbers are then taken from the stand-ins. So the file never calls
pandas or NumPy, and the version that wrote it does not matter. A hostile file can still keep the
parser busy for some seconds.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import RawTable, header_text
from ironore_lightning.reading.raw_bytes import one_line, quoted
from ironore_lightning.settings.files import FileSettings

Array = NDArray[Any]

MAX_STEPS = 1_000_000
"""Most opcodes; ten years of daily curves take about twenty thousand."""

YEARS = range(1900, 2200)
"""Years of contracts and dates; others would only inflate the table."""

_EXPECTED = "only a DataFrame, or a dict of price Series by contract, over a DatetimeIndex is read"

_ALLOWED = frozenset(
    f"{module}.{name}"
    for name, modules in {
        "Period": ("pandas", "pandas._libs.tslibs.period"),
        "Series": ("pandas", "pandas.core.series"),
        "DataFrame": ("pandas", "pandas.core.frame"),
        "Index": ("pandas", "pandas.core.indexes.base"),
        "RangeIndex": ("pandas", "pandas.core.indexes.range"),
        "PeriodIndex": ("pandas", "pandas.core.indexes.period"),
        "DatetimeIndex": ("pandas", "pandas.core.indexes.datetimes"),
        "DatetimeArray": ("pandas.arrays", "pandas.core.arrays.datetimes"),
        "PeriodArray": ("pandas.arrays", "pandas.core.arrays.period"),
        "StringArray": ("pandas.arrays", "pandas.core.arrays.string_"),
        "StringArrayNumpySemantics": ("pandas.core.arrays.string_",),
        "ArrowStringArray": ("pandas.arrays", "pandas.core.arrays.string_arrow"),
        "PeriodDtype": ("pandas", "pandas.core.dtypes.dtypes"),
        "StringDtype": ("pandas", "pandas.core.arrays.string_"),
        "BlockManager": ("pandas.core.internals.managers",),
        "SingleBlockManager": ("pandas.core.internals.managers",),
        "_unpickle_block": ("pandas._libs.internals",),
        "_new_Index": ("pandas.core.indexes.base",),
        "_new_DatetimeIndex": ("pandas.core.indexes.datetimes",),
        "__pyx_unpickle_NDArrayBacked": ("pandas._libs.arrays",),
        "MonthEnd": ("pandas._libs.tslibs.offsets",),
        "BusinessDay": ("pandas._libs.tslibs.offsets",),
        "Day": ("pandas._libs.tslibs.offsets",),
        "Week": ("pandas._libs.tslibs.offsets",),
        "timedelta": ("datetime",),
        "dtype": ("numpy",),
        "ndarray": ("numpy",),
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "_frombuffer": ("numpy.core.numeric", "numpy._core.numeric"),
        "slice": ("builtins", "__builtin__"),
        "bytearray": ("builtins", "__builtin__"),
        "encode": ("_codecs",),
        "_restore_array": ("pyarrow.lib",),
        "chunked_array": ("pyarrow.lib",),
        "type_for_alias": ("pyarrow.lib",),
        "py_buffer": ("pyarrow.lib",),
    }.items()
    for module in modules
)

_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_TEXTS = ("STRING", "UNICODE")  # suffixes, as of SHORT_BINUNICODE
_OBJECTS = ("REDUCE", "NEWOBJ")
_SETS = ("EMPTY_SET", "FROZENSET")

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
    loaded = _load(file, raw)
    try:
        if _is_stand_in(loaded, "DataFrame"):
            return _frame(loaded, max_cells=len(raw) // _FEWEST_BYTES)
        return _curves(loaded, max_rows=len(raw) // _FEWEST_BYTES)
    except DataError as error:
        raise DataError(f"{file}: {error}; {_EXPECTED}") from None
    except MemoryError:
        raise
    except Exception as error:
        # An unexpected layout raises nearly anything.
        raise DataError(f"{file}: is not laid out as pandas does it; {_EXPECTED}") from error


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


class _StandIn:
    """Replacement of a pandas or NumPy object, which stores its arguments and its state."""

    __slots__ = ("args", "state")

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object) -> Self:
        """Store the arguments."""
        made = super().__new__(cls)
        made.args = args
        made.state = ()
        return made

    # Because of this method, BUILD sets no attributes, neither of the object nor of its class.
    def __setstate__(self, state: object) -> None:
        """Store the state."""
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Replaces allowed names with stand-ins, new ones for every file."""

    def find_class(self, module: str, name: str, /) -> type[_StandIn]:
        """Return the stand-in of a name, or raise `DataError`."""
        if name == "DatetimeTZDtype":
            raise DataError(
                f"dates have a timezone, expected plain dates: save the file as parquet, "
                f"or with tz_localize(None); {_EXPECTED}"
            )
        if f"{module}.{name}" not in _ALLOWED:
            asked = quoted(f"{module}.{name}").strip("'")
            raise DataError(f"refuses to load {asked}: {_EXPECTED}")
        return type(name, (_StandIn,), {"__slots__": ()})


def _load(file: str, raw: bytes) -> object:
    """Parse a pickle into plain containers and stand-ins."""
    try:
        _require_bounded(raw)
        return _Unpickler(io.BytesIO(raw)).load()
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:
        # Garbage can raise nearly anything.
        reason = one_line(error) or type(error).__name__
        raise DataError(f"{file}: is not a whole pickle: {reason}") from error


def _require_bounded(raw: bytes) -> None:
    """Raise if parsing would take steps, memory or time out of proportion to the size of the file.

    Keys of a dict are hashed. Thousands of numbers with one hash take quadratic time, and deeply
    nested tuples exhaust time or the stack. No curve has such keys.
    """
    stack: list[str] = []  # the opcode that made each object
    memo: dict[object, str] = {}  # the same by memo slot
    for step, (opcode, argument, _) in enumerate(pickletools.genops(raw), start=1):
        if step > MAX_STEPS:
            raise DataError(f"has more than {MAX_STEPS} opcodes; {_EXPECTED}")
        if opcode.name in _PUTS:
            slot = len(memo) if argument is None else argument
            if slot > len(raw):
                raise DataError(f"asks for memory slot {slot} in a file of {len(raw)} bytes")
            memo[slot] = stack[-1]
        elif opcode.name in _GETS:
            stack.append(memo[argument])
        else:
            _require_plain_keys(opcode.name, _apply_to_stack(opcode, stack))


def _apply_to_stack(opcode: pickletools.OpcodeInfo, stack: list[str]) -> list[str]:
    """Apply an opcode to the stack, and return what it took from there, the lowest first."""
    taken: list[str] = []
    before = [kind.name for kind in opcode.stack_before]
    if "mark" in before:
        while (maker := stack.pop()) != "MARK":
            taken.append(maker)
        before = before[: before.index("mark")]
    taken += [stack.pop() for _ in before]
    taken.reverse()
    # BUILD sets the state of an object (or of a tuple), which stays what it is.
    made = taken[0] if opcode.name == "BUILD" else opcode.name
    stack += [made for _ in opcode.stack_after]
    return taken


def _require_plain_keys(opcode: str, taken: Sequence[str]) -> None:
    """Raise if an opcode hashes anything but texts and objects."""
    if opcode in _SETS:
        raise DataError(f"holds a set; {_EXPECTED}")
    keys = taken[::2] if opcode == "DICT" else taken[1::2] if opcode.startswith("SETITEM") else ()
    for maker in keys:
        if not maker.endswith(_TEXTS) and maker not in _OBJECTS:
            raise DataError(f"a key is neither a text nor an object ({maker}); {_EXPECTED}")


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
    if not _is_stand_in(key, "Period"):
        raise DataError(f"a key is a {type(key).__name__}")
    _, frequency, ordinal = key.args
    if not _is_stand_in(frequency, "MonthEnd") or frequency.args[0] != 1:
        raise DataError("a key is a Period of another length than a month")
    # A Period counts the months from January 1970.
    year, month = 1970 + ordinal // 12, ordinal % 12 + 1
    if year not in YEARS:
        raise DataError(f"a contract month lies outside {YEARS[0]} to {YEARS[-1]}")
    return pd.Period(year=year, month=month, freq="M")


def _series(value: object, name: str) -> pd.Series:
    """Return the prices of a contract from the state of its Series."""
    if not _is_stand_in(value, "Series"):
        raise DataError(f"contract {name} is a {type(value).__name__}")
    stored = value.state["_mgr"].state[3]["0.14.1"]  # the part that pandas reads
    if not _is_stand_in(stored["axes"][0], "_new_DatetimeIndex"):
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


def _frame(made: _StandIn, *, max_cells: int) -> Frame:
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
        max_cells -= values.size
        if max_cells < 0:
            raise DataError(_TOO_MANY)
        columns |= dict(zip(numbers, values, strict=True))
    if len({len(column) for column in columns.values()}) > 1:
        raise DataError("has columns of different lengths")
    for column in columns.values():
        if column.dtype.kind == "M":
            _require_years(column, "a column")
    return Frame(headers, columns, 0 if has_index else None, unreadable)


def _is_range(index: object) -> bool:
    """Whether an index only numbers the rows."""
    return _is_stand_in(index, "_new_Index") and index.args[0].__name__ == "RangeIndex"


def _name_of(index: object) -> str:
    """Return the name of an index as a header; empty without one."""
    assert isinstance(index, _StandIn)
    name = index.args[1].get("name")
    return name.strip() if isinstance(name, str) else ""


def _data_of(index: object) -> object:
    """Return the array of an index."""
    if not _is_stand_in(index, "_new_DatetimeIndex") and not _is_stand_in(index, "_new_Index"):
        raise DataError(f"dates are kept in a {type(index).__name__}")
    return index.args[1]["data"]


def _places(placement: object, num_columns: int) -> list[int]:
    """Return the numbers of the columns of a block."""
    if _is_stand_in(placement, "slice"):
        return [*range(num_columns)[slice(*placement.args)]]
    return [int(place) for place in _values(placement, "the places of a block")]


def _values(made: object, what: str) -> Array:
    """Return an array of numbers, dates or texts as it was stored."""
    if _is_stand_in(made, "__pyx_unpickle_NDArrayBacked"):
        values = _values(made.state[1], what)  # the state is (dtype, array, ...)
        if made.args[0].__name__ == "PeriodArray":
            return _months(values, made.state[0])
        return values
    if _is_stand_in(made, "ArrowStringArray"):
        return _arrow_texts(made.state["_pa_array"])
    return _array(made, what)


def _months(ordinals: Array, dtype: _StandIn) -> Array:
    """Return months, which a Period counts from January 1970, as texts such as 2024-01."""
    if dtype.args[0] != "period[M]":
        raise DataError("has Periods of another length than a month")
    return np.array([f"{1970 + n // 12:04d}-{n % 12 + 1:02d}" for n in ordinals.tolist()], object)


def _arrow_texts(made: _StandIn) -> Array:
    """Return the texts of an array of Arrow; a missing one is empty."""
    if _is_stand_in(made, "chunked_array"):
        return np.concatenate([_arrow_texts(chunk) for chunk in made.args[0]])
    if not _is_stand_in(made, "_restore_array"):
        raise DataError(f"holds texts in a {type(made).__name__}")
    kind, length, _, offset, (valid, ends, letters), *_ = made.args[0]
    width = {"large_string": "i8", "string": "i4"}[kind.args[0]]
    places = np.frombuffer(_bytes(ends), f"<{width}")[offset : offset + length + 1].tolist()
    text = _bytes(letters)
    texts = [text[start:end].decode() for start, end in pairwise(places)]
    if valid is not None:
        bits = np.unpackbits(np.frombuffer(_bytes(valid), "u1"), bitorder="little")
        is_valid = bits[offset : offset + length].tolist()
        texts = [cell if there else "" for cell, there in zip(texts, is_valid, strict=True)]
    if len(texts) != length:
        raise DataError("holds fewer texts than it states")
    return np.array(texts, dtype=object)


def _array(made: object, what: str) -> Array:
    """Return an array, of one dimension or two, from what NumPy wrote."""
    if _is_stand_in(made, "_reconstruct"):
        _, shape, dtype, is_fortran, raw = made.state
    elif _is_stand_in(made, "_frombuffer"):
        raw, dtype, shape, order = made.args
        is_fortran = order == "F"
    else:
        raise DataError(f"{what} are a {type(made).__name__}")
    kind = dtype.args[0]
    if kind == "O8":
        if not isinstance(raw, list) or not all(isinstance(cell, str | None) for cell in raw):
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


def _numbers(raw: object, dtype: _StandIn, kind: object, what: str) -> Array:
    """Return numbers or dates from their bytes."""
    if kind not in ("M8", *_NUMBERS):
        spelt = quoted(kind) if isinstance(kind, str) else f"a {type(kind).__name__}"
        raise DataError(f"{what} are of type {spelt}")
    order = dtype.state[1]
    if order not in ("<", ">"):
        raise DataError(f"{what} have no byte order")
    array = np.frombuffer(_bytes(raw), dtype=f"{order}{kind}{_unit(dtype)}")
    return array.astype(array.dtype.newbyteorder("="))


def _unit(dtype: _StandIn) -> str:
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
    if _is_stand_in(raw, "py_buffer") or _is_stand_in(raw, "bytearray"):
        return _bytes(raw.args[0])
    if _is_stand_in(raw, "encode") and isinstance(raw.args[0], str):
        return raw.args[0].encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise TypeError(f"expected bytes, got {type(raw).__name__}")
    return bytes(raw)


def _is_stand_in(value: object, name: str) -> TypeGuard[_StandIn]:
    """Whether `value` is a stand-in of `name`."""
    return isinstance(value, _StandIn) and type(value).__name__ == name
