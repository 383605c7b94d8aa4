"""Break days: which are doubted, and what is said of the days that they leave out."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.data.break_days import doubtful_breaks

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
