"""Go on with an interrupted run: ``python train.py resume=<run folder>``."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from ironore_lightning.errors import ConfigError
from ironore_lightning.status import STATUS_FILE

KEY = "resume="


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
        raise ConfigError(f"resume: {folder} holds no run that could go on")
    own = [str(line) for line in yaml.safe_load(overrides.read_text(encoding="utf-8")) or []]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    # Some members start many runs; this is one of them.
    return [*own, "hydra.mode=RUN", f"hydra.run.dir='{quoted}'"]
