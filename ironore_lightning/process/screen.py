"""Rich on a terminal: lines and a progress bar, in which no text is obeyed as a command."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment
from rich.text import Text

from ironore_lightning.errors import printable


class Screen(Console):
    """A terminal; colours end with NO_COLOR, and widths follow its window."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal of `stream`."""
        super().__init__(file=stream, force_terminal=True, markup=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Raise the error, as for any other one; rich would end the process."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error

    def show(self, part: RenderableType) -> None:
        """Print text, wrapped between words, or a table.

        A path that is longer than a line is left to the terminal, from which it can be copied.
        """
        if isinstance(part, str):
            is_too_long = any(len(word) > self.width for word in part.split())
            part = Text(part, overflow="ignore" if is_too_long else "fold")
        self.print(_Escaped(part), crop=False)


class _Escaped:
    """What is drawn, with control characters escaped, whatever file they come from."""

    def __init__(self, drawn: RenderableType) -> None:
        self.drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        for segment in console.render(self.drawn, options):
            text = segment.text if segment.control else printable(segment.text)
            yield segment._replace(text=text)


@lru_cache(maxsize=1)
def screen(stream: TextIO) -> Screen:
    """Return the screen of a stream: the same one for its lines and its bar."""
    return Screen(stream)


class Bar:
    """A progress bar at the foot of a terminal, which leaves nothing behind.

    It is drawn when something has happened, so it needs no thread, and processes can be forked
    beside it.

    Args:
        stream: A terminal.
        total: Steps until the end.
        done: Steps before this start.
        unit: What a step is.
    """

    def __init__(self, stream: TextIO, *, total: int, done: int, unit: str) -> None:
        """Draw the bar."""
        self.progress = Progress(
            TextColumn("{task.description}", style="dim", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=screen(stream),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.task = self.progress.add_task(unit, total=total, completed=done, note="")
        self.progress.start()
        self.progress.refresh()

    def advance(self, note: str) -> None:
        """Go one step further, with a few words beside the bar."""
        self.progress.update(self.task, advance=1, note=printable(note), refresh=True)

    def close(self) -> None:
        """Remove the bar."""
        self.progress.stop()
