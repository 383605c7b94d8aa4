"""What all speed benchmarks share: taking turns, ratios, rows of the table."""

import os
import platform
import resource
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        what: Was measured.
        bound: The median should stay at or below it.
        measured: One value a turn.
        unit: Of the values; empty for a ratio.
    """

    what: str
    bound: float
    measured: Sequence[float]
    unit: str = ""

    @property
    def is_kept(self) -> bool:
        """Return whether the median keeps the bound."""
        return statistics.median(self.measured) <= self.bound

    @property
    def line(self) -> str:
        """Lay out a line of Markdown."""
        unit = f" {self.unit}" if self.unit else ""
        middle, low, high = (f(self.measured) for f in (statistics.median, min, max))
        verdict = "kept" if self.is_kept else "**missed**"
        return (
            f"| {self.what} | {middle:.2f}{unit} | {low:.2f} to {high:.2f} | {len(self.measured)} "
            f"| {self.bound:.2f}{unit} | {verdict} |"
        )


HEAD = """| what | median | smallest to largest | turns | wanted, at most | |
| --- | --- | --- | --- | --- | --- |"""


def take_turns(
    candidates: Mapping[str, Callable[[], float]], *, repeats: int
) -> dict[str, list[float]]:
    """Measure every candidate once a turn, after a turn that does not count."""
    for measure in candidates.values():
        measure()
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, measure in candidates.items():
            found[name].append(measure())
    return found


def ratios(of: Sequence[float], over: Sequence[float]) -> list[float]:
    """Divide turn by turn, so that what slows a whole turn cancels."""
    return [one / other for one, other in zip(of, over, strict=True)]


def print_table(rows: Iterable[Row]) -> None:
    """Print rows as Markdown."""
    print(HEAD)
    for row in rows:
        print(row.line, flush=True)


def compose_config(*overrides: str):
    """Compose and check settings, as `train.py` does."""
    from hydra import compose, initialize_config_dir

    from ironore_lightning.settings.checking import to_config

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return to_config(compose("config", overrides=list(overrides)))


def machine() -> str:
    """Say in a line where the table was made."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(": ")[2] for line in lines if "model name" in line), "unknown")
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{name}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def user_environment() -> dict[str, str]:
    """Let Python keep its bytecode, as it does unless told otherwise, and count no looks."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "IRONORE_LOOKS": ""}


def others_seconds() -> float:
    """Return the processor time that all but our own finished processes have taken."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, _, _, irq, softirq, *_ = map(int, first.split()[1:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return busy - used.ru_utime - used.ru_stime
