"""Logging handlers for a console that may be closed, full, or lack a character."""

import io
import logging
import os
import sys
from typing import TextIO

from ironore_lightning.errors import printable


class Lines(logging.Formatter):
    """Formats printable lines: names and messages may come from untrusted files."""

    def format(self, record: logging.LogRecord) -> str:
        """Escape control characters."""
        return printable(super().format(record))


class Console(logging.StreamHandler[TextIO]):
    """Logs to standard output; if that is closed, the run continues with its log file.

    Python's handler would print a traceback for each line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Log to `stream`, which a worker of a multirun has not prepared."""
        super().__init__(stream)
        _accept_every_character(self.stream)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Silence the stream, with a warning unless its reader has closed the pipe."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        _silence_after(self.stream, error, "; the log has every line")


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
