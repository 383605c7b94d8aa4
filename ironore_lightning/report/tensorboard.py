"""What TensorBoard shows beside the curves: hyperparameters, test scores and figures."""

import struct
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.metadata import (
    PLUGIN_DATA_VERSION,
    PLUGIN_NAME,
    SESSION_END_INFO_TAG,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ironore_lightning.config import Config
from ironore_lightning.evaluation.metrics import Scores

LAYOUT = {"training": {"loss": ["Multiline", ["train/loss", "val/loss"]]}}


def hyperparameters(config: Config) -> dict[str, bool | str | float]:
    """Choose the settings that tell one run from another, flat, as the HParams tab wants them."""
    return {
        "data": config.data.name,
        "features": len(config.features.names),
        "horizon": config.target.horizon,
        "sequence_length": config.window.sequence_length,
        "scaling": config.scaling.method,
        **config.model.model_dump(),
        "loss": config.training.loss,
        "optimizer": config.training.optimizer,
        "learning_rate": config.training.learning_rate,
        "weight_decay": config.training.weight_decay,
        "gradient_clip_norm": config.training.gradient_clip_norm,
        "batch_size": config.training.batch_size,
        "seed": config.seed,
    }


def open_session(logger: TensorBoardLogger, values: dict[str, bool | str | float]) -> None:
    """Announce the hyperparameters of a run that starts, and the layout of its custom charts.

    Of the plugin's three records the experiment's is left out: the first one found in a folder
    would fix the columns for every other run beside it.
    """
    logger.hparams.update(values)  # lightning writes these to hparams.yaml
    _, start, _ = hparams(values, {})  # type: ignore[no-untyped-call]  # torch has no types here
    logger.experiment.file_writer.add_summary(start)
    logger.experiment.add_custom_scalars(LAYOUT)


def close_session(folder: str, scores: Scores | None, plots: Iterable[Path], *, step: int) -> None:
    """Write what a run ended with; lightning has closed its own writer by then.

    Args:
        folder: Where the run's events are.
        scores: Of the test segment; None says that the run failed.
        plots: PNG files to show.
        step: Epochs run.
    """
    with SummaryWriter(folder) as writer:
        for name, score in asdict(scores).items() if scores else ():
            if score is not None:
                writer.add_scalar(f"test/{name}", score, step)
        for path in plots:
            writer.file_writer.add_summary(Summary(value=[_image(path)]), step)
        writer.file_writer.add_summary(Summary(value=[_session_end(succeeded=scores is not None)]))


def _image(path: Path) -> Summary.Value:
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])  # the header of every PNG
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=data)
    return Summary.Value(tag=path.stem, image=image)


def _session_end(*, succeeded: bool) -> Summary.Value:
    status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
    end = SessionEndInfo(status=status, end_time_secs=time.time())
    content = HParamsPluginData(session_end_info=end, version=PLUGIN_DATA_VERSION)
    plugin = SummaryMetadata.PluginData(
        plugin_name=PLUGIN_NAME, content=content.SerializeToString()
    )
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary.Value(tag=SESSION_END_INFO_TAG, metadata=metadata)
