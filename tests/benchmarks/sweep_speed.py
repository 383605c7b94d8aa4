"""How much of a sweep is fitting, and what two cores make of it.

A short run is `model=bilstm_small training.max_epochs=30` on the sample market. A sweep is timed as
a user waits for it, `python train.py -m ...` from start to end: Python and its imports, all runs,
and the summary with its pictures. Ways to do the same take turns, after a small sweep that is not
timed and fills the caches of bytecode and fonts.

The way of before is a stock process, as torch leaves it (a thread for every core; memory, denormal
and new numbers as by default), that composes each job anew and assesses every run on its test days.
A bare fit is that of `bare_loop.py` in a process that is set up as a run's is.

    python tests/benchmarks/sweep_speed.py

prints a table; `speed.py` prints this one and all others. Linux only; it takes half an hour on two
cores, which should have nothing else to do. What others take of them is printed.
"""

import argparse
import datetime
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from measuring import ROOT, Row, others_seconds, print_table, ratios, user_environment
from training_speed import workers

SHORT = ("model=bilstm_small", "training.max_epochs=30")
FEW, MANY, GRID = 16, 64, 108
NUM_CORES = 2

SIDE_BY_SIDE = (f"hydra.launcher.n_jobs={NUM_CORES}",)
AS_BEFORE = ("hydra/launcher=basic", "report.assess_every_run=true")
ORIGINAL = ("hparams_search=original_grid",)

STOCK = """
import runpy
from ironore_lightning.model import hardware
hardware.set_up_process = hardware.require_devices
runpy.run_path("train.py", run_name="__main__")
"""


def time_sweep(
    *overrides: str, folder: Path, num_runs: int, start: Sequence[str] = ("train.py",)
) -> float:
    """Run a sweep in a process of its own; return the seconds, and say what else took some.

    Raises:
        RuntimeError: If a run is not complete.
    """
    command = [sys.executable, *start, "-m", *overrides, f"hydra.sweep.dir={folder}"]
    before, started = others_seconds(), time.perf_counter()
    process = subprocess.run(
        command, cwd=ROOT, env=user_environment(), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if process.returncode != 0 or f"{num_runs} runs: {num_runs} complete" not in process.stdout:
        raise RuntimeError(f"{' '.join(command)}\n{process.stdout}\n{process.stderr}")
    others = others_seconds() - before
    sys.stderr.write(f"{' '.join(overrides)}: {seconds:.1f} s, others {others:.1f} s\n")
    return seconds


def short_runs(*overrides: str, num_runs: int, start: Sequence[str] = ("train.py",)) -> float:
    """Time a sweep over seeds of the short run."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = (*overrides, *SHORT, f"seed=range(0,{num_runs})")
        return time_sweep(*wanted, folder=Path(folder), num_runs=num_runs, start=start)


def seconds_a_run() -> float:
    """Return the mean time from the start of one short run to that of the next, in one process.

    The first run of a process, which imports and warms up, is left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        wanted = (*SHORT, "seed=range(0,8)")
        time_sweep(*wanted, folder=Path(folder), num_runs=8)
        starts = starts_in(Path(folder))
    return (starts[-1] - starts[1]).total_seconds() / (len(starts) - 2)


def one_run(*, repeats: int) -> list[Row]:
    """Compare a run of a sweep with a bare fit."""
    with workers(bare=("bare", SHORT)) as candidates:
        bare = candidates["bare"]
        bare()
        runs, fits = [], []
        for _ in range(repeats):
            before = [bare() for _ in range(3)]
            runs.append(seconds_a_run())
            fits.append(30 * (sum(before) + sum(bare() for _ in range(3))) / 6)
    return [Row("one short run of a sweep over a bare fit", 1.30, ratios(runs, fits))]


def bare_grid() -> float:
    """Fit the networks of the original's grid by hand, one after another; return the seconds."""
    code = "import sweep_speed; sweep_speed.fit_bare_grid()"
    command = [sys.executable, "-c", code]
    place = Path(__file__).parent
    done = subprocess.run(
        command, cwd=place, env=user_environment(), check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def fit_bare_grid() -> None:
    """Print how long the bare fits of the grid take, in a process that is set up as a run's is."""
    import torch
    import yaml
    from bare_loop import fit_bare
    from training_speed import prepare

    from ironore_lightning.model.hardware import set_up_process

    member = yaml.safe_load((ROOT / "conf/hparams_search/original_grid.yaml").read_text())
    swept = member["hydra"]["sweeper"]["params"]
    keys, values = list(swept), [str(choices).split(",") for choices in swept.values()]
    seconds, fits = 0.0, list(itertools.product(*values))
    assert len(fits) == GRID
    for fit in fits:
        config, datamodule = prepare(
            [f"{key}={value}" for key, value in zip(keys, fit, strict=True)]
        )
        torch.set_num_threads(config.hardware.threads)
        set_up_process(config.hardware)
        started = time.perf_counter()
        fit_bare(datamodule, config)
        seconds += time.perf_counter() - started
    print(seconds)


def grid() -> list[Row]:
    """Compare the original's grid on two cores with as many bare fits one after another."""
    with tempfile.TemporaryDirectory() as place:
        folder, command = Path(place), datetime.datetime.now(tz=datetime.UTC)
        sweep = time_sweep(*ORIGINAL, *SIDE_BY_SIDE, folder=folder, num_runs=GRID)
        to_first = (min(starts_in(folder)) - command).total_seconds()
        for table in folder.glob("*/baselines.csv"):  # as if it were summarised for the first time
            for name in ("baselines", "density", "price_clues"):
                (table.parent / f"{name}.csv").unlink()
        started = time.perf_counter()
        summarise = ["-m", "ironore_lightning.summarize", place]
        subprocess.run(
            [sys.executable, *summarise],
            cwd=ROOT,
            env=user_environment(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        summary = time.perf_counter() - started
    bare = bare_grid()
    sys.stderr.write(f"{GRID} bare fits: {bare:.1f} s\n")
    return [
        Row(f"the original's grid of {GRID} runs over as many bare fits", 0.80, [sweep / bare]),
        Row(f"from the command to the first of {GRID} runs", 5, [to_first], "s"),
        Row(f"summary of {GRID} runs", 15, [summary], "s"),
    ]


def starts_in(folder: Path) -> list[datetime.datetime]:
    """Return when the runs of a sweep have started, sorted."""
    statuses = [json.loads(path.read_text()) for path in folder.glob("*/status.json")]
    return sorted(datetime.datetime.fromisoformat(status["started"]) for status in statuses)


def side_by_side(*, repeats: int) -> list[Row]:
    """Compare two processes with one, and with the way of before."""
    short_runs(*SIDE_BY_SIDE, num_runs=NUM_CORES)
    alone, together = [], []
    for _ in range(repeats):
        alone.append(short_runs(num_runs=FEW))
        together.append(short_runs(*SIDE_BY_SIDE, num_runs=FEW))
    many = short_runs(*SIDE_BY_SIDE, num_runs=MANY)
    stock = short_runs(*AS_BEFORE, num_runs=MANY, start=("-c", STOCK))
    return [
        Row(f"{FEW} short runs in two processes over one", 0.65, ratios(together, alone)),
        Row(f"{MANY} short runs in two processes over the way of before", 0.30, [many / stock]),
    ]


def measure(*, repeats: int) -> list[Row]:
    """Measure all rows; the long ones once."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_CORES])
    return [*side_by_side(repeats=repeats), *one_run(repeats=repeats), *grid()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    print_table(measure(repeats=parser.parse_args().repeats))


if __name__ == "__main__":
    main()
