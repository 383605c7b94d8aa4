"""What a summary says of one of its runs, whose own grade knows nothing of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from ironore_lightning.errors import ConfigError, single_line
from ironore_lightning.files import read_json
from ironore_lightning.run_folder.layout import is_of_multirun
from ironore_lightning.run_folder.record import Known, Line, at_keys

SUMMARY_FILE = "summary.json"


class Chosen(Known):
    """Known fields of the chosen trial: its name, its runs, and the grade after the discount."""

    trial: Line
    runs: list[Line]
    num_trials: int = at_keys("discount", "num_trials")
    evidence: Line = at_keys("evaluation", "evidence", "line")


class ListedRun(Known):
    """Known fields of a run in a summary."""

    name: Line = Field(validation_alias="run")


class SummaryRecord(Known):
    """Known fields of `summary.json`."""

    chosen: Chosen | None
    runs: list[ListedRun]


@dataclass(frozen=True)
class Membership:
    """A run as one of many.

    Attributes:
        name: Of the run in its summary.
        folder: Of all the runs.
        summary: Their summary; None if there is none, or none that can be read.
    """

    name: str
    folder: Path
    summary: SummaryRecord | None


def read_membership(run: Path) -> Membership | None:
    """Return of what multirun or summarised folder a run is a part; None of none.

    The folder is untrusted: its summary is validated, and one that cannot be read is as none.
    """
    run = run.resolve()
    folder, name = run.parent, single_line(run.name)
    path = folder / SUMMARY_FILE
    summary = None
    if path.is_file() and not path.is_symlink():
        try:
            summary = read_json(path, SummaryRecord)
        except ConfigError:
            return Membership(name, folder, None)
    names = {listed.name for listed in summary.runs} if summary else set()
    if name in names:
        return Membership(name, folder, summary)
    return Membership(name, folder, None) if is_of_multirun(run) else None


def member_evidence(members: Sequence[Membership]) -> str:
    """Return in one line what runs of one multirun have earned together.

    The grade is that of the summary, and shown only for runs that validation chose: who sees the
    test results of the others would choose by them.

    Args:
        members: Runs of the same folder, at least one.
    """
    summary, who = members[0].summary, "one" if len(members) == 1 else str(len(members))
    if summary is None:
        return (
            f"not known: {who} of several runs without a readable summary, which counts what was "
            f"tried; write it with python -m ironore_lightning.summarize "
            f"{single_line(members[0].folder)}"
        )
    many = f"{who} of {len(summary.runs)} runs"
    chosen = summary.chosen
    if chosen is None:
        return f"not known: {many}, of which no best can be named"
    many = f"{many} ({chosen.num_trials} trials)"
    names = {member.name for member in members}
    if not names <= {*chosen.runs}:
        return f"nothing: {many}, of which validation chose others ({chosen.trial})"
    rest = "" if names == {*chosen.runs} else f" together with the others of {chosen.trial}"
    return f"{many}, chosen by validation{rest}; graded for all that was tried: {chosen.evidence}"
