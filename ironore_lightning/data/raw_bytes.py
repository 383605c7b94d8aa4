"""Read the bytes of a raw file within limits, and quote it in messages."""

import os
from collections.abc import Iterable
from pathlib import Path

from ironore_lightning.errors import DataError, closest
from ironore_lightning.settings.data import FileSettings

MAX_BYTES = 512 * 2**20
"""Largest file that is opened; ten years of daily curves take about 2 MB, and a million rows of
fourteen numbers 114 MB."""

MAX_CELLS = 5_000_000
"""Most cells of a table of text: a hundred years of days with two hundred columns."""

_LONGEST = 60
_MOST = 12


def source_path(settings: FileSettings, root: Path) -> Path:
    """Where the file of `settings` lies; its bytes are what provenance hashes."""
    return root / settings.file


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        DataError: If it is missing, no plain file, unreadable, empty or larger than `MAX_BYTES`.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            kind = "folder" if path.is_dir() else "device"
            raise DataError(f"{path}: is a {kind}, expected a file")
        if size > MAX_BYTES:
            raise DataError(f"{path.name}: has {size} bytes, may have {MAX_BYTES}")
        raw = path.read_bytes()
        if not raw:
            raise DataError(f"{path.name}: is empty (no bytes)")
        return raw
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file{_neighbour(path)}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {one_line(error)}") from error


def require_modest(file: str, num_cells: int, *, at_most: int = MAX_CELLS) -> None:
    """Raise `DataError` if a table would take more memory than any honest one."""
    if num_cells > at_most:
        raise DataError(f"{file}: has {num_cells} cells or more, may have {at_most}")


def missing_extra(file: str, extra: str) -> str:
    """Say how to install what reads a format."""
    return f'{file}: reading it needs an extra: pip install -e ".[{extra}]"'


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
    if path.is_symlink():
        return f"; it is a link to {path.readlink()}, which is not there"
    if not os.access(path.parent, os.R_OK):  # a folder that may be entered and not listed
        return ""
    return closest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
