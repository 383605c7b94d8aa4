"""Forecast the next-day return of iron ore futures, and say what that is worth.

    python train.py                                    the simulated sample market
    python train.py data=original data.root=../raw     your own raw files
    python train.py features=prices model=bilstm_small other members of two groups
    python train.py training.learning_rate=5e-4 seed=7 single settings
    python train.py experiment=stationary_small        a named set of members
    python train.py experiment=debug                   all of it, in seconds
    python train.py -m model=bilstm,nlinear seed=0,1   every combination
    python train.py experiment=walk_forward seed=0,1,2 all folds, three seeds each
    python train.py hparams_search=bilstm_optuna       search for settings
    python train.py resume=outputs/ironore/RUN         continue an interrupted run
    python train.py --cfg job                          show settings, run nothing

The same as ironore train. A run leaves a folder; -m ends with a summary.
"""

import logging
import os
import sys
from typing import TYPE_CHECKING

from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import exit_on_interrupt
from ironore_lightning.process.terminal import print_safely

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig

    from ironore_lightning.settings.experiment import Config

log = logging.getLogger(__name__)

IS_FIRST_PROCESS = "LOCAL_RANK" not in os.environ
"""Whether lightning has not started this process beside another one, which tells what it does."""


def main() -> None:
    """Train as the command line says; torch and Hydra are imported once nobody asks for help."""
    exit_on_interrupt()
    from ironore_lightning.cli.help import is_answered

    if is_answered("config", __doc__):
        return
    if sys.stdout and sys.stdout.isatty() and IS_FIRST_PROCESS:
        print_safely("reading the settings ...\n")  # Hydra takes a second
    with quick_imports():
        from ironore_lightning.cli.hydra_command import run_command
        from ironore_lightning.cli.resume import expand_resume
    run_command(_train, "config", expand_resume)


def _train(composed: "DictConfig") -> float:
    """Run one experiment and return its objective, the best `monitor` on validation."""
    if IS_FIRST_PROCESS:
        log.info("%s on data=%s: importing torch ...", composed.model.network, composed.data.name)
    # Torch and lightning take seconds to import, which TAB completion does not have.
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from hydra.utils import get_original_cwd

    from ironore_lightning.cli.hydra_command import run_job, run_one_of_many
    from ironore_lightning.model.hardware import require_one_process
    from ironore_lightning.run_folder.attempt import run_attempt
    from ironore_lightning.run_folder.layout import is_of_multirun
    from ironore_lightning.run_folder.looks import ledger_path
    from ironore_lightning.settings.checking import to_config
    from ironore_lightning.settings.command_keys import command_keys

    folder = Path(HydraConfig.get().runtime.output_dir)
    is_multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    looks = ledger_path(Path(get_original_cwd()))

    def job() -> float:
        with run_attempt(folder, resume="resume" in composed) as this:
            config = to_config(composed, besides=command_keys("config"))
            if is_multirun:
                require_one_process(config.hardware)
            settings = config.model_dump(mode="json")
            objective = this.finished(settings)
            if objective is None:
                resume = this.start(settings)
                is_alone = not is_multirun and not (resume and is_of_multirun(folder))
                objective = _run(config, folder, is_alone=is_alone, resume=resume, looks=looks)
                this.complete(objective)
        return objective

    return run_one_of_many(job) if is_multirun else run_job(job)


def _run(
    config: "Config", folder: "Path", *, is_alone: bool, resume: bool, looks: "Path | None"
) -> float:
    """Do the work of a run that is alone or one of many, and return its objective."""
    with quick_imports():
        from ironore_lightning.experiment import fit_run, run_experiment
        from ironore_lightning.sweep.optuna_sweeper import pruning_callbacks

    watching = pruning_callbacks(config.monitor)
    # The summary of a multirun assesses the trial that validation chose, and no other.
    if not is_alone and not config.report.assess_every_run:
        return fit_run(config, folder, callbacks=watching, resume=resume).objective
    result = run_experiment(config, folder, callbacks=watching, resume=resume, looks=looks)
    return result.run.objective


if __name__ == "__main__":
    main()
