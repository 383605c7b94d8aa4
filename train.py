"""Train a forecaster: ``python train.py``, with settings from `conf/` and the command line."""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(composed: DictConfig) -> float:
    """Run one experiment and return its objective, the best `monitor` on validation."""
    # Torch and lightning take seconds to import, which --help and TAB completion do not have.
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from ironore_lightning.command import run_job
    from ironore_lightning.composition import to_config

    folder = Path(HydraConfig.get().runtime.output_dir)

    def job() -> float:
        config = to_config(composed)
        from ironore_lightning.experiment import run_experiment

        return run_experiment(config, folder).objective

    return run_job(job)


if __name__ == "__main__":
    from ironore_lightning.command import run_command

    run_command(main)
