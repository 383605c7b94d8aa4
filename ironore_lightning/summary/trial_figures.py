"""The figures of many runs: chosen trial, ranking, importance, forecasts over time.

Trials are compared by validation alone; test days are scored for the chosen trial only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.metrics import correlation
from ironore_lightning.report.style import (
    ACTUAL,
    BAND,
    FORECAST,
    REFERENCE,
    SMALL_SIZE,
    WRONG,
    Values,
    counted,
    date_axis,
    draw_stems,
    legend_above,
    legend_below,
    number_axis,
    open_sheet,
    shorten,
    style_axes,
    value_text,
    write,
)
from ironore_lightning.summary.sensitivity import (
    FOLD,
    SEED,
    as_numbers,
    best_so_far,
    comparable_runs,
    complete_runs,
    importance,
    is_wide,
    searched_settings,
    short_names,
)

MOST_RANKED = 25
"""Most trials in the figure of the ranking."""
_MOST_SHARES, _MOST_SLICES, _MOST_AXES = 8, 4, 5
# Up to so many values of a setting are drawn as equidistant ticks.
_FEW_VALUES = 6
_LONGEST_LABEL = 58
_READ_FIRST = ("model", "training", "window", "features", "scaling", "target", "split", "seed")
_SETTINGS_ROWS = 17
# Tick labels with more letters in total are rotated.
_MAX_TICK_LETTERS = 24
_WHITE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
_BLUE_TO_GREY = LinearSegmentedColormap.from_list("trials", [FORECAST, "#DDDDDD"])


@dataclass(frozen=True, eq=False)
class Tuning:
    """The trials of a search, and the one chosen by validation.

    Runs that differ only in seed and fold form one trial. It is ranked by the mean objective of its
    runs; its forecast is the mean over seeds, with the folds in sequence.

    Attributes:
        title: Name of the multirun.
        monitor: The objective; lower is better.
        ranking: One row per trial, the best by validation first: `trial`, `validation`, `spread`
            (standard deviation over seeds; NaN with one), `num_runs`, `num_seeds`, `num_folds`,
            `seconds` (of all fits) and `num_parameters`.
        runs: One row per run in the order of their start: `number`, `state` (complete or pruned),
            `objective` (may be NaN), `trial`, and a column for each of `parameters`.
        parameters: Dotted names of the settings that vary over the runs.
        series: `date`, `actual`, then the forecasts of up to five trials, best first.
        days: Its joined test days: `date`, `actual`, `forecast`, `lower_80`, `upper_80`,
            `lower_90`, `upper_90`, `is_roll`, `segment` (test) and `fold`.
        assessment: Of `days`.
        num_folds: Folds that were joined.
        horizon: Days ahead that a forecast reaches.
        word: What an outcome is called.
    """

    title: str
    monitor: str
    ranking: pd.DataFrame
    runs: pd.DataFrame
    parameters: tuple[str, ...]
    series: pd.DataFrame
    days: pd.DataFrame
    assessment: Assessment
    num_folds: int
    horizon: int
    word: str = "return"


def tuning_figures(tuning: Tuning) -> dict[str, Figure]:
    """Return the figures of a search, each only if there is something to compare.

    Returns:
        Figures by file name without suffix; none for a single trial.
    """
    if len(tuning.ranking) <= 1:
        return {}
    figures = {"performance_rankings": _draw_rankings(tuning)}
    if searched_settings(tuning.parameters):
        figures["recommendation"] = _draw_recommendation(tuning)
    return {**figures, "top_models_timeseries": _draw_series(tuning)}


def _open(tuning: Tuning) -> Figure:
    """Return an empty figure whose heading counts trials and runs."""
    pruned = int((tuning.runs["state"] == "pruned").sum())
    stopped = f" ({pruned} of them pruned)" if pruned else ""
    return open_sheet(
        tuning.title,
        f"{counted(len(tuning.ranking), 'trial')}, {counted(len(tuning.runs), 'run')}{stopped}; "
        f"judged by {tuning.monitor} on validation days, lower is better",
    )


def _spread_text(row: pd.Series) -> str:
    """Return a trial's validation objective and its spread over seeds, if any."""
    spread = "" if np.isnan(row["spread"]) else f" ± {row['spread']:.2g}"
    return f"{row['validation']:.5g}{spread}"


def _labels(tuning: Tuning, trials: pd.Series) -> tuple[list[str], str]:
    """Return one label per trial, by its settings if names are long, and a remark on that."""
    names, searched = [str(name) for name in trials], searched_settings(tuning.parameters)
    if not searched or max(map(len, names)) <= _LONGEST_LABEL:
        return [shorten(name, _LONGEST_LABEL) for name in names], ""
    settings = tuning.runs.groupby("trial")[searched].first()
    rows = (settings.loc[name] for name in trials)
    labels = [shorten(", ".join(map(value_text, row)), _LONGEST_LABEL) for row in rows]
    return labels, f"trials are named by {', '.join(_short(searched))}"


def _short(parameters: Sequence[str]) -> list[str]:
    return [shorten(name, 20) for name in short_names(parameters).values()]


def _draw_rankings(tuning: Tuning) -> Figure:
    figure = _open(tuning)
    axes = figure.subplots()
    shown = tuning.ranking.head(MOST_RANKED)
    position = np.arange(len(shown))
    values, spread = np.nan_to_num(shown[["validation", "spread"]].to_numpy(np.float64)).T
    _draw_seed_spread(axes, tuning.ranking)
    axes.errorbar(
        values, position, xerr=spread, fmt="none", ecolor=ACTUAL, elinewidth=1.2, capsize=3
    )
    axes.plot(values[1:], position[1:], "o", color=ACTUAL, markersize=6, label="other trials")
    axes.plot(values[:1], position[:1], "D", color=FORECAST, markersize=8, label="chosen trial")
    labels, naming = _labels(tuning, shown["trial"])
    ranked = [f"{label}   {rank}" for rank, label in enumerate(labels, start=1)]
    axes.set_yticks(position, ranked, parse_math=False)
    for height, (_, row) in enumerate(shown.iterrows()):
        beside = write(axes, 1.01, height, _spread_text(row))
        beside.set(transform=axes.get_yaxis_transform(), in_layout=True)
    worst = tuning.ranking["validation"].max()
    rest = f"; the worst is at {worst:.4g}" if len(tuning.ranking) > len(shown) else ""
    x_label = f"{tuning.monitor}, mean over runs (bars: sd over seeds)\n{naming}"
    style_axes(axes, f"{_shown_text(tuning, shown)}{rest}", x_label, "")
    number_axis(axes, log=is_wide(values))
    axes.tick_params(axis="y", labelsize=SMALL_SIZE, length=0)
    axes.set_ylim(max(len(shown), 4) - 0.4, -0.6)
    legend_below(figure, axes, num_columns=3)
    return figure


def _shown_text(tuning: Tuning, shown: pd.DataFrame) -> str:
    """Return the title of the ranking, with the number of trials."""
    total, part = len(tuning.ranking), len(shown)
    among = f"The best {part} of {total} trials" if total > part else counted(part, "trial")
    return f"{among} by validation, best first"


def _draw_seed_spread(axes: Axes, ranking: pd.DataFrame) -> None:
    """Shade the trials within one spread over seeds of the best."""
    typical = float(ranking["spread"].median())
    if np.isnan(typical):
        return
    best = float(ranking["validation"].iloc[0])
    within = int((ranking["validation"] <= best + typical).sum())
    label = f"within one spread over seeds of the best ({counted(within, 'trial')})"
    axes.axvspan(best, best + typical, color=BAND, alpha=0.4, linewidth=0, label=label)


def _draw_recommendation(tuning: Tuning) -> Figure:
    figure = _open(tuning)
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=[1, 0.9]))
    runs = complete_runs(tuning.runs, tuning.parameters)
    points = comparable_runs(tuning.runs, tuning.parameters)
    shares = importance(tuning.runs, tuning.parameters)
    names = list(shares["parameter"]) or [name for name in tuning.parameters if name != FOLD]
    chosen, limit = str(tuning.ranking["trial"].iloc[0]), _limit(runs["objective"])
    if shares.empty:
        history, lines = upper.subplots(1, 2, width_ratios=[4, 5])
    else:
        bars, history, lines = upper.subplots(1, 3, width_ratios=[3, 4, 5])
        _draw_shares(bars, shares.head(_MOST_SHARES))
    _draw_history(history, tuning, runs, limit=limit)
    legend_below(figure, history, num_columns=6)
    _draw_parallel(lines, points, searched_settings(names)[:_MOST_AXES], limit=limit)
    _draw_slices(lower, points, names[:_MOST_SLICES], chosen, limit=limit)
    return figure


def _limit(objective: pd.Series) -> float:
    """Return the highest objective that is drawn; runs that diverged would hide others."""
    low, high = objective.min(), objective.quantile(0.75)
    limit = high + 3 * (high - low)
    return float(min(limit, objective.max()) if low < high else objective.max())


def _draw_shares(axes: Axes, shares: pd.DataFrame) -> None:
    position = np.arange(len(shares))
    colors = [WRONG if name == SEED else FORECAST for name in shares["parameter"]]
    widths, errors = 100 * shares["share"], 100 * shares["spread"]
    axes.barh(position, widths, color=colors, xerr=errors, ecolor=ACTUAL)
    for seed_share in widths[shares["parameter"] == SEED]:
        axes.axvline(seed_share, color=WRONG, linestyle="--", linewidth=1.2)
    style_axes(axes, "What explains the objective", "share of its variation (%)", "")
    axes.set_yticks(position, _short(list(shares["parameter"])), parse_math=False)
    axes.set(ylim=(max(len(shares), 3) - 0.4, -0.6), xlim=(0, None))


def _draw_history(axes: Axes, tuning: Tuning, runs: pd.DataFrame, *, limit: float) -> None:
    """Draw runs in the order of their start, and the best trial that was complete by then."""
    chosen = runs["trial"] == tuning.ranking["trial"].iloc[0]
    _draw_points(axes, runs["number"], runs["objective"], chosen, limit=limit)
    best = best_so_far(runs)
    numbers = [*best.index, tuning.runs["number"].max() + 0.5]
    label = "best trial so far (mean of its runs)"
    axes.step(numbers, [*best, best.iloc[-1]], where="post", color=FORECAST, label=label)
    pruned = tuning.runs["number"][tuning.runs["state"] == "pruned"].to_numpy()
    if len(pruned):
        label, rim = f"pruned, no final value ({len(pruned)})", axes.get_xaxis_transform()
        height = np.ones(len(pruned))
        axes.plot(pruned, height, "x", c=WRONG, label=label, transform=rim, clip_on=False)
    folds = ", level of folds removed" if FOLD in tuning.parameters else ""
    style_axes(
        axes, "Runs in the order of their start", "number of the run", tuning.monitor + folds
    )
    axes.set_xlim(-0.03 * numbers[-1] - 0.3, 1.03 * numbers[-1] + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _draw_points(
    axes: Axes, position: pd.Series, objective: pd.Series, chosen: pd.Series, *, limit: float
) -> None:
    """Draw the objective of runs, those beyond the limit at the limit."""
    above = objective > limit
    kinds = (
        (~above & ~chosen, "o", ACTUAL, 4.5, "run"),
        (above, "^", ACTUAL, 7, f"run beyond the panel, up to {objective.max():.3g}"),
        (~above & chosen, "D", FORECAST, 6, "run of the chosen trial"),
    )
    for mask, mark, color, size, label in kinds:
        if mask.any():
            heights = objective[mask].clip(upper=limit)
            axes.plot(position[mask], heights, mark, color=color, ms=size, alpha=0.7, label=label)


def _draw_slices(
    figure: SubFigure, points: pd.DataFrame, names: Sequence[str], chosen: str, *, limit: float
) -> None:
    """Draw the objective over each setting; a black bar is the median at a value."""
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name, short in zip(panels, names, _short(names), strict=True):
        position, ticks = _tick_positions(points[name], few=_FEW_VALUES)
        at = pd.Series(position, index=points.index)
        style_axes(axes, short, "", "objective (bar: median)" if axes is panels[0] else "")
        if ticks:
            middle = points["objective"].groupby(at).median().clip(upper=limit)
            axes.plot(middle.index, middle, "_", color=REFERENCE, markersize=24, markeredgewidth=2)
            texts, step = [shorten(text, 14) for text in ticks], -(-len(ticks) // _FEW_VALUES)
            turn = 20 if max(map(len, texts)) * len(texts) > _MAX_TICK_LETTERS else 0
            axes.set_xticks(
                range(0, len(ticks), step), texts[::step], rotation=turn, parse_math=False
            )
            axes.set_xlim(-0.6, len(ticks) - 0.4)
        else:
            number_axis(axes, log=is_wide(position))
        _draw_points(axes, at, points["objective"], points["trial"] == chosen, limit=limit)


def _tick_positions(values: pd.Series, *, few: int) -> tuple[Values, list[str]]:
    """Return where values are drawn, and tick labels if these are not a number axis.

    Up to `few` different numbers are drawn as equidistant ticks.
    """
    numbers = as_numbers(values)
    codes, unique = pd.factorize(values.astype(str) if numbers is None else numbers, sort=True)
    if numbers is not None and len(unique) > few:
        return numbers, []
    return codes.astype(np.float64), [value_text(value) for value in unique]


def _draw_parallel(axes: Axes, points: pd.DataFrame, names: Sequence[str], *, limit: float) -> None:
    """Draw one line per trial through its settings to its objective."""
    title = "Settings of each trial, the best in blue"
    columns: dict[str, str] = {**dict.fromkeys(names, "first"), "objective": "mean"}
    trials = points.groupby("trial").agg(columns).sort_values("objective", ascending=False)
    last = "objective" if trials["objective"].max() <= limit else "objective, cut"
    trials["objective"] = trials["objective"].clip(upper=limit)
    worse = np.linspace(1, 0, len(trials))
    rules = [_draw_rule(axes, at, trials[name], worse) for at, name in enumerate(columns)]
    heights = np.column_stack(rules)
    for line, share in zip(heights, worse, strict=True):
        axes.plot(line, color=_BLUE_TO_GREY(share**0.4), linewidth=0.9 if share else 2.6)
    style_axes(axes, title, "", "")
    axes.grid(visible=False)
    axes.set(yticks=[], xlim=(-0.1, len(names) + 0.6))
    axes.spines["left"].set_visible(False)
    labels = [*_short(names), last]
    turn = 18 if len(names) == _MOST_AXES else 0
    axes.set_xticks(range(len(labels)), labels, rotation=turn, ha="right" if turn else "center")


def _draw_rule(axes: Axes, at: int, values: pd.Series, worse: Values) -> Values:
    """Draw one axis with its ticks, and return the position of each trial, from 0 to 1.

    Trials with equal values are spread a little.
    """
    positions, ticks = _tick_positions(values, few=0 if values.name == "objective" else _FEW_VALUES)
    if not ticks:
        ends = [value_text(float(end)) for end in (positions.min(), positions.max())]
        positions = np.log(positions) if is_wide(positions) else positions
    low, extent = positions.min(), np.ptp(positions) or 1.0
    axes.axvline(at, color=ACTUAL, linewidth=0.8)
    marks = list(enumerate(ticks)) if ticks else list(zip((low, low + extent), ends, strict=True))
    for position, text in marks if len(marks) <= _FEW_VALUES else (marks[0], marks[-1]):
        write(axes, at + 0.04, (position - low) / extent, shorten(text, 12)).set_bbox(_WHITE)
    fan = 0.05 * (worse - 0.5) if ticks else 0.0
    return np.asarray((positions - low) / extent + fan)


def _draw_series(tuning: Tuning) -> Figure:
    figure = _open(tuning)
    series, names = tuning.series, [str(name) for name in tuning.series.columns[2:]]
    day = series["date"].to_numpy(dtype="datetime64[D]")
    forecasts = series[names].to_numpy(np.float64)
    ratios = [2.5] + [1] * len(names)
    top, *strips = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    draw_stems(top, day, series["actual"].to_numpy(np.float64), color=ACTUAL, label="actual")
    draw_stems(top, day, forecasts[:, 0], color=FORECAST, label="forecast of the chosen trial")
    title = f"{counted(len(day), 'test day')}, actual and forecast on one scale"
    unit = tuning.assessment.unit
    style_axes(top, title, "", f"{tuning.word} ({unit})")
    legend_above(top, num_columns=2)
    reach = 1.1 * float(np.nanmax(np.abs(forecasts))) or 1.0
    for rank, axes in enumerate(strips):
        draw_stems(axes, day, forecasts[:, rank], color=FORECAST, label=names[rank])
        style_axes(axes, "", "", unit)
        text = f"{rank + 1}. {shorten(names[rank], 100)}{_correlation_text(forecasts, rank)}"
        axes.set_title(text, loc="left", fontsize=SMALL_SIZE, parse_math=False)
        axes.set_ylim(-reach, reach)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3, symmetric=True))
    date_axis(strips[-1], day)
    for axes in (top, *strips[:-1]):
        axes.tick_params(labelbottom=False)
    return figure


def _correlation_text(forecasts: Values, rank: int) -> str:
    """Return the correlation of forecasts with those of the first trial, as text."""
    if rank == 0:
        return "; forecasts from here on are on a scale of their own"
    both = forecasts[:, [0, rank]]
    value = correlation(*both[~np.isnan(both).any(axis=1)].T)
    return "" if value is None else f"; correlation with the first {value:+.2f}"
