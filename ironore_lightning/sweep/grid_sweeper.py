"""The grid sweeper: runs every combination of values, each in a folder named after them."""

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from hydra.core.override_parser.types import Override, RangeSweep

from ironore_lightning.errors import ConfigError
from ironore_lightning.sweep.jobs import require_right_jobs
from ironore_lightning.sweep.sweeper import (
    MAX_RUNS,
    RunSweeper,
    launch,
    require_none_refused,
)

LONGEST_NAME = 120
"""Most characters of a folder name; file systems allow 255 bytes."""

SINGLE = "run"
"""Folder of the only job of a multirun that sweeps nothing."""


class GridSweeper(RunSweeper):
    """Hydra's basic sweeper with stable folder names, so that a repeated command resumes.

    Args:
        params: Values by setting, as Hydra writes sweeps; the command line comes after them.
    """

    __module__ = "hydra_plugins.ironore_lightning"  # Hydra accepts no other package

    def __init__(self, params: Mapping[str, str]) -> None:
        """Keep the sweep of `conf/`."""
        self.params = params

    def sweep(self, arguments: list[str]) -> None:
        """Run every combination; finished runs are not repeated.

        Args:
            arguments: Overrides; `split.fold=all` stands for all folds of the data.

        Raises:
            ConfigError: If a value cannot be enumerated, a setting of a job is wrong, or another
                sweep works in the folder.
        """
        # Slow to import; --help and TAB completion must be quick.
        from ironore_lightning.sweep.folds import with_all_folds
        from ironore_lightning.sweep.progress import sweep_progress, varying

        params = [f"{key}={value}" for key, value in self.params.items()]
        every = with_all_folds([*params, *arguments], self.config, self.hydra_context)
        jobs = combinations(self.parse(every))
        require_right_jobs(jobs, self.composer)
        monitor = str(self.config.monitor)
        with (
            self.locked(),
            sweep_progress(total=len(jobs), keys=varying(jobs), monitor=monitor) as progress,
        ):
            results = launch(self.launcher, jobs, on_end=progress.report)
        require_none_refused(results)


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job, including its folder; later overrides win.

    Raises:
        ConfigError: For an interval, an empty range, or more than `MAX_RUNS` jobs.
    """
    latest = {override.get_key_element(): override for override in overrides}
    values = {
        key: _values(key, override) if override.is_sweep_override() else [str(override.input_line)]
        for key, override in latest.items()
    }
    swept = {key: len(options) for key, options in values.items() if len(options) > 1}
    total = math.prod(swept.values())
    if total > MAX_RUNS:
        factors = " x ".join(f"{key} ({count} values)" for key, count in swept.items())
        raise ConfigError(f"{factors}: {total} runs, a multirun may have {MAX_RUNS}")
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
        if not count <= MAX_RUNS:  # also true for NaN, from an infinite end
            raise ConfigError(
                f"{override.input_line}: {count:,} values, a multirun may have {MAX_RUNS} runs"
            )
    values = dict.fromkeys(override.sweep_string_iterator())
    if not values:
        raise ConfigError(f"{override.input_line}: there is no value in it")
    return [f"{key}={value}" for value in values]


def folder_name(overrides: Iterable[str]) -> str:
    """Return the folder name of a job: the overrides that differ between jobs.

    Characters unfit for a folder name are replaced; a digest then keeps the name unique.
    """
    label = ",".join(overrides)
    name = re.sub(r"[^\w.,=+-]+", "-", label, flags=re.ASCII)
    if len(name) > LONGEST_NAME or name != label:
        digest = hashlib.sha256(label.encode()).hexdigest()[:8]
        name = f"{name[:LONGEST_NAME]}-{digest}"
    return name or SINGLE
