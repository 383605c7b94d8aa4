"""Errors caused by the user or the machine, and how they are reported: one line each."""

import difflib
import errno
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

FAILED = 1
WRONG_INPUT = 2
FAULTY_RECORD = 3
NO_FORECAST = 4

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that a terminal obeys instead of showing: control characters but tab and line feed,
changes of the writing direction, and bytes of a file name that are no text."""


class IronOreError(Exception):
    """Base class of the errors that this package raises on purpose.

    Attributes:
        is_reported: Whether it has been printed or logged.
    """

    is_reported = False

    @property
    def lines(self) -> list[str]:
        """One line for each mistake, with the kind of the error."""
        return [f"{type(self).__name__}: {line}" for line in printable(str(self)).splitlines()]


class ConfigError(IronOreError, ValueError):
    """A setting is wrong; the message has one line per mistake, which names the key."""


class DataError(IronOreError, ValueError):
    """A raw file or the table made of it is wrong; names file, column and first row or date."""


class RecordError(DataError):
    """The record of a desk is not what was written; the message names the first such entry."""


class LeakageError(IronOreError, ValueError):
    """Something would know the future: a feature, a split, or a baseline."""


class TrainingError(IronOreError, RuntimeError):
    """Training failed; the message names the epoch."""


class MachineError(IronOreError, RuntimeError):
    """The disk or memory is full, or a file cannot be used; the message says what to do."""


class RunPruned(Exception):  # noqa: N818 - nothing went wrong
    """A search stopped an unpromising run early."""


def printable(text: str) -> str:
    """Escape control characters, which names and messages from untrusted files may hold."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def single_line(text: object) -> str:
    """Return text from an untrusted file as one printable line."""
    return printable(" ".join(str(text).split()))


def exit_status(error: Exception) -> int:
    """Return 2 for wrong settings or data, 3 for a faulty record, and 1 for what failed."""
    if isinstance(error, RecordError):
        return FAULTY_RECORD
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
"""Advice by errno."""

NO_MEMORY = re.compile(
    r"can('t|not) allocate memory|out of memory|failed to map segment|can't start new thread"
    r"|^quantization error$"  # Pillow's message
)
"""Messages of libraries that run out of memory without a `MemoryError`."""


def is_refused(error: BaseException) -> bool:
    """Return whether the operating system refused access to a file, or memory."""
    if isinstance(error, IronOreError):  # its message may quote a file
        return False
    return isinstance(error, OSError) or _is_out_of_memory(error)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


def machine_error(error: BaseException, *, otherwise: str) -> MachineError:
    """Return an error that says where, what, and what can be done.

    Args:
        error: What the operating system raised.
        otherwise: Place to name if the error names no file.
    """
    if _is_out_of_memory(error):
        return MachineError(
            f"{otherwise}: out of memory; end other programs, or ask for less "
            "(training.batch_size, model.hidden_size, fewer jobs at once)"
        )
    assert isinstance(error, OSError)
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    advice = next((f"; {hint}" for numbers, hint in ADVICE if error.errno in numbers), "")
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


def missing_extra(package: str, extra: str) -> str:
    """Return the words that a package is missing, and what installs it here.

    Args:
        package: Name that people know it by.
        extra: Extra of this package that brings it.
    """
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "pyproject.toml").is_file():
        wanted = f'"ironore_lightning[{extra}]"'
    else:
        wanted = f'-e "{"." if Path.cwd() == checkout else checkout}[{extra}]"'
    return f"{package} is not installed; install it with pip install {wanted}"


@contextmanager
def machine_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system into a `MachineError`."""
    try:
        yield
    except Exception as error:
        if not is_refused(error):
            raise
        raise machine_error(error, otherwise=str(folder)) from error
