"""The grid sweeper: every combination of values, each in a folder of its own name."""

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from hydra.core.override_parser.types import Override, RangeSweep

from ironore_lightning.errors import ConfigError
from ironore_lightning.sweep.sweeper import (
    MAX_RUNS,
    RunSweeper,
    launch,
    require_none_refused,
    require_right_jobs,
)

LONGEST_NAME = 120
"""Characters of a folder name; file systems allow 255 bytes."""

SINGLE = "run"
"""Folder of the only job of a multirun that sweeps nothing."""


class GridSweeper(RunSweeper):
    """Hydra's basic sweeper, but with folders that the same command finds again.

    Args:
        params: Values by setting, as Hydra writes sweeps; the command line comes after them.
    """

    __module__ = "hydra_plugins.ironore_lightning"  # Hydra admits no plugin from elsewhere

    def __init__(self, params: Mapping[str, str]) -> None:
        """Keep what `conf/` wants to be swept."""
        self.params = params

    def sweep(self, arguments: list[str]) -> None:
        """Run every combination; those that are finished in their folder are not repeated.

        Args:
            arguments: Overrides; `split.fold=all` stands for all folds that the data have.

        Raises:
            ConfigError: If a value cannot be enumerated, a setting of a job is wrong, or another
                sweep works in the folder.
        """
        # The settings take time to import, which --help and TAB do not have.
        from ironore_lightning.sweep.folds import with_all_folds

        params = [f"{key}={value}" for key, value in self.params.items()]
        every = with_all_folds([*params, *arguments], self.config, self.hydra_context)
        jobs = combinations(self.parse(every))
        require_right_jobs(jobs, self.config, self.hydra_context)
        with self.locked():
            results = launch(self.launcher, jobs)
        require_none_refused(results)


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job, its folder among them; later overrides win.

    Raises:
        ConfigError: If there is an interval, which has no list of values, or an empty range, or if
            there would be more than `MAX_RUNS` jobs.
    """
    latest = {override.get_key_element(): override for override in overrides}
    values = {
        key: _values(key, override) if override.is_sweep_override() else [str(override.input_line)]
        for key, override in latest.items()
    }
    swept = {key: len(found) for key, found in values.items() if len(found) > 1}
    total = math.prod(swept.values())
    if total > MAX_RUNS:
        said = " x ".join(f"{key} ({count} values)" for key, count in swept.items())
        raise ConfigError(f"{said}: {total} runs, a multirun may have {MAX_RUNS}")
    is_swept = [key in swept for key in values]
    return [
        [*job, f"hydra.sweep.subdir='{folder_name(itertools.compress(job, is_swept))}'"]
        for job in itertools.product(*values.values())
    ]


def _values(key: str, override: Override) -> list[str]:
    """Return the distinct values of a swept override."""
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.input_line}: a grid needs values; an interval is for hydra/sweeper=optuna"
        )
    sweep = override.value()
    if isinstance(sweep, RangeSweep) and sweep.step:
        assert sweep.start is not None
        assert sweep.stop is not None
        count = -((sweep.start - sweep.stop) // sweep.step)
        if not count <= MAX_RUNS:  # nor is it a number, where an end is infinite
            raise ConfigError(
                f"{override.input_line}: {count:,} values, a multirun may have {MAX_RUNS} runs"
            )
    found = dict.fromkeys(override.sweep_string_iterator())
    if not found:
        raise ConfigError(f"{override.input_line}: there is no value in it")
    return [f"{key}={value}" for value in found]


def folder_name(overrides: Iterable[str]) -> str:
    """Return the folder name of a job: the overrides that differ between jobs.

    What a folder cannot be called is replaced, and a digest of the whole keeps names apart.
    """
    said = ",".join(overrides)
    name = re.sub(r"[^\w.,=+-]+", "-", said, flags=re.ASCII)
    if len(name) > LONGEST_NAME or name != said:
        digest = hashlib.sha256(said.encode()).hexdigest()[:8]
        name = f"{name[:LONGEST_NAME]}-{digest}"
    return name or SINGLE
