"""The morning: read the data, write down what they say, and make the page of it."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ironore_lightning.desk.checks import (
    doubts,
    learnt_until,
    read_drivers,
    refusals,
    settled,
)
from ironore_lightning.desk.contents import forecast_content, known_outcomes
from ironore_lightning.desk.entries import Forecast, Refusal, Restatement, newest_said
from ironore_lightning.desk.newest import Newest, read_newest
from ironore_lightning.desk.page import write_morning
from ironore_lightning.desk.record import RECORD_FILE, Record, open_record
from ironore_lightning.desk.remarks import require_task, with_remarks
from ironore_lightning.desk.restated import find_restated, restatement_lines
from ironore_lightning.desk.why import explain_newest
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.forecast.next_day import forecast_on, require_same_task
from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.run_folder.layout import RESULTS_FILE
from ironore_lightning.run_folder.record import RunRecord, read_run
from ironore_lightning.settings.desk import DeskSettings

REFITS_FOLDER = "refits"
"""Folder of the refits below that of the desk."""

Said = Forecast | Refusal

Clock = Callable[[], datetime.datetime]
"""Tells the time, in UTC."""


def run_morning(settings: DeskSettings, clock: Clock) -> Said:
    """Forecast the next day, or say why not; write it down first, and then show it.

    The command may run as often as anybody likes: what stands in the record is not written again,
    and the same entries make the same page.

    Args:
        settings: Of the desk.
        clock: Tells the time, in UTC; `settings.now` takes its place in a rehearsal.

    Raises:
        ConfigError: If the settings or the runs are wrong, and the record is empty; once it is
            not, that is a reason for no forecast.
        RecordError: If the record is not what was written.
        MachineError: If it cannot be written.
    """
    folder, now = Path(settings.folder).absolute(), settings.now
    if (folder / RESULTS_FILE).exists():
        raise ConfigError(f"desk.folder: {folder} is the folder of a run; choose another one")
    if not (folder / RECORD_FILE).exists():
        read_runs(settings)  # wrong settings leave no folder
    with open_record(folder, rehearsal=now is not None) as record:
        morning = _Morning(settings, record, clock if now is None else lambda: now)
        try:
            said = morning.say()
        except DataError as error:
            said = morning.refuse(str(error).splitlines())
        except ConfigError as error:
            if not record.entries:
                raise
            said = morning.refuse(str(error).splitlines())
        write_morning(folder, record.entries)
    return said


def read_runs(settings: DeskSettings) -> list[RunRecord]:
    """Return the runs of a desk.

    Raises:
        ConfigError: If one is none, they forecast different things, or they have learnt what is
            rehearsed.
    """
    runs = [read_run(Path(run).absolute(), settings.data_root) for run in settings.runs]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise ConfigError("desk.runs: a run is named twice, so it would count twice in the mean")
    require_same_task(runs)
    for run in runs:
        if settings.now and learnt_until(run) >= settings.now.date():
            raise ConfigError(
                f"desk.now: {run.folder} has learnt outcomes until {learnt_until(run)}; rehearse "
                "a later morning"
            )
    return runs


@dataclass
class _Morning:
    """A morning of a desk whose record is open.

    Attributes:
        settings: Of the desk.
        record: Open.
        clock: Tells the time; a long fit may lie between two looks at it.
        origin: Newest row that was read; None before.
    """

    settings: DeskSettings
    record: Record
    clock: Clock
    origin: datetime.date | None = None

    def say(self) -> Said:
        """Append what has become known and what is said of the next day, unless it stands there."""
        entries, settings = self.record.entries, self.settings
        runs = read_runs(settings)
        set_up_process(runs[0].settings.hardware.on_cpu())
        newest = read_newest(
            runs,
            self._known_until(),
            refits=self.record.folder / REFITS_FOLDER,
            settings=settings,
        )
        require_task(newest, settings, entries)
        self.origin = newest.origin.date()
        if lines := doubts(newest, settings, self.clock()):
            return self.refuse(lines)
        if changed := find_restated(entries, newest):
            if not settings.accept_restated:
                return self.refuse(restatement_lines(entries, newest, changed))
            self.record.append(Restatement(values=changed), self.clock())
        for outcome in list(known_outcomes(entries, newest)):
            if settled(outcome.date, settings) <= self.clock():
                self.record.append(outcome, self.clock())
        return self._forecast(newest)

    def refuse(self, lines: Sequence[str]) -> Refusal:
        """Write down why there is no forecast, once a day."""
        now = self.clock()
        content = Refusal(origin=self.origin, reasons=list(lines), runs=self.settings.runs)
        last = newest_said(self.record.entries)
        if last is None or last.content != content or last.written_at.date() != now.date():
            self.record.append(content, now)
        return content

    def _known_until(self) -> datetime.date | None:
        """Return the last day that is settled in a rehearsal; real files hold no later one."""
        if (now := self.settings.now) is None:
            return None
        return now.date() - datetime.timedelta(days=int(now.time() < self.settings.settles_at))

    def _forecast(self, newest: Newest) -> Said:
        drivers = read_drivers(newest)
        next_day = forecast_on(
            newest.runs, newest.raw, newest.panel, newest.rows, today=self.clock().date()
        )
        said = forecast_content(newest, next_day, drivers, explain_newest(newest), self.settings)
        content = with_remarks(said, self.record.entries)
        now = self.clock()
        if lines := refusals(newest, next_day, drivers, self.settings, now):
            return self.refuse(lines)
        last = newest_said(self.record.entries)
        if last is None or last.content != content:
            self.record.append(content, now)
        return content
