"""Time has one direction: change the future, and the past must stay bit for bit.

What is known on day t is what was published by then. Everything later is replaced by noise, or cut
off, and all that a run computes up to t is compared: features, targets, scaler, windows and the
forecast of an untrained network. The tests at the end prove that such a comparison can fail.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from parts_of_a_run import samples_of

from ironore_lightning.data.datamodule import build_datamodule
from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.model.bilstm import BiLSTM
from ironore_lightning.model.heads import NUM_OUTPUTS
from ironore_lightning.model.shape import Shape

DAYS = {
    "a roll day": "2023-01-31",
    "the day after a roll": "2023-02-01",
    # A Wednesday: the stocks of Tuesday are out on Friday.
    "a weekly figure is due": "2023-06-14",
    "after the Chinese new year": "2024-02-19",
    "a Monday": "2025-07-14",
}
# The scaler is fitted on rows that are known on all of these days.
BEFORE = ["split=by_date", "split.val_start=2022-10-03", "split.test_start=2022-12-01"]
EVERY_TRANSFORM = (
    "features.names=["
    "price_65_m1,{name: price_65_m1, transform: log_return},"
    "{name: price_62_m1, transform: change},{name: price_62_m1, transform: zscore, window: 20},"
    "{name: 62 Index, transform: zscore, window: 60},{name: 65 Index, transform: log_return},"
    "{name: lump premium, transform: staleness},{name: IOCJ Inventory, transform: staleness},"
    "{name: IOCJ Inventory, transform: change},{name: IOCJ Weekly shipment, transform: zscore, "
    "window: 5}]"
)
VARIANTS = {
    "all": ["features=all"],
    "stationary": ["features=stationary"],
    "every transform": [EVERY_TRANSFORM],
    "difference": ["data.futures.adjustment=difference", "scaling.method=standard"],
    "spliced": ["data.futures.adjustment=none", "scaling.method=robust"],
    "three days": ["target.horizon=3", "target.kind=simple_return"],
    "changes": ["target.kind=change", "target.profit_series=price_62_m1", "target.horizon=2"],
    "first complete row": ["data.panel.start=null"],
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep many small operations from waiting for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Known:
    """What a run computes up to a day."""

    features: pd.DataFrame
    target: pd.DataFrame
    scale: np.ndarray
    windows: torch.Tensor
    forecast: torch.Tensor


def assemble(raw, config, *, tamper: Callable[[Panel], Panel] = lambda panel: panel):
    """Build the samples of a run, with a hand on the panel."""
    panel = tamper(build_panel(raw, config.data, config.target))
    return build_datamodule(panel, config.dataset_settings)


@cache
def untrained(num_features, settings):
    torch.manual_seed(0)
    return BiLSTM(Shape(num_features, 20, NUM_OUTPUTS[settings.head]), settings).eval()


def known(module, config, day):
    """Keep what is not later than `day`; the forecast is that made on it."""
    rows = module.features.index.get_loc(day) + 1
    windows = module.datasets["test"].windows[: rows - config.window.sequence_length + 1]
    with torch.no_grad():
        forecast = untrained(module.features.shape[1], config.model)(windows[-1:])
    return Known(
        features=module.features.iloc[:rows],
        target=module.target[module.target["date"] <= day],
        scale=np.stack([module.scaler.center, module.scaler.spread]),
        windows=windows,
        forecast=forecast,
    )


def assert_same(past, again):
    """Compare bit for bit, and see that there is something to compare."""
    assert len(past.features) > 150
    assert len(past.target) > 150
    assert len(past.windows) == len(past.features) - 19
    pd.testing.assert_index_equal(past.features.index, again.features.index)
    np.testing.assert_array_equal(past.features.to_numpy(), again.features.to_numpy())
    pd.testing.assert_frame_equal(past.target, again.target, check_exact=True)
    np.testing.assert_array_equal(past.scale, again.scale)
    assert torch.equal(past.windows, again.windows)
    assert torch.isfinite(past.forecast).all()
    assert torch.equal(past.forecast, again.forecast)


def later_rows(raw, config, day):
    """For each raw file, by kind and name: which rows are published after `day`."""
    lags = {name: one.publication_lag_days for name, one in config.data.sources.items()}
    contracts = {name: frame.index > day for name, frame in raw.contracts.items()}
    sources = {
        name: frame.index + pd.Timedelta(days=lags[name]) > day
        for name, frame in raw.sources.items()
    }
    return contracts, sources


def shocked(raw, config, day):
    """Replace all that is published after `day` by noise; blanks stay, prices stay above zero."""
    rng = np.random.default_rng(7)

    def noise(frame, later):
        values = frame.to_numpy(copy=True)
        wild = np.exp(rng.normal(4, 1, (int(later.sum()), frame.shape[1])))
        wild[:, np.nanmin(values, axis=0) <= 0] -= 60
        values[later] = np.where(np.isnan(values[later]), np.nan, wild)
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)

    contracts, sources = later_rows(raw, config, day)
    return replace(
        raw,
        contracts={name: noise(raw.contracts[name], later) for name, later in contracts.items()},
        sources={name: noise(raw.sources[name], later) for name, later in sources.items()},
    )


def cut(raw, config, day):
    """Read the files as they were in the evening of `day`."""
    contracts, sources = later_rows(raw, config, day)
    return replace(
        raw,
        contracts={name: raw.contracts[name][~later] for name, later in contracts.items()},
        sources={name: raw.sources[name][~later] for name, later in sources.items()},
    )


FUTURES = {"noise": shocked, "cut off": cut}


@dataclass(frozen=True)
class Market:
    """A raw market and how to compose a run on it."""

    raw: RawData
    compose: Callable


@pytest.fixture(scope="module", params=["sample", "original"])
def market(request, compose):
    data = [f"data={request.param}"]
    if request.param == "original":
        data.append(f"data.root={request.getfixturevalue('real_data')}")

    @cache
    def compose_run(*overrides):
        return compose(*data, *BEFORE, *overrides)

    return Market(raw=read_raw(compose_run().data), compose=compose_run)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("future", FUTURES.values(), ids=FUTURES)
def test_the_future_changes_nothing_that_is_known(market, variant, future):
    config = market.compose(*variant)
    module = samples_of(config, market.raw)
    compared = 0
    for date in DAYS.values():
        day = pd.Timestamp(date)
        other = samples_of(config, future(market.raw, config, day))
        assert_same(known(module, config, day), known(other, config, day))
        compared += 1
    assert compared == 5


@pytest.mark.parametrize("date", DAYS.values(), ids=DAYS)
def test_the_noise_reaches_every_column_after_the_day(market, date):
    config, day = market.compose(), pd.Timestamp(date)
    module = assemble(market.raw, config)
    other = assemble(shocked(market.raw, config, day), config)
    later = module.features.index > day
    assert later.sum() > 15
    is_changed = (module.features != other.features)[later]
    assert is_changed.any().all()
    assert is_changed.iloc[-1].all()
    is_future = (module.target["date"] > day).to_numpy()
    assert (module.target["value"] != other.target["value"])[is_future].all()


def test_the_samples_compared_are_those_of_a_run(market):
    config = market.compose()
    run, own = samples_of(config, market.raw), assemble(market.raw, config)
    for day in map(pd.Timestamp, DAYS.values()):
        assert_same(known(run, config, day), known(own, config, day))


def test_the_window_of_a_day_ends_on_it(market):
    config, day = market.compose("scaling.method=none"), pd.Timestamp("2023-06-14")
    past = known(assemble(market.raw, config), config, day)
    expected = past.features.iloc[-20:].to_numpy().astype(np.float32)
    assert past.features.index[-1] == day
    np.testing.assert_array_equal(past.windows[-1].numpy(), expected)
    assert past.target["date"].iloc[-1] == day


# --- proof that the comparison can fail -----------------------------------------------------------


def repainted(panel):
    """Read the level that is anchored at the newest contract."""
    newest = {name: one.days["adjusted_price"] for name, one in panel.futures.items()}
    return replace(panel, values=panel.values.assign(**newest))


def smoothed(panel):
    """Take a mean around each day."""
    return replace(panel, values=panel.values.rolling(3, center=True, min_periods=1).mean())


def hurried(panel):
    """Read tomorrow's values."""
    return replace(panel, values=panel.values.shift(-1).ffill())


def standardised(panel):
    """Scale before the split."""
    values = panel.values
    return replace(panel, values=(values - values.mean()) / values.std())


LEAKS = {
    "newest anchor": repainted,
    "centred mean": smoothed,
    "tomorrow": hurried,
    "scaled over all rows": standardised,
}


@pytest.mark.parametrize("tamper", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("date", ["2023-01-31", "2025-07-14"])
def test_a_leak_is_caught(market, tamper, date):
    config, day = market.compose(), pd.Timestamp(date)
    past = known(assemble(market.raw, config, tamper=tamper), config, day)
    raw = shocked(market.raw, config, day)
    again = known(assemble(raw, config, tamper=tamper), config, day)
    with pytest.raises(AssertionError):
        assert_same(past, again)
    # It is the features that moved. A scaler takes a common factor out again, so that windows and
    # forecast need not.
    assert past.features.shape == again.features.shape
    assert (past.features != again.features).to_numpy().any()


def test_a_weekly_figure_read_before_its_publication_is_caught(market):
    config, day = market.compose("data.panel.as_published=false"), pd.Timestamp("2023-06-14")
    past = known(assemble(market.raw, config), config, day)
    again = known(assemble(shocked(market.raw, config, day), config), config, day)
    with pytest.raises(AssertionError):
        assert_same(past, again)
    is_moved = (past.features != again.features).any()
    assert is_moved[is_moved].index.tolist() == ["IOCJ Inventory"]
    assert not torch.equal(past.forecast, again.forecast)
