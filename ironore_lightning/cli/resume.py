"""Expand ``resume=<run folder>`` into the arguments that the run was started with."""

import re
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.cli.arguments import parse, quoted
from ironore_lightning.errors import ConfigError, printable
from ironore_lightning.run_folder.layout import (
    STATUS_FILE,
    require_local_files,
    require_usable_name,
)
from ironore_lightning.run_folder.overrides import read_overrides

KEY = "resume="

RESUME_FLAG = "+resume=true"
"""Override of a resumed run, which lightning passes to its other processes.

Such a run resumes or fails; it never starts again and removes files.
"""

PLACES = ("--config-dir", "--config-name", "--config-path")
SEARCH_PATH = "hydra.searchpath="
"""Other folders of settings than `conf/`."""

SETTING = re.compile(r"((\+\+?)?(?=[^=]+=)|~)(?!hydra\b)\w+((\.\w+)+|(?!.*\.\.))(=.*)?")
"""A setting of a run: not one of Hydra's, which can name code, nor a file outside `conf/`."""


def expand_resume(arguments: Sequence[str]) -> list[str]:
    """Replace `resume=<run folder>` by the arguments that the run of that folder was started with.

    Folders of settings other than `conf/` must be given again, since an untrusted run folder must
    not name code.

    Args:
        arguments: Command line.

    Raises:
        ConfigError: If the folder holds no run, or something else is to be set.
    """
    given = vars(parse(arguments))
    overrides = given.pop("overrides")
    wanted = [
        override
        for override in overrides
        if override.lstrip("+").startswith(KEY) and override != RESUME_FLAG
    ]
    if not wanted:
        return list(arguments)
    flags = {f"--{name.replace('_', '-')}": value for name, value in given.items() if value}
    places = [f"{flag}={value}" for flag, value in flags.items() if flag in PLACES]
    places += [override for override in overrides if override.startswith(SEARCH_PATH)]
    others = [flag for flag in flags if flag not in PLACES]
    others += [override for override in overrides if override not in {wanted[0], *places}]
    if others:
        raise ConfigError(
            "resume takes the run's own settings, and nothing beside them; leave out: "
            f"{' '.join(others)}"
        )
    folder = Path(wanted[0].lstrip("+").removeprefix(KEY))
    require_local_files(folder)
    lines = folder / ".hydra" / "overrides.yaml"
    if not lines.is_file() or not (folder / STATUS_FILE).is_file():
        raise ConfigError(
            f"resume: {folder} holds no run that could go on; one that was stopped before it "
            f"started begins with its own command and hydra.run.dir={folder}"
        )
    require_usable_name(folder)
    return [
        *places,
        *_read_settings(folder),
        RESUME_FLAG,
        "hydra.mode=RUN",  # some config groups start a multirun
        "hydra.output_subdir=null",  # keep .hydra as it is
        f"hydra.run.dir={quoted(str(folder))}",
    ]


def _read_settings(folder: Path) -> list[str]:
    """Return the overrides of a run's command line; the file is untrusted.

    Raises:
        ConfigError: If it holds anything else.
    """
    lines = read_overrides(folder)
    for line in lines:
        if not SETTING.fullmatch(line) or line != printable(line):
            path = folder / ".hydra" / "overrides.yaml"
            raise ConfigError(f"{path}: {line[:80]!r} is no setting of a run")
    return lines
