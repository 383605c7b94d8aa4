"""The figures of a run: scatter, time series, residuals, distributions.

Every figure has a panel with forecast and actual on one scale, which shows how small forecasts are
beside returns.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.signal import correlate
from scipy.stats import norm, probplot

from ironore_lightning.evaluation.days import hits
from ironore_lightning.evaluation.metrics import correlation
from ironore_lightning.report.style import (
    ACTUAL,
    BAND,
    FORECAST,
    MANY_DAYS,
    ONE_DAY,
    REFERENCE,
    RIGHT,
    WRONG,
    Corner,
    Dates,
    Values,
    date_axis,
    draw_line,
    draw_stems,
    legend_above,
    legend_below,
    legend_inside,
    note,
    open_figure,
    style_axes,
)

Flags = NDArray[np.bool_]

# The wide interval is first, so that the narrow one is drawn on top; both are light blue.
INTERVALS = {90: "#DDEBF5", 80: "#B9D7EC"}
# Room for notes above the bars.
HEADROOM = 1.3
NORMAL_95 = 1.96
MAX_LAG = 20
HALF_DAY = np.timedelta64(12, "h")


@dataclass(frozen=True, eq=False)
class _Interval:
    """Prediction intervals of a nominal coverage; bounds are NaN on days without one."""

    per_cent: int
    lower: Values
    upper: Values


@dataclass(frozen=True, eq=False)
class _Days:
    """Test days in time order.

    Attributes:
        day: Of the outcome, shape (N,).
        actual: Shape (N,), in `unit`.
        forecast: Shape (N,), in `unit`.
        intervals: With bounds of shape (N,), in `unit`.
        word: What an outcome is called, such as `return`.
        unit: Of outcomes and forecasts.
    """

    day: Dates
    actual: Values
    forecast: Values
    intervals: tuple[_Interval, ...]
    word: str = "return"
    unit: str = "%"

    @cached_property
    def residual(self) -> Values:
        """Actual minus forecast, shape (N,), in `unit`."""
        return self.actual - self.forecast

    @cached_property
    def moved(self) -> Flags:
        """Days that count for the direction: the actual is not exactly zero."""
        moved: Flags = self.actual != 0
        return moved

    @cached_property
    def hit(self) -> Flags:
        """Counted days with the right sign; a forecast of exactly zero has none."""
        return hits(self.forecast, self.actual)


def draw_figures(
    predictions: pd.DataFrame, *, title: str, word: str = "return", unit: str = "%"
) -> dict[str, Figure]:
    """Return the four figures of the test segment.

    Args:
        predictions: One row per forecast with the columns ``date`` (day the forecast is for),
            ``segment`` (train, val or test), ``actual`` and ``forecast``, and optionally
            ``lower_80``, ``upper_80``, ``lower_90``, ``upper_90`` (NaN on days without).
        title: Name of the run, printed above every figure.
        word: What an outcome is called.
        unit: Of outcomes and forecasts.

    Returns:
        Figures by file name without its suffix.

    Raises:
        ValueError: If there is no test row, a value of one is missing, or any is infinite.
    """
    days = replace(_test_days(predictions), word=word, unit=unit)
    return {
        "actual_vs_predicted_scatter": _draw_scatter(days, title),
        "timeseries_comparison": _draw_timeseries(days, title),
        "residuals_analysis": _draw_residuals(days, title),
        "distribution_comparison": _draw_distribution(days, title),
    }


def _test_days(predictions: pd.DataFrame) -> _Days:
    rows = predictions[predictions["segment"] == "test"].sort_values("date", kind="stable")
    if rows.empty:
        raise ValueError('no row has segment "test": there is nothing to draw')
    actual = rows["actual"].to_numpy(dtype=np.float64)
    forecast = rows["forecast"].to_numpy(dtype=np.float64)
    if not (np.isfinite(actual).all() and np.isfinite(forecast).all()):
        raise ValueError("actual and forecast of the test rows must be finite, got NaN or infinity")
    day = rows["date"].to_numpy(dtype="datetime64[D]")
    return _Days(day, actual, forecast, _intervals(rows))


def _intervals(rows: pd.DataFrame) -> tuple[_Interval, ...]:
    """Return the intervals that exist on some day."""
    intervals = []
    for per_cent in INTERVALS:
        names = [f"lower_{per_cent}", f"upper_{per_cent}"]
        if not set(names) <= set(rows.columns):
            continue
        lower, upper = rows[names].to_numpy(dtype=np.float64).T
        if np.isinf(lower).any() or np.isinf(upper).any():
            raise ValueError(f"a bound of the {per_cent} % interval is infinite")
        # A day that lacks either bound has no interval.
        known = ~(np.isnan(lower) | np.isnan(upper))
        if known.any():
            bounds = (np.where(known, bound, np.nan) for bound in (lower, upper))
            intervals.append(_Interval(per_cent, *bounds))
    return tuple(intervals)


def _draw_scatter(days: _Days, title: str) -> Figure:
    figure = open_figure(days.day, title)
    same_scale, stretched = figure.subplots(1, 2)
    limit = _reach(np.concatenate([days.actual, days.forecast]))
    # Forecasts that are all zero cannot be stretched.
    forecast_limit = _reach(days.forecast) if days.forecast.any() else limit
    ratio = limit / forecast_limit
    stretch = f"stretched {ratio:.3g} times" if ratio > 1 else "not stretched"
    panels = (
        (same_scale, limit, f"Forecasts against actual {days.word}s on one scale", ""),
        (stretched, forecast_limit, f"The same days, forecast axis {stretch}", f", {stretch}"),
    )
    for axes, height, heading, remark in panels:
        _draw_quadrants(axes, days, limit, height)
        measure = f"{days.word} ({days.unit})"
        style_axes(axes, heading, f"actual {measure}", f"forecast {measure}{remark}")
    note(same_scale, _direction_text(days), corner=_emptier_corner(days, limit / 2))
    legend_below(figure, same_scale, num_columns=5)
    return figure


def _emptier_corner(days: _Days, limit: float) -> Corner:
    """Return the corner (of wrong signs) where a note hides fewer days."""
    above = (days.actual < 0) & (days.forecast > limit)
    below = (days.actual > 0) & (days.forecast < -limit)
    return "upper left" if above.sum() <= below.sum() else "lower right"


def _draw_quadrants(axes: Axes, days: _Days, width: float, height: float) -> None:
    """Draw all days on axes that reach ``width`` and ``height`` on either side."""
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
    """Return the note on hits, correlation and sizes."""
    hits, counted = int(days.hit.sum()), int(days.moved.sum())
    ups = int((days.actual > 0).sum())
    coefficient = correlation(days.actual, days.forecast)
    moves = _mean(np.abs(days.actual))
    size = f"{100 * _mean(np.abs(days.forecast)) / moves:.1f} %" if moves else "undefined"
    return (
        f"sign right: {_share(hits, counted)}\n"
        f"always up: {_share(ups, counted)}\n"
        f"correlation: {'undefined' if coefficient is None else f'{coefficient:+.3f}'}\n"
        f"mean size, forecast / actual: {size}\n"
        f"n = {len(days.day)}"
    )


def _draw_timeseries(days: _Days, title: str) -> Figure:
    figure = open_figure(days.day, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    draw_stems(upper, days.day, days.actual, color=ACTUAL, label="actual")
    draw_line(upper, days.day, days.forecast, color=FORECAST, label="forecast")
    _draw_intervals(upper, days)
    heading = f"Actual {days.word} and forecast of each day on one scale"
    style_axes(upper, heading, "", f"{days.word} ({days.unit})")
    _draw_running_hits(lower, days)
    legend_above(upper, num_columns=2)
    legend_above(lower)
    date_axis(lower, days.day)
    upper.tick_params(labelbottom=False)
    return figure


def _draw_intervals(axes: Axes, days: _Days) -> None:
    """Draw one step per day, between the middles to the days before and after."""
    day = days.day.astype("datetime64[h]")
    middle = day[:-1] + (day[1:] - day[:-1]) // 2
    edges = np.concatenate([[day[0] - HALF_DAY], middle, [day[-1] + HALF_DAY]])
    for interval in days.intervals:
        inside = ((interval.lower <= days.actual) & (days.actual <= interval.upper)).sum()
        counted = (~np.isnan(interval.lower)).sum()
        steps = axes.stairs(
            interval.upper,
            edges,
            baseline=interval.lower,
            fill=True,
            color=INTERVALS[interval.per_cent],
            linewidth=0,
            zorder=0.4,  # below the grid, which has 0.5
            label=f"{interval.per_cent} % interval ({inside} of {counted} inside)",
        )
        # Leave room below the lowest bound.
        steps.sticky_edges.y.clear()


def _draw_running_hits(axes: Axes, days: _Days) -> None:
    # Both start at zero on the day before the first, so that a single day is a line, too.
    day = np.concatenate([[days.day[0] - ONE_DAY], days.day])
    counted = np.concatenate([[0], days.moved.cumsum()])
    lead = np.concatenate([[0], days.hit.cumsum()]) - counted / 2
    reach = NORMAL_95 * np.sqrt(counted) / 2
    band = f"95 % band of a coin, pointwise ({reach[-1]:.1f} at the end)"
    axes.fill_between(day, -reach, reach, color=BAND, alpha=0.5, linewidth=0, label=band)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    draw_line(axes, day, lead, color=RIGHT, label="hits minus days / 2")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    title = f"Hits minus half the days: {lead[-1]:+.1f} in the end"
    style_axes(axes, title, "date", "hits minus days / 2")


def _draw_residuals(days: _Days, title: str) -> Figure:
    figure = open_figure(days.day, title)
    (over_time, histogram), (correlogram, quantiles) = figure.subplots(2, 2)
    draw_stems(over_time, days.day, days.residual, color=ACTUAL, label="residual", total_width=200)
    measure = f"residual ({days.unit})"
    style_axes(over_time, "Residuals (actual minus forecast) over time", "date", measure)
    date_axis(over_time, days.day)
    _draw_residual_histogram(histogram, days.residual, days.unit)
    _draw_correlogram(correlogram, days.residual)
    _draw_normal_quantiles(quantiles, days.residual, measure)
    return figure


def _draw_residual_histogram(axes: Axes, residual: Values, unit: str) -> None:
    edges = _bin_edges(residual)
    counts, _ = np.histogram(residual, edges)
    axes.stairs(counts, edges, fill=True, color=ACTUAL, alpha=0.6, label="residuals")
    mean, spread = _mean(residual), _spread(residual)
    if spread > 0:
        grid = np.linspace(edges[0], edges[-1], 400)
        # Times days and bin width: the expected days in each bin.
        expected = len(residual) * (edges[1] - edges[0]) * norm.pdf(grid, mean, spread)
        axes.plot(grid, expected, color=WRONG, linewidth=1.8, label="normal")
    heading = "Residuals against a normal curve of equal mean and sd"
    style_axes(axes, heading, f"residual ({unit})", "days")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])
    legend_inside(axes, "upper right")
    note(axes, f"mean {mean:+.3g} {unit}\nsd {spread:.3g} {unit}")


def _draw_correlogram(axes: Axes, residual: Values) -> None:
    coefficients = _autocorrelation(residual)
    reach = NORMAL_95 / np.sqrt(len(residual))
    band = "95 % band of white noise"
    axes.axhspan(-reach, reach, color=BAND, alpha=0.5, linewidth=0, label=band)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    if coefficients.size:
        lags = np.arange(1, len(coefficients) + 1)
        axes.vlines(lags, 0, coefficients, color=ACTUAL, linewidth=2.5)
        axes.plot(lags, coefficients, "o", color=ACTUAL, markersize=5)
    else:
        note(axes, "undefined: the residuals do not vary")
    highest = min(1.3, max(1.5 * reach, 1.3 * np.abs(coefficients).max(initial=0.0)))
    axes.set_ylim(-highest, highest)
    axes.set_xlim(0.2, MAX_LAG + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style_axes(axes, "Autocorrelation of the residuals", "lag (days)", "autocorrelation")
    legend_inside(axes, "upper right")


def _draw_normal_quantiles(axes: Axes, residual: Values, measure: str) -> None:
    normal, ordered = probplot(residual, fit=False)
    expected = _mean(residual) + _spread(residual) * normal
    axes.plot(normal, expected, "--", color=REFERENCE, linewidth=1.2, label="normal")
    axes.plot(normal, ordered, "o", color=ACTUAL, markersize=3.5, label="residuals")
    title = "Sorted residuals against normal quantiles (Q-Q)"
    style_axes(axes, title, "standard normal quantile", measure)
    legend_inside(axes, "upper left")


def _draw_distribution(days: _Days, title: str) -> Figure:
    figure = open_figure(days.day, title)
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
        note(axes, _distribution_text(name, values, days.unit), corner=corner)
    axes.axvline(0, color=REFERENCE, linewidth=0.8)
    heading = f"How often each {days.word} occurred and was forecast, same bins and one scale"
    style_axes(axes, heading, f"{days.word} ({days.unit})", "days in the bin")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])
    legend_above(axes)
    return figure


def _distribution_text(name: str, values: Values, unit: str) -> str:
    """Return the note on mean, standard deviation and signs of one series."""
    up, down = int((values > 0).sum()), int((values < 0).sum())
    return (
        f"{name}: mean {_mean(values):+.3g} {unit}, sd {_spread(values):.3g} {unit}\n"
        f"up: {_share(up, len(values))}\n"
        f"down: {down}, zero: {len(values) - up - down}"
    )


def _mean(values: Values) -> float:
    """Return the mean, clipped to the range of the values against rounding."""
    return float(np.clip(values.mean(), values.min(), values.max()))


def _spread(values: Values) -> float:
    """Return the standard deviation with divisor N; exactly zero for a constant series."""
    scale = float(np.abs(values).max())
    if np.ptp(values) == 0:
        return 0.0
    return scale * float((values / scale).std())


def _share(part: int, days: int) -> str:
    return f"{part} of {days} days = {100 * part / days:.1f} %" if days else "no day to count"


def _autocorrelation(values: Values) -> Values:
    """Return the autocorrelation at lags 1, 2, ..., at most 20; empty for a constant series."""
    if np.ptp(values) == 0:
        return np.empty(0)
    centred = values / np.abs(values).max()
    centred = centred - centred.mean()
    products = correlate(centred, centred)[len(values) - 1 :]
    return np.asarray(products[1 : MAX_LAG + 1] / products[0])


def _reach(values: Values) -> float:
    """Return a limit for a symmetric axis, with room beyond the largest value."""
    return 1.08 * float(np.abs(values).max()) or 1.0


def _bin_edges(values: Values) -> Values:
    """Return equal bins that cover the values and zero, one of them centred at zero.

    An edge at zero would put forecasts of exactly zero into a positive bin.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    num_bins = int(np.clip(2 * np.sqrt(len(values)), 10, 60))
    width = (high - low) / num_bins or 1.0
    # One more bin at either end, in case rounding excludes an extreme value.
    first, last = np.round(low / width) - 1, np.round(high / width) + 1
    return width * (np.arange(first, last + 2) - 0.5)
