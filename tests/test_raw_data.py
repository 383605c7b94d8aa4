"""Reading a whole folder: what is read, where a simulated market goes, and its digests."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.features import build_features
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import ConfigError, DataError

LEGS = ["price_65_m1", "price_62_m1"]
SOURCES = ["group", "index", "inventory", "shipment"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that does not exist yet."""
    return tmp_path_factory.mktemp("raw") / "deep" / "market"


@pytest.fixture(scope="module")
def kept(compose, folder):
    """The sample market, read while it is written into `folder`."""
    return read_raw(compose("data=sample", f"data.root={folder}").data)


def assert_equal(raw, other):
    for frames, others in ((raw.contracts, other.contracts), (raw.sources, other.sources)):
        assert list(frames) == list(others)
        for name, frame in frames.items():
            pd.testing.assert_frame_equal(frame, others[name], check_exact=True)


def test_legs_and_sources_come_by_name_in_the_order_of_the_settings(kept):
    assert list(kept.contracts) == LEGS
    assert list(kept.sources) == SOURCES
    for frame in kept.contracts.values():
        assert isinstance(frame.columns, pd.PeriodIndex)
        assert len(frame) > 1500
    assert [list(frame) for frame in kept.sources.values()][1:] == [
        ["62 Index", "65 Index"],
        ["IOCJ Inventory"],
        ["IOCJ Weekly shipment"],
    ]
    assert kept.sources["group"].shape[1] == 6


def test_every_frame_is_float_over_ascending_days(kept):
    frames = [*kept.contracts.values(), *kept.sources.values()]
    assert len(frames) == 6
    for frame in frames:
        assert (frame.dtypes == np.float64).all()
        assert frame.index.is_monotonic_increasing
        assert frame.index.is_unique


def test_digests_are_those_of_the_files(kept, folder):
    files = sorted(path.name for path in folder.iterdir())
    assert len(files) == 6
    assert sorted(kept.digests) == files
    for file, digest in kept.digests.items():
        assert digest == hashlib.sha256((folder / file).read_bytes()).hexdigest()


def test_the_files_of_a_sample_market_read_again_as_raw_files(kept, folder, compose):
    again = read_raw(compose("data=original", f"data.root={folder}").data)
    assert_equal(kept, again)
    assert again.digests == kept.digests


def test_without_a_folder_the_sample_market_leaves_no_file(kept, compose, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    raw = read_raw(compose("data=sample").data)
    assert list(tmp_path.iterdir()) == []
    assert_equal(raw, kept)
    assert raw.digests == kept.digests


def test_another_sample_seed_is_another_market(kept, compose):
    raw = read_raw(compose("data=sample", "data.sample.seed=1").data)
    assert len(raw.digests) == 6
    assert not set(raw.digests.values()) & set(kept.digests.values())


@pytest.mark.parametrize("content", ["folder", "file"])
def test_a_sample_market_never_overwrites(compose, tmp_path, content):
    root = tmp_path / "mine"
    if content == "folder":
        root.mkdir()
    held = root / "group.csv" if content == "folder" else root
    held.write_text("precious")
    with pytest.raises(
        ConfigError, match=r"data.root: .*mine exists and is not empty.*data=original"
    ):
        read_raw(compose("data=sample", f"data.root={root}").data)
    assert held.read_text() == "precious"
    assert len(list(tmp_path.rglob("*"))) == (2 if content == "folder" else 1)


def test_the_same_market_may_be_kept_twice_and_another_one_may_not(compose, tmp_path):
    root = tmp_path / "market"
    first, again = (read_raw(compose(f"data.root={root}").data) for _ in range(2))
    assert first.digests == again.digests
    with pytest.raises(ConfigError, match="exists and is not empty"):
        read_raw(compose(f"data.root={root}", "data.sample.seed=1").data)
    assert read_raw(compose("data=original", f"data.root={root}").data).digests == first.digests


def test_an_empty_folder_is_as_good_as_a_new_one(kept, compose, tmp_path):
    raw = read_raw(compose("data=sample", f"data.root={tmp_path}").data)
    assert len(list(tmp_path.iterdir())) == 6
    assert raw.digests == kept.digests


def test_a_missing_folder_is_named(compose, tmp_path):
    with pytest.raises(DataError) as caught:
        read_raw(compose("data=original", f"data.root={tmp_path / 'nowhere'}").data)
    assert "nowhere" in str(caught.value)
    assert "is data.root right?" in str(caught.value)


# --- files against each other ---------------------------------------------------------------------


def market_with(compose, folder, *, stock, ships=(), blank_after="2024-12-31"):
    """Write half a year of prices and two weekly files, and read them."""
    days = pd.bdate_range("2024-01-02", "2024-06-28", name="Date")
    prices = pd.Series(100.0, index=days)
    # Listed until their own month, which the last one is not in yet.
    curves = {
        month: prices[: month.end_time] for month in pd.period_range("2024-02", "2024-07", freq="M")
    }
    for file in ("Raw_M65F_DSP.pkl", "Raw_FEF_Close.pkl"):
        shown = {month: one.where(one.index <= blank_after) for month, one in curves.items()}
        pd.to_pickle(shown, folder / file)
    weeks = pd.date_range("2024-01-07", "2024-06-23", freq="7D")
    for file, header, dates in (
        ("IOCJ Inventory.csv", "IOCJ Inventory", [*weeks, *pd.to_datetime(stock)]),
        ("IOCJ Weekly Shipment.csv", "IOCJ Weekly shipment", [*weeks, *pd.to_datetime(ships)]),
    ):
        rows = [f"{date:%d/%m/%Y},400" for date in dates]
        (folder / file).write_text("\n".join([f"Date,{header}", *rows, ""]))
    settings = compose("data=original", f"data.root={folder}").data
    weekly = {name: settings.sources[name] for name in ("inventory", "shipment")}
    return read_raw(settings.model_copy(update={"sources": weekly}))


@pytest.mark.parametrize(
    ("dates", "part"),
    [
        (["2024-07-29"], None),
        (["2024-07-30"], "of inventory, 2024-07-30, lies 32 days after that of every other file"),
        (["2024-08-15", "2024-07-01"], "of inventory, 2024-08-15, lies 48 days after"),
        (["2023-11-23"], None),
        (["2023-11-22"], "inventory has no value between 2023-11-22 and 2024-01-07 (46 days"),
    ],
    ids=["a month ahead", "more than a month ahead", "a typo", "45 days apart", "46 days apart"],
)
def test_a_date_far_from_all_others_is_taken_for_a_mistake(compose, tmp_path, dates, part):
    if part is None:
        assert len(market_with(compose, tmp_path, stock=dates).sources["inventory"]) == 26
        return
    with pytest.raises(DataError) as caught:
        market_with(compose, tmp_path, stock=dates)
    assert str(caught.value).startswith("IOCJ Inventory.csv: ")
    assert part in str(caught.value)


def test_the_file_after_which_one_lies_far_is_named_too(compose, tmp_path):
    with pytest.raises(DataError, match=r"\(2024-07-26, IOCJ Weekly Shipment.csv\)"):
        market_with(compose, tmp_path, stock=["2024-09-01"], ships=["2024-07-26"])


def test_a_curve_whose_newest_rows_are_blank_is_not_fresh(compose, tmp_path):
    market_with(compose, tmp_path, stock=[], blank_after="2024-05-14")
    with pytest.raises(DataError) as caught:
        market_with(compose, tmp_path, stock=[], blank_after="2024-05-13")
    assert str(caught.value) == (
        "Raw_M65F_DSP.pkl: the last value of 'price_65_m1' is of 2024-05-13, 46 days before the "
        "newest of all files (2024-06-28); refresh it or leave it out"
    )


def test_a_prepared_table_is_one_source(compose, tmp_path):
    path = Path(tmp_path / "table.csv")
    path.write_text("date,price,Y\n2024-01-02,100,1.5\n2024-01-03,101.5,\n")
    raw = read_raw(compose("data=table", f"data.root={tmp_path}", "features.names=[price]").data)
    assert raw.contracts == {}
    assert list(raw.sources) == ["table"]
    table = raw.sources["table"]
    assert list(table.index.strftime("%Y-%m-%d")) == ["2024-01-02", "2024-01-03"]
    np.testing.assert_array_equal(table["price"], [100, 101.5])
    np.testing.assert_array_equal(table["Y"], [1.5, np.nan])
    assert raw.digests == {"table.csv": hashlib.sha256(path.read_bytes()).hexdigest()}


def old_table(folder):
    """Sixty days of prices beside a contract that expired in their first week, and a symbol."""
    days = pd.bdate_range("2024-01-02", periods=60)
    rows = [f"{day:%Y-%m-%d},{100 + n},FEF,{9 if n < 5 else ''}" for n, day in enumerate(days)]
    text = "\n".join(["date,price,symbol,expired", *rows, ""])
    (folder / "table.csv").write_text(text, encoding="utf-8")
    return "data=table", f"data.root={folder}", "target.series=price"


def test_only_the_columns_of_a_table_that_are_in_use_are_judged(compose, tmp_path):
    config = compose(*old_table(tmp_path), "features.names=[price]")
    raw = read_raw(config.data)
    assert list(raw.sources["table"]) == ["price"]
    panel = build_panel(raw, config.data, config.target)
    assert build_features(panel, config.features.names)["price"].tolist() == list(range(100, 160))
    for column, reason in {
        "symbol": "column 'symbol', line 2: 'FEF' is not a number",
        "expired": "the last value of 'expired' is of 2024-01-08, 77 days before the newest of all",
    }.items():
        asked = compose(*old_table(tmp_path), f"features.names=[price,{column}]").features
        with pytest.raises(DataError, match=f"^table.csv: {reason}"):
            build_features(panel, asked.names)


def test_a_table_without_any_right_column_says_what_is_wrong_with_the_first(compose, tmp_path):
    (tmp_path / "table.csv").write_text("date,a,b\n2024-01-02,x,y\n", encoding="utf-8")
    settings = compose("data=table", f"data.root={tmp_path}", "features.names=[a]").data
    with pytest.raises(DataError, match=r"^table.csv: column 'a', line 2: 'x' is not a number"):
        read_raw(settings)


def test_the_original_files_are_read(real_data, compose):
    raw = read_raw(compose("data=original", f"data.root={real_data}").data)
    assert {name: frame.shape for name, frame in raw.contracts.items()} == {
        "price_65_m1": (1740, 69),
        "price_62_m1": (2241, 81),
    }
    assert list(raw.sources) == SOURCES
    assert len(raw.digests) == 6
    frames = [*raw.contracts.values(), *raw.sources.values()]
    assert [f"{frame.index[-1]:%m-%d}" for frame in frames] == [
        *("08-13", "08-14", "08-13", "08-12", "08-12", "08-10"),
    ]
    assert {frame.index[-1].year for frame in frames} == {2025}
