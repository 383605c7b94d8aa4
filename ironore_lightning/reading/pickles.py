"""Read pickled contracts without running code from the pickle.

A pickle is a program: it names functions and calls them. Every name that pandas 2 or 3 writes for a
dict of monthly contracts is replaced by an inert stand-in, which only stores its arguments, and
every other name is refused. The numbers are then taken from the stand-ins. So the file never calls
pandas or NumPy, and the version that wrote it does not matter. A hostile file can still keep the
parser busy for some seconds.
"""

import io
import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeGuard

import numpy as np
import pandas as pd

from ironore_lightning.errors import DataError
from ironore_lightning.reading.raw_bytes import one_line, quoted, read_bytes

MAX_STEPS = 1_000_000
"""Most opcodes; ten years of daily curves take about twenty thousand."""

YEARS = range(1900, 2200)
"""Years of contracts and dates; others would only inflate the table."""

_EXPECTED = "only a dict of monthly pandas.Period to a price Series over a DatetimeIndex is read"

_ALLOWED = frozenset(
    f"{module}.{name}"
    for name, modules in {
        "Period": ("pandas", "pandas._libs.tslibs.period"),
        "Series": ("pandas", "pandas.core.series"),
        "DatetimeIndex": ("pandas", "pandas.core.indexes.datetimes"),
        "DatetimeArray": ("pandas.arrays", "pandas.core.arrays.datetimes"),
        "SingleBlockManager": ("pandas.core.internals.managers",),
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
        "encode": ("_codecs",),
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
_DATE_UNITS = ("s", "ms", "us", "ns")


def read_pickled_contracts(path: Path) -> dict[pd.Period, pd.Series]:
    """Read a dict of {monthly `pandas.Period`: price series}; a hostile pickle runs nothing.

    Returns:
        By contract in ascending order: prices as float64, shape (T,), over a DatetimeIndex named
        `date` in the order of the file. Neither prices nor dates are checked.

    Raises:
        DataError: If the file is missing, too large, has more than `MAX_STEPS` opcodes, is broken,
            names something that such a dict does not need, or holds something else.
    """
    raw = read_bytes(path)
    loaded = _load(path.name, raw)
    try:
        return _contracts(loaded, max_rows=len(raw) // _FEWEST_BYTES)
    except DataError as error:
        raise DataError(f"{path.name}: {error}; {_EXPECTED}") from None
    except MemoryError:
        raise
    except Exception as error:
        # An unexpected layout raises nearly anything.
        raise DataError(f"{path.name}: is not laid out as pandas does it; {_EXPECTED}") from error


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
            raise DataError(f"dates have a timezone, expected plain dates; {_EXPECTED}")
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


def _contracts(loaded: object, *, max_rows: int) -> dict[pd.Period, pd.Series]:
    """Return the contracts of a loaded dict, in ascending order."""
    if not isinstance(loaded, dict):
        raise DataError(f"holds a {type(loaded).__name__}")
    if not loaded:
        raise DataError("holds an empty dict")
    contracts: dict[pd.Period, pd.Series] = {}
    for key, value in loaded.items():
        month = _month(key)
        if month in contracts:
            raise DataError(f"contract {month} is there twice")
        contracts[month] = _series(value, month)
        # Thousands of contracts could share a few bytes and expand to gigabytes.
        max_rows -= len(contracts[month])
        if max_rows < 0:
            raise DataError("claims more prices than it has bytes")
    return {month: contracts[month] for month in sorted(contracts, key=str)}


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


def _series(value: object, month: pd.Period) -> pd.Series:
    """Return the prices of a contract from the state of its Series."""
    if not _is_stand_in(value, "Series"):
        raise DataError(f"contract {month} is a {type(value).__name__}")
    stored = value.state["_mgr"].state[3]["0.14.1"]  # the part that pandas reads
    dates = _array(_stored(stored["axes"][0]), ("M8",), f"the dates of contract {month}")
    (block,) = stored["blocks"]
    prices = _array(block["values"], _NUMBERS, f"the prices of contract {month}")
    if len(dates) != len(prices):
        raise DataError(f"contract {month} has {len(prices)} prices for {len(dates)} dates")
    years = dates.astype("datetime64[Y]").astype(int)[~np.isnat(dates)] + 1970
    if len(years) and not (years.min() in YEARS and years.max() in YEARS):
        raise DataError(f"contract {month} has a date outside {YEARS[0]} to {YEARS[-1]}")
    index = pd.DatetimeIndex(dates.astype("datetime64[us]"), name="date")
    return pd.Series(prices.astype("float64"), index=index)


def _stored(index: object) -> object:
    """Return the array of a DatetimeIndex."""
    if not _is_stand_in(index, "_new_DatetimeIndex"):
        raise DataError(f"dates are kept in a {type(index).__name__}")
    data = index.args[1]["data"]
    # Some versions of pandas store a DatetimeArray, whose state is (dtype, array, ...).
    return data.state[1] if _is_stand_in(data, "__pyx_unpickle_NDArrayBacked") else data


def _array(made: object, kinds: tuple[str, ...], what: str) -> np.ndarray:
    """Return a one-dimensional array from the bytes that NumPy wrote."""
    if _is_stand_in(made, "_reconstruct"):
        _, shape, dtype, _, raw = made.state
    elif _is_stand_in(made, "_frombuffer"):
        raw, dtype, shape, _ = made.args
    else:
        raise DataError(f"{what} are a {type(made).__name__}")
    kind = dtype.args[0]
    if kind not in kinds:
        spelt = quoted(kind) if isinstance(kind, str) else f"a {type(kind).__name__}"
        raise DataError(f"{what} are of type {spelt}")
    order = dtype.state[1]
    if order not in ("<", ">"):
        raise DataError(f"{what} have no byte order")
    array = np.frombuffer(_bytes(raw), dtype=f"{order}{kind}{_unit(dtype)}")
    if shape != array.shape:
        raise DataError(f"{what} do not have the shape they state")
    return array


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
    if _is_stand_in(raw, "encode") and isinstance(raw.args[0], str):
        return raw.args[0].encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise TypeError(f"expected bytes, got {type(raw).__name__}")
    return bytes(raw)


def _is_stand_in(value: object, name: str) -> TypeGuard[_StandIn]:
    """Whether `value` is a stand-in of `name`."""
    return isinstance(value, _StandIn) and type(value).__name__ == name
