"""Logging handlers for a console that may be closed, full, or lack a character."""

import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from ironore_lightning.errors import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ironore_lightning.process.screen import Bar

LOG_ONLY = {"log_only": True}
"""`extra` of a record that the console does not show."""

ERASE_LINE = "\r\x1b[2K"


class Lines(logging.Formatter):
    """Formats printable lines: names and messages may come from untrusted files."""

    def format(self, record: logging.LogRecord) -> str:
        """Escape control characters."""
        return printable(super().format(record))


class Console(logging.StreamHandler[TextIO]):
    """Logs to standard output; if that is closed, the run continues with its log file.

    Python's handler would print a traceback for each line. A message that is no text, such as a
    table, is drawn for the width of a terminal; everywhere else it is written as its `str`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Log to `stream`, which a worker of a multirun has not prepared."""
        super().__init__(stream)
        _accept_every_character(self.stream)

    def handle(self, record: logging.LogRecord) -> bool:
        """Leave out what is `LOG_ONLY`."""
        return not getattr(record, "log_only", False) and bool(super().handle(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Draw on a terminal, or write a line."""
        if not self.stream.isatty():
            super().emit(record)
            return
        try:
            _draw(self.format(record) if isinstance(record.msg, str) else record.msg, self.stream)
        except Exception:  # as every handler of Python does
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Silence the stream, with a warning unless its reader has closed the pipe."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        has_log = any(isinstance(handler, RunLog) for handler in logging.getLogger().handlers)
        _silence_after(self.stream, error, "; the log has every line" if has_log else "")


class Errors(logging.StreamHandler[TextIO]):
    """Logs to standard error, in place of a progress bar that may stand on the same terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Erase the line of the bar first."""
        if self.stream.isatty():
            self.stream.write(ERASE_LINE)
        super().emit(record)


class RunLog(logging.FileHandler):
    """Logs to the file of a run; a write error ends the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Raise the operating system's error, naming the file."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        raise OSError(error.errno, error.strerror, self.baseFilename) from error


def print_safely(text: str) -> None:
    """Write to standard output, which may be full or closed."""
    try:
        sys.stdout.write(printable(text))
        sys.stdout.flush()
    except OSError as error:
        _silence_after(sys.stdout, error)


def print_parts(parts: Iterable[object]) -> None:
    """Print lines and tables to standard output, as `Console` shows messages."""
    console = Console(sys.stdout)
    console.setFormatter(Lines())
    for part in parts:
        console.handle(logging.makeLogRecord({"msg": part}))


@contextmanager
def printed() -> Iterator[None]:
    """Print what our own modules log, as a run of the command line does."""
    console = Console(sys.stdout)
    console.setFormatter(Lines("%(message)s"))
    log = logging.getLogger("ironore_lightning")
    log.setLevel(logging.INFO)
    log.addHandler(console)
    try:
        yield
    finally:
        log.removeHandler(console)


def open_bar(*, total: int, done: int, unit: str) -> "Bar | None":
    """Open a progress bar on standard output; None where that is no terminal or shows no lines."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, Console)]
    shows_lines = any(handler.level <= logging.INFO for handler in handlers)
    if not (shows_lines and sys.stdout.isatty()):
        return None
    from ironore_lightning.process.screen import Bar

    return Bar(sys.stdout, total=total, done=done, unit=unit)


def quieten(level: int) -> None:
    """Let the console of this process show records from `level` on only; logs keep them all."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Console):
            handler.setLevel(level)


def short_path(path: Path) -> str:
    """Return a path relative to the working directory if it is below that."""
    with suppress(ValueError, OSError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)


def open_streams() -> None:
    """Make standard output and error accept any text, even if they are missing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        _accept_every_character(getattr(sys, name))


def silence(stream: TextIO) -> None:
    """Redirect a stream to the null device; Python would fail to flush it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _draw(part: object, stream: TextIO) -> None:
    # Rich takes a tenth of a second to import, which --help and a file do not need.
    from ironore_lightning.process.screen import screen

    screen(stream).show(cast("RenderableType", part))


def _accept_every_character(stream: TextIO) -> None:
    """Replace characters outside the stream's encoding by question marks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _silence_after(stream: TextIO, error: OSError, remark: str = "") -> None:
    """Silence a stream, with a warning unless its reader has closed the pipe."""
    silence(stream)
    if not isinstance(error, BrokenPipeError):
        reason = (error.strerror or str(error)).lower()
        sys.stderr.write(f"warning: standard output: {reason}{remark}\n")
