"""What is done around all runs of a multirun: settings and cores are looked at, and the summary."""

import logging
import sys
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ironore_lightning.config.experiment import require_validation_metric
from ironore_lightning.errors import FAILED, ConfigError, IronOreError, last_words
from ironore_lightning.hardware import usable_cores
from ironore_lightning.imports import quick_imports
from ironore_lightning.status import machine_errors
from ironore_lightning.sweep.grid import num_workers

log = logging.getLogger(__name__)


class ManyRuns(Callback):
    """Hydra swallows errors of a callback, so both methods leave by their exit status."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Refuse a test metric as the objective and no workers; warn of more threads than cores."""
        try:
            require_validation_metric(str(config.monitor))
        except ValueError as error:
            sys.exit(last_words(ConfigError(f"monitor: {error}")))
        wanted = config.hydra.launcher.get("n_jobs", 1)
        if wanted == 0:
            line = (
                "hydra.launcher.n_jobs: 0 workers run nothing; give 1 or more, or -1 for all cores"
            )
            sys.exit(last_words(ConfigError(line)))
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

    def on_multirun_end(self, config: DictConfig, **_: object) -> None:
        """Summarise, and say by the exit status if a run failed."""
        with quick_imports():
            from ironore_lightning.sweep.outputs import report
            from ironore_lightning.sweep.runs import run_folders

        folder = Path(config.hydra.sweep.dir)
        if not run_folders(folder):
            return  # an audit, say, leaves no run
        try:
            with machine_errors(folder):
                summary = report(folder)
        except IronOreError as error:
            sys.exit(last_words(error))
        except Exception:
            log.exception("the summary failed, by a mistake in the code; the runs are complete")
            sys.exit(FAILED)
        if summary.worst_exit_status:
            sys.exit(summary.worst_exit_status)
