"""The figures of the chosen trial: its forecast, and of a walk-forward its skill over time."""

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

# Most folds with a number, and most tick labels that fit side by side.
_MAX_NUMBERED_FOLDS, _MAX_TICK_LABELS = 40, 7


@dataclass(frozen=True)
class _Period:
    """Skill on consecutive days.

    Attributes:
        name: Tick label.
        block: Its skill.
        moved_days: Days that count for the direction.
    """

    name: str
    block: Block
    moved_days: int


def chosen_figures(tuning: Tuning) -> dict[str, Figure]:
    """Return figures of the chosen trial's forecast over time, its skill over time, and its hits.

    Returns:
        Figures by file name without suffix; those of folds for several only.
    """
    drawn = draw_figures(
        tuning.days, title=tuning.title, word=tuning.word, unit=tuning.assessment.unit
    )
    over_time, scatter = "timeseries_comparison", "actual_vs_predicted_scatter"
    figures = {over_time: drawn[over_time]}
    if tuning.num_folds > 1:
        _mark_folds(drawn[over_time], tuning)
        figures = {"joined_forecast": drawn[over_time], "block_skill": _draw_skill(tuning)}
    return {**figures, scatter: drawn[scatter]}


def _mark_folds(figure: Figure, tuning: Tuning) -> None:
    """Draw and number the borders of the folds in a figure over time."""
    upper, lower = figure.axes
    first = tuning.days.groupby("fold", sort=False)["date"].min()
    for axes in (upper, lower):
        for day in first.iloc[1:]:
            axes.axvline(day, color=REFERENCE, linestyle=":", linewidth=0.9)
    style_axes(upper, f"{len(first)} folds joined, a model each", "", upper.get_ylabel())
    for fold, day in first.items() if len(first) <= _MAX_NUMBERED_FOLDS else ():
        above = upper.get_xaxis_transform()
        upper.text(day, 0.98, f" {fold}", transform=above, va="top", fontsize=SMALL_SIZE)


def _draw_skill(tuning: Tuning) -> Figure:
    days = tuning.days
    figure = open_figure(days["date"].to_numpy(dtype="datetime64[D]"), tuning.title)
    panels = figure.subplots(2, 2, sharey="row")
    years = [
        _period(days, block, name=block.first_date[:4])
        for _, part in days.groupby(days["date"].dt.year)
        for block in skill_blocks(part, len(part))
    ]
    blocks = [_period(days, block, name=block.first_date[:7]) for block in tuning.assessment.blocks]
    rate = base_rate(days["actual"].to_numpy(np.float64))
    for (upper, lower), periods, kind in zip(
        panels.T, (blocks, years), ("block", "year"), strict=True
    ):
        if not periods:
            draw_empty(upper, "By block", "there are fewer days than one block has")
            lower.axis("off")
            continue
        _draw_accuracy(
            upper,
            periods,
            rate,
            horizon=tuning.horizon,
            title=f"Direction in {counted(len(periods), kind)}",
        )
        _draw_r2(lower, periods)
    for axes in panels[:, 1]:
        axes.set_ylabel("")
    legend_below(figure, panels[0, 1], num_columns=4)
    return figure


def _period(days: pd.DataFrame, block: Block, *, name: str) -> _Period:
    inside = days["date"].between(block.first_date, block.last_date)
    return _Period(name, block, int((days.loc[inside, "actual"] != 0).sum()))


def _draw_accuracy(
    axes: Axes, periods: Sequence[_Period], rate: float | None, *, horizon: int, title: str
) -> None:
    """Draw the direction accuracy of each period over its guessing band."""
    bands = [guessing_band(max(period.moved_days, 1), horizon=horizon) for period in periods]
    position = np.arange(len(periods))
    low, high = np.array(bands).T
    label = "95 % band of a coin on as many days"
    axes.use_sticky_edges = False
    axes.bar(position, high - low, bottom=low, width=0.7, color=BAND, alpha=0.5, label=label)
    if rate is not None:
        label = f"base rate, the better constant sign ({rate:.1f} %)"
        axes.axhline(rate, color=REFERENCE, linestyle="--", linewidth=1.2, label=label)
    accuracy = [period.block.accuracy for period in periods]
    known = np.array([np.nan if value is None else value for value in accuracy])
    axes.plot(position, known, "o", color=FORECAST, markersize=7, label="direction accuracy")
    above = int((known > (rate or 0)).sum())
    style_axes(axes, f"{title}, {above} above the base rate", "", "sign right (% of moved days)")
    _label_ticks(axes, periods)


def _draw_r2(axes: Axes, periods: Sequence[_Period]) -> None:
    """Draw R2 against zero of each period."""
    r2_zero = [period.block.r2_zero for period in periods]
    values = np.array([np.nan if value is None else value for value in r2_zero])
    colors = [FORECAST if value > 0 else WRONG for value in values]
    axes.bar(np.arange(len(periods)), values, width=0.7, color=colors)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    better = int((values > 0).sum())
    title = f"R2 against zero, {better} of {len(periods)} above 0"
    style_axes(axes, title, "start (days that moved)", "R2 against zero")
    _label_ticks(axes, periods)


def _label_ticks(axes: Axes, periods: Sequence[_Period]) -> None:
    step = -(-len(periods) // _MAX_TICK_LABELS)
    names = [f"{period.name}\n({period.moved_days})" for period in periods[::step]]
    axes.set_xticks(range(0, len(periods), step), names)
    axes.set_xlim(-0.6, max(len(periods), 3) - 0.4)
