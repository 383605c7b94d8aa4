"""Work in several processes that are forked from this one, so that they import nothing again."""

import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from ironore_lightning.process.interrupts import INTERRUPTED

Job = TypeVar("Job")
Result = TypeVar("Result")

Workers = dict[Connection, tuple[BaseProcess, int]]
"""Workers with the number of the job that each works on, by our end of their pipe."""

ENDING = {signal.SIGINT, signal.SIGTERM}

GRACE_SECONDS = 3.0
"""How long workers may take to end by themselves after Ctrl-C or SIGTERM, which may have reached
them, too; and how long they may take after our own SIGTERM, before they are killed."""


def can_fork() -> bool:
    """Return whether processes can be forked: Windows cannot, and Apple's libraries cannot bear it.

    CUDA bears it only if this process has not used it.
    """
    return sys.platform == "linux"


def run_forked(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    num_workers: int,
    on_end: Callable[[int, Result | None], None] = lambda *_: None,
) -> list[Result | None]:
    """Do jobs in forked processes, each of which takes one after the other.

    A worker that is killed is replaced. If this process is, each worker ends after its job.

    Args:
        work: Done in a worker; results are pickled.
        jobs: In the order in which they are begun.
        num_workers: Number of processes, at least one.
        on_end: Called here with number and result of each job, as soon as it has ended.

    Returns:
        Results in the order of the jobs; None for a job whose worker was killed.

    Raises:
        Exception: What `work` raises first, or of pickling; the other workers are ended.
    """
    waiting, workers = list(range(len(jobs))), cast("Workers", {})
    results: list[Any] = [None] * len(jobs)
    try:
        while waiting or workers:
            while waiting and len(workers) < num_workers:
                _start(work, jobs, waiting.pop(0), workers)
            for connection in wait(list(workers)):
                assert isinstance(connection, Connection)
                process, number = workers[connection]
                answer = _receive(connection)
                results[number] = None if answer is None else _result(answer)
                on_end(number, results[number])
                if answer is not None and waiting:
                    workers[connection] = process, waiting.pop(0)
                    with suppress(OSError):  # killed meanwhile, which the next round sees
                        connection.send(workers[connection][1])
                else:
                    del workers[connection]
                    connection.close()  # which ends it
                    process.join()
    except (KeyboardInterrupt, SystemExit):
        _join(workers)
        raise
    finally:
        _end(workers)
    return results


def _start(
    work: Callable[[Job], Result], jobs: Sequence[Job], number: int, workers: Workers
) -> None:
    """Start a worker on a job."""
    ours, its = get_context("fork").Pipe()
    arguments = (work, jobs, number, its, [ours, *workers])
    # Python ends daemons with this process, even if nothing else has.
    process = get_context("fork").Process(target=_serve, args=arguments, daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # or one might be forgotten
    try:
        process.start()
        workers[ours] = process, number
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    its.close()


def _serve(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    number: int,
    connection: Connection,
    inherited: Sequence[Connection],
) -> None:
    """Work in a forked process until there are no more jobs, or the process that sends them."""
    for other in inherited:  # while they are open here, nobody sees that their owner is gone
        other.close()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        with suppress(EOFError, OSError):
            while True:
                connection.send_bytes(_answer(work, jobs[number]))
                number = connection.recv()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _answer(work: Callable[[Job], Result], job: Job) -> bytes:
    """Return the pickled result of a job, or what it raised and the cause of that."""
    try:
        return pickle.dumps((work(job), None, None))
    except Exception as error:
        replacement = RuntimeError(f"{type(error).__name__}: {error}")
        for raised in (error, replacement):
            raised.add_note(traceback.format_exc())  # pickling loses where it was raised
        with suppress(Exception):  # some cannot be pickled, others not be read again
            answer = pickle.dumps((None, error, error.__cause__))
            pickle.loads(answer)  # noqa: S301 - our own
            return answer
        return pickle.dumps((None, replacement, None))


def _receive(connection: Connection) -> bytes | None:
    """Return the answer of a worker, or None if it was killed, maybe while it sent that."""
    try:
        return connection.recv_bytes()
    except (EOFError, OSError):
        return None


def _result(answer: bytes) -> object:
    """Return the result in an answer, or raise the error in it."""
    result, error, cause = pickle.loads(answer)  # noqa: S301 - of a process of our own
    if error is not None:
        raise error from cause
    return result


def _end(workers: Workers) -> None:
    """End workers whose results nobody wants any more."""
    for process, _ in workers.values():
        process.terminate()
    _join(workers)
    for process, _ in workers.values():
        process.kill()
        process.join()


def _join(workers: Workers) -> None:
    """Wait a while for workers to end by themselves."""
    deadline = time.monotonic() + GRACE_SECONDS
    for process, _ in workers.values():
        process.join(max(deadline - time.monotonic(), 0))
