"""Work in several processes that are forked from this one, so that they import nothing again."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from ironore_lightning.process.interrupts import INTERRUPTED

Job = TypeVar("Job")
Result = TypeVar("Result")

Busy = dict[Connection, tuple[BaseProcess, int]]
"""Workers with the number of the job that each works on, by our end of their pipe."""

GRACE_SECONDS = 5.0
"""How long workers may take to end by themselves after a Ctrl-C, which reaches them, too."""


def can_fork() -> bool:
    """Return whether processes can be forked: Windows cannot, and Apple's libraries cannot bear it.

    CUDA bears it only if this process has not used it.
    """
    return sys.platform == "linux"


def run_forked(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, num_workers: int
) -> list[Result | None]:
    """Do jobs in forked processes, each of which takes one after the other.

    A worker that is killed takes no other one down, and another one is started. If this process is
    killed, each worker ends its job and then itself.

    Args:
        work: Done in a worker; results are pickled.
        jobs: In the order in which they are begun.
        num_workers: Number of processes, at least one.

    Returns:
        Results in the order of the jobs; None for a job whose worker was killed.

    Raises:
        Exception: Whatever `work` raises first; the other workers are ended.
    """
    waiting = list(range(len(jobs)))
    results: list[Result | None] = [None] * len(jobs)
    busy: Busy = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < num_workers:
                _start(work, jobs, waiting.pop(0), busy)
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                process, number = busy.pop(connection)
                try:
                    result = connection.recv()
                except (EOFError, ConnectionError):  # it was killed
                    process.join()
                    continue
                if isinstance(result, Exception):
                    raise result
                results[number] = result
                if waiting:
                    number = waiting.pop(0)
                    busy[connection] = process, number
                    connection.send(number)
                else:
                    connection.close()  # which ends it
    finally:
        _end(busy)
    return results


def _start(work: Callable[[Job], Result], jobs: Sequence[Job], number: int, busy: Busy) -> None:
    """Start a worker on a job."""
    ours, its = get_context("fork").Pipe()
    arguments = (work, jobs, its, [ours, *busy])
    process = get_context("fork").Process(target=_serve, args=arguments)
    busy[ours] = process, number
    process.start()
    its.close()
    ours.send(number)


def _serve(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    connection: Connection,
    inherited: Sequence[Connection],
) -> None:
    """Work in a forked process until there are no more jobs, or the process that sends them."""
    for other in inherited:  # while they are open here, nobody sees that their owner is gone
        other.close()
    try:
        with suppress(EOFError, ConnectionError):
            while True:
                number = connection.recv()
                try:
                    result: Result | Exception = work(jobs[number])
                except Exception as error:  # it is raised again where the jobs come from
                    result = error
                connection.send(result)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end(busy: Busy) -> None:
    """End workers whose results nobody wants any more."""
    deadline = time.monotonic() + GRACE_SECONDS
    for process, _ in busy.values():
        process.join(max(deadline - time.monotonic(), 0))
    for process, _ in busy.values():
        process.terminate()
        process.join()
