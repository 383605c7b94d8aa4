"""How much time two joblib workers, and the set-up of a process, save on many short runs.

A short run is `model=bilstm_small training.max_epochs=30` on the sample market: some four seconds
in a process that has made a run before, half of them training and half baselines, tests, pictures
and files. The runs of a sweep differ in their seed.

Each way is timed as a user waits for it, `python train.py -m ...` from start to end: Python and its
imports, which every worker repeats, all runs, and the summary with its pictures. The ways take
turns, after a small sweep that is not timed and fills the caches of bytecode and fonts. A stock
process is one as torch leaves it: a thread for every core, and memory, denormal and new numbers as
by default. Linux only; the machine should have nothing else to do, and what others take of it is
printed.

    python tests/benchmarks/launcher_speed.py

prints a table; `speed.py` prints this one and all others.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from measuring import ROOT, Row, others_seconds, print_table, ratios, user_environment

SHORT = ("model=bilstm_small", "training.max_epochs=30")
FEW, MANY = 16, 64
NUM_CORES = 2

WORKERS = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={NUM_CORES}")

STOCK = """
import runpy
from ironore_lightning import hardware
hardware.set_up_process = hardware.require_devices
runpy.run_path("train.py", run_name="__main__")
"""


def time_sweep(
    launcher: Sequence[str] = (), *, num_runs: int, start: Sequence[str] = ("train.py",)
) -> float:
    """Run a sweep in a process of its own; return the seconds, and say what else took some.

    Raises:
        RuntimeError: If a run is not complete.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *start, "-m", *launcher, *SHORT, f"seed=range(0,{num_runs})"]
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
    others = others_seconds() - before
    sys.stderr.write(
        f"{num_runs} runs {' '.join(launcher)}: {seconds:.1f} s, others {others:.1f} s\n"
    )
    return seconds


def measure(*, repeats: int) -> list[Row]:
    """Measure both rows; the long one once."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_CORES])
    time_sweep(WORKERS, num_runs=NUM_CORES)
    alone, side_by_side = [], []
    for _ in range(repeats):
        alone.append(time_sweep(num_runs=FEW))
        side_by_side.append(time_sweep(WORKERS, num_runs=FEW))
    many = time_sweep(WORKERS, num_runs=MANY)
    stock = time_sweep(num_runs=MANY, start=("-c", STOCK))
    return [
        Row(
            f"{FEW} short runs with two joblib workers over one process",
            0.65,
            ratios(side_by_side, alone),
        ),
        Row(
            f"{MANY} short runs with two joblib workers over one stock process",
            0.35,
            [many / stock],
        ),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    print_table(measure(repeats=parser.parse_args().repeats))


if __name__ == "__main__":
    main()
