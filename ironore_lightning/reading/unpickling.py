"""Read pickled tables and contracts without running code from the pickle.

A pickle is a program: it names functions and calls them. Every name that pandas 2 or 3 writes for a
DataFrame or a dict of Series is replaced by an inert stand-in, which only stores its arguments, and
every other name is refused. The numbers are then taken from the stand-ins. So the file never calls
pandas or NumPy, and the version that wrote it does not matter. A hostile file can still keep the
parser busy for some seconds.
"""

import io
import pickle
import pickletools
from collections.abc import Sequence
from typing import Any, Self, TypeGuard

from ironore_lightning.errors import DataError
from ironore_lightning.reading.raw_bytes import one_line, quoted

MAX_STEPS = 1_000_000
"""Most opcodes; ten years of daily curves take about twenty thousand."""

EXPECTED = "only a DataFrame, or a dict of price Series by contract, over a DatetimeIndex is read"

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


class StandIn:
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

    def find_class(self, module: str, name: str, /) -> type[StandIn]:
        """Return the stand-in of a name, or raise `DataError`."""
        if name == "DatetimeTZDtype":
            raise DataError(
                f"dates have a timezone, expected plain dates: save the file as parquet, "
                f"or with tz_localize(None); {EXPECTED}"
            )
        if f"{module}.{name}" not in _ALLOWED:
            asked = quoted(f"{module}.{name}").strip("'")
            raise DataError(f"refuses to load {asked}: {EXPECTED}")
        return type(name, (StandIn,), {"__slots__": ()})


def load_inert(file: str, raw: bytes) -> object:
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
            raise DataError(f"has more than {MAX_STEPS} opcodes; {EXPECTED}")
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
        raise DataError(f"holds a set; {EXPECTED}")
    keys = taken[::2] if opcode == "DICT" else taken[1::2] if opcode.startswith("SETITEM") else ()
    for maker in keys:
        if not maker.endswith(_TEXTS) and maker not in _OBJECTS:
            raise DataError(f"a key is neither a text nor an object ({maker}); {EXPECTED}")


def is_stand_in(value: object, name: str) -> TypeGuard[StandIn]:
    """Whether `value` is a stand-in of `name`."""
    return isinstance(value, StandIn) and type(value).__name__ == name
