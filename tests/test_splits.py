"""Cutting along time: rows, samples and target dates of each segment."""

import datetime
import itertools

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.splits import (
    SEGMENTS,
    Split,
    build_split,
    sample_origins,
    split_table,
    walk_forward_fold,
)
from ironore_lightning.errors import ConfigError, DataError, LeakageError
from ironore_lightning.settings.samples import DateSplit, RatioSplit, WalkForwardSplit

CHRONOLOGICAL = RatioSplit(method="ratio", train=0.70, val=0.15, test=0.15)


def target_of(rows, *, horizon=1, missing=()):
    """A target with `rows` rows that know their date; the last ones of the panel do not."""
    days = pd.bdate_range("2022-03-30", periods=rows + horizon, name="date")
    value = np.arange(rows + horizon, dtype=float)
    value[[*range(rows, rows + horizon), *missing]] = np.nan
    return pd.DataFrame({"date": pd.Series(days, index=days).shift(-horizon), "value": value})


def build(target, settings=CHRONOLOGICAL, *, sequence_length=20, horizon=1):
    return build_split(target, settings, sequence_length=sequence_length, horizon=horizon)


def by_date(val_start, test_start):
    val, test = (datetime.date.fromisoformat(day) for day in (val_start, test_start))
    return DateSplit(method="date", val_start=val, test_start=test)


def num_samples(target, split, sequence_length=20):
    return [
        len(sample_origins(target, split.rows(segment), sequence_length)) for segment in SEGMENTS
    ]


# --- shares ---------------------------------------------------------------------------------------


def test_868_rows_and_windows_of_20_give_588_130_and_131_samples():
    target = target_of(868)
    assert len(target) == 869
    split = build(target)
    assert (split.train, split.val, split.test) == (
        range(607),
        range(607, 737),
        range(737, 868),
    )
    assert num_samples(target, split) == [588, 130, 131]


@pytest.mark.parametrize(
    ("rows", "shares", "expected"),
    [
        # 0.7 x 10 is 6.999... in binary.
        (10, (0.7, 0.2, 0.1), (7, 2, 1)),
        (100, (0.7, 0.15, 0.15), (70, 15, 15)),
        (100, (0.57, 0.29, 0.14), (57, 29, 14)),
        (11, (0.5, 0.25, 0.25), (5, 2, 4)),
    ],
    ids=str,
)
def test_shares_of_rows_are_cut_as_a_person_would(rows, shares, expected):
    train, val, test = shares
    settings = RatioSplit(method="ratio", train=train, val=val, test=test)
    split = build(target_of(rows), settings, sequence_length=1)
    assert tuple(len(split.rows(segment)) for segment in SEGMENTS) == expected


# --- dates ----------------------------------------------------------------------------------------


def test_a_date_split_goes_by_the_target_date_and_not_by_the_origin():
    target = target_of(100)
    split = build(target, by_date("2022-06-01", "2022-07-01"))
    for segment, first, last in (
        ("train", "2022-03-31", "2022-05-31"),
        ("val", "2022-06-01", "2022-06-30"),
        ("test", "2022-07-01", "2022-08-17"),
    ):
        dates = target["date"].iloc[list(split.rows(segment))]
        assert (f"{dates.iloc[0]:%Y-%m-%d}", f"{dates.iloc[-1]:%Y-%m-%d}") == (first, last)
    # The first validation row is decided on in May.
    assert target.index[split.val.start] == pd.Timestamp("2022-05-31")
    assert split.test.stop == 100


def test_a_border_on_a_weekend_means_the_next_target_date():
    saturday, monday = by_date("2022-06-04", "2022-07-01"), by_date("2022-06-06", "2022-07-01")
    assert build(target_of(100), saturday) == build(target_of(100), monday)


# --- what the segments share ----------------------------------------------------------------------

SETTINGS = {"shares": CHRONOLOGICAL, "dates": by_date("2023-01-02", "2023-06-01")}
FOLDS = {
    f"{'rolling' if rolling else 'growing'} fold {fold}": WalkForwardSplit(
        method="walk_forward", initial=200, step=50, val=0.25, rolling=rolling, fold=fold
    )
    for rolling in (False, True)
    for fold in (0, 2)
}


@pytest.mark.parametrize("settings", [*SETTINGS.values(), *FOLDS.values()], ids=[*SETTINGS, *FOLDS])
@pytest.mark.parametrize("horizon", [1, 3, 10])
def test_segments_share_no_day_of_a_target(settings, horizon):
    target = target_of(400, horizon=horizon)
    split = build(target, settings, horizon=horizon)
    days = {}
    for segment in SEGMENTS:
        origins = sample_origins(target, split.rows(segment), 20)
        assert len(origins) > 40
        days[segment] = {row + ahead for row in origins for ahead in range(1, horizon + 1)}
    assert not days["train"] & days["val"]
    assert not days["val"] & days["test"]
    assert not days["train"] & days["test"]
    # Nothing is left out for no reason: the days of the targets have no gap.
    every = set.union(*days.values())
    assert every == set(range(min(every), max(every) + 1))
    if settings in SETTINGS.values():
        assert (min(every), max(every)) == (20, 399 + horizon)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_overlapping_returns_of_three_days_leave_two_rows_out_before_each_border(settings):
    target = target_of(400, horizon=3)
    purged, plain = build(target, settings, horizon=3), build(target, settings, horizon=1)
    assert (purged.val.start, purged.test) == (plain.val.start, plain.test)
    assert plain.train.stop == plain.val.start
    assert purged.train.stop == purged.val.start - 2
    assert plain.val.stop == plain.test.start
    assert purged.val.stop == purged.test.start - 2


def test_windows_reach_back_across_a_border():
    target = target_of(868)
    split = build(target)
    origins = sample_origins(target, split.val, 20)
    assert origins[0] == split.val.start == 607
    assert origins[0] - 19 < split.train.stop


def test_only_the_first_rows_lack_a_window():
    target = target_of(30)
    assert sample_origins(target, range(30), 20).tolist() == list(range(19, 30))
    assert sample_origins(target, range(10), 20).tolist() == []


def test_a_row_without_a_target_is_no_sample():
    # As beside a break day: in the middle of each segment.
    target = target_of(868, missing=[300, 301, 650, 800])
    split = build(target)
    assert split == build(target_of(868))
    assert num_samples(target, split) == [586, 129, 130]
    assert 300 not in sample_origins(target, split.train, 20)
    assert 302 in sample_origins(target, split.train, 20)


def test_the_table_for_people_counts_and_dates_each_segment():
    target = target_of(100, missing=[19, 99])
    split = build(target, by_date("2022-06-01", "2022-07-01"))
    table = split_table(target, split, 20)
    # 44 targets up to 31 May, of which 19 have no full window and row 19 has no value.
    assert table.to_dict("list") == {
        "segment": ["train", "val", "test"],
        "rows": [44, 22, 34],
        "samples": [24, 22, 33],
        "first_date": ["2022-04-28", "2022-06-01", "2022-07-01"],
        "last_date": ["2022-05-31", "2022-06-30", "2022-08-16"],
    }


# --- mistakes -------------------------------------------------------------------------------------


def test_fewer_rows_than_a_window_are_refused():
    with pytest.raises(DataError) as caught:
        build(target_of(19))
    message = str(caught.value)
    assert "hold 19 rows with a target from 2022-03-30" in message
    assert "one window reads 20" in message
    assert "window.sequence_length" in message


EMPTY = {
    "train, too few rows": (CHRONOLOGICAL, 25, "train", "17 of 25 rows"),
    "val, share too small": (
        RatioSplit(method="ratio", train=0.9, val=0.01, test=0.09), 60, "val", "0 of 60 rows",
    ),
    "train, before the data": (by_date("2022-01-03", "2022-05-02"), 60, "train", "0 of 60 rows"),
    "val, between two days": (by_date("2022-06-04", "2022-06-05"), 60, "val", "0 of 60 rows"),
    "test, after the data": (by_date("2022-06-01", "2030-01-01"), 60, "test", "0 of 60 rows"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "rows", "segment", "count"), EMPTY.values(), ids=EMPTY)
def test_an_empty_segment_is_named(settings, rows, segment, count):
    with pytest.raises(ConfigError) as caught:
        build(target_of(rows), settings)
    message = str(caught.value)
    assert f"the {segment} segment holds no sample" in message
    assert count in message
    assert "a window reads 20" in message


def test_a_segment_whose_rows_all_lack_a_target_is_empty():
    with pytest.raises(ConfigError, match="the val segment holds no sample: 15 of 100 rows"):
        build(target_of(100, missing=range(70, 85)))


def test_fewer_training_samples_than_days_in_the_horizon_are_refused_before_any_training():
    with pytest.raises(ConfigError, match="train segment holds 2 samples, fewer than the 10 days"):
        build(target_of(140, horizon=10), by_date("2022-05-25", "2022-07-19"), horizon=10)


def test_a_purge_longer_than_a_segment_empties_it():
    with pytest.raises(ConfigError, match="the val segment holds no sample: 0 of 100 rows"):
        build(target_of(100, horizon=20), horizon=20)


@pytest.mark.parametrize(
    "segments",
    [
        (range(11), range(10, 15), range(15, 20)),
        (range(10), range(10, 16), range(15, 20)),
        (range(15, 20), range(10, 15), range(10)),
    ],
    ids=["train into val", "val into test", "backwards"],
)
def test_segments_that_overlap_are_a_leak(segments):
    train, val, test = segments
    with pytest.raises(LeakageError, match="overlap or run backwards"):
        Split(train=train, val=val, test=test)


# --- walk-forward ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purged", "published"),
    [
        (0, [([0, 1], [2]), ([1, 2], [3]), ([2, 3], [4]), ([3, 4], [5])]),
        (1, [([0, 1], [3]), ([1, 2], [4]), ([2, 3], [5])]),
    ],
    ids=["purged 0", "purged 1"],
)
def test_folds_are_those_of_the_skfolio_documentation(purged, published):
    """WalkForward(train_size=2, test_size=1, purged_size=...) on 6 observations."""
    shared = {"initial": 2, "step": 1, "purged": purged, "rolling": True}
    folds = [walk_forward_fold(6, **shared, fold=fold) for fold in range(len(published))]
    assert [(list(past), list(test)) for past, test in folds] == published
    with pytest.raises(ConfigError, match=f"there is no fold {len(published)}"):
        walk_forward_fold(6, **shared, fold=len(published))


def fold_of(fold, *, rolling=False):
    return WalkForwardSplit(
        method="walk_forward", initial=252, step=63, val=0.15, rolling=rolling, fold=fold
    )


def test_868_rows_have_ten_folds_of_63_and_the_dates_follow():
    target = target_of(868)
    tables = [split_table(target, build(target, fold_of(fold)), 20) for fold in range(10)]
    samples = [list(table["samples"]) for table in tables]
    assert samples[0] == [214, 38, 63]  # 252 samples, of which 15 % are the validation tail
    assert samples[1] == [267, 48, 63]
    assert samples[9] == [696, 123, 30]  # 849 - 252 - 9 * 63
    days = pd.DatetimeIndex(target.index)
    # Sample k ends its window on row k + 19, and its outcome is a day later.
    assert tables[0]["first_date"].iloc[2] == f"{days[252 + 20]:%Y-%m-%d}"
    assert tables[0]["last_date"].iloc[2] == f"{days[252 + 63 + 19]:%Y-%m-%d}"
    assert tables[9]["last_date"].iloc[2] == f"{days[868]:%Y-%m-%d}"
    tests = [(table["first_date"].iloc[2], table["last_date"].iloc[2]) for table in tables]
    assert all(later[0] > earlier[1] for earlier, later in itertools.pairwise(tests))
    with pytest.raises(ConfigError, match="there is no fold 10; 849 samples have 10 folds"):
        build(target, fold_of(10))


def test_a_rolling_past_keeps_its_length():
    target = target_of(868)
    for fold in range(9):
        split = build(target, fold_of(fold, rolling=True))
        assert num_samples(target, split) == [214, 38, 63]
        assert split.test == build(target, fold_of(fold)).test


def test_a_fold_leaves_out_the_samples_whose_returns_overlap_the_next_segment():
    target = target_of(868, horizon=5)
    split = build(target, fold_of(2), horizon=5)
    assert split.val.start - split.train.stop == 4
    assert split.test.start - split.val.stop == 4
