"""The HTML page of a summary, which needs no other file."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

STATES = ("complete", "pruned", "failed", "running")
"""Values of a column named status that have their own colour."""

# Without metadata, equal figures give equal text.
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, eq=False)
class Page:
    """Content of the page.

    Attributes:
        title: Name of the multirun.
        verdict_lines: Results; the verdict is last.
        counts: Number of runs by status.
        table: One row per run; the cells of a column named status are coloured.
        chosen_table: Scores of the chosen trial and the baselines; empty if nothing was chosen.
        discount: Corrections for the number of trials, label and value.
        advice: What a further search should try.
        figures: Figures by file name without suffix, in the order of the page.
        captions: Of the figures, by the same names; a name without one is its own caption.
        notes: What limits the results.
    """

    title: str
    verdict_lines: tuple[str, ...]
    counts: str
    table: pd.DataFrame
    chosen_table: pd.DataFrame
    discount: Sequence[tuple[str, str]]
    advice: Sequence[str]
    figures: Mapping[str, Figure]
    captions: Mapping[str, str]
    notes: Sequence[str]


@dataclass(frozen=True)
class _Cell:
    """One cell of a table: its text and its CSS classes."""

    text: str
    classes: str


@dataclass(frozen=True)
class _Table:
    """A table as the template reads it."""

    header: list[_Cell]
    rows: list[list[_Cell]]


@dataclass(frozen=True)
class _Picture:
    """A figure as the template reads it."""

    caption: str
    svg: Markup


def render_page(page: Page) -> str:
    """Return the page as one HTML document; equal pages give equal text.

    Args:
        page: Its content. A figure that was written before keeps its layout.
    """
    environment = Environment(
        loader=PackageLoader("ironore_lightning", "summary"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    captions = {name: page.captions.get(name, name.replace("_", " ")) for name in page.figures}
    pictures = [
        _Picture(captions[name], _inline(figure, captions[name], prefix=f"f{number}-"))
        for number, (name, figure) in enumerate(page.figures.items(), start=1)
    ]
    return environment.get_template("page.html.j2").render(
        page=page,
        pictures=pictures,
        chosen_table=_as_table(page.chosen_table),
        table=_as_table(page.table),
    )


def _inline(figure: Figure, caption: str, *, prefix: str) -> Markup:
    """Return a figure as an SVG element, with ids that start with `prefix`."""
    buffer = StringIO()
    with mpl.rc_context({"svg.hashsalt": prefix, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text)
    # The page sets the size, the viewBox the proportions.
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    # Screen readers read the label.
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    # Drawn by matplotlib, which escapes the texts of a figure; the caption is escaped above.
    return Markup(text)  # noqa: S704


def _as_table(frame: pd.DataFrame) -> _Table:
    """Return a frame as a table; an index with a name is its first column."""
    frame = frame.reset_index() if frame.index.name else frame
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    sides = ["number" if is_number else "text" for is_number in numeric]
    header = [_Cell(str(name), side) for name, side in zip(frame.columns, sides, strict=True)]
    columns = list(zip(header, sides, strict=True))
    rows = [
        [
            _Cell(_text(value), _state(value) if head.text.lower() == "status" else side)
            for value, (head, side) in zip(row, columns, strict=True)
        ]
        for row in frame.itertuples(index=False, name=None)
    ]
    return _Table(header, rows)


def _text(value: object) -> str:
    """Return the text of a cell: a missing value as a dash, a number with five digits."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.5g}"
    return "–" if value is None or value is pd.NA or value is pd.NaT else str(value)


def _state(value: object) -> str:
    word = str(value).strip().lower()
    return f"state {word if word in STATES else 'other'}"
