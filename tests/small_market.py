"""A sample market of twenty weeks: the raw files of the real one, small enough to be read often."""

import shutil
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.sample_market.simulation import (
    SimulatedMarket,
    simulate_market,
    write_market,
)
from ironore_lightning.settings.data import (
    DataSettings,
    FuturesSettings,
    PanelSettings,
    SimulationSettings,
)
from ironore_lightning.settings.samples import TargetSettings

ORIGINAL = Path(__file__).parents[1] / "conf" / "data" / "original.yaml"
FRAMES = ("values", "staleness", "log_returns", "breaks")
FIRST_DAY = "2025-04-01"
FUTURES = FuturesSettings(month_offset=1, adjustment="ratio", bridge_days=0)
PANEL = PanelSettings(start=None, as_published=True, break_days=())
TARGET = TargetSettings(series="price_65_m1", kind="log_return", horizon=1)


@cache
def simulate_small_market() -> SimulatedMarket:
    """Cut the end off the sample market."""
    market = simulate_market(SimulationSettings(seed=0, signal=0.0))
    return SimulatedMarket(
        closes_65=market.closes_65.loc[FIRST_DAY:, "2025-05":],
        closes_62=market.closes_62.loc[FIRST_DAY:, "2025-05":"2025-12"],
        group=market.group.loc[FIRST_DAY:],
        index=market.index.loc[FIRST_DAY:],
        inventory=market.inventory.loc[FIRST_DAY:],
        shipment=market.shipment.loc[FIRST_DAY:],
        planted=market.planted.loc[FIRST_DAY:],
    )


def write_small_market(folder: Path) -> None:
    """Write the six raw files: 97 days of prices and daily drivers, 20 weeks of weekly ones."""
    write_market(simulate_small_market(), folder)


def date_of(line):
    text = line.split(",")[0]
    return pd.Timestamp(text) if "-" in text else pd.to_datetime(text, format="%d/%m/%Y")


def cut_market(market, target, day):
    """Copy the market without what its files hold after `day`."""
    shutil.copytree(market, target)
    for path in target.glob("*.csv"):
        header, *lines = path.read_text(encoding="utf-8-sig").splitlines()
        kept = [line for line in lines if date_of(line) <= pd.Timestamp(day)]
        path.write_text("\n".join([header, *kept]), encoding="utf-8")
    for name in ("Raw_M65F_DSP.pkl", "Raw_FEF_Close.pkl"):
        contracts = pd.read_pickle(target / name)
        pd.to_pickle(
            {month: prices.loc[:day] for month, prices in contracts.items()}, target / name
        )
    return target


def prepared_table_settings(root: Path, table: dict[str, object]) -> DataSettings:
    """Return what `data=table data.root=ROOT` says of the data."""
    none = {"contracts": {}, "sources": {}, "sample": None, "holidays": None, "prices": {}}
    own = {"name": "table", "root": str(root), "table": table, "futures": FUTURES, "panel": PANEL}
    return DataSettings.model_validate({**own, **none})


def original_settings(root: Path) -> DataSettings:
    """Return what `data=original data.root=ROOT` says of the data."""
    return DataSettings.model_validate(
        {**_original(), "root": str(root), "holidays": None, "futures": FUTURES}
    )


@cache
def _original() -> dict[str, object]:
    data: dict[str, object] = yaml.safe_load(ORIGINAL.read_text(encoding="utf-8"))["data"]
    return data


def read_market(settings: DataSettings) -> tuple[RawData, Panel]:
    """Read and join the files as a run of every column does, and keep nothing in the process."""
    raw = read_raw(settings)
    panel = build_panel(raw, settings, TARGET)
    for name in panel.unusable:
        panel.require_column(name, key="features.names")
    return raw, panel


def bits(market):
    """Everything a market holds, to the last bit."""
    raw, panel = market
    legs = {f"leg {name}": leg.days for name, leg in panel.futures.items()}
    shared = {name: getattr(panel, name) for name in FRAMES}
    return {
        name: (
            tuple(map(str, frame.columns)),
            frame.index.to_numpy().tobytes(),
            *(
                column.to_numpy().tobytes()
                if column.dtype.kind in "fb"
                else tuple(map(str, column))
                for _, column in frame.items()
            ),
        )
        for name, frame in {**shared, **legs, **raw.contracts, **raw.sources}.items()
    }
