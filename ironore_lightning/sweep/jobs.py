"""Compose and check the settings of the jobs of a multirun."""

import copy
from collections.abc import Sequence
from functools import cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ironore_lightning.errors import ConfigError


class JobComposer:
    """Composes jobs as Hydra does, and many times faster.

    Hydra reads all files of `conf/` again for each job. Jobs with the same config groups differ in
    values only, so they share that.

    Args:
        config: Settings of the multirun.
        hydra_context: Of the sweeper or launcher.
    """

    def __init__(self, config: DictConfig, hydra_context: HydraContext) -> None:
        """Start with an empty cache."""
        self.config = config
        self.loader = hydra_context.config_loader
        self.known: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}

    def compose(self, job: Sequence[str]) -> DictConfig:
        """Return all settings of a job, Hydra's own included.

        Args:
            job: Its overrides, each a single value.

        Raises:
            HydraException: If an override does not fit the settings.
        """
        overrides = [_parsed(line) for line in job]
        own = [item for item in overrides if not item.is_hydra_override()]
        whole, _ = self._shared(job)
        composed = copy.deepcopy(whole)
        ConfigLoaderImpl._apply_overrides_to_config(self._values(overrides), composed)
        hydra = composed.hydra
        hydra.overrides.task = [item.input_line for item in own]
        hydra.overrides.hydra = [
            *self.config.hydra.overrides.hydra,
            *(item.input_line for item in overrides if item.is_hydra_override()),
        ]
        style = hydra.job.config.override_dirname
        hydra.job.override_dirname = get_overrides_dirname(
            own, style.exclude_keys, style.item_sep, style.kv_sep
        )
        return composed

    def settings(self, job: Sequence[str]) -> DictConfig:
        """Return the settings of a job without Hydra's own, which take most of the time."""
        _, settings = self._shared(job)
        composed = copy.deepcopy(settings)
        own = [item for line in job if not (item := _parsed(line)).is_hydra_override()]
        ConfigLoaderImpl._apply_overrides_to_config(self._values(own), composed)
        return composed

    def _shared(self, job: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """Return what jobs that differ in values only share, with and without Hydra's own."""
        values = {item.input_line for item in self._values([_parsed(line) for line in job])}
        shared = tuple(line for line in job if line not in values)
        if shared not in self.known:
            whole = self.loader.load_sweep_config(self.config, list(shared))
            settings = copy.deepcopy(whole)
            with open_dict(settings):
                del settings["hydra"]
            self.known[shared] = whole, settings
        return self.known[shared]

    def _values(self, overrides: Sequence[Override]) -> list[Override]:
        """Return the overrides that only change a value; others choose a group.

        None does beside one that adds or deletes a key, where their order matters.
        """
        if any(override.type != OverrideType.CHANGE for override in overrides):
            return []
        return [item for item in overrides if not item.package and not self._is_group(item)]

    def _is_group(self, override: Override) -> bool:
        """Return whether an override chooses a member, or a list of them."""
        name = override.key_or_group
        choices = self.config.hydra.runtime.choices
        return name in choices or bool(self.loader.get_group_options(name))


def require_right_jobs(jobs: Sequence[Sequence[str]], composer: JobComposer) -> None:
    """Check the settings of every job, and that its files are there, before the first one starts.

    Raises:
        ConfigError: With the mistakes of all jobs, each line once.
        DataError: If a raw file is missing.
    """
    # Slow to import; --help and TAB completion must be quick.
    from ironore_lightning.model.hardware import require_one_process
    from ironore_lightning.reading.raw_bytes import require_files
    from ironore_lightning.settings.checking import to_config
    from ironore_lightning.settings.command_keys import command_keys

    besides = command_keys(composer.config.hydra.job.config_name)
    mistakes: dict[str, None] = {}
    for job in jobs:
        if any("${hydra:" in line for line in job):
            continue  # known only when the job runs
        try:
            settings = to_config(composer.settings(job), besides=besides)
            require_one_process(settings.hardware)
            require_files(settings.data.files)
        except ConfigError as error:
            mistakes |= dict.fromkeys(str(error).splitlines())
    if mistakes:
        raise ConfigError("\n".join(mistakes))


@cache  # many jobs share them
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)
