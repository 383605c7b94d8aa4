"""What a forecast says of the record that it goes into."""

from collections.abc import Iterator, Sequence

from ironore_lightning.desk.entries import Entry, Forecast, Outcome, Restatement, first_forecasts
from ironore_lightning.desk.newest import Newest
from ironore_lightning.errors import ConfigError
from ironore_lightning.settings.desk import DeskSettings

NAMES = {
    "kind_of_target": "kind of target",
    "noun": "length of a row",
    "rules": "hash of the settings of target and roll",
    "settles_at": "time of settlement",
}
"""What people call a field of a forecast."""


def require_task(newest: Newest, settings: DeskSettings, entries: Sequence[Entry]) -> None:
    """Raise `ConfigError` if a record is of forecasts of something else, scored otherwise."""
    target = newest.config.target
    task = {
        "series": target.series,
        "kind_of_target": target.kind,
        "unit": target.unit_name,
        "noun": newest.panel.rhythm.noun,
        "horizon": target.horizon,
        "rules": newest.rules,
        "settles_at": f"{settings.settles_at:%H:%M}",
    }
    for forecast in first_forecasts(entries).values():
        for name, now in task.items():
            if (before := getattr(forecast, name)) != now:
                what = NAMES.get(name, name)
                raise ConfigError(
                    f"the {what} of this desk is {now}, and that of its record {before}; what is "
                    "scored otherwise needs a record of its own, in another desk.folder"
                )


def with_remarks(content: Forecast, entries: Sequence[Entry]) -> Forecast:
    """Return a forecast with what a reader should know of those before it."""
    remarks = [*_overdue(content, entries), *_since_the_last(content, entries)]
    content = content.model_copy(update={"alarms": [*content.alarms, *remarks]})
    for number, forecast in first_forecasts(entries).items():
        if forecast.origin == content.origin and forecast != content:
            remark = (
                f"entry {number} is the first forecast from {content.origin}, and the one that "
                f"counts: {forecast.forecast:+.2f} {forecast.unit}"
            )
            return content.model_copy(update={"alarms": [*content.alarms, remark]})
    return content


def _overdue(content: Forecast, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield the forecasts whose day has come, and whose outcome is not known."""
    told = {entry.content.forecast for entry in entries if isinstance(entry.content, Outcome)}
    waiting = [
        f"{forecast.date}"
        for number, forecast in first_forecasts(entries).items()
        if number not in told and _has_come(forecast, content)
    ]
    if waiting:
        yield (
            f"no outcome is known of the forecast for {', '.join(waiting)}, so that it does not "
            "count: a break of the specification, or a row that is gone"
        )


def _has_come(forecast: Forecast, content: Forecast) -> bool:
    """Return whether the rows until an outcome are there, wherever unknown holidays put them."""
    later = sum(row > forecast.origin for row in content.rows)
    return later >= min(content.horizon, len(content.rows))


def _since_the_last(content: Forecast, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield what has changed since the forecast before: the networks, or restated values."""
    earlier = [
        (number, forecast)
        for number, forecast in first_forecasts(entries).items()
        if forecast.origin < content.origin
    ]
    if not earlier:
        return
    number, forecast = earlier[-1]
    if forecast.sources != content.sources:
        yield f"the networks are others than those of the forecast for {forecast.date}"
    for entry in entries[number:]:
        if isinstance(entry.content, Restatement):
            names = sorted({name for row in entry.content.values.values() for name in row})
            yield (
                f"entry {entry.number} has accepted restated values of {', '.join(names)} on "
                f"{', '.join(entry.content.values)}"
            )
