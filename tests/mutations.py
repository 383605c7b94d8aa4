"""Random damage to the raw files of the small market, and a second, plain reader to judge by.

A mutation is a list of steps drawn by whoever asks for it, hypothesis or a seeded generator, and
applied here. What the project reads of a mutated file is held against what the modules csv, pickle
and pyarrow say is in it: nothing of the project's own reader is used to judge it.
"""

import csv
import datetime
import io
import math
import pickle
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet
from small_market import original_settings, read_market, write_small_market

from ironore_lightning.config.data import DataSettings
from ironore_lightning.data.panel import Panel
from ironore_lightning.errors import ConfigError, DataError

LEG = "price_65_m1"
BLANK = {"", "NA", "N/A", "#N/A", "NaN", "nan", "null", "-"}

Table = dict[str, dict[datetime.date, float]]
"""Values by column and date; NaN is a blank."""


class UnjustifiedError(AssertionError):
    """A mutated file was read as something that it does not say, or refused in another way."""


@dataclass(frozen=True)
class Step:
    """One thing that happens to a file.

    Attributes:
        name: Of a function in `BYTE_STEPS`, `LINE_STEPS`, `CURVE_STEPS` or `FRAME_STEPS`.
        where: Place in the file, 0 is its beginning and 1 its end.
        other: A second place.
        value: What is put there, in the function's own terms, 0 to 255.
    """

    name: str
    where: float
    other: float
    value: int


def _at(share: float, length: int) -> int:
    """Return the position of a share of a length, at most the last one."""
    return min(int(share * length), max(length - 1, 0))


# --- steps on the bytes of any file ---------------------------------------------------------------


def _set_byte(raw: bytes, step: Step) -> bytes:
    position = _at(step.where, len(raw))
    return raw[:position] + bytes([step.value]) + raw[position + 1 :]


def _flip_bit(raw: bytes, step: Step) -> bytes:
    position = _at(step.where, len(raw))
    flipped = raw[position] ^ (1 << step.value % 8) if raw else 0
    return raw[:position] + bytes([flipped]) + raw[position + 1 :]


def _insert_bytes(raw: bytes, step: Step) -> bytes:
    position = _at(step.where, len(raw))
    return raw[:position] + bytes([step.value]) * (1 + step.value % 3) + raw[position:]


def _delete_bytes(raw: bytes, step: Step) -> bytes:
    position = _at(step.where, len(raw))
    return raw[:position] + raw[position + 1 + step.value % 8 :]


def _cut(raw: bytes, step: Step) -> bytes:
    return raw[: _at(step.where, len(raw))]


def _cut_beginning(raw: bytes, step: Step) -> bytes:
    return raw[_at(step.where, len(raw)) :]


def _swap_parts(raw: bytes, step: Step) -> bytes:
    first, second = sorted((_at(step.where, len(raw)), _at(step.other, len(raw))))
    length = min(1 + step.value, second - first, len(raw) - second)
    part, other = raw[first : first + length], raw[second : second + length]
    return raw[:first] + other + raw[first + length : second] + part + raw[second + length :]


def _repeat_part(raw: bytes, step: Step) -> bytes:
    position = _at(step.where, len(raw))
    end = position + 1 + step.value
    return raw[:end] + raw[position:end] + raw[end:]


BYTE_STEPS: Mapping[str, Callable[[bytes, Step], bytes]] = {
    "set byte": _set_byte,
    "flip bit": _flip_bit,
    "insert bytes": _insert_bytes,
    "delete bytes": _delete_bytes,
    "cut": _cut,
    "cut beginning": _cut_beginning,
    "swap parts": _swap_parts,
    "repeat part": _repeat_part,
}

# --- steps on the lines and cells of a csv --------------------------------------------------------

CELLS = (
    *("", " ", "-", "nan", "NA", "inf", "-inf", "1e999", "1e-400", "0", "-0.0", "-3", "+4.5"),
    *("1,234", "1.234,5", '"1,234.5"', '"7"', '"7"5', '7"', '"', "1e3", "1E+02", "0x1F", "1_0"),
    *("12abc", "#REF!", "１２", "\u00a05", "\ufeff5", "\t6", "True", "..5", "1 000", "5\r", "\0"),
    *("31/2/2025", "1/5/2025", "2025-05-01", "5/31/2025", "1/5/25", "1/5/1925", "1/5/0025"),
    *("1/5/2125", "01/05/2025 ", "now", "1/5/2025 10:00", "45778", "13/8/2026", "2026-08-13"),
)
"""What is put into a cell."""

Lines = list[list[str]]


def _with_line(lines: Lines, step: Step, change: Callable[[int], None]) -> Lines:
    if lines:
        change(_at(step.where, len(lines)))
    return lines


def _delete_line(lines: Lines, step: Step) -> Lines:
    return _with_line(lines, step, lambda line: lines.pop(line) and None)


def _delete_lines(lines: Lines, step: Step) -> Lines:
    first, last = sorted((_at(step.where, len(lines)), _at(step.other, len(lines))))
    return lines[:first] + lines[last:]


def _repeat_line(lines: Lines, step: Step) -> Lines:
    target = _at(step.other, len(lines))
    return _with_line(lines, step, lambda line: lines.insert(target, list(lines[line])))


def _swap_lines(lines: Lines, step: Step) -> Lines:
    other = _at(step.other, len(lines))

    def swap(line: int) -> None:
        lines[line], lines[other] = lines[other], lines[line]

    return _with_line(lines, step, swap)


def _set_cell(lines: Lines, step: Step) -> Lines:
    def put(line: int) -> None:
        lines[line][_at(step.other, len(lines[line]))] = CELLS[step.value % len(CELLS)]

    return _with_line(lines, step, put)


def _delete_cell(lines: Lines, step: Step) -> Lines:
    return _with_line(
        lines, step, lambda line: lines[line].pop(_at(step.other, len(lines[line]))) and None
    )


def _insert_cell(lines: Lines, step: Step) -> Lines:
    cell = CELLS[step.value % len(CELLS)]
    return _with_line(
        lines, step, lambda line: lines[line].insert(_at(step.other, len(lines[line]) + 1), cell)
    )


def _swap_cells(lines: Lines, step: Step) -> Lines:
    def swap(line: int) -> None:
        cells = lines[line]
        first, second = _at(step.other, len(cells)), step.value % len(cells)
        cells[first], cells[second] = cells[second], cells[first]

    return _with_line(lines, step, swap)


def _change_number(lines: Lines, step: Step) -> Lines:
    def change(line: int) -> None:
        cells = lines[line]
        column = _at(step.other, len(cells))
        digits = [place for place, mark in enumerate(cells[column]) if mark.isdigit()]
        if digits:
            place = digits[step.value % len(digits)]
            cells[column] = f"{cells[column][:place]}{step.value % 10}{cells[column][place + 1 :]}"

    return _with_line(lines, step, change)


def _swap_columns(lines: Lines, step: Step) -> Lines:
    width = len(lines[0]) if lines else 0
    first, second = _at(step.where, width), _at(step.other, width)
    for cells in lines[step.value % 2 :]:  # with their headers or without
        if len(cells) > max(first, second):
            cells[first], cells[second] = cells[second], cells[first]
    return lines


def _delete_column(lines: Lines, step: Step) -> Lines:
    column = _at(step.where, len(lines[0]) if lines else 0)
    return [cells[:column] + cells[column + 1 :] for cells in lines]


def _reverse(lines: Lines, step: Step) -> Lines:
    return lines[:1] + lines[:0:-1] if step.value % 2 else lines[::-1]


LINE_STEPS: Mapping[str, Callable[[Lines, Step], Lines]] = {
    "delete line": _delete_line,
    "delete lines": _delete_lines,
    "repeat line": _repeat_line,
    "swap lines": _swap_lines,
    "set cell": _set_cell,
    "delete cell": _delete_cell,
    "insert cell": _insert_cell,
    "swap cells": _swap_cells,
    "change number": _change_number,
    "swap columns": _swap_columns,
    "delete column": _delete_column,
    "reverse": _reverse,
}


def _in_lines(raw: bytes, step: Step) -> bytes:
    """Apply a step to lines and cells; a file that is no text any more stays as it is."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    lines = [line.split(",") for line in text.removeprefix("\ufeff").split("\r\n")]
    changed = LINE_STEPS[step.name](lines, step)
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return (mark + "\r\n".join(",".join(cells) for cells in changed)).encode()


# --- steps on what a pickle and a parquet file hold -----------------------------------------------

PRICES = (math.nan, math.inf, -math.inf, 0.0, -1.5, 1e-300, 1e300, 107.25)
DAYS = (-36525, -365, -31, -1, 1, 7, 31, 365, 36525)

Curves = dict[pd.Period, pd.Series]


def _set_price(prices: pd.Series, step: Step) -> pd.Series:
    prices = prices.copy()
    prices.iloc[_at(step.other, len(prices))] = PRICES[step.value % len(PRICES)]
    return prices


def _move_date(prices: pd.Series, step: Step) -> pd.Series:
    dates = list(prices.index)
    dates[_at(step.other, len(dates))] += pd.Timedelta(days=DAYS[step.value % len(DAYS)])
    return prices.set_axis(pd.DatetimeIndex(dates, name="Date"), axis=0)


def _in_one(change: Callable[[pd.Series, Step], pd.Series]) -> Callable[[Curves, Step], Curves]:
    def in_one(curves: Curves, step: Step) -> Curves:
        month = list(curves)[_at(step.where, len(curves))]
        return curves | {month: change(curves[month], step)}

    return in_one


def _delete_contract(curves: Curves, step: Step) -> Curves:
    gone = list(curves)[_at(step.where, len(curves))]
    return {month: prices for month, prices in curves.items() if month != gone}


def _swap_contracts(curves: Curves, step: Step) -> Curves:
    months = list(curves)
    first, second = months[_at(step.where, len(months))], months[_at(step.other, len(months))]
    return curves | {first: curves[second], second: curves[first]}


def _move_contract(curves: Curves, step: Step) -> Curves:
    moved = list(curves)[_at(step.where, len(curves))]
    return {month + (month == moved) * (step.value % 5 - 2): one for month, one in curves.items()}


CURVE_STEPS: Mapping[str, Callable[[Curves, Step], Curves]] = {
    "set price": _in_one(_set_price),
    "move date": _in_one(_move_date),
    "cut contract": _in_one(lambda prices, step: prices.iloc[: _at(step.other, len(prices))]),
    "shuffle contract": _in_one(
        lambda prices, step: prices.sample(frac=1, random_state=step.value)
    ),
    "narrow contract": _in_one(
        lambda prices, step: prices.astype(("float32", ">f8", "object", "str")[step.value % 4])
    ),
    "delete contract": _delete_contract,
    "swap contracts": _swap_contracts,
    "move contract": _move_contract,
}


def _in_curves(raw: bytes, step: Step) -> bytes:
    """Apply a step to contracts; a pickle that is broken already stays as it is."""
    try:
        changed = CURVE_STEPS[step.name](pickle.loads(raw), step)
    except Exception:
        return raw
    return pickle.dumps(changed, protocol=2 + step.value % 4)


def _set_value(frame: pd.DataFrame, step: Step) -> pd.DataFrame:
    column = frame.columns[1 + _at(step.other, frame.shape[1] - 1)]
    row = frame.index[_at(step.where, len(frame))]
    frame.loc[row, column] = PRICES[step.value % len(PRICES)]
    return frame


def _move_row(frame: pd.DataFrame, step: Step) -> pd.DataFrame:
    row = frame.index[_at(step.where, len(frame))]
    frame.loc[row, "date"] += pd.Timedelta(days=DAYS[step.value % len(DAYS)])
    return frame


def _retype(frame: pd.DataFrame, step: Step) -> pd.DataFrame:
    column = frame.columns[_at(step.where, frame.shape[1])]
    kinds = ("str", "float32", "category", "int64", "bool", "datetime64[ns]", "datetime64[s]")
    return frame.assign(**{column: frame[column].astype(kinds[step.value % len(kinds)])})


FRAME_STEPS: Mapping[str, Callable[[pd.DataFrame, Step], pd.DataFrame]] = {
    "set value": _set_value,
    "move row": _move_row,
    "retype": _retype,
    "delete row": lambda frame, step: frame.drop(index=frame.index[_at(step.where, len(frame))]),
    "delete rows": lambda frame, step: frame[: _at(step.where, len(frame))],
    "repeat row": lambda frame, step: pd.concat(
        [frame, frame.iloc[[_at(step.where, len(frame))]]], ignore_index=True
    ),
    "shuffle rows": lambda frame, step: frame.sample(frac=1, random_state=step.value),
    "delete field": lambda frame, step: frame.drop(
        columns=frame.columns[_at(step.where, frame.shape[1])]
    ),
    "index by date": lambda frame, _: frame.set_index("date"),
}


def _in_frame(raw: bytes, step: Step) -> bytes:
    """Apply a step to a table; a parquet file that is broken already stays as it is."""
    try:
        changed = FRAME_STEPS[step.name](pd.read_parquet(io.BytesIO(raw)), step)
        return changed.to_parquet(compression=("snappy", None, "gzip")[step.value % 3])
    except Exception:
        return raw


# --- a second reader ------------------------------------------------------------------------------


def plain_csv(raw: bytes, date_format: str, columns: list[str]) -> Table:
    """Read a csv cell by cell."""
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    headers = [cell.strip() for cell in rows[0]]
    table: Table = {column: {} for column in columns}
    for row in rows[1:]:
        cells = dict(zip(headers, (cell.strip() for cell in row), strict=False))
        if all(cell in BLANK for cell in cells.values()):
            continue
        if len(row) != len(headers):
            raise ValueError(f"a row of {len(row)} cells below {len(headers)} headers")
        values = {column: _plain_number(cells[column]) for column in columns}
        if cells["Date"] in BLANK:
            if not all(map(math.isnan, values.values())):
                raise ValueError("a value without a date")
            continue
        day = datetime.datetime.strptime(cells["Date"], date_format).date()
        for column, value in values.items():
            _put(table[column], day, value)
    return table


def plain_pickle(raw: bytes) -> Table:
    """Unpickle what the project has read: it asks for no name that could do harm.

    pandas cannot do without any part of a pickle. Where one that holds neither a date nor a price
    is broken, dates and prices are taken out one by one.
    """
    try:
        curves = pickle.loads(raw)
        items = {str(month): list(prices.items()) for month, prices in curves.items()}
    except Exception:
        items = dict(map(_items_of_kept, _Keeper(io.BytesIO(raw)).load().items()))
    table: Table = {month: {} for month in items}
    for month, pairs in items.items():
        for moment, price in pairs:
            _put(table[month], moment.date(), float(price))
    return table


class _Kept:
    """Keeps what a name is called with, and its state."""

    state: Any = None

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Keeper(pickle.Unpickler):
    """Runs nothing."""

    def find_class(self, module: str, name: str, /) -> type[_Kept]:
        del module, name
        return type("Kept", (_Kept,), {})


def _items_of_kept(contract: tuple[Any, Any]) -> tuple[str, list[tuple[datetime.datetime, float]]]:
    """Take dates and prices out of one contract, of which nothing was run."""
    (_, _, ordinal), manager = contract[0].args, contract[1].state["_mgr"].state[3]["0.14.1"]
    dates = manager["axes"][0].args[1]["data"]
    if dates.state and len(dates.state) < 5:  # a DatetimeArray around the array
        dates = dates.state[1]
    seconds = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[_unit_of(dates)]
    epoch = datetime.datetime(1970, 1, 1)
    moments = [epoch + datetime.timedelta(seconds=count / seconds) for count in _numbers_of(dates)]
    prices = _numbers_of(manager["blocks"][0]["values"])
    month = f"{1970 + ordinal // 12}-{ordinal % 12 + 1:02}"
    return month, list(zip(moments, prices, strict=True))


def _unit_of(array: _Kept) -> str:
    dtype = array.state[2] if array.state else array.args[1]
    unit = dtype.state[8][1][0]
    return (unit if isinstance(unit, bytes) else unit.args[0].encode()).decode()


def _numbers_of(array: _Kept) -> list[float]:
    """Unpack an array, which NumPy writes as a buffer or rebuilds from a state."""
    if array.state:
        _, _, dtype, _, raw = array.state
    else:
        raw, dtype, *_ = array.args
    raw = raw if isinstance(raw, bytes | bytearray) else raw.args[0].encode("latin1")
    letter = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "M8": "q"}[dtype.args[0]]
    return [number for (number,) in struct.iter_unpack(f"{dtype.state[1]}{letter}", raw)]


def plain_parquet(raw: bytes) -> Table:
    """Read a parquet file without pandas."""
    fields = parquet.read_table(io.BytesIO(raw)).to_pydict()
    days = [moment if type(moment) is datetime.date else moment.date() for moment in fields["date"]]
    table: Table = {}
    for name, values in fields.items():
        if name != "date" and not re.fullmatch(r"__index_level_\d+__", name):
            table[name] = {}
            for day, value in zip(days, values, strict=True):
                text = "" if value is None else value
                number = _plain_number(text.strip()) if isinstance(text, str) else float(text)
                _put(table[name], day, number)
    return table


def _plain_number(text: str) -> float:
    return math.nan if text in BLANK else float(text)


def _put(column: dict[datetime.date, float], day: datetime.date, value: float) -> None:
    if day in column:
        raise ValueError(f"{day} is there twice")
    column[day] = value


# --- the kinds of file ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of raw file, and how one of it is read.

    Attributes:
        name: For reports.
        file: Which file of the small market is mutated.
        source: What it is called in the settings: a source, the price leg, or `table`.
        steps: Names of the steps that may happen to it.
        lag: Days until its values are published.
        settings: Of its folder, for the project's reader.
        read_plainly: The second reader.
    """

    name: str
    file: str
    source: str
    steps: tuple[str, ...]
    lag: int
    settings: Callable[[Path], DataSettings]
    read_plainly: Callable[[bytes], Table]


def _source_kind(source: str) -> Kind:
    settings = original_settings(Path()).sources[source]

    def settings_of(root: Path) -> DataSettings:
        whole = original_settings(root)
        update = {
            "contracts": {LEG: whole.contracts[LEG]},
            "sources": {source: whole.sources[source]},
        }
        return whole.model_copy(update=update)

    columns = list(settings.columns)
    return Kind(
        name=f"csv, {source}",
        file=settings.file,
        source=source,
        steps=(*BYTE_STEPS, *LINE_STEPS),
        lag=settings.publication_lag_days,
        settings=settings_of,
        read_plainly=lambda raw: plain_csv(raw, str(settings.date_format), columns),
    )


def _curve_settings(root: Path) -> DataSettings:
    whole = original_settings(root)
    update = {
        "contracts": {LEG: whole.contracts[LEG]},
        "sources": {"shipment": whole.sources["shipment"]},
    }
    return whole.model_copy(update=update)


def _table_settings(root: Path) -> DataSettings:
    layout = {"file": "table.parquet", "format": "parquet", "date_column": "date"}
    table = {**layout, "date_format": None, "delimiter": None}
    none = {"contracts": {}, "sources": {}, "sample": None}
    return DataSettings.model_validate({"name": "table", "root": str(root), "table": table, **none})


KINDS = {
    kind.name: kind
    for kind in (
        *(_source_kind(source) for source in ("group", "index", "inventory", "shipment")),
        Kind(
            name="pickle",
            file="Raw_M65F_DSP.pkl",
            source=LEG,
            steps=(*BYTE_STEPS, *CURVE_STEPS),
            lag=0,
            settings=_curve_settings,
            read_plainly=plain_pickle,
        ),
        Kind(
            name="parquet",
            file="table.parquet",
            source="table",
            steps=(*BYTE_STEPS, *FRAME_STEPS),
            lag=0,
            settings=_table_settings,
            read_plainly=plain_parquet,
        ),
    )
}


def write_undamaged(folder: Path) -> None:
    """Write the raw files of the small market, and a prepared table of it."""
    write_small_market(folder)
    _, panel = read_market(original_settings(folder))
    table = panel.values.dropna().rename_axis("date").reset_index()
    table.to_parquet(folder / "table.parquet", index=False)


def mutate(raw: bytes, steps: list[Step]) -> bytes:
    """Let one step after the other happen to a file."""
    for step in steps:
        for names, apply in (
            (LINE_STEPS, _in_lines),
            (CURVE_STEPS, _in_curves),
            (FRAME_STEPS, _in_frame),
        ):
            if step.name in names:
                raw = apply(raw, step)
        if step.name in BYTE_STEPS:
            raw = BYTE_STEPS[step.name](raw, step)
    return raw


def judge(kind: Kind, folder: Path, mutated: bytes) -> str:
    """Read a mutated file as a run does, in `folder`, where the other files lie.

    Returns:
        `refused`, for a line that names the file, or `read`, for what the second reader reads too.

    Raises:
        UnjustifiedError: For anything else.
    """
    (folder / kind.file).write_bytes(mutated)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            raw, panel = read_market(kind.settings(folder))
    except (DataError, ConfigError) as error:
        line = str(error)
        if "\n" in line or kind.file not in line or len(line) > 700:
            raise UnjustifiedError(f"not one short line that names the file: {line!r}") from error
        return "refused"
    except Exception as error:
        raise UnjustifiedError(f"{type(error).__name__}: {error}") from error
    frame = {**raw.contracts, **raw.sources}[kind.source]
    expected = _plainly(kind, mutated)
    _require_equal(_table_of(frame), expected)
    _require_joined(kind, panel, expected)
    return "read"


def _plainly(kind: Kind, mutated: bytes) -> Table:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kind.read_plainly(mutated)
    except Exception as error:
        raise UnjustifiedError(
            f"read, though the second reader says {type(error).__name__}: {error}"
        ) from error


def _table_of(frame: pd.DataFrame) -> Table:
    days = [moment.date() for moment in frame.index]
    return {str(name): dict(zip(days, frame[name].tolist(), strict=True)) for name in frame.columns}


def _require_equal(found: Table, expected: Table) -> None:
    """Raise unless both hold the same values, bit for bit; a date without any value may be left."""
    if list(found) != sorted(expected) and list(found) != list(expected):
        raise UnjustifiedError(f"columns {list(found)}, expected {list(expected)}")
    for name, column in expected.items():
        for day in {*column, *found[name]}:
            one, other = found[name].get(day, math.nan), column.get(day, math.nan)
            if _bits(one) != _bits(other):
                raise UnjustifiedError(f"{name}, {day}: {one!r}, expected {other!r}")


def _bits(value: float) -> bytes:
    return b"blank" if math.isnan(value) else struct.pack("<d", value)


def _require_joined(kind: Kind, panel: Panel, expected: Table) -> None:
    """Raise unless every row of the panel holds what was published last, or is held that day."""
    if kind.source == LEG:
        held = panel.futures[LEG].days
        months = held["contract_month"].astype(str).tolist()
        prices = held["raw_price"].tolist()
        for moment, month, price in zip(held.index, months, prices, strict=True):
            if month != str(pd.Period(moment, "M") + 1) or _bits(price) != _bits(
                expected[month][moment.date()]
            ):
                raise UnjustifiedError(f"{moment.date()}: holds {month} at {price!r}")
        return
    lag = datetime.timedelta(days=kind.lag)
    for name, column in expected.items():
        published = sorted((day + lag, v) for day, v in column.items() if not math.isnan(v))
        for moment, value in panel.values[name].items():
            known = [v for day, v in published if day <= moment.date()]
            if _bits(value) != _bits(known[-1] if known else math.nan):
                raise UnjustifiedError(f"{name}, row {moment.date()}: {value!r}")
