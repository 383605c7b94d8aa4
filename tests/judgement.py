"""What the project reads of a mutated file, held against a second, plain reader.

The modules csv, pickle and pyarrow say what is in a file; nothing of the project's own reader is
used to judge it.
"""

import csv
import datetime
import io
import math
import pickle
import re
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mutations import BYTE_STEPS, CURVE_STEPS, FRAME_STEPS, LINE_STEPS
from pyarrow import parquet
from small_market import original_settings, prepared_table_settings, read_market, write_small_market

from ironore_lightning.data.panel import Panel
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.settings.data import DataSettings

LEG = "price_65_m1"
BLANK = {"", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "NULL", "null", "None", "<NA>", "-"}

Table = dict[str, dict[datetime.date, float]]
"""Values by column and date; NaN is a blank."""


class UnjustifiedError(AssertionError):
    """A mutated file was read as something that it does not say, or refused in another way."""


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
    return prepared_table_settings(root, {**layout, "date_format": None, "delimiter": None})


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
