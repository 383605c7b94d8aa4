"""The tables of the console, the logs and the commands."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ironore_lightning.errors import single_line
from ironore_lightning.trading_calendar.rhythm import Rhythm

WHOLE = 10_000
"""Width, characters, of a file."""

NARROWEST = 24
"""Characters to which the widest column may shrink before others are left out."""

GAP = 2
"""Characters between columns."""

NUMBER = re.compile(r"[-+–\d.,/%e]*")
"""A number, a date, a range, or the dash of one that is undefined."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table that a terminal of any width shows: its widest column wraps, the last are left out.

    As text it is whole, and without colours.

    Attributes:
        title: A line above it; empty for none.
        columns: By name. A number has three decimals, an undefined one is a dash.
        elsewhere: Where the whole table is, for the line that counts what was left out.
        has_names: Whether the names of the columns are printed.
    """

    title: str
    columns: dict[str, list[Text]]
    elsewhere: str = ""
    has_names: bool = True

    def said_in(self, rhythm: Rhythm) -> "Table":
        """Return the table, which is written for trading days, in the words of a rhythm."""
        columns = {
            rhythm.words(name): [Text(rhythm.words(cell.plain), style=cell.style) for cell in cells]
            for name, cells in self.columns.items()
        }
        return replace(self, title=rhythm.words(self.title), columns=columns)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draw it for the width of a terminal."""
        del console
        yield from self._parts(options.max_width)

    def __str__(self) -> str:
        """Return the whole table as plain text."""
        page = Console(file=io.StringIO(), width=WHOLE, color_system=None, force_terminal=False)
        for part in self._parts(WHOLE):
            page.print(part)
        assert isinstance(page.file, io.StringIO)
        lines = page.file.getvalue().splitlines()
        return "\n".join(line.rstrip() for line in lines)

    def _parts(self, width: int) -> Iterator[RenderableType]:
        shown = list(self.columns)
        while len(shown) > 1 and self._least_width(shown) > width:
            shown.pop()
        if self.title:
            yield Text(self.title, style="bold")
        yield self._drawn(shown)
        if left_out := list(self.columns)[len(shown) :]:
            where = f" in {self.elsewhere}" if self.elsewhere else " on a wider terminal"
            names = ", ".join(left_out)
            line = f"… more columns{where}: {names}"
            yield Text(line if len(line) <= width else f"… {len(left_out)} more columns{where}")

    def _width(self, name: str) -> int:
        cells = [cell.cell_len for cell in self.columns[name]]
        return max([*cells, Text(name).cell_len if self.has_names else 0, 1])

    def _least_width(self, shown: Sequence[str]) -> int:
        widths = [self._width(name) for name in shown]
        return sum(widths) - max(widths) + min(max(widths), NARROWEST) + GAP * (len(widths) - 1)

    def _drawn(self, shown: Sequence[str]) -> RichTable:
        table = RichTable(
            box=None,
            padding=(0, GAP, 0, 0),
            pad_edge=False,
            show_header=self.has_names,
            header_style="",
        )
        widest = max(shown, key=self._width)
        for name in shown:
            is_number = all(NUMBER.fullmatch(cell.plain) for cell in self.columns[name])
            table.add_column(
                Text(name, style="bold"),
                justify="right" if is_number else "left",
                no_wrap=name != widest,
                overflow="fold",
            )
        for row in zip(*(self.columns[name] for name in shown), strict=True):
            table.add_row(*row)
        return table


def make_table(frame: pd.DataFrame, title: str = "", *, elsewhere: str = "") -> Table:
    """Return a frame as a table, without its index.

    Args:
        frame: Its cells are numbers, text, None, or text with a style.
        title: A line above it.
        elsewhere: Where the whole table is, such as ``training.log``.
    """
    columns = {
        single_line(name): [_cell(value) for value in column] for name, column in frame.items()
    }
    return Table(title, columns, elsewhere)


def make_facts(rows: Sequence[tuple[str, str | Text]], title: str = "") -> Table:
    """Return names and what there is to say of each, which wraps beside its name."""
    columns = {"name": [_cell(name) for name, _ in rows], "text": [_cell(text) for _, text in rows]}
    return Table(title, columns, has_names=False)


def number(value: float | None, digits: int = 3, *, sign: str = "") -> str:
    """Return a number with so many digits, or the dash of one that is undefined.

    Args:
        value: The number.
        digits: Behind the point.
        sign: ``+`` for a sign also above zero.
    """
    return "–" if value is None or pd.isna(value) else f"{value:{sign}.{digits}f}"


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, float) or value is None:
        return Text(number(value))
    return Text(single_line(value))
