import builtins
import codecs
import contextlib
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from numpy._core.numeric import _frombuffer
from pandas.core.internals.managers import SingleBlockManager

from ironore_lightning.errors import DataError
from ironore_lightning.reading import raw_bytes as files
from ironore_lightning.reading import unpickling
from ironore_lightning.reading.pickles import read_held

DATES = pd.DatetimeIndex(["2024-12-02", "2024-12-03", "2024-12-05"], name="Date")
JANUARY, MARCH = pd.Period("2025-01", "M"), pd.Period("2025-03", "M")
JAN, MAR = "2025-01", "2025-03"


def read_curves(path):
    return read_held(path.name, files.read_bytes(path))


def curve(month=JANUARY, dates=DATES):
    return {month: pd.Series([101.5, np.nan, 99.0], index=dates, name="Close")}


@pytest.fixture
def write_pickle(tmp_path):
    def write(content, protocol=pickle.HIGHEST_PROTOCOL):
        path = tmp_path / "curve.pkl"
        raw = content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol)
        path.write_bytes(raw)
        return path

    return write


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_curves(path)
    message = str(caught.value)
    assert message.startswith("curve.pkl: ")
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_pandas_writes_is_read_back(write_pickle, protocol):
    read = read_curves(write_pickle(curve(MARCH) | curve(JANUARY), protocol))
    assert list(read) == [JAN, MAR]
    np.testing.assert_array_equal(read[MAR].to_numpy(), [101.5, np.nan, 99.0])
    assert list(read[MAR].index) == list(DATES)
    assert read[MAR].index.name == "date"
    assert read[MAR].dtype == np.float64


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("frequency", ["D", "B", "W-FRI"])
def test_dates_of_any_unit_and_frequency_are_read(write_pickle, unit, frequency):
    dates = pd.date_range("2024-12-06", periods=3, freq=frequency).as_unit(unit)
    read = read_curves(write_pickle(curve(dates=dates)))
    assert list(read[JAN].index) == list(dates)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", ">f8"])
def test_numbers_of_other_widths_become_float64(write_pickle, dtype):
    prices = pd.Series(np.array([100, 101, 102], dtype=dtype), index=DATES)
    read = read_curves(write_pickle({JANUARY: prices}))[JAN]
    assert read.dtype == np.float64
    assert read.tolist() == [100.0, 101.0, 102.0]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        (b"pandas\nPeriod", b"pandas._libs.tslibs.period"),
        (b"pandas\nSeries", b"pandas.core.series"),
        (b"pandas\nDatetimeIndex", b"pandas.core.indexes.datetimes"),
        (b"pandas.arrays\nDatetimeArray", b"pandas.core.arrays.datetimes"),
        (b"numpy._core.multiarray\n_reconstruct", b"numpy.core.multiarray"),
    ],
    ids=lambda part: part.decode().split("\n")[-1],
)
def test_names_are_read_from_where_older_versions_keep_them(write_pickle, name, module):
    raw = pickle.dumps(curve(), protocol=2)
    older = module + b"\n" + name.split(b"\n")[1]
    assert (b"c" + name in raw) or (b"c" + older in raw)
    read = read_curves(write_pickle(raw.replace(b"c" + name, b"c" + older)))
    assert read[JAN].iloc[0] == 101.5


def test_columns_of_a_frame_that_share_their_dates_are_read(write_pickle):
    frame = pd.DataFrame({JANUARY: [1.0, 2.0, 3.0], MARCH: [4.0, 5.0, 6.0]}, index=DATES)
    read = read_curves(write_pickle({month: frame[month] for month in frame.columns}))
    assert read[JAN].tolist() == [1.0, 2.0, 3.0]
    assert read[MAR].tolist() == [4.0, 5.0, 6.0]


def test_contracts_before_1970_keep_their_month(write_pickle):
    month = pd.Period("1969-11", "M")
    assert list(read_curves(write_pickle(curve(month)))) == ["1969-11"]


@pytest.mark.parametrize(
    ("file", "num_contracts", "last"),
    [("Raw_M65F_DSP.pkl", 69, "2025-09"), ("Raw_FEF_Close.pkl", 81, "2026-09")],
)
def test_the_original_pickles_are_read_as_pandas_reads_them(real_data, file, num_contracts, last):
    read = read_curves(real_data / file)
    trusted = pd.read_pickle(real_data / file)
    assert len(read) == len(trusted) == num_contracts
    assert list(read)[-1] == last
    for month, prices in read.items():
        assert list(prices.index) == list(trusted[pd.Period(month)].index)
        np.testing.assert_array_equal(prices.to_numpy(), trusted[pd.Period(month)].to_numpy())


# --- hostile pickles ------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of `function`, followed by BUILD if there is a state."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments, state)

    def __reduce__(self):
        return self.parts


def shell(marker):
    return f"touch '{marker}'"


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def text(value):
    """The opcode that pushes a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


HOSTILE = {
    "system": (lambda marker: Calls(os.system, shell(marker)), f"{os.system.__module__}.system"),
    "eval": (lambda marker: Calls(eval, f"open({str(marker)!r}, 'w')"), "builtins.eval"),
    "exec": (lambda marker: Calls(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
    "open": (lambda marker: Calls(open, str(marker), "w"), "io.open"),
    "getattr": (lambda marker: Calls(getattr, str(marker), "upper"), "builtins.getattr"),
    "posix system": (
        lambda marker: b"\x80\x02" + named("posix", "system") + text(shell(marker)) + b"\x85R.",
        "posix.system",
    ),
    "run": (lambda marker: Calls(subprocess.run, ["touch", str(marker)]), "subprocess.run"),
    "compile and run": (
        lambda marker: Calls(
            eval, Calls(compile, f"open({str(marker)!r}, 'w')", "hostile", "eval")
        ),
        "builtins.eval",
    ),
    # getattr(__import__("os"), "system")("touch ..."), each result called by the next.
    "chain of calls": (
        lambda marker: (
            b"\x80\x02"
            + named("builtins", "getattr")
            + named("builtins", "__import__")
            + (text("os") + b"\x85R" + text("system") + b"\x86R")
            + (text(shell(marker)) + b"\x85R.")
        ),
        "builtins.getattr",
    ),
    "chain behind an admitted name": (
        lambda marker: (
            b"\x80\x02"
            + (named("pandas", "Series") + b")\x81}" + text("f") + named("os", "system"))
            + (text(shell(marker)) + b"\x85Rsb.")
        ),
        "os.system",
    ),
    "hostile after a whole curve": (
        lambda marker: [curve(), Calls(os.system, shell(marker))],
        f"{os.system.__module__}.system",
    ),
    "Popen": (lambda marker: Calls(subprocess.Popen, ["touch", str(marker)]), "subprocess.Popen"),
    "pandas pickle": (lambda marker: Calls(pd.read_pickle, str(marker)), "read_pickle"),
    "numpy load": (lambda marker: Calls(np.load, str(marker)), "load"),
    "nested": (
        lambda marker: [{"a": (1, Calls(os.system, shell(marker)))}],
        f"{os.system.__module__}.system",
    ),
    "as a key": (
        lambda marker: {Calls(os.system, shell(marker)): 1},
        f"{os.system.__module__}.system",
    ),
    "as prices": (
        lambda marker: {JANUARY: Calls(os.system, shell(marker))},
        f"{os.system.__module__}.system",
    ),
    "object array": (
        lambda marker: {JANUARY: pd.Series([Calls(os.system, shell(marker))] * 3, index=DATES)},
        f"{os.system.__module__}.system",
    ),
    "old protocol": (
        lambda marker: named("os", "system") + f"(S'{marker}'\ntR.".encode(),
        "os.system",
    ),
    "INST": (lambda marker: f"(S'{marker}'\nios\nsystem\n.".encode(), "os.system"),
    "dotted name": (
        lambda _: b"\x80\x04\x8c\x06pandas\x8c\x19Series.__init__.__class__\x93.",
        "pandas.Series.__init__",
    ),
    "other pandas name": (
        lambda _: b"\x80\x02" + named("pandas.core.internals.blocks", "new_block") + b".",
        "pandas.core.internals.blocks.new_block",
    ),
    "module of a lookalike": (lambda _: b"\x80\x02" + named("panda", "Series") + b".", "panda.S"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pickle_is_refused_by_name_and_runs_nothing(write_pickle, tmp_path, case):
    build, name = HOSTILE[case]
    marker = tmp_path / "marker"
    message = refusal(write_pickle(build(marker)))
    assert "refuses to load" in message
    assert name in message
    assert not marker.exists()


@pytest.mark.parametrize(
    "case",
    [
        "system",
        "posix system",
        "run",
        "compile and run",
        "chain of calls",
        "chain behind an admitted name",
        "hostile after a whole curve",
    ],
)
def test_the_hostile_pickles_of_these_tests_would_run_in_the_plain_unpickler(tmp_path, case):
    marker = tmp_path / "marker"
    content = HOSTILE[case][0](marker)
    raw = content if isinstance(content, bytes) else pickle.dumps(content)
    with contextlib.suppress(Exception):  # what is made of a result may fail; it has run by then
        opened = pickle.loads(raw)
        getattr(opened, "close", int)()
    assert marker.exists()


def test_nothing_is_imported_for_a_name(write_pickle, tmp_path, monkeypatch):
    (tmp_path / "hostile_module.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    message = refusal(write_pickle(b"\x80\x02" + named("hostile_module", "anything") + b"."))
    assert "refuses to load hostile_module.anything" in message
    assert "hostile_module" not in sys.modules


SERIES = b"\x80\x02" + named("pandas", "Series")

TRICKS = {
    "BUILD sets attributes on a class": SERIES + b"N}X\x08\x00\x00\x00__init__Ns\x86b.",
    "BUILD sets the state of a class": SERIES + b"}X\x04\x00\x00\x00evilNsb.",
    "BUILD sets slots of a class": SERIES + b"N}X\x04\x00\x00\x00evilK\x01s\x86b.",
    "BUILD on a list": b"\x80\x02]}X\x04\x00\x00\x00evilNsb.",
    "REDUCE with odd arguments": SERIES + b"K\x01K\x02K\x03\x87R.",
    "REDUCE of what is no function": b"\x80\x02]K\x01\x85R.",
    "NEWOBJ_EX with keywords": b"\x80\x04" + SERIES[2:] + b")}\x8c\x04evilK\x01s\x92.",
    "ndarray of a huge shape": b"\x80\x02" + named("numpy", "ndarray") + b"J\xff\xff\xff\x7f\x85R.",
    "persistent id": b"\x80\x02K\x01Q.",
    "extension registry": b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize("case", TRICKS)
def test_an_admitted_name_is_worth_nothing_to_an_attacker(write_pickle, case):
    assert list(pickletools.genops(TRICKS[case]))
    before = (pd.Series.__init__, dict(vars(unpickling.StandIn)))
    refusal(write_pickle(TRICKS[case]))
    assert (pd.Series.__init__, dict(vars(unpickling.StandIn))) == before
    assert not hasattr(pd.Series, "evil")
    assert builtins.slice(1).stop == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x04\x96" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x04Nr" + struct.pack("<I", 2**31) + b".",
        b"\x80\x04Np2147483648\n.",
    ],
    ids=["bytes", "bytearray", "memo", "memo as text"],
)
def test_lengths_that_the_file_does_not_have_are_never_allocated(write_pickle, raw):
    refusal(write_pickle(raw))


def test_a_pickle_above_the_size_limit_is_not_opened(write_pickle, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    assert "bytes, may have 1000" in refusal(write_pickle({JANUARY: "x" * 1000}))


BOMBS = {
    "many empty lists": (b"\x80\x02" + b"]" * 1_100_000 + b".", "more than 1000000 opcodes"),
    "many numbers": (b"\x80\x02(" + b"K\x01" * 1_100_000 + b"l.", "more than 1000000 opcodes"),
    "a key whose hash takes for ever": (
        b"\x80\x02}K\x01\x85q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b"K\x01s.",
        "a key is neither a text nor an object (TUPLE2)",
    ),
    "the same by MEMOIZE": (
        b"\x80\x04}K\x01\x85\x94"
        + b"".join(b"h%ch%c\x86\x94" % (slot, slot) for slot in range(200))
        + b"K\x01s.",
        "a key is neither a text nor an object (TUPLE2)",
    ),
    "the same by a slot that is set twice": (
        b"\x80\x04]q\x00q\x000}X\x01\0\0\0xq\x01K\x01\x85q\x01" + b"h\x01K\x01s.",
        "a key is neither a text nor an object (TUPLE1)",
    ),
    "the same by DUP": (
        b"\x80\x02}K\x01\x85" + b"2\x86" * 200 + b"K\x01s.",
        "a key is neither a text nor an object (TUPLE2)",
    ),
    "the same by several keys at once": (
        b"\x80\x02}(X\x01\0\0\0xK\x01K\x01\x85K\x01u.",
        "a key is neither a text nor an object (TUPLE1)",
    ),
    "the same by a dict of what lies there": (
        b"\x80\x02(X\x01\0\0\0xK\x01K\x01\x85K\x01d.",
        "a key is neither a text nor an object (TUPLE1)",
    ),
    "the same with a state": (b"\x80\x02}K\x01\x85NbK\x01s.", "nor an object (TUPLE1)"),
    "a key of tuples within tuples": (
        b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.",
        "a key is neither a text nor an object (TUPLE1)",
    ),
    "numbers of one hash as keys": (
        b"\x80\x02}("
        + b"".join(
            b"\x8a\x0b" + (number * (2**61 - 1)).to_bytes(11, "little") + b"N"
            for number in range(60_000)
        )
        + b"u.",
        "a key is neither a text nor an object (LONG1)",
    ),
    "a set": (b"\x80\x04\x8f(K\x01\x90.", "holds a set"),
    "a number of a million digits": (
        b"\x80\x02L" + b"9" * 1_000_000 + b"L\n.",
        "is not a whole pickle",
    ),
    "lists within lists": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "holds a list"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_of_opcodes_is_refused_within_seconds(write_pickle, case):
    raw, part = BOMBS[case]
    started = time.process_time()
    assert part in refusal(write_pickle(raw))
    assert time.process_time() - started < 30


def laughs(depth=200):
    """A list of lists: a few bytes to store, 2**depth to spell or to compare."""
    nested = ["laugh"]
    for _ in range(depth):
        nested = [nested, nested]
    return nested


def crafted(values=(), index=DATES, key=JANUARY):
    """Contracts of the right outline around whatever is put in."""
    stored = {"axes": [index], "blocks": [{"values": values, "mgr_locs": slice(0, 3, 1)}]}
    manager = Calls(SingleBlockManager, state=([], [], [], {"0.14.1": stored}))
    return {key: Calls(pd.Series, state={"_mgr": manager})}


def array(raw=b"\0" * 24, kind="f8", shape=(3,)):
    return Calls(_frombuffer, raw, Calls(np.dtype, kind, state=(3, "<")), shape, "C")


CRAFTED = {
    "nothing odd": (crafted(array()), ""),
    "nested kind": (crafted(array(kind=laughs())), "are of type a list"),
    "nested text": (crafted(array(raw=Calls(codecs.encode, laughs()))), "not laid out"),
    "nested bytes": (crafted(array(raw=laughs())), "not laid out"),
    "nested shape": (crafted(array(shape=laughs())), "the shape they state"),
    "another shape": (crafted(array(shape=(4,))), "the shape they state"),
    "half a number": (crafted(array(raw=b"\0" * 23)), "not laid out"),
    "too few": (crafted(array(b"\0" * 16, shape=(2,))), "has 2 prices for 3 dates"),
    "list of prices": (crafted([1.0, 2.0, 3.0]), "are a list"),
    "list of dates": (crafted(array(), index=[1, 2, 3]), "are no DatetimeIndex"),
    "nested ordinal": (
        crafted(array(), key=Calls(pd.Period, None, pd.offsets.MonthEnd(), laughs())),
        "not laid out",
    ),
    "nested month length": (
        crafted(array(), key=Calls(pd.Period, None, Calls(pd.offsets.MonthEnd, laughs()), 600)),
        "another length than a month",
    ),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_an_odd_value_in_the_place_of_a_plain_one_is_refused_at_once(write_pickle, case):
    content, part = CRAFTED[case]
    path = write_pickle(content)
    if part:
        assert part in refusal(path)
    else:
        assert read_curves(path)[JAN].tolist() == [0.0, 0.0, 0.0]


def test_contracts_that_share_their_bytes_cannot_grow_beyond_the_file(write_pickle):
    dates = pd.date_range("2000-01-03", periods=5000, freq="D")
    prices = pd.Series(np.ones(5000), index=dates)
    months = pd.period_range("2000-01", periods=100, freq="M")
    message = refusal(write_pickle(dict.fromkeys(months, prices)))
    assert "claims more prices than it has bytes" in message


# --- honest mistakes ------------------------------------------------------------------------------

WRONG = {
    "list": ([1, 2], "holds a list"),
    "empty dict": ({}, "holds an empty dict"),
    "number as key": ({1.5: curve()[JANUARY]}, "a key is neither a text nor an object"),
    "quarters": (curve(pd.Period("2025Q1", "Q")), "refuses to load"),
    "three months": (curve(pd.Period("2025-01", "3M")), "another length than a month"),
    "far month": (curve(pd.Period("9999-01", "M")), "outside 1900 to 2199"),
    "far date": (
        curve(dates=pd.DatetimeIndex(["2024-12-02", "2024-12-03", "2201-01-01"])),
        "contract 2025-01 has a date outside 1900 to 2199",
    ),
    "numbers as prices": ({JANUARY: 1.5}, "contract 2025-01 is a float"),
    "text prices": (
        {JANUARY: pd.Series(["a"] * 3, index=DATES, dtype=object)},
        "the prices of contract 2025-01 are no numbers",
    ),
    "no dates": ({JANUARY: pd.Series([1.0, 2.0])}, "contract 2025-01 are no DatetimeIndex"),
    "timezone": (curve(dates=DATES.tz_localize("UTC")), "dates have a timezone"),
    "series": (curve()[JANUARY], "holds a Series"),
}


@pytest.mark.parametrize("case", WRONG)
def test_another_structure_is_refused_and_says_what_is_read(write_pickle, case):
    content, part = WRONG[case]
    message = refusal(write_pickle(content))
    assert part in message
    assert "only a DataFrame, or a dict of price Series by contract" in message


def test_a_contract_that_is_there_twice_is_refused(write_pickle):
    key = pickle.dumps(JANUARY, protocol=3)[2:-1]
    prices = pickle.dumps(curve()[JANUARY], protocol=3)[2:-1]
    message = refusal(write_pickle(b"\x80\x03}" + key + prices + b"s" + key + prices + b"s."))
    assert "contract 2025-01 is there twice" in message


@pytest.mark.parametrize(
    "raw",
    [b"not a pickle", b"\x80\x04", b"\x80\xff.", b"\x80\x04.", b"(" * 100 + b".", b"\x00" * 50],
    ids=["text", "no stop", "future protocol", "empty stack", "marks", "zeros"],
)
def test_garbage_is_a_line_that_names_the_file(write_pickle, raw):
    assert "is not a whole pickle" in refusal(write_pickle(raw))


def test_no_prefix_of_a_pickle_is_read_or_ends_in_another_error(write_pickle):
    whole = pickle.dumps(curve())
    for length in range(1, len(whole)):
        refusal(write_pickle(whole[:length]))


def test_no_changed_byte_ends_in_another_error(write_pickle):
    whole = pickle.dumps(curve())
    generator = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for position in range(2, len(whole)):
        changed = bytearray(whole)
        changed[position] = generator.integers(256)
        try:
            read_curves(write_pickle(bytes(changed)))
            outcomes["read"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > outcomes["read"] > 10


def test_an_empty_or_missing_pickle_or_a_folder_is_a_line(tmp_path, write_pickle):
    assert "is empty (no bytes)" in refusal(write_pickle(b""))
    with pytest.raises(DataError, match=r"none\.pkl: there is no such file"):
        read_curves(tmp_path / "none.pkl")
    with pytest.raises(DataError, match="is a folder"):
        read_curves(tmp_path)
