"""The files that a run leaves: written whole or not at all, and read as somebody else's."""

import hashlib
import json
import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ironore_lightning.errors import ConfigError, printable, single_line

if TYPE_CHECKING:  # train.py needs this module for its --help, which has no time for pandas
    import pandas as pd

PACKAGES = (
    "ironore_lightning",
    "torch",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "pydantic",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "arch",
    "matplotlib",
)
PROJECT = Path(__file__).resolve().parent.parent

GIT_SECONDS = 10
"""How long git may take, as on a network that does not answer; then its state is not known."""
RESULTS_FILE = "final_results.json"
PROVENANCE_FILE = "provenance.json"

Known = TypeVar("Known")

LARGEST_JSON = 4 * 2**20
"""Bytes that are read of results, provenance and status; those of 5,000 columns have half a
megabyte."""

LARGEST_OVERRIDES = 2**18
"""Bytes that are read of a command line; its YAML takes a second at most."""

LONGEST_REASON = 200
"""Characters of a message that may quote what a file holds."""

FORMULA = re.compile(r"[=@\t\r]|[+-](?!(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|inf$)", re.IGNORECASE)
"""How text begins that a spreadsheet would calculate; a number with its sign is none."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename, so that half a file is never found.

    The folder is not made: one that has vanished while its run went on shall be missed. The
    temporary file is a new one: what a link of that name leads to is not written to.

    Raises:
        OSError: Naming `path`; what was there before stays.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.unlink(missing_ok=True)  # left by a kill, or put there by somebody else
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # half a file would hold the room that others need
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    write_bytes(path, readable(text).encode("utf-8"))


def readable(text: object) -> str:
    """Replace what is not UTF-8, as in the name of a file, by escapes; JSON reads those back."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON; what is undefined must come as None, for JSON knows no NaN."""
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
    """Take from a JSON file of a run folder what is known, if its types and bounds are right.

    Args:
        path: Of the file.
        known: What to take, strict about types if the values matter.

    Raises:
        ConfigError: If the file cannot be read or holds something else.
    """
    from pydantic import TypeAdapter, ValidationError  # takes time that --help does not have

    try:
        content = read_bytes(path, largest=LARGEST_JSON)
        return TypeAdapter(known).validate_json(content)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, mistake["loc"])) or "the whole"
        message = mistake["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path}: {short_reason(where)}: {short_reason(message)}") from None


def short_reason(error: object) -> str:
    """Say on a line of bounded length what is wrong with a file, which the message may quote."""
    line = single_line(error)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def read_overrides(folder: Path) -> list[str]:
    """Read what the command line of a run set: a YAML list of text, and nothing else.

    Raises:
        ConfigError: If the file cannot be read or holds something else.
    """
    import yaml  # likewise

    path = folder / ".hydra" / "overrides.yaml"
    try:
        text = read_bytes(path, largest=LARGEST_OVERRIDES).decode("utf-8")
        # Tags, anchors and nested values are never built: these are the words as written.
        events = list(yaml.parse(text, Loader=yaml.BaseLoader))[2:-2]  # within the document
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is no YAML: {short_reason(error)}") from None
    kinds = [type(event) for event in events if not isinstance(event, yaml.ScalarEvent)]
    if kinds != [yaml.SequenceStartEvent, yaml.SequenceEndEvent]:
        raise ConfigError(f"{path}: holds no list of settings")
    return [event.value for event in events if isinstance(event, yaml.ScalarEvent)]


def write_csv(path: Path, frame: "pd.DataFrame", *, index: bool) -> None:
    """Write a table; its numbers read back to the same bits, and its text is no formula."""
    import pandas as pd

    columns = [one.map(_cell) if one.dtype.kind == "O" else one for _, one in frame.items()]
    cells = pd.DataFrame(dict(enumerate(columns)), index=frame.index)
    cells.columns = pd.Index([_cell(name) for name in frame.columns])
    write_text(path, cells.to_csv(index=index, lineterminator="\n"))


def _cell(value: object) -> object:
    """Return text as a spreadsheet is to show it."""
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if FORMULA.match(value) else value)


def provenance(
    *,
    seed: int,
    digests: Mapping[str, str],
    features: "pd.DataFrame",
    target: "pd.DataFrame",
    training: range,
) -> dict[str, Any]:
    """Say what a run was made of: command, code, versions, seed, input files and built table.

    Args:
        seed: Of the run.
        digests: SHA-256 by input file.
        features: As the model reads them, unscaled, shape (T, F).
        target: By origin, T rows.
        training: Rows of the training segment.
    """
    from importlib.metadata import version  # takes time that --help does not have

    return {
        "command": [Path(sys.executable).name, *sys.argv],
        "git": _git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "seed": seed,
        "input_sha256": dict(digests),
        "table_sha256": table_digest(features, target),
        "training_sha256": column_digests(features.iloc[training.start : training.stop]),
    }


def column_digests(frame: "pd.DataFrame") -> dict[str, str]:
    """Hash each column with its dates, so that a restated one can be named."""
    from pandas.util import hash_pandas_object

    return {
        str(name): hashlib.sha256(hash_pandas_object(frame[name]).to_numpy().tobytes()).hexdigest()
        for name in frame
    }


def table_digest(features: "pd.DataFrame", target: "pd.DataFrame") -> str:
    """Hash the dates, names and values of what a model is trained on."""
    from pandas.util import hash_pandas_object

    digest = hashlib.sha256(json.dumps(list(features.columns)).encode())
    for frame in (features, target):
        digest.update(hash_pandas_object(frame).to_numpy().tobytes())
    return digest.hexdigest()


def _git_state() -> dict[str, Any]:
    """Return commit and dirtiness of the code; None where it is not a checkout or has no git."""
    try:
        commit = _git("rev-parse", "HEAD").decode().strip()
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def _git(*arguments: str) -> bytes:
    """Ask git of the project's own checkout, and of none around it or named by a variable."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    checkout = (f"--git-dir={PROJECT / '.git'}", f"--work-tree={PROJECT}")
    result = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        ["git", *checkout, *arguments],  # noqa: S607 - git from the user's PATH
        capture_output=True,
        check=True,
        cwd=PROJECT,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        timeout=GIT_SECONDS,
    )
    return result.stdout
