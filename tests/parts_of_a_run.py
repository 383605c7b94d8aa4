"""The parts of a run by themselves: its samples, the place of its fit, and its figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ironore_lightning import experiment
from ironore_lightning.data.datamodule import WindowDataModule, build_datamodule
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.model.training import FitContext
from ironore_lightning.report.epochs import EpochReport
from ironore_lightning.report.style import write_figures
from ironore_lightning.report.tensorboard import build as build_tensorboard
from ironore_lightning.run_folder.results import RunResult
from ironore_lightning.settings.experiment import Config


def samples_of(config: Config, raw: RawData | None = None) -> WindowDataModule:
    """Cut the samples of a run, from raw data that are known or read now."""
    raw = read_raw(config.data) if raw is None else raw
    return build_datamodule(build_panel(raw, config.data, config.target), config.dataset_settings)


def fit_context_of(config: Config, folder: Path, *callbacks) -> FitContext:
    """Return where a fit writes that begins."""
    log_file = folder / "training.log"
    report = EpochReport(config.thresholds, log_file=log_file, emoji=config.report.emoji, last={})
    return FitContext(folder, [build_tensorboard(folder, {})], report, callbacks, last={})


def draw_one_quick_figure(replace: Callable[..., None] = setattr) -> None:
    """Let runs draw one figure of noise: five real ones take longer than the rest of a run."""
    figure = Figure(figsize=(2, 2))
    figure.figimage(np.random.default_rng(0).random((200, 200)))

    def write(result: RunResult) -> dict[str, str]:
        folder = result.run.folder / "plots"
        return write_figures({"actual_vs_predicted_scatter": figure}, folder)

    replace(experiment, "write_run_figures", write)
