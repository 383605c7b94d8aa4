"""Go on with an interrupted run: ``python train.py resume=<run folder>``."""

import re
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.errors import ConfigError, printable
from ironore_lightning.record import read_overrides
from ironore_lightning.status import STATUS_FILE

KEY = "resume="

SETTING = re.compile(r"((\+\+?)?(?=[^=]+=)|~)(?!hydra\b)\w+((\.\w+)+|(?!.*\.\.))(=.*)?")
"""A setting of a run: none of Hydra's own, which can name code, and no file outside of `conf/`."""


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Replace `resume=<run folder>` by the arguments that the run of that folder was started with.

    Args:
        arguments: Of the command line.

    Raises:
        ConfigError: If the folder holds no run, or something else is to be set.
    """
    wanted = [one for one in arguments if one.startswith(KEY)]
    if not wanted:
        return list(arguments)
    if len(arguments) > 1:
        others = " ".join(one for one in arguments if one != wanted[0])
        raise ConfigError(
            f"resume takes the run's own settings, and nothing beside them; leave out: {others}"
        )
    folder = Path(wanted[0].removeprefix(KEY))
    overrides = folder / ".hydra" / "overrides.yaml"
    if not overrides.is_file() or not (folder / STATUS_FILE).is_file():
        raise ConfigError(
            f"resume: {folder} holds no run that could go on; one that was stopped before it "
            f"started begins with its own command and hydra.run.dir={folder}"
        )
    if "${" in str(folder.absolute()):  # wherever the name goes, something else would stand there
        raise ConfigError(
            f"resume: {folder} holds ${{ in its name, which settings cannot; rename it"
        )
    # Before a quotation mark backslashes count, and nowhere else.
    quoted = re.sub(
        r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), str(folder)
    )
    return [
        *_read_settings(folder),
        "+resume=true",  # go on, or say why not: nothing begins anew that could be lost
        "hydra.mode=RUN",  # some members start many runs; this is one of them
        "hydra.output_subdir=null",  # what is in .hydra stays, and is never half written
        f"hydra.run.dir='{quoted}'",
    ]


def _read_settings(folder: Path) -> list[str]:
    """Read the settings of a run's command line, from whoever wrote the file.

    Raises:
        ConfigError: If it holds anything else.
    """
    lines = read_overrides(folder)
    for line in lines:
        if not SETTING.fullmatch(line) or line != printable(line):
            path = folder / ".hydra" / "overrides.yaml"
            raise ConfigError(f"{path}: {line[:80]!r} is no setting of a run")
    return lines
