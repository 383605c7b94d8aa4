"""The lines of a record, chained by hash, and the first one that is not what was written."""

import datetime
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ironore_lightning.desk.entries import Entry, Forecast, Outcome, Sha256, Start
from ironore_lightning.files import short_reason

NOTHING = "0" * 64
"""What stands in place of a hash before the first entry."""


class Head(BaseModel):
    """The newest entry as a file beside the record names it.

    Attributes:
        number: Of the entry; 0 before the first.
        sha256: Of its line, without the line feed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    number: int = Field(ge=0)
    sha256: Sha256


@dataclass(frozen=True)
class Fault:
    """The first thing in a record that is not what was written.

    Attributes:
        entry: Its number, counted from 1; None where nobody can tell.
        reason: What is wrong, for people.
    """

    entry: int | None
    reason: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"entry {self.entry} {self.reason}" if self.entry else self.reason


@dataclass(frozen=True)
class Line:
    """A line of the record.

    Attributes:
        sha256: Of its bytes.
        entry: What it says; None if that cannot be read.
        flaw: What is wrong with the line by itself; empty if nothing is.
    """

    sha256: str
    entry: Entry | None
    flaw: str


def to_line(entry: Entry) -> bytes:
    """Return an entry in its only form, without a line feed."""
    return _canonical(entry.model_dump(mode="json"))


def parse_line(text: bytes) -> Line:
    """Read a line, given without its line feed."""
    sha256 = hashlib.sha256(text).hexdigest()
    try:
        entry = Entry.model_validate_json(text)
        is_canonical = _canonical(json.loads(text)) == text
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, mistake["loc"]))
        reason = short_reason(f"{where}: {mistake['msg']}" if where else mistake["msg"])
        if mistake["type"] in {"missing", "extra_forbidden"}:
            reason += "; another version of this project may have written it"
        return Line(sha256, None, f"cannot be read: {reason}")
    except ValueError as error:
        return Line(sha256, None, f"cannot be read: {short_reason(error)}")
    flaw = "" if is_canonical else "was changed: its spaces or digits are not as the desk writes"
    return Line(sha256, entry, flaw)


def find_fault(lines: Sequence[Line], head: Head) -> Fault | None:
    """Return the first fault of a record, or None if it is whole.

    A record may be one entry ahead of its head: the desk was killed between the two.

    Args:
        lines: Of the record, oldest first.
        head: What the file beside it says.
    """
    broken = _broken_chain(lines, head) or _wrong_end(lines, head)
    end = len(lines) if broken is None or broken.entry is None else broken.entry - 1
    entries = [line.entry for line in lines[:end] if line.entry]
    return _senseless(entries) or broken


def _canonical(values: object) -> bytes:
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


def _broken_chain(lines: Sequence[Line], head: Head) -> Fault | None:
    for place, line in enumerate(lines, 1):
        if line.flaw or line.entry is None:
            return Fault(place, line.flaw)
        if line.entry.number != place:
            return _misplaced(lines, place, line.entry.number, head)
        before = lines[place - 2] if place > 1 else None
        if line.entry.previous != (before.sha256 if before else NOTHING):
            return Fault(_changed(lines, place, head), "was changed after it was written")
        if before and before.entry and line.entry.written_at < before.entry.written_at:
            reason = f"is back-dated: {line.entry.written_at} lies before the entry above it"
            return Fault(place, reason)
    return None


def _misplaced(lines: Sequence[Line], place: int, number: int, head: Head) -> Fault:
    """Say what has happened where a line has the number of another place."""
    after = lines[place].entry if place < len(lines) else None
    is_alone = after.number == place + 1 if after else place == head.number
    if number == place - 1 and not is_alone:
        return Fault(number, "is there twice: a line was inserted")
    others = [line.entry.number for line in lines[place:] if line.entry]
    if is_alone or place in others:
        reason = f"is not in its place: a line that says it is entry {number} stands there"
        return Fault(place, reason)
    return Fault(place, f"is missing: entry {number} follows")


def _changed(lines: Sequence[Line], place: int, head: Head) -> int:
    """Return which was changed where a line does not name the hash of the line before it.

    That is the line before, if the head or the line after vouch for the one that names it.
    """
    if place == 1:
        return 1
    if place - 1 == head.number:
        return place if lines[place - 2].sha256 == head.sha256 else place - 1
    after = lines[place].entry if place < len(lines) else None
    vouched = after.previous if after else head.sha256
    return place - 1 if lines[place - 1].sha256 == vouched else place


def _wrong_end(lines: Sequence[Line], head: Head) -> Fault | None:
    """Compare a whole chain with the head."""
    if len(lines) < head.number:
        reason = f"is gone or cut off: the newest one was entry {head.number}"
        return Fault(len(lines) + 1, reason)
    if head.number and lines[head.number - 1].sha256 != head.sha256:
        reason = (
            "is not the one that was written: it was changed, or one before it with all that follow"
        )
        return Fault(head.number, reason)
    if len(lines) > head.number + 1:
        return Fault(head.number + 1, "and those behind it were added, or head.json was")
    return None


def _senseless(entries: Sequence[Entry]) -> Fault | None:
    """Find an entry that does not follow from those before it."""
    first: dict[int, Forecast] = {}
    settled: set[int] = set()
    for entry in entries:
        content = entry.content
        reason = None
        if isinstance(content, Start) != (entry.number == 1):
            reason = "is no start of a record, or a second one"
        elif isinstance(content, Forecast):
            reason = _late(content, entry.written_at)
            if all(content.origin != forecast.origin for forecast in first.values()):
                first[entry.number] = content
        elif isinstance(content, Outcome):
            reason = _unfounded(content, entry.written_at, first, settled)
            settled.add(content.forecast)
        if reason:
            return Fault(entry.number, reason)
    return None


def _moment(forecast: Forecast, date: datetime.date) -> datetime.datetime:
    """Return when the outcome of a day becomes known."""
    return datetime.datetime.fromisoformat(f"{date}T{forecast.settles_at}:00+00:00")


def _late(forecast: Forecast, written_at: datetime.datetime) -> str | None:
    known = _moment(forecast, forecast.date)
    if written_at < known:
        return None
    return (
        f"is a forecast that was written after its outcome was known ({known:%Y-%m-%d %H:%M} UTC)"
    )


def _unfounded(
    outcome: Outcome,
    written_at: datetime.datetime,
    first: Mapping[int, Forecast],
    settled: Collection[int],
) -> str | None:
    forecast = first.get(outcome.forecast)
    if forecast is None or outcome.date <= forecast.origin:
        return f"is an outcome of {outcome.date} that belongs to no first forecast before it"
    if written_at < _moment(forecast, outcome.date):
        return f"is an outcome of {outcome.date} that was written before it was known"
    if outcome.forecast in settled:
        return f"is a second outcome of {outcome.date}"
    return None
