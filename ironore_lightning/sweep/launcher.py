"""The local launcher: runs in this process, or side by side in processes forked from it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from ironore_lightning.errors import ConfigError, MachineError, report_error
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.sweep.jobs import JobComposer

Job = tuple[int, Sequence[str]]
"""Its number and overrides."""


class LocalLauncher(Launcher):
    """Runs jobs one after the other, or side by side.

    Args:
        n_jobs: Number of processes, at most that of jobs or cores; -1 is one a core.
    """

    __module__ = "hydra_plugins.ironore_lightning"  # Hydra accepts no other package

    def __init__(self, n_jobs: int) -> None:
        """Keep the number of processes."""
        self.n_jobs = n_jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what the jobs need."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.composer = JobComposer(config, hydra_context)

    def launch(
        self,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,
        *,
        on_end: Callable[[JobReturn], None] = lambda _: None,
    ) -> Sequence[JobReturn]:
        """Run the jobs, and return their results in the same order.

        Args:
            job_overrides: Of each job.
            initial_job_idx: Number of the first one.
            on_end: Called here with the result of each job that has ended.

        Raises:
            ConfigError: If several processes are wanted where they cannot be forked.
        """
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = list(enumerate(job_overrides, initial_job_idx))
        workers = num_workers(self.n_jobs, len(jobs))
        if workers == 1:
            return [self._run(job, on_end) for job in jobs]
        # Slow to import; --help and TAB completion must be quick.
        from ironore_lightning.process.workers import can_fork, run_forked

        if not can_fork():
            raise ConfigError(
                f"hydra.launcher.n_jobs: {workers} processes were asked for, which this system "
                "cannot fork; choose hydra/launcher=joblib"
            )
        with quick_imports():  # here, so that no worker does
            import ironore_lightning.experiment  # noqa: F401 - used by the workers
        ended: dict[int, JobReturn] = {}

        def end(position: int, result: JobReturn | None) -> None:
            ended[position] = result or self._killed(jobs[position])
            on_end(ended[position])

        run_forked(self._run, jobs, num_workers=workers, on_end=end)
        return [ended[position] for position in range(len(jobs))]

    def _run(self, job: Job, on_end: Callable[[JobReturn], None] = lambda _: None) -> JobReturn:
        returned = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=self._compose(job),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        on_end(returned)
        return returned

    def _compose(self, job: Job) -> DictConfig:
        number, overrides = job
        config = self.composer.compose(overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _killed(self, job: Job) -> JobReturn:
        """Write and say that the process of a job was killed, which it could not do itself."""
        from ironore_lightning.run_folder.attempt import write_death

        config = self._compose(job)
        HydraConfig.instance().set_config(config)  # the folder's name may refer to it
        folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir).absolute()
        error = MachineError(
            f"{folder}: the process of this run was killed, perhaps for lack of memory; give the "
            "same command with this hydra.sweep.dir to go on"
        )
        write_death(folder, error)
        report_error(error)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.runtime.output_dir = str(folder)
        failed = JobStatus.FAILED
        return JobReturn(overrides=job[1], hydra_cfg=config, status=failed, _return_value=error)


def num_workers(wanted: int, num_jobs: int) -> int:
    """Return the number of workers, at most that of jobs or cores; -1 is one a core, -2 less."""
    from ironore_lightning.model.hardware import usable_cores

    cores = usable_cores()
    return min(wanted if wanted > 0 else max(cores + 1 + wanted, 1), cores, num_jobs)
