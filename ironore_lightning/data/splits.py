"""Cut a target once along time into train, validation and test."""

import datetime
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ironore_lightning.config import DateSplit, RatioSplit
from ironore_lightning.errors import ConfigError, DataError, LeakageError

SEGMENTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Rows of one fold, in time order and half open like `range`; a row is named by its origin."""

    train: range
    val: range
    test: range

    def __post_init__(self) -> None:
        """Refuse segments that overlap or run backwards."""
        if not self.train.stop <= self.val.start <= self.val.stop <= self.test.start:
            raise LeakageError(f"segments overlap or run backwards: {self}")

    def rows(self, segment: str) -> range:
        """Return the rows of `train`, `val` or `test`."""
        return {"train": self.train, "val": self.val, "test": self.test}[segment]


def build_split(
    target: pd.DataFrame,
    settings: RatioSplit | DateSplit,
    *,
    sequence_length: int,
    horizon: int,
) -> Split:
    """Give each row to the segment that holds its target date.

    Windows may reach back into an earlier segment; targets may not: where returns overlap
    (horizon > 1) the last horizon - 1 rows before a border are left out (purged).

    Args:
        target: By origin, shape (T, 2): `date` and `value`.
        settings: Shares, or the first target dates of validation and test.
        sequence_length: Rows that a window reads (L).
        horizon: Days that a target reaches (H).

    Raises:
        DataError: If there are fewer rows than one window needs.
        ConfigError: If a segment is left without a sample.

    References:
        Purging: Lopez de Prado (2018), "Advances in Financial Machine Learning", chapter 7.
    """
    dated = int(target["date"].notna().sum())
    if dated < sequence_length:
        raise DataError(
            f"the data hold {dated} rows with a target from {_first_day(target)}, and one window "
            f"reads {sequence_length}; add history or lower window.sequence_length"
        )
    if isinstance(settings, RatioSplit):
        # The small number keeps 0.7 of 10 rows at 7 in spite of binary fractions.
        val_start = int(dated * settings.train + 1e-9)
        test_start = val_start + int(dated * settings.val + 1e-9)
    else:
        val_start = _first_row(target, settings.val_start)
        test_start = _first_row(target, settings.test_start)
    purged = horizon - 1
    split = Split(
        train=range(max(val_start - purged, 0)),
        val=range(val_start, max(test_start - purged, val_start)),
        test=range(test_start, dated),
    )
    for segment in SEGMENTS:
        if not len(sample_origins(target, split.rows(segment), sequence_length)):
            raise ConfigError(
                f"split: the {segment} segment holds no sample: {len(split.rows(segment))} of "
                f"{dated} rows are its own, and a window reads {sequence_length}"
            )
    return split


def sample_origins(target: pd.DataFrame, rows: range, sequence_length: int) -> np.ndarray:
    """Return the rows that end a full window and have a target, shape (N,), ascending."""
    origins = np.arange(max(rows.start, sequence_length - 1), rows.stop)
    known = target["value"].notna().to_numpy()[origins]
    return np.asarray(origins[known])


def split_table(target: pd.DataFrame, split: Split, sequence_length: int) -> pd.DataFrame:
    """Say what each segment holds: rows, samples, and its first and last target date."""
    lines = []
    for segment in SEGMENTS:
        rows = split.rows(segment)
        origins = sample_origins(target, rows, sequence_length)
        dates = target["date"].iloc[origins]
        first, last = (f"{dates.iloc[end]:%Y-%m-%d}" for end in (0, -1))
        lines.append((segment, len(rows), len(origins), first, last))
    columns = ["segment", "rows", "samples", "first_date", "last_date"]
    return pd.DataFrame(lines, columns=columns)


def _first_row(target: pd.DataFrame, day: datetime.date) -> int:
    return int(target["date"].dropna().searchsorted(pd.Timestamp(day)))


def _first_day(target: pd.DataFrame) -> object:
    return target.index[0].date() if len(target) else "nowhere"
