"""The record of the desk: whole after every kill, and no edit that goes unseen."""

import datetime
import hashlib
import json
import os
import shutil

import pytest
from invented_record import clock, forecast, weekdays, write_mornings
from recorded_writes import recorded_writes

from ironore_lightning.desk import record as record_module
from ironore_lightning.desk.entries import Outcome, Refusal, Start
from ironore_lightning.desk.record import open_record, read_record, verify
from ironore_lightning.errors import ConfigError, MachineError, RecordError, exit_status
from ironore_lightning.run_folder import lock

FRIDAY, MONDAY, TUESDAY = (datetime.date(2025, 3, day) for day in (7, 10, 11))
LONG_AGO = datetime.date(2020, 1, 1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A record of six mornings: a start, six forecasts, five outcomes."""
    folder = tmp_path_factory.mktemp("written")
    with open_record(folder, rehearsal=True) as record:
        write_mornings(record, 6)
    return folder


@pytest.fixture
def folder(tmp_path, written):
    """A copy of it."""
    return shutil.copytree(written, tmp_path / "desk")


def lines_of(folder):
    return (folder / "record.jsonl").read_bytes().splitlines()


def rewrite(folder, lines):
    (folder / "record.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def rechain(lines, first):
    """The lines with each hash computed anew from a place on, as a forger would."""
    made = list(lines)
    for place in range(first, len(made)):
        entry = json.loads(made[place])
        entry["previous"] = hashlib.sha256(made[place - 1]).hexdigest()
        made[place] = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
    return made


def test_the_chain_is_the_sha256_of_each_line_without_its_line_feed(folder):
    lines = lines_of(folder)
    assert len(lines) == 12
    entries = [json.loads(line) for line in lines]
    assert [entry["number"] for entry in entries] == list(range(1, 13))
    assert entries[0]["previous"] == "0" * 64
    for line, entry in zip(lines, entries[1:], strict=False):
        assert entry["previous"] == hashlib.sha256(line).hexdigest()
    head = json.loads((folder / "head.json").read_bytes())
    assert head == {"number": 12, "sha256": hashlib.sha256(lines[-1]).hexdigest()}


def test_what_is_read_is_what_was_appended(folder):
    entries = read_record(folder)
    assert entries[0].content == Start(version=entries[0].content.version, rehearsal=True)
    kinds = [entry.content.kind for entry in entries]
    assert kinds == ["start", "forecast", *["outcome", "forecast"] * 5]
    with open_record(folder, rehearsal=True) as record:
        assert record.entries == entries
        added = record.append(
            Refusal(origin=None, reasons=["no data"], runs=["outputs/run"]), clock(TUESDAY)
        )
    assert read_record(folder) == [*entries, added]
    assert (added.number, added.written_at) == (13, clock(TUESDAY))


def test_a_whole_record_has_no_fault(folder):
    found = verify(folder)
    lines = lines_of(folder)
    assert (found.num_entries, found.fault) == (12, None)
    assert found.head == hashlib.sha256(lines[-1]).hexdigest()
    noted = hashlib.sha256(lines[4]).hexdigest()
    assert (verify(folder, noted).confirmed, verify(folder, noted).fault) == (5, None)


def change(lines, place, old, new):
    assert old in lines[place]
    return [*lines[:place], lines[place].replace(old, new, 1), *lines[place + 1 :]]


EDITS = {
    "a number": (lambda lines: change(lines, 5, b'"volatility":1.25', b'"volatility":1.26'), 6),
    "a number of the newest": (lambda lines: change(lines, 11, b":1.25", b":1.26"), 12),
    "a space": (lambda lines: change(lines, 5, b'"volatility":', b'"volatility": '), 6),
    "a zero": (lambda lines: change(lines, 5, b'"volatility":1.25', b'"volatility":1.250'), 6),
    "the hash before": (lambda lines: change(lines, 4, b'"previous":"', b'"previous":"0'), 5),
    "the number of an entry": (lambda lines: change(lines, 4, b'r":5,', b'r":4,'), 5),
    "removed": (lambda lines: lines[:4] + lines[5:], 5),
    "the first removed": (lambda lines: lines[1:], 1),
    "the newest removed": (lambda lines: lines[:-1], 12),
    "all removed": (lambda _: [], 1),
    "swapped": (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4),
    "twice": (lambda lines: [*lines[:4], lines[3], *lines[4:]], 4),
    "the newest twice": (lambda lines: [*lines, lines[-1]], 12),
    "a copy elsewhere": (lambda lines: [*lines[:7], lines[3], *lines[7:]], 8),
    "a copy at the end": (lambda lines: [*lines, lines[3]], 13),
    "forged between": (
        lambda lines: [*lines[:5], change(lines, 5, b":1.25", b":9.0")[5], *lines[5:]],
        6,
    ),
    "back-dated": (lambda lines: change(lines, 7, b'"written_at":"2025', b'"written_at":"2024'), 8),
    "post-dated": (lambda lines: change(lines, 7, b'"written_at":"2025', b'"written_at":"2026'), 8),
    "back-dated and chained": (
        lambda lines: rechain(change(lines, 7, b'_at":"2025', b'_at":"2024'), 8),
        8,
    ),
    # The chain is whole again, so that only the newest entry is known not to be the written one.
    "a number, and chained": (lambda lines: rechain(change(lines, 5, b":1.25", b":1.26"), 6), 12),
    "a line break within": (lambda lines: change(lines, 5, b'"volatility"', b'\n"volatility"'), 6),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_first_entry_that_was_edited_is_named(folder, edit):
    make, number = EDITS[edit]
    rewrite(folder, make(lines_of(folder)))
    assert verify(folder).fault.entry == number
    with pytest.raises(RecordError, match=rf"^\S+record\.jsonl: entry {number} .*verify"):
        read_record(folder)
    before = (folder / "record.jsonl").read_bytes()
    with pytest.raises(RecordError), open_record(folder, rehearsal=True):
        pass
    assert (folder / "record.jsonl").read_bytes() == before


def test_every_cut_of_a_record_is_found(folder):
    whole = (folder / "record.jsonl").read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 12
    for cut in [*range(0, len(whole), 997), ends[5], ends[5] + 1, len(whole) - 1]:
        (folder / "record.jsonl").write_bytes(whole[:cut])
        assert verify(folder).fault.entry == 1 + sum(end < cut for end in ends)


def test_a_record_rewritten_with_its_head_is_found_by_a_hash_that_was_noted(folder):
    noted = verify(folder).head
    lines = rechain(change(lines_of(folder), 5, b":1.25", b":1.26"), 6)
    rewrite(folder, lines)
    newest = hashlib.sha256(lines[-1]).hexdigest()
    (folder / "head.json").write_text(json.dumps({"number": 12, "sha256": newest}))
    assert verify(folder).fault is None  # as the docstring says
    assert noted in str(verify(folder, noted).fault)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            Outcome(forecast=2, date=LONG_AGO, actual=1.0, is_roll=False, rank=0.5, num_scores=9),
            "no first",
        ),
        (
            Outcome(forecast=1, date=MONDAY, actual=1.0, is_roll=False, rank=0.5, num_scores=9),
            "no first",
        ),
        (
            Outcome(
                forecast=2, date=weekdays(2)[1], actual=1.0, is_roll=False, rank=0.5, num_scores=9
            ),
            "second",
        ),
        (Start(version="0", rehearsal=True), "start"),
    ],
)
def test_an_entry_that_does_not_follow_from_the_others_is_a_fault(folder, content, said):
    with open_record(folder, rehearsal=True) as record:
        record.append(content, clock(TUESDAY))
        record.append(
            Refusal(origin=None, reasons=["no data"], runs=["outputs/run"]), clock(TUESDAY)
        )
    fault = verify(folder).fault
    assert fault.entry == 13
    assert said in fault.reason


def test_only_the_first_forecast_of_a_date_gets_an_outcome(tmp_path):
    with open_record(tmp_path, rehearsal=True) as record:
        first, second = (
            record.append(forecast(MONDAY, FRIDAY), clock(MONDAY, hour)) for hour in (6, 7)
        )
        known = {"date": MONDAY, "actual": 1.0, "is_roll": False, "rank": 0.5, "num_scores": 9}
        record.append(Outcome(forecast=second.number, **known), clock(TUESDAY))
    assert verify(tmp_path).fault.entry == 4
    assert (first.number, second.number) == (2, 3)


@pytest.mark.parametrize("text", ["", "{", '{"number":3}', '{"number":-1,"sha256":"00"}'])
def test_a_damaged_head_is_a_fault(folder, text):
    (folder / "head.json").write_text(text)
    assert "head.json" in str(verify(folder).fault)
    with pytest.raises(RecordError, match=r"head\.json"), open_record(folder, rehearsal=True):
        pass


def test_a_record_without_its_head_has_a_fault(folder):
    (folder / "head.json").unlink()
    assert verify(folder).fault.entry == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"number":1}',
        b"1" * 10_000,
        b'"\\ud800"',
        b"null",
        b"NaN",
    ],
    ids=["empty", "no text", "deep", "short", "long number", "half a character", "null", "NaN"],
)
def test_a_line_of_anything_is_a_fault_and_no_crash(folder, line):
    lines = lines_of(folder)
    rewrite(folder, [*lines[:5], line, *lines[6:]])
    fault = verify(folder).fault
    assert fault.entry == 6
    assert len(str(fault)) < 400
    assert str(fault).isprintable()


def test_no_record_is_no_record(tmp_path):
    for read in (verify, read_record):
        with pytest.raises(ConfigError, match="holds no record"):
            read(tmp_path)


def test_a_faulty_record_has_a_status_of_its_own():
    assert exit_status(RecordError("entry 5 was changed")) == 3


def test_rehearsals_and_real_forecasts_have_a_record_each(tmp_path, folder):
    with (
        pytest.raises(ConfigError, match=r"record of a rehearsal.*takes no entry of real"),
        open_record(folder, rehearsal=False),
    ):
        pass
    with open_record(tmp_path / "real", rehearsal=False) as record:
        record.append(
            Refusal(origin=None, reasons=["no data"], runs=["outputs/run"]), clock(MONDAY)
        )
    with (
        pytest.raises(ConfigError, match=r"record of real.*takes no entry of a rehearsal"),
        open_record(tmp_path / "real", rehearsal=True),
    ):
        pass


def test_a_clock_before_the_newest_entry_is_refused(folder):
    before = (folder / "record.jsonl").read_bytes()
    newest = read_record(folder)[-1].written_at
    with open_record(folder, rehearsal=True) as record:
        refusal = Refusal(origin=None, reasons=["no data"], runs=["outputs/run"])
        with pytest.raises(ConfigError, match=r"the clock says 2025-03-11T05:59"):
            record.append(refusal, newest - datetime.timedelta(minutes=1))
        assert (folder / "record.jsonl").read_bytes() == before
        there = datetime.timezone(datetime.timedelta(hours=8))
        assert record.append(refusal, newest.astimezone(there)).written_at == newest
    assert lines_of(folder)[-1].count(b'"written_at":"2025-03-11T06:00:00Z"') == 1


def test_two_desks_at_once_do_not_fork_the_record(folder, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.05)
    with open_record(folder, rehearsal=True) as record:
        with (
            pytest.raises(ConfigError, match="another process works in this folder"),
            open_record(folder, rehearsal=True),
        ):
            pass
        assert verify(folder).fault is None  # reading needs no lock
        record.append(
            Refusal(origin=None, reasons=["no data"], runs=["outputs/run"]), clock(TUESDAY)
        )
    with open_record(folder, rehearsal=True) as record:
        assert len(record.entries) == 13


@pytest.mark.parametrize("full_at", [1, 2], ids=["line", "head"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_leaves_the_record_as_it_was(tmp_path, folder, monkeypatch, is_new, full_at):
    desk = tmp_path / "new" if is_new else folder
    before = None if is_new else (lines_of(desk), (desk / "head.json").read_bytes())
    calls, real_write = [], os.write

    def write(descriptor, content):
        calls.append(content)
        return real_write(descriptor, content[:9] if len(calls) == full_at else content)

    refusal = Refusal(origin=None, reasons=["no data"], runs=["outputs/run"])
    with open_record(desk, rehearsal=True) as record:
        monkeypatch.setattr(record_module.os, "write", write)
        with pytest.raises(MachineError, match="no space left on device; make room"):
            record.append(refusal, clock(TUESDAY))
        monkeypatch.undo()
        if before:
            assert (lines_of(desk), (desk / "head.json").read_bytes()) == before
        else:
            assert (desk / "record.jsonl").read_bytes() == b""
        record.append(refusal, clock(TUESDAY))
    assert verify(desk).fault is None
    assert read_record(desk)[-1].content == refusal
    assert len(calls) == full_at


def test_a_folder_that_is_removed_meanwhile_is_an_error(folder):
    with open_record(folder, rehearsal=True) as record:
        (folder / "record.jsonl").rename(folder / "elsewhere")
        with pytest.raises(MachineError, match="removed or moved"):
            record.append(
                Refusal(origin=None, reasons=["no data"], runs=["outputs/run"]), clock(TUESDAY)
            )
    assert not (folder / "record.jsonl").exists()


def test_after_a_kill_at_any_moment_the_record_goes_on(tmp_path, monkeypatch):
    """Replays what two mornings write to the disk, up to each moment."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a hundred times slower, and not seen here
    refusals = [
        Refusal(origin=None, reasons=[f"reason {number}"], runs=["outputs/run"])
        for number in range(2)
    ]
    whole = tmp_path / "whole"
    with recorded_writes(chunk=9) as writes, open_record(whole, rehearsal=True) as record:
        for refusal in refusals:
            record.append(refusal, clock(MONDAY))
            writes.mark()
    assert len(record.entries) == 3
    assert len(writes.steps) > 80
    desk, copy = tmp_path / "killed", tmp_path / "copy"
    desk.mkdir()
    for number, step in enumerate(writes.steps, 1):
        step(desk)
        shutil.copytree(desk, copy)
        returned = sum(mark <= number for mark in writes.marks)
        with open_record(copy, rehearsal=True) as killed:
            assert len(killed.entries) >= (1 + returned if returned else 0)
            assert killed.entries == record.entries[: len(killed.entries)]
            added = killed.append(refusals[0], clock(TUESDAY))
        assert read_record(copy)[-1] == added
        shutil.rmtree(copy)
    assert read_record(desk) == record.entries
