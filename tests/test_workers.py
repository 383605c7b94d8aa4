"""Work in forked processes: what comes back, and what becomes of those that end otherwise."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ironore_lightning.process import workers
from ironore_lightning.process.workers import can_fork, run_forked

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not can_fork(), reason="this system cannot fork")


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def is_gone(pid):
    """Whether a process has ended; one that ended and is not ours leaves a zombie here."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@pytest.fixture(autouse=True)
def usual_ctrl_c():
    """A shell lets what it starts in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def children():
    """Return the processes that this one has started and that have not ended."""

    def alive():
        own = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8")
        return set(own.split())

    before = alive()
    yield lambda: alive() - before
    assert alive() == before, "a worker was left behind"


def test_results_come_in_the_order_of_the_jobs_whichever_ends_first(children):
    def square(number):
        time.sleep(0.02 if number == 0 else 0)
        return number**2

    assert run_forked(square, range(7), num_workers=3) == [0, 1, 4, 9, 16, 25, 36]
    assert not children()


def test_each_worker_takes_one_job_after_the_other_and_none_works_here():
    done_by = run_forked(lambda _: os.getpid(), range(6), num_workers=2)
    assert len(set(done_by)) == 2
    assert os.getpid() not in done_by


def test_there_are_no_more_workers_than_jobs(children):
    assert run_forked(lambda _: len(children()), [0], num_workers=9) == [0]
    assert run_forked(lambda job: job, [], num_workers=9) == []


def test_workers_see_what_was_here_and_cannot_change_it():
    seen = []

    def append(number):
        seen.append(number)
        return len(seen)

    assert run_forked(append, [5, 6], num_workers=1) == [1, 2]
    assert seen == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("killed", [0, 1, 3])
def test_a_job_whose_worker_is_killed_has_no_result_and_the_others_have_theirs(number, killed):
    def work(job):
        if job == killed:
            os.kill(os.getpid(), number)
            time.sleep(9)
        return job

    expected = [None if job == killed else job for job in range(4)]
    assert run_forked(work, range(4), num_workers=2) == expected


def test_every_worker_may_be_killed():
    work = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    assert run_forked(work, range(3), num_workers=2) == [None] * 3


def test_a_worker_that_is_killed_in_the_middle_of_its_answer_is_one_that_was_killed(monkeypatch):
    """Its pipe holds less than the answer, the rest of which never comes."""
    receive = workers._receive

    def work(_):
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return bytes(8_000_000)

    def receive_late(connection):
        time.sleep(0.05)
        return receive(connection)

    monkeypatch.setattr(workers, "_receive", receive_late)
    assert run_forked(work, [0], num_workers=1) == [None]


def test_a_worker_that_dies_between_two_jobs_takes_only_the_one_it_was_given(monkeypatch):
    receive, killed = workers._receive, []

    def receive_and_kill(connection):
        answer = receive(connection)
        if not killed:
            killed.append(pickle.loads(answer)[0])
            os.kill(killed[0], signal.SIGKILL)
            wait_until(lambda: is_gone(killed[0]))
        return answer

    monkeypatch.setattr(workers, "_receive", receive_and_kill)
    done_by = run_forked(lambda _: os.getpid(), range(3), num_workers=1)
    assert done_by[:2] == [killed[0], None]
    assert done_by[2] not in {killed[0], None}


class TwoPartError(Exception):
    """Pickles, and cannot be read again, as some of Hydra's."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ValueError("no number"), ValueError, "no number"),
        (PermissionError(13, "no access", "x"), PermissionError, "[Errno 13] no access: 'x'"),
        (TwoPartError("a", "b"), RuntimeError, "TwoPartError: a: b"),
    ],
)
def test_an_error_is_raised_here_with_its_cause_and_place_and_ends_the_others(
    error, raised, message, children
):
    def work(job):
        if job == 1:
            raise error from KeyError("the cause")
        time.sleep(9)

    began = time.monotonic()
    with pytest.raises(raised) as caught:
        run_forked(work, range(3), num_workers=2)
    assert not children()
    assert str(caught.value) == message
    assert time.monotonic() - began < 2
    assert "raise error from KeyError" in caught.value.__notes__[0]
    if raised is not RuntimeError:
        assert repr(caught.value.__cause__) == "KeyError('the cause')"


def test_a_result_that_cannot_be_pickled_is_an_error_and_no_killed_worker():
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        run_forked(lambda _: threading.Lock(), [0], num_workers=1)


def test_ctrl_c_to_this_process_alone_ends_its_workers(children, monkeypatch):
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.05)
    parent = os.getpid()

    def work(job):
        if job == 1:
            os.kill(parent, signal.SIGINT)
        time.sleep(9)

    with pytest.raises(KeyboardInterrupt):
        run_forked(work, range(2), num_workers=2)
    assert not children()


def test_workers_that_were_interrupted_themselves_may_write_their_end(tmp_path):
    """A terminal sends Ctrl-C to all processes of a group."""
    parent = os.getpid()

    def work(_):
        try:
            os.kill(parent, signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(9)
        finally:
            time.sleep(0.05)
            (tmp_path / "end").touch()

    with pytest.raises(KeyboardInterrupt):
        run_forked(work, [0], num_workers=1)
    assert (tmp_path / "end").exists()


def test_a_worker_that_no_signal_ends_is_killed(monkeypatch):
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.05)

    def work(job):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if job == 0:
            time.sleep(9)
        time.sleep(0.02)
        raise ValueError("no number")

    with pytest.raises(ValueError, match="no number"):
        run_forked(work, range(2), num_workers=2)


ORPHANS = """
import os, sys, time
from pathlib import Path
from ironore_lightning.process.workers import run_forked

folder = Path(sys.argv[1])

def work(job):
    (folder / f"{job}.began").write_text(str(os.getpid()))
    while not (folder / "go").exists():
        time.sleep(0.002)
    (folder / f"{job}.ended").touch()

run_forked(work, range(6), num_workers=2)
"""


def test_workers_whose_parent_is_killed_end_their_jobs_and_then_themselves(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ORPHANS, str(tmp_path)]
    with subprocess.Popen(command, env=environment) as parent:
        begun = [tmp_path / "0.began", tmp_path / "1.began"]
        wait_until(lambda: all(path.exists() and path.read_text() for path in begun))
        parent.kill()
    pids = [int(path.read_text(encoding="utf-8")) for path in begun]
    assert not any(is_gone(pid) for pid in pids)
    (tmp_path / "go").touch()
    wait_until(lambda: all(is_gone(pid) for pid in pids))
    assert sorted(path.name for path in tmp_path.glob("*.ended")) == ["0.ended", "1.ended"]
    assert len(list(tmp_path.glob("*.began"))) == 2
