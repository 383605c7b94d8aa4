"""What TensorBoard shows beside the curves: hyperparameters, test scores and figures."""

import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

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


def open_session(writer: SummaryWriter, values: Mapping[str, bool | str | float]) -> None:
    """Announce the hyperparameters of a run that starts, and the layout of its custom charts.

    Of the plugin's three records the experiment's is left out: the first one found in a folder
    would fix the columns for every other run beside it.
    """
    _, start, _ = hparams(dict(values), {})
    writer.file_writer.add_summary(start)
    writer.add_custom_scalars(LAYOUT)


def close_session(writer: SummaryWriter, *, succeeded: bool) -> None:
    """Say how the session ended."""
    status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
    ended = HParamsPluginData(
        session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()),
        version=PLUGIN_DATA_VERSION,
    )
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=ended.SerializeToString())
    value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin))
    writer.file_writer.add_summary(Summary(value=[value]))


def log_results(writer: SummaryWriter, scores: Scores, plots: Iterable[Path], *, step: int) -> None:
    """Write the test scores, and the plots as the PNG files that they are."""
    for name, score in asdict(scores).items():
        if score is not None:
            writer.add_scalar(f"test/{name}", score, step)
    for path in plots:
        data = path.read_bytes()
        width, height = struct.unpack(">II", data[16:24])  # the header of every PNG
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=data)
        value = Summary.Value(tag=path.stem, image=image)
        writer.file_writer.add_summary(Summary(value=[value]), step)
