"""Standard output that may be gone: a closed pipe, a full device, no terminal at all."""

import logging
import os
import sys
from typing import TextIO

TEST_RESULTS = "ironore_lightning.test_results"
"""Logger of what a run says of its test segment."""


class Console(logging.StreamHandler[TextIO]):
    """Log to standard output; where that is gone the run goes on, for its own log has every line.

    Python's own handler would print a traceback for each line.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Be silent from now on, and say so unless a reader has simply seen enough."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        silence(self.stream)
        if not isinstance(error, BrokenPipeError):
            reason = (error.strerror or str(error)).lower()
            sys.stderr.write(f"warning: standard output: {reason}; the log has every line\n")


class RunLog(logging.FileHandler):
    """Log to the file of a run; a log that cannot be written ends the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Let the operating system's error through, naming the file."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        raise OSError(error.errno, error.strerror, self.baseFilename) from error


def say(text: str) -> None:
    """Write to standard output, where somebody may have stopped to read."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def open_missing_streams() -> None:
    """Give a process that was started without standard output or error somewhere to write."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def silence(stream: TextIO) -> None:
    """Lead a stream nowhere, with what it still holds; Python would fail to write that at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
