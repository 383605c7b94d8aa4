"""Every combination of the values asked for, each in a folder named by what tells it apart."""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ironore_lightning.errors import ConfigError
from ironore_lightning.status import hold

LONGEST_NAME = 120
"""Characters of a folder name; file systems allow 255 bytes."""

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
            ConfigError: If a value cannot be enumerated, or another sweep works in the folder.
        """
        assert self.config is not None
        assert self.hydra_context is not None
        params = [f"{key}={value}" for key, value in self.params.items()]
        # The settings take time to import, which --help and TAB do not have.
        from ironore_lightning.sweep.folds import with_all_folds

        every = with_all_folds([*params, *arguments], self.config, self.hydra_context)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        jobs = combinations(parser.parse_overrides(every))
        self.validate_batch_is_legal(jobs)
        folder = Path(self.config.hydra.sweep.dir)
        with hold(folder):
            OmegaConf.save(self.config, folder / "multirun.yaml")
            self.launcher.launch(jobs, initial_job_idx=0)


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
