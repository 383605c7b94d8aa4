"""Commands as forks of one process that has imported everything already.

A fork is a process of its own as one that is started; it lacks the seconds in which a started one
imports torch and lightning, which nearly every test of a command would have to pay.
"""

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.process.imports import quick_imports

ROOT = Path(__file__).parents[1]
SECONDS = 240
"""What a command may take; then it is killed by SIGALRM."""

HEAVY = (
    "arch.bootstrap",
    "ironore_lightning.cli.command",
    "ironore_lightning.experiment",
    "ironore_lightning.cli.resume",
    "ironore_lightning.sweep.plugins",
    "ironore_lightning.sweep.search",
    "ironore_lightning.summary.outputs",
    "statsmodels.stats.multitest",
    "statsmodels.tsa.stattools",
)


class Forks:
    """The process that forks, from the first command on."""

    def __init__(self) -> None:
        """Start it; it imports while the tests go on."""
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script, or ``-m`` and a module, with its arguments, and wait for its end."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = (Path(folder) / name for name in ("out", "err"))
            code = self.wait(self.start(arguments, out=out, err=err))
            said = [path.read_text(encoding="utf-8") for path in (out, err)]
        return subprocess.CompletedProcess(arguments, code, *said)

    def start(
        self, arguments: Sequence[str], *, out: str | Path, err: str | Path, cwd: Path = ROOT
    ) -> int:
        """Run it; return the number of its process, which leads a group of its own."""
        return self._ask(
            {
                "arguments": list(arguments),
                "cwd": str(cwd),
                "environment": dict(os.environ),
                "out": str(out),
                "err": str(err),
            }
        )

    def wait(self, process: int) -> int:
        """Return how a process has ended, as `subprocess` says it."""
        return self._ask({"wait": process})

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _ask(self, request: dict[str, object]) -> int:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def serve() -> None:
    """Fork for each line of standard input, or wait for a fork."""
    with quick_imports():
        for name in HEAVY:
            importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
        elif process := os.fork():
            print(process, flush=True)
        else:
            become(**request)
            return


def become(
    *, arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str
) -> None:
    """Turn this fork into the process of a script or module, and run that."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may let us ignore it
    signal.alarm(SECONDS)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name, path in ((1, "stdout", out), (2, "stderr", err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        # What Python knows of the stream that was there does not hold for this one.
        buffering = 1 if name == "stderr" else -1
        stream = open(number, "w", buffering, encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[0] = str(ROOT)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve()
