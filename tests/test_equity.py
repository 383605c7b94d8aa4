"""The figure of the capital shows what the strategies earned and how far they fell."""

import struct

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.trading import equity_curves
from ironore_lightning.report.equity import LINES, draw_equity, equity_figures
from ironore_lightning.report.style import write_figures

NOTE = "after 5 bp a turn"


def curves(num_days, *, kind="log_return", shock=None, skill=0.02, scale=1.4):
    source = np.random.default_rng(1)
    actual = scale * source.standard_t(4, num_days)
    forecast = skill * actual + 0.3 * source.standard_normal(num_days)
    if shock is not None:
        actual[num_days // 2] = shock
    return equity_curves(
        forecast,
        actual,
        np.arange(num_days) % 21 == 20,
        dates=pd.bdate_range("2023-01-02", periods=num_days),
        kind=kind,
        buffer=0.3,
        cost_bp=5.0,
        horizon=1,
    )


def line(axes, start):
    (found,) = [each for each in axes.lines if each.get_label().startswith(start)]
    return found


def shown(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


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


EDGE_CASES = {
    "one day": curves(1),
    "two days": curves(2),
    "half a year": curves(131),
    "ruin": curves(131, kind="simple_return", shock=-150.0),
    "ruin of a short": curves(131, shock=150.0),
    "no move": curves(60, scale=0.0),
    "tiny": curves(60, scale=1e-4),
    "eight years": curves(2000),
    "perfect": curves(2000, skill=100.0),
    "one strategy": curves(131)[["flat"]],
}


@pytest.mark.parametrize("case", EDGE_CASES)
def test_nothing_is_cut_off_and_nothing_warns(case):
    figure = draw_equity(EDGE_CASES[case], title=f"The case of {case}", note=NOTE)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= 12
    assert box.y1 <= 7
    (legend,) = figure.legends
    for axes in figure.axes:
        assert axes.bbox.height > 100
        assert not axes.get_tightbbox().overlaps(legend.get_window_extent())
        assert len([label for label in shown(axes) if label]) >= 2


@pytest.mark.parametrize("text", ["a $x_1 { and $", "铁矿石 costs", "word " * 99])
def test_any_title_and_note_can_be_drawn(three_days, text):
    figure = draw_equity(three_days, title=text, note=text)
    figure.draw_without_rendering()
    assert figure.get_tightbbox().x1 <= 12
    assert figure.axes[0].get_title(loc="left").count("\n") <= 1


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
        write_figures({"equity": draw_equity(curves(500), title="run", note=NOTE)}, tmp_path / run)
    first, second = ((tmp_path / run / "equity.png").read_bytes() for run in ("first", "second"))
    assert struct.unpack(">II", first[16:24]) == (1200, 700)
    assert 10_000 < len(first) < 150_000
    assert first == second


def test_drawing_leaves_curves_and_settings_alone(three_days):
    before, settings = three_days.copy(), dict(mpl.rcParams)
    draw_equity(three_days, title="run", note=NOTE)
    pd.testing.assert_frame_equal(three_days, before)
    assert dict(mpl.rcParams) == settings
