"""Whether every edit of a desk's record is found, and no kill of a desk is taken for one.

    python tests/benchmarks/record_edits.py

edits a record of some hundred entries at random, and asks `verify` for the first entry that is not
what was written. Then it replays what a desk writes up to random bytes, and every byte of a short
record, as a kill or a power cut leaves it: each must open, keep all that was said to be written,
and take the next entry.
"""

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from invented_record import clock, forecast, weekdays, write_mornings
from recorded_writes import recorded_writes

from ironore_lightning.desk.entries import Refusal
from ironore_lightning.desk.record import open_record, read_record, verify

MORNINGS = 150


def main() -> None:
    """Edit, kill, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draws = random.Random(options.seed)  # noqa: S311 - draws edits, no secrets
    with tempfile.TemporaryDirectory() as place, patch("os.fsync"):
        edit_records(Path(place), options.edits, draws)
        kill_desks(Path(place), options.kills, draws)


def edit_records(place, number, draws):
    desk = place / "edited"
    with open_record(desk, rehearsal=True) as record:
        write_mornings(record, MORNINGS)
    written = (desk / "record.jsonl").read_bytes()
    head = (desk / "head.json").read_bytes()
    lines = written.splitlines()
    assert verify(desk).fault is None
    made, found, named = Counter(), Counter(), Counter()
    for turn in range(number):
        kind = list(EDITS)[turn % len(EDITS)]
        edited, expected = EDITS[kind](lines, draws)
        assert edited != written
        (desk / "record.jsonl").write_bytes(edited)
        noted = None
        if kind == WITH_HEAD:
            newest = edited.splitlines()[-1]
            (desk / "head.json").write_text(
                json.dumps({"number": len(lines), "sha256": digest(newest)})
            )
            noted = digest(lines[-1])
        fault = verify(desk, noted).fault
        (desk / "head.json").write_bytes(head)
        made[kind] += 1
        found[kind] += fault is not None
        named[kind] += fault is not None and fault.entry == expected
    print(f"A record of {len(lines)} entries, {len(written) / 2**20:.1f} MiB.\n")
    print("| edit | made | found | first entry named |\n| --- | --- | --- | --- |")
    for kind in EDITS:
        told = "no entry can be" if kind == WITH_HEAD else named[kind]
        print(f"| {kind} | {made[kind]} | {found[kind]} | {told} |")
    print(f"| all | {number} | {found.total()} | {named.total() - named[WITH_HEAD]} |\n")


def flip_byte(lines, draws):
    whole = bytearray(joined(lines))
    at = draws.randrange(len(whole))
    whole[at] ^= draws.randrange(1, 256)
    return bytes(whole), 1 + joined(lines)[:at].count(b"\n")


def change_number(lines, draws):
    place = draws.choice([place for place, line in enumerate(lines) if b"1.25" in line])
    changed = lines[place].replace(b'"volatility":1.25', b'"volatility":1.26')
    return joined(rechained([*lines[:place], changed, *lines[place + 1 :]])), len(lines)


def change_number_and_head(lines, draws):
    return change_number(lines, draws)[0], None


def remove(lines, draws):
    place = draws.randrange(len(lines))
    return joined(lines[:place] + lines[place + 1 :]), place + 1


def remove_newest(lines, draws):
    kept = len(lines) - draws.randint(1, 5)
    return joined(lines[:kept]), kept + 1


def insert_copy(lines, draws):
    source, place = draws.randrange(len(lines)), draws.randrange(len(lines) + 1)
    number = source + 1 if place in {source, source + 1} else place + 1
    return joined([*lines[:place], lines[source], *lines[place:]]), number


def insert_forged(lines, draws):
    place = draws.randrange(1, len(lines))
    entry = json.loads(lines[place])
    day = draws.choice(weekdays(50))
    entry["content"] = json.loads(forecast(day, day, forecast=draws.random()).model_dump_json())
    forged = [*lines[:place], dumped(entry), *lines[place:]]
    return joined(rechained(forged) if draws.random() < 0.5 else forged), place + 1


def swap(lines, draws):
    first, second = sorted(draws.sample(range(len(lines)), 2))
    swapped = list(lines)
    swapped[first], swapped[second] = lines[second], lines[first]
    return joined(swapped), first + 1


def back_date(lines, draws):
    place = draws.randrange(1, len(lines))
    entry = json.loads(lines[place])
    entry["written_at"] = "2024-12-31" + entry["written_at"][10:]
    dated = [*lines[:place], dumped(entry), *lines[place + 1 :]]
    return joined(rechained(dated) if draws.random() < 0.5 else dated), place + 1


def truncate(lines, draws):
    whole = joined(lines)
    cut = whole[: draws.randrange(len(whole))]
    return cut, 1 + cut.count(b"\n")


def edit_space(lines, draws):
    place = draws.randrange(len(lines))
    line = lines[place]
    at = draws.choice([0, len(line), *(at + 1 for at, byte in enumerate(line) if byte in b":,{")])
    space = draws.choice([b" ", b"\t", b"\r", b"  "])
    return joined([*lines[:place], line[:at] + space + line[at:], *lines[place + 1 :]]), place + 1


def duplicate(lines, draws):
    place = draws.randrange(len(lines))
    return joined([*lines[:place], lines[place], *lines[place:]]), place + 1


WITH_HEAD = "number changed, chain and head recomputed; found by a hash that was noted"
EDITS = {
    "byte changed": flip_byte,
    "number changed, chain recomputed": change_number,
    WITH_HEAD: change_number_and_head,
    "line removed": remove,
    "newest one to five removed": remove_newest,
    "copied line inserted": insert_copy,
    "forged line inserted, chain recomputed or not": insert_forged,
    "two lines swapped": swap,
    "back-dated, chain recomputed or not": back_date,
    "cut off at a random byte": truncate,
    "white space inserted": edit_space,
    "line doubled": duplicate,
}
"""Functions of lines and random draws, which return the edited file and the entry to be named."""


def kill_desks(place, number, draws):
    print("| killed while it wrote | moments | entry lost | false alarm | opens again |")
    print("| --- | --- | --- | --- | --- |")
    with recorded_writes(chunk=1) as writes, open_record(place / "long", rehearsal=True) as record:
        write_mornings(Marking(record, writes), 20)
    moments = sorted(draws.sample(range(1, len(writes.steps) + 1), number))
    print_kills("20 mornings, random bytes", place, writes, record.entries, moments)
    with recorded_writes(chunk=1) as writes, open_record(place / "short", rehearsal=True) as record:
        for day in weekdays(4):
            Marking(record, writes).append(
                Refusal(origin=day, reasons=["no data"], runs=[]), clock(day)
            )
    moments = range(1, len(writes.steps) + 1)
    print_kills("four refusals, every byte", place, writes, record.entries, moments)


class Marking:
    """A record that remembers after which of its writes an entry was said to be written."""

    def __init__(self, record, writes):
        self.record, self.writes = record, writes

    def append(self, content, now):
        entry = self.record.append(content, now)
        self.writes.marks.append((len(self.writes.steps), entry.number))
        return entry


def print_kills(what, place, writes, entries, moments):
    desk, copy = place / "killed", place / "copy"
    desk.mkdir()
    chosen, lost, alarms, opened = set(moments), 0, 0, 0
    last = entries[-1].written_at
    for moment, step in enumerate(writes.steps, 1):
        step(desk)
        if moment not in chosen:
            continue
        shutil.copytree(desk, copy)
        if (copy / "record.jsonl").exists():
            alarms += verify(copy).fault is not None
        said = max((number for mark, number in writes.marks if mark <= moment), default=0)
        with open_record(copy, rehearsal=True) as record:
            lost += len(record.entries) < said or record.entries != entries[: len(record.entries)]
            added = record.append(
                Refusal(origin=None, reasons=["again"], runs=["outputs/run"]), last
            )
        opened += read_record(copy)[-1] == added
        shutil.rmtree(copy)
    shutil.rmtree(desk)
    print(f"| {what} | {len(chosen)} | {lost} | {alarms} | {opened} |")


def digest(line):
    return hashlib.sha256(line).hexdigest()


def dumped(entry):
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


def rechained(lines):
    """The lines with every hash computed anew, as a forger would; their numbers stay."""
    made = [lines[0]]
    for line in lines[1:]:
        made.append(dumped(json.loads(line) | {"previous": digest(made[-1])}))
    return made


if __name__ == "__main__":
    main()
