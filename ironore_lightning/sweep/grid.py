"""Every combination of the values asked for, each in a folder named by what tells it apart."""

import copy
import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ironore_lightning.errors import ConfigError
from ironore_lightning.status import hold
from ironore_lightning.sweep.outcomes import require_none_refused

LONGEST_NAME = 120
"""Characters of a folder name; file systems allow 255 bytes."""

SINGLE = "run"
"""Folder of the one job of a multirun over nothing."""

KEYS_OF_COMMANDS = ("output_dir", "run")
"""What `prepare` and `audit` take beside the settings of a run."""


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
        self.require_right_settings(jobs)
        folder = Path(self.config.hydra.sweep.dir)
        with hold(folder):
            OmegaConf.save(self.config, folder / "multirun.yaml")
            results = self.launcher.launch(jobs, initial_job_idx=0)
        require_none_refused(results)

    def require_right_settings(self, jobs: Sequence[list[str]]) -> None:
        """Check the settings of every job before the first one starts.

        Composing takes a tenth of a second, so it is done once for all jobs of the same members of
        groups: they differ in values only.

        Raises:
            ConfigError: With the mistakes of all jobs, each line once.
        """
        assert self.config is not None
        # The settings take time to import, which --help and TAB do not have.
        from ironore_lightning.composition import to_config
        from ironore_lightning.hardware import require_one_process

        groups = self.config.hydra.runtime.choices
        composed: dict[tuple[str, ...], DictConfig] = {}
        mistakes: dict[str, None] = {}
        for job in jobs:
            members = tuple(one for one in job if one.partition("=")[0] in groups)
            if members not in composed:
                composed[members] = self._compose(job)
            own = [_parsed(one) for one in job if one not in members]
            values = [one for one in own if not one.key_or_group.startswith("hydra")]
            if any("${hydra:" in str(one.value()) for one in values):
                continue  # what Hydra says of a job is known when that runs
            try:
                config = to_config(with_values(composed[members], values), besides=KEYS_OF_COMMANDS)
                require_one_process(config.hardware)
            except ConfigError as error:
                mistakes |= dict.fromkeys(str(error).splitlines())
        if mistakes:
            raise ConfigError("\n".join(mistakes))

    def _compose(self, job: list[str]) -> DictConfig:
        """Return the settings of one job as its run will have them."""
        assert self.config is not None
        assert self.hydra_context is not None
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, job)
        with open_dict(composed):
            del composed["hydra"]
        return composed


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job, its folder among them; later overrides win.

    Raises:
        ConfigError: If there is an interval, which has no list of values, or an empty range.
    """
    latest = {override.get_key_element(): override for override in overrides}
    values: list[list[str]] = []
    for key, override in latest.items():
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise ConfigError(
                f"{override.input_line}: "
                "a grid needs values; an interval is for hydra/sweeper=optuna"
            )
        if override.is_sweep_override():
            found = dict.fromkeys(override.sweep_string_iterator())  # one given twice is one job
            if not found:
                raise ConfigError(f"{override.input_line}: there is no value in it")
            values.append([f"{key}={value}" for value in found])
        else:
            values.append([str(override.input_line)])
    swept = [len(one) > 1 for one in values]
    return [
        [*job, f"hydra.sweep.subdir='{folder_name(itertools.compress(job, swept))}'"]
        for job in itertools.product(*values)
    ]


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
