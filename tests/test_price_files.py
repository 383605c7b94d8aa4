"""A market without contracts: a price file beside drivers of other rhythms, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import DataError
from ironore_lightning.settings.data import DataSettings, FuturesSettings, PanelSettings
from ironore_lightning.settings.samples import FeatureSettings, TargetSettings

FILE = {
    "format": "csv",
    "date_column": "date",
    "date_format": "%Y-%m-%d",
    "delimiter": ",",
    "publication_lag_days": 0,
}
TARGET = TargetSettings(series="price", kind="log_return", horizon=1)


def driver(file, frequency, lag=0, **columns):
    described = {
        name: {"unit": "USD/t", "positive": True, "header": header}
        for name, header in columns.items()
    }
    return FILE | {
        "file": f"{file}.csv",
        "frequency": frequency,
        "columns": described,
        "publication_lag_days": lag,
    }


def market(folder, start=None, **sources):
    return DataSettings(
        name="hand",
        root=str(folder),
        contracts={},
        sources=sources,
        prices={},
        sample=None,
        table=None,
        holidays=None,
        futures=FuturesSettings(month_offset=1, adjustment="ratio", bridge_days=0),
        panel=PanelSettings(start=start, as_published=True, break_days=()),
    )


def write(folder, name, values):
    rows = [f"{date:%Y-%m-%d},{value}" for date, value in values.items()]
    (folder / f"{name}.csv").write_text("\n".join(["date,Close", *rows, ""]), encoding="utf-8")


def panel_of(settings):
    return build_panel(read_raw(settings), settings, TARGET)


@pytest.fixture
def prices(tmp_path):
    """A price that rises by one each weekday of the first half of 2024, from 100."""
    days = pd.bdate_range("2024-01-01", "2024-06-28")
    values = pd.Series(np.arange(100.0, 100 + len(days)), index=days)
    write(tmp_path, "price", values)
    return values


def test_a_price_file_and_drivers_of_two_lags_need_no_contracts(tmp_path, prices):
    weeks = pd.date_range("2023-12-31", "2024-06-23", freq="7D")
    write(tmp_path, "stock", pd.Series(range(1, 27), index=weeks))
    panel = panel_of(
        market(
            tmp_path,
            price=driver("price", "daily", price="Close"),
            stock=driver("stock", "weekly", lag=3, stock="Close"),
        )
    )
    assert list(panel.days) == list(prices.index)
    # The first Sunday's figure is out on Wednesday, 3 January, the second on the 10th.
    assert panel.values["stock"].iloc[:8].fillna(0).tolist() == [0, 0, 1, 1, 1, 1, 1, 2]
    target = build_target(panel, TARGET)["value"]
    np.testing.assert_allclose(target.iloc[0], 100 * np.log(101 / 100), rtol=1e-12)
    assert target.isna().sum() == 1


def test_two_files_with_one_header_become_two_drivers(tmp_path, prices):
    write(tmp_path, "vale", 2 * prices)
    panel = panel_of(
        market(
            tmp_path,
            a=driver("price", "daily", price="Close"),
            b=driver("vale", "daily", vale="Close"),
        )
    )
    assert list(panel.values) == ["price", "vale"]
    np.testing.assert_array_equal(panel.values["vale"], 2 * panel.values["price"])


@pytest.mark.usefixtures("prices")
def test_monthly_and_quarterly_figures_appear_when_they_are_out(tmp_path):
    months = pd.date_range("2023-06-01", "2024-05-01", freq="MS")
    write(tmp_path, "steel", pd.Series(range(1, 13), index=months))
    quarters = pd.to_datetime([f"{y}-{m}-28" for y in (2022, 2023) for m in (3, 6, 9, 12)])
    write(tmp_path, "gdp", pd.Series(range(1, 9), index=quarters))
    panel = panel_of(
        market(
            tmp_path,
            price=driver("price", "daily", price="Close"),
            steel=driver("steel", "monthly", lag=45, steel="Close"),
            gdp=driver("gdp", "quarterly", lag=20, gdp="Close"),
        )
    )
    # November's figure is out on 16 December, that of December (7) on Monday, 15 January.
    assert panel.values["steel"][["2024-01-12", "2024-01-15"]].tolist() == [6, 7]
    # The last quarter's is of 28 December and out on 17 January.
    assert panel.values["gdp"][["2024-01-16", "2024-01-17"]].tolist() == [7, 8]
    assert panel.staleness["gdp"]["2024-01-18"] == 1


@pytest.mark.usefixtures("prices")
def test_weeks_that_are_called_months_are_refused(tmp_path):
    weeks = pd.date_range("2023-12-31", "2024-06-23", freq="7D")
    write(tmp_path, "stock", pd.Series(1.0, index=weeks))
    settings = market(
        tmp_path,
        price=driver("price", "daily", price="Close"),
        stock=driver("stock", "monthly", stock="Close"),
    )
    with pytest.raises(DataError, match=r"7 days apart .*frequency: monthly means 25 to 35"):
        read_raw(settings)


def test_the_next_day_is_that_of_the_rows_from_the_start_on(tmp_path):
    days = pd.bdate_range("2022-01-03", "2023-12-29")
    every = days.union(pd.date_range("2024-01-01", "2024-06-28"))
    write(tmp_path, "price", pd.Series(np.arange(100.0, 100 + len(every)), index=every))
    panel = panel_of(market(tmp_path, "2024-01-01", price=driver("price", "daily", price="Close")))
    # Friday, 28 June, is followed by a Saturday.
    assert list(panel.calendar.ahead(panel.days[-1:], 1)) == [pd.Timestamp("2024-06-29")]


HOLE = "price.csv: price has no value between 2024-01-05 and 2024-03-01 (56 days, 45 are allowed)"


@pytest.fixture
def hole(tmp_path, prices):
    """The same prices without those of 8 January to 29 February."""
    write(tmp_path, "price", prices[(prices.index < "2024-01-08") | (prices.index > "2024-02-29")])
    return {"price": driver("price", "daily", price="Close")}


@pytest.mark.parametrize("start", [None, "2024-01-03", "2024-02-29"])
def test_a_hole_that_a_row_needs_is_refused_with_the_first_day_after_it(tmp_path, hole, start):
    with pytest.raises(DataError) as caught:
        read_raw(market(tmp_path, start, **hole))
    assert str(caught.value).startswith(f"{HOLE}; rows are missing, or a date is wrong: ")
    assert str(caught.value).endswith("data.panel.start=2024-03-01")


def test_a_hole_before_the_first_row_is_reported(tmp_path, hole):
    raw = read_raw(market(tmp_path, "2024-03-01", **hole))
    assert [found.message for found in raw.old_holes] == [HOLE]


def test_the_longest_window_must_not_reach_back_into_a_hole(tmp_path, hole):
    feature = FeatureSettings(name="price", transform="zscore", window=5)
    early = panel_of(market(tmp_path, "2024-03-05", **hole))
    with pytest.raises(DataError) as caught:
        build_features(early, [feature])
    assert str(caught.value).startswith(f"{HOLE}; data.panel.start=2024-03-05 is too early for f")
    late = panel_of(market(tmp_path, "2024-03-07", **hole))
    assert len(build_features(late, [feature])) == 82
