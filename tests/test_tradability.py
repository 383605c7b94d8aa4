"""Alarms for skill that nobody can trade, on days whose covariances are worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.tradability import alarm_sentence, find_alarms

NUM_DAYS = 80
REVERSING = np.tile([3.0, -3.0, 1.0, -1.0], NUM_DAYS // 4)
"""Variance 5, autocovariance -4 at lag 1 and 3 at lag 2."""
REPEATING = np.tile([3.0, 3.0, -1.0, -1.0, -3.0, -3.0, 1.0, 1.0], NUM_DAYS // 8)
"""Variance 5, autocovariance (9 - 3 + 1 + 3 + 9 - 3 + 1 + 3) / 8 = 2.5 at lag 1, 0 at lag 2."""


def alarms_of(forecast, actual, clues=None, *, horizon=1):
    frame = pd.DataFrame({"actual": actual, "forecast": forecast})
    if clues is not None:
        clues = pd.DataFrame(clues)
    return find_alarms(ScoredDays(frame, "log_return", horizon, clues))


def test_a_forecast_against_the_last_move_is_named_a_bounce():
    (alarm,) = alarms_of(-np.roll(REVERSING, 1), REVERSING)
    assert alarm.kind == "bounce"
    assert alarm.autocorrelation == pytest.approx(-4 / 5, abs=0.01)
    assert alarm.explained == pytest.approx(1, abs=0.03)  # only the first day has no last move
    # A day later it bets on the autocovariance at lag 2, with the wrong sign: -3 against 4.
    assert alarm.kept == pytest.approx(-3 / 4, abs=0.02)


def test_a_forecast_that_repeats_the_last_move_is_named_stale():
    (alarm,) = alarms_of(np.roll(REPEATING, 1), REPEATING)
    assert alarm.kind == "stale"
    assert alarm.autocorrelation == pytest.approx(2.5 / 5, abs=0.02)
    assert alarm.kept == pytest.approx(0, abs=0.02)


def test_the_wrong_side_of_a_bounce_has_no_skill_to_explain():
    assert alarms_of(np.roll(REVERSING, 1), REVERSING) == []


def test_skill_that_a_later_trade_keeps_raises_no_alarm():
    # Weeks up and weeks down: the last move predicts the next, and the one after that as well.
    weeks = np.tile(np.repeat([1.0, -1.0], 20), NUM_DAYS // 40)
    noise = np.tile([0.5, -0.5], NUM_DAYS // 2)
    assert alarms_of(np.roll(weeks + noise, 1), weeks + noise) == []


@pytest.mark.parametrize("change", ["constant forecast", "constant outcome", "60 days"])
def test_days_that_tell_nothing_raise_no_alarm(change):
    forecast, actual = -np.roll(REVERSING, 1), REVERSING
    if change == "constant forecast":
        forecast = np.ones(NUM_DAYS)
    elif change == "constant outcome":
        actual = np.zeros(NUM_DAYS)
    else:
        forecast, actual = forecast[:60], actual[:60]
    assert alarms_of(forecast, actual) == []


def draw(num=400, seed=0):
    """Returns by day and by evening, which a settlement at noon counts to the next day."""
    day, evening = np.random.default_rng(seed).standard_normal((2, num))
    return day + np.concatenate([[0], evening[:-1]]), day + evening, evening


def test_an_evening_index_that_leads_a_settlement_is_named_two_clocks():
    settlement, index, _ = draw()
    forecast, actual = index[:-1], settlement[1:]
    alarms = alarms_of(forecast, actual, {("later", "an index"): index[:-1]})
    assert [alarm.kind for alarm in alarms] == ["clocks"]
    assert "last move of an index, which is priced later in the day" in alarms[0].text
    # All of the forecast is the index's move; without it the outcome's moves explain little.
    assert alarms[0].explained == pytest.approx(1, abs=1e-9)
    assert alarms_of(forecast, actual) == []
    # A driver that is no cause is not blamed for it.
    noise = np.random.default_rng(1).standard_normal(len(actual))
    assert alarms_of(forecast, actual, {("unknown", "noise"): noise}) == []


def test_the_explained_share_is_that_of_a_regression_on_the_causes():
    settlement, index, evening = draw()
    forecast, actual = evening[:-1], settlement[1:]
    (alarm,) = alarms_of(forecast, actual, {("unknown", "an index"): index[:-1]})
    assert "may be priced later" in alarm.text
    causes = pd.DataFrame({f"own {lag}": pd.Series(actual).shift(lag) for lag in (1, 2, 3)})
    for lag in (0, 1, 2):
        causes[f"index {lag}"] = pd.Series(index[:-1]).shift(lag)
    fitted = sm.OLS(forecast[3:], sm.add_constant(causes[3:])).fit().fittedvalues
    expected = np.cov(fitted, actual[3:])[0, 1] / np.cov(forecast, actual)[0, 1]
    assert alarm.explained == pytest.approx(expected, abs=0.02)
    assert 0.6 < expected < 0.9


def test_of_several_drivers_the_one_that_explains_most_is_named():
    settlement, index, evening = draw()
    clues = {("unknown", "a relative"): index[:-1], ("later", "the cause"): evening[:-1]}
    (alarm,) = alarms_of(evening[:-1], settlement[1:], clues)
    assert "the cause" in alarm.text


def test_a_spread_whose_legs_are_not_predictable_is_named_two_clocks():
    rng = np.random.default_rng(0)
    market = 20 * rng.standard_normal(400)
    signal = rng.standard_normal(400)
    market -= signal * (market @ signal) / (signal @ signal)
    spread = signal + rng.standard_normal(400)
    # Half of the signal is in each leg, behind twenty times as much market.
    legs = {("leg", "a"): market + spread / 2, ("leg", "b"): market - spread / 2}
    (alarm,) = alarms_of(signal, spread, legs)
    assert alarm.kind == "clocks"
    assert alarm.explained is None
    assert "neither leg of the spread (a and b)" in alarm.text
    # One leg has all of the signal and little noise: it can be traded by itself.
    legs = {("leg", "a"): spread, ("leg", "b"): market}
    assert alarms_of(signal, spread, legs) == []


def test_overlapping_outcomes_know_the_return_that_ended_at_the_origin():
    # Five-day returns of a price that bounces by the day: the last one known ended at the origin.
    rng = np.random.default_rng(3)
    daily = np.diff(3 * rng.standard_normal(606)) + rng.standard_normal(605)
    outcome = np.convolve(daily, np.ones(5), mode="valid")
    forecast = -np.concatenate([np.zeros(5), outcome[:-5]])
    (alarm,) = alarms_of(forecast, outcome, horizon=5)
    assert alarm.kind == "bounce"
    expected = np.corrcoef(outcome[5:], outcome[:-5])[0, 1]
    assert alarm.autocorrelation == pytest.approx(expected)
    assert expected < -0.3


def test_the_sentence_names_every_cause_and_what_a_later_trade_keeps():
    assert alarm_sentence([], "SUPPORTED") == ""
    alarms = alarms_of(-np.roll(REVERSING, 1), REVERSING)
    assert alarm_sentence(alarms, "NONE") == ""
    assert alarm_sentence(alarms, "SUGGESTIVE") == (
        " The skill may not be tradable: it bets against the outcome's last move, as between a "
        "settlement and a last trade. A trade entered a day later keeps 0 % of it."
    )
