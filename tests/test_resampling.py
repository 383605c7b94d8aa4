"""Tests of the bootstrap of blocks against a published example, theory and simulated luck."""

import json
from dataclasses import astuple
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from degenerate_days import BY_DEGENERATION, exactly, luck, require_finite_or_explained

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.resampling import (
    MIN_BOOTSTRAP_DAYS,
    block_length,
    bootstrap_intervals,
    model_confidence_set,
    superior_ability,
)
from ironore_lightning.evaluation.significance import clopper_pearson

CASES = json.loads((Path(__file__).parent / "reference_cases.json").read_text(encoding="utf-8"))
PUBLISHED = {case["id"]: case for case in CASES["published"]}


def test_the_block_length_agrees_with_the_published_example():
    case = PUBLISHED["block_length_arch"]
    values = np.random.RandomState(0).standard_normal(10_100)
    for row in range(1, len(values)):
        values[row] += 0.3 * values[row - 1]
    assert 13 < case["stationary"] < 14
    assert block_length(values[100:, None], horizon=1) == 14


@BY_DEGENERATION
def test_intervals_of_degenerate_days_are_none_with_a_reason(forecast, actual, benchmark):
    profit = np.sign(forecast) * actual
    days = days_of(forecast, actual)
    found = bootstrap_intervals(days, profit, coverage=0.95, reps=50, seed=0)
    for interval in (found.direction_accuracy, found.rmse_ratio, found.sharpe):
        numbers = [interval.estimate, interval.low, interval.high]
        require_finite_or_explained(numbers, interval.note)
    losses = {"model": (actual - forecast) ** 2, "benchmark": (actual - benchmark) ** 2}
    kept = model_confidence_set(losses, size=0.1, block_size=1, reps=50, seed=0)
    require_finite_or_explained(list(kept.p_values.values()), kept.note)
    best = superior_ability(losses, benchmark=losses["benchmark"], block_size=1, reps=50, seed=0)
    require_finite_or_explained([best.p_value], best.note)


def days_of(forecast, actual, horizon=1):
    return ScoredDays(pd.DataFrame({"forecast": forecast, "actual": actual}), "given", horizon)


def draw_intervals(*, seed, num_days=1000, horizon=1):
    return resample(*luck(0, 2, num_days), horizon=horizon, seed=seed)


def resample(forecast, actual, *, horizon=1, seed=0):
    """Resample days, and what their signs earn where every `horizon`-th is traded."""
    profit = (np.sign(forecast) * actual)[::horizon]
    days = days_of(forecast, actual, horizon)
    return bootstrap_intervals(days, profit, coverage=0.95, reps=500, seed=seed)


def test_on_independent_days_the_bootstrap_is_as_wide_as_theory_says():
    found, (forecast, actual) = draw_intervals(seed=0), luck(0, 2, 1000)
    exact = clopper_pearson(int((forecast * actual > 0).sum()), 1000, coverage=0.95)
    assert found.direction_accuracy.estimate == exactly(exact.estimate)
    assert found.direction_accuracy.low == pytest.approx(exact.low, abs=1.0)
    assert found.direction_accuracy.high == pytest.approx(exact.high, abs=1.0)
    profit, sharpe = np.sign(forecast) * actual, found.sharpe
    assert sharpe.estimate == exactly(profit.mean() / profit.std(ddof=1) * sqrt(252))
    assert sharpe.high - sharpe.low == pytest.approx(2 * 1.96 * sqrt(252 / 1000), rel=0.1)
    ratio, by_hand = found.rmse_ratio, ((actual - forecast) ** 2).sum() / (actual**2).sum()
    assert 1.2 < ratio.low < ratio.estimate < ratio.high
    assert ratio.estimate == exactly(sqrt(by_hand))


def test_days_that_hang_together_make_longer_blocks_and_wider_intervals():
    forecast, actual = np.repeat(luck(5, 2, 100), 10, axis=1)
    together, apart = resample(forecast, actual), draw_intervals(seed=0)
    assert together.block_length >= 5 > apart.block_length
    widths = [intervals.sharpe.high - intervals.sharpe.low for intervals in (together, apart)]
    assert widths[0] > 1.5 * widths[1]


def test_no_block_is_shorter_than_the_horizon():
    assert draw_intervals(seed=0, horizon=20).block_length >= 20
    assert block_length(np.array([[1.0, -1.0, *[0.0] * 58]]).T, horizon=1) == 20  # the most
    assert block_length(np.ones((100, 1)), horizon=3) == 3
    assert block_length(luck(0, 10, 1), horizon=2) == 2


def test_a_day_without_a_move_is_not_counted_in_the_interval_of_direction():
    actual = np.where(luck(0, 60) > 0, luck(1, 60), 0.0)
    found = resample(luck(2, 60), actual)
    share = (actual * luck(2, 60) > 0).sum() / (actual != 0).sum()
    assert found.direction_accuracy.estimate == exactly(100 * share)


def test_too_few_days_have_a_score_but_no_bootstrap():
    found = draw_intervals(seed=0, num_days=MIN_BOOTSTRAP_DAYS - 1)
    for interval, unit in ((found.direction_accuracy, "days"), (found.sharpe, "profits")):
        assert interval.estimate is not None
        assert astuple(interval)[1:] == (None, None, f"undefined: fewer than 50 {unit}")


def test_the_sharpe_ratio_is_of_periods_that_do_not_overlap():
    forecast, daily = luck(0, 2, 3000)
    actual = np.convolve(daily, np.ones(10))[9:]  # returns of ten days, each sharing nine
    found, profit = resample(forecast, actual, horizon=10), (np.sign(forecast) * actual)[::10]
    expected = sqrt(252 / 10) * profit.mean() / profit.std(ddof=1)
    assert found.sharpe.estimate == exactly(expected)
    assert found.sharpe.high - found.sharpe.low == pytest.approx(
        2 * 1.96 * sqrt(252 / 3000), rel=0.1
    )


def test_few_periods_of_many_days_have_no_interval_of_the_sharpe_ratio():
    found = draw_intervals(seed=0, num_days=131, horizon=3)
    assert found.direction_accuracy.low is not None
    assert astuple(found.sharpe)[1:] == (None, None, "undefined: fewer than 50 profits")


def test_what_has_no_price_has_no_sharpe_ratio():
    forecast, actual = luck(0, 2, 60)
    days = days_of(forecast, actual)
    found = bootstrap_intervals(days, None, coverage=0.95, reps=50, seed=0)
    assert astuple(found.sharpe) == (
        None,
        None,
        None,
        "undefined: nobody says what a position earns",
    )
    assert found.rmse_ratio.low is not None


def keep(losses, *, seed=0):
    return model_confidence_set(losses, size=0.1, block_size=3, reps=300, seed=seed)


def outdo(losses, *, seed=0, benchmark=None):
    benchmark = luck(7, 300) ** 2 if benchmark is None else benchmark
    return superior_ability(losses, benchmark=benchmark, block_size=3, reps=300, seed=seed)


def some_losses():
    """Return the losses of four bad models of one quality, as wild as squared errors are."""
    return dict(zip("abcd", luck(2, 4, 300) ** 2, strict=True))


def test_the_confidence_set_finds_the_better_model():
    found = keep({**some_losses(), "good": 0.3 * luck(3, 300) ** 2})
    assert found.kept == ("good",)
    assert found.p_values["good"] == 1.0
    assert max(found.p_values[name] for name in "abcd") <= 0.1


def test_the_confidence_set_keeps_models_of_one_quality():
    assert keep(some_losses()).kept == ("a", "b", "c", "d")


def test_identical_models_are_all_kept():
    loss = luck(3, 300) ** 2
    found = astuple(keep({"one": loss, "two": loss.copy()}))
    reason = "undefined: every model has the same losses"
    assert found == (("one", "two"), {"one": None, "two": None}, reason)


def test_twins_among_others_share_their_p_value():
    good = 0.3 * luck(3, 300) ** 2
    found = keep({"good": good, **some_losses(), "twin": good.copy(), "e": luck(2, 4, 300)[0] ** 2})
    assert found.kept == ("good", "twin")
    assert found.p_values["a"] == found.p_values["e"] < 0.1


def test_models_a_constant_apart_form_no_set():
    loss = luck(3, 300) ** 2
    found = keep({"one": loss, "two": loss + 1, "three": luck(4, 300) ** 2})
    assert found.kept == ("one", "two", "three")
    assert found.note == "undefined: two models' losses differ by a constant"


def test_what_is_resampled_depends_on_its_seed_alone():
    assert draw_intervals(seed=3) == draw_intervals(seed=3) != draw_intervals(seed=4)
    for resample in (keep, outdo):
        first, again, other = (resample(some_losses(), seed=seed) for seed in (1, 1, 2))
        assert first == again != other


def test_superior_ability_sees_a_clearly_better_model_among_bad_ones():
    assert outdo({**some_losses(), "good": 0.3 * luck(3, 300) ** 2}).p_value < 0.01


def test_superior_ability_sees_nothing_in_models_of_one_quality():
    assert outdo(some_losses()).p_value > 0.1


def test_a_wild_model_does_not_hide_a_good_one():
    benchmark = np.full(300, 10.0)
    gain = 0.02 + 0.1 * luck(3, 300)
    losses = {"good": benchmark - gain, "wild": benchmark - 5 * luck(8, 300)}
    assert outdo(losses, benchmark=benchmark).p_value < 0.02


def test_superior_ability_leaves_out_models_that_are_the_benchmark():
    benchmark = luck(7, 300) ** 2
    found = outdo({"same": benchmark.copy()}, benchmark=benchmark)
    assert astuple(found) == (None, "undefined: no loss difference ever changes")
    with_the_same = {"same": benchmark.copy(), **some_losses()}
    assert outdo(with_the_same) == outdo(some_losses())
