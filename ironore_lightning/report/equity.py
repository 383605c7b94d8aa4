"""The equity curves and their drawdowns at every cost, and the returns of each month."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.trading import (
    BUY_AND_HOLD,
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
    SMALL_SIZE,
    TEXT_SIZE,
    WRONG,
    Dates,
    Style,
    Values,
    date_axis,
    draw_line,
    open_figure,
    style_axes,
)
from ironore_lightning.settings.evaluation import EvaluationSettings

COLORS = {SIGN: FORECAST, THRESHOLD: WRONG}
"""By strategy: of its lowest cost; higher ones are paler."""

MOST_COSTS = 5
"""Most costs that are drawn; tables have all."""

LARGEST_WRITTEN_OUT = 1e6
# The capital axis is logarithmic beyond this ratio.
WIDE_RANGE = 20
_PALEST = 0.6


def equity_figures(
    days: ScoredDays, settings: EvaluationSettings, *, title: str
) -> dict[str, Figure]:
    """Return the figure of the strategies' capital, if it is known what they earn.

    Args:
        days: Forecasts and outcomes.
        settings: Costs, and the buffer of the threshold strategy.
        title: Name of the run, printed above the figure.

    Returns:
        The figure by its file name without suffix, ``equity_curve``; empty otherwise.
    """
    if not days.has_profit:
        return {}
    costs = sorted({*settings.costs_bp})
    usual = usual_cost(costs)
    places = np.linspace(0, len(costs) - 1, min(len(costs), MOST_COSTS)).round().astype(int)
    shown = sorted({usual, *(costs[place] for place in places)})
    return {"equity_curve": draw_equity(_curves(days, settings, shown), usual, title=title)}


def monthly_returns(days: ScoredDays, settings: EvaluationSettings) -> pd.DataFrame:
    """Return what each strategy earned in each calendar month, per cent of the capital before it.

    Args:
        days: Of a target with a profit.
        settings: Costs, and the buffer of the threshold strategy.

    Returns:
        By `month`: buy and hold and the strategies executed at once, at each cost. A month after
        a total loss is NaN.
    """
    costs = sorted({*settings.costs_bp})
    curves = _curves(days, settings, costs)
    columns = {f"{BUY_AND_HOLD}, {usual_cost(costs):g}": curves[usual_cost(costs)][BUY_AND_HOLD]}
    columns |= {
        f"{name}, {cost:g}": curves[cost][name] for name in (SIGN, THRESHOLD) for cost in costs
    }
    paths = pd.DataFrame(columns)
    ends = paths.groupby(pd.DatetimeIndex(paths.index).strftime("%Y-%m")).last()
    before = ends.shift(1, fill_value=START_CAPITAL)
    return (100 * (ends / before - 1)).rename_axis("month")


def _curves(
    days: ScoredDays, settings: EvaluationSettings, costs: list[float]
) -> dict[float, pd.DataFrame]:
    return {cost: equity_curves(days, buffer=settings.trade_buffer, cost_bp=cost) for cost in costs}


def draw_equity(curves: Mapping[float, pd.DataFrame], usual: float, *, title: str) -> Figure:
    """Return a figure with a column for each strategy: capital above, drawdown below.

    Args:
        curves: Of `equity_curves`, by the cost of a turn in basis points, ascending.
        usual: The cost of buy and hold, and of the strategy executed one day later.
        title: Name of the run, printed above the figure.
    """
    date = curves[usual].index.to_numpy(dtype="datetime64[D]")
    figure = open_figure(date, title)
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 2])
    for (upper, lower), (name, color) in zip(panels.T, COLORS.items(), strict=True):
        _draw_strategy(upper, lower, curves, usual, name=name, color=color)
        style_axes(upper, f"{name.capitalize()} strategy after costs", "", "capital (start = 100)")
        style_axes(lower, "Fall below its highest capital so far", "date", "drawdown (%)")
        lower.legend(
            loc="upper left",
            bbox_to_anchor=(-0.02, -0.24),
            borderaxespad=0.0,
            fontsize=SMALL_SIZE,
            frameon=False,
        )
        date_axis(lower, date)
        upper.tick_params(labelbottom=False)
    for axes in panels[:, 1]:
        axes.set_ylabel("")
    _scale_capital(panels[0, 0], np.concatenate([each.to_numpy() for each in curves.values()]))
    deepest = min(*(axes.dataLim.y0 for axes in panels[1]), -1.0)
    panels[1, 0].set_ylim(1.08 * deepest, -0.02 * deepest)
    return figure


def _draw_strategy(
    upper: Axes,
    lower: Axes,
    curves: Mapping[float, pd.DataFrame],
    usual: float,
    *,
    name: str,
    color: str,
) -> None:
    """Draw a strategy at every cost, a day later, and buy and hold."""
    shades = LinearSegmentedColormap.from_list(name, [color, "#FFFFFF"])
    paleness = np.linspace(0, _PALEST, len(curves))
    upper.axhline(START_CAPITAL, color=REFERENCE, linewidth=0.8, linestyle=":")
    paths: list[tuple[pd.Series, str, str, Style]]
    paths = [(curves[usual][BUY_AND_HOLD], f"{BUY_AND_HOLD}, {usual:g} bp", ACTUAL, "-")]
    paths += [
        (curves[cost][name], f"{cost:g} bp a turn", to_hex(shades(pale)), "-")
        for cost, pale in zip(curves, paleness, strict=True)
    ]
    later = curves[usual][f"{name}{ONE_DAY_LATER}"]
    for path in (*paths, (later, f"one day later, {usual:g} bp", color, "--")):
        _draw_path((upper, lower), *path)


def _draw_path(
    panels: tuple[Axes, Axes], curve: pd.Series, label: str, color: str, style: Style
) -> None:
    """Draw capital and drawdown from the day before the first, so that one day is a line, too."""
    path = np.concatenate([[START_CAPITAL], curve.to_numpy(dtype=np.float64)])
    day: Dates = curve.index.to_numpy(dtype="datetime64[D]")
    date = np.concatenate([[day[0] - ONE_DAY], day])
    below = drawdown(path)
    label = f"{label}: {_amount(path[-1])} in the end, at worst {below.max():.1f} % below its peak"
    for axes, values in zip(panels, (path, -below), strict=True):
        draw_line(axes, date, values, color=color, label=label, style=style)


def _scale_capital(axes: Axes, values: Values) -> None:
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
