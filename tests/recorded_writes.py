"""All that a process does to the files of a record, to be done again elsewhere."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partialmethod
from pathlib import Path
from unittest.mock import patch

NAMES = {"record.jsonl", "head.json", ".head.json.part"}


class Writes:
    """What was done, in its order.

    Attributes:
        steps: Functions of a folder, which do it there.
        marks: How many steps had been taken when something was known to be on the disk.
        chunk: Bytes that a step writes at most.
    """

    def __init__(self, chunk):
        self.steps: list[Callable[[Path], object]] = []
        self.marks: list[int] = []
        self.chunk = chunk
        self._names: dict[int, str] = {}
        self._open, self._write, self._truncate = os.open, os.write, os.truncate
        self._replace, self._unlink = Path.replace, Path.unlink

    def mark(self):
        self.marks.append(len(self.steps))

    def open(self, path, flags, mode=0o777):
        descriptor, name = self._open(path, flags, mode), Path(path).name
        self._names[descriptor] = name
        if name in NAMES and flags & os.O_CREAT:
            self.steps.append(lambda folder: (folder / name).touch())
        return descriptor

    def write(self, descriptor, content):
        name = self._names.get(descriptor)
        for start in range(0, len(content) if name in NAMES else 0, self.chunk):
            part = content[start : start + self.chunk]
            self.steps.append(lambda folder, part=part: append(folder / name, part))
        return self._write(descriptor, content)

    def truncate(self, path, size):
        self.steps.append(lambda folder: self._truncate(folder / path.name, size))
        return self._truncate(path, size)

    def replace(self, path, target):
        self.steps.append(lambda folder: self._replace(folder / path.name, folder / target.name))
        return self._replace(path, target)

    def unlink(self, path, missing_ok=False):
        if path.name in NAMES:
            self.steps.append(lambda folder: self._unlink(folder / path.name, missing_ok=True))
        return self._unlink(path, missing_ok)


@contextmanager
def recorded_writes(*, chunk: int) -> Iterator[Writes]:
    """Let the operating system do it, and keep a list."""
    writes = Writes(chunk)
    with ExitStack() as patches:
        for name in ("open", "write", "truncate"):
            patches.enter_context(patch.object(os, name, getattr(writes, name)))
        # A function that belongs to a class is given its object first, a bound method is not.
        replace, unlink = (
            partialmethod(called, writes.replace),
            partialmethod(called, writes.unlink),
        )
        patches.enter_context(patch.object(Path, "replace", replace))
        patches.enter_context(patch.object(Path, "unlink", unlink))
        yield writes


def called(path, method, *arguments, **named):
    return method(path, *arguments, **named)


def append(path, part):
    with path.open("ab") as file:
        file.write(part)
