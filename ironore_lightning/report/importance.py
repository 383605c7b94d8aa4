"""The section and the figure of what each driver is worth."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ironore_lightning.evaluation.significance import Interval
from ironore_lightning.evaluation.tradability import UNSKILLED
from ironore_lightning.report.page import Section, Table
from ironore_lightning.report.sections import picture
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
    known = _by_worth(importance)
    if not known:
        return None
    ordered = list(known)[:MOST_BARS]
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


def importance_section(
    importance: Mapping[str, Interval], pictures: Mapping[str, str], *, grade: str
) -> Section:
    """Return figure and table of the importances, and what they do not say; empty without any.

    Args:
        importance: Of `permutation_importance`.
        pictures: SVG texts by file name without suffix.
        grade: Of the evidence for the forecasts that are explained.
    """
    title, known = "What the drivers are worth", _by_worth(importance)
    if not known:
        return Section(title)
    rows = [
        {
            "driver": name,
            "points of R2": points.estimate,
            "95 % from": points.low,
            "to": points.high,
            "covers 0": {None: "", True: "yes", False: "no"}[_covers_zero(points)],
            "note": points.note,
        }
        for name, points in list(known.items())[:MOST_BARS]
    ]
    doubt = (
        f"The evidence is {grade}: what explains such forecasts explains noise. "
        if grade in UNSKILLED
        else ""
    )
    decimals = dict.fromkeys(("points of R2", "95 % from", "to"), 2)
    return Section(
        title,
        text=[
            "A bar says by how many percentage points R2 against zero falls on the test days if "
            "the windows of a driver swap their days. Below 0 the forecast erred less with "
            "swapped windows: on these days the driver did harm, or chance did. Drivers that say "
            "the same stand in for each other, and each then seems to be worth little.",
            _told_from_zero(known),
        ],
        pictures=picture(pictures, "importance"),
        tables=[Table(pd.DataFrame(rows), f"{doubt}Points of R2, the largest first", decimals)],
    )


def _by_worth(importance: Mapping[str, Interval]) -> dict[str, Interval]:
    """Return the drivers whose worth is defined, the largest first."""
    known = {name: points for name, points in importance.items() if points.estimate is not None}
    return {name: known[name] for name in sorted(known, key=lambda name: -_estimate(known[name]))}


def _estimate(points: Interval) -> float:
    return points.estimate or 0.0


def _covers_zero(points: Interval) -> bool | None:
    """Return whether an interval covers 0; None if there is none."""
    if points.low is None or points.high is None:
        return None
    return points.low <= 0 <= points.high


def _told_from_zero(known: Mapping[str, Interval]) -> str:
    """Return how many drivers can be told from a worthless one."""
    covers = [covered for points in known.values() if (covered := _covers_zero(points)) is not None]
    if not covers:
        return "There are too few test days for an interval."
    if all(covers):
        return "Every 95 % interval covers 0: no driver can be told from a worthless one."
    return (
        f"The 95 % intervals of {covers.count(False)} of {counted(len(covers), 'driver')} do not "
        "cover 0; of worthless drivers one in twenty does so by chance."
    )
