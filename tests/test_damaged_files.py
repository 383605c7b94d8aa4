"""Raw files as they go wrong in an office: refused in one line that says where, or read the same.

Every case is the small market with one thing damaged, read and joined as a run does it. Some damage
nobody can know from the files alone; the last cases say which.
"""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from damage import (
    in_bytes,
    in_cell,
    in_contract,
    in_curves,
    in_every_cell,
    in_lines,
    in_text,
    swap_columns,
    with_price,
)
from damaged_cases import CSV, GROUP, INDEX, JUNE, LEG_62, LEG_65, PICKLES, STOCK
from small_market import bits, original_settings, read_market, write_small_market

from ironore_lightning.errors import DataError

# --- the undamaged files --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Folder of the raw files, and what is made of them."""
    folder = tmp_path_factory.mktemp("market")
    write_small_market(folder)
    return folder, read_market(original_settings(folder))


@pytest.fixture
def folder(market, tmp_path):
    """A copy of the raw files, to be damaged."""
    return shutil.copytree(market[0], tmp_path / "raw")


def refusal(folder):
    """Return the one line that a run ends with."""
    with pytest.raises(DataError) as caught:
        read_market(original_settings(folder))
    (line,) = str(caught.value).splitlines()
    assert len(line) < 700
    return line


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CSV)
def test_a_damaged_csv_is_refused_in_a_line_that_says_where(folder, case):
    damage, text = CSV[case]
    damage(folder)
    assert text in refusal(folder)


@pytest.mark.parametrize("case", PICKLES)
def test_a_damaged_pickle_is_refused_in_a_line_that_says_where(folder, case):
    damage, text = PICKLES[case]
    damage(folder)
    line = refusal(folder)
    assert f"{LEG_65}: " in line
    assert text in line


def test_a_file_that_may_not_be_read_is_refused(folder):
    (folder / GROUP).chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read anything
    try:
        line = refusal(folder)
    finally:
        os.seteuid(user)
    assert "group.csv: cannot be read: " in line
    assert "Permission denied" in line


# --- read the same --------------------------------------------------------------------------------


def without_mark(raw):
    return raw.removeprefix(b"\xef\xbb\xbf")


def shuffled(lines):
    order = np.random.default_rng(0).permutation(range(1, len(lines)))
    return [lines[0], *(lines[number] for number in order)]


HARMLESS = {
    "nothing": lambda _: None,
    "no mark": in_bytes(GROUP, without_mark),
    "unix lines": in_bytes(GROUP, lambda raw: raw.replace(b"\r\n", b"\n")),
    "old mac lines": in_bytes(GROUP, lambda raw: raw.replace(b"\r\n", b"\r")),
    "no end of the last line": in_bytes(INDEX, lambda raw: raw[:-2]),
    "blank lines": in_lines(INDEX, lambda lines: [*lines[:9], "", "  ", *lines[9:], "", ",,"]),
    "shuffled lines": in_lines(GROUP, shuffled),
    "turned round": in_lines(STOCK, lambda lines: [lines[0], *lines[:0:-1]]),
    "other columns first": in_lines(
        GROUP, lambda lines: [swap_columns(line, 2, 5) for line in lines]
    ),
    "dates last": in_lines(INDEX, lambda lines: [swap_columns(line, 0, 2) for line in lines]),
    "a column more": in_every_cell(INDEX, 2, lambda cell: f"{cell},seen", header=True),
    "spaces around": in_every_cell(INDEX, 2, lambda cell: f"  {cell} ", header=True),
    "quotes around": in_every_cell(INDEX, 2, lambda cell: f'"{cell}"', header=True),
    "padded dates": in_every_cell(GROUP, 0, lambda date: date.zfill(9)),
    "zeros behind": in_every_cell(INDEX, 1, lambda cell: cell and f"{cell}00"),
    "powers of ten": in_every_cell(INDEX, 1, lambda cell: cell and f"+{float(cell) * 100!r}e-2"),
    "dashes for blanks": in_every_cell(GROUP, 3, lambda cell: cell or "-"),
    "NaN for blanks": in_every_cell(GROUP, 3, lambda cell: cell or "NaN"),
    "text as months": in_curves(
        LEG_65, lambda curves: {str(month): one for month, one in curves.items()}
    ),
    "a frame of months": in_curves(LEG_65, pd.DataFrame),
    "a frame of texts": in_curves(LEG_65, lambda curves: pd.DataFrame(curves).rename(columns=str)),
    "contracts turned round": in_curves(LEG_65, lambda curves: dict(reversed(curves.items()))),
    "days turned round": in_contract(LEG_65, JUNE, lambda prices: prices[::-1]),
    "an old pickle": in_bytes(LEG_65, lambda raw: pickle.dumps(pickle.loads(raw), protocol=2)),
    "a new pickle": in_bytes(LEG_65, lambda raw: pickle.dumps(pickle.loads(raw), protocol=5)),
    "another file beside": lambda folder: (folder / "notes.txt").write_text("call the broker"),
    "a link to the file": lambda folder: (
        (folder / GROUP).rename(folder / "real.csv").parent.joinpath(GROUP).symlink_to("real.csv")
    ),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_does_not_matter_gives_the_same_market_bit_for_bit(market, folder, case):
    HARMLESS[case](folder)
    assert bits(read_market(original_settings(folder))) == bits(market[1])


# --- what nobody can know -------------------------------------------------------------------------

UNKNOWABLE = {
    "the two indices under each other's header": in_text(
        INDEX, lambda text: text.replace("62 Index,65 Index", "65 Index,62 Index")
    ),
    "a decimal point in the wrong place": in_cell(INDEX, 8, 1, lambda cell: cell.replace(".", "")),
    "a digit lost at the very end": in_bytes(INDEX, lambda raw: raw[:-4]),
    "one line lost": in_lines(GROUP, lambda lines: lines[:20] + lines[21:]),
    "a value lost": in_cell(GROUP, 20, 2, ""),
    "a price of yesterday": in_contract(LEG_65, JUNE, with_price("2025-05-12", 110.0)),
    "the files of the legs under each other's name": lambda folder: [
        (folder / LEG_65).rename(folder / "kept"),
        in_curves(LEG_62, lambda curves: {m: x for m, x in curves.items() if m.year == 2025})(
            folder
        ),
        (folder / LEG_62).rename(folder / LEG_65),
        (folder / "kept").rename(folder / LEG_62),
    ],
}


@pytest.mark.parametrize("case", UNKNOWABLE)
def test_a_wrong_value_that_could_be_right_is_read_as_it_stands(market, folder, case):
    # The file is whole, and says so: no reader can do better without knowing the truth.
    UNKNOWABLE[case](folder)
    assert bits(read_market(original_settings(folder))) != bits(market[1])


# --- the command ----------------------------------------------------------------------------------


class Hostile:
    """Pickles as a command that leaves a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


COMMANDS = {
    "a csv that is cut": CSV["cut within a line"],
    "a csv in another encoding": CSV["utf-16"],
    "a missing file": CSV["missing"],
    "a gap in the contracts": PICKLES["a contract ends early"],
    "a hostile pickle": (
        lambda folder: in_curves(LEG_65, lambda _: {JUNE: Hostile(folder / "marker")})(folder),
        f"{LEG_65}: refuses to load {os.system.__module__}.system: only a DataFrame",
    ),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_ends_with_status_2_and_one_line(market, run_command, tmp_path, case):
    damage, line = COMMANDS[case]
    folder = Path(shutil.copytree(market[0], tmp_path / "raw"))
    damage(folder)
    run = tmp_path / "run"
    arguments = ("data=original", f"data.root={folder}", f"hydra.run.dir={run}")
    process = run_command("train.py", *arguments)
    assert process.returncode == 2
    assert process.stderr.startswith("DataError: ")
    assert line in process.stderr
    assert process.stderr.count("\n") == 1
    assert "Traceback" not in process.stderr
    assert not (folder / "marker").exists()
    assert not run.exists()  # it holds nothing that anybody needs
