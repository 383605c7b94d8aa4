"""Logging handlers for a console that may be closed, full, or lack a character."""

import io
import logging
import os
import sys
from typing import TextIO

from ironore_lightning.errors import printable

TEST_RESULTS = "ironore_lightning.test_results"
"""Logger of what a run says of its test segment."""


class Lines(logging.Formatter):
    """Write lines for people: names and messages in them may come from somebody else's files."""

    def format(self, record: logging.LogRecord) -> str:
        """Escape what a terminal would obey."""
        return printable(super().format(record))


class Console(logging.StreamHandler[TextIO]):
    """Log to standard output; where that is gone the run goes on, for its own log has every line.

    Python's own handler would print a traceback for each line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Log to `stream`; a worker of a multirun has opened none itself."""
        super().__init__(stream)
        _accept_every_character(self.stream)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Be silent from now on, and say so unless a reader has simply seen enough."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        _give_up(self.stream, error, "; the log has every line")


class RunLog(logging.FileHandler):
    """Log to the file of a run; a log that cannot be written ends the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Let the operating system's error through, naming the file."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        raise OSError(error.errno, error.strerror, self.baseFilename) from error


def print_safely(text: str) -> None:
    """Write to standard output, which may be full, or whose reader may have seen enough."""
    try:
        sys.stdout.write(printable(text))
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout, error)


def open_streams() -> None:
    """Let standard output and error take whatever is written, if only to lose it.

    A process may be started without them, and a console may lack a character.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        _accept_every_character(getattr(sys, name))


def silence(stream: TextIO) -> None:
    """Lead a stream nowhere, with what it still holds; Python would fail to write that at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _accept_every_character(stream: TextIO) -> None:
    """Write a question mark for what the stream's encoding does not have."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _give_up(stream: TextIO, error: OSError, remark: str = "") -> None:
    """Silence a stream, and say so unless its reader has simply left."""
    silence(stream)
    if not isinstance(error, BrokenPipeError):
        reason = (error.strerror or str(error)).lower()
        sys.stderr.write(f"warning: standard output: {reason}{remark}\n")
