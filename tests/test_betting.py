"""Bets and confidence sequences, against wealth worked out by hand and the package ville."""

from itertools import permutations
from math import exp, log, prod, sqrt

import numpy as np
import pytest
import ville
from scipy.optimize import brentq

from ironore_lightning.evaluation.betting import (
    ENOUGH,
    LOSS_STAKES,
    RANK_STAKES,
    STAKES,
    TILTS,
    direction_log_wealth,
    log_wealth,
    loss_log_wealth,
    mean_bounds,
    rank_log_wealth,
)


def wealth_of(bets, stakes):
    """Let each gambler play one day after the other."""
    return np.mean([prod(1 + stake * bet for bet in bets) for stake in stakes])


@pytest.fixture(scope="module")
def market():
    """Return forecasts that know a little, outcomes, volatility and ranks on 400 days."""
    rng = np.random.default_rng(3)
    known, unknown = rng.standard_normal((2, 400))
    return 0.3 * known, 0.3 * known + unknown, np.full(400, 1.1), rng.integers(1, 41, 400) / 40


def paths(market):
    """Return everything that is drawn by day."""
    forecast, actual, volatility, rank = market
    hits, days = np.cumsum(forecast * actual > 0).astype(float), np.arange(1.0, len(actual) + 1)
    return [
        direction_log_wealth(forecast, actual, volatility),
        loss_log_wealth(forecast, actual, volatility),
        rank_log_wealth(rank, np.full(len(rank), 39.0)),
        *mean_bounds(hits, days),
    ]


def test_wealth_after_three_days_is_that_of_two_gamblers():
    found = np.exp(log_wealth(np.array([1.0, -0.5, 1.0]), (0.1, 0.2)))
    # 1.1 * 0.95 * 1.1 = 1.1495 and 1.2 * 0.9 * 1.2 = 1.296
    np.testing.assert_allclose(found, [1.15, (1.045 + 1.08) / 2, 1.22275], rtol=1e-14)


def test_wealth_of_coin_tosses_is_that_of_ville():
    tosses = np.random.default_rng(1).random(40) < 0.6
    # With stakes at Chebyshev's nodes, equal parts are Jeffreys' prior, exactly up to 2 * 25 - 1.
    stakes = np.cos(np.pi * (np.arange(25) + 0.5) / 25)
    reference = ville.BernoulliTest(0.5, prior=(0.5, 0.5)).fit(tosses.astype(float))
    np.testing.assert_allclose(
        log_wealth(2.0 * tosses - 1, stakes), reference.log_e_values_, rtol=0, atol=1e-12
    )


def test_direction_after_three_days_is_that_worked_out_by_hand():
    forecast, actual = np.array([1.0, 3.0, -1.0]), np.array([1.0, 4.0, -1.0])
    found = np.exp(direction_log_wealth(forecast, actual, np.full(3, 2.0)))
    # Deviations from the mean so far: 0, 1 of sqrt(1 / 2), and -2 of sqrt(5 / 3).
    second, third = sqrt(2), -2 / sqrt(5 / 3)
    # Outcomes in volatilities: 0.5, 2, -0.5. Weights: 1 + 20 * 59 / 60, then 59 / 60 of that + 1.
    keep = 59 / 60
    weight = 1 + 20 * keep
    up, size = 1 / weight, 0.5 / weight
    later = keep * weight + 1
    later_up, later_size = (keep + 1) / later, (0.5 * keep + 1) / later
    signs = [0, (1 - up) / (1 + up), -(-1 - later_up) / (1 + later_up)]
    sizes = [0, second * (1 - size) / (1 + size), third * (-0.5 - later_size) / (1 + later_size)]
    wanted = [
        (wealth_of(signs[:day], STAKES) + wealth_of(sizes[:day], STAKES)) / 2 for day in (1, 2, 3)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
    assert wanted[0] == 1 < wanted[1] < wanted[2]


def test_who_is_always_long_gets_rich_in_no_rising_market():
    rising = 1.0 + np.random.default_rng(0).standard_normal(300)
    found = direction_log_wealth(np.full(300, 0.3), rising, np.ones(300))
    np.testing.assert_allclose(found, np.zeros(300), rtol=0, atol=1e-15)


def test_losses_against_zero_are_worked_out_by_hand_and_cut():
    forecast, actual = np.array([1.0, 1.0, 1.0]), np.array([2.0, -10.0, 9.0])
    found = np.exp(loss_log_wealth(forecast, actual, np.ones(3)))
    # 1 * (2 - 1/2) = 1.5, -10.5 counts as -4, and 8.5 as 2.
    wanted = [wealth_of([1.5, -4, 2][:day], LOSS_STAKES) for day in (1, 2, 3)]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_a_forecast_of_zero_bets_nothing():
    outcomes = np.random.default_rng(0).standard_normal(50)
    for bet in (direction_log_wealth, loss_log_wealth):
        found = bet(np.zeros(50), outcomes, np.ones(50))
        np.testing.assert_allclose(found, np.zeros(50), rtol=0, atol=1e-15)


def test_ranks_after_three_days_are_worked_out_by_hand():
    found = np.exp(rank_log_wealth(np.array([1, 2, 1]) / 4, np.full(3, 3.0)))
    # Shares: 1 of 4; 2 and the day before, of 5; 1 and the first day, of 6.
    bets = [0.95 - 2 / 4, 0.95 - 2 * 3 / 5, 0.95 - 2 * 2 / 6]
    wanted = [0.5 + wealth_of(bets[:day], RANK_STAKES) / 2 for day in (1, 2, 3)]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_bets_on_ranks_gain_nothing_on_average_over_all_orders_of_the_errors():
    wealth = []
    for errors in permutations(range(6)):
        validation, live = np.array(errors[:3]), np.array(errors[3:])
        rank = (1 + (validation >= live[:, None]).sum(axis=1)) / 4
        wealth.append(np.exp(rank_log_wealth(rank, np.full(3, 3.0)))[-1])
    assert len(wealth) == 720
    assert 0.7 < np.mean(wealth) <= 1


def test_a_late_break_is_noticed():
    rng = np.random.default_rng(2)
    rank = np.concatenate([rng.integers(1, 129, 500), rng.integers(1, 20, 100)]) / 128
    log_now = rank_log_wealth(rank, np.full(600, 127.0))
    assert log_now[:500].max() < log(ENOUGH)
    assert log_now[540:].min() > log(ENOUGH)


def test_bounds_of_a_mean_are_where_the_wealth_against_it_reaches_twenty():
    low, high = mean_bounds(np.array([45.0]), np.array([60.0]))

    def lead(mean):
        tilts = [*TILTS, *(-tilt for tilt in TILTS)]
        bets = [exp(tilt * 45) * (1 + mean * (exp(tilt) - 1)) ** -60 for tilt in tilts]
        return np.mean(bets) - 20

    wanted = brentq(lead, 0.01, 0.75), brentq(lead, 0.75, 0.99)
    np.testing.assert_allclose([low[0], high[0]], wanted, rtol=0, atol=1e-8)


def test_bounds_of_a_mean_are_about_as_wide_as_those_of_ville_for_a_constant_chance():
    hits = (np.random.default_rng(4).random(756) < 0.9).astype(float)
    low, high = mean_bounds(np.cumsum(hits), np.arange(1.0, 757))
    reference = ville.BernoulliCS(intersect=False).fit(hits)
    ratio = (high - low)[60:] / (reference.upper_ - reference.lower_)[60:]
    assert 0.85 < ratio.min() < ratio.max() < 1.05


def test_bounds_of_a_mean_know_nothing_without_trials():
    low, high = mean_bounds(np.zeros(2), np.array([0.0, 1.0]))
    assert (low[0], high[0]) == (0, 1)
    assert low[1] == 0


def test_later_days_change_no_earlier_number(market):
    changed = [values.copy() for values in market]
    for values in changed:
        values[250:] = values[250:][::-1]
    for before, after in zip(paths(market), paths(changed), strict=True):
        assert np.array_equal(before[:250], after[:250])
        assert not np.array_equal(before[250:], after[250:])


@pytest.mark.parametrize("num_days", [1, 2, 21, 22, 250])
def test_a_record_that_grows_has_the_numbers_of_the_whole(market, num_days):
    grown = paths([values[:num_days] for values in market])
    for part, whole in zip(grown, paths(market), strict=True):
        np.testing.assert_allclose(part, whole[:num_days], rtol=0, atol=1e-12)


def test_luck_seldom_gets_rich_and_skill_does_soon():
    rng = np.random.default_rng(7)
    forecast, outcome = rng.standard_normal((2, 300, 400))
    even = np.ones((300, 400))
    lucky = direction_log_wealth(forecast, outcome, even).max(axis=1) >= log(ENOUGH)
    known = sqrt(0.062) * forecast  # right on 58 %
    skilled = direction_log_wealth(known, known + sqrt(1 - 0.062) * outcome, even) >= log(ENOUGH)
    assert lucky.mean() < 0.05
    assert np.median(np.where(skilled.any(axis=1), skilled.argmax(axis=1) + 1, 401)) < 160
