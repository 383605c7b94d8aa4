"""Random damage to raw files: steps drawn by whoever asks for them, and applied here."""

import io
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd


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
