"""Tests of the discount for looking against papers, R, loops by hand and simulated luck."""

import json
from dataclasses import astuple, fields
from itertools import combinations, pairwise
from math import isfinite, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kurtosis, norm, rankdata, skew

from ironore_lightning.errors import DataError
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.selection import (
    backtest_overfitting,
    discount_for_search,
    effective_trials,
    expected_best_sharpe,
    minimum_track_record,
    num_cscv_blocks,
    probabilistic_sharpe,
)
from ironore_lightning.evaluation.skill import chosen_rotation

CASES = json.loads((Path(__file__).parent / "reference_cases.json").read_text(encoding="utf-8"))
PUBLISHED = {case["id"]: case for case in CASES["published"]}
HALVES = CASES["pbo"]["cases"]
DEFLATED, NORMAL = PUBLISHED["dsr_paper"], {"skewness": 0.0, "kurtosis": 3.0}
MONTHLY = {"benchmark": 1 / sqrt(12), "skewness": -0.72, "kurtosis": 5.78}


def exactly(value):
    return pytest.approx(value, rel=1e-8, abs=1e-8)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_reference_cases_are_all_there():
    assert (len(HALVES), len(PUBLISHED["mintrl"]["rows"])) == (7, 3)
    assert {"N100", "N46"} < set(DEFLATED)


# The probabilistic and the deflated Sharpe ratio


def test_the_probabilistic_sharpe_agrees_with_its_paper():
    case = PUBLISHED["psr_paper"]
    given = {"benchmark": 0.0, "num_periods": case["inputs"]["n"]}
    shape = {"skewness": case["inputs"]["skew"], "kurtosis": case["inputs"]["kurt"]}
    sharpe = case["inputs"]["SR_monthly"]
    assert probabilistic_sharpe(sharpe, **given, **shape) == exactly(case["PSR0"])
    normal = probabilistic_sharpe(sharpe, **given, **NORMAL)
    assert normal == exactly(case["PSR0_normal_moments"])


def test_the_probabilistic_sharpe_agrees_with_r():
    case = PUBLISHED["psr_PA"]
    given = case["inputs"]
    shape = {"skewness": given["skew"], "kurtosis": given["kurt"]}
    options = {"benchmark": given["refSR"], "num_periods": given["n"]}
    assert probabilistic_sharpe(given["sr"], **options, **shape) == exactly(case["PSR"])
    ignored = probabilistic_sharpe(given["sr"], **options, **(shape | {"kurtosis": 3.0}))
    assert ignored == exactly(case["PSR_kurt_ignored"])


@pytest.mark.parametrize("num_trials", [100, 46])
def test_the_deflated_sharpe_agrees_with_its_paper(num_trials):
    given, expected = DEFLATED["inputs"], DEFLATED[f"N{num_trials}"]
    year = given["obs_per_year"]
    bar = expected_best_sharpe(variance=given["V_annual"] / year, num_trials=num_trials)
    assert bar == exactly(expected["SR0"])
    shape = {"skewness": given["skew"], "kurtosis": given["kurt"], "num_periods": given["T"]}
    sharpe = given["SR_annual"] / sqrt(year)
    assert probabilistic_sharpe(sharpe, benchmark=bar, **shape) == exactly(expected["DSR"])


def test_an_annual_sharpe_ratio_or_an_excess_kurtosis_would_not_agree():
    given, expected = DEFLATED["inputs"], DEFLATED["N100"]
    options = {"benchmark": expected["SR0"], "num_periods": given["T"], "skewness": given["skew"]}
    annual = probabilistic_sharpe(given["SR_annual"], kurtosis=given["kurt"], **options)
    daily = given["SR_annual"] / sqrt(given["obs_per_year"])
    excess = probabilistic_sharpe(daily, kurtosis=given["kurt"] - 3, **options)
    assert annual > 0.9999
    # (0.158114 - 0.113172) * sqrt(1249 / (1 + 3 * 0.158114 + 6 / 4 * 0.025)) = 1.29176
    assert excess == pytest.approx(norm.cdf(1.29176), abs=2e-6)
    assert expected["DSR"] == pytest.approx(0.9004, abs=5e-5)
    normal = {**options, "skewness": 0.0}
    by_hand = norm.cdf((daily - options["benchmark"]) * sqrt((given["T"] - 1) / (1 + daily**2 / 2)))
    assert probabilistic_sharpe(daily, kurtosis=3.0, **normal) == exactly(by_hand)


def test_a_probabilistic_sharpe_without_a_standard_error_is_none():
    assert probabilistic_sharpe(0.1, benchmark=0.0, num_periods=1, **NORMAL) is None
    # 1 - 2 * 1 + (5 - 1) / 4 * 1 = 0: profits of two sizes, whose skewness is 2.
    certain = {"skewness": 2.0, "kurtosis": 5.0}
    assert probabilistic_sharpe(1.0, benchmark=0.0, num_periods=9, **certain) is None
    at_the_bar = probabilistic_sharpe(0.1, benchmark=0.1, num_periods=2, **NORMAL)
    assert at_the_bar == 0.5


@pytest.mark.parametrize("row", PUBLISHED["mintrl"]["rows"], ids=["fat", "normal", "daily"])
def test_the_minimum_track_record_agrees_with_its_paper(row):
    year = 250 if "minTRL_years" in row else 12
    assert row["sr"] == f"2/sqrt({year})"
    shape = {"skewness": row["skew"], "kurtosis": row["kurt"], "confidence": 0.95}
    periods = minimum_track_record(2 / sqrt(year), benchmark=1 / sqrt(year), **shape)
    expected = row["minTRL_months"] if year == 12 else row["minTRL_years"] * year
    assert periods == exactly(expected)


def test_after_the_minimum_track_record_the_probabilistic_sharpe_is_the_confidence():
    periods = minimum_track_record(2 / sqrt(12), confidence=0.9, **MONTHLY)
    assert probabilistic_sharpe(2 / sqrt(12), num_periods=periods, **MONTHLY) == exactly(0.9)


@pytest.mark.parametrize("sharpe", [-1.0, 0.0, 1e-300], ids=["loss", "nothing", "next to nothing"])
def test_a_sharpe_ratio_that_is_not_above_the_benchmark_needs_no_finite_track_record(sharpe):
    assert minimum_track_record(sharpe, benchmark=0.0, confidence=0.95, **NORMAL) is None


@pytest.mark.parametrize(
    ("num_trials", "annual"),
    [(5, 1.65), (10, 2.18), (20, 2.64), (50, 3.16), (100, 3.51), (200, 3.84)],
    ids=str,
)
def test_the_best_of_many_trials_without_skill_on_131_days(num_trials, annual):
    bar = expected_best_sharpe(variance=1 / 131, num_trials=num_trials)
    assert sqrt(252) * bar == pytest.approx(annual, abs=0.0051)


@pytest.mark.parametrize("num_trials", [2, 10, 100])
def test_the_expected_best_is_the_mean_of_simulated_maxima(num_trials):
    best = 3.0 * noise(0, 20_000, num_trials).max(axis=1).mean()
    found = expected_best_sharpe(variance=9.0, num_trials=num_trials)
    assert found == pytest.approx(best, rel=0.09 if num_trials == 2 else 0.03)


def test_one_trial_is_expected_to_show_nothing_and_more_never_less():
    bars = [expected_best_sharpe(variance=1.0, num_trials=1 + k / 10) for k in range(100)]
    assert bars[:3] == [0.0, 0.0, 0.0]
    assert all(before <= after for before, after in pairwise(bars))
    assert expected_best_sharpe(variance=0.0, num_trials=50) == 0.0


# The probability of backtest overfitting


def closed_form(case):
    day, trial = np.arange(1, case["T"] + 1)[:, None], np.arange(1, case["N"] + 1)
    return np.sin(1.7 * day * trial + 0.3 * trial**2) + case["amp"] * trial


@pytest.mark.parametrize("case", HALVES, ids=lambda case: "T{T}-N{N}-S{S}-amp{amp}".format(**case))
def test_the_probability_of_overfitting_agrees_with_r(case):
    found = backtest_overfitting(closed_form(case), num_blocks=case["S"])
    assert found == exactly(case["pbo_paper"])


def by_loops(performance, num_blocks):
    """Return how often the logit is at most zero, half by half."""
    blocks = np.split(performance, num_blocks)
    logits = []
    for half in combinations(range(num_blocks), num_blocks // 2):
        inside = np.concatenate([blocks[k] for k in half])
        outside = np.concatenate([blocks[k] for k in range(num_blocks) if k not in half])
        chosen = (inside.mean(axis=0) / inside.std(axis=0, ddof=1)).argmax()
        rank = rankdata(outside.mean(axis=0) / outside.std(axis=0, ddof=1))[chosen]
        share = rank / (performance.shape[1] + 1)
        logits.append(np.log(share / (1 - share)))
    return np.mean(np.array(logits) <= 0)


@pytest.mark.parametrize("num_trials", [2, 7, 20])
def test_matrices_find_what_loops_find(num_trials):
    performance = noise(num_trials, 80, num_trials) + 0.02 * np.arange(num_trials)
    found = backtest_overfitting(performance, num_blocks=8)
    assert found == exactly(by_loops(performance, 8))
    assert 0 < found < 1


def test_the_median_of_the_trials_counts_as_overfitted():
    # The first trial is the best of the first half, and second of three on the other; the second
    # the other way round. rank / (N + 1) is 1/2, whose logit is 0; rank / N would be 2/3.
    first, second, third = [5, 6, 2, 3], [2, 3, 5, 6], [0, 1, 0, 1]
    found = backtest_overfitting(np.array([first, second, third], float).T, num_blocks=2)
    assert found == 1.0


def test_the_earliest_days_are_left_out_where_blocks_do_not_fit():
    performance, wild = noise(3, 64, 12), 1e6 * noise(4, 7, 12)
    found = backtest_overfitting(np.concatenate([wild, performance]), num_blocks=8)
    assert found == backtest_overfitting(performance, num_blocks=8)


def test_the_unit_of_a_trial_does_not_matter():
    performance = noise(5, 64, 12)
    found = backtest_overfitting(performance, num_blocks=8)
    units = np.geomspace(1e-200, 1e200, 12)
    assert backtest_overfitting(performance * units, num_blocks=8) == found


def test_a_trial_that_rests_at_zero_beats_losers_and_loses_to_earners():
    losers = noise(0, 64, 9) - 3
    rests = backtest_overfitting(np.column_stack([losers, np.zeros(64)]), num_blocks=4)
    assert rests == 0.0
    earner = noise(1, 64, 1) + 3
    earns = backtest_overfitting(np.column_stack([np.zeros((64, 9)), earner]), num_blocks=4)
    assert earns == 0.0
    gains = backtest_overfitting(np.column_stack([earner, np.full(64, 0.1)]), num_blocks=4)
    assert gains == 0.0


def test_trials_that_rest_in_one_half_only_are_ranked_without_a_warning():
    performance = noise(2, 64, 10)
    performance[:32, :5] = 0.0
    performance[32:, 5:] = 0.1
    found = backtest_overfitting(performance, num_blocks=4)
    assert 0 <= found <= 1


def test_equally_good_trials_share_the_mean_of_their_ranks():
    # Twenty are one and the same and best in both halves: ranks 11 to 30, whose mean is 20.5.
    # Their units differ, so they are equally good but for rounding.
    good, bad = (noise(0, 96, 1) + 2) * np.linspace(1, 2, 20), noise(1, 96, 10)
    assert backtest_overfitting(np.hstack([good, bad]), num_blocks=6) == 0.0
    # Of three, two the same and best: ranks 2 and 3, mean 2.5 above the median of 2.
    few = np.hstack([good[:, 3:5], bad[:, :1]])
    assert backtest_overfitting(few, num_blocks=6) == 0.0


@pytest.mark.parametrize(
    "performance",
    [
        np.empty((0, 5)),
        noise(0, 3, 5),
        noise(0, 64, 1),
        np.zeros((64, 5)),
        np.repeat(noise(0, 64, 1), 5, axis=1),
        noise(0, 64, 1) * (1 + np.finfo(float).eps * np.arange(5)),
    ],
    ids=["no day", "3 days", "one trial", "no gain", "the same", "the same but for rounding"],
)
def test_nothing_chosen_cannot_be_overfitted(performance):
    assert backtest_overfitting(performance, num_blocks=2) is None


def test_without_skill_the_probability_of_overfitting_is_about_a_half():
    made = [backtest_overfitting(noise(seed, 256, 40), num_blocks=8) for seed in range(40)]
    assert np.mean(made) == pytest.approx(0.5, abs=0.08)
    skilled = [
        backtest_overfitting(noise(seed, 256, 40) + 0.4 * (np.arange(40) == 7), num_blocks=8)
        for seed in range(10)
    ]
    assert max(skilled) < 0.05


@pytest.mark.parametrize(
    ("num_days", "num_blocks"),
    [(0, None), (63, None), (64, 4), (95, 4), (96, 6), (131, 8), (255, 14), (256, 16), (5000, 16)],
    ids=str,
)
def test_blocks_are_even_and_of_sixteen_days_at_least(num_days, num_blocks):
    assert num_cscv_blocks(num_days) == num_blocks


# Luck and effective trials


def test_the_effective_number_of_trials_by_hand():
    profits = noise(0, 300, 6) + noise(1, 300, 1)
    correlations = np.corrcoef(profits.T)[np.triu_indices(6, k=1)]
    assert len(correlations) == 15
    found = effective_trials(profits)
    assert found == exactly(1 + 5 * (1 - correlations.mean()))
    assert 3 < found < 4


def test_trials_that_are_one_count_as_one_and_strangers_count_in_full():
    one = noise(0, 60, 1)
    assert effective_trials(one) == 1.0
    assert effective_trials(one * np.array([1.0, 2.0, 1e-9])) == exactly(1.0)
    assert effective_trials(one * np.array([1.0, -1.0])) == 2.0  # no more than there are
    day = 2 * np.pi * np.arange(60) / 60
    waves = np.column_stack([np.sin(day), np.cos(day), np.sin(2 * day)])
    assert effective_trials(waves) == exactly(3.0)


def test_a_trial_whose_profit_never_changes_is_not_counted():
    waves, rests = noise(0, 60, 2), np.full((60, 3), 0.1 + 0.2)
    assert effective_trials(np.hstack([rests, waves])) == effective_trials(waves)
    assert effective_trials(rests) == effective_trials(np.empty((0, 4))) == 1.0


# All of it


def trials(seed, *, num_days=256, num_trials=100):
    """Return days of fat tails and forecasts that know nothing of them."""
    generator = np.random.default_rng(seed)
    actual = 2 * generator.standard_t(5, size=num_days)
    table = 0.3 * generator.standard_normal((num_trials, num_days))
    return actual, {f"trial {k}": forecast for k, forecast in enumerate(table)}


def discount(actual, forecasts, **options):
    settings = {"chosen": next(iter(forecasts)), "num_trials": len(forecasts)}
    settings |= {"kind": "simple_return", "horizon": 1} | options
    target = [settings.pop(name) for name in ("kind", "horizon")]
    is_roll = settings.pop("is_roll", False)
    frame = pd.DataFrame({"actual": actual, "forecast": 0.0, "is_roll": is_roll})
    return discount_for_search(ScoredDays(frame, *target), forecasts, **settings)


def timing(forecast, actual):
    """Return what the sign earns beyond holding its average position."""
    return (np.sign(forecast) - np.sign(forecast).mean()) * actual


def sharpe_of(profit):
    return profit.mean() / profit.std(ddof=1)


@pytest.fixture(scope="module")
def luckiest():
    """The luckiest of a hundred trials without skill, each time on other days."""
    found = []
    for seed in range(16):
        actual, forecasts = trials(seed, num_days=131)
        earned = {name: sharpe_of(timing(one, actual)) for name, one in forecasts.items()}
        covaried = {name: np.cov(one, actual)[0, 1] / one.std() for name, one in forecasts.items()}
        by_skill, by_profit = (max(score, key=score.get) for score in (covaried, earned))
        found.append(
            (
                discount(actual, forecasts, chosen=by_skill),
                discount(actual, forecasts, chosen=by_profit),
                discount(actual, {by_profit: forecasts[by_profit]}),
            )
        )
    return found


def test_the_luckiest_of_a_hundred_is_seen_through(luckiest):
    assert len(luckiest) == 16
    for _, by_profit, _ in luckiest:
        assert by_profit.deflated_sharpe < 0.95
        assert by_profit.effective_trials > 95
    chances = [by_skill.chosen_p for by_skill, _, _ in luckiest]
    assert sum(chance < 0.05 for chance in chances) <= 2  # one in twenty is
    assert 0.3 < np.mean(chances) < 0.7
    assert np.mean([found.overfitting for found, _, _ in luckiest]) == pytest.approx(0.5, abs=0.15)


def test_without_the_discount_most_of_the_luckiest_would_pass(luckiest):
    alone = [single.deflated_sharpe for _, _, single in luckiest]
    assert np.mean(np.array(alone) > 0.95) > 0.9
    surplus = [by.sharpe - by.expected_best_sharpe for _, by, _ in luckiest]
    assert abs(np.mean(surplus)) < 0.4  # of about 2.5: what luck shows is what was expected of it


def test_a_skilled_trial_among_a_hundred_is_told_from_luck():
    actual, forecasts = trials(0)
    forecasts["trial 42"] = forecasts["trial 42"] + 0.1 * actual
    found = discount(actual, forecasts, chosen="trial 42")
    assert found.chosen_p < 0.01
    assert found.deflated_sharpe > 0.99
    assert found.overfitting < 0.01
    assert (found.cscv_blocks, found.notes) == (16, ())


def test_every_number_is_that_of_its_own_function():
    actual, forecasts = trials(1, num_days=131, num_trials=12)
    found = discount(actual, forecasts, chosen="trial 3", num_trials=30)
    profits = np.column_stack([timing(forecast, actual) for forecast in forecasts.values()])
    profit = profits[:, 3]
    assert found.effective_trials == exactly(effective_trials(profits) * 30 / 12)
    variance = np.var([sharpe_of(profit) for profit in profits.T], ddof=1)
    bar = expected_best_sharpe(variance=variance, num_trials=30)
    assert found.expected_best_sharpe == exactly(sqrt(252) * bar)
    shape = {"skewness": skew(profit), "kurtosis": kurtosis(profit, fisher=False)}
    options = {"benchmark": bar, "num_periods": 131, **shape}
    assert found.deflated_sharpe == exactly(probabilistic_sharpe(sharpe_of(profit), **options))
    assert found.chosen_p == chosen_rotation(forecasts, actual, chosen="trial 3").p_value
    gains = np.column_stack(
        [actual**2 - (actual - forecast) ** 2 for forecast in forecasts.values()]
    )
    assert found.overfitting == backtest_overfitting(gains, num_blocks=8)
    assert (found.num_trials, found.num_scored, found.cscv_blocks) == (30, 12, 8)
    assert found.notes[0] == "the best of all and overfitting cover 12 of 30 trials"


def test_the_sharpe_ratio_is_that_of_what_timing_adds_without_costs():
    actual, forecasts = trials(2, num_trials=10)
    position = np.sign(forecasts["trial 0"])[::3]
    moves = 100 * np.expm1(actual[::3] / 100)
    expected = sqrt(252 / 3) * sharpe_of((position - position.mean()) * moves)
    found = discount(actual, forecasts, kind="log_return", horizon=3)
    assert found.sharpe == exactly(expected)


def test_a_position_that_never_changes_earns_nothing_from_the_drift():
    actual, forecasts = trials(2, num_trials=10)
    rising = actual + 0.5
    forecasts["trial 0"] = np.ones(256)
    found = discount(rising, forecasts)
    assert (found.sharpe, found.deflated_sharpe) == (None, None)
    other = discount(rising, forecasts, chosen="trial 1")
    assert other.sharpe == exactly(sqrt(252) * sharpe_of(timing(forecasts["trial 1"], rising)))


def test_the_minimum_track_record_is_in_days_against_zero():
    actual, forecasts = trials(4, num_trials=10)
    forecasts["trial 0"] += 0.05 * actual
    found = discount(actual, forecasts, horizon=2)
    assert found.expected_best_sharpe > 0
    profit = timing(forecasts["trial 0"][::2], actual[::2])
    shape = {"skewness": skew(profit), "kurtosis": kurtosis(profit, fisher=False)}
    periods = minimum_track_record(sharpe_of(profit), benchmark=0.0, confidence=0.95, **shape)
    assert periods > 5
    assert found.minimum_track_record_days == 2 * int(np.ceil(periods))


def test_one_trial_pays_for_nothing():
    actual, forecasts = trials(6, num_trials=1)
    found = discount(actual, forecasts)
    profit = timing(forecasts["trial 0"], actual)
    shape = {"skewness": skew(profit), "kurtosis": kurtosis(profit, fisher=False)}
    options = {"benchmark": 0.0, "num_periods": 256, **shape}
    assert found.deflated_sharpe == exactly(probabilistic_sharpe(sharpe_of(profit), **options))
    assert (found.effective_trials, found.expected_best_sharpe) == (1.0, 0.0)
    assert found.chosen_p is not None
    assert (found.overfitting, found.cscv_blocks) == (None, None)
    assert "overfitting undefined: only one trial has forecasts" in found.notes


def test_one_trial_left_of_many_is_said_to_be_judged_too_kindly():
    actual, forecasts = trials(6, num_trials=1)
    found = discount(actual, forecasts, num_trials=20)
    note = "deflated Sharpe ratio too high: one trial's Sharpe ratio has no variance"
    assert note in found.notes
    assert (found.effective_trials, found.expected_best_sharpe) == (20.0, 0.0)


def test_few_trials_have_a_coarse_probability_of_overfitting():
    few, enough = (discount(*trials(7, num_trials=count)) for count in (9, 10))
    assert few.overfitting is not None
    assert few.notes[-1] == "overfitting coarse: ranks among 9 trials"
    assert not any("overfitting" in note for note in enough.notes)


def test_a_target_without_a_price_has_no_sharpe_ratio():
    found = discount(*trials(8, num_trials=10), kind="given")
    assert found.notes == ("Sharpe ratios undefined: nobody says what a position earns",)
    sharpes = (found.sharpe, found.expected_best_sharpe, found.deflated_sharpe)
    assert sharpes == (None, None, None)
    assert (found.effective_trials, found.minimum_track_record_days) == (None, None)
    assert None not in (found.chosen_p, found.overfitting)


@pytest.mark.parametrize("name", ["trial 0", "trial 1"], ids=["chosen", "other"])
def test_a_forecast_that_is_not_finite_is_refused(name):
    actual, forecasts = trials(9, num_trials=3)
    forecasts[name][4] = np.nan
    with pytest.raises(DataError, match="forecast must be finite, got nan in row 4"):
        discount(actual, forecasts)


DAYS = 2.0 * noise(20, 80)
FORECAST = 0.3 * noise(21, 80)
MONKEYS = {
    "no day": (DAYS[:0], [FORECAST[:0]] * 3),
    "one day": (DAYS[:1], [FORECAST[:1]] * 3),
    "two days": (DAYS[:2], list(noise(22, 3, 2))),
    "nine days": (DAYS[:9], list(noise(22, 3, 9))),
    "sixty days": (DAYS[:60], list(noise(22, 12, 60))),
    "identical trials": (DAYS, [FORECAST] * 12),
    "trials a factor apart": (DAYS, [FORECAST * size for size in (1e-12, 1e-3, 1.0, 1e3)]),
    "a trial and its opposite": (DAYS, [FORECAST, -FORECAST]),
    "constant forecasts": (DAYS, [np.full(80, level) for level in (0.1, -0.1, 0.2)]),
    "all zero": (DAYS, [np.zeros(80)] * 12),
    "zero chosen among others": (DAYS, [np.zeros(80), *0.3 * noise(23, 11, 80)]),
    "others are zero": (DAYS, [FORECAST, *[np.zeros(80)] * 11]),
    "no move at all": (np.zeros(80), list(noise(24, 12, 80))),
    "one move only": (np.eye(1, 80, 5)[0], list(noise(24, 12, 80))),
    "one forecast only": (DAYS, [np.eye(1, 80, 5)[0], *[np.zeros(80)] * 3]),
    "moves of one size": (np.ones(80), list(noise(25, 12, 80))),
    "perfect": (DAYS, [DAYS] * 12),
    "perfect among others": (DAYS, [DAYS, *0.3 * noise(23, 11, 80)]),
    "always right on moves of one size": (np.sign(FORECAST), [FORECAST, 2 * FORECAST]),
    "ruined": (np.full(80, 150.0), [-np.abs(FORECAST), FORECAST]),
    "constant but for rounding": (DAYS, [np.full(80, 0.1 + 0.2), np.full(80, 0.3)]),
}


@pytest.mark.parametrize(("horizon", "kind"), [(1, "given"), (5, "simple_return")])
@pytest.mark.parametrize(("actual", "table"), MONKEYS.values(), ids=MONKEYS)
def test_what_is_undefined_is_none_with_a_note_and_never_an_error(actual, table, horizon, kind):
    forecasts = {f"trial {k}": forecast for k, forecast in enumerate(table)}
    options = {"horizon": horizon, "kind": kind, "num_trials": len(table) + 1}
    found = discount(actual, forecasts, **options)
    numbers = astuple(found)[:-1]
    assert len(numbers) == len(fields(found)) - 1 == 10
    assert all(number is None or isfinite(number) for number in numbers)
    assert all(found.notes)
    subjects = {
        "the best of all": found.chosen_p,
        "overfitting": found.overfitting,
        "Sharpe ratio": found.sharpe,
    }
    for subject, number in subjects.items():
        explained = any(f"{subject}{s} undefined: " in "".join(found.notes) for s in ("", "s"))
        assert explained == (number is None), (subject, found.notes)
    assert (found.cscv_blocks is None) == (found.overfitting is None)
    shares = (found.chosen_p, found.deflated_sharpe, found.overfitting)
    assert all(share is None or 0 <= share <= 1 for share in shares)


def test_the_notes_of_degenerate_days_say_why():
    def notes(name):
        actual, table = MONKEYS[name]
        return discount(actual, {str(k): one for k, one in enumerate(table)}).notes

    assert notes("no day") == (
        "the best of all undefined: needs at least 10 days",
        "Sharpe ratios undefined: fewer than 10 profits",
        "overfitting undefined: fewer than 64 days",
    )
    assert notes("all zero") == (
        "the best of all undefined: the forecast never changes",
        "Sharpe ratio undefined: the profit of the chosen trial never changes",
        "overfitting undefined: all trials are equally good on every day",
    )
    assert "the best of all undefined: the market never changes" in notes("no move at all")
    falls = notes("identical trials") + discount(-DAYS, {"one": FORECAST}).notes
    assert "minimum track record undefined: the Sharpe ratio is not above zero" in falls
