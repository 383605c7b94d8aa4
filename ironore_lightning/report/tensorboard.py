"""TensorBoard: hyperparameters, test scores and figures."""

import json
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
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

from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.evidence import GRADES
from ironore_lightning.settings.experiment import Config

DEFAULT_HOOK = threading.excepthook

ENDING = ".end"
"""Suffix of the event file with the results of a run."""

LAYOUT = {"training": {"loss": ["Multiline", ["train/loss", "val/loss"]]}}


def hyperparameters(config: Config) -> dict[str, bool | str | float]:
    """Return the settings for the HParams tab, by name."""
    return {
        "data": config.data.name,
        "features": ", ".join(feature.label for feature in config.features.names),
        "signal": config.data.sample.signal if config.data.sample else 0.0,
        "adjustment": config.data.futures.adjustment,
        "split": config.split.method,
        "fold": getattr(config.split, "fold", 0),
        "horizon": config.target.horizon,
        "sequence_length": config.window.sequence_length,
        "scaling": config.scaling.method,
        **config.model.model_dump(),
        "loss": config.training.loss,
        "monitor": config.monitor,
        "schedule": config.training.schedule,
        "optimizer": config.training.optimizer,
        "learning_rate": config.training.learning_rate,
        "weight_decay": config.training.weight_decay,
        "gradient_clip_norm": config.training.gradient_clip_norm,
        "batch_size": config.training.batch_size,
        "seed": config.seed,
    }


def open_session(logger: TensorBoardLogger, values: dict[str, bool | str | float]) -> None:
    """Write the hyperparameters of a run that starts, and the layout of its custom charts.

    The plugin's record of the experiment is left out: it would fix the columns for all runs in the
    folder.
    """
    logger.hparams.update(values)  # lightning writes these to hparams.yaml
    _, start, _ = hparams(values, {})  # type: ignore[no-untyped-call]  # torch has no types here
    logger.experiment.file_writer.add_summary(start)
    logger.experiment.add_custom_scalars(LAYOUT)


def silence_writer() -> None:
    """Suppress the traceback of the thread that writes events.

    Its error is raised again where the next event is written, or the last one flushed.
    """
    threading.excepthook = _ignore_os_error


def _ignore_os_error(failed: threading.ExceptHookArgs) -> None:
    if not isinstance(failed.exc_value, OSError):
        DEFAULT_HOOK(failed)


@contextmanager
def mark_failure_in_tensorboard(folder: str) -> Iterator[None]:
    """Write that a run has failed if it ends with an exception."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first error matters
            rank_zero_only(close_session)(folder, None, (), step=0)
        raise


def close_session(
    folder: str, assessment: Assessment | None, plots: Iterable[Path], *, step: int
) -> None:
    """Write the results of a run, in place of those of an earlier attempt.

    Args:
        folder: Of the run's events.
        assessment: Of the test segment; None if the run failed.
        plots: PNG files to show.
        step: Epochs run.

    Raises:
        OSError: If the folder is missing, or something cannot be written.
    """
    Path(folder).stat()  # the writer would create it
    for earlier in Path(folder).glob(f"*{ENDING}"):
        earlier.unlink()
    with SummaryWriter(folder, filename_suffix=ENDING) as writer:
        for name, score in _scalars(assessment).items() if assessment else ():
            writer.add_scalar(f"test/{name}", score, step)
        if assessment:
            evidence = assessment.evidence
            writer.add_text("evidence", f"{evidence.line}\n\n{evidence.sentence}", step)
            everything = json.dumps(asdict(assessment), indent=2)
            writer.add_text("assessment", f"```\n{everything}\n```", step)
        for path in plots:
            writer.file_writer.add_summary(Summary(value=[_image(path)]), step)
        writer.file_writer.add_summary(
            Summary(value=[_session_end(succeeded=assessment is not None)])
        )
        writer.flush()  # unlike closing, this raises if writing failed


def _scalars(assessment: Assessment) -> dict[str, float]:
    """Return the numbers of an assessment, by tag."""
    scalars: dict[str, float | None] = dict(asdict(assessment.scores))
    for row in assessment.table[1:]:
        scalars[f"baseline_rmse/{row.name}"] = row.scores.rmse
    for name, outcome in assessment.tests.items():
        scalars[f"p/{name}"] = outcome.p_value
    for interval in assessment.intervals:
        scalars[f"coverage/{100 * interval.coverage_nominal:.0f}"] = interval.coverage
    for name, losses in assessment.density.items():
        scalars |= {f"{score}/{name}": loss for score, loss in losses.items()}
    for traded in assessment.trading:
        late = " late" if traded.delay_days else ""
        scalars[f"sharpe/{traded.name}{late} {traded.cost_bp:g} bp"] = traded.sharpe
    scalars["grade"] = GRADES.index(assessment.evidence.earned)
    return {name: value for name, value in scalars.items() if value is not None}


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
