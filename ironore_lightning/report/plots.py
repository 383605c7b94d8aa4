"""The four figures of a report: how the forecasts of the test days compare with what happened.

Every figure shows forecast and actual on one scale somewhere, so that forecasts much smaller than
the moves of the market look as small as they are.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Dates = NDArray[np.datetime64]
Corner = Literal["upper left", "upper right", "lower right"]

# Okabe and Ito (2008): told apart with every common form of colour blindness.
ACTUAL = "#595959"
FORECAST = "#0072B2"
RIGHT = "#009E73"
WRONG = "#D55E00"
REFERENCE = "#000000"
BAND = "#BDBDBD"

WIDTH_PX, HEIGHT_PX, DOTS_PER_INCH = 1200, 700, 100
TEXT_SIZE, TITLE_SIZE = 10.5, 12
TITLE_COLUMNS = 105
# Notes stand above the bars, not on them.
HEADROOM = 1.3
NORMAL_95 = 1.96
MAX_LAG = 20
ONE_DAY = np.timedelta64(1, "D")
# Few points need markers: a line through one point is invisible.
MARKED_DAYS = 60
# Beyond these, marks of the usual size hide each other.
MANY_DAYS = 500


@dataclass(frozen=True, eq=False)
class _Days:
    """Test days in time order.

    Attributes:
        day: Day that each forecast is for, shape (N,).
        actual: What happened, shape (N,), per cent.
        forecast: What was said, shape (N,), per cent.
    """

    day: Dates
    actual: Values
    forecast: Values

    @cached_property
    def residual(self) -> Values:
        """What the forecast missed, shape (N,), per cent."""
        return self.actual - self.forecast

    @cached_property
    def moved(self) -> Flags:
        """Days that count for the direction: the actual is not exactly zero."""
        moved: Flags = self.actual != 0
        return moved

    @cached_property
    def hit(self) -> Flags:
        """Counted days with the right sign; a forecast of exactly zero has none."""
        hit: Flags = self.moved & (np.sign(self.actual) == np.sign(self.forecast))
        return hit


def draw_figures(predictions: pd.DataFrame, *, title: str) -> dict[str, Figure]:
    """Draw the four figures of the test segment.

    Args:
        predictions: One row per forecast with the columns ``date`` (day the forecast is for),
            ``segment`` (train, val or test), ``actual`` and ``forecast`` (per cent return).
        title: Name of the run, printed above every figure.

    Returns:
        Figures by file name without its suffix.

    Raises:
        ValueError: If there is no test row, or a value of one is missing or infinite.
    """
    days = _test_days(predictions)
    return {
        "actual_vs_predicted_scatter": _draw_scatter(days, title),
        "timeseries_comparison": _draw_timeseries(days, title),
        "residuals_analysis": _draw_residuals(days, title),
        "distribution_comparison": _draw_distribution(days, title),
    }


def write_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure to ``<key>.png``; equal figures give equal bytes.

    Args:
        figures: Figures by file name without its suffix.
        folder: Where to write; made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        canvas = FigureCanvasAgg(figure)
        # Neither call is annotated by matplotlib.
        canvas.draw()  # type: ignore[no-untyped-call]
        drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        pixels = Image.fromarray(drawn).convert("RGB")
        # A palette halves the file, and these few colours fit into it.
        pixels.quantize(256, dither=Image.Dither.NONE).save(folder / f"{name}.png")


def _test_days(predictions: pd.DataFrame) -> _Days:
    rows = predictions[predictions["segment"] == "test"].sort_values("date", kind="stable")
    if rows.empty:
        raise ValueError('no row has segment "test": there is nothing to draw')
    actual = rows["actual"].to_numpy(dtype=np.float64)
    forecast = rows["forecast"].to_numpy(dtype=np.float64)
    if not (np.isfinite(actual).all() and np.isfinite(forecast).all()):
        raise ValueError("actual and forecast of the test rows must be finite, got NaN or infinity")
    day = rows["date"].to_numpy(dtype="datetime64[D]")
    return _Days(day=day, actual=actual, forecast=forecast)


def _draw_scatter(days: _Days, title: str) -> Figure:
    figure = _figure(days, title)
    honest, stretched = figure.subplots(1, 2)
    limit = _reach(np.concatenate([days.actual, days.forecast]))
    # Without a forecast away from zero there is nothing to stretch.
    forecast_limit = _reach(days.forecast) if days.forecast.any() else limit
    ratio = limit / forecast_limit
    stretch = f"stretched {ratio:.3g} times" if ratio > 1 else "not stretched"
    panels = (
        (honest, limit, "Forecasts against actual returns on one scale", ""),
        (stretched, forecast_limit, f"The same days, forecast axis {stretch}", f", {stretch}"),
    )
    for axes, height, heading, remark in panels:
        _draw_quadrants(axes, days, limit, height)
        _dress(axes, heading, "actual return (%)", f"forecast return (%){remark}")
    _note(honest, _direction_text(days), corner=_emptier_corner(days, limit / 2))
    handles, _ = honest.get_legend_handles_labels()
    figure.legend(
        handles=handles, loc="outside lower center", ncols=5, fontsize=TEXT_SIZE, frameon=False
    )
    return figure


def _emptier_corner(days: _Days, limit: float) -> Corner:
    """Choose the corner of wrong signs where a note hides fewer days."""
    above = (days.actual < 0) & (days.forecast > limit)
    below = (days.actual > 0) & (days.forecast < -limit)
    return "upper left" if above.sum() <= below.sum() else "lower right"


def _draw_quadrants(axes: Axes, days: _Days, width: float, height: float) -> None:
    """Draw all days on axes that reach ``width`` and ``height`` (per cent) from zero."""
    for sign, label in ((1.0, "quadrants of the right sign"), (-1.0, "_lower left")):
        axes.fill_between(
            [0, sign * width], 0, sign * height, color=RIGHT, alpha=0.10, linewidth=0, label=label
        )
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    axes.axvline(0, color=REFERENCE, linewidth=0.8)
    ends = [-height, height]
    axes.plot(ends, ends, "--", color=REFERENCE, linewidth=1.2, label="forecast = actual")
    kinds = (
        ("sign right", days.hit, RIGHT, "o"),
        ("sign wrong", days.moved & ~days.hit, WRONG, "x"),
        ("no move, not counted", ~days.moved, ACTUAL, "s"),
    )
    size = 5.5 if len(days.day) <= MANY_DAYS else 3
    for label, chosen, color, marker in kinds:
        if chosen.any():
            axes.plot(
                days.actual[chosen],
                days.forecast[chosen],
                marker,
                color=color,
                markersize=size,
                markeredgewidth=1.2 if marker == "x" else 0,
                alpha=0.75,
                label=f"{label} ({chosen.sum()})",
            )
    axes.set_xlim(-width, width)
    axes.set_ylim(-height, height)
    axes.set_box_aspect(1)


def _direction_text(days: _Days) -> str:
    """Say in words what the scatter shows."""
    hits, counted = int(days.hit.sum()), int(days.moved.sum())
    ups = int((days.actual > 0).sum())
    correlation = _correlation(days.actual, days.forecast)
    moves = _mean(np.abs(days.actual))
    size = f"{100 * _mean(np.abs(days.forecast)) / moves:.1f} %" if moves else "undefined"
    return (
        f"sign right: {_share(hits, counted)}\n"
        f"always up: {_share(ups, counted)}\n"
        f"correlation: {'undefined' if correlation is None else f'{correlation:+.3f}'}\n"
        f"mean size, forecast / actual: {size}\n"
        f"n = {len(days.day)}"
    )


def _draw_timeseries(days: _Days, title: str) -> Figure:
    figure = _figure(days, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw_stems(upper, days, days.actual, label="actual", widest=400)
    _draw_line(upper, days.day, days.forecast, color=FORECAST, label="forecast")
    _dress(upper, "Actual return and forecast of each day on one scale", "", "return (%)")
    _draw_running_hits(lower, days)
    _legend_above(upper)
    _legend_above(lower)
    _date_axis(lower, days)
    upper.tick_params(labelbottom=False)
    return figure


def _draw_running_hits(axes: Axes, days: _Days) -> None:
    # Both start at zero on the eve of the first day, so that one day already shows a path.
    day = np.concatenate([[days.day[0] - ONE_DAY], days.day])
    counted = np.concatenate([[0], days.moved.cumsum()])
    lead = np.concatenate([[0], days.hit.cumsum()]) - counted / 2
    reach = NORMAL_95 * np.sqrt(counted) / 2
    band = f"95 % band of a coin, pointwise ({reach[-1]:.1f} at the end)"
    axes.fill_between(day, -reach, reach, color=BAND, alpha=0.5, linewidth=0, label=band)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    _draw_line(axes, day, lead, color=RIGHT, label="hits minus days / 2")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    title = f"Hits minus half the days: {lead[-1]:+.1f} in the end"
    _dress(axes, title, "date", "hits minus days / 2")


def _draw_residuals(days: _Days, title: str) -> Figure:
    figure = _figure(days, title)
    (over_time, histogram), (correlogram, quantiles) = figure.subplots(2, 2)
    _draw_stems(over_time, days, days.residual, label="residual", widest=200)
    _dress(over_time, "Residuals (actual minus forecast) over time", "date", "residual (%)")
    _date_axis(over_time, days)
    _draw_residual_histogram(histogram, days.residual)
    _draw_correlogram(correlogram, days.residual)
    _draw_normal_quantiles(quantiles, days.residual)
    return figure


def _draw_residual_histogram(axes: Axes, residual: Values) -> None:
    edges = _bin_edges(residual)
    counts, _ = np.histogram(residual, edges)
    axes.stairs(counts, edges, fill=True, color=ACTUAL, alpha=0.6, label="residuals")
    mean, spread = _mean(residual), _spread(residual)
    if spread > 0:
        grid = np.linspace(edges[0], edges[-1], 400)
        density = np.exp(-(((grid - mean) / spread) ** 2) / 2) / np.sqrt(2 * np.pi)
        # Times days and bin width: the days a normal law would put into each bin.
        expected = len(residual) * (edges[1] - edges[0]) / spread * density
        axes.plot(grid, expected, color=WRONG, linewidth=1.8, label="normal")
    _dress(axes, "Residuals against a normal curve of equal mean and sd", "residual (%)", "days")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])
    _legend(axes, "upper right")
    _note(axes, f"mean {mean:+.3g} %\nsd {spread:.3g} %")


def _draw_correlogram(axes: Axes, residual: Values) -> None:
    correlation = _autocorrelation(residual)
    reach = NORMAL_95 / np.sqrt(len(residual))
    band = "95 % band of white noise"
    axes.axhspan(-reach, reach, color=BAND, alpha=0.5, linewidth=0, label=band)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    if correlation.size:
        lags = np.arange(1, len(correlation) + 1)
        axes.vlines(lags, 0, correlation, color=ACTUAL, linewidth=2.5)
        axes.plot(lags, correlation, "o", color=ACTUAL, markersize=5)
    else:
        _note(axes, "undefined: the residuals do not vary")
    highest = min(1.3, max(1.5 * reach, 1.3 * np.abs(correlation).max(initial=0.0)))
    axes.set_ylim(-highest, highest)
    axes.set_xlim(0.2, MAX_LAG + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _dress(axes, "Autocorrelation of the residuals", "lag (days)", "autocorrelation")
    _legend(axes, "upper right")


def _draw_normal_quantiles(axes: Axes, residual: Values) -> None:
    probability = (np.arange(len(residual)) + 0.5) / len(residual)
    normal = np.array([NormalDist().inv_cdf(value) for value in probability])
    expected = _mean(residual) + _spread(residual) * normal
    axes.plot(normal, expected, "--", color=REFERENCE, linewidth=1.2, label="normal")
    axes.plot(normal, np.sort(residual), "o", color=ACTUAL, markersize=3.5, label="residuals")
    title = "Sorted residuals against normal quantiles (Q-Q)"
    _dress(axes, title, "standard normal quantile", "residual (%)")
    _legend(axes, "upper left")


def _draw_distribution(days: _Days, title: str) -> Figure:
    figure = _figure(days, title)
    axes = figure.subplots()
    edges = _bin_edges(np.concatenate([days.actual, days.forecast]))
    series: tuple[tuple[str, Values, str, Corner], ...] = (
        ("actual", days.actual, ACTUAL, "upper left"),
        ("forecast", days.forecast, FORECAST, "upper right"),
    )
    for name, values, color, corner in series:
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, fill=True, color=color, alpha=0.4, label=name)
        axes.stairs(counts, edges, color=color, linewidth=1.8)
        _note(axes, _distribution_text(name, values), corner=corner)
    axes.axvline(0, color=REFERENCE, linewidth=0.8)
    heading = "How often each return occurred and was forecast, same bins and one scale"
    _dress(axes, heading, "return (%)", "days in the bin")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])
    _legend_above(axes)
    return figure


def _distribution_text(name: str, values: Values) -> str:
    """Say mean, spread and signs of one series."""
    up, down = int((values > 0).sum()), int((values < 0).sum())
    return (
        f"{name}: mean {_mean(values):+.3g} %, sd {_spread(values):.3g} %\n"
        f"up: {_share(up, len(values))}\n"
        f"down: {down}, zero: {len(values) - up - down}"
    )


def _mean(values: Values) -> float:
    """Average within the range of the values, whatever the rounding of their sum."""
    return float(np.clip(values.mean(), values.min(), values.max()))


def _spread(values: Values) -> float:
    """Return the standard deviation with divisor N; exactly zero for a constant series."""
    scale = float(np.abs(values).max())
    if np.ptp(values) == 0:
        return 0.0
    return scale * float((values / scale).std())


def _share(part: int, days: int) -> str:
    return f"{part} of {days} days = {100 * part / days:.1f} %" if days else "no day to count"


def _correlation(first: Values, second: Values) -> float | None:
    """Return Pearson's correlation, or nothing if a series does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    scaled = [values / np.abs(values).max() for values in (first, second)]
    return float(np.corrcoef(scaled)[0, 1])


def _autocorrelation(values: Values) -> Values:
    """Return the autocorrelation at lags 1, 2, ..., at most 20; empty for a constant series."""
    if np.ptp(values) == 0:
        return np.empty(0)
    centred = values / np.abs(values).max()
    centred = centred - centred.mean()
    num_lags = min(MAX_LAG, len(values) - 1)
    products = [centred[lag:] @ centred[:-lag] for lag in range(1, num_lags + 1)]
    return np.array(products, dtype=np.float64) / float(centred @ centred)


def _reach(values: Values) -> float:
    """Return a limit for an axis around zero that leaves room beyond the largest value."""
    return 1.08 * float(np.abs(values).max()) or 1.0


def _bin_edges(values: Values) -> Values:
    """Return equal bins that cover the values and zero, one of them centred at zero.

    An edge at zero would show forecasts of exactly zero as ups.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    num_bins = int(np.clip(2 * np.sqrt(len(values)), 10, 60))
    width = (high - low) / num_bins or 1.0
    # One bin more at either end: rounding must not push an extreme value out.
    first, last = np.round(low / width) - 1, np.round(high / width) + 1
    return width * (np.arange(first, last + 2) - 0.5)


def _figure(days: _Days, title: str) -> Figure:
    """Open an empty figure with the heading that all four share."""
    figure = Figure(
        figsize=(WIDTH_PX / DOTS_PER_INCH, HEIGHT_PX / DOTS_PER_INCH),
        dpi=DOTS_PER_INCH,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    first, last = days.day[0], days.day[-1]
    num_days = len(days.day)
    span = f"{num_days} test days, {first} to {last}" if num_days > 1 else f"1 test day, {first}"
    heading = textwrap.fill(_printable(title), TITLE_COLUMNS, max_lines=2, placeholder=" ...")
    figure.suptitle(
        f"{heading}\n{span}", x=0.008, ha="left", fontsize=TITLE_SIZE + 1, parse_math=False
    )
    return figure


def _printable(text: str) -> str:
    """Replace what the font cannot draw, which matplotlib would warn about."""
    font = get_font(findfont(FontProperties()))
    return "".join(
        char if char.isspace() or font.get_char_index(ord(char)) else "?" for char in text
    )


def _dress(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE)
    axes.set_xlabel(x_label, fontsize=TEXT_SIZE)
    axes.set_ylabel(y_label, fontsize=TEXT_SIZE)
    axes.tick_params(labelsize=TEXT_SIZE - 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=BAND, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)


def _note(axes: Axes, text: str, *, corner: Corner = "upper left") -> None:
    vertical, side = corner.split()
    axes.text(
        0.015 if side == "left" else 0.985,
        0.98 if vertical == "upper" else 0.02,
        text,
        transform=axes.transAxes,
        ha="left" if side == "left" else "right",
        va="top" if vertical == "upper" else "bottom",
        multialignment="left",
        fontsize=TEXT_SIZE,
        linespacing=1.35,
        bbox={"facecolor": "white", "edgecolor": BAND, "alpha": 0.85, "pad": 4},
        zorder=5,
    )


def _legend(axes: Axes, corner: Corner) -> None:
    axes.legend(loc=corner, fontsize=TEXT_SIZE - 1, frameon=False)


def _legend_above(axes: Axes) -> None:
    """Put the legend beside the title, where it hides no day."""
    legend = axes.legend(ncols=3, fontsize=TEXT_SIZE, frameon=False, borderaxespad=0.0)
    legend.set_loc("lower right")
    legend.set_bbox_to_anchor((1.0, 0.99), transform=axes.transAxes)


def _draw_stems(axes: Axes, days: _Days, values: Values, *, label: str, widest: float) -> None:
    """Draw one stem a day, thinner the more there are; ``widest`` is their sum in points."""
    width = float(np.clip(widest / len(days.day), 0.5, 4.0))
    axes.vlines(days.day, 0, values, color=ACTUAL, linewidth=width, alpha=0.75, label=label)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)


def _draw_line(axes: Axes, day: Dates, values: Values, *, color: str, label: str) -> None:
    axes.plot(
        day,
        values,
        color=color,
        linewidth=1.6 if len(day) <= MANY_DAYS else 0.9,
        marker="o" if len(day) <= MARKED_DAYS else None,
        markersize=4,
        label=label,
    )


def _date_axis(axes: Axes, days: _Days) -> None:
    first, last = days.day[0], days.day[-1]
    # At least three days either side: the ticks of a shorter axis would be hours.
    room = max(3 * ONE_DAY, (last - first) // 64)
    axes.set_xlim(first - room, last + room)
    # matplotlib.dates has no annotations.
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
