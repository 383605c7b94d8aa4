"""The style of all figures: colours, sizes, headings, axes, notes, legends, files."""

import io
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from ironore_lightning.files import write_bytes, write_text
from ironore_lightning.trading_calendar.rhythm import Rhythm

Values = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Corner = Literal["upper left", "upper right", "lower right"]
Side = Literal["left", "right"]
Style = Literal["-", "--"]

# Okabe and Ito (2008): distinct with every common form of colour blindness.
ACTUAL = "#595959"
FORECAST = "#0072B2"
RIGHT = "#009E73"
WRONG = "#D55E00"
REFERENCE = "#000000"
BAND = "#BDBDBD"

TEXT_SIZE, TITLE_SIZE, SMALL_SIZE = 10.5, 12, 9
"""In points: notes and labels; titles of panels; dense text."""
ONE_DAY = np.timedelta64(1, "D")
MANY_DAYS = 500
"""Marks are smaller for more days."""

default_style = matplotlib.style.context("default")
"""Decorator of functions that draw, to ignore the user's matplotlibrc."""

_WIDTH_PX, _HEIGHT_PX, _DOTS_PER_INCH = 1200, 700, 100
_TITLE_COLUMNS = 105
# An octree palette turns white into this shade or a lighter one.
_NEARLY_WHITE = 254
# Up to so many days have markers, as a line through one point is invisible.
_MARKED_DAYS = 60
# Without a date and with fixed names inside, equal figures give equal text.
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def open_figure(day: Dates, title: str) -> Figure:
    """Return an empty figure whose heading has the title and the test days.

    Args:
        day: Test days, ascending, shape (N,).
        title: Name of the run.
    """
    first, last = day[0], day[-1]
    span = f"{len(day)} test days, {first} to {last}" if len(day) > 1 else f"1 test day, {first}"
    return open_sheet(title, span)


def open_sheet(title: str, remark: str) -> Figure:
    """Return an empty figure with a heading of two parts."""
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
    """Return a text in at most two lines of the figure's width, see `printable`."""
    return textwrap.fill(printable(text), _TITLE_COLUMNS, max_lines=2, placeholder=" ...")


def printable(text: str) -> str:
    """Return a text with ``?`` for characters that the font lacks."""
    font = get_font(findfont(FontProperties()))
    return "".join(
        char if char.isspace() or font.get_char_index(ord(char)) else "?" for char in text
    )


def shorten(text: str, num_columns: int) -> str:
    """Return a long text without its middle, as the names of trials differ at their ends."""
    text = printable(" ".join(text.split()))
    if len(text) <= num_columns:
        return text
    tail = (num_columns - 3) // 2
    return f"{text[: num_columns - 3 - tail]}...{text[len(text) - tail :]}"


def value_text(value: object) -> str:
    """Return the value of a setting as text: a number with three digits, a list by its length."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{len(value)} values" if isinstance(value, list | tuple) else str(value)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which gets a plural s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def style_axes(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Set the title, labels, frame and grid of a panel."""
    # A given height saves a search for room, a tenth of the time of a figure.
    axes.set_title(title, loc="left", y=1.0, fontsize=TITLE_SIZE, parse_math=False)
    axes.set_xlabel(x_label, fontsize=TEXT_SIZE)
    axes.set_ylabel(y_label, fontsize=TEXT_SIZE)
    axes.tick_params(labelsize=TEXT_SIZE - 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=BAND, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)


def date_axis(axes: Axes, day: Dates) -> None:
    """Set a date axis from a little before the first day to a little after the last."""
    first, last = day[0], day[-1]
    # At least three days on either side, as a shorter axis has ticks in hours.
    room = max(3 * ONE_DAY, (last - first) // 64)
    axes.set_xlim(first - room, last + room)
    # matplotlib.dates has no annotations.
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def number_axis(axes: Axes, *, log: bool) -> None:
    """Set a horizontal axis, linear or logarithmic, with plain numbers."""
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
    style: Style = "-",
) -> None:
    """Draw a line over days: thinner for many, with markers for few."""
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


def draw_stems(
    axes: Axes, day: Dates, values: Values, *, color: str, label: str, total_width: float = 450
) -> None:
    """Draw one stem per day; ``total_width`` of all stems is in points; NaN has none."""
    known = ~np.isnan(values)
    width = float(np.clip(total_width / len(day), 0.6, 4.0))
    axes.vlines(day[known], 0, values[known], color=color, linewidth=width, label=label)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)


def write(
    axes: Axes, x: float, y: float, text: str, *, side: Side = "left", bold: bool = False
) -> Text:
    """Write a small line at a point of the data; the layout makes no room for it."""
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
    """Write into an empty panel why it is empty."""
    style_axes(axes, title, "", "")
    axes.axis("off")
    note(axes, reason)


def note(axes: Axes, text: str, *, corner: Corner = "upper left") -> None:
    """Write lines into a box in a corner of a panel, on top of the data."""
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
    """Put the legend into an empty corner of the panel."""
    axes.legend(loc=corner, fontsize=TEXT_SIZE - 1, frameon=False)


def legend_above(axes: Axes, *, num_columns: int = 3) -> None:
    """Put the legend beside the title."""
    legend = axes.legend(ncols=num_columns, fontsize=TEXT_SIZE, frameon=False, borderaxespad=0.0)
    legend.set_loc("lower right")
    legend.set_bbox_to_anchor((1.0, 0.99), transform=axes.transAxes)


def legend_below(figure: Figure, axes: Axes, *, num_columns: int) -> None:
    """Put the legend of one panel below all panels."""
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=num_columns,
        fontsize=TEXT_SIZE,
        frameon=False,
    )


def said_in(figures: Mapping[str, Figure], rhythm: Rhythm) -> dict[str, Figure]:
    """Return figures, whose texts are written for trading days, in the words of a rhythm."""
    for figure in figures.values():
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_text(rhythm.words(text.get_text()))
    return dict(figures)


def write_figures(figures: Mapping[str, Figure], folder: Path) -> dict[str, str]:
    """Write each figure to ``<key>.png`` and ``<key>.svg``; equal figures give equal bytes.

    Args:
        figures: Figures by file name without its suffix.
        folder: Created if missing; its parent must exist.

    Returns:
        The SVG texts by the same names.
    """
    folder.mkdir(exist_ok=True)
    pictures = {}
    for name, figure in figures.items():
        write_bytes(folder / f"{name}.png", _png(figure))
        pictures[name] = svg_text(figure)
        write_text(folder / f"{name}.svg", pictures[name])
    return pictures


def svg_text(figure: Figure) -> str:
    """Return a figure as one SVG element, with texts as paths; equal figures give equal text."""
    _lay_out(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "figure", "svg.fonttype": "path"}):
        canvas = FigureCanvasSVG(figure)
        # Unlike `savefig`, this draws once; matplotlib has no annotation here.
        canvas.print_svg(buffer, metadata=_NO_METADATA)  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _png(figure: Figure) -> bytes:
    _lay_out(figure)
    canvas = FigureCanvasAgg(figure)
    # Neither call is annotated by matplotlib.
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    pixels = Image.fromarray(drawn).convert("RGB")
    # A palette makes a third of the file. An octree is closer to the few colours than a median cut,
    # and five times faster.
    colors = pixels.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    white = [255 if value >= _NEARLY_WHITE else value for value in colors.getpalette() or ()]
    colors.putpalette(white)
    picture = io.BytesIO()
    colors.save(picture, format="png")
    return picture.getvalue()


def _lay_out(figure: Figure) -> None:
    """Lay a figure out once: doing it again takes long, and would move what was measured."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine("none")
