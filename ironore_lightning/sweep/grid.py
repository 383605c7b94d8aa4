"""Every combination of the values asked for, each in a folder named by what tells it apart."""

import copy
import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ironore_lightning.errors import ConfigError
from ironore_lightning.files import write_text
from ironore_lightning.run_folder.status import lock_folder
from ironore_lightning.sweep.outcomes import require_none_refused

LONGEST_NAME = 120
"""Characters of a folder name; file systems allow 255 bytes."""

MAX_RUNS = 10_000
"""Most runs of a multirun: a year of them, an hour each, or a week of the smallest."""

SINGLE = "run"
"""Folder of the one job of a multirun over nothing."""


class GridSweeper(Sweeper):
    """Hydra's basic sweeper, but with folders that the same command finds again.

    Args:
        params: Values by setting, as Hydra writes sweeps; the command line comes after them.
    """

    __module__ = "hydra_plugins.ironore_lightning"  # Hydra admits no plugin from elsewhere

    def __init__(self, params: Mapping[str, str]) -> None:
        """Keep what `conf/` wants to be swept."""
        self.params = params

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra knows, and make the launcher."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run every combination; those that are finished in their folder are not repeated.

        Args:
            arguments: Overrides; `split.fold=all` stands for all folds that the data have.

        Raises:
            ConfigError: If a value cannot be enumerated, a setting of a job is wrong, or another
                sweep works in the folder.
        """
        assert self.config is not None
        assert self.hydra_context is not None
        params = [f"{key}={value}" for key, value in self.params.items()]
        # The settings take time to import, which --help and TAB do not have.
        from ironore_lightning.sweep.folds import with_all_folds

        every = with_all_folds([*params, *arguments], self.config, self.hydra_context)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        jobs = combinations(parser.parse_overrides(every))
        require_right_jobs(jobs, self.config, self.hydra_context)
        folder = Path(self.config.hydra.sweep.dir)
        with lock_folder(folder):
            write_text(folder / "multirun.yaml", OmegaConf.to_yaml(self.config))
            results = launch(self.launcher, jobs)
        require_none_refused(results)


def require_right_jobs(
    jobs: Sequence[Sequence[str]], config: DictConfig, hydra_context: HydraContext
) -> None:
    """Check the settings of every job before the first one starts.

    Composing takes a tenth of a second, so it is done once for all jobs of the same members of
    groups: they differ in values only.

    Args:
        jobs: Overrides of each.
        config: Of the multirun.
        hydra_context: Of the sweeper.

    Raises:
        ConfigError: With the mistakes of all jobs, each line once.
    """
    # The settings take time to import, which --help and TAB do not have.
    from ironore_lightning.model.hardware import require_one_process
    from ironore_lightning.settings.composition import command_keys, to_config

    besides = command_keys(config.hydra.job.config_name)
    groups = config.hydra.runtime.choices
    composed: dict[tuple[str, ...], DictConfig] = {}
    mistakes: dict[str, None] = {}
    for job in jobs:
        members = tuple(one for one in job if one.partition("=")[0] in groups)
        if members not in composed:
            composed[members] = _compose(job, config, hydra_context)
        own = [_parsed(one) for one in job if one not in members]
        values = [one for one in own if not one.key_or_group.startswith("hydra")]
        if any("${hydra:" in str(one.value()) for one in values):
            continue  # what Hydra says of a job is known when that runs
        try:
            settings = to_config(with_values(composed[members], values), besides=besides)
            require_one_process(settings.hardware)
        except ConfigError as error:
            mistakes |= dict.fromkeys(str(error).splitlines())
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _compose(job: Sequence[str], config: DictConfig, hydra_context: HydraContext) -> DictConfig:
    """Return the settings of one job as its run will have them."""
    composed = hydra_context.config_loader.load_sweep_config(config, list(job))
    with open_dict(composed):
        del composed["hydra"]
    return composed


def launch(launcher: Launcher, jobs: Sequence[list[str]], *, first: int = 0) -> Sequence[JobReturn]:
    """Start jobs, the first of them numbered `first`, and wait for them.

    Joblib starts all its workers at once: more than there are jobs, or cores, are of no use.
    """
    from ironore_lightning.model.hardware import usable_cores

    if workers := getattr(launcher, "joblib", None):
        wanted = int(workers["n_jobs"])
        workers["n_jobs"] = min(len(jobs), num_workers(wanted, usable_cores()))
    return launcher.launch(jobs, initial_job_idx=first)


def num_workers(wanted: int, cores: int) -> int:
    """Count workers as joblib does, but no more than cores: -1 is one a core, -2 one less."""
    return min(wanted, cores) if wanted > 0 else max(cores + 1 + wanted, 1)


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
    """Enumerate what an override sweeps over, one value given twice once."""
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


def with_values(composed: DictConfig, overrides: Iterable[Override]) -> DictConfig:
    """Return composed settings with other values, as Hydra would set them.

    Args:
        composed: Settings that have the keys of `overrides`, and lack those that these remove.
        overrides: Of a job, but for members of groups.
    """
    changed = copy.deepcopy(composed)
    for override in overrides:
        if not override.is_delete():
            OmegaConf.update(changed, override.key_or_group, override.value(), force_add=True)
    return changed


@cache  # many jobs share them
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)


def folder_name(overrides: Iterable[str]) -> str:
    """Name a job's folder by the overrides that tell it from the other jobs.

    What a folder cannot be called is replaced, and a digest of the whole keeps names apart.
    """
    said = ",".join(overrides)
    name = re.sub(r"[^\w.,=+-]+", "-", said, flags=re.ASCII)
    if len(name) > LONGEST_NAME or name != said:
        digest = hashlib.sha256(said.encode()).hexdigest()[:8]
        name = f"{name[:LONGEST_NAME]}-{digest}"
    return name or SINGLE
