"""The bytes of a raw file, and how its contents are quoted in a message."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from ironore_lightning.config import FileSettings
from ironore_lightning.errors import DataError

_LONGEST = 60
_MOST = 12


def source_path(settings: FileSettings, root: Path) -> Path:
    """Where the file of `settings` lies; its bytes are what provenance hashes."""
    return root / settings.file


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        DataError: If it is missing, a folder or unreadable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file{_neighbour(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, expected a file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {one_line(error)}") from error


def quoted(value: object) -> str:
    """Show a value on one short line, so that a broken file cannot flood a message."""
    text = repr(value[: _LONGEST + 1]) if isinstance(value, str) else one_line(value)
    return text if len(text) <= _LONGEST + 2 else f"{text[:_LONGEST]}…"


def one_line(error: object) -> str:
    """Show what a library says on one line of bounded length."""
    text = " ".join(str(error)[:1000].split())
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}…"


def listed(names: Iterable[str]) -> str:
    """Quote names in a row, at most a dozen of them."""
    every = list(names)
    rest = f" and {len(every) - _MOST} more" if len(every) > _MOST else ""
    return ", ".join(quoted(name) for name in every[:_MOST]) + rest


def closest(name: str, names: Iterable[str]) -> str:
    """Suggest the one of `names` most like `name`, or nothing."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {quoted(close[0])}?" if close else ""


def _neighbour(path: Path) -> str:
    """Say what is there in place of a missing file."""
    if not path.parent.is_dir():
        return f", nor a folder {path.parent}; is data.root right?"
    return closest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
