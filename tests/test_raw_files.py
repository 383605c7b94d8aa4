import os

import numpy as np
import pandas as pd
import pytest
import yaml

from ironore_lightning.data.contract_tables import read_contracts
from ironore_lightning.data.raw_files import read_source
from ironore_lightning.errors import DataError
from ironore_lightning.reading.cells import MISSING_MARKS
from ironore_lightning.reading.raw_bytes import source_path
from ironore_lightning.settings.data import ContractsSettings, FuturesSettings, SourceSettings

LAYOUT = {
    "file": "f.csv",
    "format": "csv",
    "date_column": "Date",
    "date_format": "%d/%m/%Y",
    "delimiter": ",",
}
FUTURES = FuturesSettings(month_offset=1, adjustment="ratio", bridge_days=0)
DAILY = pd.bdate_range("2024-01-01", periods=10)


def source_settings(columns=("a",), *, positive=False, frequency="daily", **changes):
    return SourceSettings(
        **LAYOUT | changes,
        frequency=frequency,
        publication_lag_days=0,
        columns={header: {"unit": "USD/t", "positive": positive} for header in columns},
    )


def write(folder, content, file="f.csv"):
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / file).write_bytes(raw)
    return folder


def source(folder, content, *columns, **changes):
    settings = source_settings(columns or ("a",), **changes)
    return read_source("drivers", settings, write(folder, content))


def contracts(folder, content, **changes):
    settings = ContractsSettings(**LAYOUT | changes, unit="USD/t", futures=FUTURES)
    return read_contracts("price", settings, write(folder, content)).prices


def refusal(read, *arguments, **changes):
    with pytest.raises(DataError) as caught:
        read(*arguments, **changes)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def daily_rows(dates=DAILY):
    return "Date,a\n" + "".join(f"{day:%d/%m/%Y},1\n" for day in dates)


# --- drivers --------------------------------------------------------------------------------------


def test_a_source_is_ascending_float64_in_the_order_of_the_settings(tmp_path):
    frame = source(tmp_path, "Date,a,b,c\n3/1/2024,5,6,x\n2/1/2024,3.5,,\n", "b", "a")
    assert list(frame.columns) == ["b", "a"]
    assert list(frame.index) == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")]
    assert frame.index.name == "date"
    assert frame.index.dtype == "datetime64[us]"
    assert (frame.dtypes == np.float64).all()
    np.testing.assert_array_equal(frame.to_numpy(), [[np.nan, 3.5], [6.0, 5.0]])


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffDate,a\n2/1/2024,1.5\n",
        "\n  \nDate,a\n2/1/2024,1.5\n",
        "Date,a\r\n2/1/2024,1.5\r\n",
        "Date,a,\n2/1/2024,1.5 ,\n",
        " Date , a \n 2/1/2024 , 1.5 \n",
        "Date,a\n2/1/2024,1.5\n,\n,\n\n\n",
        '"Date","a"\n"2/1/2024","1.5"\n',
        "Date,a,\n02/01/2024,1.5e0,\n",
        "Date,a\n,\n\n2/1/2024,+1.50\n",
        "a,Date\n1.5,2/1/2024",
    ],
    ids=[
        "byte order mark",
        "blank first lines",
        "windows lines",
        "unnamed column",
        "spaces",
        "empty rows at the end",
        "quotes",
        "padded date",
        "empty rows above",
        "date last",
    ],
)
def test_oddities_of_the_original_files_do_not_matter(tmp_path, content):
    frame = source(tmp_path, content)
    assert frame.to_dict("list") == {"a": [1.5]}
    assert list(frame.index) == [pd.Timestamp("2024-01-02")]


@pytest.mark.parametrize("header", ["steel margin", "steel margin ", " steel margin"])
@pytest.mark.parametrize("wanted", ["steel margin", "steel margin "])
def test_spaces_around_a_header_do_not_matter_on_either_side(tmp_path, header, wanted):
    frame = source(tmp_path, f"Date,{header}\n2/1/2024,7\n", wanted)
    assert frame.to_dict("list") == {"steel margin": [7.0]}


@pytest.mark.parametrize("mark", [*MISSING_MARKS, " ", " NA "])
def test_a_missing_mark_is_a_missing_value(tmp_path, mark):
    frame = source(tmp_path, f"Date,a\n2/1/2024,{mark}\n3/1/2024,4\n")
    np.testing.assert_array_equal(frame["a"].to_numpy(), [np.nan, 4.0])


def test_a_dated_row_without_values_stays_and_one_without_date_goes(tmp_path):
    frame = source(tmp_path, "Date,a,note\n2/1/2024,1,\n,,see below\n3/1/2024,,\n")
    np.testing.assert_array_equal(frame["a"].to_numpy(), [1.0, np.nan])


def test_numbers_are_read_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).lognormal(4, 3, 500)
    days = pd.bdate_range("2020-01-01", periods=500)
    rows = "".join(
        f"{day:%d/%m/%Y},{value!r}\n" for day, value in zip(days, values.tolist(), strict=True)
    )
    np.testing.assert_array_equal(source(tmp_path, "Date,a\n" + rows)["a"].to_numpy(), values)


def test_another_delimiter_and_format_are_read(tmp_path):
    frame = source(tmp_path, "Date;a\n20240102;1\n", delimiter=";", date_format="%Y%m%d")
    assert list(frame.index) == [pd.Timestamp("2024-01-02")]


@pytest.mark.parametrize(
    ("date_format", "cells"),
    [
        ("%d/%m/%Y", ["5/1/2024", "05/1/2024", "5/01/2024", " 5/1/2024"]),
        ("%m/%d/%Y", ["1/ 5/2024"]),
        ("%d-%m-%y", ["5-1-24"]),
        ("%d%b%Y", ["05JAN2024", "5Jan2024", "05jan2024"]),
        ("%B %d %Y", ["January  5 2024", "january 05 2024"]),
        ("%A %d.%m.%Y", ["FRIDAY 5.1.2024"]),
        ("%d/%m/%Y %H:%M:%S", ["5/1/2024 0:00:00"]),
        ("%d%m%Y", ["05012024"]),
        ("%y%j", ["24005"]),
        ("%G-W%V-%u", ["2024-W1-5"]),
    ],
)
def test_a_date_may_differ_from_its_format_in_case_spaces_and_leading_zeros(
    tmp_path, date_format, cells
):
    for cell in cells:
        frame = source(tmp_path, f"Date,a\n{cell},1\n", date_format=date_format)
        assert list(frame.index) == [pd.Timestamp("2024-01-05")], cell


WRONG_SOURCE = {
    "no bytes": (b"", {}, ["f.csv", "empty (no bytes)"]),
    "blank lines only": ("\n\n\n", {}, ["f.csv", "only blank lines"]),
    "byte order mark only": ("\ufeff", {}, ["only blank lines"]),
    "header only": ("Date,a\n", {}, ["a header and no row"]),
    "blank rows only": ("Date,a\n,\n,\n", {}, ["every row is blank"]),
    "commas in the first line": (
        ",,\nDate,a,\n",
        {},
        ["line 1 is blank", "if it is in row 2, set skiprows: 1"],
    ),
    "latin-1": (b"Date,a\n2/1/2024,\xe9\n", {}, ["line 2 is not UTF-8", "0xe9"]),
    "utf-16": ("Date,a\n2/1/2024,1\n".encode("utf-16"), {}, ["not UTF-8", "set encoding: utf-16"]),
    "utf-16 unmarked": ("Date,a\n".encode("utf-16-le"), {}, ["line 1 holds a zero byte", "UTF-8"]),
    "missing column": (
        "Date,Port stock,b\n2/1/2024,1,2\n",
        {"columns": ("port stocks",)},
        ["'port stocks'", "did you mean 'Port stock'?", "'Date', 'Port stock', 'b'"],
    ),
    "missing date column": ("Day,a\n2/1/2024,1\n", {}, ["no column 'Date'", "'Day', 'a'"]),
    "header twice": ("Date,a,a \n2/1/2024,1,2\n", {}, ["'a' is there twice"]),
    "wrong delimiter": (
        "Date;a\n2/1/2024;1\n",
        {},
        ["only one column", "'Date;a'", "so set delimiter: ';'"],
    ),
    "odd delimiter": ("Date,a\n2/1/2024,1\n", {"delimiter": "ab"}, ["delimiter 'ab'"]),
    "ragged row": (
        "Date,a\n2/1/2024,1\n3/1/2024,1,2\n",
        {},
        ["line 3 has 3 cells, the header has 2"],
    ),
    "cut row": (
        "Date,a,b\n2/1/2024,1,2\n3/1/2024,1\n",
        {},
        ["line 3 has 2 cells, the header has 3: is the line whole"],
    ),
    "quote over lines": (
        'Date,a,b\n2/1/2024,1,"\n3/1/2024,1,\n4/1/2024,1,"\n',
        {},
        ["line 2 opens a quote that line 4 closes"],
    ),
    "quote in a number": ('Date,a\n2/1/2024,"1"5\n', {}, ["line 2 cannot be split into cells"]),
    "open quote": ('Date,a\n2/1/2024,"1\n3/1/2024,1\n', {}, ["line 2 opens a quote"]),
    "month first": ("Date,a\n12/31/2023,1\n", {}, ["line 2", "'12/31/2023'", "'%d/%m/%Y'"]),
    "date in words": (
        "Date,a\n2/1/2024,1\n\ntoday,2\n",
        {},
        ["column 'Date', line 4", "'today' is not a date"],
    ),
    "now": ("Date,a\nnow,2\n", {}, ["'now' is not a date"]),
    "impossible date": ("Date,a\n30/2/2024,1\n", {}, ["'30/2/2024'"]),
    "the weekday of another date": (
        "Date,a\nMonday 5/1/2024,1\n",
        {"date_format": "%A %d/%m/%Y"},
        ["'Monday 5/1/2024'", "in which 2024-01-05 is 'Friday 05/01/2024'"],
    ),
    "date with time": ("Date,a\n2/1/2024 10:00,1\n", {}, ["'2/1/2024 10:00'"]),
    "time of day": (
        "Date,a\n2/1/2024 10:30,1\n",
        {"date_format": "%d/%m/%Y %H:%M"},
        ["line 2", "has a time of day"],
    ),
    "timezone": ("Date,a\n2/1/2024,1\n", {"date_format": "%d/%m/%Y%z"}, ["%Y%z'"]),
    "guessed format": ("Date,a\n2/1/2024,1\n", {"date_format": "mixed"}, ["'mixed'", "spell"]),
    "unknown format": ("Date,a\n2/1/2024,1\n", {"date_format": "%Q"}, ["'%Q'"]),
    "value without date": (
        "Date,b,a\n2/1/2024,1,1\n,,7\n",
        {"columns": ("b", "a")},
        ["column 'a', line 3", "without a date"],
    ),
    "thousands": ('Date,a\n2/1/2024,"1,234"\n', {}, ["column 'a', line 2", "'1,234'", "number"]),
    "letters": ("Date,a\n2/1/2024,1\n3/1/2024,12abc\n", {}, ["line 3", "'12abc' is not a number"]),
    "hexadecimal": ("Date,a\n2/1/2024,0x1F\n", {}, ["'0x1F' is not a number"]),
    "underscore": ("Date,a\n2/1/2024,1_000\n", {}, ["'1_000'"]),
    "truth": ("Date,a\n2/1/2024,True\n", {}, ["'True'"]),
    "inf": ("Date,a\n2/1/2024,1\n3/1/2024,-inf\n", {}, ["column 'a', line 3", "infinite"]),
    "Infinity": ("Date,a\n2/1/2024,Infinity\n", {}, ["line 2", "infinite"]),
    "overflow": ("Date,a\n2/1/2024,1e999\n", {}, ["line 2", "infinite"]),
    "date twice": (
        "Date,a\n2/1/2024,1\n3/1/2024,2\n02/01/2024,3\n",
        {},
        ["2024-01-02 is there twice", "line 2 and line 4"],
    ),
    "zero": (
        "Date,a\n3/1/2024,1\n2/1/2024,0\n",
        {"positive": True},
        ["column 'a', 2024-01-02", "0 is not above zero", "data.sources.drivers.columns.a"],
    ),
    "negative": ("Date,a\n2/1/2024,-4.5\n", {"positive": True}, ["-4.5 is not above zero"]),
    "blank column": (
        "Date,a,b\n2/1/2024,1,\n",
        {"columns": ("a", "b")},
        ["no value in column 'b'"],
    ),
}


@pytest.mark.parametrize("case", WRONG_SOURCE)
def test_a_mistake_in_a_source_is_one_line_that_says_where(tmp_path, case):
    content, changes, parts = WRONG_SOURCE[case]
    columns = changes.get("columns", ("a",))
    others = {key: value for key, value in changes.items() if key != "columns"}
    message = refusal(source, tmp_path, content, *columns, **others)
    assert message.startswith("f.csv: ")
    assert [part for part in parts if part not in message] == []


def test_a_missing_file_names_its_neighbour_and_a_missing_folder_itself(tmp_path):
    write(tmp_path, "x", "group.csv")
    settings = source_settings(file="groups.csv")
    message = refusal(read_source, "drivers", settings, tmp_path)
    assert "groups.csv: there is no such file; did you mean 'group.csv'?" in message
    message = refusal(read_source, "drivers", settings, tmp_path / "none")
    assert f"nor a folder {tmp_path / 'none'}; is data.root right?" in message


def test_a_folder_and_an_unreadable_file_are_refused(tmp_path):
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for file, part in (
        ("folder.csv", "is a folder"),
        ("loop.csv", "cannot be read"),
        ("pipe.csv", "is a device"),
    ):
        message = refusal(read_source, "drivers", source_settings(file=file), tmp_path)
        assert f"{file}: {part}" in message


@pytest.mark.parametrize(
    "content",
    [
        f"Date,{'x' * 3_000_000}\n2/1/2024,1\n",
        f"{'x' * 3_000_000}\n2/1/2024\n",
        f"Date,a\n2/1/2024,{'x' * 3_000_000}\n",
        f"Date,a\n{'9' * 3_000_000},1\n",
        f"Date,{','.join(f'c{number}' for number in range(5000))}\n",
        'Date,a\n2/1/2024,"x\n\ny"\n',
    ],
    ids=["header", "one header", "value", "date", "many headers", "lines in a cell"],
)
def test_a_flood_in_the_file_is_no_flood_in_the_message(tmp_path, content):
    refusal(source, tmp_path, content)


@pytest.mark.parametrize(
    ("days_apart", "num_dates", "frequency", "is_refused"),
    [
        (1, 8, "daily", False),
        (4, 8, "daily", False),
        (5, 8, "daily", True),
        (7, 8, "daily", True),
        (7, 7, "daily", False),
        (7, 8, "weekly", False),
        (5, 8, "weekly", False),
        (10, 8, "weekly", False),
        (4, 8, "weekly", True),
        (11, 8, "weekly", True),
        (1, 7, "weekly", False),
    ],
)
def test_dates_must_be_spaced_as_the_frequency_says(
    tmp_path, days_apart, num_dates, frequency, is_refused
):
    content = daily_rows(pd.date_range("2024-01-01", periods=num_dates, freq=f"{days_apart}D"))
    if not is_refused:
        assert len(source(tmp_path, content, frequency=frequency)) == num_dates
        return
    message = refusal(source, tmp_path, content, frequency=frequency)
    assert f"{days_apart} days apart" in message
    assert f"frequency: {frequency}" in message
    assert "'%d/%m/%Y'" in message


def test_only_dates_with_a_value_count_for_the_spacing(tmp_path):
    weekly = pd.date_range("2024-01-01", periods=8, freq="7D")
    blank = "".join(f"{day:%d/%m/%Y},\n" for day in pd.date_range("2024-03-01", periods=40))
    assert len(source(tmp_path, daily_rows(weekly) + blank, frequency="weekly")) == 48


# --- contracts ------------------------------------------------------------------------------------


def test_contracts_of_a_csv_are_sorted_by_month_and_date(tmp_path):
    frame = contracts(tmp_path, "Date,2025-02,2025-01,\n3/1/2024,5,6,\n2/1/2024,,3,\n")
    assert frame.columns.equals(pd.PeriodIndex(["2025-01", "2025-02"], freq="M"))
    assert list(frame.index) == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")]
    np.testing.assert_array_equal(frame.to_numpy(), [[3.0, np.nan], [6.0, 5.0]])


def pickled(folder, curves):
    pd.to_pickle(
        {
            pd.Period(month, "M"): pd.Series(prices, index=pd.DatetimeIndex(dates, name="Date"))
            for month, (prices, dates) in curves.items()
        },
        folder / "f.pkl",
    )
    layout = dict.fromkeys(("date_column", "date_format", "delimiter"))
    settings = ContractsSettings(
        file="f.pkl", format="pickle", unit="USD/t", futures=FUTURES, **layout
    )
    return read_contracts("price", settings, folder).prices


def test_contracts_of_a_pickle_are_put_side_by_side(tmp_path):
    curves = {
        "2025-02": ([5.0, 4.0], ["2024-01-03", "2024-01-02"]),
        "2025-01": ([1.0], ["2024-01-04"]),
    }
    frame = pickled(tmp_path, curves)
    assert frame.columns.equals(pd.PeriodIndex(["2025-01", "2025-02"], freq="M"))
    assert list(frame.index.day) == [2, 3, 4]
    assert frame.index.name == "date"
    assert frame.index.dtype == "datetime64[us]"
    np.testing.assert_array_equal(frame.to_numpy(), [[np.nan, 4.0], [np.nan, 5.0], [1.0, np.nan]])


def test_a_contract_may_cost_ten_times_what_it_did_and_what_another_does(tmp_path):
    whole = "Date,2025-01,2025-02\n2/1/2024,10,\n3/1/2024,,100\n4/1/2024,100,10\n"
    assert contracts(tmp_path, whole).shape == (3, 2)


def test_a_contract_whose_decimal_points_are_all_lost_is_refused(tmp_path):
    message = refusal(contracts, tmp_path, "Date,2025-01,2025-02\n2/1/2024,101.5,10200\n")
    assert "2025-02, 2024-01-02: the price is 10200 and another contract's 101.5" in message


def test_a_contract_that_never_traded_stays_without_a_price(tmp_path):
    frame = contracts(tmp_path, "Date,2025-01,2025-02\n2/1/2024,3,\n")
    assert frame.notna().sum().tolist() == [1, 0]


WRONG_CURVES = {
    "zero": (([1.0, 0.0], ["2024-01-02", "2024-01-03"]), "2024-01-03: 0 is not above zero"),
    "infinite": (([np.inf], ["2024-01-02"]), "has an infinite price"),
    "time of day": (([1.0], ["2024-01-02 10:00"]), "has a time of day"),
    "twice": (([1.0, 2.0], ["2024-01-02", "2024-01-02"]), "is there twice"),
    "no date": (([1.0, 2.0], ["2024-01-02", None]), "a price without a date"),
    "no price": (([np.nan], ["2024-01-02"]), "no contract of price has a price"),
    "a decimal point lost": (
        ([101.5, 1020.0], ["2024-01-02", "2024-01-03"]),
        "contract 2025-01, 2024-01-03: the price is 1020 and the one before 101.5; is a decimal",
    ),
    "a decimal point gained": (
        ([101.5, 10.1], ["2024-01-02", "2024-01-03"]),
        "the price is 10.1 and the one before 101.5",
    ),
    "beyond all numbers": (([1e300, 1e-300], ["2024-01-02", "2024-01-03"]), "is 1e-300 and the"),
    "after its month": (
        ([1.0, 2.0], ["2025-01-31", "2025-02-03"]),
        "contract 2025-01, 2025-02-03: 2 is a price from after the contract's own month",
    ),
}


@pytest.mark.parametrize("case", WRONG_CURVES)
def test_a_wrong_pickled_curve_is_one_line(tmp_path, case):
    curve, part = WRONG_CURVES[case]
    message = refusal(pickled, tmp_path, {"2025-01": curve})
    assert message.startswith("f.pkl: ")
    assert part in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (
            "Date,2025-01,25-02\n2/1/2024,3,4\n",
            "not a contract month written as '%Y-%m': '25-02'",
        ),
        ("Date,Volume\n2/1/2024,4\n", "not a contract month written as '%Y-%m': 'Volume'"),
        ("Date,2025-13\n2/1/2024,3\n", "'2025-13'"),
        ("Date,2025-01,2025-01\n2/1/2024,3,4\n", "'2025-01' is there twice"),
        ("Date,2025-01\n2/1/2024,-3\n", "contract 2025-01, 2024-01-02: -3 is not above zero"),
        (
            "Date,2025-01,2025-02\n31/1/2025,1,2\n1/2/2025,1,2\n",
            "contract 2025-01, 2025-02-01: 1 is a price from after the contract's own month",
        ),
        ("Date,2025-01\n2/1/2024,\n", "no contract of price has a price"),
        ("Day,2025-01\n2/1/2024,3\n", "no column 'Date'"),
    ],
    ids=[
        *("another layout", "no month", "month 13", "twice", "negative", "expired", "blank"),
        "no date column",
    ],
)
def test_a_mistake_in_a_table_of_contracts_is_one_line(tmp_path, content, part):
    assert part in refusal(contracts, tmp_path, content)


def test_what_is_no_contract_may_stand_in_a_table_of_contracts(tmp_path):
    whole = "Date,symbol,2025-01,note,note,\n2/1/2024,FEF,3,roll,x,7\n3/1/2024,FEF,4,,,\n"
    frame = contracts(tmp_path, whole)
    assert [str(month) for month in frame.columns] == ["2025-01"]
    assert frame["2025-01"].tolist() == [3.0, 4.0]


# --- the original files ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(pytestconfig):
    path = pytestconfig.rootpath / "conf" / "data" / "original.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["data"]


@pytest.mark.parametrize(
    ("name", "shape", "first", "last", "num_values"),
    [
        ("group", (1747, 6), "2019-01-02", "2025-08-13", 8462),
        ("index", (1933, 2), "2018-01-02", "2025-08-12", 3814),
        ("inventory", (406, 1), "2017-06-19", "2025-08-12", 406),
        ("shipment", (314, 1), "2019-08-11", "2025-08-10", 314),
    ],
)
def test_the_original_drivers_are_read(real_data, original, name, shape, first, last, num_values):
    settings = SourceSettings(**original["sources"][name])
    frame = read_source(name, settings, real_data)
    assert frame.shape == shape
    assert list(frame.columns) == list(settings.columns)
    assert [str(day.date()) for day in frame.index[[0, -1]]] == [first, last]
    assert frame.notna().to_numpy().sum() == num_values
    assert source_path(settings, real_data).is_file()


@pytest.mark.parametrize(
    ("leg", "shape", "last"),
    [("price_65_m1", (1740, 69), "2025-09"), ("price_62_m1", (2241, 81), "2026-09")],
)
def test_the_original_contracts_are_read(real_data, original, leg, shape, last):
    settings = ContractsSettings(**original["contracts"][leg], futures=FUTURES)
    frame = read_contracts(leg, settings, real_data).prices
    assert frame.shape == shape
    assert str(frame.columns[-1]) == last
    trusted = pd.DataFrame(pd.read_pickle(real_data / settings.file))
    np.testing.assert_array_equal(frame.to_numpy(), trusted.to_numpy())
