"""Write files whole or not at all, and read files of a run folder within limits."""

import json
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ironore_lightning.errors import ConfigError, printable, single_line

if TYPE_CHECKING:  # train.py needs this module for its --help, which has no time for pandas
    import pandas as pd


Known = TypeVar("Known")


LARGEST_JSON = 4 * 2**20
"""Largest JSON file that is read, in bytes; results with 5,000 columns take half a megabyte."""

LONGEST_REASON = 200
"""Most characters of a message that may quote a file."""

FORMULA = re.compile(r"[=@\t\r]|[+-](?!(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|inf$)", re.IGNORECASE)
"""Start of text that a spreadsheet would calculate; a signed number is not."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: under a temporary name, then rename.

    A missing folder is an error: a run whose folder was removed must notice. The temporary file
    is always a new one, so that a link of that name is not followed.

    Raises:
        OSError: Naming `path`; the previous file stays.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.unlink(missing_ok=True)  # left by a killed process, or planted
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # free the space of the partial file
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_bytes(path, readable(text).encode("utf-8"))


def readable(text: object) -> str:
    """Return text with escapes for what is not UTF-8, such as bytes of a file name."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON atomically; undefined values must be None, since JSON has no NaN."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Read a file of a run folder.

    Raises:
        ConfigError: If it is missing, no file, larger than `largest`, or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path}: is no file")
        if found.st_size > largest:
            raise ConfigError(f"{path}: has {found.st_size} bytes, may have {largest}")
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None


def read_json(path: Path, known: type[Known]) -> Known:
    """Read the known fields of a JSON file, checked for type and bounds.

    Args:
        path: JSON file.
        known: Type to validate against; a strict model where the values matter.

    Raises:
        ConfigError: If the file cannot be read or holds something else.
    """
    from pydantic import TypeAdapter, ValidationError  # slow to import; --help must be quick

    try:
        content = read_bytes(path, largest=LARGEST_JSON)
        return TypeAdapter(known).validate_json(content)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, mistake["loc"])) or "the whole"
        message = short_reason(mistake["msg"].removeprefix("Value error, "))
        if mistake["type"] in {"missing", "extra_forbidden"}:
            message += "; another version of this project may have written the file"
        raise ConfigError(f"{path}: {short_reason(where)}: {message}") from None


def short_reason(error: object) -> str:
    """Return a message as one line of bounded length; it may quote a file."""
    line = single_line(error)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def write_csv(path: Path, frame: "pd.DataFrame", *, index: bool) -> None:
    """Write a table; numbers read back to the same bits, and text is never a formula."""
    import pandas as pd

    columns = [cells.map(_cell) if cells.dtype.kind == "O" else cells for _, cells in frame.items()]
    cells = pd.DataFrame(dict(enumerate(columns)), index=frame.index)
    cells.columns = pd.Index([_cell(name) for name in frame.columns])
    write_text(path, cells.to_csv(index=index, lineterminator="\n"))


def _cell(value: object) -> object:
    """Return text that a spreadsheet shows and does not calculate."""
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if FORMULA.match(value) else value)
