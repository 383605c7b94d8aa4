"""Windows and the order in which batches come."""

import numpy as np
import pytest
import torch

from ironore_lightning.data.windows import Batch, ShuffledChunks, WindowDataset, load_windows

ROWS, LENGTH = 40, 5
FEATURES = torch.arange(ROWS * 3, dtype=torch.float32).reshape(ROWS, 3)
TARGET = -torch.arange(ROWS, dtype=torch.float32)


def dataset(origins=range(LENGTH - 1, ROWS)):
    return WindowDataset(FEATURES, TARGET, np.array(origins), sequence_length=LENGTH)


def shuffled(num_samples=100, *, batch_size=16, seed=0, epoch=0, num_replicas=1, rank=0):
    chunks = ShuffledChunks(
        num_samples, batch_size=batch_size, seed=seed, num_replicas=num_replicas, rank=rank
    )
    chunks.set_epoch(epoch)
    return chunks


def batches_of(chunks, batch_size=16):
    """Return the positions of each batch that a step is taken on."""
    return [batch.tolist() for chunk in chunks for batch in chunk.split(batch_size)]


def order(chunks):
    return torch.cat(list(chunks)).tolist()


# --- windows --------------------------------------------------------------------------------------


def test_a_batch_holds_the_rows_up_to_its_origins():
    batch = dataset([4, 11, 39])[torch.tensor([2, 0, 1])]
    assert isinstance(batch, Batch)
    expected = np.stack([FEATURES.numpy()[first : first + 5] for first in (35, 0, 7)])
    np.testing.assert_array_equal(batch.inputs.numpy(), expected)
    assert batch.target.tolist() == [-39, -4, -11]


def test_the_last_row_of_the_inputs_is_the_origin():
    batch = dataset()[torch.arange(36)]
    assert batch.inputs.shape == (36, LENGTH, 3)
    torch.testing.assert_close(batch.inputs[:, -1], FEATURES[4:], rtol=0, atol=0)
    torch.testing.assert_close(batch.inputs[:, 0], FEATURES[:36], rtol=0, atol=0)


def test_windows_are_views_of_the_table():
    windows = dataset().windows
    assert windows.shape == (36, LENGTH, 3)
    assert windows.untyped_storage().data_ptr() == FEATURES.untyped_storage().data_ptr()
    assert windows.data_ptr() == FEATURES.data_ptr()
    assert windows.untyped_storage().nbytes() == ROWS * 3 * 4


def test_a_window_may_be_one_row_or_the_whole_table():
    single = WindowDataset(FEATURES, TARGET, np.array([7]), sequence_length=1)
    assert single[torch.tensor([0])].inputs.tolist() == [[FEATURES[7].tolist()]]
    whole = WindowDataset(FEATURES, TARGET, np.array([39]), sequence_length=40)
    torch.testing.assert_close(whole[torch.tensor([0])].inputs[0], FEATURES, rtol=0, atol=0)


def test_samples_are_counted_by_origins():
    assert len(dataset([4, 11, 39])) == 3


# --- order ----------------------------------------------------------------------------------------


def test_an_epoch_sees_every_sample_once():
    chunks = shuffled()
    assert [len(batch) for batch in batches_of(chunks)] == [16] * 6 + [4]
    assert order(chunks) != list(range(100))
    assert sorted(order(chunks)) == list(range(100))


@pytest.mark.parametrize(
    ("num_samples", "batch_size", "expected"),
    [
        (2500, 32, [1024, 1024, 452]),
        (2048, 1024, [1024, 1024]),
        (2500, 1000, [1000, 1000, 500]),
        (2500, 400, [800, 800, 800, 100]),
        (2500, 2000, [2000, 500]),
    ],
    ids=str,
)
def test_a_chunk_holds_the_whole_batches_of_at_most_1024_samples_and_at_least_one(
    num_samples, batch_size, expected
):
    chunks = shuffled(num_samples, batch_size=batch_size)
    assert [len(chunk) for chunk in chunks] == expected
    assert len(chunks) == len(expected)
    sizes = [len(batch) for batch in batches_of(chunks, batch_size)]
    assert set(sizes[:-1]) == {batch_size}
    assert sum(sizes) == num_samples


def test_a_chunk_is_cut_into_batches_that_are_views_of_it():
    chunk = dataset()[torch.arange(36)]
    first, second, third = chunk.split(16)
    assert [len(batch.target) for batch in (first, second, third)] == [16, 16, 4]
    assert torch.equal(torch.cat([first.inputs, second.inputs, third.inputs]), chunk.inputs)
    assert third.target.tolist() == [-36, -37, -38, -39]
    assert second.inputs.data_ptr() == chunk.inputs[16:].data_ptr()


def test_seed_and_epoch_alone_decide_the_order():
    first = order(shuffled(seed=3, epoch=5))
    torch.manual_seed(1234)
    torch.rand(10)
    assert order(shuffled(seed=3, epoch=5)) == first
    others = [order(shuffled(seed=seed, epoch=epoch)) for seed, epoch in ((3, 6), (4, 5), (5, 3))]
    assert len({tuple(other) for other in [first, *others]}) == 4


def test_the_largest_seed_is_allowed():
    assert len(order(shuffled(seed=2**32 - 1, epoch=100_000))) == 100


@pytest.mark.parametrize(
    ("num_samples", "num_replicas"),
    [(128, 2), (100, 2), (100, 3), (5000, 3)],
    ids=["even", "odd", "three", "several chunks"],
)
def test_replicas_share_the_batches_of_one_order(num_samples, num_replicas):
    alone = batches_of(shuffled(num_samples))
    shares = [
        batches_of(shuffled(num_samples, num_replicas=num_replicas, rank=rank))
        for rank in range(num_replicas)
    ]
    steps = -(-len(alone) // num_replicas)
    assert [len(share) for share in shares] == [steps] * num_replicas
    # Step by step, replica by replica: the order of one process, then its first batches again.
    dealt = [batch for step in zip(*shares, strict=True) for batch in step]
    extra = steps * num_replicas - len(alone)
    assert 0 <= extra < num_replicas
    assert dealt == alone + alone[:extra]


@pytest.mark.parametrize("num_replicas", [2, 3, 8], ids=str)
def test_more_replicas_than_batches_still_get_one_each(num_replicas):
    shares = [
        batches_of(shuffled(10, num_replicas=num_replicas, rank=rank))
        for rank in range(num_replicas)
    ]
    assert [len(share) for share in shares] == [1] * num_replicas
    assert all(len(batch) == 10 for (batch,) in shares)


@pytest.mark.parametrize(
    "positions",
    [shuffled(36), torch.arange(36).split(16)],
    ids=["shuffled", "ordered"],
)
def test_loading_samples_leaves_the_global_generator_alone(positions):
    before = torch.get_rng_state()
    loader = load_windows(dataset(), positions)
    batches = list(loader)
    assert len(loader) == len(batches) == len(positions)
    assert all(isinstance(batch, Batch) for batch in batches)
    assert sorted(torch.cat([batch.target for batch in batches]).tolist()) == list(range(-39, -3))
    assert torch.equal(torch.get_rng_state(), before)
