"""The base of both sweepers: launch jobs in a locked folder, and read their status."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ironore_lightning.errors import ConfigError
from ironore_lightning.files import write_text
from ironore_lightning.run_folder.layout import MULTIRUN_FILE
from ironore_lightning.run_folder.lock import lock_folder
from ironore_lightning.run_folder.looks import ledger_path, require_ledger
from ironore_lightning.run_folder.status import COMPLETE, FAILED, Status, read_status
from ironore_lightning.sweep.jobs import JobComposer
from ironore_lightning.sweep.launcher import LocalLauncher, num_workers

MAX_RUNS = 10_000
"""Most runs of a multirun: more than a year at an hour each."""


class RunSweeper(Sweeper):
    """A sweeper that runs jobs in one locked folder.

    Attributes:
        config: Settings of the multirun.
        hydra_context: Composes the settings of a job.
        launcher: Runs the jobs.
        composer: Composes the settings of the jobs.
    """

    config: DictConfig
    hydra_context: HydraContext

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep Hydra's context and config, and create the launcher."""
        self.hydra_context = hydra_context
        self.config = config
        self.composer = JobComposer(config, hydra_context)
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


def launch(
    launcher: Launcher,
    jobs: Sequence[list[str]],
    *,
    on_end: Callable[[JobReturn], None],
    first: int = 0,
) -> Sequence[JobReturn]:
    """Run jobs, numbered from `first`, and return their results.

    Joblib starts all its workers at once, so there are no more than jobs or cores.

    Args:
        launcher: Runs them.
        jobs: Their overrides.
        on_end: Called with the result of each job: by the local launcher once it has ended, by
            others when all have.
        first: Number of the first one.
    """
    if isinstance(launcher, LocalLauncher):
        return launcher.launch(jobs, initial_job_idx=first, on_end=on_end)
    if workers := getattr(launcher, "joblib", None):
        workers["n_jobs"] = num_workers(int(workers["n_jobs"]), len(jobs))
    results = launcher.launch(jobs, initial_job_idx=first)
    for result in results:
        on_end(result)
    return results


FOLDER_IS_TAKEN = "its folder holds another run that has finished"


def job_status(result: JobReturn) -> Status:
    """Return the status of a job; a finished run of other settings in its folder is not its own."""
    try:
        status = read_status(job_folder(result))
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
            f"{job_folder(refused[0])} holds another run that has finished, so {len(refused)} of "
            f"{len(results)} jobs were not run; choose another hydra.sweep.dir"
        )


def _has_failed(result: JobReturn) -> bool:
    value = result.return_value if result.status == JobStatus.COMPLETED else None
    return isinstance(value, float) and math.isnan(value)


def job_folder(result: JobReturn) -> Path:
    """Return the folder of a job."""
    assert result.hydra_cfg is not None
    return Path(result.hydra_cfg.hydra.runtime.output_dir)
