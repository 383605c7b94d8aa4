"""What is annual or called a day follows the rhythm of the rows, worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from rich.text import Text

from ironore_lightning.evaluation.assessment import assess
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.forecasts import BOUNDS, days_of
from ironore_lightning.evaluation.resampling import bootstrap_intervals
from ironore_lightning.evaluation.selection import discount_for_search
from ironore_lightning.evaluation.trading import SIGN, gross_profit, trading_table
from ironore_lightning.report import page, table
from ironore_lightning.settings.samples import TargetSettings
from ironore_lightning.trading_calendar.rhythm import (
    DAILY,
    EVERY_DAY,
    MONTHLY,
    SIX_DAYS,
    WEEKLY,
    find_rhythm,
    rows_apart,
)

NUM_ROWS = 120
PER_YEAR = {DAILY: 252, SIX_DAYS: 302, EVERY_DAY: 365, WEEKLY: 52, MONTHLY: 12}


def scored(rhythm, horizon=1):
    """The same forecasts and simple returns, called rows of a rhythm."""
    generator = np.random.default_rng(4)
    actual = generator.normal(0.2, 1.5, NUM_ROWS)
    forecast = 0.3 * actual + generator.normal(0, 1, NUM_ROWS)
    dates = pd.bdate_range("2024-01-01", periods=NUM_ROWS)
    frame = pd.DataFrame({"date": dates, "actual": actual, "forecast": forecast, "is_roll": False})
    bounds = {name: forecast + reach for name, reach in zip(BOUNDS, (-2, 2, -3, 3), strict=True)}
    return ScoredDays(frame.assign(**bounds), "simple_return", horizon, rhythm=rhythm)


@pytest.mark.parametrize("rhythm", PER_YEAR)
@pytest.mark.parametrize("horizon", [1, 5])
def test_annual_figures_count_the_rows_of_a_year(rhythm, horizon):
    days = scored(rhythm, horizon)
    profit = (np.sign(days.forecast) * days.actual)[::horizon]
    per_year = PER_YEAR[rhythm] / horizon
    result = next(
        result
        for result in trading_table(days, buffer=0.0, costs_bp=[0.0])
        if result.name == SIGN and not result.delay_days
    )
    assert result.annual_return == pytest.approx(per_year * profit.mean())
    assert result.annual_volatility == pytest.approx(math.sqrt(per_year) * profit.std(ddof=1))
    assert result.sharpe == pytest.approx(
        math.sqrt(per_year) * profit.mean() / profit.std(ddof=1), rel=1e-12
    )


def test_the_same_profits_called_weekly_have_a_sharpe_ratio_of_the_square_root_of_52_by_252():
    smaller = math.sqrt(52 / 252)
    sharpes, intervals, bars, deflated = [], [], [], []
    for rhythm in (DAILY, WEEKLY):
        days = scored(rhythm)
        found = trading_table(days, buffer=0.0, costs_bp=[0.0])
        sharpes.append([(result.sharpe or 0, result.sharpe_error or 0) for result in found])
        settings = {"coverage": 0.95, "reps": 50, "seed": 0}
        interval = bootstrap_intervals(days, gross_profit(days), **settings).sharpe
        intervals.append([interval.estimate, interval.low, interval.high])
        noise = np.random.default_rng(1).normal(size=NUM_ROWS)
        forecasts = {"one": days.forecast, "other": noise}
        discount = discount_for_search(days, forecasts, chosen="one", num_trials=2)
        bars.append([discount.sharpe, discount.expected_best_sharpe])
        deflated.append(discount.deflated_sharpe)
    for daily, weekly in (sharpes, intervals, bars):
        assert np.array(daily).any()
        np.testing.assert_allclose(weekly, smaller * np.array(daily), rtol=1e-12)
    assert 0 < deflated[0] == deflated[1] < 1  # it compares Sharpe ratios of one row


DATES = {
    DAILY: pd.bdate_range("2024-01-01", periods=60),
    EVERY_DAY: pd.date_range("2024-01-01", periods=60),
    WEEKLY: pd.date_range("2024-01-05", periods=60, freq="7D"),
    MONTHLY: pd.date_range("2020-01-01", periods=60, freq="BME"),
}


@pytest.mark.parametrize(("rhythm", "dates"), DATES.items(), ids=[r.sentence for r in DATES])
def test_predictions_have_the_rhythm_of_all_their_dates(rhythm, dates):
    segment = ["train"] * 57 + ["test"] * 3
    rows = pd.DataFrame({"date": dates, "segment": segment, "actual": 1.0, "forecast": 1.0})
    target = TargetSettings(series="x", kind="log_return", horizon=1)
    days = days_of(rows, "test", target)
    assert len(days) == 3
    assert days.rhythm == rhythm
    assert set(rows_apart(dates[:-2], dates[2:], rhythm)) == {2}


def test_one_date_says_nothing_and_counts_as_a_day():
    assert find_rhythm(DATES[WEEKLY][:1]) == DAILY
    assert find_rhythm(DATES[WEEKLY][:2]) == WEEKLY


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("131 test days", "131 test weeks"),
        ("1 trading day ahead, 2 trading days old", "1 week ahead, 2 weeks old"),
        ("Days outside, by side", "Weeks outside, by side"),
        ("daily", "weekly"),
        # A key, an option, a file and what the calendar counts stay.
        ("min_sign_days, --max-age-days 5, days.csv", "min_sign_days, --max-age-days 5, days.csv"),
        ("31 calendar days, weekdays, a holiday", "31 calendar days, weekdays, a holiday"),
        ("priced later in the day", "priced later in the day"),
    ],
)
def test_texts_are_written_for_days_and_said_in_weeks(written, said):
    assert WEEKLY.words(written) == said
    monthly = said.replace("weekdays", "w").replace("week", "month").replace("Week", "Month")
    assert MONTHLY.words(written) == monthly.replace(" w,", " weekdays,")
    assert DAILY.words(written) == EVERY_DAY.words(written) == written


def test_the_verdict_on_weeks_says_weeks(compose):
    days = scored(WEEKLY)
    baselines = pd.DataFrame({"zero": np.zeros(NUM_ROWS), "expanding mean": np.full(NUM_ROWS, 0.1)})
    no_density = pd.DataFrame(index=days.frame.index)
    found = assess(days, baselines, no_density, compose().evaluation, label="of a test", look=1)
    assert "of 120 test weeks" in found.verdict
    assert "look at these weeks" in found.verdict
    assert "day" not in found.verdict


def test_tables_and_sections_say_weeks_and_keep_numbers():
    shown = table.make_table(
        pd.DataFrame({"3 days": [1.0], "what": [Text("a day", "red")]}), "days"
    )
    assert str(shown.said_in(WEEKLY)).split() == [
        "weeks",
        "3",
        "weeks",
        "what",
        "1.000",
        "a",
        "week",
    ]
    frame = pd.DataFrame({"turnover a day": [0.5], "strategy": ["sign, one day later"]})
    written = page.Table(frame, "All days", {"turnover a day": 2})
    section = page.Section("Days", ["daily"], [("days", "3 days")], tables=[written]).said_in(
        WEEKLY
    )
    assert (section.title, section.text, section.facts) == (
        "Weeks",
        ["weekly"],
        [("weeks", "3 weeks")],
    )
    (said,) = section.tables
    assert (said.caption, said.decimals) == ("All weeks", {"turnover a week": 2})
    assert said.frame.to_dict("list") == {
        "turnover a week": [0.5],
        "strategy": ["sign, one week later"],
    }
