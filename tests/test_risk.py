"""Value at risk and expected shortfall: worked by hand, known at the origin, as published."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm, t

from ironore_lightning.evaluation.baselines import Spread
from ironore_lightning.evaluation.risk import (
    HISTORY,
    RISK_MEASURES,
    affordable_lots,
    build_risk,
    score_risk,
    shortfall_p,
    shortfall_statistic,
    tail_risk,
)

UNKNOWN = np.array([np.nan])
ENOUGH = 50 + 199
"""Outcomes after which 199 scores are known: the first has 50 before it."""


def three_of_twenty(num_days):
    """A market that moves by 1 a day, up on three days of twenty: its volatility is 1."""
    return np.where(np.arange(num_days) % 20 < 3, 1.0, -1.0)


def draw(num_days, seed=0):
    return np.random.default_rng(seed).standard_t(4, num_days)


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_the_figures_are_centred_so_that_a_trend_does_not_count(level):
    # The mean score is -0.7: who holds loses 0.3 beyond it on 85 % of the days, and who has sold
    # 1.7 on 15 %.
    found = tail_risk(np.append(three_of_twenty(560), UNKNOWN), level, horizon=1)
    sizes = [found.long_var, found.long_es, found.short_var, found.short_es]
    assert sizes == pytest.approx([0.3, 0.3, 1.7, 1.7], abs=1e-12)


def test_beyond_the_second_largest_of_199_scores_lies_the_largest():
    outcomes = np.where(np.arange(ENOUGH) % 2, 1.0, -1.0)
    outcomes[-1] = 5.0  # the newest known one, whose own volatility is 1
    found = tail_risk(np.append(outcomes, UNKNOWN), 0.99, horizon=1)
    weight = 0.06 / (1 - 0.94**ENOUGH)
    volatility = np.sqrt(1 - weight + 25 * weight)
    mean = (5.0 + 99 - 99) / 199  # the other 198 scores are half ups, half downs
    assert found.short_var == pytest.approx(volatility * (1 - mean))
    assert found.short_es == pytest.approx(volatility * (5 - mean))
    assert found.long_var == found.long_es == pytest.approx(volatility * (1 + mean))


def test_one_score_fewer_says_nothing_of_99_per_cent():
    outcomes = np.append(draw(ENOUGH), UNKNOWN)
    assert tail_risk(outcomes[1:], 0.99, horizon=1) is None
    assert tail_risk(outcomes[1:], 0.9, horizon=1).long_var > 0
    assert tail_risk(outcomes, 0.99, horizon=1).long_es > 0
    assert tail_risk(UNKNOWN, 0.9, horizon=1) is None
    # Of 249 outcomes over three days two are not known yet.
    assert tail_risk(outcomes, 0.99, horizon=3) is None


def test_a_day_left_out_does_not_count():
    outcomes = np.append(three_of_twenty(1000), UNKNOWN)
    with_gap = np.insert(outcomes, 700, np.nan)
    assert tail_risk(with_gap, 0.9, horizon=1) == tail_risk(outcomes, 0.9, horizon=1)


@pytest.mark.parametrize("horizon", [1, 3])
def test_an_outcome_that_is_not_known_at_the_origin_changes_nothing(horizon):
    outcomes = draw(700)
    spreads = {"EWMA": Spread(np.ones(700), None)}
    before = build_risk(outcomes, np.arange(700) >= 600, spreads, horizon=horizon)
    newest = tail_risk(outcomes, 0.99, horizon=horizon)
    changed = outcomes.copy()
    changed[650:] *= -100
    after = build_risk(changed, np.arange(700) >= 600, spreads, horizon=horizon)
    known = 50 + horizon
    assert before[:known].equals(after[:known])
    assert not before[known:].equals(after[known:])
    outcomes[-horizon:] = 1e6
    assert tail_risk(outcomes, 0.99, horizon=horizon) == newest


def test_the_newest_figures_are_those_of_the_last_test_day():
    outcomes = draw(500)
    table = build_risk(outcomes, np.arange(500) >= 400, {}, horizon=1)
    found = tail_risk(outcomes, 0.99, horizon=1)
    last = {name: table[f"{name}_99", HISTORY].iloc[-1] for name in vars(found)}
    assert last == vars(found)
    assert list(table) == [(measure, HISTORY) for measure in RISK_MEASURES]


@pytest.mark.parametrize("degrees", [None, 4.0])
def test_a_distribution_loses_beyond_its_quantile_what_integration_says(degrees):
    scale = np.array([1.0, 2.5])
    table = build_risk(np.ones(2), np.ones(2, bool), {"it": Spread(scale, degrees)}, horizon=1)
    law = norm() if degrees is None else t(degrees)
    for level in (0.9, 0.99):
        var = law.ppf(level)
        es = law.expect(lambda loss: loss, lb=var) / (1 - level)
        for side in ("long", "short"):
            figures = table[[(f"{side}_{what}_{100 * level:.0f}", "it") for what in ("var", "es")]]
            np.testing.assert_allclose(figures, np.outer(scale, [var, es]), rtol=1e-7)
        assert table[f"long_var_{100 * level:.0f}", HISTORY].isna().all()


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0, *[-9.0] * 9], 0.0),  # one day of ten exceeds, by the expected shortfall
        ([4.0, *[-9.0] * 9], -1.0),  # it loses twice that
        ([1.0, *[-9.0] * 9], 1.0),  # a loss as large as the value at risk is no exceedance
        ([2.0, 3.0, *[0.0] * 8], -1.5),
    ],
)
def test_the_shortfall_statistic_is_worked_by_hand(losses, expected):
    var, es = np.ones(10), np.full(10, 2.0)
    assert shortfall_statistic(np.array(losses), var, es, 0.9) == pytest.approx(expected)


def test_the_shortfall_statistic_of_nothing_is_undefined():
    nothing = np.empty(0)
    assert shortfall_statistic(nothing, nothing, nothing, 0.9) is None
    zeros = np.zeros(3)
    assert shortfall_statistic(np.ones(3), zeros, zeros, 0.9) is None


def test_the_critical_value_is_the_published_one():
    # Acerbi & Szekely (2014): -0.70 at 5 % for 250 days at 97.5 %, normal or Student t.
    var, es = np.full(250, 1.95996), np.full(250, 2.33780)
    assert shortfall_p(-0.70, var, es, 0.975) == pytest.approx(0.05, abs=0.004)
    assert shortfall_p(1.0, var, es, 0.975) == 1.0
    assert shortfall_p(-0.70, var, es, 0.975) == shortfall_p(-0.70, var, es, 0.975)


def test_each_side_counts_its_own_exceedances():
    actual = np.array([*[-3.0] * 2, *[1.5] * 98])
    sizes = [1.0, 1.2, 2.0, 2.2, 3.0, 3.2, 4.0, 4.2]
    risk = pd.DataFrame(
        {
            (name, "EWMA"): np.full(100, size)
            for name, size in zip(RISK_MEASURES, sizes, strict=True)
        }
    )
    risk.loc[50, ("long_es_90", "EWMA")] = np.nan  # this day has no forecast
    found = score_risk(actual, risk)
    assert [(row.level, row.side, row.num_days, row.exceedances) for row in found] == [
        (0.9, "long", 99, 2),
        (0.9, "short", 100, 0),
        (0.99, "long", 100, 0),
        (0.99, "short", 100, 0),
    ]
    first, second, third, _ = found
    assert first.binomial_p == pytest.approx(binomtest(2, 99, 0.1).pvalue)
    assert first.kupiec_p < 0.01
    assert first.independence_p < 0.05
    assert (first.mean_var, first.mean_es) == pytest.approx((1.0, 1.2))
    assert first.shortfall_z == pytest.approx(1 - 2 * (3.0 / 1.2) / 9.9)
    assert (second.shortfall_z, second.shortfall_p) == (1.0, 1.0)
    assert (first.note, third.note) == ("", "says little: 1.0 exceedances are expected")


def test_without_figures_nothing_is_scored():
    assert score_risk(np.ones(3), pd.DataFrame(index=range(3))) == []
    unknown = pd.DataFrame({(name, HISTORY): [np.nan] * 3 for name in RISK_MEASURES})
    found = score_risk(np.ones(3), unknown)
    assert len(found) == 4
    for row in found:
        assert (row.num_days, row.mean_var, row.kupiec_p, row.shortfall_z) == (0, None, None, None)
        assert row.note == "too few earlier outcomes are known"


@pytest.mark.parametrize(
    ("budget", "loss", "lots"),
    [
        (1000.0, 400.0, 2),
        (399.0, 400.0, 0),
        (400.0, 400.0, 1),
        (0.3, 0.1, 3),
        (1e9, 0.5, 2 * 10**9),
    ],
)
def test_a_budget_pays_for_whole_lots(budget, loss, lots):
    assert affordable_lots(budget, loss) == lots


@pytest.mark.parametrize("loss", [0.0, -1.0, np.nan, np.inf])
def test_a_lot_without_a_loss_has_no_number(loss):
    with pytest.raises(ValueError, match="above 0"):
        affordable_lots(1000.0, loss)
