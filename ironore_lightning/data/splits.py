"""Chronological splits: train, validation, test, and the folds of a walk-forward."""

import datetime
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ironore_lightning.errors import ConfigError, DataError, LeakageError
from ironore_lightning.settings.samples import DateSplit, RatioSplit, WalkForwardSplit

SEGMENTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Rows of each segment of one fold, by origin, in time order."""

    train: range
    val: range
    test: range

    def __post_init__(self) -> None:
        """Raise `LeakageError` if segments overlap or are not in time order."""
        if not self.train.stop <= self.val.start <= self.val.stop <= self.test.start:
            raise LeakageError(f"segments overlap or run backwards: {self}")

    def rows(self, segment: str) -> range:
        """Return the rows of `train`, `val` or `test`."""
        return {"train": self.train, "val": self.val, "test": self.test}[segment]


def build_split(
    target: pd.DataFrame,
    settings: RatioSplit | DateSplit | WalkForwardSplit,
    *,
    sequence_length: int,
    horizon: int,
) -> Split:
    """Return the split: each row is in the segment that contains its target date.

    Windows may reach back into an earlier segment; targets may not: where returns overlap
    (horizon > 1) the last horizon - 1 rows before a border are left out (purged). An embargo is not
    needed, as training rows come first.

    Args:
        target: By origin, T rows, with `date` and `value`.
        settings: Shares, the first target dates of validation and test, or a walk-forward fold.
        sequence_length: Rows that a window reads (L).
        horizon: Days that a target reaches (H).

    Raises:
        DataError: If there are fewer rows than one window needs.
        ConfigError: If a segment has no sample, training has fewer samples than the horizon has
            days, or there is no such fold.

    References:
        Purging: Lopez de Prado (2018), "Advances in Financial Machine Learning", chapter 7.
    """
    dated = int(target["date"].notna().sum())
    if dated < sequence_length:
        raise DataError(
            f"the data hold {dated} rows with a target from {_first_day(target)}, and one window "
            f"reads {sequence_length}; add history or lower window.sequence_length"
        )
    purged = horizon - 1
    if isinstance(settings, WalkForwardSplit):
        split = _fold_split(settings, dated, sequence_length=sequence_length, purged=purged)
    else:
        val_start, test_start = _borders(target, settings, dated)
        split = Split(
            train=range(max(val_start - purged, 0)),
            val=range(val_start, max(test_start - purged, val_start)),
            test=range(test_start, dated),
        )
    _require_samples(split, target, sequence_length=sequence_length, horizon=horizon)
    return split


def walk_forward_fold(
    num_samples: int, *, initial: int, step: int, purged: int, rolling: bool, fold: int
) -> tuple[range, range]:
    """Return the past (training and validation) and the test samples of one fold.

    The last fold may be short.

    Args:
        num_samples: Number of samples (N).
        initial: Samples in the past of fold 0, and of every fold if `rolling`.
        step: Samples of a test segment.
        purged: Samples left out between past and test, whose returns would overlap.
        rolling: Whether the past keeps its length; otherwise it grows.
        fold: From 0.

    Raises:
        ConfigError: If there is no such fold.
    """
    num_folds = count_walk_forward_folds(num_samples, initial=initial, step=step, purged=purged)
    if fold >= num_folds:
        raise ConfigError(
            f"split.fold: there is no fold {fold}; {num_samples} samples have {num_folds} folds "
            f"of {step} after the first {initial}, counted from 0"
        )
    past = range(fold * step if rolling else 0, initial + fold * step)
    start = past.stop + purged
    return past, range(start, min(start + step, num_samples))


def count_walk_forward_folds(num_samples: int, *, initial: int, step: int, purged: int) -> int:
    """Return the number of folds with a test sample; arguments as in `walk_forward_fold`."""
    return max(math.ceil((num_samples - initial - purged) / step), 0)


def _require_samples(
    split: Split, target: pd.DataFrame, *, sequence_length: int, horizon: int
) -> None:
    dated = int(target["date"].notna().sum())
    for segment in SEGMENTS:
        rows = split.rows(segment)
        count = len(sample_origins(target, rows, sequence_length))
        if not count:
            raise ConfigError(
                f"split: the {segment} segment holds no sample: {len(rows)} of {dated} rows are "
                f"its own, {horizon - 1} before a border overlap it (target.horizon), and a window "
                f"reads {sequence_length}"
            )
        if segment == "train" and count < horizon:
            raise ConfigError(
                f"split: the train segment holds {count} samples, fewer than the {horizon} days of "
                "target.horizon; no outcome would be known when validation begins"
            )


def _fold_split(
    settings: WalkForwardSplit, dated: int, *, sequence_length: int, purged: int
) -> Split:
    """Return the rows of a fold; the validation segment is the end of the past."""
    before = sequence_length - 1  # rows that end no full window
    past, test = walk_forward_fold(
        dated - before,
        initial=settings.initial,
        step=settings.step,
        purged=purged,
        rolling=settings.rolling,
        fold=settings.fold,
    )
    val_start = past.stop - math.ceil(len(past) * settings.val)
    # Training includes the rows of the first window, unless the past has rolled on.
    train_start = past.start + before if past.start else 0
    return Split(
        train=range(train_start, max(val_start + before - purged, train_start)),
        val=range(val_start + before, past.stop + before),
        test=range(test.start + before, test.stop + before),
    )


def _borders(target: pd.DataFrame, settings: RatioSplit | DateSplit, dated: int) -> tuple[int, int]:
    """Return the first rows of validation and test."""
    if isinstance(settings, DateSplit):
        return _first_row(target, settings.val_start), _first_row(target, settings.test_start)
    # The small number absorbs rounding: 0.7 of 10 rows is 7.
    val_start = int(dated * settings.train + 1e-9)
    return val_start, val_start + int(dated * settings.val + 1e-9)


def sample_origins(target: pd.DataFrame, rows: range, sequence_length: int) -> np.ndarray:
    """Return the rows that end a full window and have a target, shape (N,), ascending."""
    origins = np.arange(max(rows.start, sequence_length - 1), rows.stop)
    known = target["value"].notna().to_numpy()[origins]
    return np.asarray(origins[known])


def split_table(target: pd.DataFrame, split: Split, sequence_length: int) -> pd.DataFrame:
    """Return rows, samples, and first and last target date (None without any) of each segment."""
    lines = []
    for segment in SEGMENTS:
        rows = split.rows(segment)
        origins = sample_origins(target, rows, sequence_length)
        dates = target["date"].iloc[origins]
        ends = [f"{dates.iloc[end]:%Y-%m-%d}" for end in (0, -1)] if len(dates) else [None, None]
        lines.append((segment, len(rows), len(origins), *ends))
    columns = ["segment", "rows", "samples", "first_date", "last_date"]
    return pd.DataFrame(lines, columns=columns)


def _first_row(target: pd.DataFrame, day: datetime.date) -> int:
    return int(target["date"].dropna().searchsorted(pd.Timestamp(day)))


def _first_day(target: pd.DataFrame) -> object:
    return target.index[0].date() if len(target) else "nowhere"
