"""Commands as forks of one process that has imported everything already.

A fork is a process of its own as one that is started; it lacks the seconds in which a started one
imports torch and lightning, which nearly every test of a command would have to pay. A run draws
one quick figure in it.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 240
"""What a command may take; then it is killed by SIGALRM."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "arch.bootstrap",
        "ironore_lightning.cli.hydra_command",
        "ironore_lightning.experiment",
        "ironore_lightning.cli.resume",
        "ironore_lightning.sweep.plugins",
        "ironore_lightning.sweep.optuna_sweeper",
        "ironore_lightning.summary.outputs",
        "statsmodels.stats.multitest",
        "statsmodels.tsa.stattools",
    ]
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script, or ``-m`` and a module, with its arguments, and wait for its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        code = wait(start(arguments, out=out, err=err))
        said = [path.read_text(encoding="utf-8") for path in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *said)


def start(
    arguments: Sequence[str], *, out: str | Path, err: str | Path, cwd: Path = ROOT
) -> ForkServerProcess:
    """Run it; return its process, which leads a group of its own."""
    process = CONTEXT.Process(target=become, args=(arguments, cwd, dict(os.environ), out, err))
    process.start()
    return process


def wait(process: ForkServerProcess) -> int | None:
    """Return how a process has ended, as `subprocess` says it."""
    process.join()
    return process.exitcode


def become(
    arguments: Sequence[str],
    cwd: Path,
    environment: dict[str, str],
    out: str | Path,
    err: str | Path,
) -> None:
    """Turn this fork into the process of a script or module, and run that."""
    from parts_of_a_run import draw_one_quick_figure

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may let us ignore it
    signal.alarm(SECONDS)
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
    sys.path.insert(0, str(ROOT))
    draw_one_quick_figure()
    sys.argv = list(arguments)
    try:
        if arguments[0] == "-m":
            del sys.argv[0]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        # A process of multiprocessing forgets what ends the workers of joblib.
        threading._shutdown()
        atexit._run_exitfuncs()
