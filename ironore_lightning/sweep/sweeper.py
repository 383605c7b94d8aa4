"""The base of both sweepers: check the settings of all jobs, launch them, read their status."""

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ironore_lightning.errors import ConfigError
from ironore_lightning.files import write_text
from ironore_lightning.run_folder.layout import MULTIRUN_FILE
from ironore_lightning.run_folder.lock import lock_folder
from ironore_lightning.run_folder.looks import ledger_path, require_ledger
from ironore_lightning.run_folder.status import COMPLETE, FAILED, Status, read_status

MAX_RUNS = 10_000
"""Most runs of a multirun: more than a year at an hour each."""


class RunSweeper(Sweeper):
    """A sweeper that runs jobs in one locked folder.

    Attributes:
        config: Settings of the multirun.
        hydra_context: Composes the settings of a job.
        launcher: Runs the jobs.
    """

    config: DictConfig
    hydra_context: HydraContext

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep Hydra's context and config, and create the launcher."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Parse overrides, in the order given."""
        loader = self.hydra_context.config_loader
        return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Lock the folder of the multirun, and write its config.

        The ledger of looks is checked, too, as the summary in the end needs it.
        """
        require_ledger(ledger_path(Path.cwd()))
        folder = Path(self.config.hydra.sweep.dir)
        with lock_folder(folder):
            write_text(folder / MULTIRUN_FILE, OmegaConf.to_yaml(self.config))
            yield folder


def require_right_jobs(
    jobs: Sequence[Sequence[str]], config: DictConfig, hydra_context: HydraContext
) -> None:
    """Check the settings of every job before the first one starts.

    Composing takes a tenth of a second, so jobs with the same config groups share it.

    Args:
        jobs: Overrides of each job.
        config: Settings of the multirun.
        hydra_context: Context of the sweeper.

    Raises:
        ConfigError: With the mistakes of all jobs, each line once.
    """
    # Slow to import; --help and TAB completion must be quick.
    from ironore_lightning.model.hardware import require_one_process
    from ironore_lightning.settings.checking import command_keys, to_config

    besides = command_keys(config.hydra.job.config_name)
    groups = config.hydra.runtime.choices
    composed: dict[tuple[str, ...], DictConfig] = {}
    mistakes: dict[str, None] = {}
    for job in jobs:
        members = tuple(line for line in job if line.partition("=")[0] in groups)
        if members not in composed:
            composed[members] = _compose(job, config, hydra_context)
        own = [_parsed(line) for line in job if line not in members]
        values = [override for override in own if not override.key_or_group.startswith("hydra")]
        if any("${hydra:" in str(override.value()) for override in values):
            continue  # known only when the job runs
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
    """Run jobs, numbered from `first`, and return their results.

    Joblib starts all its workers at once, so there are no more than jobs or cores.
    """
    from ironore_lightning.model.hardware import usable_cores

    if workers := getattr(launcher, "joblib", None):
        wanted = int(workers["n_jobs"])
        workers["n_jobs"] = min(len(jobs), num_workers(wanted, usable_cores()))
    return launcher.launch(jobs, initial_job_idx=first)


def num_workers(wanted: int, cores: int) -> int:
    """Return joblib's number of workers, at most `cores`: -1 is one per core, -2 one less."""
    return min(wanted, cores) if wanted > 0 else max(cores + 1 + wanted, 1)


def with_values(composed: DictConfig, overrides: Iterable[Override]) -> DictConfig:
    """Return composed settings with other values, as Hydra would set them.

    Args:
        composed: Settings that have the keys of `overrides`, without the deleted ones.
        overrides: Overrides of a job, except config groups.
    """
    changed = copy.deepcopy(composed)
    for override in overrides:
        if not override.is_delete():
            OmegaConf.update(changed, override.key_or_group, override.value(), force_add=True)
    return changed


@cache  # many jobs share them
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)


FOLDER_IS_TAKEN = "its folder holds another run that has finished"


def job_status(result: JobReturn) -> Status:
    """Return the status of a job; a finished run of other settings in its folder is not its own."""
    try:
        status = read_status(_folder(result))
    except ConfigError as error:
        return Status(FAILED, error=str(error))
    is_own = status.state != COMPLETE or not _has_failed(result)
    return status if is_own else Status(FAILED, error=FOLDER_IS_TAKEN)


def require_none_refused(results: Sequence[JobReturn]) -> None:
    """Raise if jobs found finished runs of other settings in their folders.

    Raises:
        ConfigError: The summary would include runs that were not asked for.
    """
    failed = [result for result in results if _has_failed(result)]
    if refused := [result for result in failed if job_status(result).error == FOLDER_IS_TAKEN]:
        raise ConfigError(
            f"{_folder(refused[0])} holds another run that has finished, so {len(refused)} of "
            f"{len(results)} jobs were not run; choose another hydra.sweep.dir"
        )


def _has_failed(result: JobReturn) -> bool:
    value = result.return_value if result.status == JobStatus.COMPLETED else None
    return isinstance(value, float) and math.isnan(value)


def _folder(result: JobReturn) -> Path:
    assert result.hydra_cfg is not None
    return Path(result.hydra_cfg.hydra.runtime.output_dir)
