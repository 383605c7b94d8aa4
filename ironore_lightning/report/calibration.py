"""The figures of how a fit went and how its intervals fit: losses and calibration."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.distributions import LEVELS, Distribution
from ironore_lightning.evaluation.intervals import COVERAGES
from ironore_lightning.report.style import (
    ACTUAL,
    BAND,
    FORECAST,
    ONE_DAY,
    REFERENCE,
    RIGHT,
    WRONG,
    Dates,
    Values,
    counted,
    date_axis,
    draw_line,
    legend_inside,
    note,
    open_figure,
    open_sheet,
    style_axes,
)

NORMAL_95 = 1.96
COLORS = dict(zip(COVERAGES, (FORECAST, RIGHT), strict=True))


def draw_losses(losses: pd.DataFrame, *, best_epoch: int, monitor: str, title: str) -> Figure:
    """Return a figure of both losses, each on a scale of its own.

    Args:
        losses: `train_loss` and `val_loss` by `epoch`, at least one.
        best_epoch: The epoch that was kept.
        monitor: What chose it.
        title: Name of the run, printed above the figure.
    """
    figure = open_sheet(title, f"{counted(len(losses), 'epoch')}, epoch {best_epoch} kept")
    panels = figure.subplots(2, 1, sharex=True)
    kinds = (("train_loss", "Training", ACTUAL), ("val_loss", "Validation", FORECAST))
    for axes, (name, heading, color) in zip(panels, kinds, strict=True):
        axes.plot(losses.index, losses[name], "o-", color=color, markersize=4, linewidth=1.6)
        axes.axvline(best_epoch, color=WRONG, linestyle="--", linewidth=1.4, label="kept")
        lowest = losses[name].idxmin()
        text = f"{heading} loss, lowest {losses[name].min():.4f} in epoch {lowest}"
        style_axes(axes, text, "", "loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[1].set_xlabel(f"epoch (dashed: the best by {monitor}, which was kept)")
    return figure


def calibration_figures(
    days: ScoredDays, distribution: Distribution | None, *, title: str
) -> dict[str, Figure]:
    """Return the figure of how well intervals or distributions fit.

    Args:
        days: Test days with the bounds of their intervals.
        distribution: Of the same days; None from a point forecaster.
        title: Name of the run, printed above the figure.

    Returns:
        The figure by its file name without suffix, ``calibration``; empty if no day has an
        interval.
    """
    frame = days.frame
    bounds = [f"{side}_{100 * share:.0f}" for share in COVERAGES for side in ("lower", "upper")]
    if not set(bounds) <= set(frame.columns):
        return {}
    known = frame[frame[bounds].notna().all(axis=1)]
    if known.empty:
        return {}
    day = known["date"].to_numpy(dtype="datetime64[D]")
    figure = open_figure(day, title)
    over_time, overall = figure.subplots(1, 2)
    _draw_inside(over_time, known, day)
    if distribution is None:
        _draw_misses(overall, known)
    else:
        _draw_reliability(overall, days.actual, distribution.quantile(LEVELS))
    return {"calibration": figure}


def _draw_inside(axes: Axes, days: pd.DataFrame, day: Dates) -> None:
    """Draw how many more days than expected fell inside each interval so far."""
    counts = np.arange(len(day) + 1)
    date = np.concatenate([[day[0] - ONE_DAY], day])
    for share, color in COLORS.items():
        inside = (
            days["actual"]
            .between(days[f"lower_{100 * share:.0f}"], days[f"upper_{100 * share:.0f}"])
            .to_numpy()
        )
        lead = np.concatenate([[0], inside.cumsum()]) - share * counts
        reach = NORMAL_95 * np.sqrt(counts * share * (1 - share))
        axes.fill_between(date, -reach, reach, color=color, alpha=0.15, linewidth=0)
        label = f"{100 * share:.0f} %: {inside.sum()} of {len(day)} inside"
        draw_line(axes, date, lead, color=color, label=label)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    title = "Days inside their interval beyond those expected"
    style_axes(axes, title, "date (shaded: 95 % band if days were independent)", "days")
    date_axis(axes, day)
    legend_inside(axes, "upper left")
    _leave_room_above(axes)


def _draw_misses(axes: Axes, days: pd.DataFrame) -> None:
    """Draw how many days fell below and above each interval, beside those expected."""
    expected, ticks = [], []
    for place, share in enumerate(COVERAGES):
        lower, upper = (days[f"{side}_{100 * share:.0f}"] for side in ("lower", "upper"))
        heights = [int((days["actual"] < lower).sum()), int((days["actual"] > upper).sum())]
        bars = axes.bar([3 * place, 3 * place + 1], heights, color=COLORS[share], alpha=0.7)
        axes.bar_label(bars)
        ticks += [f"below\n{100 * share:.0f} %", f"above\n{100 * share:.0f} %"]
        expected.append((1 - share) / 2 * len(days))
    for place, height in enumerate(expected):
        label = "expected on each side" if place == 0 else "_"
        ends = (3 * place - 0.5, 3 * place + 1.5)
        axes.hlines(height, *ends, color=REFERENCE, linestyle="--", label=label)
    style_axes(axes, "Days outside, by side", "", "days")
    axes.set_xticks([0, 1, 3, 4], ticks)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_inside(axes, "upper right")
    _leave_room_above(axes)


def _draw_reliability(axes: Axes, actual: Values, quantiles: Values) -> None:
    """Draw the share of outcomes at or below each quantile; on the diagonal if calibrated."""
    levels = np.array(LEVELS)
    below = (actual[:, None] <= quantiles).mean(axis=0)
    reach = NORMAL_95 * np.sqrt(levels * (1 - levels) / len(actual))
    axes.fill_between(
        levels,
        levels - reach,
        levels + reach,
        color=BAND,
        alpha=0.5,
        linewidth=0,
        label="95 % band if days were independent",
    )
    axes.plot([0, 1], [0, 1], "--", color=REFERENCE, linewidth=1.2, label="calibrated")
    axes.plot(levels, below, "o-", color=FORECAST, label="forecast distribution")
    note(axes, f"largest distance {np.abs(below - levels).max():.3f}", corner="lower right")
    title = "Reliability: outcomes at or below each quantile"
    style_axes(axes, title, "level of the quantile", "share of outcomes")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_box_aspect(1)
    legend_inside(axes, "upper left")


def _leave_room_above(axes: Axes) -> None:
    """Leave room for a legend above the data."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.25 * (high - low))
