import os
import pickle

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.inspect.__main__ import main

DATES = pd.DatetimeIndex(["2024-12-02", "2024-12-03", "2024-12-05"], name="Date")


def told(capsys, path):
    """Return the lines above the proposal of settings."""
    assert main([str(path)]) == 0
    description, blank, proposal = capsys.readouterr().out.rpartition("\n\n#")
    assert (blank and "confirm each guess" in proposal) or "No column of dates" in proposal
    return description.splitlines()


def test_a_pickle_is_summed_up_contract_by_contract(tmp_path, capsys):
    prices = pd.Series([np.nan, 99.0, np.nan], index=DATES)
    curves = {pd.Period(month, "M"): prices for month in ("2025-04", "2025-01")}
    pd.to_pickle(curves, tmp_path / "curve.pkl")
    lines = told(capsys, tmp_path / "curve.pkl")
    assert lines[:3] == [
        "curve.pkl: pickle, 2 contracts from 2025-01 to 2025-04",
        "months missing in between: 2025-02, 2025-03",
        "prices: 2, missing 4",
    ]
    assert " ".join(lines[-2].split()) == "2025-01 2024-12-02 2024-12-05 2024-12-03 2024-12-03 3 2"
    assert len(lines) == 7


def test_a_contract_without_a_price_shows_dashes(tmp_path, capsys):
    empty = pd.Series([np.nan] * 3, index=DATES)
    pd.to_pickle({pd.Period("2025-01", "M"): empty}, tmp_path / "curve.pkl")
    lines = told(capsys, tmp_path / "curve.pkl")
    assert lines[1] == "months missing in between: none"
    assert lines[-1].split()[3:5] == ["-", "-"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_is_summed_up_and_its_delimiter_is_called_a_guess(tmp_path, capsys, delimiter, mark):
    text = "Date,price ,\n2/1/2024,1.5,\n3/1/2024,,\n4/1/2024,2.5,\n,,\n"
    content = mark + text.replace(",", delimiter)
    (tmp_path / "f.csv").write_text(content, encoding="utf-8")
    assert told(capsys, tmp_path / "f.csv") == [
        "f.csv: csv, 4 rows, 3 columns",
        f"UTF-8 byte order mark: {'yes' if mark else 'no'}; delimiter: {delimiter!r} (a guess)",
        "column       filled  blank  first and last",
        "'Date'            3      1  '2/1/2024' .. '4/1/2024'",
        "'price'           2      2  '1.5' .. '2.5'",
        "(no header)       0      4",
    ]


def test_a_csv_that_no_delimiter_fits_is_shown_as_one_column(tmp_path, capsys):
    (tmp_path / "f.txt").write_text("x\ny\n")
    assert told(capsys, tmp_path / "f.txt")[3:] == ["'x'          1      0  'y' .. 'y'"]


@pytest.mark.parametrize("suffix", ["parquet", "xlsx"])
def test_a_binary_table_is_summed_up(tmp_path, capsys, suffix):
    frame = pd.DataFrame({"Date": DATES, "price": [None, 99.5, 98.5]})
    path = tmp_path / f"f.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_excel(path, index=False)
    lines = told(capsys, path)
    assert len(lines) == 4
    assert "3 rows, 2 columns" in lines[0]
    assert lines[3].split(maxsplit=3) == ["'price'", "2", "1", "99.5 .. 98.5"]


def test_a_wrong_file_is_one_line_and_status_2(tmp_path, capsys):
    (tmp_path / "f.csv").write_bytes(b"")
    for file, part in (
        ("f.csv", "is empty"),
        ("none.csv", "no such file"),
        ("f.doc", "expected a file ending in .pkl"),
    ):
        assert main([str(tmp_path / file)]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("DataError: ")
        assert part in output.err
        assert output.err.count("\n") == 1


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


def test_the_command_runs_nothing_of_a_hostile_pickle(tmp_path, capsys):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(Hostile(tmp_path / "marker")))
    assert main([str(tmp_path / "f.pkl")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"DataError: f.pkl: refuses to load {os.system.__module__}.system")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("Raw_M65F_DSP.pkl", "pickle, 69 contracts from 2020-01 to 2025-09"),
        ("Raw_FEF_Close.pkl", "pickle, 81 contracts from 2020-01 to 2026-09"),
        ("group.csv", "csv, 1747 rows, 7 columns"),
        ("IOCJ Inventory.csv", "csv, 406 rows, 3 columns"),
    ],
)
def test_the_original_files_are_summed_up(real_data, capsys, file, first):
    assert told(capsys, real_data / file)[0] == f"{file}: {first}"
