"""The parts of a run by themselves: its samples, and the place of its fit."""

from pathlib import Path

from ironore_lightning.data.datamodule import WindowDataModule, build_datamodule
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw import RawData, read_raw
from ironore_lightning.experiment import build_logger
from ironore_lightning.model.training import Workspace
from ironore_lightning.report.console import EpochReport
from ironore_lightning.settings.experiment import Config


def samples_of(config: Config, raw: RawData | None = None) -> WindowDataModule:
    """Cut the samples of a run, from raw data that are known or read now."""
    raw = read_raw(config.data) if raw is None else raw
    return build_datamodule(build_panel(raw, config.data, config.target), config.dataset)


def workspace_of(config: Config, folder: Path, *callbacks) -> Workspace:
    """Return where a fit writes that begins."""
    log_file = folder / "training.log"
    report = EpochReport(config.thresholds, log_file=log_file, emoji=config.report.emoji, last={})
    return Workspace(folder, build_logger(folder, {}), report, callbacks, last={})
