"""All figures of speed and memory, as one table.

    python tests/benchmarks/speed.py --output speed.md

takes half an hour on two cores, and the machine should have nothing else to do. Every row is
explained where it is measured: `training_speed.py`, `command_speed.py`, `data_speed.py` and
`sweep_speed.py`, which can be started by themselves. The exit status is 1 if a median misses
its bound.
"""

import argparse
from pathlib import Path

import command_speed
import data_speed
import sweep_speed
import training_speed
from measuring import HEAD, machine


def main() -> int:
    """Measure everything, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--output", type=Path)
    output = parser.parse_args().output
    lines, all_kept = [f"Measured on {machine()}.", "", *HEAD.splitlines()], True
    print("\n".join(lines), flush=True)
    for benchmark, repeats in (
        (training_speed, 7),
        (command_speed, 7),
        (data_speed, 3),
        (sweep_speed, 3),
    ):
        for row in benchmark.measure(repeats=repeats):
            print(row.line, flush=True)
            lines.append(row.line)
            all_kept &= row.is_kept
    if output:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all_kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
