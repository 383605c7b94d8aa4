"""Hydra callbacks: checks before a run or multirun starts, the summary after it.

Hydra swallows errors of a callback, so all of them leave by their exit status.
"""

import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ironore_lightning.errors import (
    FAILED,
    WRONG_INPUT,
    ConfigError,
    IronOreError,
    exit_status,
    machine_errors,
    report_error,
)
from ironore_lightning.model.hardware import usable_cores
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import raise_on_interrupt
from ironore_lightning.process.terminal import quieten
from ironore_lightning.run_folder.layout import (
    LOCK_FILE,
    STATUS_FILE,
    require_local_files,
    require_local_folders,
    require_usable_name,
)
from ironore_lightning.run_folder.lock import is_locked
from ironore_lightning.settings.checking import require_right_settings, unresolved
from ironore_lightning.settings.experiment import require_validation_metric
from ironore_lightning.sweep.launcher import num_workers

log = logging.getLogger(__name__)


class SingleRunCallback(Callback):
    """Checks before a single run, and the end of one that failed."""

    made: Sequence[Path] = ()
    """The run folder and those above it that this command makes, from the inside."""

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Refuse wrong settings, and a folder whose files lead elsewhere."""
        with _leaving_by_exit_status():
            require_right_settings(config)
            HydraConfig.instance().set_config(config)  # the folder's name may refer to it
            require_usable_name(Path(config.hydra.run.dir))
            require_local_files(Path(config.hydra.run.dir))
            folder = Path(config.hydra.run.dir).absolute()
        self.made = [path for path in (folder, *folder.parents) if not path.exists()]
        raise_on_interrupt()

    def on_run_end(self, config: DictConfig, **kwargs: JobReturn) -> None:
        """Exit with the status of a failed run; one that never began leaves no folder."""
        job_return = kwargs["job_return"]
        error = job_return._return_value  # the public one would print a line of Hydra's
        if job_return.status == JobStatus.FAILED and isinstance(error, IronOreError):
            if exit_status(error) == WRONG_INPUT and self.made:
                log_file = OmegaConf.select(config, "hydra.job_logging.handlers.file.filename")
                _remove_unless_begun(self.made, Path(str(log_file)).name)
            sys.exit(report_error(error))


def _remove_unless_begun(folders: Sequence[Path], log_name: str) -> None:
    """Remove a run folder that holds settings, log and status only, and the empty ones above it."""
    folder, *above = folders
    with suppress(OSError):  # a folder above may hold other runs
        names = {path.name for path in folder.iterdir()}
        if names <= {".hydra", log_name, STATUS_FILE, LOCK_FILE} and not is_locked(folder):
            shutil.rmtree(folder)
            for path in above:
                path.rmdir()


class MultirunCallback(Callback):
    """Checks before a multirun, and its summary."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Refuse a test metric as objective, zero workers, and files that lead elsewhere."""
        wanted = config.hydra.launcher.get("n_jobs", 1)
        with _leaving_by_exit_status():
            try:
                require_validation_metric(str(config.monitor))
            except ValueError as error:
                raise ConfigError(f"monitor: {error}") from None
            if type(wanted) is not int or wanted == 0:  # True is an int, too
                raise ConfigError(
                    f"hydra.launcher.n_jobs: {wanted} workers run nothing; give 1 or more, or -1 "
                    "for all cores"
                )
            require_usable_name(Path(config.hydra.sweep.dir))
            require_local_folders(Path(config.hydra.sweep.dir))
        cores = usable_cores()
        jobs = num_workers(wanted, cores)
        threads = config.hardware.threads
        if isinstance(threads, int) and jobs * threads > cores:
            log.warning(
                "%d jobs of %d thread(s) fight over %d core(s), which makes each many times "
                "slower; lower hydra.launcher.n_jobs or hardware.threads",
                jobs,
                threads,
                cores,
            )

    def on_job_start(self, config: DictConfig, **_: object) -> None:
        """Leave the console to the lines of the sweep; the log of each run has its own.

        Warnings are mostly of the data, which the runs share, so those of the first run do.
        """
        if config.hydra.mode == RunMode.MULTIRUN:
            quieten(logging.WARNING if config.hydra.job.num == 0 else logging.ERROR)

    def on_multirun_end(self, config: DictConfig, **_: object) -> None:
        """Write the summary, and exit with the status of the worst run."""
        with quick_imports():
            from ironore_lightning.summary.outputs import report
            from ironore_lightning.summary.runs import run_folders

        folder = Path(config.hydra.sweep.dir)
        if not run_folders(folder):
            return  # an audit, for example, has no run folders
        try:
            with _leaving_by_exit_status(), machine_errors(folder):
                summary = report(folder)
        except Exception:
            log.exception("the summary failed, by a mistake in the code; the runs are complete")
            sys.exit(FAILED)
        if summary.worst_exit_status:
            sys.exit(summary.worst_exit_status)


@contextmanager
def _leaving_by_exit_status() -> Iterator[None]:
    try:
        yield
    except OmegaConfBaseException as error:
        sys.exit(report_error(ConfigError(unresolved(error))))
    except IronOreError as error:
        sys.exit(report_error(error))
