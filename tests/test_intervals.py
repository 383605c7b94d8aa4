"""Intervals that do not look ahead, and their tests against R and published numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from ironore_lightning.evaluation import intervals as intervals_module
from ironore_lightning.evaluation.intervals import (
    COVERAGES,
    SMALLEST_VOLATILITY,
    adaptive_intervals,
    christoffersen_independence,
    ewma_volatility,
    fewest_scores,
    interval_scores,
    kupiec,
    scaled_scores,
    winkler_scores,
)

ADAPTATION = 0.02
SHOCK = 9.0
START, NUM_CALIBRATION = 250, 127

CASES = json.loads((Path(__file__).parent / "reference_cases.json").read_text(encoding="utf-8"))
PUBLISHED = {case["id"]: case for case in CASES["published"]}
GENERATED = CASES["generated"]["cases"]


def days(*numbers):
    return np.array(numbers, dtype=float)


def garch_returns(num_days, *, seed):
    """Returns, per cent, whose volatility clusters like that of iron ore, with fat tails."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_t(5, size=num_days) / np.sqrt(5 / 3)
    returns, variance = np.zeros(num_days), 3.0
    for day in range(num_days):
        returns[day] = np.sqrt(variance) * noise[day]
        variance = 0.15 + 0.08 * returns[day] ** 2 + 0.87 * variance
    return returns


def walk(outcomes, *, coverage, horizon=1, adaptation=ADAPTATION, num_calibration=NUM_CALIBRATION):
    """Put intervals around zero on the days after the calibration."""
    volatility = ewma_volatility(outcomes, horizon=horizon)
    zero = np.zeros_like(outcomes)
    first = START + num_calibration
    before, after = slice(START, first), slice(first, None)
    return adaptive_intervals(
        scaled_scores(outcomes[before], zero[before], volatility[before]),
        actual=outcomes[after],
        forecast=zero[after],
        volatility=volatility[after],
        coverage=coverage,
        horizon=horizon,
        adaptation=adaptation,
    )


def constant_intervals(scores, actual, **settings):
    """Put intervals around zero, on days whose volatility is 1."""
    ones = np.ones(len(actual))
    return adaptive_intervals(scores, actual=actual, forecast=0 * ones, volatility=ones, **settings)


def test_volatility_of_four_days_worked_out_by_hand():
    volatility = ewma_volatility(days(1, -2, 3, 99), horizon=1)
    # A day weighs 0.94 of the one after it.
    expected = [1, (4 + 0.94) / 1.94, (9 + 0.94 * 4 + 0.94**2) / (1.94 + 0.94**2)]
    assert np.isnan(volatility[0])
    np.testing.assert_allclose(volatility[1:], np.sqrt(expected), rtol=1e-12)


@pytest.mark.parametrize("horizon", [1, 2, 5], ids=str)
def test_volatility_uses_no_outcome_that_is_not_known_at_the_origin(horizon):
    outcomes = garch_returns(60, seed=0)
    before = ewma_volatility(outcomes, horizon=horizon)
    assert np.isnan(before).sum() == horizon
    for origin in range(horizon, 60):
        shocked, unknown = outcomes.copy(), outcomes.copy()
        first_unknown = origin - horizon + 1
        shocked[first_unknown:] += SHOCK
        unknown[first_unknown:] = np.nan
        for changed in (shocked, unknown):
            after = ewma_volatility(changed, horizon=horizon)
            np.testing.assert_array_equal(after[: origin + 1], before[: origin + 1])
        shocked[first_unknown - 1] += SHOCK
        assert ewma_volatility(shocked, horizon=horizon)[origin] != before[origin]


@pytest.mark.parametrize("num_days", [0, 1, 2, 50], ids=str)
def test_volatility_without_a_move_is_the_smallest_and_not_zero(num_days):
    volatility = ewma_volatility(np.zeros(num_days), horizon=1)
    assert len(volatility) == num_days
    assert np.isnan(volatility[:1]).all()
    assert (volatility[1:] == SMALLEST_VOLATILITY).all()


def test_a_horizon_beyond_the_days_leaves_nothing_known():
    assert np.isnan(ewma_volatility(days(1, 2), horizon=5)).tolist() == [True, True]


def test_an_interval_needs_as_many_scores_as_its_rank():
    assert [fewest_scores(coverage) for coverage in (0.5, 0.8, 0.9, 0.95, 0.99)] == [
        1,
        4,
        9,
        19,
        99,
    ]


@pytest.mark.parametrize(
    ("num_scores", "coverage", "rank"),
    [(127, 0.9, 116), (127, 0.95, 122), (127, 0.99, 127), (99, 0.55, 55), (9, 0.9, 9), (4, 0.8, 4)],
    ids=str,
)
def test_an_interval_reaches_to_the_score_of_this_rank(num_scores, coverage, rank):
    scores = np.random.default_rng(0).permutation(np.arange(1.0, num_scores + 1))
    intervals = constant_intervals(
        scores, days(0), coverage=coverage, horizon=1, adaptation=ADAPTATION
    )
    np.testing.assert_allclose(intervals.upper, [rank], rtol=1e-8)
    np.testing.assert_allclose(intervals.lower, [-rank], rtol=1e-8)


def test_an_interval_is_around_the_forecast_and_as_wide_as_the_volatility_says():
    intervals = adaptive_intervals(
        np.arange(1.0, 10.0),
        actual=days(0, 0),
        forecast=days(1, -1),
        volatility=days(0.5, 2),
        coverage=0.5,
        horizon=2,
        adaptation=ADAPTATION,
    )
    # of 8 and of 9 known scores the ceil(4.5) = 5th and the 5th
    np.testing.assert_allclose(intervals.lower, [1 - 2.5, -1 - 10], rtol=1e-8)
    np.testing.assert_allclose(intervals.upper, [1 + 2.5, -1 + 10], rtol=1e-8)


def test_the_miss_rate_asked_for_falls_after_a_miss_and_rises_after_a_hit():
    case = PUBLISHED["aci_hand"]
    actual = 100 * days(*case["misses"], 0)
    intervals = constant_intervals(
        np.arange(1.0, 20.0),
        actual,
        coverage=1 - case["alpha"],
        horizon=1,
        adaptation=case["gamma"],
    )
    np.testing.assert_allclose(intervals.miss_rate, case["alpha_path"], rtol=0, atol=1e-12)


def test_with_a_longer_horizon_a_miss_is_learnt_from_later():
    scores, actual = np.arange(1.0, 20.0), days(100, 0, 0, 0, 0)
    intervals = constant_intervals(scores, actual, coverage=0.8, horizon=3, adaptation=0.05)
    expected = 0.2 + np.cumsum([0, 0, 0, -0.04, 0.01])
    np.testing.assert_allclose(intervals.miss_rate, expected, rtol=1e-12)


def test_where_no_score_is_wide_enough_the_interval_ends_at_the_largest():
    scores, actual = np.arange(1.0, 10.0), 10.0 ** np.arange(2, 8)
    intervals = constant_intervals(scores, actual, coverage=0.9, horizon=1, adaptation=0.5)
    assert intervals.miss_rate.tolist() == [pytest.approx(0.1), 0, 0, 0, 0, 0]
    np.testing.assert_allclose(intervals.upper, [9, *actual[:-1]], rtol=1e-8)


def test_where_every_miss_rate_is_too_low_the_interval_is_its_forecast():
    intervals = constant_intervals(
        np.arange(1.0, 10.0), np.zeros(12), coverage=0.5, horizon=1, adaptation=0.9
    )
    assert intervals.miss_rate.max() == 1
    assert (intervals.upper[intervals.miss_rate == 1] == 0).all()


def test_without_adaptation_the_interval_is_plain_split_conformal(monkeypatch):
    monkeypatch.setattr(intervals_module, "SCORE_WINDOW", 9)
    scores, actual = np.arange(1.0, 20.0), np.full(5, 100.0)
    intervals = constant_intervals(scores, actual, coverage=0.8, horizon=1, adaptation=0.0)
    np.testing.assert_allclose(intervals.miss_rate, 0.2)
    # the 8th smallest of the last nine
    np.testing.assert_allclose(intervals.upper, [18, 19, 100, 100, 100], rtol=1e-8)


@pytest.mark.parametrize(
    ("num_scores", "horizon", "missing"), [(9, 1, 0), (8, 1, 1), (9, 3, 2), (0, 1, 9)], ids=str
)
def test_90_per_cent_of_fewer_than_nine_known_scores_is_nothing(num_scores, horizon, missing):
    intervals = constant_intervals(
        np.ones(num_scores), np.ones(12), coverage=0.9, horizon=horizon, adaptation=ADAPTATION
    )
    expected = [True] * missing + [False] * (12 - missing)
    assert np.isnan(intervals.lower).tolist() == np.isnan(intervals.upper).tolist() == expected


def test_days_without_an_interval_teach_nothing():
    intervals = constant_intervals(
        np.ones(5), np.ones(8), coverage=0.9, horizon=1, adaptation=ADAPTATION
    )
    np.testing.assert_allclose(intervals.miss_rate[:5], 0.1)
    assert intervals.miss_rate[5] > 0.1


@pytest.mark.parametrize("horizon", [1, 3], ids=str)
@pytest.mark.parametrize("coverage", COVERAGES, ids=str)
def test_outcomes_that_are_not_known_change_no_bound(coverage, horizon):
    outcomes = garch_returns(START + NUM_CALIBRATION + 40, seed=0)
    before = walk(outcomes, coverage=coverage, horizon=horizon)
    assert len(before.lower) == 40
    assert np.isfinite(before.lower).all()
    for day in range(40):
        shocked = outcomes.copy()
        first_unknown = START + NUM_CALIBRATION + day - horizon + 1
        shocked[first_unknown:] += SHOCK
        after = walk(shocked, coverage=coverage, horizon=horizon)
        for name in ("lower", "upper", "miss_rate"):
            past, still = (getattr(one, name)[: day + 1] for one in (before, after))
            np.testing.assert_array_equal(still, past)
        shocked[first_unknown - 1] += SHOCK
        assert walk(shocked, coverage=coverage, horizon=horizon).upper[day] != before.upper[day]


@pytest.mark.parametrize("horizon", [1, 3], ids=str)
def test_the_last_outcomes_need_not_be_known_yet(horizon):
    outcomes = garch_returns(START + NUM_CALIBRATION + 40, seed=0)
    unknown = outcomes.copy()
    unknown[-horizon:] = np.nan
    before, after = (walk(one, coverage=0.9, horizon=horizon) for one in (outcomes, unknown))
    assert np.isfinite(after.upper).sum() == 40
    np.testing.assert_array_equal(after.upper, before.upper)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("coverage", COVERAGES, ids=str)
def test_clustered_volatility_is_covered_as_promised(coverage, seed):
    outcomes = garch_returns(START + NUM_CALIBRATION + 1500, seed=seed)
    intervals = walk(outcomes, coverage=coverage)
    scores = interval_scores(
        outcomes[-1500:],
        lower=intervals.lower,
        upper=intervals.upper,
        coverage=coverage,
        adaptive=False,
    )
    assert scores.num_days == 1500
    assert scores.coverage == pytest.approx(coverage, abs=0.02)
    assert scores.kupiec_p > 0.05


@pytest.mark.parametrize("coverage", COVERAGES, ids=str)
def test_a_change_of_the_volatility_is_followed(coverage):
    outcomes = garch_returns(START + NUM_CALIBRATION + 1500, seed=0)
    calm, wild = slice(0, 750), slice(800, 1500)
    outcomes[-750:] *= 3
    intervals = walk(outcomes, coverage=coverage)
    width = intervals.upper - intervals.lower
    actual = outcomes[-1500:]
    inside = (intervals.lower <= actual) & (actual <= intervals.upper)
    assert 2.3 < width[wild].mean() / width[calm].mean() < 3.7
    assert inside[calm].mean() == pytest.approx(coverage, abs=0.03)
    assert inside[wild].mean() == pytest.approx(coverage, abs=0.03)


def test_adapting_brings_a_wrong_scale_back_to_what_was_promised():
    generator = np.random.default_rng(0)
    scores, actual = np.abs(generator.normal(size=250)), generator.normal(0, 3, size=200)
    frozen, adapted = (
        constant_intervals(scores, actual, coverage=0.9, horizon=1, adaptation=adaptation)
        for adaptation in (0.0, 0.05)
    )
    hit = [float((np.abs(actual) <= one.upper).mean()) for one in (frozen, adapted)]
    assert hit[0] < 0.8
    assert hit[1] > 0.85


def test_winkler_scores_worked_out_by_hand():
    case = PUBLISHED["interval_score_hand"]
    actual, ones = days(*case["y"]), np.ones(3)
    scores = winkler_scores(actual, lower=case["l"] * ones, upper=case["u"] * ones, coverage=0.8)
    np.testing.assert_allclose(scores, case["score"], rtol=1e-12)


def test_kupiec_of_250_days_is_that_of_tstests_in_r():
    case = PUBLISHED["tstests_var"]
    ratio = kupiec(num_days=case["T"], misses=case["failures"], miss_rate=case["alpha"])
    assert ratio.statistic == pytest.approx(case["uc_full"], abs=1e-8)
    assert ratio.p_value == pytest.approx(case["uc_p"], abs=5e-5)


def test_kupiec_of_1043_days_is_that_of_matlab():
    case = PUBLISHED["mathworks_pof"]
    ratio = kupiec(num_days=case["T"], misses=case["failures"], miss_rate=case["alpha"])
    assert ratio.statistic == pytest.approx(case["LR"], abs=5e-6)
    assert ratio.p_value == pytest.approx(case["p"], abs=5e-6)


@pytest.mark.parametrize("case", range(2))
def test_kupiec_of_few_misses_rejects_what_matlab_rejects(case):
    published = PUBLISHED["mathworks_pof2"]
    ratio = kupiec(
        num_days=published["T"], misses=published["failures"], miss_rate=published["alpha"][case]
    )
    assert ratio.statistic == pytest.approx(published["LR"][case], abs=1e-8)
    assert ratio.p_value == pytest.approx(published["p"][case], abs=1e-8)
    assert (ratio.p_value < 0.05) == published["reject95"][case]


@pytest.mark.parametrize("row", PUBLISHED["kupiec_regions"]["rows"], ids=str)
def test_kupiec_accepts_the_misses_of_the_published_table(row):
    accepted = [
        misses
        for misses in range(row["T"] + 1)
        if kupiec(num_days=row["T"], misses=misses, miss_rate=row["p"]).p_value >= 0.05
    ]
    assert accepted == list(range(row["lo"], row["hi"] + 1))


def test_kupiec_of_no_miss_and_of_nothing_but_misses():
    none = kupiec(num_days=100, misses=0, miss_rate=0.1)
    every = kupiec(num_days=100, misses=100, miss_rate=0.1)
    assert none.statistic == pytest.approx(-200 * np.log(0.9), rel=1e-12)
    assert every.statistic == pytest.approx(-200 * np.log(0.1), rel=1e-12)


def test_kupiec_of_just_as_many_misses_as_promised_is_zero():
    ratio = kupiec(num_days=100, misses=10, miss_rate=0.1)
    assert (ratio.statistic, ratio.p_value) == (pytest.approx(0, abs=1e-12), pytest.approx(1))


@pytest.mark.parametrize("name", ["n20", "n50", "n131"])
def test_coverage_tests_are_those_of_tstests_in_r(name):
    num_days, case = GENERATED[name]["n"], GENERATED[name]["coverage_alpha25_q_minus1.2"]
    day = np.arange(1.0, num_days + 1)
    actual = 2 * np.sin(1.3 * day) + 1.1 * np.cos(0.37 * day * day)
    bound = np.full(num_days, -1.2)
    scores = interval_scores(actual, lower=bound, upper=bound + 99, coverage=0.75, adaptive=False)
    assert (scores.num_days, scores.misses) == (num_days, case["failures"])
    found = (scores.kupiec_statistic, scores.independence_statistic, scores.conditional_statistic)
    np.testing.assert_allclose(found, [case["uc"], case["ind"], case["cc"]], rtol=0, atol=1e-8)
    found = (scores.kupiec_p, scores.independence_p, scores.conditional_p)
    np.testing.assert_allclose(found, case["p"], rtol=0, atol=1e-8)
    assert scores.note == ""


def test_misses_in_one_run_are_not_independent():
    missed = np.zeros(100, dtype=bool)
    missed[40:50] = True
    scattered = np.zeros(100, dtype=bool)
    scattered[::10] = True
    assert christoffersen_independence(missed).p_value < 1e-6
    assert christoffersen_independence(scattered).p_value > 0.1


def test_scores_of_four_days_worked_out_by_hand():
    scores = interval_scores(
        days(0, 5, -1, 2),
        lower=days(-1, -1, -1, np.nan),
        upper=days(1, 3, 1, np.nan),
        coverage=0.8,
        adaptive=False,
    )
    assert (scores.coverage_nominal, scores.num_days, scores.misses) == (0.8, 3, 1)
    assert scores.days_without_interval == 1
    assert scores.coverage == pytest.approx(2 / 3)
    assert scores.mean_width == pytest.approx((2 + 4 + 2) / 3)
    assert scores.winkler == pytest.approx((2 + 4 + 10 * 2 + 2) / 3)
    # one or more of three, for none of three (0.512) is likelier than one (0.384)
    assert scores.binomial_p == pytest.approx(1 - 0.8**3)


@pytest.mark.parametrize(
    ("missed", "note"),
    [
        ([0, 0, 0, 0], "independence is undefined: no day follows a miss"),
        ([0, 0, 0, 1], "independence is undefined: no day follows a miss"),
        ([1, 1, 1, 1], "independence is undefined: no day follows a hit"),
        ([0], "independence is undefined: no day follows a miss"),
        ([1], "independence is undefined: no day follows a miss"),
        ([], "no day has an interval"),
    ],
    ids=str,
)
def test_what_is_undefined_is_none_and_says_why(missed, note):
    actual = np.array(missed, dtype=float)
    scores = interval_scores(
        actual, lower=actual * 0, upper=actual * 0, coverage=0.9, adaptive=False
    )
    assert scores.misses == sum(missed)
    assert scores.independence_statistic is scores.independence_p is None
    assert scores.conditional_statistic is scores.conditional_p is None
    assert scores.note == note
    defined = (scores.coverage, scores.mean_width, scores.winkler, scores.kupiec_p)
    assert [number is None for number in (*defined, scores.binomial_p)] == [not missed] * 5


def test_misses_that_never_meet_say_little_of_independence():
    actual = days(0, 1, 0, 0, 1, 0)
    scores = interval_scores(
        actual, lower=actual * 0, upper=actual * 0, coverage=0.8, adaptive=False
    )
    assert scores.independence_statistic is not None
    assert scores.note == "independence says little: no two misses in a row"


@pytest.mark.parametrize("num_days", [1, 2, 30], ids=str)
@pytest.mark.parametrize("level", [0.0, 1.0], ids=["zero", "constant"])
def test_days_that_are_all_alike_are_covered_without_a_warning(num_days, level):
    outcomes = np.full(START + NUM_CALIBRATION + num_days, level)
    intervals = walk(outcomes, coverage=0.9)
    actual = outcomes[-num_days:]
    scores = interval_scores(
        actual, lower=intervals.lower, upper=intervals.upper, coverage=0.9, adaptive=False
    )
    assert scores.coverage == 1.0


def test_a_call_for_no_days_returns_no_intervals():
    intervals = constant_intervals(
        np.ones(20), days(), coverage=0.9, horizon=1, adaptation=ADAPTATION
    )
    assert len(intervals.lower) == len(intervals.upper) == 0


@pytest.mark.parametrize("level", [0.0, np.nan], ids=str)
def test_a_volatility_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match=f"volatility must be above 0 on every day, got {level}"):
        scaled_scores(days(0), days(0), days(level))


def test_a_number_of_misses_that_steers_its_bounds_is_not_tested():
    actual = np.resize([1.0, -1.0, 0.1], 90)
    bounds = {"lower": np.full(90, -2.0), "upper": np.full(90, 0.5), "coverage": 0.8}
    steered = interval_scores(actual, **bounds, adaptive=True)
    fixed = interval_scores(actual, **bounds, adaptive=False)
    assert (steered.binomial_p, steered.kupiec_p, steered.conditional_p) == (None, None, None)
    assert steered.independence_p == fixed.independence_p < 0.01  # every third day is a miss
    assert fixed.binomial_p < 0.01
