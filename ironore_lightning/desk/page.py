"""The morning page and its numbers: a pure function of the entries until then."""

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ironore_lightning.desk import sheet
from ironore_lightning.desk.chain import to_line
from ironore_lightning.desk.entries import (
    Entry,
    Forecast,
    Outcome,
    Refusal,
    is_rehearsal,
    newest_said,
)
from ironore_lightning.desk.figures import fan_figure, hits_figure, wealth_figure
from ironore_lightning.desk.live_days import live_days
from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.evaluation.evidence import MEANINGS
from ironore_lightning.evaluation.live import live_evidence
from ironore_lightning.files import write_json, write_text
from ironore_lightning.report.page import Picture, inline, template
from ironore_lightning.report.style import default_style, svg_text

PAGE_FILE = "desk.html"
FACTS_FILE = "desk.json"

LAST_FORECAST = {"origin", "date", "series", "contract", "forecast", "unit"}
"""Fields of the newest forecast that a refusal, too, is shown with."""

PATHS = {"dates", "estimates", "lows", "highs", "by_day"}
"""Keys of the live evidence with a value a day, which only the page shows."""


def write_morning(folder: Path, entries: Sequence[Entry]) -> None:
    """Write `desk.html` and `desk.json`; equal entries give equal bytes.

    Args:
        folder: Of the desk.
        entries: Of its record, until that morning; at least one is a forecast or a refusal.

    Raises:
        MachineError: If a file cannot be written.
    """
    with machine_errors(folder):
        write_text(folder / PAGE_FILE, page_text(entries))
        write_json(folder / FACTS_FILE, page_facts(entries))


@default_style
def page_text(entries: Sequence[Entry]) -> str:
    """Return the page of the newest morning as one HTML document."""
    said, live = _said(entries), live_evidence(live_days(entries))
    figures: dict[str, Figure | None] = {
        "Newest prices, and the forecast, whose step is drawn wider": (
            fan_figure(said) if isinstance(said, Forecast) else None
        ),
        "Right directions so far, and the bounds of their chance; dashed: 50 %": hits_figure(live),
        "Wealth of bets that began with 1; dashed: 20, seldom luck": wealth_figure(live),
    }
    pictures = [Picture(caption, svg_text(figure)) for caption, figure in figures.items() if figure]
    return template("desk/page.html.j2").render(
        said=said,
        earlier=newest_forecast(entries),
        sheet=sheet,
        meanings=MEANINGS,
        live=live,
        outcome=_newest_outcome(entries),
        is_rehearsal=is_rehearsal(entries),
        newest=entries[-1],
        head=head_of(entries),
        pictures=[
            (picture.caption, inline(picture, prefix=f"f{place}-"))
            for place, picture in enumerate(pictures)
        ],
    )


def page_facts(entries: Sequence[Entry]) -> dict[str, object]:
    """Return what the page says, for machines."""
    said, live = _said(entries), live_evidence(live_days(entries))
    forecast = newest_forecast(entries)
    return {
        "status": said.kind,
        "written_at": entries[-1].model_dump(mode="json")["written_at"],
        "is_rehearsal": is_rehearsal(entries),
        "number": entries[-1].number,
        "head": head_of(entries),
        "said": said.model_dump(mode="json"),
        "last_forecast": forecast and forecast.model_dump(mode="json", include=LAST_FORECAST),
        "live": without_paths(asdict(live)),
    }


def entries_until(entries: Sequence[Entry], day: datetime.date) -> Sequence[Entry]:
    """Return the entries from which the page of a past morning is made again.

    Args:
        entries: Of a whole record.
        day: That was forecast, or else on which a forecast was refused (UTC).

    Raises:
        ConfigError: If nothing was said of that day.
    """
    forecasts = [
        entry.number
        for entry in entries
        if isinstance(entry.content, Forecast) and entry.content.date == day
    ]
    refusals = [
        entry.number
        for entry in entries
        if isinstance(entry.content, Refusal) and entry.written_at.date() == day
    ]
    if numbers := forecasts or refusals:
        return entries[: numbers[-1]]
    raise ConfigError(f"the record has no forecast for {day}, and no refusal on that day")


def _said(entries: Sequence[Entry]) -> Forecast | Refusal:
    newest = newest_said(entries)
    assert newest is not None
    assert isinstance(newest.content, Forecast | Refusal)
    return newest.content


def newest_forecast(entries: Sequence[Entry]) -> Forecast | None:
    """Return the newest forecast, which a refusal may follow."""
    contents = (entry.content for entry in reversed(entries))
    return next((content for content in contents if isinstance(content, Forecast)), None)


def head_of(entries: Sequence[Entry]) -> str:
    """Return the SHA-256 of the newest line."""
    return hashlib.sha256(to_line(entries[-1])).hexdigest()


def without_paths(values: Mapping[str, Any]) -> dict[str, object]:
    """Return live evidence without its values by day."""
    return {
        key: without_paths(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in PATHS
    }


def _newest_outcome(entries: Sequence[Entry]) -> tuple[Forecast, Outcome] | None:
    outcomes = [entry.content for entry in entries if isinstance(entry.content, Outcome)]
    if not outcomes:
        return None
    forecast = entries[outcomes[-1].forecast - 1].content
    assert isinstance(forecast, Forecast)
    return forecast, outcomes[-1]
