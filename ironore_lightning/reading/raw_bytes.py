"""Read raw files within limits, and quote their content in messages."""

import gzip
import io
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from ironore_lightning.errors import DataError, closest
from ironore_lightning.settings.files import FileSettings

MAX_BYTES = 512 * 2**20
"""Largest file; ten years of daily curves take about 2 MB, a million rows of fourteen numbers
114 MB."""

MAX_CELLS = 5_000_000
"""Most cells of a text table: a hundred years of days with two hundred columns."""

_MAX_QUOTED = 60
_MAX_LISTED = 12


def source_path(settings: FileSettings, root: Path) -> Path:
    """Return the path of the file of `settings`."""
    return root / settings.file


def require_files(paths: Iterable[Path]) -> None:
    """Raise `DataError` for the first file that is missing."""
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: there is no such file{_missing_hint(path)}")


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
        raise DataError(f"{path}: there is no such file{_missing_hint(path)}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {one_line(error)}") from error


def unpacked(file: str, raw: bytes) -> bytes:
    """Return what is in a gzip file; other bytes as they are, judged by the name of the file.

    Raises:
        DataError: If it is no whole gzip file, or holds more than `MAX_BYTES`.
    """
    if not file.lower().endswith(".gz"):
        return raw
    try:
        with gzip.open(io.BytesIO(raw)) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: is not a whole gzip file: {one_line(error)}") from None
    if len(content) > MAX_BYTES:
        raise DataError(f"{file}: unpacks to {len(content)} bytes or more, may have {MAX_BYTES}")
    return content


def require_few_cells(file: str, num_cells: int, *, at_most: int = MAX_CELLS) -> None:
    """Raise `DataError` if a table has too many cells for memory."""
    if num_cells > at_most:
        raise DataError(f"{file}: has {num_cells} cells or more, may have {at_most}")


def quoted(value: object) -> str:
    """Return a value in quotes on one short line, for a message."""
    text = repr(value[: _MAX_QUOTED + 1]) if isinstance(value, str) else one_line(value)
    return text if len(text) <= _MAX_QUOTED + 2 else f"{text[:_MAX_QUOTED]}…"


def one_line(error: object) -> str:
    """Return the message of an error on one line of bounded length."""
    text = " ".join(str(error)[:1000].split())
    return text if len(text) <= 2 * _MAX_QUOTED else f"{text[: 2 * _MAX_QUOTED]}…"


def listed(names: Iterable[str]) -> str:
    """Return quoted names, at most a dozen of them."""
    every = list(names)
    rest = f" and {len(every) - _MAX_LISTED} more" if len(every) > _MAX_LISTED else ""
    return ", ".join(quoted(name) for name in every[:_MAX_LISTED]) + rest


def _missing_hint(path: Path) -> str:
    """Return a hint about a missing file: its folder, its link, or a similar name."""
    if not path.parent.is_dir():
        return f", nor a folder {path.parent}; is data.root right?"
    if path.is_symlink():
        return f"; it is a link to {path.readlink()}, which is not there"
    if not os.access(path.parent, os.R_OK):  # a folder that may be entered and not listed
        return ""
    return closest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
