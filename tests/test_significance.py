"""Tests of significance against R, published examples, hand-worked numbers and simulated luck."""

import json
from dataclasses import astuple
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from degenerate_days import BY_DEGENERATION, exactly, luck, require_finite_or_explained
from scipy.stats import beta, norm
from scipy.stats import t as student
from statsmodels.tsa.stattools import diebold_mariano_test

from ironore_lightning.evaluation.significance import (
    anatolyev_gerko,
    binomial_test,
    clark_west,
    clopper_pearson,
    correlation_bound,
    diebold_mariano,
    giacomini_white,
    pesaran_timmermann,
)

CASES = json.loads((Path(__file__).parent / "reference_cases.json").read_text(encoding="utf-8"))
PUBLISHED = {case["id"]: case for case in CASES["published"]}
GENERATED = list(CASES["generated"]["cases"].values())
BY_LENGTH = pytest.mark.parametrize("case", GENERATED, ids=lambda case: f"n{case['n']}")
DM_ROWS = [(case["n"], row) for case in GENERATED for row in case["dm"]]
SQUARED_DM_ROWS = [(n, row) for n, row in DM_ROWS if row["power"] == 2]
# At horizon 1 both estimators are the plain variance; above it ours is Bartlett's.
OUR_DM_ROWS = [
    (n, row) for n, row in SQUARED_DM_ROWS if row["h"] == 1 or row["varestimator"] == "bartlett"
]


def series(num_days):
    """Return what happened and three forecasts of it, all in closed form."""
    day = np.arange(1, num_days + 1, dtype=np.float64)
    return {
        "actual": 2 * np.sin(1.3 * day) + 1.1 * np.cos(0.37 * day * day),
        "f1": 0.6 * np.sin(1.3 * day + 0.4) + 0.5 * np.cos(2.1 * day),
        "f2": 0.3 * np.cos(0.9 * day) - 0.1,
        "zero": np.zeros(num_days),
    }


def compare(test, num_days, *, model="f1", benchmark, horizon=1, **options):
    made = series(num_days)
    options |= {"benchmark": made[benchmark], "horizon": horizon}
    return test(made[model], made["actual"], **options)


def test_the_reference_cases_are_all_there():
    assert (len(GENERATED), len(DM_ROWS), len(OUR_DM_ROWS)) == (3, 72, 24)
    for case in GENERATED:
        actual = series(case["n"])["actual"]
        assert (actual[0], actual[-1]) == (exactly(case["y1"]), exactly(case["yn"]))


@pytest.mark.parametrize(
    ("num_days", "row"),
    OUR_DM_ROWS,
    ids=[f"n{n}-h{row['h']}-{row['benchmark']}-{row['varestimator']}" for n, row in OUR_DM_ROWS],
)
def test_diebold_mariano_agrees_with_r(num_days, row):
    found = compare(diebold_mariano, num_days, benchmark=row["benchmark"], horizon=row["h"])
    assert found.statistic == exactly(row["stat"])
    assert found.p_value == exactly(row["p_f1_better"])
    assert found.num_days == num_days


def test_diebold_mariano_agrees_with_a_published_example():
    case = PUBLISHED["dm_pypi"]
    actual, first, second = (np.array(case[name], dtype=np.float64) for name in ("y", "f1", "f2"))
    found = diebold_mariano(first, actual, benchmark=second, horizon=1)
    assert found.statistic == exactly(case["stat"])
    assert found.p_value == exactly(case["p_one_sided"])


@BY_LENGTH
@pytest.mark.parametrize("name", ["f1", "f2"])
def test_clark_west_agrees_with_r(case, name):
    expected = case[f"cw_{name}_vs_zero"]
    found = compare(clark_west, case["n"], model=name, benchmark="zero")
    assert found.statistic == exactly(expected["stat"])
    assert found.p_value == exactly(expected["p"])
    overlapping = compare(clark_west, case["n"], model=name, benchmark="zero", horizon=4)
    assert overlapping.statistic == exactly(expected["stat_nw3"])


@BY_LENGTH
def test_giacomini_white_agrees_with_r(case):
    expected = case["gw_f1_vs_f2"]
    found = compare(giacomini_white, case["n"], benchmark="f2")
    assert found.statistic == exactly(expected["stat"])
    assert found.p_value == exactly(expected["p"])


@BY_LENGTH
@pytest.mark.parametrize("name", ["f1", "f2"])
def test_the_tests_of_direction_agree_with_r(case, name):
    made, expected = series(case["n"]), case[f"da_{name}"]
    hits = pesaran_timmermann(made[name], made["actual"])
    assert (hits.statistic, hits.p_value) == (exactly(expected["PT"]), exactly(expected["PT_p"]))
    profit = anatolyev_gerko(made[name], made["actual"])
    assert profit.statistic == exactly(expected["AG"])
    assert profit.p_value == exactly(expected["AG_p"])


def test_the_tests_of_direction_agree_with_a_published_example():
    case = PUBLISHED["pt_gist"]
    actual, forecast = (np.array(case[name], dtype=np.float64) for name in ("actual", "forecast"))
    hits, profit = pesaran_timmermann(forecast, actual), anatolyev_gerko(forecast, actual)
    assert (hits.statistic, hits.p_value) == (exactly(case["PT"]), exactly(case["PT_p_one_sided"]))
    assert profit.statistic == exactly(case["AG"])
    assert profit.p_value == exactly(case["AG_p_one_sided"])


def test_the_exact_test_of_131_days_agrees_with_r():
    case = CASES["binomial_no_skill"]["n131"]
    critical = case["one_sided5_critical_hits"]
    by_luck = binomial_test(critical, 131, base_rate=50.0)
    assert by_luck.p_value == pytest.approx(case["actual_size"], abs=5e-5)
    assert binomial_test(critical - 1, 131, base_rate=50.0).p_value > 0.05
    assert binomial_test(10, 10, base_rate=100.0).p_value == 1.0
    for share, hits in ((50, 66), (55, 73), (60, 79)):
        found = binomial_test(hits, 131, base_rate=50.0)
        assert found.p_value == pytest.approx(case[f"P_da_ge_{share}"], abs=5e-5)


def test_diebold_mariano_is_corrected_and_compared_with_student():
    made = series(20)
    plain = diebold_mariano_test(made["actual"], made["f1"], made["zero"], lags=0)
    ours = compare(diebold_mariano, 20, benchmark="zero")
    assert ours.statistic == exactly(plain.statistic * sqrt(19 / 20))
    assert ours.p_value == exactly(student.cdf(ours.statistic, df=19))
    assert ours.p_value > norm.cdf(ours.statistic) > plain.pvalue / 2


def test_diebold_mariano_uses_one_lag_less_than_the_horizon_and_not_a_default():
    actual, forecast, _, zero = series(20).values()
    theirs = diebold_mariano_test(actual, forecast, zero, harvey_adj=True, horizon=2)
    assert theirs.lags == 3
    ours = compare(diebold_mariano, 20, benchmark="zero", horizon=2)
    assert abs(ours.statistic - theirs.statistic) > 0.1


def test_bartlett_weights_are_defined_where_rectangular_ones_are_not():
    failed = [(n, row) for n, row in SQUARED_DM_ROWS if "stat" not in row]
    assert len(failed) == 3
    for num_days, row in failed:
        found = compare(diebold_mariano, num_days, benchmark=row["benchmark"], horizon=row["h"])
        assert -10 < found.statistic < -2


@pytest.mark.parametrize("benchmark", ["f2", "zero"])
def test_clark_west_gives_back_the_noise_of_the_larger_model(benchmark):
    made = series(50)
    actual, large, small = made["actual"], made["f1"], made[benchmark]
    adjusted = (actual - small) ** 2 - ((actual - large) ** 2 - (small - large) ** 2)
    by_hand = adjusted.mean() / (adjusted.std(ddof=1) / sqrt(50))
    assert clark_west(large, actual, benchmark=small, horizon=1).statistic == exactly(by_hand)


def test_giacomini_white_at_a_longer_horizon_by_hand():
    made = series(60)
    found = compare(giacomini_white, 60, benchmark="f2", horizon=2)
    difference = (made["actual"] - made["f1"]) ** 2 - (made["actual"] - made["f2"]) ** 2
    moments = np.column_stack([difference[2:], difference[:-2] * difference[2:]])
    cross = moments[1:].T @ moments[:-1]
    covariance = (moments.T @ moments + 0.5 * (cross + cross.T)) / 58
    mean = moments.mean(axis=0)
    assert found.statistic == exactly(58 * mean @ np.linalg.inv(covariance) @ mean)


@BY_LENGTH
def test_pesaran_timmermann_keeps_the_term_in_one_over_n_squared(case):
    made, n = series(case["n"]), case["n"]
    x, y = (made["f1"] > 0).mean(), (made["actual"] > 0).mean()
    hits = (made["f1"] * made["actual"] > 0).mean()
    expected = x * y + (1 - x) * (1 - y)
    spread = (2 * y - 1) ** 2 * x * (1 - x) / n + (2 * x - 1) ** 2 * y * (1 - y) / n
    small = 4 * x * y * (1 - x) * (1 - y) / n**2
    full = (hits - expected) / sqrt(expected * (1 - expected) / n - spread - small)
    without = (hits - expected) / sqrt(expected * (1 - expected) / n - spread)
    assert pesaran_timmermann(made["f1"], made["actual"]).statistic == exactly(full)
    assert without == exactly(case["da_f1"]["PT_statsmodels_convention"])


def test_a_day_without_a_move_is_a_miss_in_pesaran_timmermann():
    case = PUBLISHED["pt_sm8"]
    actual, forecast = np.array(case["actual"]), np.array(case["forecast"])
    assert (actual[2], forecast[2]) == (0.0, -0.1)
    assert pesaran_timmermann(forecast, actual).statistic == exactly(case["rugarch_PT"])


def test_a_forecast_of_zero_holds_nothing_in_anatolyev_gerko():
    forecast = np.array([1.0, 0.0, -1.0, 1.0])
    actual = np.array([6.0, 5.0, -1.0, -2.0])
    # Signs 1, 0, -1, 1: A = (6 + 1 - 2) / 4, B = 1/4 * 2, p = 5/8, squares sum to 50.
    excess, spread = 5 / 4 - 1 / 2, 4 / 16 * 5 / 8 * 3 / 8 * 50
    assert anatolyev_gerko(forecast, actual).statistic == exactly(excess / sqrt(spread))


@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0], ids=["up", "down", "nothing"])
def test_a_forecast_of_one_sign_has_no_test_of_direction(sign):
    actual = luck(0, 100)
    for forecast in (sign * np.ones(100), sign * np.abs(luck(1, 100))):
        for test in (pesaran_timmermann, anatolyev_gerko):
            found = test(forecast, actual)
            assert (found.statistic, found.p_value, found.num_days) == (None, None, 100)
            assert found.note == "undefined: forecast never changes sign"


def test_a_market_of_one_sign_has_no_pesaran_timmermann_but_pays_unequally():
    forecast, actual = luck(0, 100), np.abs(luck(1, 100))
    assert pesaran_timmermann(forecast, actual).note == "undefined: market never changes sign"
    assert anatolyev_gerko(forecast, actual).p_value is not None


@BY_DEGENERATION
@pytest.mark.parametrize("horizon", [1, 3], ids=["h1", "h3"])
def test_what_is_undefined_is_none_with_a_reason(forecast, actual, benchmark, horizon):
    forecast, actual, benchmark = (
        returns.astype(np.float64) for returns in (forecast, actual, benchmark)
    )
    rivals = {"benchmark": benchmark, "horizon": horizon}
    outcomes = [
        diebold_mariano(forecast, actual, **rivals),
        clark_west(forecast, actual, **rivals),
        giacomini_white(forecast, actual, **rivals),
        pesaran_timmermann(forecast, actual),
        anatolyev_gerko(forecast, actual),
    ]
    for outcome in outcomes:
        require_finite_or_explained([outcome.statistic, outcome.p_value], outcome.note)
        assert outcome.num_days == len(actual)


def test_no_day_that_moved_has_no_share():
    assert astuple(binomial_test(0, 0, base_rate=50.0))[:2] == (None, None)
    assert clopper_pearson(0, 0, coverage=0.95).note == "undefined: no day moved"


@pytest.mark.parametrize(
    ("hits", "low", "high"),
    [(66, 41.5, 59.2), (73, 46.8, 64.4), (76, 49.1, 66.6), (79, 51.4, 68.7), (86, 56.9, 73.7)],
    ids=str,
)
def test_the_exact_interval_of_131_days(hits, low, high):
    found = clopper_pearson(hits, 131, coverage=0.95)
    assert found.estimate == exactly(100 * hits / 131)
    assert (round(found.low, 1), round(found.high, 1)) == (low, high)
    assert found.low == exactly(100 * beta.ppf(0.025, hits, 131 - hits + 1))
    assert found.high == exactly(100 * beta.ppf(0.975, hits + 1, 131 - hits))


def test_overlapping_days_widen_the_exact_interval_to_that_of_days_apart():
    found, apart = (
        clopper_pearson(66, 120, coverage=0.95, horizon=5),
        clopper_pearson(13, 24, coverage=0.95),
    )
    assert found.estimate == 55.0
    assert (found.low, found.high) == (apart.low, apart.high)


def test_the_exact_interval_reaches_the_end_where_all_or_none_were_hit():
    none, every = (clopper_pearson(hits, 10, coverage=0.95) for hits in (0, 10))
    # The lower end p of ten out of ten solves p^10 = 0.025.
    assert (none.low, every.low, every.high) == (0.0, exactly(100 * 0.025 ** (1 / 10)), 100.0)


def test_the_bound_of_a_correlation_by_hand():
    # atanh(0.5) = 0.549306; 1.644854 / sqrt(100) = 0.164485; tanh(0.384821) = 0.366887
    assert correlation_bound(0.5, 103, belief=0.95) == pytest.approx(0.366887, abs=1e-6)
    assert correlation_bound(1.0, 103, belief=0.95) > 0.999
    assert correlation_bound(0.5, 3, belief=0.95) is None
    assert correlation_bound(None, 103, belief=0.95) is None


@pytest.fixture(scope="module")
def rejections():
    """Per cent of a thousand skill-less forecasts of 131 fat-tailed days that pass at 5 %."""
    generator = np.random.default_rng(11)
    actual = generator.standard_t(4, size=(1000, 131))
    forecast = 0.3 * generator.standard_normal((1000, 131)) + 0.05
    p_values = [
        (
            clark_west(guess, seen, benchmark=np.zeros(131), horizon=1).p_value,
            anatolyev_gerko(guess, seen).p_value,
            pesaran_timmermann(guess, seen).p_value,
        )
        for guess, seen in zip(forecast, actual, strict=True)
    ]
    shares = 100 * (np.array(p_values) < 0.05).mean(axis=0)
    return dict(zip(("CW", "AG", "PT"), shares, strict=True))


@pytest.mark.parametrize("name", ["CW", "AG", "PT"])
def test_luck_passes_at_five_per_cent_about_one_time_in_twenty(rejections, name):
    assert 2 <= rejections[name] <= 8
