"""TensorBoard: hyperparameters, scores, figures, and a card in words."""

import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
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

from ironore_lightning.run_folder.results import FittedRun, RunResult

DEFAULT_HOOK = threading.excepthook

ENDING = ".end"
"""Suffix of the event file with the results of a run."""

LAYOUT = {"training": {"loss": ["Multiline", ["train/loss", "val/loss"]]}}


def build(folder: Path, last: Mapping[str, Any] | None) -> TensorBoardLogger:
    """Write curves into `folder`; those after the last checkpoint are deleted and drawn again.

    Args:
        folder: Of the event files.
        last: State in that checkpoint; empty or None for a run that does not go on.
    """
    _silence_writer()
    # `purge_step` is the first step deleted. Curves count epochs from 1, checkpoints from 0.
    purge = {"purge_step": last["epoch"] + 2} if last else {}
    return TensorBoardLogger(folder, "", "", default_hp_metric=False, **purge)


def open_session(logger: TensorBoardLogger, values: dict[str, bool | str | float]) -> None:
    """Write the hyperparameters of a run that starts, and the layout of its custom charts.

    The plugin's record of the experiment is left out: it would fix the columns for all runs in the
    folder.
    """
    logger.hparams.update(values)  # lightning writes these to hparams.yaml
    _, start, _ = hparams(values, {})  # type: ignore[no-untyped-call]  # torch has no types here
    logger.experiment.file_writer.add_summary(start)
    logger.experiment.add_custom_scalars(LAYOUT)


def _silence_writer() -> None:
    """Suppress the traceback of the thread that writes events.

    Its error is raised again where the next event is written, or the last one flushed.
    """
    threading.excepthook = _ignore_os_error


def _ignore_os_error(failed: threading.ExceptHookArgs) -> None:
    if not isinstance(failed.exc_value, OSError):
        DEFAULT_HOOK(failed)


def mark_failure(folder: Path) -> None:
    """Write that a run has failed."""
    with _ending(folder, succeeded=False):
        pass


def close_session(
    folder: Path,
    run: FittedRun,
    figures: Mapping[str, float],
    result: RunResult | None = None,
    plots: Iterable[Path] = (),
) -> None:
    """Write the scores of a run, in place of those of an earlier attempt.

    Args:
        folder: Of the event files.
        run: For the card in words.
        figures: Scores by name, such as `val_kept/rmse`. Names are sorted: validation comes first.
        result: Its assessment; None if it is not assessed.
        plots: PNG files to show.

    Raises:
        OSError: If the folder is missing, or something cannot be written.
    """
    step = run.facts.num_epochs
    with _ending(folder, succeeded=True) as writer:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        writer.add_text("verdict", run_card(run, result), step)
        for path in plots:
            _events(writer).add_summary(Summary(value=[_image(path)]), step)


def run_card(run: FittedRun, result: RunResult | None) -> str:
    """Return what a run is and was worth, as Markdown."""
    config = run.config
    said = ["Not assessed: validation chooses among the runs of a search."]
    if result:
        said = [f"**{result.assessment.evidence.line}**", result.sentence]
    days = [
        [row.segment, row.first_date, row.last_date, row.samples]
        for row in run.datamodule.table.itertuples()
    ]
    names = ", ".join(feature.label for feature in config.features.names)
    settings = [
        ["data", config.data.name],
        *([name, value] for name, value in config.model),
        ["learning rate", config.training.learning_rate],
        ["batch size", config.training.batch_size],
        ["seed", config.seed],
        ["epochs", run.facts.num_epochs],
        [f"kept for its {config.monitor}", f"epoch {run.facts.best_epoch}, {run.objective:.4f}"],
    ]
    return "\n\n".join(
        [
            *said,
            _table([["segment", "first day", "last day", "samples"], *days]),
            f"The model reads {config.window.sequence_length} {run.panel.rhythm.noun}s of {names}, "
            f"and forecasts {config.target.series}.",
            _table([["setting", "value"], *settings]),
        ]
    )


def _table(rows: Sequence[Sequence[object]]) -> str:
    """Write rows as Markdown; the first is the header."""
    header, *others = (f"| {' | '.join(map(str, row))} |" for row in rows)
    return "\n".join([header, "| --- " * len(rows[0]) + "|", *others])


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


def _image(path: Path) -> Summary.Value:
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])  # the header of every PNG
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=data)
    return Summary.Value(tag=f"verdict/{path.stem}", image=image)


def _session_end(*, succeeded: bool) -> Summary.Value:
    status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
    end = SessionEndInfo(status=status, end_time_secs=time.time())
    content = HParamsPluginData(session_end_info=end, version=PLUGIN_DATA_VERSION)
    plugin = SummaryMetadata.PluginData(
        plugin_name=PLUGIN_NAME, content=content.SerializeToString()
    )
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary.Value(tag=SESSION_END_INFO_TAG, metadata=metadata)
