"""From one table to loaders: the cut, the scaler and the batches together."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.windows import ShuffledChunks
from ironore_lightning.settings.samples import (
    DatasetSettings,
    DateSplit,
    RatioSplit,
    ScalingSettings,
    TargetSettings,
    WindowSettings,
)

ROWS, LENGTH = 120, 10
DAYS = pd.bdate_range("2023-01-02", periods=ROWS + 1, name="date")


def features_of(seed=0):
    values = np.random.default_rng(seed).normal([100, 0, -5], [10, 1, 3], (ROWS + 1, 3))
    return pd.DataFrame(values, index=DAYS, columns=["a", "b", "c"])


def target_of(missing=()):
    value = np.arange(ROWS + 1) / 7 - 3
    value[[ROWS, *missing]] = np.nan
    return pd.DataFrame({"date": pd.Series(DAYS, index=DAYS).shift(-1), "value": value})


def module_of(features=None, target=None, *, split=None, method="minmax", seed=0, batch_size=16):
    settings = DatasetSettings(
        features=(),
        target=TargetSettings(series="price", kind="log_return", horizon=1),
        split=split or RatioSplit(method="ratio", train=0.6, val=0.2, test=0.2),
        window=WindowSettings(sequence_length=LENGTH),
        scaling=ScalingSettings(method=method),
        batch_size=batch_size,
        seed=seed,
    )
    features = features_of() if features is None else features
    return WindowDataModule(features, target_of() if target is None else target, settings)


def read(loader):
    """All samples of a loader: inputs (N, L, F) and targets (N,)."""
    batches = list(loader)
    return (
        torch.cat([batch.inputs for batch in batches]).numpy(),
        torch.cat([batch.target for batch in batches]).numpy(),
    )


def by_hand(features, target, origins, training_rows):
    """Slice and scale one sample after the other."""
    low, high = features[:training_rows].min(axis=0), features[:training_rows].max(axis=0)
    scaled = ((features - low) / (high - low)).astype(np.float32)
    inputs = np.stack([scaled[origin - LENGTH + 1 : origin + 1] for origin in origins])
    return inputs, target[origins].astype(np.float32)


@pytest.mark.parametrize(
    ("loader", "origins"), [("val", range(72, 96)), ("predict", range(9, 120))], ids=str
)
def test_evaluation_batches_equal_rows_sliced_by_hand(loader, origins):
    inputs, target = read(getattr(module_of(), f"{loader}_dataloader")())
    assert inputs.shape == (len(origins), LENGTH, 3)
    expected = by_hand(
        features_of().to_numpy(), target_of()["value"].to_numpy(), np.array(origins), 72
    )
    np.testing.assert_allclose(inputs, expected[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(target, expected[1])


def test_training_batches_hold_every_training_sample_once():
    module = module_of()
    inputs, target = read(module.train_dataloader())
    assert inputs.shape == (63, LENGTH, 3)
    expected = by_hand(
        features_of().to_numpy(), target_of()["value"].to_numpy(), np.arange(9, 72), 72
    )
    by_target = np.argsort(target)
    assert not np.array_equal(by_target, np.arange(63))
    np.testing.assert_array_equal(target[by_target], expected[1])
    np.testing.assert_allclose(inputs[by_target], expected[0], rtol=1e-6, atol=1e-6)


def test_prediction_reads_all_samples_in_time_order():
    module = module_of()
    inputs, target = read(module.predict_dataloader())
    assert len(inputs) == len(module.origins) == 63 + 24 + 24
    np.testing.assert_array_equal(module.origins, np.arange(9, 120))
    np.testing.assert_array_equal(target, target_of()["value"].to_numpy(np.float32)[9:120])


def test_the_windows_of_all_samples_are_those_that_prediction_reads():
    module = module_of(target=target_of(missing=[50]))
    windows = module.windows()
    assert windows.shape == (110, LENGTH, 3)
    np.testing.assert_array_equal(windows, read(module.predict_dataloader())[0])


def test_the_target_is_the_day_after_the_last_row_read():
    # Feature and target both count rows: the return from row 41 to 42 is 41 -> 42.
    counted = pd.DataFrame({"row": np.arange(ROWS + 1, dtype=float)}, index=DAYS)
    target = target_of().assign(value=[*np.arange(1.0, ROWS + 1), np.nan])
    module = module_of(counted, target, method="none")
    inputs, outcome = read(module.predict_dataloader())
    assert len(outcome) == 111
    np.testing.assert_array_equal(inputs[:, -1, 0] + 1, outcome)
    dates = target["date"].iloc[module.origins]
    np.testing.assert_array_equal(dates, DAYS[outcome.astype(int)])


def test_a_window_reaches_back_across_a_border():
    counted = pd.DataFrame({"row": np.arange(ROWS + 1, dtype=float)}, index=DAYS)
    module = module_of(counted, method="none")
    assert module.split.val.start == 72
    inputs, _ = read(module.val_dataloader())
    assert inputs[0, :, 0].tolist() == list(range(63, 73))


def test_all_segments_look_at_one_table():
    module = module_of()
    storages = {
        dataset.windows.untyped_storage().data_ptr() for dataset in module.datasets.values()
    }
    assert list(module.datasets) == ["train", "val", "test"]
    assert len(storages) == 1


@pytest.mark.parametrize("method", ["minmax", "standard", "robust"])
def test_only_training_rows_decide_the_scale(method):
    features = features_of()
    shocked = features.copy()
    shocked.iloc[72:] = shocked.iloc[72:] * 50 - 1000
    before, after = module_of(features, method=method), module_of(shocked, method=method)
    np.testing.assert_array_equal(before.scaler.center, after.scaler.center)
    np.testing.assert_array_equal(before.scaler.spread, after.scaler.spread)
    for old, new in zip(
        read(before.train_dataloader()), read(after.train_dataloader()), strict=True
    ):
        assert len(old) == 63
        np.testing.assert_array_equal(old, new)
    shocked.iloc[71] += 1e6
    with_last_row = module_of(shocked, method=method).scaler
    assert (with_last_row.spread != before.scaler.spread).all()


def test_training_values_are_scaled_to_the_unit_range():
    inputs, _ = read(module_of().train_dataloader())
    assert inputs.min() == pytest.approx(0, abs=1e-6)
    assert inputs.max() == pytest.approx(1, abs=1e-6)


def test_the_target_is_never_scaled():
    for method in ("minmax", "standard", "robust", "none"):
        _, target = read(module_of(method=method).predict_dataloader())
        np.testing.assert_array_equal(target, target_of()["value"].to_numpy(np.float32)[9:120])


def test_rows_without_a_target_are_in_windows_but_no_samples():
    module = module_of(target=target_of(missing=[50, 80]))
    assert module.table["samples"].tolist() == [62, 23, 24]
    assert module.table["rows"].tolist() == [72, 24, 24]
    _, target = read(module.predict_dataloader())
    assert np.isfinite(target).all()
    assert len(target) == 109


def test_dates_cut_as_well_as_shares():
    split = DateSplit(
        method="date", val_start=datetime.date(2023, 4, 13), test_start=datetime.date(2023, 5, 17)
    )
    # Row 72 is 12 April, its target 13 April; row 96 is 16 May.
    module = module_of(split=split)
    assert module.split == module_of().split
    assert module.table["first_date"].tolist()[1:] == ["2023-04-13", "2023-05-17"]


# --- order ----------------------------------------------------------------------------------------


def test_the_order_of_training_batches_depends_on_the_seed_only():
    first, again, other = (read(module_of(seed=seed).train_dataloader())[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(np.sort(first), np.sort(other))


def test_the_sampler_takes_the_epoch_from_the_trainer():
    loader = module_of().train_dataloader()
    assert isinstance(loader.sampler, ShuffledChunks)
    first = read(loader)[1]
    loader.sampler.set_epoch(1)
    second = read(loader)[1]
    assert not np.array_equal(first, second)
    loader.sampler.set_epoch(0)
    np.testing.assert_array_equal(read(loader)[1], first)


@pytest.mark.parametrize("name", ["train", "val", "predict"])
def test_loaders_leave_the_global_generator_alone(name):
    module = module_of()
    before = torch.get_rng_state()
    assert len(read(getattr(module, f"{name}_dataloader")())[1]) >= 24
    assert torch.equal(torch.get_rng_state(), before)


def test_the_checkpoint_holds_the_scaler_as_tensors():
    module = module_of()
    state = module.state_dict()
    assert sorted(state) == ["center", "spread"]
    np.testing.assert_array_equal(state["center"].numpy(), module.scaler.center)
    np.testing.assert_array_equal(state["spread"].numpy(), module.scaler.spread)
    assert all(value.dtype == torch.float64 for value in state.values())
