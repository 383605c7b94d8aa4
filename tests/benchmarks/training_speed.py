"""How long a fit takes, beside a loop in plain PyTorch.

Every candidate lives in a process of its own, since threads and memory are set up for a process,
and they take turns. A fit is `training.fit` with all that a run has: validation, early stopping,
best and last checkpoint, TensorBoard, a console line each epoch. The bare loop
(`bare_loop.fit_bare`) has the same mathematics, batches, process set-up and early stopping, keeps
the best weights in memory, and writes nothing. The usual loop (`bare_loop.fit_usual`) is what
people write, in a process as torch leaves it but for the number of threads.

    python tests/benchmarks/training_speed.py

prints a table; `speed.py` prints this one and all others.
"""

import argparse
import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from measuring import ROOT, Row, compose_config, print_table, ratios, take_turns, user_environment

SMALL = ("model=bilstm_small",)
WINDOWS = (20, 250)
QUICK = ("training.max_epochs=3", "training.patience=3")


class Worker:
    """A process that fits on demand, with everything imported and read beforehand."""

    def __init__(self, kind: str, overrides: Sequence[str]) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", kind, *overrides],
            cwd=ROOT,
            env=user_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self) -> float:
        """Fit once; return the seconds an epoch."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} has died")
        found = json.loads(answer)
        return float(found["seconds"] / found["epochs"])


@contextlib.contextmanager
def workers(**kinds: tuple[str, Sequence[str]]) -> Iterator[dict[str, Callable[[], float]]]:
    """Start a worker for each name, and end them."""
    started = {name: Worker(kind, overrides) for name, (kind, overrides) in kinds.items()}
    try:
        yield dict(started)
    finally:
        for worker in started.values():
            worker.process.kill()
            worker.process.wait()


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """Keep one core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            yield
        finally:
            neighbour.kill()


def fits(*, repeats: int) -> list[Row]:
    """Compare a fit with both loops."""
    with workers(fit=("fit", ()), bare=("bare", ()), usual=("usual", ())) as candidates:
        default = take_turns(candidates, repeats=repeats)
    with workers(fit=("fit", SMALL), bare=("bare", SMALL)) as candidates:
        small = take_turns(candidates, repeats=2 * repeats)
    return [
        Row(
            "fit of the default model over the bare loop",
            1.05,
            ratios(default["fit"], default["bare"]),
        ),
        Row(
            "the same over the loop as people write it",
            0.85,
            ratios(default["fit"], default["usual"]),
        ),
        Row("fit of `bilstm_small` over its bare loop", 1.20, ratios(small["fit"], small["bare"])),
    ]


def neighbour(*, repeats: int) -> list[Row]:
    """Compare epochs beside a busy process with epochs on a quiet machine."""
    with workers(fit=("fit", QUICK)) as candidates:
        fit = candidates["fit"]

        def beside() -> float:
            with busy_neighbour():
                return fit()

        found = take_turns({"quiet": fit, "beside": beside}, repeats=repeats)
    return [
        Row(
            "an epoch beside one busy process over a quiet one",
            1.3,
            ratios(found["beside"], found["quiet"]),
        )
    ]


def windows(*, repeats: int) -> list[Row]:
    """Compare the time of a step and row of the window, which takes as many operations in both."""
    short, long = ((*QUICK, f"window.sequence_length={length}") for length in WINDOWS)
    with workers(short=("fit", short), long=("fit", long)) as candidates:
        found = take_turns(candidates, repeats=repeats)
    # As many samples but for the first windows, which the longer ones lack.
    samples = [num_samples(overrides) for overrides in (short, long)]
    per_row = [
        [seconds / count / length for seconds in found[name]]
        for name, count, length in zip(("short", "long"), samples, WINDOWS, strict=True)
    ]
    return [
        Row("time an operation with a window of 250 over 20", 1.3, ratios(per_row[1], per_row[0]))
    ]


def num_samples(overrides: Sequence[str]) -> int:
    """Count the training samples."""
    _, datamodule = prepare(overrides)
    return len(datamodule.datasets["train"])


def prepare(overrides: Sequence[str]):
    """Compose settings, and cut the sample market."""
    from parts_of_a_run import samples_of

    config = compose_config(*overrides)
    return config, samples_of(config)


def work(kind: str, overrides: Sequence[str]) -> None:
    """Fit for every line of standard input, and answer with the seconds and epochs."""
    import torch
    from bare_loop import fit_bare, fit_usual
    from lightning import seed_everything
    from parts_of_a_run import fit_context_of

    from ironore_lightning.model.hardware import set_up_process
    from ironore_lightning.model.training import build_forecaster, fit
    from ironore_lightning.report.epochs import silence_lightning

    config, datamodule = prepare(overrides)
    torch.set_num_threads(config.hardware.threads)
    if kind != "usual":
        set_up_process(config.hardware)
    silence_lightning()
    for _ in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            logging.basicConfig(level=logging.INFO, filename=f"{folder}/training.log", force=True)
            started = time.perf_counter()
            if kind == "fit":
                seed_everything(config.seed, verbose=False)
                forecaster = build_forecaster(datamodule.features.shape[1], config.fit_settings)
                context = fit_context_of(config, Path(folder))
                _, facts = fit(forecaster, datamodule, config.fit_settings, context)
                epochs = facts.num_epochs
            else:
                loop = {"bare": fit_bare, "usual": fit_usual}[kind]
                epochs = loop(datamodule, config).num_epochs
            seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "epochs": epochs}), flush=True)


def measure(*, repeats: int) -> list[Row]:
    """Measure all rows."""
    return [*fits(repeats=repeats), *neighbour(repeats=repeats), *windows(repeats=repeats)]


def main() -> None:
    """Print the table, or work for another process that does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", nargs="+")
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker[0], arguments.worker[1:])
        return
    print_table(measure(repeats=arguments.repeats))


if __name__ == "__main__":
    main()
