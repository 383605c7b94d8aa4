"""The four figures say what happened, with numbers worked out by hand."""

import struct

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num

from ironore_lightning.report.figures import draw_figures
from ironore_lightning.report.style import fit_heading, open_figure, style_axes, write_figures

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


def bounded(rows, **bounds):
    """Put bounds around the forecasts: wide ones, or those that are given."""
    size = rows["actual"].abs().mean()
    wide = {
        f"{side}_{per_cent}": rows["forecast"] + sign * factor * size
        for per_cent, factor in ((80, 1.5), (90, 2))
        for side, sign in (("lower", -1), ("upper", 1))
    }
    return rows.assign(**{name: bounds.get(name, values) for name, values in wide.items()})


def noise(num_days, *, seed=7):
    source = np.random.default_rng(seed)
    return 1.3 * source.standard_t(4, num_days), 0.1 * source.standard_normal(num_days)


def texts(axes):
    return "\n".join(text.get_text() for text in axes.texts)


def line(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def lay_out(figure):
    """Lay a figure out as drawing it would, which takes most of that time."""
    figure.get_layout_engine().execute(figure)


def fill(axes, label):
    (found,) = [each for each in axes.collections if each.get_label() == label]
    return found


# Drawing takes a tenth of a second and reading changes nothing, so tests share what was drawn.
@pytest.fixture(scope="module")
def five_days():
    """Two hits, one miss by sign, one by a zero forecast, one day without a move."""
    return frame([2, -1, 0, 1, -2], [0.5, 0.1, 0.3, 0, -0.25])


@pytest.fixture(scope="module")
def five_bounded_days(five_days):
    """The narrow interval lacks the third day and misses two; the wide one lacks the second."""
    nan = np.nan
    return bounded(
        five_days,
        lower_80=[-1, -1, nan, -1, -1],
        upper_80=[1, 1, nan, 1, 1],
        lower_90=[-2, nan, -2, -2, -2],
        upper_90=[2, 2, 2, 2, 2.5],
    )


@pytest.fixture(scope="module")
def figures(five_days):
    return draw_figures(five_days, title="five days")


@pytest.fixture(scope="module")
def banded(five_bounded_days):
    return draw_figures(five_bounded_days, title="five days")


@pytest.fixture(scope="module")
def shuffled_among_others(five_bounded_days):
    others = [
        frame([9, 9], [9, 9], segment=name, start=start)
        for name, start in (("train", "2020-01-01"), ("val", "2022-01-03"))
    ]
    rows = pd.concat([*others, five_bounded_days.iloc[[3, 0, 4, 2, 1]]], ignore_index=True)
    return draw_figures(rows, title="five days")


@pytest.fixture(scope="module")
def forecasts_of_zero():
    return draw_figures(frame([-1, 1], [0, 0]), title="zero")


@pytest.fixture(scope="module")
def half_a_year():
    return draw_figures(frame(*noise(131)), title="half a year")


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


def test_forecasts_of_zero_leave_nothing_to_stretch(forecasts_of_zero):
    honest, stretched = forecasts_of_zero["actual_vs_predicted_scatter"].axes
    assert stretched.get_ylim() == honest.get_ylim()
    assert stretched.get_title(loc="left") == "The same days, forecast axis not stretched"
    assert "sign right: 0 of 2 days = 0.0 %" in texts(honest)
    assert "correlation: undefined" in texts(honest)


def test_actual_and_forecast_share_the_scale_of_the_time_series(figures):
    upper, _ = figures["timeseries_comparison"].axes
    segments = fill(upper, "actual").get_segments()
    assert [tuple(stem[:, 1]) for stem in segments] == [(0, 2), (0, -1), (0, 0), (0, 1), (0, -2)]
    np.testing.assert_array_equal(line(upper, "forecast").get_ydata(), [0.5, 0.1, 0.3, 0.0, -0.25])


def test_without_bounds_there_is_no_interval(figures):
    upper, _ = figures["timeseries_comparison"].axes
    assert not upper.patches
    assert legend(upper) == ["actual", "forecast"]


def test_the_legend_counts_the_days_inside_their_interval(banded):
    upper, _ = banded["timeseries_comparison"].axes
    # An actual on the bound is inside, and a day that lacks a bound is not counted.
    assert legend(upper) == [
        "actual",
        "forecast",
        "90 % interval (4 of 4 inside)",
        "80 % interval (2 of 4 inside)",
    ]


def test_intervals_are_steps_between_their_bounds(banded):
    upper, _ = banded["timeseries_comparison"].axes
    wide, narrow = (patch.get_data() for patch in upper.patches)
    nan = np.nan
    np.testing.assert_array_equal(wide.values, [2, nan, 2, 2, 2.5])
    np.testing.assert_array_equal(wide.baseline, [-2, nan, -2, -2, -2])
    np.testing.assert_array_equal(narrow.values, [1, 1, nan, 1, 1])
    np.testing.assert_array_equal(narrow.baseline, [-1, -1, nan, -1, -1])
    monday = date2num(np.datetime64("2024-01-01"))
    for drawn in (wide, narrow):
        np.testing.assert_array_equal(drawn.edges - monday, [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5])


def test_steps_over_a_weekend_meet_in_its_middle_and_an_unknown_interval_is_left_out():
    rows = frame([1, 1], [0, 0], start="2024-01-05")
    rows = bounded(rows, lower_80=[np.nan, np.nan], lower_90=[np.nan, -2])
    upper, _ = draw_figures(rows, title="weekend")["timeseries_comparison"].axes
    (steps,) = upper.patches
    friday = date2num(np.datetime64("2024-01-05"))
    np.testing.assert_array_equal(steps.get_data().edges - friday, [-0.5, 1.5, 3.5])
    assert legend(upper) == ["actual", "forecast", "90 % interval (1 of 1 inside)"]


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


def test_days_are_drawn_in_time_order(shuffled_among_others):
    upper, lower = shuffled_among_others["timeseries_comparison"].axes
    lead = line(lower, "hits minus days / 2").get_ydata()
    np.testing.assert_array_equal(lead, [0, 0.5, 0, 0, -0.5, 0])
    wide, _ = upper.patches
    np.testing.assert_array_equal(wide.get_data().values, [2, np.nan, 2, 2, 2.5])


def test_other_segments_are_not_drawn(shuffled_among_others, banded):
    for name in NAMES:
        mixed, alone = shuffled_among_others[name], banded[name]
        assert mixed.get_suptitle() == alone.get_suptitle()
        assert [axes.dataLim.bounds for axes in mixed.axes] == [
            axes.dataLim.bounds for axes in alone.axes
        ]
    both = (shuffled_among_others, banded)
    mixed, alone = (figures["timeseries_comparison"].axes[0] for figures in both)
    assert legend(mixed) == legend(alone)


def test_residuals_are_actual_minus_forecast(figures):
    over_time, histogram, _, _ = figures["residuals_analysis"].axes
    residual = [stem[1, 1] for stem in fill(over_time, "residual").get_segments()]
    np.testing.assert_allclose(residual, [1.5, -1.1, -0.3, 1.0, -1.75])
    # Variance: (2.25 + 1.21 + 0.09 + 1 + 3.0625) / 5 - 0.13 ** 2 = 1.5056.
    assert texts(histogram) == "mean -0.13 %\nsd 1.23 %"


def test_the_normal_curve_holds_as_many_days_as_the_histogram(half_a_year):
    _, histogram, _, _ = half_a_year["residuals_analysis"].axes
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


def test_autocorrelation_reaches_lag_twenty(half_a_year):
    actual, forecast = noise(131)
    correlogram = half_a_year["residuals_analysis"].axes[2]
    (marks,) = [each for each in correlogram.lines if each.get_marker() == "o"]
    np.testing.assert_array_equal(marks.get_xdata(), range(1, 21))
    residual = pd.Series(actual - forecast)
    centred = residual - residual.mean()
    expected = (centred * centred.shift(20)).sum() / (centred**2).sum()
    assert marks.get_ydata()[19] == pytest.approx(expected)


def test_quantiles_of_two_residuals(forecasts_of_zero):
    quantiles = forecasts_of_zero["residuals_analysis"].axes[3]
    # The larger of two draws lies below the quantile sqrt(1 / 2) half of the time (Filliben).
    expected = [-0.5449521356173604, 0.5449521356173604]
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


def test_forecasts_of_zero_are_not_shown_as_ups(forecasts_of_zero):
    (axes,) = forecasts_of_zero["distribution_comparison"].axes
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


def test_any_title_can_be_drawn():
    title = "run $x_1 { and $ 铁矿石 \N{CHART WITH UPWARDS TREND} " + "word " * 99
    figure = open_figure(np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]"), title)
    style_axes(figure.subplots(), fit_heading(title), "x", "y")
    lay_out(figure)
    assert figure.get_suptitle().count("\n") == 2
    assert figure.get_suptitle().startswith("run $x_1 { and $ ??? ? word word")
    assert figure.axes[0].get_title(loc="left").count("\n") == 1


def test_what_the_font_lacks_becomes_a_question_mark():
    figure = open_figure(np.array(["2024-01-01"], dtype="datetime64[D]"), "ore 铁 0.1 % × 2")
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


def test_an_infinite_bound_is_refused(five_days):
    rows = bounded(five_days, upper_80=[1, 1, np.inf, 1, 1])
    with pytest.raises(ValueError, match="a bound of the 80 % interval is infinite"):
        draw_figures(rows, title="broken")


def test_files_are_small_png_of_the_agreed_size(tmp_path):
    folder = tmp_path / "figures"
    actual, forecast = noise(2000)
    figures = draw_figures(bounded(frame(actual, 10 * forecast)), title="eight years")
    write_figures(figures, folder)
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == sorted(
        f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")
    )
    for file in files[::2]:
        content = file.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == (1200, 700)
        assert 10_000 < len(content) < 150_000


def test_the_same_predictions_give_the_same_bytes(five_bounded_days, tmp_path):
    rows, settings = five_bounded_days.copy(), dict(mpl.rcParams)
    for run in ("first", "second"):
        figures = draw_figures(five_bounded_days, title="twice")
        write_figures({"one": figures["distribution_comparison"]}, tmp_path / run)
    for kind in ("png", "svg"):
        first, second = (
            (tmp_path / run / f"one.{kind}").read_bytes() for run in ("first", "second")
        )
        assert first == second
        assert b"tEXt" not in first
        assert b"<metadata" not in first
    # Nor does drawing change anything.
    pd.testing.assert_frame_equal(five_bounded_days, rows)
    assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize(
    "wanted", ["nonsense", "tkagg", "module://matplotlib.backends.backend_svg"]
)
def test_the_backend_that_the_environment_names_cannot_stop_a_run(run_python, monkeypatch, wanted):
    monkeypatch.setenv("MPLBACKEND", wanted)
    code = "import ironore_lightning, matplotlib; print(matplotlib.rcParams['backend'])"
    process = run_python("-c", code)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == (wanted if wanted.startswith("module://") else "agg")
