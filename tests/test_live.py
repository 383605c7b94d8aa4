"""What live forecasts have been worth: numbers by hand, horizons, alarms and words."""

import json
from dataclasses import asdict, replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.betting import direction_log_wealth
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.live import live_evidence
from ironore_lightning.trading_calendar.rhythm import DAILY, WEEKLY


def make_days(actual, forecast, *, rank=0.5, reach=2.0, horizon=1, rhythm=DAILY):
    """Lay out forecasts with bounds of `reach` times 1 (80 %) and 2 (90 %) around them."""
    actual, forecast = (np.array(values, dtype=np.float64) for values in (actual, forecast))
    frame = pd.DataFrame(
        {
            "date": pd.bdate_range("2026-01-05", periods=len(actual)),
            "actual": actual,
            "forecast": forecast,
            "is_roll": False,
            "lower_80": forecast - reach,
            "upper_80": forecast + reach,
            "lower_90": forecast - 2 * reach,
            "upper_90": forecast + 2 * reach,
            "volatility": 1.0,
            "rank": rank,
            "num_scores": 127,
        }
    )
    return ScoredDays(frame, "log_return", horizon, rhythm=rhythm)


@pytest.fixture(scope="module")
def skilled():
    """Return 300 days that are forecast too well."""
    rng = np.random.default_rng(1)
    known, unknown = rng.standard_normal((2, 300))
    rank = rng.integers(1, 129, 300) / 128
    return make_days(known + unknown, known, rank=rank)


def test_before_the_first_outcome_nothing_is_known():
    found = live_evidence(make_days([], []))
    assert (found.num_days, found.dates, found.alarms) == (0, [], [])
    assert found.sentences == ["No outcome of a live forecast is known yet."]
    assert (found.hits.estimate, found.hits.low, found.hits.high) == (None, 0, 100)
    assert (found.gain, found.mean_square, found.interval_80.model) == (None, None, None)
    assert (found.direction.wealth, found.direction.by_day) == (1, [])


def test_the_figures_of_four_days_are_worked_out_by_hand():
    days = make_days([1.0, -1.0, 0.0, 4.0], [0.5, 0.5, 0.5, 1.0])
    days.frame.loc[0, ["lower_80", "upper_80"]] = np.nan
    found = live_evidence(days)
    assert found.dates == ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]
    assert found.hits.num_days == 3  # the third day did not move
    np.testing.assert_allclose(found.hits.estimates, [100, 50, 50, 200 / 3], rtol=1e-12)
    assert found.coverage_80.num_days == 3
    assert found.coverage_80.estimates[:2] == [None, 100]
    np.testing.assert_allclose(found.coverage_80.estimate, 200 / 3, rtol=1e-12)
    assert found.coverage_90.estimate == 100
    # Errors 0.5, 1.5, 0.5 and 3; those of zero 1, 1, 0 and 4.
    assert found.mean_square == (0.25 + 2.25 + 0.25 + 9) / 4
    assert found.mean_square_zero == (1 + 1 + 16) / 4
    np.testing.assert_allclose(found.gain, 100 * (1 - 11.75 / 18), rtol=1e-12)
    # 80 %: width 4, and the fourth day lies 1 above: 4 + 10; the others have 4.
    np.testing.assert_allclose(found.interval_80.model, (4 + 4 + 14) / 3, rtol=1e-12)
    reach = NormalDist().inv_cdf(0.9)
    ewma = 2 * reach + 10 * (4 - reach) / 3
    np.testing.assert_allclose(found.interval_80.ewma, ewma, rtol=1e-12)
    assert (found.interval_80.num_days, found.interval_90.num_days) == (3, 4)


@pytest.mark.parametrize(("num_days", "days"), [(1, "1 day"), (9, "9 days")])
def test_of_few_days_no_share_and_no_error_is_said(skilled, num_days, days):
    few = live_evidence(replace(skilled, frame=skilled.frame.iloc[:num_days]))
    assert few.sentences[0] == (
        f"{days}, too few to say how often the sign is right and the bounds hold, or how large "
        "errors are."
    )
    assert [text.split(" have turned")[0] for text in few.sentences[1:]] == [
        "Bets on direction, in which forecast and outcome are measured against their usual drift,",
        "Bets that squared errors are smaller than those of zero",
        "Bets that errors are larger than validation promised",
    ]
    assert "%" not in " ".join(few.sentences).replace("at most 5 %", "")


def test_of_few_days_with_bounds_only_their_number_is_said():
    days = make_days(np.ones(12), np.ones(12))
    days.frame.loc[:2, ["lower_80", "upper_80"]] = np.nan
    said = live_evidence(days).sentences
    assert "The 80 % bounds held: 9 days with bounds, too few to say." in said
    assert not any(text.startswith("The interval score of the 80 %") for text in said)
    # Each 90 % bound lies 4 away, so an interval is 8 wide and always holds.
    assert any(
        text.startswith("The interval score of the 90 % bounds is 8.00 %, and") for text in said
    )


def test_evidence_is_json_without_words_that_json_lacks(skilled):
    for num_days in (0, 1, 300):
        found = asdict(live_evidence(replace(skilled, frame=skilled.frame.iloc[:num_days])))
        assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_skill_is_found_and_said(skilled):
    found = live_evidence(skilled)
    assert found.direction.reached is not None
    assert found.direction.highest == pytest.approx(1e6) == max(found.direction.by_day)
    first = found.dates.index(found.direction.reached)
    assert found.direction.by_day[first] >= 20 > max(found.direction.by_day[:first])
    said = [text for text in found.sentences if text.startswith("Bets on direction")]
    assert len(said) == 1
    assert f"reached 20 on {found.direction.reached}: evidence of skill" in said[0]
    assert found.alarms == []
    assert found.hits.low > 50


def test_a_record_that_grows_has_the_paths_of_the_whole(skilled):
    whole = live_evidence(skilled)
    for num_days in (1, 22, 150):
        part = live_evidence(replace(skilled, frame=skilled.frame.iloc[:num_days]))
        for bet in ("direction", "loss", "break_bet"):
            grown, all_days = getattr(part, bet).by_day, getattr(whole, bet).by_day
            np.testing.assert_allclose(grown, all_days[:num_days], rtol=1e-11)
        for share in ("hits", "coverage_80", "coverage_90"):
            grown, all_days = getattr(part, share), getattr(whole, share)
            np.testing.assert_allclose(grown.lows, all_days.lows[:num_days], rtol=0, atol=1e-9)
            np.testing.assert_allclose(grown.highs, all_days.highs[:num_days], rtol=0, atol=1e-9)


def test_later_days_change_no_earlier_number(skilled):
    frame = skilled.frame.copy()
    frame.loc[200:, ["actual", "forecast", "volatility", "rank"]] = [3.0, -1.0, 0.2, 1 / 128]
    before, after = live_evidence(skilled), live_evidence(replace(skilled, frame=frame))
    for bet in ("direction", "loss", "break_bet"):
        assert getattr(before, bet).by_day[:200] == getattr(after, bet).by_day[:200]
    for share in ("hits", "coverage_80", "coverage_90"):
        for path in ("estimates", "lows", "highs"):
            old, new = (getattr(getattr(found, share), path) for found in (before, after))
            assert old[:200] == new[:200]
            assert old[200:] != new[200:]


def test_of_outcomes_that_overlap_every_hth_counts(skilled):
    found = live_evidence(replace(skilled, horizon=5))
    frame = skilled.frame.iloc[::5]
    assert (found.num_forecasts, found.num_days, len(found.dates)) == (300, 60, 60)
    forecast, actual = (frame[name].to_numpy() for name in ("forecast", "actual"))
    wanted = np.exp(direction_log_wealth(forecast, actual, np.ones(60)))
    np.testing.assert_allclose(found.direction.by_day, wanted, rtol=1e-12)
    assert found.sentences[0] == (
        "Outcomes span 5 days and overlap: of 300 forecasts every 5th counts, 60 in all."
    )


def test_a_weekly_market_speaks_of_weeks(skilled):
    found = live_evidence(replace(skilled, rhythm=WEEKLY))
    assert any("of 300 weeks" in text for text in found.sentences)
    assert not any("day" in text or "daily" in text for text in found.sentences)


def test_each_alarm_names_what_is_wrong():
    rng = np.random.default_rng(3)
    actual = rng.standard_normal(200)
    wrong = live_evidence(make_days(actual, -actual, rank=1 / 128, reach=0.1))
    assert wrong.break_bet.wealth >= 20
    assert [text.split(":")[0] for text in wrong.alarms] == [
        "Errors are larger than validation promised",
        "The sign is wrong more often than right",
        "The 80 % bounds are too narrow",
        "The 90 % bounds are too narrow",
    ]
    fine = live_evidence(make_days(actual, 0.1 * actual, rank=0.6, reach=1.3))
    assert fine.alarms == []
