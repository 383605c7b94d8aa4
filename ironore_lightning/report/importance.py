"""The figure of what each driver is worth."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ironore_lightning.evaluation.significance import Interval
from ironore_lightning.report.style import (
    ACTUAL,
    FORECAST,
    REFERENCE,
    counted,
    open_sheet,
    shorten,
    style_axes,
)

MOST_BARS = 20
NAME_COLUMNS = 40


def draw_importance(
    importance: Mapping[str, Interval], *, num_days: int, title: str
) -> Figure | None:
    """Return a bar for each driver with its 95 % interval, the longest first.

    Args:
        importance: Of `permutation_importance`.
        num_days: Of the test segment.
        title: Name of the run, printed above the figure.

    Returns:
        None if no driver's worth is defined.
    """
    known = {name: points for name, points in importance.items() if points.estimate is not None}
    if not known:
        return None
    ordered = sorted(known, key=lambda name: -(known[name].estimate or 0.0))[:MOST_BARS]
    rest = f", {len(ordered)} of them shown" if len(ordered) < len(known) else ""
    remark = f"{counted(num_days, 'test day')}, {counted(len(known), 'driver')}{rest}"
    figure = open_sheet(title, remark)
    axes = figure.subplots()
    points = [known[name] for name in ordered]
    estimates, lows, highs = (
        np.array([getattr(each, end) for each in points], dtype=np.float64)
        for end in ("estimate", "low", "high")
    )
    places = np.arange(len(points))
    axes.barh(places, estimates, color=FORECAST, alpha=0.5)
    axes.hlines(places, lows, highs, color=ACTUAL, linewidth=2)
    axes.axvline(0, color=REFERENCE, linewidth=0.8)
    axes.set_yticks(places, [shorten(name, NAME_COLUMNS) for name in ordered], parse_math=False)
    axes.invert_yaxis()
    style_axes(
        axes,
        "R2 against zero lost if the windows of a driver swap their test days",
        "percentage points of R2, with a 95 % interval over days and swaps",
        "",
    )
    return figure
