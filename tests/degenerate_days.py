"""Days on which little can be said, and how to ask whether that was said."""

from math import isfinite

import numpy as np
import pytest


def exactly(value):
    return pytest.approx(value, rel=1e-8, abs=1e-8)


def luck(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


DEGENERATE = {
    "no day": ([], [], []),
    "one day": ([1.0], [2.0], [0.0]),
    "two days": ([1.0, -1.0], [2.0, -3.0], [0.0, 0.0]),
    "two equal days": ([1.0, 1.0], [1.0, 1.0], [1.0, 1.0]),
    "all constant": ([1.0] * 60, [2.0] * 60, [0.0] * 60),
    "same as the benchmark": (list(luck(0, 60)), list(luck(1, 60)), list(luck(0, 60))),
    "no move at all": (list(luck(0, 60)), [0.0] * 60, [0.0] * 60),
    "one move only": (list(luck(0, 60)), [1.0, *[0.0] * 59], [0.0] * 60),
    "forecast of zero": ([0.0] * 60, list(luck(1, 60)), [0.0] * 60),
    "perfect forecast": (list(luck(1, 60)), list(luck(1, 60)), [0.0] * 60),
    "one loss of many": ([1.0, *[0.0] * 59], [2.0, *[1.0] * 59], [0.0] * 60),
    "constant but for rounding": ([0.1 + 0.2] * 60, [0.3, -0.3] * 30, [0.0] * 60),
}
BY_DEGENERATION = pytest.mark.parametrize(
    ("forecast", "actual", "benchmark"),
    [tuple(map(np.array, days)) for days in DEGENERATE.values()],
    ids=DEGENERATE,
)


def require_finite_or_explained(numbers, note):
    assert all(number is None or isfinite(number) for number in numbers)
    assert note == "" or note.startswith("undefined: ")
    assert (None in numbers) == (note != "")
