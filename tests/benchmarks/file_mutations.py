"""How raw files with random damage end: refused by name, read as they stand, or anything else.

Every example is a raw file of a small sample market to which one to three things happen: bytes
flipped, inserted or cut, lines and cells lost, repeated or swapped, numbers and dates changed,
contracts mixed up. It is read and joined as a run does it. What is read must be what a second,
plain reader finds in the mutated file, value by value; what is refused must be refused by a line
that names the file.

    python tests/benchmarks/file_mutations.py --examples 2000 --seed 0

Exit status 1 if anything else happens.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from judgement import KINDS, Kind, UnjustifiedError, judge, write_undamaged
from mutations import Step, mutate

MOST_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Mutate files of every kind in turn; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=2000, help="over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    counts = {name: Counter[str]() for name in given.kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_undamaged(folder)
        for position, kind_name in enumerate(given.kinds):
            share = range(position, given.examples, len(given.kinds))
            counts[kind_name] = count(KINDS[kind_name], folder, len(share), seed=given.seed)
    print(report(counts))
    print(f"seed {given.seed}, {time.perf_counter() - started:.0f} s")
    return 1 if any(one["anything else"] for one in counts.values()) else 0


def count(kind: Kind, folder: Path, num_examples: int, *, seed: int) -> Counter[str]:
    """Mutate one kind of file many times and count how it ends."""
    generator = random.Random(f"{seed} {kind.name}")  # noqa: S311 - no secret
    undamaged = (folder / kind.file).read_bytes()
    counts = Counter[str]()
    for _ in range(num_examples):
        steps = draw_steps(kind, generator)
        try:
            counts[judge(kind, folder, mutate(undamaged, steps))] += 1
        except UnjustifiedError as error:
            counts["anything else"] += 1
            if counts["anything else"] <= MOST_SHOWN:
                print(f"{kind.name}: {error}\n  {steps}")
    (folder / kind.file).write_bytes(undamaged)
    return counts


def draw_steps(kind: Kind, generator: random.Random) -> list[Step]:
    """Draw one to three things that happen to a file."""
    return [
        Step(
            name=generator.choice(kind.steps),
            where=generator.random(),
            other=generator.random(),
            value=generator.randrange(256),
        )
        for _ in range(generator.choice((1, 1, 1, 2, 3)))
    ]


def report(counts: dict[str, Counter[str]]) -> str:
    """Write the counts as a table."""
    columns = ("refused", "read", "anything else")
    lines = ["| file | mutated | " + " | ".join(columns) + " |", "| --- " * 5 + "|"]
    total = sum(counts.values(), Counter[str]())
    for name, one in {**counts, "all": total}.items():
        cells = [name, one.total(), *(one[column] for column in columns)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
