"""Print and write a comparison."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ironore_lightning.compare.contenders import Comparison
from ironore_lightning.evaluation.trading import BUY_AND_HOLD, SIGN, equity_curves, usual_cost
from ironore_lightning.files import write_json, write_text
from ironore_lightning.process.terminal import print_parts, short_path
from ironore_lightning.report.page import Page, Picture, Section, Table, render_page
from ironore_lightning.report.style import (
    ACTUAL,
    FORECAST,
    REFERENCE,
    WRONG,
    date_axis,
    default_style,
    draw_line,
    legend_above,
    open_figure,
    said_in,
    style_axes,
    svg_text,
)
from ironore_lightning.report.table import make_facts, make_table, number

COLORS = {"A": FORECAST, "B": WRONG}

ADVICE = (
    "Who keeps the better of the two because of these days has chosen by them, and they test it no "
    "longer. Validation chooses; see the summary of many runs."
)


def score_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the scores of A, B and a forecast of zero, a row each."""
    unit = comparison.first.days.unit
    rows = [
        {
            "forecaster": name,
            f"RMSE, {unit}": scores.rmse,
            f"MAE, {unit}": scores.mae,
            "R2 (zero)": scores.r2_zero,
            "right": f"{scores.direction_hits}/{scores.direction_days}",
            "direction, %": scores.direction_accuracy,
            "correlation": scores.correlation,
        }
        for name, scores in zip(("A", "B", "zero"), comparison.duel.scores, strict=True)
    ]
    table = pd.DataFrame(rows).set_index("forecaster")
    table.loc["zero", ["right", "direction, %"]] = "–", np.nan  # it has no sign
    return table


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what is compared, and the tests between the two, label and value."""
    duel, dates = comparison.duel, comparison.first.days.dates
    looks = [
        f"{name} is look {look}" for name, look in zip("AB", comparison.looks, strict=True) if look
    ]
    return [
        ("A", comparison.first.name),
        ("B", comparison.second.name),
        ("shared test days", f"{duel.num_days}, {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"),
        ("same sign", f"on {100 * duel.same_sign:.0f} % of the days"),
        ("correlation of the forecasts", number(duel.correlation)),
        ("Diebold-Mariano, two-sided p", number(duel.diebold_mariano_p)),
        ("Giacomini-White p", number(duel.giacomini_white.p_value)),
        ("looks at these days", ", ".join(looks) or "not counted"),
    ]


def print_comparison(comparison: Comparison, folder: Path) -> None:
    """Print what is compared, the settings that differ, the scores, and what they say."""
    settings, rhythm = comparison.settings.reset_index(), comparison.first.days.rhythm
    scores = score_frame(comparison).reset_index()
    shown = [make_facts(facts(comparison)).said_in(rhythm), "", make_table(scores)]
    if not settings.empty:
        shown += ["", make_table(settings, "settings that differ", elsewhere="comparison.html")]
    where = short_path(folder / "comparison.html")
    words = [rhythm.words(comparison.duel.sentence), rhythm.words(ADVICE)]
    print_parts([*shown, "", *words, f"page: {where}"])


@default_style
def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write `comparison.json`, and `comparison.html` with both curves."""
    settings = comparison.settings.to_dict("index")
    record = {
        "A": comparison.first.name,
        "B": comparison.second.name,
        "settings": settings,
        "looks": comparison.looks,
        **asdict(comparison.duel),
    }
    write_json(folder / "comparison.json", record)
    rhythm = comparison.first.days.rhythm
    figure = said_in({"comparison": draw_comparison(comparison)}, rhythm)["comparison"]
    page = Page(
        title=f"{comparison.first.name} and {comparison.second.name}",
        grade="",
        verdict=rhythm.words(comparison.duel.sentence),
        lines=[],
        remark=rhythm.words(ADVICE),
        sections=[
            Section("What is compared", facts=facts(comparison)).said_in(rhythm),
            Section(
                "Scores", tables=[Table(score_frame(comparison), "On the shared days")]
            ).said_in(rhythm),
            Section("Both curves", pictures=[Picture("Capital and errors", svg_text(figure))]),
            Section("Settings that differ", tables=[Table(comparison.settings, "Of A and of B")]),
        ],
    )
    write_text(folder / "comparison.html", render_page(page))


def draw_comparison(comparison: Comparison) -> Figure:
    """Return a figure of the forecasts' capital, if there is a price, and of their errors.

    The lower panel is the sum of the squared errors of B minus those of A so far (Goyal & Welch,
    2008, "A comprehensive look at the empirical performance of equity premium prediction", Review
    of Financial Studies 21(4)): where it rises, A is closer.
    """
    first, second = comparison.first, comparison.second
    days = first.days
    dates = days.dates.to_numpy(dtype="datetime64[D]")
    figure = open_figure(dates, f"A: {first.name}; B: {second.name}")
    num_panels = 2 if days.has_profit else 1
    panels = figure.subplots(num_panels, 1, sharex=True, squeeze=False)[:, 0]
    if days.has_profit:
        settings = first.config.evaluation
        cost = usual_cost(settings.costs_bp)
        for name, side in (("A", first), ("B", second)):
            curves = equity_curves(side.days, buffer=settings.trade_buffer, cost_bp=cost)
            draw_line(panels[0], dates, curves[SIGN].to_numpy(), color=COLORS[name], label=name)
        held = curves[BUY_AND_HOLD].to_numpy()
        draw_line(panels[0], dates, held, color=ACTUAL, label=BUY_AND_HOLD)
        title = f"Capital of trading on the sign, after {cost:g} bp a turn"
        style_axes(panels[0], title, "", "capital (start = 100)")
        legend_above(panels[0])
    errors = [(side.days.forecast - days.actual) ** 2 for side in (first, second)]
    draw_line(
        panels[-1], dates, np.cumsum(errors[1] - errors[0]), color=FORECAST, label="B minus A"
    )
    panels[-1].axhline(0, color=REFERENCE, linewidth=0.8)
    title = "Squared errors of B minus those of A, summed: A is closer where it rises"
    style_axes(panels[-1], title, "date", f"sum ({days.unit}²)")
    date_axis(panels[-1], dates)
    return figure
