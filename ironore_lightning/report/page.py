"""The HTML page of a run, a summary or a judgement, which needs no other file."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ironore_lightning.trading_calendar.rhythm import Rhythm

STATES = ("complete", "pruned", "failed", "running")
"""Values of a column named status that have their own colour."""

_SIGNIFICANT, _MOST_DECIMALS = 4, 8


@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Attributes:
        caption: What it shows; screen readers read it, too.
        svg: Of `style.svg_text`.
    """

    caption: str
    svg: str


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a page.

    Attributes:
        frame: Its cells. The cells of a column named status are coloured; an index with a name is
            the first column.
        caption: What it holds; also the label of a table that is folded away.
        decimals: By column; others get as many as show four digits of their largest number.
        links: Where the cells of the first column lead to, by their text: relative URLs.
        is_folded: Whether the table opens only when asked to.
    """

    frame: pd.DataFrame
    caption: str
    decimals: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    is_folded: bool = False

    def said_in(self, rhythm: Rhythm) -> "Table":
        """Return the table, which is written for trading days, in the words of a rhythm."""

        def say(value: object) -> object:
            return rhythm.words(value) if isinstance(value, str) else value

        decimals = {rhythm.words(name): places for name, places in self.decimals.items()}
        frame = self.frame.rename(columns=say).map(say)
        return replace(self, frame=frame, caption=rhythm.words(self.caption), decimals=decimals)


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page with a heading, in the order of its attributes; left out if empty.

    Attributes:
        title: Heading, and entry in the table of contents.
        text: Paragraphs.
        facts: Labels with their values.
        pictures: Figures.
        tables: Tables; those without a row are left out.
        points: A list.
    """

    title: str
    text: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    points: Sequence[str] = ()

    def said_in(self, rhythm: Rhythm) -> "Section":
        """Return the section, which is written for trading days, in the words of a rhythm."""
        say = rhythm.words
        return Section(
            say(self.title),
            text=[*map(say, self.text)],
            facts=[(say(label), say(value)) for label, value in self.facts],
            pictures=[replace(picture, caption=say(picture.caption)) for picture in self.pictures],
            tables=[table.said_in(rhythm) for table in self.tables],
            points=[*map(say, self.points)],
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing below the heading."""
        parts = (self.text, self.facts, self.pictures, self.points)
        return not any(parts) and all(table.frame.empty for table in self.tables)


@dataclass(frozen=True, eq=False)
class Page:
    """Content of a page.

    Attributes:
        title: What the page is about.
        grade: Of the evidence; empty if nothing was assessed.
        verdict: The sentence of the verdict.
        lines: Results behind it.
        remark: What was looked at, in a line.
        sections: The rest.
    """

    title: str
    grade: str
    verdict: str
    lines: Sequence[str]
    remark: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class _Cell:
    """One cell of a table: its text, its CSS classes, and where it leads to."""

    text: str
    classes: str
    link: str = ""


def template(name: str) -> Template:
    """Return the template of a page, given its path in the package; it escapes texts."""
    environment = Environment(
        loader=PackageLoader("ironore_lightning", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"header": _header, "rows": _rows}
    return environment.get_template(name)


def render_page(page: Page) -> str:
    """Return the page as one HTML document; equal pages give equal text."""
    sections = [section for section in page.sections if not section.is_empty]
    svgs = [
        [inline(picture, prefix=f"f{place}-{number}-") for number, picture in enumerate(pictures)]
        for place, pictures in enumerate(section.pictures for section in sections)
    ]
    named = list(zip(sections, svgs, strict=True))
    return template("report/page.html.j2").render(page=page, sections=named)


def inline(picture: Picture, *, prefix: str) -> Markup:
    """Return an SVG element for the page, with ids that start with `prefix`."""
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", picture.svg)
    # The page sets the size, the viewBox the proportions.
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(picture.caption)}"', 1)
    # Drawn by matplotlib, which escapes the texts of a figure; the caption is escaped above.
    return Markup(text)  # noqa: S704


def _header(table: Table) -> list[_Cell]:
    frame = _with_index(table.frame)
    return [_Cell(str(name), _side(column)) for name, column in frame.items()]


def _rows(table: Table) -> list[list[_Cell]]:
    frame = _with_index(table.frame)
    columns = [_cells(str(name), column, table) for name, column in frame.items()]
    return [list(row) for row in zip(*columns, strict=True)]


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose index is a column, if it has a name."""
    return frame.reset_index() if frame.index.name else frame


def _cells(name: str, column: pd.Series, table: Table) -> list[_Cell]:
    """Return the cells of a column, whose numbers have the same number of decimals."""
    side = _side(column)
    is_number = side == "number" and column.dtype != bool
    decimals = table.decimals.get(name, _decimals(column) if is_number else 0)
    texts = [_text(value, decimals) for value in column]
    is_status, is_first = name.lower() == "status", name == str(_with_index(table.frame).columns[0])
    return [
        _Cell(
            text,
            _state(text) if is_status else side,
            table.links.get(text, "") if is_first else "",
        )
        for text in texts
    ]


def _side(column: pd.Series) -> str:
    """Return the class of a column's cells; one without any value is one of numbers."""
    is_number = pd.api.types.is_numeric_dtype(column.dtype) or column.isna().all()
    return "number" if is_number else "text"


def _decimals(column: pd.Series) -> int:
    """Return how many decimals show four digits of the largest number; none if all are whole."""
    sizes = pd.to_numeric(column, errors="coerce").abs().to_numpy(dtype=np.float64, na_value=np.nan)
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(sizes) or (sizes == np.round(sizes)).all():
        return 0
    decimals = _SIGNIFICANT - 1 - math.floor(math.log10(sizes.max()))
    return int(np.clip(decimals, 0, _MOST_DECIMALS))


def _text(value: object, decimals: int) -> str:
    """Return the text of a cell; a missing value is a dash."""
    if isinstance(value, float):
        # Adding zero turns a rounded -0.0 into 0.0.
        return "–" if math.isnan(value) else f"{round(value, decimals) + 0.0:.{decimals}f}"
    return "–" if value is None or value is pd.NA or value is pd.NaT else str(value)


def _state(text: str) -> str:
    word = text.strip().lower()
    return f"state {word if word in STATES else 'other'}"
