"""The figure of the capital shows what each cost leaves, and the table what each month earned."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.report.equity import MOST_COSTS, equity_figures, monthly_returns
from ironore_lightning.report.style import write_figures
from ironore_lightning.settings.evaluation import EvaluationSettings


def days_of(actual, forecast, *, kind="simple_return", start="2024-01-30"):
    frame = pd.DataFrame({"actual": actual, "forecast": forecast, "is_roll": False})
    frame["date"] = pd.bdate_range(start, periods=len(frame))
    return ScoredDays(frame, kind, 1)


def noisy_days(num_days, *, kind="log_return", skill=0.02, shock=None):
    source = np.random.default_rng(1)
    actual = 1.4 * source.standard_t(4, num_days)
    forecast = skill * actual + 0.3 * source.standard_normal(num_days)
    if shock is not None:
        actual[num_days // 2] = shock
    return days_of(actual, forecast, kind=kind)


@pytest.fixture(scope="module")
def three_days():
    """A gain and a loss on a long and a short position, and a gain; the second is below 0.3 %."""
    return days_of([10.0, -10.0, 20.0], [1.0, -0.2, 0.4])


def settings_of(*costs_bp):
    return EvaluationSettings.model_construct(costs_bp=costs_bp, trade_buffer=0.3)


def drawn(days, *costs_bp, title="run"):
    return equity_figures(days, settings_of(*costs_bp), title=title)["equity_curve"]


def line(axes, start):
    (found,) = [each for each in axes.lines if str(each.get_label()).startswith(start)]
    return found


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_strategy_has_a_line_for_each_cost_one_a_day_later_and_one_for_holding(three_days):
    sign, threshold, sign_fall, threshold_fall = drawn(three_days, 0.0, 5.0, 80.0).axes
    assert sign.get_title(loc="left") == "Sign strategy after costs"
    assert threshold.get_title(loc="left") == "Threshold strategy after costs"
    starts = [*("buy and hold, 5 bp", "0 bp a turn", "5 bp a turn", "80 bp a turn")]
    starts += ["one day later, 5 bp"]
    for axes in (sign, threshold, sign_fall, threshold_fall):
        paths = [each for each in axes.lines if ":" in str(each.get_label())]
        assert [each.get_label().partition(":")[0] for each in paths] == starts
        looks = {(each.get_color(), each.get_linestyle()) for each in paths}
        assert len(looks) == 5


def test_each_line_pays_its_own_cost(three_days):
    sign, threshold, *_ = drawn(three_days, 0.0, 5.0, 80.0).axes
    # One turn to enter, and two to reverse; from 100 on the eve.
    for name, cost in (("0 bp", 0.0), ("5 bp", 0.0005), ("80 bp", 0.008)):
        expected = np.cumprod([100, 1.1 - cost, 1.1 - 2 * cost, 1.2 - 2 * cost])
        np.testing.assert_allclose(line(sign, name).get_ydata(), expected)
        # The second forecast is below the buffer: out at one turn, and in again at one.
        expected = np.cumprod([100, 1.1 - cost, 1 - cost, 1.2 - cost])
        np.testing.assert_allclose(line(threshold, name).get_ydata(), expected)
    later = np.cumprod([100, 1, 0.9 - 0.0005, 0.8 - 0.001])
    np.testing.assert_allclose(line(sign, "one day later").get_ydata(), later)
    assert line(sign, "0 bp").get_xdata()[0] == np.datetime64("2024-01-29")


def test_the_legend_states_the_end_and_the_deepest_fall_at_each_cost(three_days):
    _, _, fall, _ = drawn(three_days, 0.0, 100.0).axes
    # Holding at 100 bp: 109, 98.1, 117.72. A day later: 100, 89, 69.42.
    assert legend(fall) == [
        "buy and hold, 100 bp: 117.7 in the end, at worst 10.0 % below its peak",
        "0 bp a turn: 145.2 in the end, at worst 0.0 % below its peak",
        "100 bp a turn: 138.9 in the end, at worst 0.0 % below its peak",
        "one day later, 100 bp: 69.4 in the end, at worst 30.6 % below its peak",
    ]
    np.testing.assert_allclose(line(fall, "buy").get_ydata(), [0, 0, -10, 0], atol=1e-12)


def test_of_many_costs_some_are_drawn_with_the_usual_one(three_days):
    sign, *_ = drawn(three_days, *np.arange(0.0, 20.0)).axes
    shown = [each.get_label() for each in sign.lines if "bp a turn" in str(each.get_label())]
    assert len(shown) <= MOST_COSTS + 1
    names = [label.partition(":")[0] for label in shown]
    assert {"0 bp a turn", "5 bp a turn", "19 bp a turn"} <= set(names)


@pytest.mark.parametrize(
    ("costs_bp", "cost"), [((20.0, 0.0, 2.5), "2.5"), ((1.0, 3.0), "3"), ((7.0,), "7")]
)
def test_without_the_usual_cost_holding_pays_the_middle_one(three_days, costs_bp, cost):
    sign, *_ = drawn(three_days, *costs_bp).axes
    assert line(sign, f"buy and hold, {cost} bp:")


def test_the_heading_names_the_run_and_the_days(three_days):
    figure = drawn(three_days, 5.0)
    assert figure.get_suptitle() == "run\n3 test days, 2024-01-30 to 2024-02-01"
    upper, _, lower, _ = figure.axes
    assert upper.get_ylabel() == "capital (start = 100)"
    assert lower.get_ylabel() == "drawdown (%)"


def test_large_factors_get_an_axis_that_says_it_is_logarithmic():
    upper, *_ = drawn(noisy_days(2000, skill=100.0), 5.0).axes
    assert upper.get_yscale() == "log"
    assert upper.get_ylabel() == "capital (start = 100, log scale)"


def test_a_ruin_is_drawn_down_to_nothing_and_later_months_have_no_return():
    days = noisy_days(131, kind="simple_return", shock=-150.0)
    upper, _, lower, _ = drawn(days, 5.0).axes
    assert upper.get_yscale() == "linear"
    assert line(upper, "buy and hold").get_ydata()[-1] == 0
    assert line(lower, "buy and hold").get_ydata()[-1] == -100
    held = monthly_returns(days, settings_of(5.0))["buy and hold, 5"]
    assert held.min() == -100
    assert np.isnan(held.iloc[-1])


def test_months_compound_the_days_at_each_cost(three_days):
    months = monthly_returns(three_days, settings_of(0.0, 100.0))
    assert months.index.name == "month"
    assert list(months.index) == ["2024-01", "2024-02"]
    assert list(months) == [
        "buy and hold, 100",
        *("sign, 0", "sign, 100", "threshold, 0", "threshold, 100"),
    ]
    # Two days in January, one in February.
    np.testing.assert_allclose(months["sign, 0"], [21.0, 20.0])
    np.testing.assert_allclose(months["sign, 100"], [100 * (1.09 * 1.08 - 1), 18.0])
    np.testing.assert_allclose(months["threshold, 100"], [100 * (1.09 * 0.99 - 1), 19.0])
    np.testing.assert_allclose(months["buy and hold, 100"], [100 * (1.09 * 0.9 - 1), 20.0])


def test_any_title_can_be_drawn(three_days):
    figure = drawn(three_days, 5.0, title="a $x_1 { and $ 铁矿石 costs " + "word " * 99)
    figure.get_layout_engine().execute(figure)
    assert figure.get_suptitle().startswith("a $x_1 { and $ ??? costs word")


def test_the_file_is_small_and_the_same_twice(tmp_path):
    settings = dict(mpl.rcParams)
    days = noisy_days(2000)
    before = days.frame.copy()
    for run in ("first", "second"):
        write_figures({"equity": drawn(days, 0.0, 5.0)}, tmp_path / run)
    for kind, largest in (("png", 200_000), ("svg", 700_000)):
        first, second = (
            (tmp_path / run / f"equity.{kind}").read_bytes() for run in ("first", "second")
        )
        assert 10_000 < len(first) < largest
        assert first == second
    pd.testing.assert_frame_equal(days.frame, before)
    assert dict(mpl.rcParams) == settings


def test_what_has_no_price_has_no_curve(three_days):
    given = ScoredDays(three_days.frame, "given", 1)
    assert equity_figures(given, settings_of(5.0), title="run") == {}
