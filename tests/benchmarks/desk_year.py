"""Feed a desk a year of the sample market day by day, with everything that goes wrong in a year.

    python tests/benchmarks/desk_year.py

A run is trained on the first part of the sample market, and refitted every 63 days. Then each
trading day is a morning: the raw files hold what was known the evening before, and `ironore desk`
is asked with a clock of six o'clock. On some mornings something is wrong with the files, the
process is killed, two desks start at once, or somebody edits the record. What should be refused
must be refused, and everything else forecast; in the end the record must verify, its evidence must
equal that computed at once, and each page must be made again byte for byte. Ends with 1 if
something is otherwise.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from measuring import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from small_market import cut_market, date_of

from ironore_lightning import api
from ironore_lightning.desk.__main__ import main as desk_main
from ironore_lightning.desk.entries import Entry, Forecast, Outcome, Refusal
from ironore_lightning.desk.live_days import live_days
from ironore_lightning.desk.page import write_morning
from ironore_lightning.desk.record import read_record, verify
from ironore_lightning.evaluation.live import live_evidence
from ironore_lightning.sample_market.simulation import simulate_market, write_market
from ironore_lightning.settings.data import SimulationSettings

Damage = Callable[[Path], None]

FORECAST, NONE, FAULT = 0, 4, 3


@dataclass
class Year:
    """A desk, its files, and what happened.

    Attributes:
        place: Folder of everything.
        days: Trading days of the market, in order.
        seconds: Of each undisturbed morning, in this process.
        pages: Of each morning, by its clock.
        notes: Rows of the table of troubles: trouble, what was expected, what happened.
        wrong: What was otherwise than it should be.
    """

    place: Path
    days: pd.DatetimeIndex
    seconds: list[float] = field(default_factory=list)
    pages: dict[datetime.datetime, bytes] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Of the desk."""
        return self.place / "desk"

    @property
    def entries(self) -> list[Entry]:
        """All of the record."""
        return read_record(self.folder)

    def ask(
        self,
        place: int,
        *overrides: str,
        damage: Damage | None = None,
        hour: int = 6,
        known: int | None = None,
    ) -> int:
        """Ask on the morning of a day, whose files end with the day before."""
        write_files(self, place - 1 if known is None else known, damage)
        clock = datetime.datetime.combine(self.days[place], datetime.time(hour), datetime.UTC)
        started = time.monotonic()
        status = desk_main([*arguments(self), *overrides], clock=lambda: clock)
        if not overrides and damage is None:
            self.seconds.append(time.monotonic() - started)
        self.pages[clock] = (self.folder / "desk.html").read_bytes()
        return status

    def expect(self, trouble: str, status: int, wanted: int, words: str = "") -> None:
        """Note how a trouble ended."""
        refusals = [entry.content for entry in self.entries if isinstance(entry.content, Refusal)]
        said = refusals[-1].reasons[0] if status == NONE and refusals else ""
        if status != wanted or words not in said:
            self.wrong.append(f"{trouble}: status {status}, {said}")
        names = {
            FORECAST: "a forecast",
            NONE: f"no forecast: {said}",
            FAULT: "the record is faulty",
        }
        self.notes.append((trouble, names.get(status, f"status {status}")))


def main(command_line: Sequence[str]) -> int:
    """Play the year, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mornings", type=int, default=250)
    parser.add_argument("--model", default="bilstm_small")
    options = parser.parse_args(command_line)
    os.environ["IRONORE_LOOKS"] = ""
    with tempfile.TemporaryDirectory() as place:
        year = prepare(Path(place), options)
        first = len(year.days) - options.mornings
        for morning in range(first, len(year.days)):
            live_through(year, morning, morning - first)
        check(year)
        report(year)
    return 1 if year.wrong else 0


def prepare(place: Path, options: argparse.Namespace) -> Year:
    """Write the market and its holidays, and train a run that ends before the year."""
    market = simulate_market(SimulationSettings(seed=0, signal=0.0))
    write_market(market, place / "market")
    known = market.closes_65.dropna(how="all").index
    days = pd.DatetimeIndex(known)
    closed = pd.bdate_range(days[0], days[-1]).difference(days)
    (place / "market" / "holidays.csv").write_text(
        "".join(f"{day:%Y-%m-%d}\n" for day in closed), encoding="utf-8"
    )
    year = Year(place, days)
    write_files(year, len(days) - options.mornings - 1, None)
    shutil.copytree(place / "raw", place / "trained")
    api.train(
        [
            *("data=original", f"data.root={place / 'trained'}", "data.holidays=holidays.csv"),
            *(f"model={options.model}", "training.max_epochs=20"),
        ],
        folder=place / "run",
        quiet=True,
    )
    return year


def arguments(year: Year) -> list[str]:
    """Return the command line of the desk."""
    return [
        f"desk.runs=[{year.place / 'run'}]",
        f"desk.folder={year.folder}",
        f"desk.data_root={year.place / 'raw'}",
        "desk.risk_budget=5000",
        "desk.refit_every=63",
    ]


def write_files(year: Year, last: int, damage: Damage | None) -> None:
    """Write the raw files of the evening of a day."""
    root = year.place / "raw"
    shutil.rmtree(root, ignore_errors=True)
    holidays = (year.place / "market" / "holidays.csv").read_text(encoding="utf-8")
    cut_market(year.place / "market", root, year.days[last])
    (root / "holidays.csv").write_text(holidays, encoding="utf-8")
    if damage:
        damage(root)


def live_through(year: Year, morning: int, number: int) -> None:
    """Ask the desk on a morning, after the trouble of that morning."""
    trouble = TROUBLES.get(number)
    if trouble:
        trouble(year, morning)
    elif year.ask(morning) != FORECAST:
        (*_, refusal) = [
            entry.content for entry in year.entries if isinstance(entry.content, Refusal)
        ]
        said = f"no forecast: {'; '.join(refusal.reasons)}"
        year.notes.append((f"{year.days[morning]:%Y-%m-%d}, nothing planted", said))


def late_source(year: Year, morning: int) -> None:
    """The files come two hours late."""
    year.expect(
        "files a day old", year.ask(morning, known=morning - 2), NONE, "before the last one"
    )
    year.expect("the same, once they have come", year.ask(morning, hour=8), FORECAST)


def stale_driver(year: Year, morning: int) -> None:
    """A weekly file was not refreshed for some weeks."""

    def forget(root: Path) -> None:
        shorten(root, "Inventory", year.days[morning - 20])

    status = year.ask(morning, damage=forget)
    # Rows that the desk has read have other values then, which it says first.
    year.expect("a weekly driver without its newest weeks", status, NONE, "IOCJ Inventory")
    year.expect("the same, refreshed", year.ask(morning, hour=8), FORECAST)


def restatement(year: Year, morning: int) -> None:
    """A settlement of last week is corrected by a dollar."""

    def correct(root: Path) -> None:
        contracts = pd.read_pickle(root / "Raw_FEF_Close.pkl")
        for prices in contracts.values():
            prices.loc[prices.index == year.days[morning - 5]] += 1.0
        pd.to_pickle(contracts, root / "Raw_FEF_Close.pkl")

    status = year.ask(morning, damage=correct)
    year.expect("a settlement of last week restated", status, NONE, "put the old file back")
    status = year.ask(morning, "desk.accept_restated=true", damage=correct, hour=7)
    year.expect("the same with desk.accept_restated=true", status, FORECAST)
    status = year.ask(morning, hour=8)
    year.expect("the old file put back", status, NONE, "put the old file back")
    status = year.ask(morning, "desk.accept_restated=true", hour=9)
    year.expect("the same, accepted", status, FORECAST)


def gap(year: Year, morning: int) -> None:
    """The settlements of the day before are missing, those of today are there."""

    def lose(root: Path) -> None:
        day = year.days[morning - 2]
        for name in ("Raw_M65F_DSP.pkl", "Raw_FEF_Close.pkl"):
            contracts = pd.read_pickle(root / name)
            kept = {month: prices.drop(day, errors="ignore") for month, prices in contracts.items()}
            pd.to_pickle(kept, root / name)

    year.expect("a trading day lost in the files", year.ask(morning, damage=lose), NONE)
    year.expect("the same, complete", year.ask(morning, hour=8), FORECAST)


def killed(year: Year, morning: int) -> None:
    """The process is killed five times at random moments."""
    draw = random.Random(morning)  # noqa: S311 - no secret
    write_files(year, morning - 1, None)
    clock = datetime.datetime.combine(year.days[morning], datetime.time(6), datetime.UTC)
    for _ in range(5):
        process = multiprocessing.get_context("fork").Process(
            target=desk_main, args=(arguments(year),), kwargs={"clock": lambda: clock}
        )
        process.start()
        time.sleep(draw.uniform(0, 1.2 * statistics.median(year.seconds)))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    status = year.ask(morning)
    year.expect("killed five times at random moments, then asked again", status, FORECAST)


def two_at_once(year: Year, morning: int) -> None:
    """Two desks start in the same second."""
    write_files(year, morning - 1, None)
    clock = datetime.datetime.combine(year.days[morning], datetime.time(6), datetime.UTC)
    context = multiprocessing.get_context("fork")
    desks = [
        context.Process(target=desk_main, args=(arguments(year),), kwargs={"clock": lambda: clock})
        for _ in range(2)
    ]
    for process in desks:
        process.start()
    for process in desks:
        process.join()
    forecasts = [
        entry
        for entry in year.entries
        if isinstance(entry.content, Forecast) and entry.content.date == year.days[morning].date()
    ]
    if len(forecasts) != 1:
        year.wrong.append(f"two desks at once wrote {len(forecasts)} forecasts")
    year.expect("two desks at once", year.ask(morning), FORECAST)


def edited(year: Year, morning: int) -> None:
    """Somebody changes an old forecast."""
    path = year.folder / "record.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    entry = json.loads(lines[9])
    lines[9] = lines[9].replace(b'"forecast":', b'"forecast":1', 1)
    path.write_bytes(b"".join(lines))
    fault = verify(year.folder).fault
    write_files(year, morning - 1, None)
    clock = datetime.datetime.combine(year.days[morning], datetime.time(6), datetime.UTC)
    status = desk_main(arguments(year), clock=lambda: clock)
    path.write_bytes(whole)
    year.expect(f"entry {entry['number']} edited ({fault})", status, FAULT)
    year.expect("the same, put back", year.ask(morning), FORECAST)


def break_of_specification(year: Year, morning: int) -> None:
    """All contracts of the 65 % leg fall by seven dollars overnight, those of the other do not."""

    def fall(root: Path) -> None:
        contracts = pd.read_pickle(root / "Raw_M65F_DSP.pkl")
        for prices in contracts.values():
            prices.loc[prices.index == year.days[morning - 1]] -= 7.0
        pd.to_pickle(contracts, root / "Raw_M65F_DSP.pkl")

    status = year.ask(morning, damage=fall)
    year.expect("a break of the specification", status, NONE, "jump against the other legs")
    year.expect("the same, without it", year.ask(morning, hour=8), FORECAST)


def missing_contract(year: Year, morning: int) -> None:
    """The vendor forgets the contract that is held."""
    month = (year.days[morning] + pd.DateOffset(months=1)).to_period("M")

    def forget(root: Path) -> None:
        contracts = pd.read_pickle(root / "Raw_M65F_DSP.pkl")
        contracts[month] = contracts[month].loc[: year.days[morning - 2]]
        pd.to_pickle(contracts, root / "Raw_M65F_DSP.pkl")

    year.expect(
        "the held contract without its newest price", year.ask(morning, damage=forget), NONE
    )
    year.expect("the same, complete", year.ask(morning, hour=8), FORECAST)


TROUBLES: dict[int, Callable[[Year, int], None]] = {
    15: late_source,
    30: stale_driver,
    45: restatement,
    60: gap,
    75: killed,
    90: two_at_once,
    105: edited,
    120: break_of_specification,
    135: missing_contract,
    150: killed,
}


def shorten(root: Path, name: str, day: pd.Timestamp) -> None:
    """Cut the end off the files whose name holds `name`."""
    for path in root.glob("*.csv"):
        if name.lower() in path.name.lower():
            header, *lines = path.read_text(encoding="utf-8-sig").splitlines()
            kept = [line for line in lines if date_of(line) <= day]
            path.write_text("\n".join([header, *kept]), encoding="utf-8")


def check(year: Year) -> None:
    """Compare the whole record with what it should be."""
    entries = year.entries
    verified = verify(year.folder)
    if verified.fault:
        year.wrong.append(f"the record: {verified.fault}")
    whole = live_evidence(live_days(entries))
    again = 0
    (year.place / "again").mkdir()
    for clock, page in year.pages.items():
        until = [entry for entry in entries if entry.written_at <= clock]
        write_morning(year.place / "again", until)
        again += (year.place / "again" / "desk.html").read_bytes() == page
    year.notes.append(("pages made again, byte for byte", f"{again} of {len(year.pages)}"))
    if again != len(year.pages):
        year.wrong.append("a page that is made again is another one")
    grown = [live_evidence(live_days(entries[:end])) for end in range(1, len(entries) + 1, 25)]
    for evidence in grown:
        number = evidence.num_days
        if evidence.direction.by_day != whole.direction.by_day[:number]:
            year.wrong.append(f"the evidence of {number} days is not the beginning of the whole")
    year.notes.append(
        ("evidence of a part equals the beginning of the whole", f"{len(grown)} parts")
    )


def report(year: Year) -> None:
    """Print the table."""
    kinds = [type(entry.content) for entry in year.entries]
    told = {kind: kinds.count(kind) for kind in (Forecast, Outcome, Refusal)}
    print(
        f"{told[Forecast]} forecasts, {told[Outcome]} outcomes, {told[Refusal]} refusals; "
        f"a morning takes {statistics.median(year.seconds):.1f} s, "
        f"at most {max(year.seconds):.1f}\n"
    )
    print("| trouble | what the desk said |\n| --- | --- |")
    for trouble, said in year.notes:
        print(f"| {trouble} | {said} |")
    print("\n" + ("\n".join(year.wrong) or "all as it should be"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
