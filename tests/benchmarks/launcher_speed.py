"""How much time two joblib workers save on sixteen short runs, on two cores.

A short run is `model=bilstm_small training.max_epochs=30` on the sample market: four to five
seconds in a process that has made a run before, half of them training and half baselines, tests,
pictures and files. The sixteen runs differ in their seed.

Each way is timed as a user waits for it, `python train.py -m ...` from start to end: Python and its
imports, which every worker repeats, all runs, and the summary with its pictures. The ways take
turns, after a small sweep that is not timed and fills the caches of bytecode and fonts. Linux only;
the machine should have nothing else to do, and what others take of it is printed.

    python tests/benchmarks/launcher_speed.py

Exit status 1 if the median ratio misses its bound.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHORT = ("model=bilstm_small", "training.max_epochs=30")
NUM_RUNS = 16
NUM_CORES = 2

IN_PROCESS: tuple[str, ...] = ()
WORKERS = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={NUM_CORES}")

BOUND = 0.65
"""Time with workers over time in process, at most."""


@dataclass(frozen=True)
class Timing:
    """One sweep from start to end.

    Attributes:
        seconds: Of wall-clock time.
        others: Seconds of processor time that everything else on the machine took meanwhile.
    """

    seconds: float
    others: float


def time_sweep(launcher: Sequence[str], *, num_runs: int) -> Timing:
    """Run a sweep in a process of its own.

    Raises:
        RuntimeError: If a run is not complete.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", "-m", *launcher, *SHORT, f"seed=range(0,{num_runs})"]
        before, started = others_seconds(), time.perf_counter()
        process = subprocess.run(
            [*command, f"hydra.sweep.dir={folder}"],
            cwd=ROOT,
            env=user_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
    if process.returncode != 0 or f"{num_runs} runs: {num_runs} complete" not in process.stdout:
        raise RuntimeError(f"{' '.join(command)}\n{process.stdout}\n{process.stderr}")
    return Timing(seconds, others_seconds() - before)


def user_environment() -> dict[str, str]:
    """Let Python keep its bytecode, as it does unless told otherwise."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def others_seconds() -> float:
    """Return the processor time that all but our own finished processes have taken."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, _, _, irq, softirq, *_ = map(int, first.split()[1:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return busy - used.ru_utime - used.ru_stime


def describe(measured: Sequence[float], *, digits: int) -> str:
    """Lay out median, minimum and maximum."""
    middle, low, high = statistics.median(measured), min(measured), max(measured)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> int:
    """Time both ways, print each turn and the ratio; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_CORES])
    print(f"{NUM_RUNS} times {' '.join(SHORT)}, {len(os.sched_getaffinity(0))} cores", flush=True)
    time_sweep(WORKERS, num_runs=NUM_CORES)
    one_by_one, side_by_side = [], []
    for _ in range(repeats):
        one_by_one.append(time_sweep(IN_PROCESS, num_runs=NUM_RUNS))
        side_by_side.append(time_sweep(WORKERS, num_runs=NUM_RUNS))
        for way, timing in (("in process", one_by_one[-1]), ("joblib", side_by_side[-1])):
            print(f"{way:>10} {timing.seconds:6.1f} s, others {timing.others:.1f} s", flush=True)
    ratios = [two.seconds / one.seconds for one, two in zip(one_by_one, side_by_side, strict=True)]
    print("median (smallest to largest)")
    print(f"in process {describe([one.seconds for one in one_by_one], digits=1)} s")
    print(f"    joblib {describe([one.seconds for one in side_by_side], digits=1)} s")
    print(f"     ratio {describe(ratios, digits=3)}, at most {BOUND} is wanted")
    return 1 if statistics.median(ratios) > BOUND else 0


if __name__ == "__main__":
    raise SystemExit(main())
