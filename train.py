"""Train a forecaster: ``python train.py``, with settings from `conf/` and the command line."""

import logging
import os
from typing import TYPE_CHECKING

from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import exit_on_interrupt

if __name__ == "__main__":
    exit_on_interrupt()

with quick_imports():
    import hydra
    from omegaconf import DictConfig

if TYPE_CHECKING:
    from pathlib import Path

    from ironore_lightning.settings.experiment import Config

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(composed: DictConfig) -> float:
    """Run one experiment and return its objective, the best `monitor` on validation."""
    if "LOCAL_RANK" not in os.environ:  # lightning's second process of a run says nothing
        log.info("%s on data=%s: importing torch ...", composed.model.network, composed.data.name)
    # Torch and lightning take seconds to import, which --help and TAB completion do not have.
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from hydra.utils import get_original_cwd

    from ironore_lightning.cli.hydra_command import run_job, run_one_of_many
    from ironore_lightning.model.hardware import require_one_process
    from ironore_lightning.run_folder.attempt import run_attempt
    from ironore_lightning.run_folder.layout import is_of_multirun
    from ironore_lightning.run_folder.looks import ledger_path
    from ironore_lightning.settings.checking import command_keys, to_config

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
    from ironore_lightning.cli.hydra_command import run_command
    from ironore_lightning.cli.resume import expand_resume

    run_command(main, "config", expand_resume)
