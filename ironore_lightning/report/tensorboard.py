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
from torch.utils.tensorboard import FileWriter, SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ironore_lightning.evaluation.assessment import Assessment, net_sharpe
from ironore_lightning.evaluation.evidence import GRADES
from ironore_lightning.evaluation.trading import usual_cost
from ironore_lightning.run_folder.layout import TENSORBOARD
from ironore_lightning.run_folder.results import FittedRun
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
            rank_zero_only(_mark_failure)(Path(folder))
        raise


def _mark_failure(folder: Path) -> None:
    with _ending(folder, succeeded=False):
        pass


def close_session(
    run: FittedRun, assessment: Assessment | None = None, plots: Iterable[Path] = ()
) -> None:
    """Write the scores of a run, in place of those of an earlier attempt.

    The HParams tab sorts columns by name: `val` and `val_best` stand before `verdict`.

    Args:
        run: Its scores on the validation segment go into `val_best`.
        assessment: Of the test segment, into `verdict`; None if it is not assessed.
        plots: PNG files to show.

    Raises:
        OSError: If the folder is missing, or something cannot be written.
    """
    scalars = {f"val_best/{name}": score for name, score in _validation(run).items()}
    if assessment:
        scalars |= {f"verdict/{name}": score for name, score in _verdict(assessment).items()}
    step = run.facts.num_epochs
    with _ending(run.folder / TENSORBOARD, succeeded=True) as writer:
        for name, score in scalars.items():
            if score is not None:
                writer.add_scalar(name, score, step)
        if assessment:
            evidence = assessment.evidence
            writer.add_text("evidence", f"{evidence.line}\n\n{evidence.sentence}", step)
            everything = json.dumps(asdict(assessment), indent=2)
            writer.add_text("assessment", f"```\n{everything}\n```", step)
        for path in plots:
            _events(writer).add_summary(Summary(value=[_image(path)]), step)


@contextmanager
def _ending(folder: Path, *, succeeded: bool) -> Iterator[SummaryWriter]:
    """Open the event file with the results of a run, and end its session."""
    folder.stat()  # the writer would create it
    for earlier in folder.glob(f"*{ENDING}"):
        earlier.unlink()
    with SummaryWriter(folder, filename_suffix=ENDING) as writer:
        yield writer
        _events(writer).add_summary(Summary(value=[_session_end(succeeded=succeeded)]))
        writer.flush()  # unlike closing, this raises if writing failed


def _events(writer: SummaryWriter) -> FileWriter:
    """Return the file of an open writer."""
    assert writer.file_writer is not None
    return writer.file_writer


def _validation(run: FittedRun) -> dict[str, float | None]:
    """Return the scores of the kept epoch on validation; curves end with another one."""
    scores = run.validation
    return {
        "epoch": run.facts.best_epoch,
        run.config.monitor.removeprefix("val/"): run.objective,
        "rmse": scores.rmse,
        "mae": scores.mae,
        "r2_zero": scores.r2_zero,
        "direction_accuracy": scores.direction_accuracy,
        "correlation": scores.correlation,
    }


def _verdict(assessment: Assessment) -> dict[str, float | None]:
    """Return the figures that a verdict rests on; the text `assessment` has all of them."""
    scores = assessment.scores
    coverages = {
        f"coverage_{100 * interval.coverage_nominal:.0f}": interval.coverage
        for interval in assessment.intervals
    }
    sharpe = {}
    if costs := sorted({traded.cost_bp for traded in assessment.trading}):
        shown = usual_cost(costs)
        sharpe[f"sharpe_after_{shown:g}_bp"] = net_sharpe(assessment.trading, shown)
    return {
        "rmse": scores.rmse,
        "r2_zero": scores.r2_zero,
        "direction_accuracy": scores.direction_accuracy,
        "base_rate": scores.base_rate,
        "correlation": scores.correlation,
        **coverages,
        **sharpe,
        "skill_p": assessment.evidence.skill_p,
        "grade": GRADES.index(assessment.evidence.earned),
    }


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
