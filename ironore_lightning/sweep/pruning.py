"""Stop a run of a search that promises less than the others."""

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import to_absolute_path
from omegaconf import OmegaConf

from ironore_lightning.sweep.settings import read_settings

if TYPE_CHECKING:
    from lightning import Callback

NOTHING = "none"


def pruning_callbacks(monitor: str) -> list["Callback"]:
    """Return what watches the fit for the search that this job is a trial of; nothing without one.

    Args:
        monitor: What the search makes small.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN or hydra.sweeper.get("trial") is None:
        return []
    node = OmegaConf.to_container(hydra.sweeper)
    assert isinstance(node, dict)
    settings = read_settings({str(key): value for key, value in node.items()})
    if settings.pruner == NOTHING or settings.trial is None:
        return []
    from ironore_lightning.sweep.study import pruning

    folder = Path(to_absolute_path(hydra.sweep.dir))
    return [pruning(folder, settings.trial, settings, monitor)]
