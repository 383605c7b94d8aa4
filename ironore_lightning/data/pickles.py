"""Pickled contracts, read without running anything that a pickle asks for.

A pickle is a program: it names functions and calls them. Here every name that pandas 2 or 3 writes
for a dict of monthly contracts is answered by an inert stand-in, which only keeps what it was
given, and every other name is refused. The numbers are then taken out of the stand-ins. So neither
pandas nor NumPy is ever called with what the file says, and the version that wrote it does not
matter. What a hostile file can still do is to keep the parser busy for some seconds.
"""

import io
import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeGuard

import numpy as np
import pandas as pd

from ironore_lightning.data.raw_bytes import one_line, quoted, read_bytes
from ironore_lightning.errors import DataError

MAX_STEPS = 1_000_000
"""Most opcodes that are followed; ten years of daily curves take about twenty thousand."""

YEARS = range(1900, 2200)
"""Years of contracts and dates; others would only serve to blow up the table made of them."""

_EXPECTED = "only a dict of monthly pandas.Period to a price Series over a DatetimeIndex is read"

_ADMITTED = frozenset(
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
_TEXTS = ("STRING", "UNICODE")  # and what ends so, as SHORT_BINUNICODE
_OBJECTS = ("REDUCE", "NEWOBJ")
_SETS = ("EMPTY_SET", "FROZENSET")

_FEWEST_BYTES = 4  # of a price, as float32
_NUMBERS = ("f8", "f4", "i8", "i4")
_DATE_UNITS = ("s", "ms", "us", "ns")


def read_pickled_contracts(path: Path) -> dict[pd.Period, pd.Series]:
    """Read a dict of {monthly `pandas.Period`: price series}; a hostile pickle runs nothing.

    Returns:
        By contract in ascending order: prices as float64, shape (T,), over a DatetimeIndex named
        `date` in the order of the file. Neither prices nor dates are judged.

    Raises:
        DataError: If the file is missing, too large, has more than `MAX_STEPS` opcodes, is broken,
            asks for a name that such a dict does not need, or holds something else.
    """
    raw = read_bytes(path)
    found = _load(path.name, raw)
    try:
        return _contracts(found, max_rows=len(raw) // _FEWEST_BYTES)
    except DataError as error:
        raise DataError(f"{path.name}: {error}; {_EXPECTED}") from None
    except MemoryError:
        raise
    except Exception as error:
        # What a hostile file puts in the place of a number raises nearly anything.
        raise DataError(f"{path.name}: is not laid out as pandas does it; {_EXPECTED}") from error


class _StandIn:
    """What stands for a pandas or NumPy name: it keeps its arguments and its state."""

    __slots__ = ("args", "state")

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object) -> Self:
        """Keep the arguments, whatever they are."""
        made = super().__new__(cls)
        made.args = args
        made.state = ()
        return made

    # With it, BUILD can set no attribute: neither here nor, for want of an argument, on the class.
    def __setstate__(self, state: object) -> None:
        """Keep the state, whatever it is."""
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Answers the admitted names with stand-ins that are new for every file."""

    def find_class(self, module: str, name: str, /) -> type[_StandIn]:
        """Make the stand-in of a name, or refuse it."""
        if name == "DatetimeTZDtype":
            raise DataError(f"dates have a timezone, expected plain dates; {_EXPECTED}")
        if f"{module}.{name}" not in _ADMITTED:
            asked = quoted(f"{module}.{name}").strip("'")
            raise DataError(f"refuses to load {asked}: {_EXPECTED}")
        return type(name, (_StandIn,), {"__slots__": ()})


def _load(file: str, raw: bytes) -> object:
    """Parse a pickle into plain containers and stand-ins."""
    try:
        _require_modest(raw)
        return _Unpickler(io.BytesIO(raw)).load()
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:
        # Garbage makes the parser raise nearly anything.
        reason = one_line(error) or type(error).__name__
        raise DataError(f"{file}: is not a whole pickle: {reason}") from error


def _require_modest(raw: bytes) -> None:
    """Raise before the parser takes steps, memory or time that the size of the file does not tell.

    A key of a dict is hashed. Thousands of numbers may have one hash, and then each is compared
    with all before it; a tuple hashes what is in it, and may hold itself a million times over, or a
    hundred thousand tuples one in another, of which the process dies. No curve has such keys.
    """
    makers: list[str] = []  # the stack: which opcode made what lies there
    slots: dict[object, str] = {}  # of the memo, likewise
    for step, (opcode, argument, _) in enumerate(pickletools.genops(raw), start=1):
        if step > MAX_STEPS:
            raise DataError(f"has more than {MAX_STEPS} opcodes; {_EXPECTED}")
        if opcode.name in _PUTS:
            slot = len(slots) if argument is None else argument
            if slot > len(raw):
                raise DataError(f"asks for memory slot {slot} in a file of {len(raw)} bytes")
            slots[slot] = makers[-1]
        elif opcode.name in _GETS:
            makers.append(slots[argument])
        else:
            _require_plain_keys(opcode.name, _follow(opcode, makers))


def _follow(opcode: pickletools.OpcodeInfo, makers: list[str]) -> list[str]:
    """Do to the stack what an opcode does; returns what it took from there, the lowest first."""
    taken: list[str] = []
    before = [kind.name for kind in opcode.stack_before]
    if "mark" in before:
        while (maker := makers.pop()) != "MARK":
            taken.append(maker)
        before = before[: before.index("mark")]
    taken += [makers.pop() for _ in before]
    taken.reverse()
    # An object keeps its maker when its state is set; a tuple may be asked to take one, too.
    made = taken[0] if opcode.name == "BUILD" else opcode.name
    makers += [made for _ in opcode.stack_after]
    return taken


def _require_plain_keys(opcode: str, taken: Sequence[str]) -> None:
    """Raise if an opcode hashes anything but texts and objects."""
    if opcode in _SETS:
        raise DataError(f"holds a set; {_EXPECTED}")
    keys = taken[::2] if opcode == "DICT" else taken[1::2] if opcode.startswith("SETITEM") else ()
    for maker in keys:
        if not maker.endswith(_TEXTS) and maker not in _OBJECTS:
            raise DataError(f"a key is neither a text nor an object ({maker}); {_EXPECTED}")


def _contracts(found: object, *, max_rows: int) -> dict[pd.Period, pd.Series]:
    """Take the contracts out of what was loaded, in order."""
    if not isinstance(found, dict):
        raise DataError(f"holds a {type(found).__name__}")
    if not found:
        raise DataError("holds an empty dict")
    contracts: dict[pd.Period, pd.Series] = {}
    for key, value in found.items():
        month = _month(key)
        if month in contracts:
            raise DataError(f"contract {month} is there twice")
        contracts[month] = _series(value, month)
        # A few bytes that thousands of contracts share would become gigabytes.
        max_rows -= len(contracts[month])
        if max_rows < 0:
            raise DataError("claims more prices than it has bytes")
    return {month: contracts[month] for month in sorted(contracts, key=str)}


def _month(key: object) -> pd.Period:
    """Rebuild a contract month from the arguments (None, MonthEnd(1), ordinal)."""
    if not _stands_for(key, "Period"):
        raise DataError(f"a key is a {type(key).__name__}")
    _, frequency, ordinal = key.args
    if not _stands_for(frequency, "MonthEnd") or frequency.args[0] != 1:
        raise DataError("a key is a Period of another length than a month")
    # A Period counts the months from January 1970.
    year, month = 1970 + ordinal // 12, ordinal % 12 + 1
    if year not in YEARS:
        raise DataError(f"a contract month lies outside {YEARS[0]} to {YEARS[-1]}")
    return pd.Period(year=year, month=month, freq="M")


def _series(value: object, month: pd.Period) -> pd.Series:
    """Rebuild the prices of a contract from the state of its Series."""
    if not _stands_for(value, "Series"):
        raise DataError(f"contract {month} is a {type(value).__name__}")
    stored = value.state["_mgr"].state[3]["0.14.1"]  # which is what pandas reads of it
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
    """The array below a DatetimeIndex."""
    if not _stands_for(index, "_new_DatetimeIndex"):
        raise DataError(f"dates are kept in a {type(index).__name__}")
    data = index.args[1]["data"]
    # pandas 1 and 2 differ in whether a DatetimeArray lies between; it keeps (dtype, array, ...).
    return data.state[1] if _stands_for(data, "__pyx_unpickle_NDArrayBacked") else data


def _array(made: object, kinds: tuple[str, ...], what: str) -> np.ndarray:
    """Rebuild a one-dimensional array from the bytes that NumPy wrote."""
    if _stands_for(made, "_reconstruct"):
        _, shape, dtype, _, raw = made.state
    elif _stands_for(made, "_frombuffer"):
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
    """The unit of a date, as in `[ns]`; nothing for a number."""
    if dtype.args[0] != "M8":
        return ""
    name, count = dtype.state[8][1][:2]
    unit = _bytes(name).decode("ascii")
    if unit not in _DATE_UNITS or count != 1:
        raise DataError(f"dates count in units of {quoted(unit)}")
    return f"[{unit}]"


def _bytes(raw: object) -> bytes:
    """Bytes as they are, or as protocol 2 spells them: `_codecs.encode(text, "latin1")`."""
    if _stands_for(raw, "encode") and isinstance(raw.args[0], str):
        return raw.args[0].encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise TypeError(f"expected bytes, got {type(raw).__name__}")
    return bytes(raw)


def _stands_for(value: object, name: str) -> TypeGuard[_StandIn]:
    """Whether `value` was made by the stand-in of `name`."""
    return isinstance(value, _StandIn) and type(value).__name__ == name
