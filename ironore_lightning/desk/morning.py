"""The morning: read the data, write down what they say, and make the page of it."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.desk.checks import (
    read_drivers,
    refusals,
    restated,
    restatement_lines,
)
from ironore_lightning.desk.contents import (
    first_forecasts,
    forecast_content,
    known_outcomes,
)
from ironore_lightning.desk.entries import Entry, Forecast, Refusal, Restatement
from ironore_lightning.desk.newest import Newest, read_newest
from ironore_lightning.desk.page import write_morning
from ironore_lightning.desk.record import Record, open_record
from ironore_lightning.desk.why import explain_newest
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.forecast.next_day import forecast_on, require_same_task
from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.run_folder.record import RunRecord, read_run
from ironore_lightning.settings.desk import DeskSettings

REFITS_FOLDER = "refits"
"""Folder of the refits below that of the desk."""

Said = Forecast | Refusal


def run_morning(settings: DeskSettings, clock: datetime.datetime) -> Said:
    """Forecast the next day, or say why not; write it down first, and then show it.

    The command may run as often as anybody likes: what stands in the record is not written again,
    and the same entries make the same page.

    Args:
        settings: Of the desk.
        clock: The time now, in UTC; `settings.now` takes its place in a rehearsal.

    Raises:
        ConfigError: If the settings or the runs are wrong; nothing is written.
        RecordError: If the record is not what was written.
        MachineError: If it cannot be written.
    """
    now = settings.now or clock
    runs = [read_run(Path(run).absolute(), settings.data_root) for run in settings.runs]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise ConfigError("desk.runs: a run is named twice, so it would count twice in the mean")
    require_same_task(runs)
    set_up_process(runs[0].settings.hardware.on_cpu())
    folder = Path(settings.folder).absolute()
    with open_record(folder, rehearsal=settings.now is not None) as record:
        said = _say(runs, record, settings, now)
        write_morning(folder, record.entries)
    return said


def _say(
    runs: Sequence[RunRecord], record: Record, settings: DeskSettings, now: datetime.datetime
) -> Said:
    """Append what has become known and what is said of the next day, unless it stands there."""
    try:
        newest = read_newest(
            runs,
            _known_until(settings, now),
            refits=record.folder / REFITS_FOLDER,
            refit_every=settings.refit_every,
        )
    except DataError as error:
        return _refuse(record, None, str(error).splitlines(), now)
    if changed := restated(record.entries, newest):
        if not settings.accept_restated:
            lines = restatement_lines(record.entries, changed)
            return _refuse(record, newest, lines, now)
        record.append(Restatement(values=changed), now)
    for outcome in list(known_outcomes(record.entries, newest)):
        record.append(outcome, now)
    return _forecast(newest, record, settings, now)


def _known_until(settings: DeskSettings, now: datetime.datetime) -> datetime.date | None:
    """Return the last day that is settled in a rehearsal; real files hold no later one."""
    if settings.now is None:
        return None
    return now.date() - datetime.timedelta(days=int(now.time() < settings.settles_at))


def _forecast(
    newest: Newest, record: Record, settings: DeskSettings, now: datetime.datetime
) -> Said:
    drivers = read_drivers(newest)
    try:
        next_day = forecast_on(newest.runs, newest.raw, newest.panel, newest.rows, today=now.date())
    except DataError as error:
        return _refuse(record, newest, str(error).splitlines(), now)
    said = forecast_content(newest, next_day, drivers, explain_newest(newest), settings)
    content = _with_remarks(said, record.entries)
    if content == _last_said(record.entries):
        return content
    if lines := refusals(newest, next_day, drivers, settings, now):
        return _refuse(record, newest, lines, now)
    record.append(content, now)
    return content


def _with_remarks(content: Forecast, entries: Sequence[Entry]) -> Forecast:
    """Return a forecast that says so if others made those before, or if it is not the first."""
    first = first_forecasts(entries)
    earlier = [forecast for forecast in first.values() if forecast.origin < content.origin]
    if earlier and earlier[-1].sources != content.sources:
        remark = f"the networks are others than those of the forecast for {earlier[-1].date}"
        content = content.model_copy(update={"alarms": [*content.alarms, remark]})
    for number, forecast in first.items():
        if forecast.origin == content.origin and forecast != content:
            remark = (
                f"entry {number} is the first forecast from {content.origin}, and the one that "
                f"counts: {forecast.forecast:+.2f} {forecast.unit}"
            )
            content = content.model_copy(update={"alarms": [*content.alarms, remark]})
    return content


def _refuse(
    record: Record, newest: Newest | None, lines: Sequence[str], now: datetime.datetime
) -> Refusal:
    origin = newest.origin.date() if newest else None
    content = Refusal(origin=origin, reasons=list(lines))
    if _last_said(record.entries) != content:
        record.append(content, now)
    return content


def _last_said(entries: Sequence[Entry]) -> Said | None:
    """Return the newest forecast or refusal."""
    for entry in reversed(entries):
        if isinstance(entry.content, Forecast | Refusal):
            return entry.content
    return None
