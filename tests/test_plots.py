"""The four figures say what happened, with numbers worked out by hand."""

import ast
import inspect
import struct

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ironore_lightning.report import plots
from ironore_lightning.report.plots import draw_figures, write_figures

NAMES = [
    "actual_vs_predicted_scatter",
    "timeseries_comparison",
    "residuals_analysis",
    "distribution_comparison",
]


def frame(actual, forecast, *, segment="test", start="2024-01-01"):
    return pd.DataFrame(
        {
            "date": pd.bdate_range(start, periods=len(actual)),
            "segment": segment,
            "actual": np.asarray(actual, dtype=float),
            "forecast": np.asarray(forecast, dtype=float),
        }
    )


def noise(num_days, *, seed=7):
    source = np.random.default_rng(seed)
    return 1.3 * source.standard_t(4, num_days), 0.1 * source.standard_normal(num_days)


def texts(axes):
    return "\n".join(text.get_text() for text in axes.texts)


def line(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found


def fill(axes, label):
    (found,) = [each for each in axes.collections if each.get_label() == label]
    return found


@pytest.fixture
def five_days():
    """Two hits, one miss by sign, one by a zero forecast, one day without a move."""
    return frame([2, -1, 0, 1, -2], [0.5, 0.1, 0.3, 0, -0.25])


@pytest.fixture
def figures(five_days):
    return draw_figures(five_days, title="five days")


def test_there_are_four_figures_in_the_agreed_order(figures):
    assert list(figures) == NAMES


def test_every_figure_carries_the_name_of_the_run_and_the_days(figures):
    headings = {figure.get_suptitle() for figure in figures.values()}
    assert headings == {"five days\n5 test days, 2024-01-01 to 2024-01-05"}


def test_the_scatter_counts_hits_among_the_days_that_moved(figures):
    honest, stretched = figures["actual_vs_predicted_scatter"].axes
    assert texts(honest).splitlines() == [
        "sign right: 2 of 4 days = 50.0 %",
        "always up: 2 of 4 days = 50.0 %",
        "correlation: +0.773",
        "mean size, forecast / actual: 19.2 %",
        "n = 5",
    ]
    for axes in (honest, stretched):
        np.testing.assert_array_equal(line(axes, "sign right (2)").get_xdata(), [2, -2])
        np.testing.assert_array_equal(line(axes, "sign right (2)").get_ydata(), [0.5, -0.25])
        np.testing.assert_array_equal(line(axes, "sign wrong (2)").get_xdata(), [-1, 1])
        np.testing.assert_array_equal(line(axes, "sign wrong (2)").get_ydata(), [0.1, 0])
        np.testing.assert_array_equal(line(axes, "no move, not counted (1)").get_ydata(), [0.3])


def test_small_forecasts_stay_small_on_the_scale_of_the_moves(figures):
    honest, stretched = figures["actual_vs_predicted_scatter"].axes
    assert honest.get_xlim() == honest.get_ylim() == stretched.get_xlim()
    assert honest.get_xlim() == pytest.approx((-2.16, 2.16))
    assert honest.get_box_aspect() == 1


def test_the_stretched_panel_says_how_much_it_is_stretched(figures):
    _, stretched = figures["actual_vs_predicted_scatter"].axes
    assert stretched.get_ylim() == pytest.approx((-0.54, 0.54))
    assert stretched.get_title(loc="left") == "The same days, forecast axis stretched 4 times"
    assert stretched.get_ylabel() == "forecast return (%), stretched 4 times"


def test_forecasts_of_zero_leave_nothing_to_stretch():
    figure = draw_figures(frame([1, -2], [0, 0]), title="zero")[NAMES[0]]
    honest, stretched = figure.axes
    assert stretched.get_ylim() == honest.get_ylim()
    assert stretched.get_title(loc="left") == "The same days, forecast axis not stretched"
    assert "sign right: 0 of 2 days = 0.0 %" in texts(honest)
    assert "correlation: undefined" in texts(honest)


def test_the_note_moves_away_from_the_days_it_would_hide():
    def corner(actual, forecast):
        figure = draw_figures(frame(actual, forecast), title="corner")[NAMES[0]]
        (note,) = figure.axes[0].texts
        return note.get_ha(), note.get_va()

    assert corner([-2, 1], [2, 1]) == ("right", "bottom")
    assert corner([2, 1], [-2, 1]) == ("left", "top")


def test_actual_and_forecast_share_the_scale_of_the_time_series(figures):
    upper, _ = figures["timeseries_comparison"].axes
    segments = fill(upper, "actual").get_segments()
    assert [tuple(stem[:, 1]) for stem in segments] == [(0, 2), (0, -1), (0, 0), (0, 1), (0, -2)]
    np.testing.assert_array_equal(line(upper, "forecast").get_ydata(), [0.5, 0.1, 0.3, 0.0, -0.25])


def test_running_hits_skip_the_day_without_a_move(figures):
    _, lower = figures["timeseries_comparison"].axes
    lead = line(lower, "hits minus days / 2")
    np.testing.assert_array_equal(lead.get_ydata(), [0, 0.5, 0, 0, -0.5, 0])
    assert lead.get_xdata()[0] == np.datetime64("2023-12-31")
    assert lower.get_title(loc="left") == "Hits minus half the days: +0.0 in the end"


def test_the_band_of_a_coin_grows_with_the_counted_days(figures):
    _, lower = figures["timeseries_comparison"].axes
    band = fill(lower, "95 % band of a coin, pointwise (2.0 at the end)")
    reach = np.unique(band.get_paths()[0].vertices[:, 1].round(9))
    expected = 0.98 * np.sqrt([1, 2, 3, 4])
    np.testing.assert_allclose(reach, [*-expected[::-1], 0, *expected], atol=1e-9)


def test_days_are_drawn_in_time_order(five_days, figures):
    shuffled = draw_figures(five_days.iloc[[3, 0, 4, 2, 1]], title="five days")
    for chosen in (figures, shuffled):
        _, lower = chosen["timeseries_comparison"].axes
        lead = line(lower, "hits minus days / 2").get_ydata()
        np.testing.assert_array_equal(lead, [0, 0.5, 0, 0, -0.5, 0])


def test_other_segments_are_not_drawn(five_days, figures):
    others = [
        frame([9, 9], [9, 9], segment=name, start=start)
        for name, start in (("train", "2020-01-01"), ("val", "2022-01-03"))
    ]
    mixed = draw_figures(pd.concat([*others, five_days], ignore_index=True), title="five days")
    for name in NAMES:
        assert mixed[name].get_suptitle() == figures[name].get_suptitle()
        assert [axes.dataLim.bounds for axes in mixed[name].axes] == [
            axes.dataLim.bounds for axes in figures[name].axes
        ]


def test_residuals_are_actual_minus_forecast(figures):
    over_time, histogram, _, _ = figures["residuals_analysis"].axes
    residual = [stem[1, 1] for stem in fill(over_time, "residual").get_segments()]
    np.testing.assert_allclose(residual, [1.5, -1.1, -0.3, 1.0, -1.75])
    # Variance: (2.25 + 1.21 + 0.09 + 1 + 3.0625) / 5 - 0.13 ** 2 = 1.5056.
    assert texts(histogram) == "mean -0.13 %\nsd 1.23 %"


def test_the_normal_curve_holds_as_many_days_as_the_histogram():
    actual, forecast = noise(131)
    _, histogram, _, _ = draw_figures(frame(actual, forecast), title="area")[NAMES[2]].axes
    values, edges, _ = histogram.patches[0].get_data()
    curve = line(histogram, "normal")
    area = np.trapezoid(curve.get_ydata(), curve.get_xdata())
    assert values.sum() == 131
    assert area == pytest.approx(131 * (edges[1] - edges[0]), rel=0.01)


def test_autocorrelation_of_alternating_residuals():
    figure = draw_figures(frame([1, -1, 1, -1], [0, 0, 0, 0]), title="alternating")[NAMES[2]]
    correlogram = figure.axes[2]
    (marks,) = [each for each in correlogram.lines if each.get_marker() == "o"]
    np.testing.assert_array_equal(marks.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(marks.get_ydata(), [-0.75, 0.5, -0.25])
    (band,) = correlogram.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((-0.98, 1.96))


def test_autocorrelation_reaches_lag_twenty():
    actual, forecast = noise(60)
    correlogram = draw_figures(frame(actual, forecast), title="lags")[NAMES[2]].axes[2]
    (marks,) = [each for each in correlogram.lines if each.get_marker() == "o"]
    np.testing.assert_array_equal(marks.get_xdata(), range(1, 21))
    residual = pd.Series(actual - forecast)
    centred = residual - residual.mean()
    expected = (centred * centred.shift(20)).sum() / (centred**2).sum()
    assert marks.get_ydata()[19] == pytest.approx(expected)


def test_quantiles_of_two_residuals():
    quantiles = draw_figures(frame([-1, 1], [0, 0]), title="two")[NAMES[2]].axes[3]
    # The quartiles of the standard normal.
    expected = [-0.6744897501960817, 0.6744897501960817]
    np.testing.assert_allclose(line(quantiles, "residuals").get_xdata(), expected)
    np.testing.assert_array_equal(line(quantiles, "residuals").get_ydata(), [-1, 1])
    np.testing.assert_allclose(line(quantiles, "normal").get_ydata(), expected)


def test_actual_and_forecast_share_the_bins_of_the_distribution(figures):
    (axes,) = figures["distribution_comparison"].axes
    counts = {patch.get_label(): patch.get_data() for patch in axes.patches if patch.get_fill()}
    assert list(counts) == ["actual", "forecast"]
    assert counts["actual"].values.sum() == counts["forecast"].values.sum() == 5
    for each in counts.values():
        np.testing.assert_allclose(each.edges, 0.4 * np.arange(-6.5, 7))
    np.testing.assert_array_equal(
        counts["forecast"].values, [0, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 0]
    )


def test_the_distribution_states_mean_spread_and_share_of_up_days(figures):
    (axes,) = figures["distribution_comparison"].axes
    assert [text.get_text() for text in axes.texts] == [
        "actual: mean +0 %, sd 1.41 %\nup: 2 of 5 days = 40.0 %\ndown: 2, zero: 1",
        "forecast: mean +0.13 %, sd 0.256 %\nup: 3 of 5 days = 60.0 %\ndown: 1, zero: 1",
    ]


def test_forecasts_of_zero_are_not_shown_as_ups():
    (axes,) = draw_figures(frame([1, -1], [0, 0]), title="zero")[NAMES[3]].axes
    values, edges, _ = axes.patches[2].get_data()
    (position,) = np.flatnonzero(values)
    assert edges[position] == -edges[position + 1]


def test_the_axes_name_their_unit(figures):
    labels = [
        label
        for figure in figures.values()
        for axes in figure.axes
        for label in (axes.get_xlabel(), axes.get_ylabel())
    ]
    assert len(labels) == 18
    assert sum("return (%)" in label for label in labels) == 6
    assert sum("residual (%)" in label for label in labels) == 3
    assert all(axes.get_title(loc="left") for each in figures.values() for axes in each.axes)


EDGE_CASES = {
    "one day": ([1.2], [-0.1]),
    "one day without a move": ([0.0], [0.1]),
    "constant forecast": (noise(60)[0], np.full(60, 0.1)),
    "constant actual": (np.full(60, 0.7), noise(60)[1]),
    "all zero": (np.zeros(20), np.zeros(20)),
    "perfect": (noise(60)[0], noise(60)[0]),
    "one extreme day": (np.append(noise(60)[0], 1e6), np.append(noise(60)[1], 0.1)),
    "huge": (1e200 * noise(30)[0], 1e180 * noise(30)[1]),
    "tiny": (1e-200 * noise(30)[0], 1e-220 * noise(30)[1]),
    "eight years": noise(2000),
}


@pytest.mark.parametrize("case", EDGE_CASES)
def test_nothing_is_cut_off_and_nothing_warns(case):
    figures = draw_figures(frame(*EDGE_CASES[case]), title=f"The case of {case}")
    for figure in figures.values():
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 12
        assert box.y1 <= 7


@pytest.mark.parametrize("forecast", [0.0, 1.0], ids=["always wrong", "always right"])
def test_the_legend_of_running_hits_leaves_room_for_the_title(forecast):
    figure = draw_figures(frame(np.ones(2000), np.full(2000, forecast)), title="t")[NAMES[1]]
    figure.draw_without_rendering()
    for axes in figure.axes:
        title = axes._left_title.get_window_extent()
        assert title.width > 100
        assert not title.overlaps(axes.get_legend().get_window_extent())


@pytest.mark.parametrize(
    "title", ["run $x_1 {", "铁矿石 \N{CHART WITH UPWARDS TREND}", "word " * 99]
)
def test_any_title_can_be_drawn(five_days, title):
    figure = draw_figures(five_days, title=title)[NAMES[3]]
    figure.draw_without_rendering()
    assert figure.get_tightbbox().x1 <= 12
    assert figure.get_suptitle().count("\n") <= 2


def test_what_the_font_lacks_becomes_a_question_mark(five_days):
    figure = draw_figures(five_days, title="ore 铁 0.1 % × 2")[NAMES[0]]
    assert figure.get_suptitle().startswith("ore ? 0.1 % × 2\n")


@pytest.mark.parametrize("segments", [[], ["train", "val"]], ids=["no rows", "no test rows"])
def test_an_empty_test_segment_is_refused(segments):
    rows = [frame([1.0], [0.5], segment=segment) for segment in segments]
    predictions = pd.concat(rows) if rows else frame([], [])
    with pytest.raises(ValueError, match='no row has segment "test"'):
        draw_figures(predictions, title="empty")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="must be finite"):
        draw_figures(frame([1.0, value], [0.5, 0.5]), title="broken")


def test_files_are_small_png_of_the_agreed_size(tmp_path):
    folder = tmp_path / "new" / "figures"
    actual, forecast = noise(2000)
    # Forecasts as large as the moves fill the most paper.
    write_figures(draw_figures(frame(actual, 10 * forecast), title="eight years"), folder)
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == sorted(f"{name}.png" for name in NAMES)
    for file in files:
        content = file.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == (1200, 700)
        assert 10_000 < len(content) < 150_000


def test_the_same_predictions_give_the_same_bytes(five_days, tmp_path):
    for run in ("first", "second"):
        figures = draw_figures(five_days, title="twice")
        write_figures({name: figures[name] for name in NAMES[::3]}, tmp_path / run)
    assert len(list((tmp_path / "first").iterdir())) == 2
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()
        assert b"tEXt" not in file.read_bytes()


def test_drawing_leaves_predictions_and_settings_alone(five_days):
    rows, settings = five_days.copy(), dict(mpl.rcParams)
    draw_figures(five_days, title="twice")
    pd.testing.assert_frame_equal(five_days, rows)
    assert dict(mpl.rcParams) == settings


def test_the_module_needs_neither_pyplot_nor_anything_of_ours():
    imported = [
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(inspect.getsource(plots)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert len(imported) >= 10
    assert not [name for name in imported if "pyplot" in name or "ironore" in name]
