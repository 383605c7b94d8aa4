"""Write a finished run as one ONNX file, which forecasts without this package.

RUN is the folder of a finished run. The file holds the network of its best epoch and its scaler: it
takes windows of unscaled rows, `windows` of shape (N, days, columns) in double precision, and gives
`forecast` of shape (N,) in per cent; from a network with a distribution also `standard_deviation`,
`scale` and `degrees_of_freedom`, or `quantiles` of shape (N, 19). Its metadata name the columns in
their order, the days of a window, what is forecast, and the grade that the run has earned.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import ConfigError, machine_errors, missing_extra
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_safely


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a run, say where to, and return the exit status."""
    parser = CommandParser("export", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (forecaster.onnx in RUN)"
    )
    return run_plain(parser, _export, arguments)


def _export(options: argparse.Namespace) -> None:
    if not (find_spec("onnx") and find_spec("onnxscript")):
        raise ConfigError(f"export: {missing_extra('onnx', 'export')}")
    with quick_imports():  # of torch, which --help does not need
        from ironore_lightning.export.network_file import to_onnx
        from ironore_lightning.files import write_bytes
        from ironore_lightning.run_folder.record import read_run

    run = read_run(options.run, None)
    path = options.output or options.run / "forecaster.onnx"
    with machine_errors(path):
        write_bytes(path, to_onnx(run))
    print_safely(f"{path}: windows of {run.settings.window.sequence_length} days\n")


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
