"""Layouts of contract tables, and the names of contracts: small files, read as they are."""

import datetime

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from ironore_lightning.data.contract_names import contract_months
from ironore_lightning.data.contract_tables import read_contracts
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import ContractsSettings, DataSettings

NAN = np.nan
CSV = {
    "file": "leg.csv",
    "format": "csv",
    "date_column": "date",
    "date_format": "%Y-%m-%d",
    "delimiter": ",",
    "unit": "USD/t",
}
FUTURES = {"month_offset": 1, "adjustment": "ratio", "bridge_days": 0}
LONG = {
    "layout": "long",
    "contract_column": "contract",
    "price_column": "settle",
    "open_interest_column": "oi",
}
FILES = {"file": "legs/*.csv", "layout": "files", "price_column": "settle"}


def read(folder, files, *, start=None, futures=None, **layout):
    """The curve of a leg, from files by name."""
    for name, content in ({"leg.csv": files} if isinstance(files, str) else files).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    settings = ContractsSettings(**CSV | layout, futures=FUTURES | (futures or {}))
    day = None if start is None else datetime.date.fromisoformat(start)
    return read_contracts("leg", settings, folder, start=day)


def refusal(folder, files, **layout):
    with pytest.raises(DataError) as caught:
        read(folder, files, **layout)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_table(frame, months, rows):
    """Compare a table with its months and {day: prices}."""
    assert list(frame.columns.astype(str)) == months
    assert list(frame.index.strftime("%Y-%m-%d")) == list(rows)
    np.testing.assert_array_equal(frame.to_numpy(), np.array(list(rows.values()), dtype=float))


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written", "month"),
    [
        ("2024-01", "%Y-%m", "2024-01"),
        ("2024-1", "%Y-%m", "2024-01"),
        ("202401", "%Y%m", "2024-01"),
        ("Jan-24", "%b-%y", "2024-01"),
        ("DEC-68", "%b-%y", "2068-12"),
        ("sep-69", "%b-%y", "1969-09"),
        ("September 2024", "%B %Y", "2024-09"),
        ("I2401", "I%y%m", "2024-01"),
        ("CLF24", "CL{code}%y", "2024-01"),
        ("clz2024", "CL{code}%Y", "2024-12"),
        ("2024-01-31", "%Y-%m-%d", "2024-01"),
        ("15/6/2024", "%d/%m/%Y", "2024-06"),
        ("FEF.M24 (USD/t)", "FEF.{code}%y (USD/t)", "2024-06"),
    ],
)
def test_a_contract_is_named_as_the_format_says(name, written, month):
    assert contract_months([name], written, where="f") == {name: pd.Period(month, "M")}


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("202401", "'%Y%m'"),
        ("Jan-24", "'%b-%y'"),
        ("I2401", "'I%y%m'"),
        ("HG2024-03", "'HG%Y-%m'"),
        ("CLF24", "'CL{code}%y'"),
        ("CLF2024", "'CL{code}%Y'"),
        ("2024-01-15", "'%Y-%m-%d'"),
    ],
)
def test_a_name_of_another_format_is_refused_with_the_one_that_fits(name, fits):
    with pytest.raises(DataError) as caught:
        contract_months(["note", name], "%Y-%m", where="f.csv: header")
    assert str(caught.value) == (
        f"f.csv: header: not a contract month written as '%Y-%m': '{name}'; set contract_format: "
        f"{fits}"
    )


@pytest.mark.parametrize("name", ["2024-13", "2024-00", "24-01-2024x", "I241", "CLA24"])
def test_what_fits_no_format_is_refused(name):
    for written in ("%Y-%m", "I%y%m", "CL{code}%y"):
        with pytest.raises(DataError, match=f"not a contract month .*'{name}'$"):
            contract_months([name], written, where="f")


@pytest.mark.parametrize("written", ["%Y", "%m", "CL{code}", "contract"])
def test_a_format_without_a_month_of_a_year_is_refused(written):
    with pytest.raises(DataError, match=r"must hold a year .* and a month"):
        contract_months(["2024-01"], written, where="f")


def test_ranks_and_month_numbers_are_recognised_among_the_headers(tmp_path):
    said = refusal(tmp_path, "date,M1,M2\n2024-01-02,1,2\n")
    assert said.endswith("need layout: ranks, and columns 01 to 12 layout: month_numbers")


# --- wide -----------------------------------------------------------------------------------------


def test_months_that_are_not_listed_and_notes_are_not_read(tmp_path):
    content = "date,note,I2402,I2401,I2405\n2024-01-02,x,?,7,9\n2024-01-03,,?,8,\n"
    curve = read(tmp_path, content, contract_format="I%y%m", futures={"listed_months": [1, 5, 9]})
    assert_table(
        curve.prices, ["2024-01", "2024-05"], {"2024-01-02": [7, 9], "2024-01-03": [8, NAN]}
    )


def test_a_contract_under_two_names_is_refused(tmp_path):
    said = refusal(tmp_path, "date,2024-1,2024-01\n2024-01-02,1,2\n")
    assert "contract 2024-01 is there twice, as '2024-1' and '2024-01'; keep one" in said


# --- long -----------------------------------------------------------------------------------------


def test_a_row_a_day_and_contract_is_read_in_any_order(tmp_path):
    rows = [
        "2024-01-03,Feb-24,11,30",
        "2024-01-02,Mar-24,20,5",
        "2024-01-02,Feb-24,10,",
        "2024-01-02,Total,,35",
        "2024-01-03,Mar-24,,6",
    ]
    content = "\n".join(["date,contract,settle,oi", *rows])
    rule = {"roll": "open_interest"}
    curve = read(tmp_path, content, contract_format="%b-%y", futures=rule, **LONG)
    months = ["2024-02", "2024-03"]
    assert_table(curve.prices, months, {"2024-01-02": [10, 20], "2024-01-03": [11, NAN]})
    assert_table(curve.activity, months, {"2024-01-02": [NAN, 5], "2024-01-03": [30, 6]})
    assert read(tmp_path, content, contract_format="%b-%y", **LONG).activity is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("2024-01-02,2024-02,3,1", "line 3: contract '2024-02' is there twice on this date"),
        (",2024-02,3,1", "line 3: contract '2024-02' has a price without a date"),
        ("2024-01-02,,3,1", "line 3: contract '' is blank beside a price"),
        ("2024-01-02,202403,3,1", "not a contract month written as '%Y-%m': '202403'"),
    ],
    ids=["twice", "no date", "no contract", "another name"],
)
def test_a_wrong_row_of_a_long_table_is_named(tmp_path, row, problem):
    content = f"date,contract,settle,oi\n2024-01-02,2024-02,2,1\n{row}\n"
    assert problem in refusal(tmp_path, content, **LONG)


# --- a file a contract ----------------------------------------------------------------------------


def test_files_are_joined_by_the_months_in_their_names(tmp_path):
    files = {
        "legs/CLG24.csv": "date,settle,vol\n2024-01-03,11,1\n2024-01-02,10,2\n",
        "legs/CLH24.csv": "settle,date,vol\n20,2024-01-03,3\n21,2024-01-04,4\n",
        "legs/README.csv": "nothing\n",
    }
    layout = FILES | {"contract_format": "CL{code}%y", "volume_column": "vol"}
    curve = read(tmp_path, files, futures={"roll": "volume"}, **layout)
    months, days = ["2024-02", "2024-03"], ["2024-01-02", "2024-01-03", "2024-01-04"]
    prices = [[10, NAN], [11, 20], [NAN, 21]]
    assert_table(curve.prices, months, dict(zip(days, prices, strict=True)))
    volume = [[2, NAN], [1, 3], [NAN, 4]]
    assert_table(curve.activity, months, dict(zip(days, volume, strict=True)))


def test_a_pattern_without_a_file_is_refused(tmp_path):
    (tmp_path / "legs").mkdir()
    assert "legs/*.csv: there is no such file" in refusal(tmp_path, {}, **FILES)


def market(folder, **leg):
    return DataSettings(
        name="own",
        root=str(folder),
        contracts={"leg": CSV | leg},
        sources={},
        prices={},
        sample=None,
        table=None,
        holidays=None,
        futures=FUTURES,
        panel={"start": None, "as_published": True, "break_days": ()},
    )


def test_every_file_of_a_leg_is_an_input(tmp_path):
    (tmp_path / "legs").mkdir()
    for month in ("2024-02", "2024-03"):
        (tmp_path / "legs" / f"{month}.csv").write_text("date,settle\n2024-01-02,1\n")
    (tmp_path / "rolls.csv").write_text("date,contract\n2024-01-02,2024-02\n")
    rule = {"futures": {"roll": "calendar", "roll_file": "rolls.csv"}}
    data = market(tmp_path, **FILES, **rule)
    files = ["legs/2024-02.csv", "legs/2024-03.csv", "rolls.csv"]
    assert [str(path.relative_to(tmp_path)) for path in data.files] == files
    assert sorted(read_raw(data).digests) == files


# --- columns of month numbers ---------------------------------------------------------------------


def test_a_column_is_the_next_contract_of_its_month_and_is_not_read_in_that_month(tmp_path):
    content = "date,01,02,12\n2023-12-29,5,6,99\n2024-01-02,99,7,8\n2024-02-01,4,99,9\n"
    curve = read(tmp_path, content, layout="month_numbers")
    assert_table(
        curve.prices,
        ["2024-01", "2024-02", "2024-12", "2025-01"],
        {
            "2023-12-29": [5, 6, NAN, NAN],
            "2024-01-02": [NAN, 7, 8, NAN],
            "2024-02-01": [NAN, NAN, 9, 4],
        },
    )


def test_a_table_without_month_numbers_is_refused(tmp_path):
    said = refusal(tmp_path, "date,M1\n2024-01-02,1\n", layout="month_numbers")
    assert said == "leg.csv: has no column 01 to 12, as layout: month_numbers has, but 'date', 'M1'"


# --- ranks ----------------------------------------------------------------------------------------

RANKS = {
    "layout": "ranks",
    "ranked_columns": ["M1", "M2"],
    "futures": {"roll": "calendar", "roll_file": "rolls.csv", "listed_months": [1, 5, 9]},
}


def test_ranks_are_named_by_the_days_from_which_a_contract_is_the_nearest(tmp_path):
    content = "date,M1,M2\n2024-01-02,99,99\n2024-01-03,5,9\n2024-01-04,6,10\n2024-01-05,11,20\n"
    rolls = "date,contract\n2024-01-03,2024-05\n2024-01-04,2024-06\n2024-01-05,2024-09\n"
    curve = read(tmp_path, {"leg.csv": content, "rolls.csv": rolls}, **RANKS)
    assert_table(
        curve.prices,
        ["2024-05", "2024-09", "2025-01"],
        {
            "2024-01-03": [5, 9, NAN],
            "2024-01-04": [6, 10, NAN],
            "2024-01-05": [NAN, 11, 20],
        },
    )


@pytest.mark.parametrize(
    ("rolls", "problem"),
    [
        ("2024-01-03,2024-05\n2024-01-03,2024-09\n", "contract 2024-09, 2024-01-03, follows 20"),
        ("2024-01-05,2024-05\n2024-01-03,2024-09\n", "contract 2024-05, 2024-01-05, follows 20"),
        (",2024-05\n", "expected the date of each contract"),
        ("2024-01-03,2024-06\n", "expected the date of each contract, listed months only"),
        ("2024-01-03,K24\n", "column 'contract': not a contract month written as '%Y-%m': 'K24'"),
    ],
    ids=["one day", "backwards", "no date", "nothing listed", "another name"],
)
def test_a_wrong_roll_file_is_refused(tmp_path, rolls, problem):
    files = {"leg.csv": "date,M1,M2\n2024-01-03,5,9\n", "rolls.csv": f"date,contract\n{rolls}"}
    said = refusal(tmp_path, files, **RANKS)
    assert said.startswith("rolls.csv: ")
    assert problem in said


# --- prices ---------------------------------------------------------------------------------------

WTI = "date,2020-05,2020-06\n2020-04-17,18.27,25.03\n2020-04-20,-37.63,20.43\n"


def test_a_price_below_zero_is_read_where_prices_may_be_negative(tmp_path):
    allowed = {"positive": False, "futures": {"adjustment": "difference"}}
    assert read(tmp_path, WTI, **allowed).prices.iloc[1].tolist() == [-37.63, 20.43]
    assert refusal(tmp_path, WTI) == (
        "leg.csv: contract 2020-05, 2020-04-20: -37.63 is not above zero; a price of leg must be "
        "above zero, unless data.contracts.leg has positive: false and futures.adjustment: "
        "difference (then forecast it with target.kind=change)"
    )


MISTAKES = {
    "below zero": ("2024-01-03,-1,20", "contract 2024-02, 2024-01-03: -1 is not above zero"),
    "a decimal point lost": ("2024-01-03,1010,20", "the price is 1010 and the one before 10"),
    "unlike the others": ("2024-01-03,10,150", "the price is 150 and another contract's 10"),
}


@pytest.mark.parametrize(("row", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_price_before_the_start_is_told_and_left_out(tmp_path, row, problem):
    content = f"date,2024-02,2024-03\n2024-01-02,10,20\n{row}\n2024-01-04,10,20\n2024-01-05,11,21\n"
    assert problem in refusal(tmp_path, content)
    assert problem in refusal(tmp_path, content, start="2024-01-03")
    curve = read(tmp_path, content, start="2024-01-04")
    assert_table(
        curve.prices, ["2024-02", "2024-03"], {"2024-01-04": [10, 20], "2024-01-05": [11, 21]}
    )
    (remark,) = curve.remarks
    assert problem in remark
    assert remark.endswith("; days up to it lie before data.panel.start and are left out")


def test_a_price_after_expiry_before_the_start_is_told_and_left_out(tmp_path):
    content = "date,2024-01,2024-03\n2024-02-01,10,20\n2024-02-02,,21\n"
    assert "after the contract's own month" in refusal(tmp_path, content)
    curve = read(tmp_path, content, start="2024-02-02")
    assert curve.prices["2024-03"].tolist() == [21]
    assert len(curve.remarks) == 1


# --- settings that contradict each other ----------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (
            RANKS | {"futures": {"roll": "last_trading_day", "roll_file": "rolls.csv"}},
            "futures.roll must be calendar, which holds the nearest",
        ),
        ({"layout": "ranks", "ranked_columns": ["M1"]}, "needs ranked_columns and futures.roll_f"),
        ({"futures": {"roll": "volume"}}, "needs volume_column, in a file of layout: long or file"),
        ({"positive": False}, "positive: false needs futures.adjustment: difference"),
    ],
    ids=["ranks by the last day", "ranks without days", "wide by volume", "ratio below zero"],
)
def test_a_layout_and_a_roll_that_do_not_fit_are_refused(tmp_path, layout, problem):
    with pytest.raises(ValidationError, match=problem):
        read(tmp_path, {}, **layout)
