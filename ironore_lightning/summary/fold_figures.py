"""The figures of a walk-forward: joined forecast, and skill by block and year."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ironore_lightning.evaluation.assessment import Block, skill_blocks
from ironore_lightning.evaluation.metrics import base_rate, guessing_band
from ironore_lightning.report.figures import draw_figures
from ironore_lightning.report.style import (
    BAND,
    FORECAST,
    REFERENCE,
    SMALL_SIZE,
    WRONG,
    counted,
    draw_empty,
    legend_below,
    open_figure,
    style_axes,
)
from ironore_lightning.summary.trial_figures import Tuning

# More numbers of folds, or names of stretches, do not stand side by side.
_MOST_NUMBERS, _MOST_NAMES = 40, 7


@dataclass(frozen=True)
class _Stretch:
    """One stretch of days.

    Attributes:
        name: Below its place in the figure.
        block: Its skill.
        moved_days: Days of it that count for the direction.
    """

    name: str
    block: Block
    moved_days: int


def fold_figures(tuning: Tuning) -> dict[str, Figure]:
    """Draw the chosen trial's joined forecast with the borders of its folds, and its skill.

    Returns:
        Figures by file name without suffix; none if there is but one fold.
    """
    if tuning.num_folds <= 1:
        return {}
    return {"joined_forecast": _draw_joined(tuning), "block_skill": _draw_skill(tuning)}


def _draw_joined(tuning: Tuning) -> Figure:
    figure = draw_figures(tuning.days, title=tuning.title)["timeseries_comparison"]
    upper, lower = figure.axes
    first = tuning.days.groupby("fold", sort=False)["date"].min()
    for axes in (upper, lower):
        for day in first.iloc[1:]:
            axes.axvline(day, color=REFERENCE, linestyle=":", linewidth=0.9)
    style_axes(upper, f"{len(first)} folds joined, a model each", "", upper.get_ylabel())
    for fold, day in first.items() if len(first) <= _MOST_NUMBERS else ():
        above = upper.get_xaxis_transform()
        upper.text(day, 0.98, f" {fold}", transform=above, va="top", fontsize=SMALL_SIZE)
    return figure


def _draw_skill(tuning: Tuning) -> Figure:
    days = tuning.days
    figure = open_figure(days["date"].to_numpy(dtype="datetime64[D]"), tuning.title)
    panels = figure.subplots(2, 2, sharey="row")
    years = [
        _stretch(days, block, name=block.first_date[:4])
        for _, part in days.groupby(days["date"].dt.year)
        for block in skill_blocks(part, len(part))
    ]
    blocks = [
        _stretch(days, block, name=block.first_date[:7]) for block in tuning.assessment.blocks
    ]
    rate = base_rate(days["actual"].to_numpy(np.float64))
    for (upper, lower), stretches, kind in zip(
        panels.T, (blocks, years), ("block", "year"), strict=True
    ):
        if not stretches:
            draw_empty(upper, "By block", "there are fewer days than one block has")
            lower.axis("off")
            continue
        _draw_accuracy(
            upper,
            stretches,
            rate,
            horizon=tuning.horizon,
            title=f"Direction in {counted(len(stretches), kind)}",
        )
        _draw_r2(lower, stretches)
    for axes in panels[:, 1]:
        axes.set_ylabel("")
    legend_below(figure, panels[0, 1], num_columns=4)
    return figure


def _stretch(days: pd.DataFrame, block: Block, *, name: str) -> _Stretch:
    inside = days["date"].between(block.first_date, block.last_date)
    return _Stretch(name, block, int((days.loc[inside, "actual"] != 0).sum()))


def _draw_accuracy(
    axes: Axes, stretches: Sequence[_Stretch], rate: float | None, *, horizon: int, title: str
) -> None:
    """Draw the direction accuracy of each stretch over what coin tossers get on as many days."""
    bands = [guessing_band(max(each.moved_days, 1), horizon=horizon) for each in stretches]
    place = np.arange(len(stretches))
    low, high = np.array(bands).T
    label = "95 % band of a coin on as many days"
    axes.use_sticky_edges = False
    axes.bar(place, high - low, bottom=low, width=0.7, color=BAND, alpha=0.5, label=label)
    if rate is not None:
        label = f"base rate, the better constant sign ({rate:.1f} %)"
        axes.axhline(rate, color=REFERENCE, linestyle="--", linewidth=1.2, label=label)
    accuracy = [each.block.accuracy for each in stretches]
    known = np.array([np.nan if value is None else value for value in accuracy])
    axes.plot(place, known, "o", color=FORECAST, markersize=7, label="direction accuracy")
    above = int((known > (rate or 0)).sum())
    style_axes(axes, f"{title}, {above} above the base rate", "", "sign right (% of moved days)")
    _name_places(axes, stretches)


def _draw_r2(axes: Axes, stretches: Sequence[_Stretch]) -> None:
    """Draw how much closer than zero the forecast came on each stretch."""
    values = np.array([np.nan if (r2 := each.block.r2_zero) is None else r2 for each in stretches])
    colors = [FORECAST if value > 0 else WRONG for value in values]
    axes.bar(np.arange(len(stretches)), values, width=0.7, color=colors)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    better = int((values > 0).sum())
    title = f"R2 against zero, {better} of {len(stretches)} above 0"
    style_axes(axes, title, "start (days that moved)", "R2 against zero")
    _name_places(axes, stretches)


def _name_places(axes: Axes, stretches: Sequence[_Stretch]) -> None:
    step = -(-len(stretches) // _MOST_NAMES)
    names = [f"{each.name}\n({each.moved_days})" for each in stretches[::step]]
    axes.set_xticks(range(0, len(stretches), step), names)
    axes.set_xlim(-0.6, max(len(stretches), 3) - 0.4)
