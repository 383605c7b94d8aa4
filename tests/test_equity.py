"""The figure of the capital shows what the strategies earned and how far they fell."""

import struct

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.trading import equity_curves
from ironore_lightning.report.equity import LINES, draw_equity, equity_figures
from ironore_lightning.report.style import write_figures
from ironore_lightning.settings.evaluation import EvaluationSettings

NOTE = "after 5 bp a turn"


def curves(num_days, *, kind="log_return", shock=None, skill=0.02, scale=1.4):
    source = np.random.default_rng(1)
    actual = scale * source.standard_t(4, num_days)
    forecast = skill * actual + 0.3 * source.standard_normal(num_days)
    if shock is not None:
        actual[num_days // 2] = shock
    frame = pd.DataFrame({"actual": actual, "forecast": forecast})
    frame["date"] = pd.bdate_range("2023-01-02", periods=num_days)
    frame["is_roll"] = np.arange(num_days) % 21 == 20
    return equity_curves(ScoredDays(frame, kind, 1), buffer=0.3, cost_bp=5.0)


def line(axes, start):
    (found,) = [each for each in axes.lines if each.get_label().startswith(start)]
    return found


@pytest.fixture
def three_days():
    """A rise, a fall by a fifth of the peak, and half of the way back."""
    dates = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"])
    return pd.DataFrame({"flat": 100.0, "sign": [125.0, 100.0, 112.5]}, index=dates)


def test_every_strategy_has_a_line_of_its_own():
    drawn = curves(40)
    upper, lower = draw_equity(drawn, title="run", note=NOTE).axes
    assert len(drawn.columns) == len(LINES) == 6
    for axes in (upper, lower):
        looks = {(each.get_color(), each.get_linestyle()) for each in axes.lines}
        assert len(axes.lines) == len(looks) == 6
        for name, each in zip(drawn, axes.lines, strict=True):
            assert each.get_label().startswith(f"{name}: ")


def test_the_capital_starts_at_a_hundred_on_the_eve(three_days):
    upper, _ = draw_equity(three_days, title="run", note=NOTE).axes
    drawn = line(upper, "sign")
    np.testing.assert_array_equal(drawn.get_ydata(), [100, 125, 100, 112.5])
    assert drawn.get_xdata()[0] == np.datetime64("2023-12-31")
    assert upper.get_yscale() == "linear"


def test_the_lower_panel_shows_the_fall_below_the_peak(three_days):
    _, lower = draw_equity(three_days, title="run", note=NOTE).axes
    np.testing.assert_allclose(line(lower, "sign").get_ydata(), [0, 0, -20, -10])
    np.testing.assert_array_equal(line(lower, "flat").get_ydata(), [0, 0, 0, 0])
    assert lower.get_ylim() == pytest.approx((-21.6, 0.4))


def test_the_legend_states_the_end_and_the_deepest_fall(three_days):
    (legend,) = draw_equity(three_days, title="run", note=NOTE).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "flat: 100.0 in the end, at worst 0.0 % below its peak",
        "sign: 112.5 in the end, at worst 20.0 % below its peak",
    ]


def test_the_heading_names_the_run_the_days_and_the_costs(three_days):
    figure = draw_equity(three_days, title="run", note=NOTE)
    assert figure.get_suptitle() == "run\n3 test days, 2024-01-01 to 2024-01-03"
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == "Capital, after 5 bp a turn"
    assert upper.get_ylabel() == "capital (start = 100)"
    assert lower.get_ylabel() == "drawdown (%)"


def test_large_factors_get_an_axis_that_says_it_is_logarithmic():
    upper, _ = draw_equity(curves(2000, skill=100.0), title="run", note=NOTE).axes
    assert upper.get_yscale() == "log"
    assert upper.get_ylabel() == "capital (start = 100, log scale)"


def test_a_ruin_is_drawn_down_to_nothing():
    figure = draw_equity(curves(131, kind="simple_return", shock=-150.0), title="run", note=NOTE)
    upper, lower = figure.axes
    assert upper.get_yscale() == "linear"
    assert line(upper, "buy and hold").get_ydata()[-1] == 0
    assert line(lower, "buy and hold").get_ydata()[-1] == -100
    assert "buy and hold: 0.0 in the end, at worst 100.0 % below its peak" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def lay_out(figure):
    """Lay a figure out as drawing it would, which takes most of that time."""
    figure.get_layout_engine().execute(figure)


def test_any_title_and_note_can_be_drawn(three_days):
    text = "a $x_1 { and $ 铁矿石 costs " + "word " * 99
    figure = draw_equity(three_days, title=text, note=text)
    lay_out(figure)
    heading = figure.axes[0].get_title(loc="left")
    assert heading.startswith("Capital, a $x_1 { and $ ??? costs word")
    assert heading.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.iloc[:0], "no equity curve"),
        (lambda frame: frame[[]], "no equity curve"),
        (lambda frame: frame.rename(columns={"sign": "magic"}), "unknown strategy 'magic', known"),
        (lambda frame: frame.iloc[::-1], "must ascend"),
        (lambda frame: frame.iloc[[0, 0, 1]], "must ascend"),
        (lambda frame: frame.assign(sign=[1.0, np.nan, 1.0]), "finite and at least zero"),
        (lambda frame: frame.assign(sign=[1.0, np.inf, 1.0]), "finite and at least zero"),
        (lambda frame: frame.assign(sign=[1.0, -1.0, 1.0]), "finite and at least zero"),
    ],
    ids=["no day", "no strategy", "unknown", "backwards", "twice", "nan", "infinite", "debt"],
)
def test_what_cannot_be_drawn_is_refused(three_days, change, message):
    with pytest.raises(ValueError, match=message):
        draw_equity(change(three_days), title="run", note=NOTE)


def test_the_file_is_a_small_png_of_the_agreed_size_and_the_same_twice(tmp_path):
    for run in ("first", "second"):
        figure = draw_equity(curves(2000), title="run", note=NOTE)
        write_figures({"equity": figure}, tmp_path / run)
    first, second = ((tmp_path / run / "equity.png").read_bytes() for run in ("first", "second"))
    assert struct.unpack(">II", first[16:24]) == (1200, 700)
    assert 10_000 < len(first) < 150_000
    assert first == second


def test_drawing_leaves_curves_and_settings_alone(three_days):
    before, settings = three_days.copy(), dict(mpl.rcParams)
    draw_equity(three_days, title="run", note=NOTE)
    pd.testing.assert_frame_equal(three_days, before)
    assert dict(mpl.rcParams) == settings


def figures_of(kind, *costs_bp):
    days = pd.DataFrame(
        {
            "date": pd.bdate_range("2024-01-01", periods=3),
            "actual": [10.0, -10.0, 20.0],
            "forecast": [1.0, -0.2, 0.4],
            "is_roll": False,
        }
    )
    settings = EvaluationSettings.model_construct(costs_bp=costs_bp, trade_buffer=0.3)
    return equity_figures(ScoredDays(days, kind, 1), settings, title="run")


def test_the_curves_of_a_run_pay_the_usual_cost():
    figures = figures_of("simple_return", 0.0, 5.0, 80.0)
    assert list(figures) == ["equity_curve"]
    upper, _ = figures["equity_curve"].axes
    assert upper.get_title(loc="left") == "Capital, after 5 bp a turn"
    # One turn to enter, and two to reverse: 10 % less 0.05, 10 % less 0.1, 20 % less 0.1.
    expected = np.cumprod([100, 1.0995, 1.099, 1.199])
    np.testing.assert_allclose(line(upper, "sign: ").get_ydata(), expected)
    # The second forecast is below the buffer: out at one turn, and in again at one.
    expected = np.cumprod([100, 1.0995, 0.9995, 1.1995])
    np.testing.assert_allclose(line(upper, "threshold: ").get_ydata(), expected)


@pytest.mark.parametrize(
    ("costs_bp", "cost"), [((20.0, 0.0, 2.5), "2.5"), ((1.0, 3.0), "3"), ((7.0,), "7")]
)
def test_without_the_usual_cost_the_curves_pay_the_middle_one(costs_bp, cost):
    upper, _ = figures_of("log_return", *costs_bp)["equity_curve"].axes
    assert upper.get_title(loc="left") == f"Capital, after {cost} bp a turn"


def test_what_has_no_price_has_no_curve():
    assert figures_of("given", 5.0) == {}
