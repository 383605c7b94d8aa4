import json
import pickle
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose as compose_settings
from hydra import initialize_config_dir

from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.experiment import run_experiment
from ironore_lightning.sample_market.simulation import (
    SimulatedMarket,
    simulate_market,
    write_market,
)
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.data import SimulationSettings

ROOT = Path(__file__).parents[1]
SEEDS = range(4)
CHINESE = [
    "Ukraine Concentrate fines",
    "IOCJ Import margin",
    "rebar steel margin",
    "indian pellet premium",
    "(IOCJ+SSF)/2-PBF",
]


@cache
def market(seed: int = 0, signal: float = 0.0) -> SimulatedMarket:
    return simulate_market(SimulationSettings(seed=seed, signal=signal))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_market(market(), folder)
    return folder


def read_contracts(path):
    return pickle.loads(path.read_bytes())


def read_lines(path):
    text = path.read_bytes().decode("utf-8")
    assert text.startswith("\ufeff")
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    return text.removeprefix("\ufeff").removesuffix("\r\n").split("\r\n")


def ahead(closes, months):
    """Values of the contract `months` ahead of each day, NaN where there is none."""
    column = closes.columns.get_indexer(closes.index.to_period("M") + months)
    values = closes.to_numpy()[np.arange(len(closes)), column]
    return pd.Series(np.where(column >= 0, values, np.nan), index=closes.index)


def returns_ahead(closes, months):
    """Per cent log return from day t to the next, of the contract `months` ahead of day t."""
    traded = closes.dropna(how="all")
    return ahead(100 * np.log(traded).diff().shift(-1), months).dropna()


def driver_changes(sample, days):
    """Changes from trading day to trading day as a reader of the file sees them."""
    group = sample.group[["lump premium", "rebar steel margin"]]
    return group.ffill().reindex(days, method="ffill").diff().fillna(0.0)


def explained(actual, *columns):
    """R2 of a least-squares fit with an intercept."""
    inputs = np.column_stack([np.ones(len(actual)), *columns])
    fitted = inputs @ np.linalg.lstsq(inputs, actual, rcond=None)[0]
    return 1 - np.square(actual - fitted).sum() / np.square(actual - actual.mean()).sum()


# --- the files ------------------------------------------------------------------------------------


def test_exactly_the_files_of_the_configuration_are_written(folder):
    data = yaml.safe_load((ROOT / "conf/data/original.yaml").read_text(encoding="utf-8"))["data"]
    entries = [*data["contracts"].values(), *data["sources"].values()]
    assert len(entries) == 6
    assert {entry["file"] for entry in entries} == {path.name for path in folder.iterdir()}


def test_the_same_settings_write_the_same_bytes(folder, tmp_path):
    write_market(
        simulate_market(SimulationSettings(seed=0, signal=0.0)), tmp_path / "new" / "folder"
    )
    again = sorted((tmp_path / "new" / "folder").iterdir())
    assert len(again) == 6
    for path in again:
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_another_seed_is_another_market():
    first, second = market(0).closes_65, market(1).closes_65
    assert first.shape == second.shape
    assert (first.iloc[-1] != second.iloc[-1]).sum() >= 60


@pytest.mark.parametrize(
    ("file", "header", "num_contracts", "last"),
    [
        ("Raw_M65F_DSP.pkl", "Settlement", 69, "2025-09"),
        ("Raw_FEF_Close.pkl", "Close", 81, "2026-09"),
    ],
    ids=["65", "62"],
)
def test_a_price_file_is_a_dict_of_monthly_series(folder, file, header, num_contracts, last):
    contracts = read_contracts(folder / file)
    assert list(contracts) == list(pd.period_range("2020-01", last, freq="M"))
    assert len(contracts) == num_contracts
    for series in contracts.values():
        assert (series.name, series.index.name, series.dtype) == (header, "Date", np.float64)
        assert series.index.is_monotonic_increasing
        assert series.index.is_unique
        np.testing.assert_array_equal(series, series.round(2))


@pytest.mark.parametrize(
    ("file", "contract", "first", "last"),
    [
        ("Raw_M65F_DSP.pkl", "2020-01", "2018-12-03", "2020-01-31"),
        ("Raw_M65F_DSP.pkl", "2022-07", "2020-01-02", "2022-07-29"),
        ("Raw_M65F_DSP.pkl", "2024-03", "2022-01-03", "2024-03-28"),
        ("Raw_M65F_DSP.pkl", "2025-09", "2023-01-03", "2025-08-13"),
        ("Raw_FEF_Close.pkl", "2020-01", "2017-01-03", "2020-01-31"),
        ("Raw_FEF_Close.pkl", "2024-03", "2021-01-04", "2024-03-28"),
        ("Raw_FEF_Close.pkl", "2026-09", "2023-01-03", "2025-08-13"),
    ],
)
def test_a_contract_is_listed_until_the_last_trading_day_of_its_month(
    folder, file, contract, first, last
):
    # 29 March 2024 was Good Friday; 1 January 2022 a Saturday, 1 January 2023 a Sunday.
    days = read_contracts(folder / file)[pd.Period(contract, "M")].index
    assert (days[0], days[-1]) == (pd.Timestamp(first), pd.Timestamp(last))


def test_on_a_holiday_the_65_file_is_blank_and_the_62_file_repeats_the_day_before():
    good_friday, labour_day = pd.Timestamp("2023-04-07"), pd.Timestamp("2023-05-01")
    closes_65, closes_62 = market().closes_65, market().closes_62
    assert closes_65.loc[[good_friday, labour_day]].isna().to_numpy().all()
    held = pd.Period("2023-05", "M")
    assert closes_62[held][good_friday] == closes_62[held][pd.Timestamp("2023-04-06")]
    assert pd.Timestamp("2023-01-02") not in closes_65.index.union(closes_62.index)


def test_a_65_contract_is_marked_every_trading_day_and_a_62_contract_seldom_until_it_trades():
    contract = pd.Period("2024-03", "M")
    marks = market().closes_65[contract]["2022":"2024-03-28"]
    # Blank only on Good Friday, Labour Day and Christmas of 2022 and 2023.
    assert marks.isna().sum() == 6
    closes = market().closes_62[contract]
    assert closes["2021"].notna().mean() < 0.02
    assert closes["2023-03":"2023-09"].notna().mean() < 0.5
    assert closes["2024-01":"2024-03-28"].notna().all()


def test_both_legs_have_the_contracts_of_every_roll():
    for closes in (market().closes_65, market().closes_62):
        traded = closes.reindex(market().planted.index).loc["2019-12":"2025-06"]
        assert len(traded) > 1400
        for months in (1, 2):
            assert ahead(traded, months).notna().all()


def test_the_panel_has_its_rows():
    # 2022-03-30 to 2025-08-13 are 176 weeks and a Wednesday: 881 weekdays. Less New Year (2023 to
    # 2025), Good Friday and Labour Day (2022 to 2025) and Christmas (2022 to 2024): 14.
    held = [
        returns_ahead(closes, months=1).loc["2022-03-30":].index
        for closes in (market().closes_65, market().closes_62)
    ]
    # The last day has a price, but no next day.
    assert len(held[0].intersection(held[1])) + 1 == 881 - 14


def test_every_feature_has_a_value_by_the_first_row_of_the_panel():
    sample = market()
    first_days = [
        table[column].first_valid_index()
        for table in (sample.group, sample.index)
        for column in table
    ]
    first_days += [sample.inventory.index[0], sample.shipment.index[0]]
    assert len(first_days) == 10
    assert max(first_days) <= pd.Timestamp("2022-03-30")
    assert len({day.year for day in first_days}) >= 4


def test_group_csv_looks_like_the_real_one(folder):
    lines = read_lines(folder / "group.csv")
    assert lines[0] == (
        "Date,Ukraine Concentrate fines,lump premium,IOCJ Import margin,rebar steel margin ,"
        "indian pellet premium,(IOCJ+SSF)/2-PBF"
    )
    assert lines[1].startswith("2/1/2019,")
    assert lines[-1].startswith("13/8/2025,")
    assert {line.count(",") for line in lines} == {6}


def test_group_csv_holds_the_numbers_of_the_market(folder):
    read = pd.read_csv(folder / "group.csv", encoding="utf-8-sig")
    dates = pd.to_datetime(read["Date"], format="%d/%m/%Y")
    assert list(dates) == list(market().group.index)
    assert len(read) > 1700
    np.testing.assert_array_equal(read.drop(columns="Date"), market().group)


def test_chinese_drivers_are_blank_on_chinese_holidays():
    holidays = market().group.loc["2024-10-01":"2024-10-07"]
    new_year = market().group.loc["2025-01-28":"2025-01-31"]
    assert (len(holidays), len(new_year)) == (5, 4)
    assert holidays[CHINESE].isna().to_numpy().all()
    assert new_year[CHINESE].isna().to_numpy().all()
    assert holidays["lump premium"].notna().all()
    assert new_year["lump premium"].isna().tolist() == [False, True, True, False]


def test_index_csv_runs_backwards_and_keeps_blank_holidays(folder):
    lines = read_lines(folder / "Raw_65and62_Index.csv")
    assert lines[0] == "Date,62 Index,65 Index"
    assert lines[1].startswith("2025-08-13,")
    assert lines[-1].startswith("2018-01-02,")
    assert "2024-12-25,," in lines
    assert "2024-08-09,," in lines


def test_inventory_csv_runs_backwards_by_tuesdays_with_padded_values(folder):
    lines = read_lines(folder / "IOCJ Inventory.csv")
    assert lines[0] == "Date,IOCJ Inventory,"
    dates, values, rest = zip(*(line.split(",") for line in lines[1:]), strict=True)
    assert len(dates) > 390
    assert (dates[0], dates[1]) == ("12/8/2025", "5/8/2025")
    assert "1/10/2024" not in dates
    assert set(pd.to_datetime(list(dates), format="%d/%m/%Y").day_of_week) == {1}
    assert all(value.endswith(" ") and float(value) > 0 for value in values)
    assert set(rest) == {""}


def test_shipment_csv_runs_by_sundays_and_ends_in_empty_rows(folder):
    lines = read_lines(folder / "IOCJ Weekly Shipment.csv")
    assert lines[0] == "Date,IOCJ Weekly shipment"
    assert lines[-5:] == [lines[-5], ",", ",", ",", ","]
    assert lines[-5].startswith("10/8/2025,")
    dates = pd.to_datetime([line.split(",")[0] for line in lines[1:-4]], format="%d/%m/%Y")
    assert len(dates) > 300
    assert set(np.diff(dates) / np.timedelta64(1, "D")) == {7.0}
    assert dates[0].day_name() == "Sunday"


# --- the market -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_stocks_and_flows_are_above_zero(seed):
    sample = market(seed)
    for table in (sample.closes_65, sample.closes_62, sample.index):
        assert table.min().min() > 20
        assert table.max().max() < 700
    assert sample.group["Ukraine Concentrate fines"].min() > 300
    assert sample.inventory.min() > 500
    assert sample.shipment.min() > 100


def test_the_default_market_is_plausible():
    sample = market()
    for table in (sample.closes_65, sample.closes_62, sample.index):
        assert table.min().min() > 60
        assert table.max().max() < 250
    daily = returns_ahead(sample.closes_65, months=1).std()
    assert 1.6 < daily < 2.4


def test_the_index_stays_close_to_the_front_of_the_curve():
    sample = market()
    for closes, header in ((sample.closes_65, "65 Index"), (sample.closes_62, "62 Index")):
        gap = np.log(sample.index[header] / ahead(closes, 1)).loc["2020":].dropna()
        assert len(gap) > 1400
        assert gap.abs().max() < 0.15
        assert abs(gap.mean()) < 0.03


def test_both_grades_move_together():
    returns = [returns_ahead(closes, 1) for closes in (market().closes_65, market().closes_62)]
    # A month before delivery, variances a year: 0.32^2 x exp(-3/12) + 0.10^2 = 0.0897 in common,
    # 0.08^2 x exp(-4/12) = 0.0046 of the premium. The root of 0.0897 / 0.0943 is 0.975.
    assert returns[0].corr(returns[1]) == pytest.approx(0.975, abs=0.015)


def test_far_contracts_move_less_than_near_ones():
    near, far = (returns_ahead(market().closes_65, months).std() for months in (1, 20))
    # 20 months ahead the short-term factor is down to exp(-1.5 x 1.67) = 8 %, the long one is not.
    assert 0.25 < far / near < 0.5


def test_a_contract_moves_less_and_less_in_its_own_month():
    closes = market().closes_65.dropna(how="all")
    own, held = returns_ahead(closes, 0), returns_ahead(closes, 1)
    days = own.index.to_series().groupby(own.index.to_period("M"))
    # A return into the last five of about 21 days: shares 5/21 to 1/21, 0.16 in the root mean
    # square, of a spot price that moves by a tenth more than the contract held.
    last = days.cumcount(ascending=False) < 5
    assert last.sum() > 300
    assert 0.12 < own[last].std() / held.reindex(own.index)[last].std() < 0.24


def test_returns_have_fat_tails():
    returns = pd.concat([returns_ahead(market(seed).closes_65, 1) for seed in SEEDS])
    assert returns_ahead(market().closes_65, 1).kurt() > 1.0
    assert 2.0 < returns.kurt() < 20.0


def test_wild_days_follow_wild_days():
    clusters = []
    for seed in SEEDS:
        returns = returns_ahead(market(seed).closes_65, 1).reset_index(drop=True)
        clusters.append(np.mean([returns.abs().autocorr(lag) for lag in range(1, 6)]))
        assert abs(returns.autocorr(1)) < 0.1
    # Without clusters each would be 0 with a standard error of 0.01.
    assert clusters[0] > 0.04
    assert np.mean(clusters) > 0.06


# --- the signal -----------------------------------------------------------------------------------


def test_without_a_signal_nothing_is_planted():
    planted = market().planted
    assert len(planted) > 1600
    assert (planted == 0.0).all()


def test_without_a_signal_nothing_known_tells_the_next_return():
    known, actual = [], []
    for seed in SEEDS:
        sample = market(seed)
        returns = returns_ahead(sample.closes_65, 1)
        sources = [sample.group, np.log(sample.index), sample.inventory, sample.shipment]
        levels = [source.ffill().reindex(returns.index, method="ffill") for source in sources]
        changes = pd.concat(levels, axis=1).diff().assign(returns=returns.shift(1))
        changes = changes.loc["2022-03-30":]
        known.append((changes - changes.mean()) / changes.std())
        actual.append(returns.loc["2022-03-30":])
    inputs, target = pd.concat(known), pd.concat(actual)
    assert inputs.shape == (len(target), 11)
    assert len(target) == 866 * len(SEEDS)
    # The standard error of a correlation over 3464 days is 0.017.
    assert (
        np.abs([np.corrcoef(column, target)[0, 1] for column in inputs.to_numpy().T]).max() < 0.06
    )
    assert explained(target.to_numpy(), *inputs.to_numpy().T) < 0.008


@pytest.mark.parametrize("signal", [0.1, 0.6])
def test_the_planted_part_is_the_stated_share_of_the_next_return(signal):
    pairs = []
    for seed in SEEDS:
        sample = market(seed, signal)
        returns = returns_ahead(sample.closes_65, 1).loc["2020":]
        pairs.append(pd.DataFrame({"planted": sample.planted, "actual": returns}).dropna())
    planted, actual = pd.concat(pairs).to_numpy().T
    assert len(planted) > 5000
    assert np.polyfit(planted, actual, 1)[0] == pytest.approx(1.0, abs=0.08)
    assert explained(actual, planted) == pytest.approx(signal, abs=0.05)


def test_the_drivers_as_written_tell_the_planted_part_exactly():
    sample = market(0, 0.3)
    changes = driver_changes(sample, sample.planted.index)
    assert sample.planted.std() > 0.5
    assert explained(sample.planted, *changes.to_numpy().T) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("leg", ["closes_65", "closes_62"])
def test_the_drivers_alone_recover_the_signal_in_both_grades(leg):
    sample = market(0, 0.3)
    days = sample.planted.index
    returns = returns_ahead(getattr(sample, leg).reindex(days), 1).loc["2020":]
    assert len(returns) > 1400
    columns = driver_changes(sample, days).loc[returns.index].to_numpy().T
    assert explained(returns, *columns) == pytest.approx(0.3, abs=0.06)


def test_a_signal_leaves_the_total_variance_as_it_is():
    with_signal, without = (
        pd.concat([returns_ahead(market(seed, signal).closes_65, 1) for seed in SEEDS]).var()
        for signal in (0.6, 0.0)
    )
    assert with_signal / without == pytest.approx(1.0, abs=0.1)


# --- drivers that it does not know ----------------------------------------------------------------

FREIGHT = {
    "file": "new/freight.csv",
    "format": "csv",
    "date_column": "Day",
    "date_format": "%d.%m.%Y",
    "delimiter": ";",
    "frequency": "weekly",
    "publication_lag_days": 1,
    "columns": {"Tubarao freight": {"unit": "USD/t", "positive": True}},
}
STOCKS = FREIGHT | {
    "file": "stocks.parquet",
    "format": "parquet",
    "date_format": None,
    "delimiter": None,
    "frequency": "daily",
    "columns": {"mill stock": {"unit": "days", "positive": True}},
}
ADDED = {
    "group": "coking coal, front",
    "index": "58 Index",
    "inventory": "PBF Inventory",
    "shipment": "PBF Weekly shipment",
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """Settings of the default run, with drivers and files added as the README says."""
    conf = tmp_path_factory.mktemp("extended") / "conf"
    shutil.copytree(ROOT / "conf", conf)
    original = yaml.safe_load((conf / "data/original.yaml").read_text(encoding="utf-8"))
    sources = original["data"]["sources"]
    for source, name in ADDED.items():
        sources[source]["columns"][name] = {"unit": "USD/dmt", "positive": True}
    sources |= {"freight": FREIGHT, "stocks": STOCKS}
    text = "# @package _global_\n" + yaml.safe_dump(original, sort_keys=False)
    (conf / "data/original.yaml").write_text(text, encoding="utf-8")
    names = [*ADDED.values(), "Tubarao freight", "mill stock"]
    with (conf / "features/all.yaml").open("a", encoding="utf-8") as features:
        features.writelines(f"  - '{name}'\n" for name in names)
    with initialize_config_dir(str(conf), version_base="1.3"):
        quick = ["model=tiny", "training.max_epochs=1", "evaluation.bootstrap_repetitions=100"]
        return to_config(compose_settings("config", overrides=quick)), names


@pytest.mark.usefixtures("one_quick_figure")
def test_added_drivers_and_files_do_not_end_the_default_run(extended, tmp_path):
    config, names = extended
    result = run_experiment(config, tmp_path)
    assert (result.forecasts.predictions["segment"] == "test").sum() == 131
    made_of = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    assert {"new/freight.csv", "stocks.parquet"} <= set(made_of["input_sha256"])
    assert len(names) == 6
    assert set(names) <= set(made_of["training_sha256"])


def test_added_drivers_change_nothing_else_and_know_no_return(extended, compose):
    config, names = extended
    plain, more = (read_raw(settings.data) for settings in (compose(), config))
    assert len(plain.sources) == 4
    for leg, closes in plain.contracts.items():
        pd.testing.assert_frame_equal(closes, more.contracts[leg], check_exact=True)
    for source, frame in plain.sources.items():
        known = more.sources[source][list(frame)]
        pd.testing.assert_frame_equal(frame, known, check_exact=True)
    added = pd.concat([frame.filter(names) for frame in more.sources.values()], axis=1, sort=True)
    assert sorted(added) == sorted(names)
    assert (added.min() > 0).all()
    returns = returns_ahead(plain.contracts["price_65_m1"], 1)
    moves = 100 * np.log(added.ffill().reindex(returns.index, method="ffill")).diff()
    for name, move in moves.items():
        assert 0 < move.std() < 3
        assert abs(move.corr(returns)) < 0.08, name
        assert abs(move.corr(returns.shift(1))) < 0.08, name


def test_a_market_with_added_drivers_is_kept_and_found_again(extended, tmp_path):
    config, names = extended
    kept = config.data.model_copy(update={"root": str(tmp_path / "kept")})
    first, again = read_raw(kept), read_raw(kept)
    assert first.digests == again.digests == read_raw(config.data).digests
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted(
        [*(file for file in first.digests if "/" not in file), "new"]
    )
    assert names[0] in (tmp_path / "kept" / "group.csv").read_text(encoding="utf-8-sig")
