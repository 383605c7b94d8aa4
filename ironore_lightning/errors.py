"""The errors a user can cause; each is a line that says what, where and what to do."""

import difflib
import errno
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

FAILED = 1
WRONG_INPUT = 2

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that a terminal obeys instead of showing: control characters but tab and line feed,
changes of the writing direction, and bytes of a file name that are no text."""


class IronOreError(Exception):
    """Base class of the errors that this package raises on purpose.

    Attributes:
        is_reported: Whether a person has been told.
    """

    is_reported = False

    @property
    def lines(self) -> list[str]:
        """One line for each mistake, with the kind of the error."""
        return [f"{type(self).__name__}: {line}" for line in printable(str(self)).splitlines()]


class ConfigError(IronOreError, ValueError):
    """A setting is wrong; one line a mistake, each naming its key."""


class DataError(IronOreError, ValueError):
    """A raw file or the table made of it is wrong; names file, column and first row or date."""


class LeakageError(IronOreError, ValueError):
    """Something would know the future: a feature, a split, or a baseline."""


class TrainingError(IronOreError, RuntimeError):
    """A fit went wrong while running; names the epoch."""


class MachineError(IronOreError, RuntimeError):
    """The machine failed, as by a full disk or memory; names the file, and what can be done."""


class RunPruned(Exception):  # noqa: N818 - nothing went wrong
    """A search stopped a run that promised less than the others."""


def printable(text: str) -> str:
    """Escape what a terminal would obey, as in names and messages from somebody else's files."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def single_line(text: object) -> str:
    """Write words from somebody else's file on one printable line."""
    return printable(" ".join(str(text).split()))


def exit_status(error: Exception) -> int:
    """Return 2 for wrong settings or data and 1 for a run that failed."""
    return WRONG_INPUT if isinstance(error, ConfigError | DataError) else FAILED


def report_error(error: IronOreError) -> int:
    """Print an error that was not printed before, and return the exit status."""
    if not error.is_reported:
        sys.stderr.writelines(f"{line}\n" for line in error.lines)
    return exit_status(error)


ADVICE = (
    ((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room on the disk"),
    ((errno.ENOENT,), "has its folder been removed or moved meanwhile?"),
    (
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
        "choose a folder that can be written",
    ),
)
"""What to do, by the number of an operating system's error."""


NO_MEMORY = re.compile(
    r"can('t|not) allocate memory|out of memory|failed to map segment|can't start new thread"
    r"|^quantization error$"  # so Pillow says it
)
"""Messages of libraries that run out of memory without a `MemoryError`."""


def is_refused(error: BaseException) -> bool:
    """Return whether the operating system refused something: a file, or memory."""
    if isinstance(error, IronOreError):  # which may quote what a file holds
        return False
    return isinstance(error, OSError) or _is_out_of_memory(error)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


def machine_error(error: BaseException, *, otherwise: str) -> MachineError:
    """Return an error that says where, what, and what can be done.

    Args:
        error: Of the operating system.
        otherwise: Where, if the error names no file.
    """
    if _is_out_of_memory(error):
        return MachineError(
            f"{otherwise}: out of memory; end other programs, or ask for less "
            "(training.batch_size, model.hidden_size, fewer jobs at once)"
        )
    assert isinstance(error, OSError)
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    advice = next((f"; {said}" for numbers, said in ADVICE if error.errno in numbers), "")
    return MachineError(f"{error.filename or otherwise}: {reason}{advice}")


def translate_error(error: Exception) -> IronOreError:
    """Return an error of a user or the machine as one of ours; raise any other."""
    if isinstance(error, IronOreError):
        return error
    if is_refused(error):
        return machine_error(error, otherwise="this machine")
    raise error


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known name most like `name`, or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


@contextmanager
def machine_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a `MachineError`."""
    try:
        yield
    except Exception as error:
        if not is_refused(error):
            raise
        raise machine_error(error, otherwise=str(folder)) from error
