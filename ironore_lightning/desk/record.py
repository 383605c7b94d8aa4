"""The record of a desk: an append-only file, each of whose lines is chained to the one before.

`record.jsonl` has one entry a line. `previous` of an entry is the SHA-256 of the line before it
without its line feed, so that anybody can check the chain with `sha256sum`. `head.json` names the
newest entry, so that entries removed from the end are found. It is written once the line is on the
disk: after a kill between the two the record is one entry ahead, which is no fault.

No file can tell whether somebody has rewritten it together with its head. Who sends the hash of
the newest entry to a colleague each morning can prove that nobody has: the record until then is
unchanged if it still has a line of that hash (`verify --expect HASH`).
"""

import datetime
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ironore_lightning.cli.commands import version_text
from ironore_lightning.desk.chain import (
    NOTHING,
    Fault,
    Head,
    Line,
    find_fault,
    parse_line,
    to_line,
)
from ironore_lightning.desk.entries import AnyContent, Entry, Start, is_rehearsal
from ironore_lightning.errors import ConfigError, RecordError, machine_errors
from ironore_lightning.files import read_bytes, read_json
from ironore_lightning.run_folder.lock import lock_folder

RECORD_FILE = "record.jsonl"
HEAD_FILE = "head.json"
NEW_HEAD_FILE = f".{HEAD_FILE}.part"

LARGEST = 2**30
"""Largest record that is read, in bytes; an entry has about ten thousand."""


@dataclass(frozen=True)
class Verification:
    """What is known of a record.

    Attributes:
        num_entries: Lines of the record.
        head: SHA-256 of the newest line; 64 zeros without one.
        confirmed: Number of the entry that has the expected hash; None if none was expected.
        fault: The first one; None if the record is whole.
    """

    num_entries: int
    head: str
    confirmed: int | None
    fault: Fault | None


@dataclass
class Record:
    """An open record, which no other process can write.

    Attributes:
        folder: Of the desk.
        rehearsal: Whether its clocks are given.
        entries: All so far, oldest first.
        head: SHA-256 of the newest line; 64 zeros without one.
    """

    folder: Path
    rehearsal: bool
    entries: list[Entry]
    head: str

    def append(self, content: AnyContent, now: datetime.datetime) -> Entry:
        """Write an entry, which is on the disk when this returns; the first follows a `Start`.

        Args:
            content: What is said.
            now: When, with a zone.

        Raises:
            ConfigError: If an entry was written later than `now`.
            MachineError: If it cannot be written; the record is as before.
        """
        if not self.entries and not isinstance(content, Start):
            version = version_text().split()[-1]
            self.append(Start(version=version, rehearsal=self.rehearsal), now)
        newest = self.entries[-1].written_at if self.entries else now
        if now < newest:
            raise ConfigError(
                f"{self.folder}: the clock says {now.isoformat()}, but an entry was written at "
                f"{newest.isoformat()}; set the clock right (or desk.now), or begin a new record "
                "in another desk.folder"
            )
        entry = Entry(
            number=len(self.entries) + 1,
            previous=self.head,
            written_at=now.astimezone(datetime.UTC),
            content=content,
        )
        text = to_line(entry)
        line = parse_line(text)
        assert line.entry == entry
        head = Head(number=entry.number, sha256=line.sha256)
        with machine_errors(self.folder / RECORD_FILE):
            _write_line(self.folder, text, head)
        self.entries.append(entry)
        self.head = head.sha256
        return entry


@contextmanager
def open_record(folder: Path, *, rehearsal: bool) -> Iterator[Record]:
    """Lock the folder of a desk, check its whole record, and open it for new entries.

    An unfinished last line, left by a killed process, is removed.

    Args:
        folder: Created if it is missing.
        rehearsal: Whether clocks are given.

    Raises:
        ConfigError: If another process holds the record, or it is one of rehearsals and should be
            real, or the other way round.
        RecordError: If it is not what was written.
        MachineError: If it cannot be read or written.
    """
    with lock_folder(folder):
        entries, head = _recover(folder)
        if entries and is_rehearsal(entries) != rehearsal:
            kinds = ("real forecasts", "a rehearsal (desk.now)")
            raise ConfigError(
                f"{folder}: is a record of {kinds[not rehearsal]}, and takes no entry of "
                f"{kinds[rehearsal]}; set desk.folder to another folder"
            )
        yield Record(folder, rehearsal, entries, head)


def read_record(folder: Path) -> list[Entry]:
    """Return the entries of a whole record, oldest first.

    Raises:
        ConfigError: If there is none.
        RecordError: If it is not what was written.
    """
    lines, _, head = _read(folder)
    return _whole(folder, lines, head)


def verify(folder: Path, expected: str | None = None) -> Verification:
    """Look for the first entry of a record that was changed, removed, inserted or back-dated.

    Args:
        folder: Of a desk.
        expected: SHA-256 of the newest entry, which somebody wrote down earlier. Without it, a
            record that was rewritten together with its head looks whole.

    Raises:
        ConfigError: If there is no record.
    """
    lines, _, head = _read(folder)
    hashes = [line.sha256 for line in lines]
    fault = head if isinstance(head, Fault) else find_fault(lines, head)
    confirmed = hashes.index(expected) + 1 if expected in hashes else None
    if fault is None and expected and confirmed is None:
        fault = Fault(
            None,
            f"no entry has the expected hash {expected}: the entry that had it, or one before it, "
            "was changed with all that follow",
        )
    return Verification(len(lines), hashes[-1] if hashes else NOTHING, confirmed, fault)


def _whole(folder: Path, lines: list[Line], head: Head | Fault) -> list[Entry]:
    fault = head if isinstance(head, Fault) else find_fault(lines, head)
    if fault:
        raise RecordError(
            f"{folder / RECORD_FILE}: {fault}; bring both files back from a copy, which "
            f"python -m ironore_lightning.verify {folder} checks, or begin a new record in another "
            "desk.folder"
        )
    return [line.entry for line in lines if line.entry]


def _read(folder: Path) -> tuple[list[Line], int, Head | Fault]:
    """Return the lines, the bytes behind the last of them, and the head.

    A desk may be writing: the head is read again until it has stayed the same.
    """
    if not (folder / RECORD_FILE).exists() and not (folder / HEAD_FILE).exists():
        raise ConfigError(f"{folder}: holds no record of a desk ({RECORD_FILE})")
    head, newer = None, _read_head(folder)
    while newer != head:
        head = newer
        content = b""
        if (folder / RECORD_FILE).exists():
            content = read_bytes(folder / RECORD_FILE, largest=LARGEST)
        newer = _read_head(folder)
    *texts, unfinished = content.split(b"\n")
    assert head is not None
    return [parse_line(text) for text in texts], len(unfinished), head


def _read_head(folder: Path) -> Head | Fault:
    if not (folder / HEAD_FILE).exists():
        return Head(number=0, sha256=NOTHING)
    try:
        return read_json(folder / HEAD_FILE, Head)
    except ConfigError as error:
        return Fault(None, str(error))


def _recover(folder: Path) -> tuple[list[Entry], str]:
    """Return the entries and the newest hash, once the traces of a kill are removed."""
    if not (folder / RECORD_FILE).exists() and not (folder / HEAD_FILE).exists():
        return [], NOTHING
    lines, unfinished, head = _read(folder)
    entries = _whole(folder, lines, head)
    newest = Head(number=len(lines), sha256=lines[-1].sha256 if lines else NOTHING)
    with machine_errors(folder / RECORD_FILE):
        if unfinished:
            path = folder / RECORD_FILE
            os.truncate(path, path.stat().st_size - unfinished)
        if newest != head:
            _write_new_head(folder, newest)
            _put_head(folder)
    return entries, newest.sha256


def _write_line(folder: Path, line: bytes, head: Head) -> None:
    """Bring a line and then the head to the disk; if that fails, the record is as before."""
    path = folder / RECORD_FILE
    size = path.stat().st_size if path.exists() else 0
    try:
        # Only the first line makes the file: if it has vanished meanwhile, that is an error.
        _write_synced(path, line + b"\n", os.O_APPEND | (os.O_CREAT if head.number == 1 else 0))
        _sync_folder(folder)
        _write_new_head(folder, head)
    except BaseException:
        with suppress(OSError):
            os.truncate(path, size)
        raise
    _put_head(folder)


def _write_new_head(folder: Path, head: Head) -> None:
    """Write the head under a temporary name, which a killed process may have left behind."""
    path = folder / NEW_HEAD_FILE
    path.unlink(missing_ok=True)
    _write_synced(path, head.model_dump_json().encode() + b"\n", os.O_CREAT | os.O_EXCL)


def _put_head(folder: Path) -> None:
    (folder / NEW_HEAD_FILE).replace(folder / HEAD_FILE)
    _sync_folder(folder)


def _write_synced(path: Path, content: bytes, flags: int) -> None:
    """Write bytes at once, and wait until they are on the disk.

    Raises:
        OSError: Also if the disk took a part of them.
    """
    descriptor = os.open(path, os.O_WRONLY | flags, 0o666)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Bring the names of the files in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
