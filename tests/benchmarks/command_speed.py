"""How long a user waits for a command, everything included.

    python tests/benchmarks/command_speed.py

prints a table; `speed.py` prints this one and all others.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import ROOT, Row, print_table, ratios, take_turns, user_environment

TAB = {"COMP_LINE": "train.py mod", "COMP_POINT": "12", "COMP_TYPE": "9"}
"""What bash sets when TAB is pressed after these twelve characters."""


def seconds(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Run Python with some arguments, from start to end."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**user_environment(), **(environment or {})},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


def one_epoch() -> float:
    """Train for one epoch, and write everything that a run leaves."""
    with tempfile.TemporaryDirectory() as folder:
        return seconds(["train.py", "training.max_epochs=1", f"hydra.run.dir={folder}/run"])


def judge() -> float:
    """Judge forecasts of 300 days that come with their outcomes."""
    days = pd.bdate_range("2024-01-01", periods=301).strftime("%Y-%m-%d")
    table = pd.DataFrame({"origin": days[:-1], "date": days[1:]})
    table[["forecast", "actual"]] = np.random.default_rng(0).normal(size=(300, 2))
    with tempfile.TemporaryDirectory() as folder:
        table.to_csv(Path(folder) / "broker.csv", index=False)
        command = ["-m", "ironore_lightning.judge", f"file={folder}/broker.csv"]
        return seconds([*command, f"hydra.run.dir={folder}/judged"])


def measure(*, repeats: int) -> list[Row]:
    """Measure all rows."""
    found = take_turns(
        {
            "help": lambda: seconds(["train.py", "--help"]),
            "cfg": lambda: seconds(["train.py", "--cfg", "job"]),
            "tab": lambda: seconds(["train.py", "-sc", "query=bash"], TAB),
            "import": lambda: seconds(["-c", "import lightning"]),
            "one epoch": one_epoch,
            "judge": judge,
        },
        repeats=repeats,
    )
    longer = ratios(found["one epoch"], found["import"])
    return [
        Row("`python train.py --help`", 0.5, found["help"], "s"),
        Row("`python train.py --cfg job`", 0.5, found["cfg"], "s"),
        Row("TAB after `train.py mod`", 0.5, found["tab"], "s"),
        Row("`python train.py training.max_epochs=1` over `import lightning`", 1.6, longer),
        Row("`python -m ironore_lightning.judge` on 300 days", 10, found["judge"], "s"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=5)
    print_table(measure(repeats=parser.parse_args().repeats))


if __name__ == "__main__":
    main()
