"""The style of all figures: colours, sizes, headings, axes, notes, legends, files.

Nothing here knows what is drawn.
"""

import io
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from ironore_lightning.files import write_bytes

Values = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Corner = Literal["upper left", "upper right", "lower right"]
Side = Literal["left", "right"]

# Okabe and Ito (2008): told apart with every common form of colour blindness.
ACTUAL = "#595959"
FORECAST = "#0072B2"
RIGHT = "#009E73"
WRONG = "#D55E00"
REFERENCE = "#000000"
BAND = "#BDBDBD"

TEXT_SIZE, TITLE_SIZE, SMALL_SIZE = 10.5, 12, 9
"""In points: notes and labels; titles of panels; what there is much of."""
ONE_DAY = np.timedelta64(1, "D")
MANY_DAYS = 500
"""Beyond these, marks of the usual size hide each other."""

default_style = matplotlib.style.context("default")
"""Decorator of what draws figures, lest a user's matplotlibrc changes them, or asks for LaTeX."""

_WIDTH_PX, _HEIGHT_PX, _DOTS_PER_INCH = 1200, 700, 100
_TITLE_COLUMNS = 105
# What an octree makes of white, which then is a shade darker than the page around it.
_NEARLY_WHITE = 254
# Few points need markers: a line through one point is invisible.
_MARKED_DAYS = 60


def open_figure(day: Dates, title: str) -> Figure:
    """Open an empty figure with the heading that all share.

    Args:
        day: Days that are drawn, ascending, shape (N,); the heading counts them as test days.
        title: Name of the run; any text.
    """
    first, last = day[0], day[-1]
    span = f"{len(day)} test days, {first} to {last}" if len(day) > 1 else f"1 test day, {first}"
    return open_sheet(title, span)


def open_sheet(title: str, remark: str) -> Figure:
    """Open an empty figure with a heading of two parts, both of them any text."""
    figure = Figure(
        figsize=(_WIDTH_PX / _DOTS_PER_INCH, _HEIGHT_PX / _DOTS_PER_INCH),
        dpi=_DOTS_PER_INCH,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{fit_heading(title)}\n{fit_heading(remark)}",
        x=0.008,
        ha="left",
        fontsize=TITLE_SIZE + 1,
        parse_math=False,
    )
    return figure


def fit_heading(text: str) -> str:
    """Break a text into at most two lines of the figure's width, in characters the font has."""
    return textwrap.fill(printable(text), _TITLE_COLUMNS, max_lines=2, placeholder=" ...")


def printable(text: str) -> str:
    """Replace what the font cannot draw, which matplotlib would warn about."""
    font = get_font(findfont(FontProperties()))
    return "".join(
        char if char.isspace() or font.get_char_index(ord(char)) else "?" for char in text
    )


def shorten(text: str, num_columns: int) -> str:
    """Cut the middle out of a long text: names made by a search differ at their ends."""
    text = printable(" ".join(text.split()))
    if len(text) <= num_columns:
        return text
    tail = (num_columns - 3) // 2
    return f"{text[: num_columns - 3 - tail]}...{text[len(text) - tail :]}"


def value_text(value: object) -> str:
    """Write the value of a setting: a number with three digits, a list by its length."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{len(value)} values" if isinstance(value, list | tuple) else str(value)


def counted(number: int, noun: str) -> str:
    """Write a number of things; the plural of the noun has an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def style_axes(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Give a panel its title, which is no mathematics, its labels, and a quiet frame and grid."""
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, parse_math=False)
    axes.set_xlabel(x_label, fontsize=TEXT_SIZE)
    axes.set_ylabel(y_label, fontsize=TEXT_SIZE)
    axes.tick_params(labelsize=TEXT_SIZE - 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=BAND, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)


def date_axis(axes: Axes, day: Dates) -> None:
    """Let a panel reach from a little before the first day to a little after the last."""
    first, last = day[0], day[-1]
    # At least three days either side: the ticks of a shorter axis would be hours.
    room = max(3 * ONE_DAY, (last - first) // 64)
    axes.set_xlim(first - room, last + room)
    # matplotlib.dates has no annotations.
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def number_axis(axes: Axes, *, log: bool) -> None:
    """Write the numbers of a horizontal axis out, which may be logarithmic."""
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def draw_line(
    axes: Axes,
    day: Dates,
    values: Values,
    *,
    color: str,
    label: str,
    style: Literal["-", "--", ":"] = "-",
) -> None:
    """Draw values over days: thinner for many, with a marker a day for few."""
    axes.plot(
        day,
        values,
        style,
        color=color,
        linewidth=1.6 if len(day) <= MANY_DAYS else 0.9,
        marker="o" if len(day) <= _MARKED_DAYS else None,
        markersize=4,
        label=label,
    )


def draw_stems(axes: Axes, day: Dates, values: Values, *, color: str, label: str) -> None:
    """Draw a stem a day from zero, thinner for many; a day without a value has none."""
    known = ~np.isnan(values)
    width = float(np.clip(450 / len(day), 0.6, 4.0))
    axes.vlines(day[known], 0, values[known], color=color, linewidth=width, label=label)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)


def write(
    axes: Axes, x: float, y: float, text: str, *, side: Side = "left", bold: bool = False
) -> Text:
    """Write a line at a point of the data, small and outside of what the layout makes room for."""
    written = axes.text(
        x,
        y,
        text,
        ha=side,
        va="center_baseline",
        fontsize=SMALL_SIZE,
        fontweight="bold" if bold else "normal",
        parse_math=False,
    )
    written.set_in_layout(False)
    return written


def draw_empty(axes: Axes, title: str, reason: str) -> None:
    """Say in an empty panel why it is."""
    style_axes(axes, title, "", "")
    axes.axis("off")
    note(axes, reason)


def note(axes: Axes, text: str, *, corner: Corner = "upper left") -> None:
    """Write lines into a box in a corner of a panel, above whatever is drawn there."""
    vertical, side = corner.split()
    axes.text(
        0.015 if side == "left" else 0.985,
        0.98 if vertical == "upper" else 0.02,
        text,
        transform=axes.transAxes,
        ha="left" if side == "left" else "right",
        va="top" if vertical == "upper" else "bottom",
        multialignment="left",
        fontsize=TEXT_SIZE,
        linespacing=1.35,
        bbox={"facecolor": "white", "edgecolor": BAND, "alpha": 0.85, "pad": 4},
        zorder=5,
    )


def legend_inside(axes: Axes, corner: Corner) -> None:
    """Put the legend into a corner that is known to be empty."""
    axes.legend(loc=corner, fontsize=TEXT_SIZE - 1, frameon=False)


def legend_above(axes: Axes, *, num_columns: int = 3) -> None:
    """Put the legend beside the title, where it hides no day."""
    legend = axes.legend(ncols=num_columns, fontsize=TEXT_SIZE, frameon=False, borderaxespad=0.0)
    legend.set_loc("lower right")
    legend.set_bbox_to_anchor((1.0, 0.99), transform=axes.transAxes)


def legend_below(figure: Figure, axes: Axes, *, num_columns: int) -> None:
    """Put what a panel shows into one legend below all panels."""
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=num_columns,
        fontsize=TEXT_SIZE,
        frameon=False,
    )


def write_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure to ``<key>.png``; equal figures give equal bytes.

    Args:
        figures: Figures by file name without its suffix.
        folder: Where to write; made if it does not exist, in one that does.
    """
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        canvas = FigureCanvasAgg(figure)
        # Neither call is annotated by matplotlib.
        canvas.draw()  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # what is drawn once stays where it is
        drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        pixels = Image.fromarray(drawn).convert("RGB")
        # A palette makes a third of the file, and these few colours fit into it. An octree's is
        # nearer to them than a median cut's, and made in a fifth of the time.
        picture = io.BytesIO()
        colors = pixels.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        white = [255 if value >= _NEARLY_WHITE else value for value in colors.getpalette() or ()]
        colors.putpalette(white)
        colors.save(picture, format="png")
        write_bytes(folder / f"{name}.png", picture.getvalue())
