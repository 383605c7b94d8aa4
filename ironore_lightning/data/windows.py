"""Windows as views of one tensor, their order, and the loader that gathers them."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

SAMPLES_PER_CHUNK = 1024
"""Training samples gathered at once; 12 MiB for long windows."""


class Batch(NamedTuple):
    """Inputs and targets of some samples.

    Attributes:
        inputs: Scaled features, shape (B, L, F); the last row is the origin.
        target: Return after the origin, shape (B,), per cent, never scaled.
    """

    inputs: Tensor
    target: Tensor

    def split(self, batch_size: int) -> Iterator["Batch"]:
        """Cut a chunk into batches, views of it; the last may be short."""
        inputs, target = (torch.split(values, batch_size) for values in self)
        return map(Batch, inputs, target)


class WindowDataset(Dataset[Batch]):
    """Samples of one segment; indexing with a tensor of positions gathers them all at once.

    Args:
        features: Scaled, shape (T, F).
        target: By origin, shape (T,), per cent.
        origins: Last row of each sample's window, shape (N,), each at least L - 1.
        sequence_length: Rows of a window (L).
    """

    def __init__(
        self,
        features: Tensor,
        target: Tensor,
        origins: npt.NDArray[np.intp],
        *,
        sequence_length: int,
    ) -> None:
        """Make a view of every window, without copying."""
        self.windows = features.unfold(0, sequence_length, 1).transpose(1, 2)
        self.target = target
        self.origins = torch.from_numpy(origins)
        self.sequence_length = sequence_length

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.origins)

    def __getitem__(self, positions: Tensor) -> Batch:
        """Gather the samples at `positions`, shape (B,)."""
        origins = self.origins[positions]
        return Batch(self.windows[origins - self.sequence_length + 1], self.target[origins])


def load_windows(dataset: WindowDataset, positions: Iterable[Tensor]) -> DataLoader[Batch]:
    """Return a loader of the samples at `positions`, shape (B,) each.

    Without its own generator, a loader would draw from the global one.
    """
    return DataLoader(dataset, batch_size=None, sampler=positions, generator=torch.Generator())


class ShuffledChunks(Sampler[Tensor]):
    """Chunks of shuffled positions; only seed and epoch decide the order, also of a resumed run.

    A chunk has as many whole batches as `SAMPLES_PER_CHUNK` allows, at least one; the module takes
    a step on each. Lightning's overhead occurs once per chunk, as it exceeds a step of a small
    network.

    Args:
        num_samples: Positions to draw from (N).
        batch_size: Positions per batch; the last of an epoch may be short.
        seed: Of the order.
        num_replicas: Processes that share the batches equally; early batches fill up the rest.
        rank: Of this process.
    """

    def __init__(
        self, num_samples: int, *, batch_size: int, seed: int, num_replicas: int, rank: int
    ) -> None:
        """Start at epoch 0."""
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.num_batches = math.ceil(math.ceil(num_samples / batch_size) / num_replicas)
        self.batches_per_chunk = max(SAMPLES_PER_CHUNK // batch_size, 1)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; the trainer calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the chunks of this process."""
        return math.ceil(self.num_batches / self.batches_per_chunk)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield positions, shape (C,); only the last batch of an epoch may be short."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.num_samples, generator=generator)
        batches = torch.split(order, self.batch_size)
        own = [
            batches[(number * self.num_replicas + self.rank) % len(batches)]
            for number in range(self.num_batches)
        ]
        for first in range(0, self.num_batches, self.batches_per_chunk):
            yield torch.cat(own[first : first + self.batches_per_chunk])
