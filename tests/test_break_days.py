"""Break days: which are doubted, and what is said of the days that they leave out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from parts_of_a_run import samples_of

from ironore_lightning.data.datamodule import outcomes_with_breaks
from ironore_lightning.data_quality.break_days import doubtful_breaks
from ironore_lightning.evaluation.forecasts import BOUNDS, Forecasts
from ironore_lightning.evaluation.left_out import assess_left_out

DAYS = pd.bdate_range("2024-01-01", periods=60, name="date")
MONTHS = pd.period_range("2024-04", periods=4, freq="M")
DAY = DAYS[40]


def curves():
    """Two legs whose contracts all move with the market, and a little each by itself."""
    rng = np.random.default_rng(0)
    market = np.cumsum(rng.normal(0, 2, (60, 1)), axis=0)
    return {
        leg: pd.DataFrame(level + market + rng.normal(0, 0.1, (60, 4)), DAYS, MONTHS)
        for leg, level in {"a": 100, "b": 120}.items()
    }


def warnings_of(contracts, day=DAY, leg="a"):
    is_break = pd.DataFrame({"is_break": day == DAYS}, index=DAYS)
    none = pd.DataFrame({"is_break": DAYS[0] > DAYS}, index=DAYS)
    futures = {name: SimpleNamespace(days=is_break if name == leg else none) for name in contracts}
    return doubtful_breaks(contracts, futures)


def test_a_day_on_which_all_contracts_of_one_leg_jump_is_believed():
    contracts = curves()
    contracts["a"].loc[DAY:] -= 2.59
    assert warnings_of(contracts) == []
    assert len(warnings_of(contracts, DAYS[39])) == 1


def test_the_largest_moves_of_the_market_are_doubted():
    contracts = curves()
    for prices in contracts.values():
        prices.loc[DAY:] -= 15
    assert warnings_of(contracts) == [
        f"a: on the break day {DAY.date()} its contracts do not jump together against those of the "
        "other legs, so a move of the market may be left out; remove it from "
        "data.panel.break_days unless the specification changed"
    ]


def test_a_jump_of_half_of_the_contracts_is_doubted():
    contracts = curves()
    contracts["a"].loc[DAY:, MONTHS[:2]] -= 2.59
    assert len(warnings_of(contracts)) == 1


@pytest.mark.parametrize("case", ["one leg", "no history", "no price"])
def test_a_day_that_cannot_be_compared_is_doubted(case):
    contracts, day = curves(), DAY
    if case == "one leg":
        del contracts["b"]
    elif case == "no history":
        day = DAYS[10]
    else:
        contracts["b"].loc[DAY] = np.nan
    contracts["a"].loc[day:] -= 2.59
    assert len(warnings_of(contracts, day)) == 1


def test_the_future_changes_no_doubt():
    contracts = curves()
    contracts["a"].loc[DAY:] -= 2.59
    for prices in contracts.values():
        prices.iloc[41:] = 1000 * np.random.default_rng(1).random((19, 4))
    assert warnings_of(contracts) == []


# --- the days that are left out -------------------------------------------------------------------

NAMED = ("2025-03-11", "2025-06-19", "2024-06-19")
"""Two days of the test, and one of the training days."""


def test_the_days_left_out_of_the_test_have_the_outcomes_that_they_would_have(compose):
    named = ",".join(f"{{leg:price_65_m1,day:{day}}}" for day in NAMED)
    module = samples_of(compose("features=prices", f"data.panel.break_days=[{named}]"))
    plain = samples_of(compose("features=prices")).outcomes
    scored, every_day = module.outcomes, outcomes_with_breaks(module)
    dates = pd.DatetimeIndex(NAMED[:2])
    assert sorted(module.target["date"].iloc[module.left_out]) == list(dates)
    assert not scored["date"].isin(pd.DatetimeIndex(NAMED)).any()
    test = every_day[every_day["segment"] == "test"].reset_index(drop=True)
    expected = plain[plain["segment"] == "test"].reset_index(drop=True)
    pd.testing.assert_frame_equal(test, expected, rtol=1e-12)
    # Training days that were left out stay so: nobody has been judged by them.
    assert len(every_day) == len(scored) + 2
    windows = module.windows(module.left_out)
    assert windows.shape == (2, 20, module.features.shape[1])


def test_what_the_model_scored_on_the_days_left_out_is_told(compose):
    config = compose("evaluation.bootstrap_repetitions=100")
    rng = np.random.default_rng(0)
    actual = rng.standard_normal(100)
    frame = pd.DataFrame({"date": pd.bdate_range("2025-01-01", periods=100), "actual": actual})
    # Right on every day but the three that are left out, whose moves are 3, -4 and 0.
    frame["forecast"] = 0.2 * actual
    frame.loc[[10, 20, 30], "actual"] = [3.0, -4.0, 0.0]
    frame.loc[[10, 20, 30], "forecast"] = [-1.0, 1.0, 0.0]
    frame = frame.assign(segment="test", is_roll=False, **dict.fromkeys(BOUNDS, np.nan))
    zeros = pd.DataFrame({"zero": np.zeros(100), "expanding mean": 0.01})
    every_day = Forecasts(frame, zeros, pd.DataFrame(index=frame.index))
    scored = frame.drop([10, 20, 30]).reset_index(drop=True)
    forecasts = replace(every_day, predictions=scored, with_breaks=every_day)
    found = assess_left_out(forecasts, config.target, config.evaluation, look=None)
    assert found.dates == ["2025-01-15", "2025-01-29", "2025-02-12"]
    assert (found.direction_hits, found.direction_days) == (0, 2)
    assert found.rmse == pytest.approx(np.sqrt((16 + 25 + 0) / 3))
    assert found.zero_rmse == pytest.approx(np.sqrt((9 + 16 + 0) / 3))
    assert "(97/99) with the break days" in found.evidence.line
    assert found.sentence == (
        "Break days leave out 3 test days, of which 0 of 2 were right; with them the evidence is "
        f"{found.evidence.grade}."
    )
    assert assess_left_out(every_day, config.target, config.evaluation, look=None) is None
