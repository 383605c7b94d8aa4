"""Forecast the next trading day each morning, and keep a record that cannot be polished.

The command is made for cron: it may run as often as you like. It reads the newest files, writes
down the outcomes that have become known and the forecast, and then makes desk.html and desk.json
in the desk's folder. It ends with 0 if there is a forecast that may be used, and with 4 if there is
none: the reasons stand on the page. 3 means that the record is not what was written.

    ironore desk desk.runs=[outputs/ironore/RUN] desk.data_root=../raw

desk.now=2025-03-04T06:00 rehearses a morning of the past, in a folder of its own.
"""

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ironore_lightning.cli.plain_command import CommandParser, run_plain
from ironore_lightning.errors import NO_FORECAST
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import print_safely

if TYPE_CHECKING:
    from ironore_lightning.desk.entries import Forecast, Refusal


def main(
    arguments: Sequence[str] | None = None, *, clock: Callable[[], datetime.datetime] | None = None
) -> int:
    """Run one morning, print what it says, and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    wants_help = not {"--help", "-h"}.isdisjoint(arguments)
    parser = CommandParser("desk", f"{__doc__}{_settings_text()}" if wants_help else __doc__)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="desk.KEY=VALUE",
        help="settings, as above",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="YAML with the settings of a desk"
    )
    status = [0]

    def work(options: argparse.Namespace) -> None:
        status[0] = _run(options, clock or _now)

    return run_plain(parser, work, arguments) or status[0]


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)


def _settings_text() -> str:
    """Return the settings of a desk for people, with their defaults."""
    import yaml

    from ironore_lightning.cli.help import described_settings
    from ironore_lightning.settings.desk import DeskSettings
    from ironore_lightning.settings.folder import conf_folder

    values = yaml.safe_load((conf_folder() / "desk.yaml").read_text(encoding="utf-8"))["desk"]
    said = "".join(described_settings(DeskSettings.model_json_schema(), values, "desk"))
    # Lines that begin with a space stay as they are.
    return "\nSettings:\n\n" + "".join(f" {line}\n" for line in said.splitlines())


def _run(options: argparse.Namespace, clock: Callable[[], datetime.datetime]) -> int:
    with quick_imports():  # of torch, which --help does not need
        from ironore_lightning.desk.entries import Refusal
        from ironore_lightning.desk.morning import run_morning
        from ironore_lightning.desk.page import PAGE_FILE
        from ironore_lightning.settings.desk import read_desk_settings

    settings = read_desk_settings(options.overrides, options.settings)
    said = run_morning(settings, clock)
    page = Path(settings.folder) / PAGE_FILE
    print_safely(f"{_in_words(said)}\nThe page: {page}\n")
    return NO_FORECAST if isinstance(said, Refusal) else 0


def _in_words(said: "Forecast | Refusal") -> str:
    """Return what the desk says, in a line or one for each reason."""
    if said.kind == "refusal":
        return "\n".join(f"No forecast, because {reason}" for reason in said.reasons)
    price = "" if said.price_forecast is None else f", a price of {said.price_forecast:.2f}"
    lines = [
        f"{said.date}: {said.series} {said.forecast:+.2f} {said.unit}{price}",
        f"Earned so far: {said.evidence}",
        *(f"warning: {alarm}" for alarm in said.alarms),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
