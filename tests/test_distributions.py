"""Distributions against numbers that R, scikit-learn and plain integration give."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.metrics import mean_pinball_loss

from ironore_lightning.evaluation.distributions import (
    LEVELS,
    Normal,
    Quantiles,
    StudentT,
    pinball_losses,
)

CASES = json.loads((Path(__file__).parent / "reference_cases.json").read_text(encoding="utf-8"))
PUBLISHED = {case["id"]: case for case in CASES["published"]}


def days(*numbers):
    return np.array(numbers, dtype=float)


def columns(case, *names):
    """The rows of a published case, one array a name."""
    rows = PUBLISHED[case]["rows"]
    assert len(rows) >= 3
    return [days(*(row[name] for row in rows)) for name in names]


def test_levels_are_nineteen_from_5_to_95_per_cent():
    assert len(LEVELS) == 19
    assert LEVELS[0] == 0.05
    assert LEVELS[9] == 0.5
    assert LEVELS[-1] == 0.95


def test_score_of_normals_is_that_of_scoringrules_in_r():
    actual, mean, spread, expected = columns("crps_norm", "y", "mu", "sigma", "crps")
    score = Normal(mean, spread).crps(actual)
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-8)


def test_score_of_student_t_is_that_of_scoringrules_in_r():
    names = ("y", "loc", "scale", "df", "crps")
    actual, mean, scale, degrees, expected = columns("crps_t", *names)
    score = StudentT(mean, scale, degrees).crps(actual)
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("degrees", [1.2, 2.0, 3.0, 30.0], ids=str)
def test_score_of_student_t_is_the_integral_that_defines_it(degrees):
    mean, scale, actual = 0.3, 1.7, -2.0
    below, above = stats.t(degrees).cdf, stats.t(degrees).sf
    z = (actual - mean) / scale
    left, _ = integrate.quad(lambda x: below(x) ** 2, -np.inf, z)
    right, _ = integrate.quad(lambda x: above(x) ** 2, z, np.inf)
    score = StudentT(days(mean), days(scale), degrees).crps(days(actual))
    np.testing.assert_allclose(score, [scale * (left + right)], rtol=1e-6)


def test_student_t_of_many_degrees_is_a_normal():
    mean, spread, actual = np.random.default_rng(0).uniform(0.5, 3, size=(3, 50))
    normal, student = Normal(mean, spread), StudentT(mean, spread, 1e7)
    np.testing.assert_allclose(student.crps(actual), normal.crps(actual), rtol=0, atol=1e-6)
    np.testing.assert_allclose(student.quantile(LEVELS), normal.quantile(LEVELS), atol=1e-6)


def test_quantiles_are_those_of_scipy():
    mean, scale = days(0, 1), days(1, 2)
    normal = Normal(mean, scale).quantile(LEVELS)
    student = StudentT(mean, scale, days(3, 8)).quantile(LEVELS)
    assert normal.shape == student.shape == (2, 19)
    expected = stats.norm.ppf(LEVELS, mean[:, None], scale[:, None])
    np.testing.assert_allclose(normal, expected, rtol=1e-12, atol=1e-12)
    expected = stats.t.ppf(LEVELS, days(3, 8)[:, None], mean[:, None], scale[:, None])
    np.testing.assert_allclose(student, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [Normal, lambda *args: StudentT(*args, 4.0)], ids=["normal", "t"])
def test_a_forecast_without_spread_scores_its_absolute_error(kind):
    forecast = kind(days(1, 1, 0), days(0, 0, 0))
    np.testing.assert_array_equal(forecast.crps(days(1, 3, -1e200)), [0, 2, 1e200])
    np.testing.assert_array_equal(forecast.quantile([0.1, 0.9]), [[1, 1], [1, 1], [0, 0]])


@pytest.mark.parametrize("kind", [Normal, lambda *args: StudentT(*args, 1.5)], ids=["normal", "t"])
def test_far_tails_score_a_finite_number(kind):
    forecast = kind(days(0, 0), days(1e-320, 1))
    np.testing.assert_allclose(forecast.crps(days(5, -1e12)), [5, 1e12], rtol=1e-5)


def test_a_missing_outcome_has_no_score_and_spoils_no_other():
    for forecast in (Normal(days(0, 0), days(1, 0)), StudentT(days(0, 0), days(1, 0), 4.0)):
        assert np.isnan(forecast.crps(days(np.nan, np.nan))).all()
        assert np.isfinite(forecast.crps(days(np.nan, 1))[1])


def test_the_honest_forecast_scores_best():
    actual = np.random.default_rng(0).normal(0, 2, size=5000)
    centre = np.zeros_like(actual)
    scores = {
        spread: Normal(centre, centre + spread).crps(actual).mean() for spread in (1, 1.5, 2, 3, 4)
    }
    assert min(scores, key=scores.get) == 2


def test_known_quantiles_come_back_as_they_are_and_others_in_between():
    forecast = Quantiles([0.1, 0.5, 0.9], np.array([[-2.0, 0.0, 1.0], [0.0, 0.0, 4.0]]))
    np.testing.assert_array_equal(forecast.quantile([0.1, 0.5, 0.9]), forecast.values)
    np.testing.assert_allclose(forecast.quantile([0.2, 0.7]), [[-1.5, 0.5], [0.0, 2.0]])


@pytest.mark.parametrize("level", [0.09, 0.91], ids=str)
def test_beyond_the_outermost_level_nothing_is_known(level):
    forecast = Quantiles([0.1, 0.9], np.array([[-1.0, 1.0]]))
    with pytest.raises(ValueError, match=r"levels must be in \[0.1, 0.9\], .* got"):
        forecast.quantile([level])


def test_binary_fractions_do_not_push_a_level_out_of_range():
    forecast = Quantiles(LEVELS, np.arange(19.0)[None])
    tail = (1 - 0.9) / 2
    assert tail < LEVELS[0]
    np.testing.assert_allclose(forecast.quantile([tail, 1 - tail]), [[0, 18]])


def test_one_quantile_is_enough():
    forecast = Quantiles([0.5], np.array([[2.0]]))
    np.testing.assert_array_equal(forecast.quantile([0.5]), [[2.0]])


@pytest.mark.parametrize("row", PUBLISHED["pinball_sklearn"]["rows"], ids=str)
def test_pinball_loss_is_that_of_the_documentation_of_scikit_learn(row):
    losses = pinball_losses(days(*row["y"]), days(*row["f"])[:, None], [row["alpha"]])
    assert losses.mean() == pytest.approx(row["value"], abs=1e-12)


def test_pinball_loss_of_every_level_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    actual, values = generator.normal(size=131), generator.normal(size=(131, 19))
    losses = pinball_losses(actual, values, LEVELS)
    expected = [
        mean_pinball_loss(actual, column, alpha=level)
        for column, level in zip(values.T, LEVELS, strict=True)
    ]
    assert losses.shape == (131, 19)
    np.testing.assert_allclose(losses.mean(axis=0), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Normal(days(0), days(-1)), "spread must not be negative, got -1"),
        (lambda: Normal(days(0), days(1, 1)), r"mean has shape \(1,\), spread \(2,\)"),
        (lambda: StudentT(days(0), days(-1), 4.0), "scale must not be negative"),
        (lambda: StudentT(days(0), days(1), 1.0), "degrees must be above 1, got 1"),
        (lambda: StudentT(days(0), days(1), days(4, 4)), r"degrees have shape \(2,\)"),
        (lambda: Quantiles([0.1, 0.1], np.zeros((1, 2))), "levels must ascend"),
        (lambda: Quantiles([0.0, 0.5], np.zeros((1, 2))), "above 0 and below 1"),
        (lambda: Quantiles([0.1, 0.5], np.zeros((1, 3))), r"2 levels need values \(N, K\)"),
        (lambda: Quantiles([0.1, 0.5], np.array([[0, 1], [1, 0]])), "cross on day 1"),
        (lambda: Normal(days(0), days(1)).quantile([1.0]), "above 0 and below 1"),
    ],
)
def test_what_is_no_distribution_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
