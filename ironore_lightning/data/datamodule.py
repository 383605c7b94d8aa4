"""The LightningDataModule: split by time, scale by the training rows, cut windows, batch."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from ironore_lightning.data.features import build_table
from ironore_lightning.data.panel import Panel
from ironore_lightning.data.scaling import fit_scaler, scale_table, target_values
from ironore_lightning.data.splits import SEGMENTS, Split, build_split, sample_origins, split_table
from ironore_lightning.data.windows import Batch, ShuffledChunks, WindowDataset, load_windows
from ironore_lightning.settings.samples import DatasetSettings

EVALUATION_BATCH = 4096
"""Samples per batch outside training; more than a usual segment has."""


class WindowDataModule(LightningDataModule):
    """Chronological samples of one table.

    Attributes:
        features: Unscaled.
        target: By origin.
        split: Rows of each segment.
        scaler: Fitted on the training rows.
        datasets: Samples by segment, in time order.
        origins: Rows of all samples, segment after segment, shape (N,).
        left_out: Rows of the test segment whose outcome holds a break of the specification, (M,).
        table: Rows, samples and dates of each segment.

    Args:
        features: Shape (T, F), one row per trading day, without gaps.
        target: By origin, shape (T, 3): `date` of the outcome, `value`, `is_roll`; perhaps
            `profit`, see `build_target`; and `with_breaks` where the series has break days, see
            `build_table`.
        settings: Split, scaling, windows and batches.
        split: Rows of each segment; None to cut them by the settings.
    """

    def __init__(
        self,
        features: pd.DataFrame,
        target: pd.DataFrame,
        settings: DatasetSettings,
        *,
        split: Split | None = None,
    ) -> None:
        """Split the rows, fit the scaler on the training rows, and make windows."""
        super().__init__()
        self.features = features
        self.target = target
        self.batch_size = settings.batch_size
        self.seed = settings.seed
        length, horizon = settings.window.sequence_length, settings.target.horizon
        self.split = split or build_split(
            target, settings.split, sequence_length=length, horizon=horizon
        )
        self.table = split_table(target, self.split, length)
        self.scaler = fit_scaler(self.training_rows.to_numpy(dtype=np.float64), settings.scaling)
        rows = self.split.rows
        origins = {name: sample_origins(target, rows(name), length) for name in SEGMENTS}
        self.origins = np.concatenate(list(origins.values()))
        self.left_out = _left_out_rows(target, self.split.test, length)
        self._samples = partial(
            WindowDataset,
            torch.from_numpy(scale_table(self.scaler, features)),
            torch.from_numpy(target_values(target)),
            sequence_length=length,
        )
        self.datasets = {name: self._samples(chosen) for name, chosen in origins.items()}

    @property
    def training_rows(self) -> pd.DataFrame:
        """Return the unscaled features of the training segment."""
        return self.features.iloc[self.split.train.start : self.split.train.stop]

    @property
    def outcomes(self) -> pd.DataFrame:
        """Return one row per sample: `date`, `segment`, `actual`, `is_roll`, perhaps `profit`."""
        rows = self.target.iloc[self.origins].drop(columns="with_breaks", errors="ignore")
        segment = np.repeat(list(self.datasets), self.table["samples"])
        named = rows.rename(columns={"value": "actual"}).reset_index(drop=True)
        named.insert(1, "segment", segment)
        return named

    def windows(self, rows: npt.NDArray[np.intp] | None = None) -> npt.NDArray[np.float32]:
        """Return a copy of the scaled windows that end at `rows`, or of every sample, (N, L, F)."""
        rows = self.origins if rows is None else rows
        return self._samples(rows)[torch.arange(len(rows))].inputs.numpy()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return chunks of shuffled batches, which processes share."""
        dataset = self.datasets["train"]
        chunks = ShuffledChunks(
            len(dataset),
            batch_size=self.batch_size,
            seed=self.seed,
            num_replicas=self.trainer.world_size if self.trainer else 1,
            rank=self.trainer.global_rank if self.trainer else 0,
        )
        return load_windows(dataset, chunks)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation samples in time order."""
        return _load_ordered(self.datasets["val"])

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return every sample, segment after segment, in time order."""
        return _load_ordered(self._samples(self.origins))

    def state_dict(self) -> dict[str, Any]:
        """Return the scaler for the checkpoint, to scale new rows in the same way."""
        return {name: torch.tensor(values) for name, values in vars(self.scaler).items()}


def _left_out_rows(target: pd.DataFrame, test: range, length: int) -> npt.NDArray[np.intp]:
    """Return the rows of the test segment whose outcome holds a break of the specification."""
    if "with_breaks" not in target:
        return np.empty(0, dtype=np.intp)
    lost = target["with_breaks"].where(target["value"].isna())
    return sample_origins(target.assign(value=lost), test, length)


def outcomes_with_breaks(module: WindowDataModule) -> pd.DataFrame:
    """Return the outcomes with the rows left out, in time order; the index is the row."""
    lost = module.target.iloc[module.left_out]
    known = module.outcomes.set_axis(module.origins, axis=0)
    more = lost.assign(segment="test", actual=lost["with_breaks"]).set_axis(module.left_out, axis=0)
    return pd.concat([known, more[known.columns]]).sort_index()


def _load_ordered(dataset: WindowDataset) -> DataLoader[Batch]:
    return load_windows(dataset, torch.split(torch.arange(len(dataset)), EVALUATION_BATCH))


def build_datamodule(panel: Panel, settings: DatasetSettings) -> WindowDataModule:
    """Return the samples of a panel.

    Raises:
        ConfigError: If the settings do not fit the panel.
        DataError: If a feature has no value where it is needed.
        LeakageError: If a feature equals the target.
    """
    features, target = build_table(panel, settings.features, settings.target)
    return WindowDataModule(features, target, settings)
