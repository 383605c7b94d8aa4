"""The tables behind a run: by hand on a small market, and fed back as a prepared table."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose as compose_settings
from hydra import initialize_config_dir

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.experiment import run_experiment
from ironore_lightning.prepare import write_tables

ROOT = Path(__file__).parents[1]
NAN = np.nan
FILES = ["consolidated_features.csv", "continuous_futures.csv", "data_report.json"]
CURVE = """date,2024-02,2024-03
2024-01-30,100,
2024-01-31,104,130
2024-02-01,104.5,132.6
2024-02-02,105,120
2024-02-05,,126
"""
# Out on 26 January, never, and 2 February.
INVENTORY = "Date,IOCJ Inventory\n23/1/2024,1500\n25/1/2024,\n30/1/2024,1600\n"
SMALL = [
    "data=original",
    "~data.contracts.price_62_m1",
    "~data.sources.group",
    "~data.sources.index",
    "~data.sources.shipment",
    "data.contracts.price_65_m1.file=curve.csv",
    "data.contracts.price_65_m1.format=csv",
    "data.contracts.price_65_m1.date_column=date",
    "data.contracts.price_65_m1.date_format='%Y-%m-%d'",
    "data.contracts.price_65_m1.delimiter=','",
    "data.panel.start=null",
    "features.names=[price_65_m1,IOCJ Inventory]",
]


def write_small(folder, curve=CURVE):
    (folder / "curve.csv").write_text(curve)
    (folder / "IOCJ Inventory.csv").write_text(INVENTORY)
    return [*SMALL, f"data.root={folder}"]


def read(folder, file):
    return pd.read_csv(folder / file, index_col="date", parse_dates=True)


def table_of(config):
    """Features and target as a run would build them."""
    raw = read_raw(config.data)
    panel = build_panel(raw, config.data, config.target)
    features = build_features(panel, config.features.names)
    return features, build_target(panel, config.target).loc[features.index]


# --- a small market by hand -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(compose, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_tables(compose(*write_small(folder)), folder / "out")
    return folder / "out"


def test_three_files_are_written_and_nothing_else(small):
    assert sorted(path.name for path in small.iterdir()) == FILES


def test_continuous_futures_by_hand(small):
    assert (small / "continuous_futures.csv").read_text() == (
        "date,price_65_m1,raw_price_65_m1,contract_month_65_m1\n"
        # Rolled on 31 January at 130 / 104 = 1.25.
        "2024-01-30,125.0,100.0,2024-02\n"
        "2024-01-31,130.0,104.0,2024-02\n"
        "2024-02-01,132.6,132.6,2024-03\n"
        "2024-02-02,120.0,120.0,2024-03\n"
        "2024-02-05,126.0,126.0,2024-03\n"
    )


def test_consolidated_features_by_hand(small):
    table = read(small, "consolidated_features.csv")
    assert list(table) == ["price_65_m1", "IOCJ Inventory", "Y"]
    assert len(table) == 5
    np.testing.assert_allclose(table["price_65_m1"], [125, 130, 132.6, 120, 126], rtol=1e-15)
    np.testing.assert_array_equal(table["IOCJ Inventory"], [1500, 1500, 1500, 1600, 1600])
    expected = 100 * np.log([1.04, 1.02, 120 / 132.6, 1.05, NAN])
    np.testing.assert_allclose(table["Y"], expected, rtol=1e-12)
    # The last row has no target yet: an empty cell.
    last = (small / "consolidated_features.csv").read_text().splitlines()[-1]
    assert last == "2024-02-05,126.0,1600.0,"


def test_the_report_by_hand(small):
    assert json.loads((small / "data_report.json").read_text()) == {
        "rows": 5,
        "rows_with_target": 4,
        "first_date": "2024-01-30",
        "last_date": "2024-02-05",
        "rhythm": "daily rows, 252 a year",
        "longest_return_days": 3,
        "bridged_days": {"price_65_m1": 0},
        "contract_changes": {},
        "remarks": [],
        "suspicious_returns": {},
        "longest_bridge_days": {"price_65_m1": 0},
        "columns": [
            {
                "column": "price_65_m1",
                "first_value": "2024-01-30",
                "missing": 0,
                "filled": 0,
                "longest_staleness": 0,
                "minimum": 120.0,
                "maximum": 132.6,
            },
            {
                "column": "IOCJ Inventory",
                "first_value": "2024-01-30",
                "missing": 0,
                "filled": 3,
                "longest_staleness": 2,
                "minimum": 1500.0,
                "maximum": 1600.0,
            },
        ],
        "rolls": {
            "price_65_m1": [
                {
                    "roll_day": "2024-01-31",
                    "from_month": "2024-02",
                    "to_month": "2024-03",
                    "ratio": 1.25,
                    "difference": 26.0,
                }
            ]
        },
    }


def test_the_report_is_told_in_lines(compose, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="ironore_lightning.prepare"):
        write_tables(compose(*write_small(tmp_path)), tmp_path / "out")
    lines = caplog.messages
    assert lines[0] == ("5 rows, 4 of them with a target, from 2024-01-30 to 2024-02-05")
    assert len(lines) == 3
    assert len(lines[1].splitlines()) == 3  # a header and two columns
    assert lines[-1] == "price_65_m1: 1 rolls, ratios 1.2500 to 1.2500"


EARLY = "set ++data.contracts.price_65_m1.futures.month_offset=2, whose contract always has a price"


@pytest.fixture(scope="module")
def early_expiry(tmp_path_factory):
    """A market whose contract of month m stops trading on the 22nd of month m-1."""
    days = pd.bdate_range("2024-01-01", "2024-05-31")
    months = pd.period_range("2024-02", "2024-08", freq="M")
    last = (months - 1).start_time + pd.Timedelta(days=21)
    closes = pd.DataFrame(100.0, index=days.rename("date"), columns=months.astype(str))
    folder = tmp_path_factory.mktemp("early")
    closes = closes.where(days.to_numpy()[:, None] <= last.to_numpy())
    alone = ["~data.sources.inventory", "features.names=[price_65_m1]"]
    return [*write_small(folder, closes.to_csv()), *alone]


def test_bridged_days_are_counted_and_the_month_that_needs_none_is_named(
    compose, early_expiry, tmp_path, caplog
):
    config = compose(*early_expiry, "data.futures.bridge_days=7")
    with caplog.at_level(logging.INFO, logger="ironore_lightning.prepare"):
        write_tables(config, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    # From the 23rd on: 7 weekdays of January, 5 each of February and March, 6 of April. Those of
    # May come after the last row.
    assert report["bridged_days"] == {"price_65_m1": 7 + 5 + 5 + 6}
    # From Monday 22 January to Thursday 1 February.
    assert report["longest_bridge_days"] == {"price_65_m1": 10}
    assert report["longest_return_days"] == 10
    assert caplog.messages[-1] == (
        "price_65_m1: 23 trading days without a price of the held contract are bridged; "
        f"returns span up to 10 days; {EARLY}"
    )
    assert caplog.records[-1].levelname == "WARNING"


@pytest.mark.usefixtures("one_quick_figure")
def test_a_run_says_that_days_are_bridged(compose, early_expiry, tmp_path, caplog):
    quick = ("model=tiny", "training.max_epochs=1", "window.sequence_length=5")
    config = compose(*early_expiry, *quick, "data.futures.bridge_days=7")
    with caplog.at_level(logging.INFO, logger="ironore_lightning.experiment"):
        run_experiment(config, tmp_path)
    said = [record.message for record in caplog.records if "bridged" in record.message]
    assert len(said) == 1
    assert said[0].startswith("price_65_m1: 23 trading days without a price")


def test_the_month_that_is_named_needs_no_bridge(compose, early_expiry, tmp_path):
    with pytest.raises(DataError, match=rf"complete the file or {re.escape(EARLY)}$"):
        write_tables(compose(*early_expiry), tmp_path / "never")
    config = compose(*early_expiry, EARLY.split()[1].rstrip(","))
    write_tables(config, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    assert (report["rows"], report["longest_return_days"]) == (110, 3)
    assert report["bridged_days"] == {"price_65_m1": 0}


def test_a_market_of_one_contract_has_no_roll(compose, tmp_path, caplog):
    curve = "date,2024-02\n2024-01-29,100\n2024-01-30,101\n2024-01-31,99\n"
    with caplog.at_level(logging.INFO, logger="ironore_lightning.prepare"):
        write_tables(compose(*write_small(tmp_path, curve)), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    assert report["rolls"] == {"price_65_m1": []}
    assert caplog.messages[-1] == "price_65_m1: 0 rolls"


def test_the_report_counts_only_rows_from_the_start(compose, tmp_path):
    overrides = [*write_small(tmp_path), "data.panel.start=2024-02-02"]
    write_tables(compose(*overrides), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    assert (report["rows"], report["rows_with_target"]) == (2, 1)
    leg, driver = report["columns"]
    assert (leg["first_value"], leg["minimum"], leg["maximum"]) == ("2024-01-30", 120.0, 126.0)
    assert (driver["first_value"], driver["filled"], driver["longest_staleness"]) == (
        "2024-01-30", 1, 1,
    )  # fmt: skip


def test_transformed_features_keep_their_labels(compose, tmp_path):
    features = "features.names=[{name: price_65_m1, transform: log_return},IOCJ Inventory]"
    write_tables(compose(*write_small(tmp_path), features), tmp_path / "out")
    table = read(tmp_path / "out", "consolidated_features.csv")
    assert list(table) == ["price_65_m1 log_return", "IOCJ Inventory", "Y"]
    assert len(table) == 4
    # Yesterday's target is today's return.
    np.testing.assert_array_equal(table["Y"].iloc[:-1], table["price_65_m1 log_return"].iloc[1:])


# --- the sample market ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(compose, tmp_path_factory):
    """Folder of the tables, and the configuration they were made with."""
    folder = tmp_path_factory.mktemp("sample")
    config = compose("data=sample")
    write_tables(config, folder)
    return folder, config


def test_the_sample_has_the_original_columns_and_a_target_but_on_the_last_row(sample):
    folder, config = sample
    table = read(folder, "consolidated_features.csv")
    assert list(table) == [*(feature.label for feature in config.features.names), "Y"]
    assert table.shape[1] == 13
    assert 850 < len(table) < 880
    assert (table.index[0], table.index[-1]) == (
        pd.Timestamp("2022-03-30"),
        pd.Timestamp("2025-08-13"),
    )
    assert table.drop(columns="Y").notna().to_numpy().all()
    assert table["Y"].isna().tolist() == [False] * (len(table) - 1) + [True]
    report = json.loads((folder / "data_report.json").read_text())
    assert (report["rows"], report["rows_with_target"]) == (len(table), len(table) - 1)
    assert [column["column"] for column in report["columns"]] == list(config.data.columns)
    assert [len(rolls) for rolls in report["rolls"].values()] == [68, 68]


def test_first_and_last_row_of_the_sample_come_from_its_raw_files(sample):
    folder, config = sample
    raw = read_raw(config.data)
    table, futures = (
        read(folder, "consolidated_features.csv"),
        read(folder, "continuous_futures.csv"),
    )
    assert list(futures) == [
        *("price_65_m1", "raw_price_65_m1", "contract_month_65_m1"),
        *("price_62_m1", "raw_price_62_m1", "contract_month_62_m1"),
    ]
    for leg in ("65", "62"):
        closes = raw.contracts[f"price_{leg}_m1"]
        for day, contract in (("2022-03-30", "2022-04"), ("2025-08-13", "2025-09")):
            assert futures.loc[day, f"contract_month_{leg}_m1"] == contract
            price = closes.loc[day, pd.Period(contract, "M")]
            assert futures.loc[day, f"raw_price_{leg}_m1"] == price
        assert futures[f"price_{leg}_m1"].iloc[-1] == price
        assert table[f"price_{leg}_m1"].iloc[-1] == price
    lags = {"group": 0, "index": 0, "inventory": 3, "shipment": 2}
    checked = 0
    for name, frame in raw.sources.items():
        for day in (table.index[0], table.index[-1]):
            published = frame.loc[: day - pd.Timedelta(days=lags[name])]
            for column in frame:
                assert table.loc[day, column] == published[column].dropna().iloc[-1]
                checked += 1
    assert checked == 20


def test_the_sample_market_has_nothing_to_warn_of(sample):
    assert json.loads((sample[0] / "data_report.json").read_text())["remarks"] == []


def test_y_is_the_next_return_of_the_price_beside_it(sample):
    table = read(sample[0], "consolidated_features.csv")
    expected = 100 * np.log(table["price_65_m1"].shift(-1) / table["price_65_m1"])
    assert expected.std() > 1
    np.testing.assert_allclose(table["Y"], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("overrides", "tolerance"),
    [(["target.series=price_65_m1"], 1e-11), (["target.series=Y", "target.kind=given"], 0)],
    ids=["price", "given"],
)
def test_the_table_fed_back_gives_the_same_target_and_rows(sample, compose, overrides, tolerance):
    folder, config = sample
    features, target = table_of(config)
    fed = compose(
        "data=table", f"data.root={folder}", "data.table.file=consolidated_features.csv", *overrides
    )
    again, outcome = table_of(fed)
    assert list(again) == list(features)
    assert list(again.index) == list(features.index)
    assert outcome["date"].tolist()[:-1] == target["date"].tolist()[:-1]
    assert outcome[["date", "value"]].iloc[-1].isna().all()
    np.testing.assert_allclose(outcome["value"], target["value"], rtol=0, atol=tolerance)
    legs = ["price_65_m1", "price_62_m1"]
    pd.testing.assert_frame_equal(
        again.drop(columns=legs),
        features.drop(columns=legs),
        check_exact=True,
        check_index_type=False,
    )
    # The file is anchored at the newest contract, a run at the oldest.
    anchors = again[legs] / features[legs]
    assert (abs(anchors.iloc[0] - 1) > 0.01).all()
    np.testing.assert_allclose(anchors, anchors.iloc[[0] * len(anchors)], rtol=1e-12)


def test_a_prepared_table_has_no_continuous_futures_of_its_own(sample, compose, tmp_path):
    folder, _ = sample
    fed = compose("data=table", f"data.root={folder}", "data.table.file=consolidated_features.csv")
    write_tables(fed, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILES[0], FILES[2]]
    once, twice = (read(root, FILES[0]) for root in (folder, tmp_path))
    assert list(twice) == list(once)
    np.testing.assert_allclose(twice, once, rtol=1e-9)


@pytest.mark.parametrize("name", ["Y", "date"])
def test_a_driver_that_would_take_the_place_of_another_column_is_refused(name, compose, tmp_path):
    rows = [f"2024-01-{day:02d},{day},{100 + day}" for day in range(8, 13)]
    (tmp_path / "table.csv").write_text("\n".join([f"day,{name},price", *rows]))
    config = compose(
        "data=table",
        f"data.root={tmp_path}",
        "data.table.file=table.csv",
        "data.table.date_column=day",
        f"features.names=[{name},price]",
        "target.series=price",
        "data.panel.start=null",
    )
    with pytest.raises(ConfigError, match=rf"two columns of the tables would be called {name}; "):
        write_tables(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- the command ----------------------------------------------------------------------------------


def test_the_command_writes_the_tables_into_its_folder(run_command, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    run = run_command(
        "-m", "ironore_lightning.prepare", f"output_dir={tmp_path / 'out'}", *write_small(raw)
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("5 rows, 4 of them with a target")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*FILES, "prepare.log"]
    assert not list(raw.glob("*.log"))


def test_without_a_folder_the_tables_go_below_outputs():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        folder = Path(compose_settings("prepare").output_dir)
    assert folder.parent == Path("outputs") / "ironore"
    assert folder.name.startswith("prepared_")
