"""The figures of the morning page, small enough for a phone and for half a sheet of paper."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ironore_lightning.desk.entries import Forecast
from ironore_lightning.evaluation.betting import ENOUGH
from ironore_lightning.evaluation.live import FEW, LiveEvidence
from ironore_lightning.report.style import (
    ACTUAL,
    BAND,
    FORECAST,
    REFERENCE,
    RIGHT,
    SMALL_SIZE,
    WRONG,
    date_axis,
    draw_line,
    style_axes,
)

_WIDTH, _HEIGHT = 5.4, 2.7
"""In inches; a phone shows two thirds of it."""

_NEWEST_PRICES = 40
_STEP = 5
"""The forecast stands so many rows after the newest price, to make its fan wide enough."""


def fan_figure(forecast: Forecast) -> Figure | None:
    """Draw the newest prices, and where the forecast and its bounds put the next one.

    Returns:
        None where no price is known.
    """
    if forecast.price is None or forecast.price_forecast is None:
        return None
    prices = forecast.prices[-_NEWEST_PRICES:] or [(forecast.origin, forecast.price)]
    rows = np.arange(1 - len(prices), 1)
    figure, axes = _open_panel(f"price, {forecast.size.currency}")
    axes.plot(rows, [price for _, price in prices], color=ACTUAL, linewidth=1.6, label="price")
    axes.plot(
        [0, _STEP],
        [forecast.price, forecast.price_forecast],
        color=FORECAST,
        linewidth=1.8,
        marker="o",
        markevery=[1],
        label="forecast",
    )
    _draw_fan(axes, forecast)
    places = np.unique(np.linspace(0, len(prices) - 1, 3).astype(int))
    days = [*(prices[place][0] for place in places), forecast.date]
    axes.set_xticks([*rows[places], _STEP], [f"{day:%m-%d}" for day in days])
    figure.legend(loc="outside lower center", ncols=4, fontsize=SMALL_SIZE, frameon=False)
    return figure


def _draw_fan(axes: Axes, forecast: Forecast) -> None:
    for coverage, shade in (("90", 0.2), ("80", 0.3)):
        low, high = (forecast.price_bounds[f"{side}_{coverage}"] for side in ("lower", "upper"))
        if low is None or high is None:
            continue
        axes.fill_between(
            [0, _STEP],
            np.array([forecast.price, low], dtype=float),
            np.array([forecast.price, high], dtype=float),
            color=FORECAST,
            alpha=shade,
            linewidth=0,
            label=f"{coverage} %",
        )


def _open_panel(label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    style_axes(axes, "", "", label)
    return figure, axes


def hits_figure(live: LiveEvidence) -> Figure | None:
    """Draw the share of right directions so far in its confidence sequence, from day `FEW` on.

    Before, its bounds are mostly 0 and 100 %.

    Returns:
        None until there are two such days.
    """
    share, shown = live.hits, slice(FEW - 1, None)
    if len(live.dates) <= FEW:
        return None
    figure, axes = _open_panel("right directions, %")
    days = np.array(live.dates[shown], dtype="datetime64[D]")
    lows, highs = share.lows[shown], share.highs[shown]
    axes.fill_between(days, lows, highs, color=BAND, alpha=0.5, linewidth=0)
    axes.axhline(50, color=REFERENCE, linewidth=0.8, linestyle="--")
    estimates = np.array(share.estimates[shown], dtype=np.float64)
    draw_line(axes, days, estimates, color=FORECAST, label="")
    axes.set_ylim(0, 100)
    date_axis(axes, days)
    return figure


def wealth_figure(live: LiveEvidence) -> Figure | None:
    """Draw the wealth of each bet, and the line of 20 that luck seldom reaches; None before two."""
    if len(live.dates) <= 1:
        return None
    figure, axes = _open_panel("wealth")
    days = np.array(live.dates, dtype="datetime64[D]")
    bets = (
        ("direction", live.direction, FORECAST),
        ("squared error", live.loss, RIGHT),
        ("break", live.break_bet, WRONG),
    )
    for label, bet, color in bets:
        draw_line(axes, days, np.array(bet.by_day), color=color, label=label)
    axes.axhline(ENOUGH, color=REFERENCE, linewidth=0.8, linestyle="--")
    axes.axhline(1, color=REFERENCE, linewidth=0.5)
    axes.set_yscale("log")
    wealth = [value for _, bet, _ in bets for value in bet.by_day]
    axes.set_ylim(min(0.3, max(1e-6, 0.7 * min(wealth))), max(40.0, 2 * max(wealth)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    date_axis(axes, days)
    figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL_SIZE, frameon=False)
    return figure
