"""The panel that all runs of a process share: built once, and never written into."""

import pandas as pd
import pytest

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.market_cache import build_market
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.experiment import run_experiment
from ironore_lightning.run_folder.layout import CURVES_FILE, EVENT_FILES, LEFT_BY_A_RUN, OLD_EVENTS

FRAMES = ("values", "staleness", "log_returns", "breaks")

pytestmark = pytest.mark.usefixtures("one_quick_figure")


def market_of(config):
    return build_market(config.data, config.target)


def frames_of(market):
    """Return every frame that a market holds, by name."""
    legs = {f"futures {name}": leg.days for name, leg in market.panel.futures.items()}
    shared = {name: getattr(market.panel, name) for name in FRAMES}
    return {**shared, **legs, **market.raw.contracts, **market.raw.sources}


def bits(column):
    """Return the bits of a column; the months of contracts are objects, and told as text."""
    is_number = column.dtype.kind in "fib"
    return column.to_numpy().tobytes() if is_number else tuple(column.astype(str))


def bits_of(market):
    """Return dates, names, types and bits of every frame."""
    return {
        name: (
            tuple(frame.columns),
            tuple(map(str, frame.dtypes)),
            frame.index.to_numpy().tobytes(),
            tuple(bits(frame[column]) for column in frame),
        )
        for name, frame in frames_of(market).items()
    }


@pytest.fixture(scope="module")
def usual(compose):
    """Return the market of the settings as they are, and its bits."""
    market = market_of(compose())
    return market, bits_of(market)


# --- built once -----------------------------------------------------------------------------------


def test_the_same_market_is_built_once_however_the_runs_differ(compose):
    first = market_of(compose())
    again = market_of(compose("seed=7", "model=tiny", "features=prices", "split=walk_forward"))
    assert again is first
    assert again.panel.values.shape == (1467, 12)


@pytest.mark.parametrize(
    "override",
    [
        "data.futures.adjustment=none",
        "data.panel.as_published=false",
        "data.sample.seed=1",
    ],
)
def test_other_settings_of_the_data_build_another_market(compose, usual, override):
    first, before = usual
    other = market_of(compose(override))
    assert other is not first
    assert len(before) == 4 + 2 + 2 + 4  # frames of the panel, legs, contract tables, sources
    assert bits_of(other) != before
    assert bits_of(first) == before


def test_a_market_that_is_built_again_is_the_same_bit_for_bit(compose, usual):
    first, before = usual
    market_of(compose("data.sample.seed=1"))  # of which the process keeps only this one
    again = market_of(compose())
    assert again is not first
    assert bits_of(again) == before


def test_files_that_change_between_two_runs_are_not_read_again(compose, tmp_path):
    days = pd.date_range("2024-01-01", periods=80, freq="B").strftime("%Y-%m-%d")
    table = pd.DataFrame({"date": days, "driver": range(80), "Y": 1.5})
    table.to_csv(tmp_path / "table.csv", index=False)
    settings = ("data=table", "features.names=[driver]", "target.series=Y", "target.kind=given")
    (tmp_path / "other").mkdir()
    table.to_csv(tmp_path / "other" / "table.csv", index=False)
    config = compose(*settings, f"data.root={tmp_path}")
    first = market_of(config)
    table.assign(Y=2.5).to_csv(tmp_path / "table.csv", index=False)
    assert market_of(config) is first
    assert first.panel.values["Y"].tolist() == [1.5] * 80
    market_of(compose(*settings, f"data.root={tmp_path / 'other'}"))
    assert market_of(config).panel.values["Y"].tolist() == [2.5] * 80


# --- left as it was -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["log_return", "simple_return", "given"])
def test_no_transform_and_no_target_writes_into_the_panel(compose, kind):
    series = "65 Index" if kind == "given" else "price_65_m1"
    everything = [
        f"{{name: {name}, transform: {transform}}}"
        for name in ("price_65_m1", '"62 Index"')
        for transform in ("level", "log_return", "change", "staleness", "zscore, window: 20")
    ]
    config = compose(
        f"features.names=[{','.join(everything)}]",
        f"target.kind={kind}",
        f'target.series="{series}"',
        "target.horizon=3",
    )
    market = market_of(config)
    before = bits_of(market)
    features = build_features(market.panel, config.features.names)
    target = build_target(market.panel, config.target)
    assert features.shape[1] == 10
    features.iloc[:, :] = 0.0  # what is made of the panel shares no memory with it
    target["value"] = 0.0
    assert bits_of(market) == before


@pytest.fixture(scope="module")
def ran(compose, tmp_path_factory):
    """Run a whole experiment in this process; return market, its bits before, and the folder."""
    config = compose(
        "features=stationary",
        "model=tiny",
        "training.max_epochs=1",
        "evaluation.bootstrap_repetitions=100",
    )
    folder = tmp_path_factory.mktemp("run")
    market = market_of(config)
    before = bits_of(market)
    run_experiment(config, folder, callbacks=(), resume=False)
    assert market_of(config) is market  # and not one that the run has built for itself
    return config, market, before, folder


def test_a_whole_run_leaves_the_panel_bit_for_bit_as_it_was(ran):
    _, market, before, _ = ran
    after = bits_of(market)
    assert len(before) == 12
    assert [name for name in before if after[name] != before[name]] == []


def test_after_a_run_the_panel_is_still_what_the_files_say(ran):
    config, market, _, _ = ran
    fresh = build_panel(
        read_raw(config.data),
        config.data,
        config.target,
    )
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(market.panel, name), getattr(fresh, name))


def test_a_run_leaves_nothing_that_a_second_try_would_not_remove(ran):
    _, _, _, folder = ran
    names = {path.name for path in folder.iterdir() if not path.match(EVENT_FILES)}
    assert names == {*LEFT_BY_A_RUN} - {CURVES_FILE, OLD_EVENTS}
