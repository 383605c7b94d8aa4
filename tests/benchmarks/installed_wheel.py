"""Whether an installed wheel trains and runs every command, far from the checkout.

    python tests/benchmarks/installed_wheel.py --python python3.12 --versions newest

builds the wheel, installs it in a fresh environment, and runs every command from an empty folder.
It prints a table of exit statuses, and ends with 1 if one of them is wrong. `--versions lowest`
takes the lower bounds of pyproject.toml; `--with torch==2.13.0` changes one of them.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICK = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")
EXTRAS = ("parquet", "excel", "search", "parallel", "export")

COMMANDS = {
    f"train {' '.join(QUICK)} data.root=raw hydra.run.dir=run": 0,
    "train experiment=debug hydra.run.dir=debug": 0,
    f"train {' '.join(QUICK)} -m seed=0,1 hydra.sweep.dir=grid": 0,
    f"train {' '.join(QUICK)} hparams_search=bilstm_optuna hydra.sweeper.n_trials=2 "
    "hydra.sweep.dir=search": 0,
    f"train {' '.join(QUICK)} -m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=2 "
    "hydra.sweep.dir=joblib": 0,
    f"train {' '.join(QUICK)} hardware.devices=2 hydra.run.dir=two": 0,
    "train --cfg job": 0,
    "train model=nope": 2,
    "train resume=run": 0,
    "prepare output_dir=prepared": 0,
    "inspect raw/group.csv": 0,
    "audit hydra.run.dir=audit": 0,
    "forecast run --data-root raw --max-age-days 100000": 0,
    "evaluate run": 0,
    "compare run debug": 0,
    "summarize grid": 0,
    "judge file=run/predictions.csv hydra.run.dir=judged": 0,
    "export run": 0,
    "foecast": 2,
}
"""What a user types after `ironore`, and the exit status that it must have."""


def main() -> int:
    """Build, install, run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--python", default="python3", help="an interpreter of the PATH")
    parser.add_argument("--versions", choices=["newest", "lowest"], default="newest")
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="REQUIREMENT")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="installed_wheel_") as place:
        folder = Path(place)
        python = install(folder, options.python, options.versions, options.others)
        print_versions(python)
        failed = run_commands(python.parent, folder)
    return 1 if failed else 0


def install(folder: Path, interpreter: str, versions: str, others: Sequence[str]) -> Path:
    """Install the wheel and its extras in a fresh environment; return its Python."""
    pinned = {name(line): line for line in others}
    if versions == "lowest":
        pinned = lowest() | pinned
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pinned.values()), encoding="utf-8")
    run([interpreter, "-m", "venv", str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    run([python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT])
    (wheel,) = folder.glob("ironore_lightning-*.whl")
    wanted = f"{wheel}[{','.join(EXTRAS)}]"
    run([python, "-m", "pip", "install", "-q", "-c", constraints, wanted])
    return python


def lowest() -> dict[str, str]:
    """Return the lower bound of each dependency as the only version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    return {name(line): re.split(r"[,<]", line)[0].replace(">=", "==") for line in lines}


def name(requirement: str) -> str:
    """Return the name of the package that is required."""
    return re.split(r"[<>=!~\[]", requirement)[0].strip()


def run(command: Sequence[object]) -> None:
    """Run a command that must succeed, and whose output nobody needs otherwise."""
    subprocess.run([str(word) for word in command], check=True, env=environment())


def environment() -> dict[str, str]:
    """Return the variables of this process, less those that would lead to the checkout."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**ours, "OMP_NUM_THREADS": "1"}


def print_versions(python: Path) -> None:
    """Print what was installed."""
    names = sorted({*lowest(), "pydantic-core"})
    code = (
        "import platform, sys; from importlib.metadata import version; "
        "print(platform.python_version(), *(f'{n} {version(n)}' for n in sys.argv[1:]), sep=', ')"
    )
    print("Python ", end="", flush=True)
    run([python, "-c", code, *names])


def run_commands(programs: Path, folder: Path) -> Mapping[str, int]:
    """Run every command as a user does, print a line for each, and return those that failed."""
    home, failed = folder / "home", {}
    home.mkdir()
    print("\n| ironore ... | status | wanted | seconds |\n| --- | --- | --- | --- |")
    for command, wanted in (*COMMANDS.items(), *helps(programs).items()):
        started = time.perf_counter()
        process = subprocess.run(
            [str(programs / "ironore"), *command.split()],
            cwd=home,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        print(f"| `{command}` | {process.returncode} | {wanted} | {seconds:.1f} |", flush=True)
        if process.returncode != wanted or "Warning" in process.stderr:
            failed[command] = process.returncode
            sys.stderr.write(f"{command}\n{process.stdout[-2000:]}{process.stderr[-6000:]}\n")
    return failed


def helps(programs: Path) -> dict[str, int]:
    """Return the call for help, and for the version, of every command there is."""
    said = subprocess.run(
        [str(programs / "ironore")], env=environment(), capture_output=True, text=True, check=True
    )
    names = re.findall(r"^  ironore (\w+) ", said.stdout, re.MULTILINE)
    flags = ("--help", "--version")
    return {f"{name} {flag}": 0 for name in names for flag in flags} | {"--version": 0}


if __name__ == "__main__":
    sys.exit(main())
