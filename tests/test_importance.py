"""What drivers are worth: nothing if unread, and as much as swapped days cost."""

import numpy as np
import pytest

from ironore_lightning.evaluation.importance import permutation_importance
from ironore_lightning.evaluation.significance import Interval
from ironore_lightning.report.importance import draw_importance, importance_section

NAMES = ["stocks", "freight", "freight"]


def draw_windows(num_days, seed=0):
    windows = np.random.default_rng(seed).normal(size=(num_days, 4, 3)).astype(np.float32)
    windows[:, :, 2] = windows[:, :, 1]
    return windows


def newest_freight(windows):
    return windows[:, -1, 1].astype(np.float64)


def judge(predict, windows, actual):
    return permutation_importance(predict, windows, NAMES, actual, horizon=1, reps=200)


def test_a_driver_that_is_not_read_is_worth_nothing():
    windows = draw_windows(200)
    found = judge(newest_freight, windows, np.random.default_rng(1).normal(size=200))
    assert list(found) == ["stocks", "freight"]
    assert found["stocks"] == Interval(0.0, 0.0, 0.0, "")
    assert found["freight"].low < found["freight"].estimate < found["freight"].high


def test_a_driver_that_is_all_costs_twice_its_variance():
    windows = draw_windows(400)
    found = judge(newest_freight, windows, newest_freight(windows))["freight"]
    # The square of a difference of two independent days is 2 by expectation: R2 falls from 100 to
    # -100 %, with an error of about 12 points over 400 days.
    assert found.estimate == pytest.approx(200, abs=40)
    assert found.low < 200 < found.high
    assert found.high - found.low < 120


def test_columns_of_one_driver_swap_together():
    def spread(windows):
        return (windows[:, -1, 1] - windows[:, -1, 2]).astype(np.float64)

    found = judge(spread, draw_windows(100), np.random.default_rng(1).normal(size=100))
    assert found["freight"].estimate == 0


def test_the_swaps_are_the_same_each_time_and_leave_the_windows_alone():
    windows, actual = draw_windows(100), np.random.default_rng(1).normal(size=100)
    before = windows.copy()
    assert judge(newest_freight, windows, actual) == judge(newest_freight, windows, actual)
    assert (windows == before).all()


def test_few_days_have_no_interval_and_days_without_a_move_no_worth():
    windows = draw_windows(49)
    found = judge(newest_freight, windows, np.ones(49))["freight"]
    assert (found.low, found.note) == (None, "undefined: fewer than 50 days")
    assert found.estimate is not None
    windows = draw_windows(60)
    found = judge(newest_freight, windows, np.zeros(60))
    assert [points.estimate for points in found.values()] == [None, None]
    assert draw_importance(found, num_days=60, title="a run") is None


def test_the_figure_shows_the_twenty_that_are_worth_most():
    importance = {f"$x_{n}$": Interval(float(n), n - 1.0, n + 1.0, "") for n in range(30)}
    figure = draw_importance(importance, num_days=60, title="a run")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [float(n) for n in range(29, 9, -1)]
    assert axes.get_yticklabels()[0].get_text() == "$x_29$"
    (segments,) = [lines.get_segments() for lines in axes.collections]
    assert segments[0].tolist() == [[28, 0], [30, 0]]
    assert "60 test days, 30 drivers, 20 of them shown" in figure.get_suptitle()


def test_drivers_without_an_interval_are_drawn_without_one():
    figure = draw_importance({"a": Interval(1.0, None, None, "few")}, num_days=1, title="a run")
    assert len(figure.axes[0].patches) == 1


WORTH = {
    "freight": Interval(-0.5, -1.5, 0.4, ""),
    "stocks": Interval(2.0, 0.5, 3.5, ""),
    "rebar": Interval(0.1, None, None, "few"),
}


def test_the_section_has_the_points_and_says_whose_interval_covers_zero():
    section = importance_section(WORTH, {"importance": "<svg/>"}, grade="SUPPORTED")
    (table,) = section.tables
    assert table.frame["driver"].tolist() == ["stocks", "rebar", "freight"]
    assert table.frame["points of R2"].tolist() == [2.0, 0.1, -0.5]
    assert table.frame["covers 0"].tolist() == ["no", "", "yes"]
    assert section.text[1].startswith("The 95 % intervals of 1 of 2 drivers do not cover 0")
    assert [shown.svg for shown in section.pictures] == ["<svg/>"]
    assert "noise" not in table.caption


def test_below_the_figure_of_forecasts_without_skill_stands_that_it_explains_noise():
    section = importance_section({"freight": WORTH["freight"]}, {}, grade="NONE")
    assert section.text[1].startswith("Every 95 % interval covers 0")
    assert section.tables[0].caption.startswith("The evidence is NONE: what explains such")
    few = importance_section({"rebar": WORTH["rebar"]}, {}, grade="NONE")
    assert few.text[1] == "There are too few test days for an interval."
    assert importance_section({}, {}, grade="NONE").is_empty
