"""Kill runs at random moments, go on with them, and compare each with one that nobody touched.

    python tests/benchmarks/random_kills.py --kills 20 --seed 0

Every run is a `train.py` of its own process, killed at a moment that is uniform over the wall time
of the untouched run; every third is killed a second time while it goes on. It goes on with
`resume=` its folder, or, where it was killed before it had started, begins with its own command.
In the end weights, forecasts, scores, plots, TensorBoard's curves and the log's epochs must be the
same bits. Ends with 1 if one is not. Takes about half a minute a kill.
"""

import argparse
import itertools
import json
import logging
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from measuring import ROOT, user_environment
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TOO_LATE = "had ended"
NOT_STARTED = "holds no run that could go on"
EPOCH = re.compile(
    r"INFO +(\d+ +\S+ +\S+(?: +[+-]\S+)?) +\S+ s +(\S+ +\S+)  .*(?:FAST|MEDIUM|SLOW)$"
)


@dataclass
class Story:
    """What happened to one run.

    Attributes:
        number: Of the run, from 1.
        kills: Signal, second, exit status, and state and epochs that were left.
        num_missed: Kills that came too late, since the run had ended.
        restarts: Times that it had not started yet and began with its own command.
        differences: What is not as in the untouched run.
    """

    number: int
    kills: list[str] = field(default_factory=list)
    num_missed: int = 0
    restarts: int = 0
    differences: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Run them all, print a table, and return the exit status."""
    options = read_options(arguments)
    # A shell lets what it starts in the background ignore SIGINT, and so would the runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # that curves were drawn anew is meant
    draw = random.Random(options.seed)  # noqa: S311 - no secret
    signals = itertools.cycle(signal.Signals[f"SIG{name}"] for name in options.signals.split(","))
    settings = ["model=bilstm_small", "training.patience=1000"]
    settings.append(f"training.max_epochs={options.epochs}")
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        started = time.monotonic()
        finish([*settings, f"hydra.run.dir={whole}"])
        seconds = time.monotonic() - started
        print(f"untouched: {seconds:.1f} s, {options.epochs} epochs", flush=True)
        reference = content(whole)
        stories = []
        for number in range(1, options.kills + 1):
            moments = [draw.uniform(0, seconds) for _ in range(2 if number % 3 == 0 else 1)]
            folder = Path(place) / f"run_{number}"
            story = kill_and_go_on(number, settings, folder, moments, signals)
            story.differences = compare(reference, content(folder))
            print(describe(story), flush=True)
            stories.append(story)
    wrong = [story for story in stories if story.differences]
    num_kills = sum(len(story.kills) - story.num_missed for story in stories)
    num_restarts = sum(story.restarts for story in stories)
    print(
        f"{len(stories)} runs, {num_kills} kills ({num_restarts} of them before the run had "
        f"started): {len(stories) - len(wrong)} equal the untouched run, {len(wrong)} do not"
    )
    return 1 if wrong else 0


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="runs that are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--signals", default="KILL,TERM,INT", help="in turn")
    parser.add_argument("--epochs", type=int, default=60, help="of every run")
    return parser.parse_args(arguments)


def kill_and_go_on(
    number: int,
    settings: list[str],
    folder: Path,
    moments: Sequence[float],
    signals: Iterator[signal.Signals],
) -> Story:
    """Start a run, kill it at each moment that it lives to see, and let it end."""
    story = Story(number)
    own = [*settings, f"hydra.run.dir={folder}"]
    arguments = own
    for moment in moments:
        number_of = next(signals)
        ended = stop(arguments, number_of, after=moment)
        story.num_missed += ended == TOO_LATE
        story.kills.append(f"{number_of.name[3:]} {moment:.1f} s: {ended}, {left(folder)}")
        arguments = [f"resume={folder}"]
        if not (folder / "status.json").exists():
            refused = start(arguments).communicate()[1]
            assert NOT_STARTED in refused, refused
            assert refused.count("\n") == 1, refused
            story.restarts += 1
            arguments = own
    finish(arguments)
    return story


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start train.py."""
    command = [sys.executable, "train.py", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=user_environment(), text=True, **pipes)


def stop(arguments: Sequence[str], number: signal.Signals, *, after: float) -> str:
    """Start train.py, send it a signal, and say how it ended."""
    process = start(arguments)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    else:
        process.communicate()
        return TOO_LATE
    said = process.communicate(timeout=120)[1]
    traceback = ", a traceback" if "Traceback" in said else ""
    return f"exit {process.returncode}{traceback}"


def finish(arguments: Sequence[str]) -> None:
    """Let train.py run to its end, which must be quiet and good."""
    process = start(arguments)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert said == "", said


def left(folder: Path) -> str:
    """Say what a killed process left: the state that is written, and the epochs in checkpoints."""
    status = folder / "status.json"
    if not status.exists():
        return "not started"
    state = json.loads(status.read_text(encoding="utf-8"))["state"]
    last = folder / "checkpoints" / "last.ckpt"
    if not last.exists():
        return f"{state}, no checkpoint"
    epoch = torch.load(last, weights_only=True)["epoch"] + 1
    written = sum((folder / name).exists() for name in ("predictions.csv", "final_results.json"))
    return f"{state}, epoch {epoch}{', in the results' if written else ''}"


def content(folder: Path) -> dict[str, Any]:
    """Read what must be equal, by name."""
    found: dict[str, Any] = {}
    for name in ("best", "last"):
        checkpoint = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        found[f"{name} epoch"] = checkpoint["epoch"]
        for key, value in checkpoint["state_dict"].items():
            found[f"{name} {key}"] = value.numpy().tobytes()
    for name in ("predictions.csv", "baselines.csv", "density.csv"):
        found[name] = (folder / name).read_bytes()
    results = json.loads((folder / "evaluation_results.json").read_text(encoding="utf-8"))
    found |= {f"results {key}": value for key, value in results.items() if key != "labels"}
    for path in sorted((folder / "plots").glob("*.png")):
        found[path.name] = path.read_bytes()
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        found[f"curve {tag}"] = [(one.step, one.value) for one in events.Scalars(tag)]
    log = (folder / "training.log").read_text(encoding="utf-8")
    lines = log.rpartition("epoch  train loss")[2].splitlines()  # since it last began anew
    found["log"] = [match.groups() for match in map(EPOCH.search, lines) if match]
    found["verdicts in the log"] = log.count("guessing reaches")
    state = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    found |= {"state": state["state"], "objective": state["objective"]}
    return found


def compare(reference: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Name what differs."""
    names = sorted({*reference, *found})
    return [name for name in names if reference.get(name) != found.get(name)]


def describe(story: Story) -> str:
    """Write a row of the table."""
    verdict = f"DIFFERS in {', '.join(story.differences)}" if story.differences else "equal"
    restarts = f"; begun anew {story.restarts}x" if story.restarts else ""
    return f"{story.number:3d}  {'; '.join(story.kills)}{restarts}  ->  {verdict}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
