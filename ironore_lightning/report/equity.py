"""The equity curve and its drawdown."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.trading import (
    BUY_AND_HOLD,
    FLAT,
    ONE_DAY_LATER,
    SIGN,
    START_CAPITAL,
    THRESHOLD,
    drawdown,
    equity_curves,
    usual_cost,
)
from ironore_lightning.report.style import (
    ACTUAL,
    FORECAST,
    ONE_DAY,
    REFERENCE,
    TEXT_SIZE,
    WRONG,
    date_axis,
    draw_line,
    fit_heading,
    legend_below,
    open_figure,
    style_axes,
)
from ironore_lightning.settings.evaluation import EvaluationSettings

LINES: dict[str, tuple[str, Literal["-", "--", ":"]]] = {
    BUY_AND_HOLD: (ACTUAL, "-"),
    FLAT: (REFERENCE, ":"),
    SIGN: (FORECAST, "-"),
    THRESHOLD: (WRONG, "-"),
    f"{SIGN}{ONE_DAY_LATER}": (FORECAST, "--"),
    f"{THRESHOLD}{ONE_DAY_LATER}": (WRONG, "--"),
}
"""Colour and style by strategy; executions of the same strategy share a colour."""

LARGEST_WRITTEN_OUT = 1e6
# The capital axis is logarithmic beyond this ratio.
WIDE_RANGE = 20


def equity_figures(
    days: ScoredDays, settings: EvaluationSettings, *, title: str
) -> dict[str, Figure]:
    """Return the figure of the strategies' capital, if the target has a price.

    Args:
        days: Forecasts and outcomes.
        settings: Costs, of which one is drawn, and the buffer of the threshold strategy.
        title: Name of the run, printed above the figure.

    Returns:
        The figure by its file name without suffix, ``equity_curve``; empty without a price.
    """
    if not days.has_price:
        return {}
    cost_bp = usual_cost(settings.costs_bp)
    curves = equity_curves(days, buffer=settings.trade_buffer, cost_bp=cost_bp)
    return {"equity_curve": draw_equity(curves, title=title, note=f"after {cost_bp:g} bp a turn")}


def draw_equity(curves: pd.DataFrame, *, title: str, note: str) -> Figure:
    """Return a figure of the capital of every strategy, with its drawdown below.

    Args:
        curves: Capital at the end of each day, shape (T, S), by ascending date, 100 before the
            first; one column per strategy, named as `equity_curves` names them.
        title: Name of the run, printed above the figure.
        note: Cost of the curves, such as "after 5 bp a turn", printed above the capital.

    Raises:
        ValueError: If there is no curve, a strategy is unknown, the dates do not ascend, or a
            capital is missing, infinite or negative.
    """
    _require_drawable(curves)
    date = curves.index.to_numpy(dtype="datetime64[D]")
    figure = open_figure(date, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    # The day before the first, so that a single day is a line, too.
    with_start = np.concatenate([[date[0] - ONE_DAY], date])
    for name, column in curves.items():
        path = np.concatenate([[START_CAPITAL], column.to_numpy(dtype=np.float64)])
        _draw_path(upper, lower, with_start, path, name=str(name))
    style_axes(upper, fit_heading(f"Capital, {note}"), "", "capital (start = 100)")
    style_axes(lower, "Fall below the highest capital so far", "date", "drawdown (%)")
    _scale_capital(upper, curves.to_numpy(dtype=np.float64))
    deepest = min(lower.dataLim.y0, -1.0)
    lower.set_ylim(1.08 * deepest, -0.02 * deepest)
    date_axis(lower, date)
    upper.tick_params(labelbottom=False)
    legend_below(figure, upper, num_columns=2)
    return figure


def _require_drawable(curves: pd.DataFrame) -> None:
    if curves.empty:
        raise ValueError("there is no equity curve to draw")
    unknown = [name for name in curves.columns if name not in LINES]
    if unknown:
        raise ValueError(f"unknown strategy {unknown[0]!r}, known are {', '.join(LINES)}")
    if not (curves.index.is_monotonic_increasing and curves.index.is_unique):
        raise ValueError("the dates of the equity curves must ascend")
    values = curves.to_numpy(dtype=np.float64)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("every capital must be finite and at least zero")


def _draw_path(
    upper: Axes,
    lower: Axes,
    date: NDArray[np.datetime64],
    path: NDArray[np.float64],
    *,
    name: str,
) -> None:
    color, style = LINES[name]
    below = drawdown(path)
    label = f"{name}: {_amount(path[-1])} in the end, at worst {below.max():.1f} % below its peak"
    for axes, values in ((upper, path), (lower, -below)):
        draw_line(axes, date, values, color=color, label=label, style=style)


def _scale_capital(axes: Axes, values: NDArray[np.float64]) -> None:
    """Set a logarithmic axis for large ratios; ticks are written out, without an offset."""
    low, high = min(START_CAPITAL, values.min()), max(START_CAPITAL, values.max())
    if low > 0 and high / low > WIDE_RANGE:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("capital (start = 100, log scale)", fontsize=TEXT_SIZE)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.8g}"))


def _amount(capital: float) -> str:
    return f"{capital:.1f}" if capital < LARGEST_WRITTEN_OUT else f"{capital:.2g}"
