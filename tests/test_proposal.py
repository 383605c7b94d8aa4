"""The settings that `inspect` proposes load, and read the file as a person would have said."""

import datetime

import numpy as np
import pandas as pd
import pytest
import yaml

from ironore_lightning.data.raw_files import read_cells, read_source, read_table
from ironore_lightning.inspect.__main__ import main
from ironore_lightning.inspect.guesses import guess
from ironore_lightning.inspect.proposal import contract_format, propose
from ironore_lightning.reading.cells import parse_numbers
from ironore_lightning.reading.dates import parse_dates
from ironore_lightning.settings.data import ContractsSettings, SourceSettings, TableSettings

DAYS = [day.date() for day in pd.bdate_range("2024-01-08", periods=12)]
VALUES = [1001.5 + number for number in range(12)]
ROLL = {"month_offset": 1, "adjustment": "ratio", "bridge_days": 0}


SECONDS = [int(pd.Timestamp(day).timestamp()) for day in DAYS]


def lines_of(days=DAYS, values=VALUES, *, form="%Y-%m-%d", mark=",", cell="{:.2f}"):
    days = [day.strftime(form) if isinstance(day, datetime.date) else str(day) for day in days]
    pairs = zip(days, values, strict=True)
    return "".join(f"{day}{mark}{cell.format(value)}\n" for day, value in pairs)


def proposed(path):
    """Return the one entry of a proposal, and its section."""
    data = yaml.safe_load("\n".join(propose(guess(path))))["data"]
    ((section, entries),) = data.items()
    (entry,) = entries.values()
    return section, entry


FILES = {
    "plain": ("date,price\n" + lines_of(), "utf-8", {"date_format": "%Y-%m-%d"}),
    "gbk": ("日期,收盘价\n" + lines_of(), "gbk", {"encoding": "gbk", "date_column": "日期"}),
    "gbk that decodes to Hangul": (
        "日期,45港库存\n" + lines_of(),
        *("gbk", {"encoding": "gbk", "date_column": "日期"}),
    ),
    "cp949": ("날짜,종가\n" + lines_of(), "cp949", {"encoding": "cp949", "date_column": "날짜"}),
    "utf-16": ("date\tprice\n" + lines_of(mark="\t"), "utf-16", {"encoding": "utf-16"}),
    "latin-1": ("été,prix\n" + lines_of(), "latin-1", {"encoding": "latin-1"}),
    "decimal commas": (
        "date;price\n" + lines_of(form="%d.%m.%Y", mark=";").replace(".50\n", ",50\n"),
        "utf-8",
        {"delimiter": ";", "date_format": "%d.%m.%Y", "decimal": ","},
    ),
    "thousands": (
        "date,price\n" + lines_of(cell='"{:,.2f}"'),
        "utf-8",
        {"thousands": ","},
    ),
    "per cent": ("date,price\n" + lines_of(cell="{}%"), "utf-8", {"symbols": ["%"]}),
    "preamble": ("The desk\nunit:,CNY/t\n\ndate,price\n" + lines_of(), "utf-8", {"skiprows": 3}),
    "units": ("date,price\n,CNY/t\n" + lines_of(), "utf-8", {"skiprows": [1]}),
    "both": (
        "The desk,\ndate,price\n,CNY/t\n" + lines_of() + "source: some desk,\n",
        "utf-8",
        {"skiprows": [0, 2], "skipfooter": 1},
    ),
    "unnamed index": (",price\n" + lines_of(), "utf-8", {"date_column": None}),
    "times": (
        "date,price\n" + lines_of(form="%Y-%m-%d 15:00:00"),
        "utf-8",
        {"date_format": "%Y-%m-%d %H:%M:%S", "day_ends": "23:59"},
    ),
    "offsets": (
        "date,price\n" + lines_of(form="%Y-%m-%dT00:00:00+08:00"),
        "utf-8",
        {"date_format": "%Y-%m-%dT%H:%M:%S%z", "timezone": "Asia/Shanghai"},
    ),
    "seconds": (
        "date,price\n" + lines_of(SECONDS),
        "utf-8",
        {"date_format": "unix_s"},
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_the_proposed_settings_read_the_file(tmp_path, case):
    text, encoding, expected = FILES[case]
    (tmp_path / "f.csv").write_bytes(text.encode(encoding))
    section, entry = proposed(tmp_path / "f.csv")
    assert section == "sources"
    assert {key: entry[key] for key in expected} == expected
    settings = SourceSettings(**entry)
    frame = read_source("f", settings, tmp_path)
    assert [day.date() for day in frame.index] == DAYS
    np.testing.assert_allclose(frame.iloc[:, 0], VALUES, rtol=0, atol=1e-9)
    table = {key: entry[key] for key in TableSettings.model_fields if key in entry}
    assert read_table(TableSettings(**table), tmp_path)[0].equals(frame)


@pytest.mark.parametrize("suffix", ["xlsx", "parquet", "pkl"])
def test_the_proposed_settings_read_a_binary_file(tmp_path, suffix):
    path = tmp_path / f"f.{suffix}"
    frame = pd.DataFrame({"price": VALUES}, index=pd.DatetimeIndex(DAYS))
    write = {"xlsx": "to_excel", "parquet": "to_parquet", "pkl": "to_pickle"}[suffix]
    getattr(frame, write)(path)
    section, entry = proposed(path)
    assert (section, entry["date_column"], entry["date_format"]) == ("sources", None, None)
    assert read_source("f", SourceSettings(**entry), tmp_path)["price"].tolist() == VALUES


def test_every_format_of_the_dates_that_fits_is_said(tmp_path):
    days = [datetime.date(2024, month, 3) for month in range(1, 13)]
    (tmp_path / "f.csv").write_text("date,price\n" + lines_of(days, form="%d/%m/%Y"))
    lines = propose(guess(tmp_path / "f.csv"))
    (line,) = [line.strip() for line in lines if "date_format" in line]
    assert line == "date_format: '%d/%m/%Y'  # a guess: confirm; all rows also fit '%m/%d/%Y'"
    days = [datetime.date(2024, month, 13) for month in range(1, 13)]
    (tmp_path / "f.csv").write_text("date,price\n" + lines_of(days, form="%d/%m/%Y"))
    (line,) = [line for line in propose(guess(tmp_path / "f.csv")) if "date_format" in line]
    assert "'%m/%d/%Y'" not in line


def test_marks_of_blanks_are_proposed(tmp_path):
    rows = lines_of().replace("1003.50", "--").replace("1005.50", "#VALUE!")
    (tmp_path / "f.csv").write_text("date,price\n" + rows)
    _, entry = proposed(tmp_path / "f.csv")
    assert entry["na_values"] == ["--", "#VALUE!"]
    assert read_source("f", SourceSettings(**entry), tmp_path)["price"].isna().sum() == 2


@pytest.mark.parametrize(
    ("days_apart", "frequency"), [(1, "daily"), (7, "weekly"), (30, "monthly"), (91, "quarterly")]
)
def test_the_frequency_is_that_of_the_dates(tmp_path, days_apart, frequency):
    days = [DAYS[0] + datetime.timedelta(days_apart * number) for number in range(12)]
    (tmp_path / "f.csv").write_text("date,price\n" + lines_of(days))
    assert proposed(tmp_path / "f.csv")[1]["frequency"] == frequency


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["2024-01", "2024-02", "2024-12"], "%Y-%m"),
        (["2024-1", "2024-2", "2024-12"], "%Y-%m"),
        (["202401", "202402", "202412"], "%Y%m"),
        (["Jan-24", "Feb-24", "Dec-24"], "%b-%y"),
        (["I2401", "I2405", "I2409"], "I%y%m"),
        (["CLF24", "CLG24", "CLZ25"], "CL{code}%y"),
        (["HGH24", "HGK24", "HGN24"], "HG{code}%y"),
        (["M0", "M1", "M2"], None),
        (["2024-01", "2024-02", "price1"], None),
        (["2024-01", "2024-02"], None),
    ],
)
def test_the_format_of_contracts_is_found(names, written):
    assert contract_format(names) == written


def test_a_wide_table_is_proposed_as_contracts(tmp_path):
    text = "date,2024-03,2024-04,2024-05\n" + lines_of(cell="{0:.1f},{0:.1f},{0:.1f}")
    (tmp_path / "f.csv").write_text(text)
    section, entry = proposed(tmp_path / "f.csv")
    assert (section, entry["layout"], entry["contract_format"]) == ("contracts", "wide", "%Y-%m")
    entry["futures"] = ROLL | entry.get("futures", {})
    table = read_cells(ContractsSettings(**entry), tmp_path)
    assert [day.date() for day in parse_dates(table)] == DAYS
    assert parse_numbers(table, "2024-04").tolist() == VALUES
    (tmp_path / "f.csv").write_text(text.replace("1005.5", "-5.5"))
    _, entry = proposed(tmp_path / "f.csv")
    assert entry["positive"] is False
    assert ContractsSettings(
        **entry | {"futures": ROLL | entry.get("futures", {})}
    ).futures.adjustment == ("difference")


@pytest.mark.parametrize(
    ("contracts", "months"),
    [
        (("I2401", "I2405", "I2409"), None),
        (("I2401", "I2405", "I2409", "I2501"), [1, 5, 9]),
    ],
)
def test_months_without_a_contract_are_proposed_from_a_year_of_them_on(tmp_path, contracts, months):
    cells = ",".join(["{0:.1f}"] * len(contracts))
    (tmp_path / "f.csv").write_text(f"date,{','.join(contracts)}\n" + lines_of(cell=cells))
    assert proposed(tmp_path / "f.csv")[1].get("futures", {}).get("listed_months") == months


def test_other_layouts_of_contracts_are_proposed(tmp_path):
    rows = lines_of(cell="{0:.1f},{0:.1f},{0:.1f}")
    (tmp_path / "f.csv").write_text("date,01,02,12\n" + rows)
    assert proposed(tmp_path / "f.csv")[1]["layout"] == "month_numbers"
    (tmp_path / "f.csv").write_text("date,M1,M2,M3\n" + rows)
    assert proposed(tmp_path / "f.csv")[0] == "sources"
    assert "layout: ranks needs the days" in "\n".join(propose(guess(tmp_path / "f.csv")))
    long = "".join(
        f"{day},I{month},{value},1000,5000\n"
        for day, value in zip(DAYS, VALUES, strict=True)
        for month in (2405, 2409, 2501)
    )
    (tmp_path / "f.csv").write_text("date,symbol,settle,volume,open_interest\n" + long)
    section, entry = proposed(tmp_path / "f.csv")
    assert section == "contracts"
    settings = ContractsSettings(**entry | {"futures": ROLL | entry.get("futures", {})})
    assert (settings.layout, settings.contract_format) == ("long", "I%y%m")
    columns = ("symbol", "settle", "volume", "open_interest")
    assert columns == (
        settings.contract_column,
        settings.price_column,
        settings.volume_column,
        settings.open_interest_column,
    )


def test_a_sheet_of_several_is_described_by_its_name(tmp_path, capsys):
    with pd.ExcelWriter(tmp_path / "f.xlsx") as book:
        for name, value in (("old", 1.0), ("new", 2.5)):
            frame = pd.DataFrame({"date": pd.DatetimeIndex(DAYS), "price": value})
            frame.to_excel(book, sheet_name=name, index=False)
    assert main([str(tmp_path / "f.xlsx")]) == 2
    assert "set sheet_name" in capsys.readouterr().err
    assert main([str(tmp_path / "f.xlsx"), "--sheet-name", "new"]) == 0
    said = capsys.readouterr().out
    assert "2.5 .. 2.5" in said
    assert "sheet_name: new  # a guess: confirm" in said


def test_the_command_marks_each_guess_as_one_to_confirm(tmp_path, capsys):
    (tmp_path / "f.csv").write_text("date,price\n" + lines_of())
    assert main([str(tmp_path / "f.csv")]) == 0
    said = capsys.readouterr().out.partition("# Settings that may read the file")[2]
    guessed = ("date_column", "date_format", "delimiter", "frequency", "publication_lag_days")
    for key in (*guessed, "columns"):
        (line,) = [line for line in said.splitlines() if line.strip().startswith(f"{key}:")]
        assert "# a guess: confirm" in line
