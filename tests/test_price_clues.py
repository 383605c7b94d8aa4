"""What is written down to explain skill that nobody can trade."""

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.datamodule import build_datamodule
from ironore_lightning.data.panel import Panel
from ironore_lightning.data_quality.price_clues import build_clues
from ironore_lightning.settings.data import PriceSettings
from ironore_lightning.settings.samples import (
    DatasetSettings,
    FeatureSettings,
    RatioSplit,
    ScalingSettings,
    TargetSettings,
    WindowSettings,
)

ROWS = 100
DAYS = pd.bdate_range("2024-01-01", periods=ROWS, name="date")


def columns_of(seed=0):
    """Two prices that move together, an index of the first, and a driver of its own."""
    market, *noise = np.random.default_rng(seed).normal(0, 0.02, (5, ROWS))
    a = 100 * np.exp(np.cumsum(market + 0.2 * noise[0]))
    b = 90 * np.exp(np.cumsum(market + 0.2 * noise[1]))
    index = 95 * np.exp(np.cumsum(market + 0.3 * noise[2]))
    values = {"a": a, "b": b, "index": index, "other": 10 + np.cumsum(noise[3])}
    values["ratio"], values["spread"] = a / b, a - b
    values["ahead"] = pd.Series(a - b, index=DAYS).diff().shift(-1).to_numpy()
    return pd.DataFrame(values, index=DAYS)


def clues_of(series, names, times=None, *, kind="log_return", values=None):
    values = columns_of() if values is None else values
    none = pd.DataFrame(index=DAYS)
    panel = Panel(values, 0.0 * values.fillna(0.0), none, none, futures={}, start=None)
    settings = DatasetSettings(
        features=tuple(FeatureSettings(name=name) for name in names),
        target=TargetSettings(series=series, kind=kind, horizon=1),
        split=RatioSplit(method="ratio", train=0.6, val=0.2, test=0.2),
        window=WindowSettings(sequence_length=5),
        scaling=ScalingSettings(method="none"),
        batch_size=16,
        seed=0,
    )
    prices = {name: PriceSettings(kind=None, time=time) for name, time in (times or {}).items()}
    return build_clues(panel, build_datamodule(panel, settings), prices, settings)


def test_of_unknown_times_the_features_that_move_with_the_target_are_written():
    clues = clues_of("a", ["a", "index", "other"])
    assert list(clues) == [("unknown", "index")]
    # 99 rows have a target: 59 train, 19 validate, and the origins of the test are rows 78 to 98.
    moves = columns_of()["index"].diff()
    expected = moves.iloc[78:99] / moves.iloc[:59].std()
    np.testing.assert_allclose(clues["unknown", "index"], expected)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("17:30", [("later", "index (17:30)"), ("later", "other (17:30)")]),
        ("16:00", []),
        ("09:05", []),
    ],
)
def test_declared_times_decide_which_features_are_later(time, expected):
    times = {"a": "16:00", "index": time, "other": time}
    assert list(clues_of("a", ["index", "other"], times)) == expected


@pytest.mark.parametrize(
    ("series", "kind"), [("ratio", "log_return"), ("ahead", "given")], ids=["ratio", "difference"]
)
def test_the_legs_of_a_spread_are_found_by_their_moves(series, kind):
    values = columns_of()
    clues = clues_of(series, ["other"], kind=kind, values=values)
    assert sorted(clues) == [("leg", "a"), ("leg", "b")]
    logarithm = series == "ratio"
    for name in ("a", "b"):
        level = 100 * np.log(values[name]) if logarithm else values[name]
        moves = level.shift(-1) - level
        expected = moves.iloc[78:99] / moves.iloc[:59].std()
        np.testing.assert_allclose(clues["leg", name], expected)


def test_a_price_alone_has_no_legs():
    assert list(clues_of("a", ["other"])) == []
    assert len(clues_of("a", ["other"])) == 21


def test_the_future_chooses_no_clue():
    values = columns_of()
    values.iloc[70:] *= np.random.default_rng(1).uniform(0.5, 2, (ROWS - 70, values.shape[1]))
    assert list(clues_of("a", ["a", "index", "other"], values=values)) == [("unknown", "index")]
    assert list(clues_of("a", ["index"])) == list(clues_of("a", ["index"], values=values))
