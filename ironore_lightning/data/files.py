"""The bytes of a raw file, and how its contents are quoted in a message."""

from collections.abc import Iterable
from pathlib import Path

from ironore_lightning.config.data import FileSettings
from ironore_lightning.errors import DataError, closest

_LONGEST = 60
_MOST = 12


def source_path(settings: FileSettings, root: Path) -> Path:
    """Where the file of `settings` lies; its bytes are what provenance hashes."""
    return root / settings.file


def read_bytes(path: Path, *, at_most: int | None = None) -> bytes:
    """Read a whole file.

    Raises:
        DataError: If it is missing, no plain file, unreadable, or has more bytes than `at_most`.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            kind = "folder" if path.is_dir() else "device"
            raise DataError(f"{path}: is a {kind}, expected a file")
        if at_most is not None and size > at_most:
            raise DataError(f"{path.name}: has {size} bytes, may have {at_most}")
        return path.read_bytes()
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file{_neighbour(path)}") from None
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


def _neighbour(path: Path) -> str:
    """Say what is there in place of a missing file."""
    if not path.parent.is_dir():
        return f", nor a folder {path.parent}; is data.root right?"
    return closest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
