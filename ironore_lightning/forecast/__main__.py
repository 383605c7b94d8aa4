"""Forecast the next trading day with finished runs.

The forecast of several runs is the mean of their networks. It is printed and written to
`forecast.json`.
"""

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import ConfigError, DataError, machine_errors
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_parts

if TYPE_CHECKING:
    from ironore_lightning.forecast.next_day import NextDayForecast

MAX_AGE_DAYS = 5
"""Default of `--max-age-days`: most trading days since the newest row, one week."""


def main(arguments: Sequence[str] | None = None, *, today: datetime.date | None = None) -> int:
    """Forecast, print a table, write `forecast.json`, and return the exit status.

    A forecast from old data is written and said like any other, since it is one; the status tells
    whoever does not read the warning.
    """
    parser = CommandParser("forecast", __doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folder of a finished run"
    )
    parser.add_argument("--data-root", metavar="DIR", help="newer files in place of the run's own")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="takes forecast.json")
    parser.add_argument(
        "--max-age-days",
        type=int,
        default=MAX_AGE_DAYS,
        metavar="N",
        help="trading days that the newest row may be old before the exit status is 2 "
        "(%(default)s)",
    )
    today = today or datetime.datetime.now(tz=datetime.UTC).date()
    return run_plain(parser, lambda options: _forecast(options, today), arguments)


def _forecast(options: argparse.Namespace, today: datetime.date) -> None:
    with quick_imports():  # of torch, which --help does not need
        from ironore_lightning.files import write_json
        from ironore_lightning.forecast.next_day import describe, forecast_next
        from ironore_lightning.run_folder.record import read_run

    if len({run.resolve() for run in options.runs}) < len(options.runs):
        raise ConfigError("a run is named twice, so it would count twice in the mean")
    runs = [read_run(run, options.data_root) for run in options.runs]
    next_day = forecast_next(runs, today=today)
    folder = options.output_dir or runs[0].folder
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "forecast.json", asdict(next_day))
    print_parts(describe(next_day))
    if runs[0].settings.data.sample is None:  # the dates of a simulated market are fixed
        _require_fresh(next_day, options.max_age_days)


def _require_fresh(next_day: "NextDayForecast", max_age_days: int) -> None:
    if next_day.age_days > max_age_days:
        raise DataError(
            f"the newest row is {next_day.origin}, {next_day.age}, and "
            f"--max-age-days is {max_age_days}; refresh the files (--data-root DIR reads others), "
            f"or allow it with --max-age-days {next_day.age_days}"
        )


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
