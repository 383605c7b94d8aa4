"""Run a Hydra command: exit status, one-line errors, what the console shows."""

import logging
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import hydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from ironore_lightning.cli.arguments import normalize_arguments
from ironore_lightning.cli.resume import RESUME_FLAG
from ironore_lightning.errors import (
    FAILED,
    ConfigError,
    IronOreError,
    RunPruned,
    closest,
    is_refused,
    missing_extra,
    report_error,
    translate_error,
)
from ironore_lightning.process.interrupts import run_interruptible
from ironore_lightning.process.terminal import open_streams, print_safely, silence
from ironore_lightning.run_folder.attempt import CONFIG_PLACES_HINT
from ironore_lightning.settings.folder import conf_folder

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TERMINATED = 143

EXTRAS = {
    "joblib": "parallel",
    **dict.fromkeys(("submitit_local", "submitit_slurm", "ray"), "cluster"),
}
"""Extra of this package that installs each launcher."""

UNKNOWN_KEY = re.compile(r"Could not (override|delete from config\.) '(?P<key>[^']+)'")
KNOWN_LINES = {
    re.compile(
        r"(Ambiguous value for argument|Sweep parameters) '(?P<override>.+?)'( requires| 1\.)"
    ): "{override}: several values make a multirun; add -m, or [] for a list",
    re.compile(
        r"An item is already at '(?P<key>[^']+)'"
    ): "+{key}: this key exists; write it without the plus sign",
}
UNKNOWN_MEMBER = re.compile(
    r"Could not find '(?P<group>[^\s']+)/(?P<member>[^\s']*)' "
    r"Available options in '\S+': (?P<members>.*?)( Config search|$)"
)


class OnlyBelowError(logging.Filter):
    """Passes records below ERROR; errors go to standard error instead."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether `record` is below ERROR."""
        return record.levelno < logging.ERROR


def run_command(
    task: Callable[[DictConfig], object],
    config_name: str,
    arguments: Callable[[list[str]], list[str]] = list,
) -> None:
    """Run a Hydra command; exit with 0 done, 1 failed, 2 wrong input, 130 Ctrl-C, 143 SIGTERM.

    Args:
        task: What it does with the settings that Hydra composes.
        config_name: Of its settings, in `conf/`.
        arguments: What makes Hydra's arguments of those of the command line.
    """
    # Hydra would print its own report and exit with 1; with this it raises, and we decide.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    from ironore_lightning.sweep.plugins import register

    register()
    open_streams()
    where = {"config_path": str(conf_folder()), "config_name": config_name}
    main = hydra.main(version_base="1.3", **where)(task)
    run_interruptible(lambda: _run(main, arguments))


def _run(main: Callable[[], object], arguments: Callable[[list[str]], list[str]]) -> None:
    try:
        sys.argv[1:] = normalize_arguments(arguments(sys.argv[1:]))
        with raise_on_sigterm():
            main()
        print_safely("")  # flush what Hydra printed
    except BrokenPipeError:  # the reader has closed the pipe
        silence(sys.stdout)
        sys.exit(FAILED)
    except Exception as error:
        sys.exit(report_error(_translate_error(error)))


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """End by an exception on SIGTERM, as Python does on Ctrl-C, so that a run can write its end.

    During a fit lightning calls this after its own handler. A SIGTERM that whoever started the
    command wants to be ignored stays so.
    """
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _translate_error(error: Exception) -> IronOreError:
    """Return an error caused by the user or the machine as our own; raise any other."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        remark = f"; {CONFIG_PLACES_HINT}" if RESUME_FLAG in sys.argv else ""
        return ConfigError(describe_hydra_error(error) + remark)
    if isinstance(error, YAMLError | UnicodeDecodeError):
        return ConfigError(_unreadable_settings(error))
    # Python makes a ValueError of a log that the operating system refuses.
    if str(error).startswith("Unable to configure") and isinstance(error.__cause__, OSError):
        return translate_error(error.__cause__)
    if _is_raised_by_hydra(error) and not is_refused(error):
        return ConfigError(f"{' '.join(str(error).split())}, in: {' '.join(sys.argv[1:])}")
    return translate_error(error)


def _unreadable_settings(error: YAMLError | UnicodeDecodeError) -> str:
    """Return a line about a file of settings that is no YAML, or not written in UTF-8."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return (
            f"{mark.name}: line {mark.line + 1}, column {mark.column + 1}: {error.problem}; "
            "indent by spaces as the lines around it, and quote texts with signs"
        )
    return f"a file of settings is not UTF-8 ({' '.join(str(error).split())}); save it as UTF-8"


def run_job(job: Callable[[], Result]) -> Result:
    """Run one job of a command, and log each mistake in its input on one line.

    The error is raised to Hydra, which runs the other jobs of a multirun first.
    """
    try:
        return job()
    except IronOreError as error:
        _log(error)
        raise


def run_one_of_many(job: Callable[[], float]) -> float:
    """Run one job of a multirun; log its errors, so that the other jobs continue.

    Returns:
        The objective, or NaN for a job without one; its status file says why.
    """
    try:
        return job()
    except RunPruned as pruned:
        log.info("%s", pruned)
    except IronOreError as error:
        _log(error)
    except Exception:
        log.exception("this run failed, by a mistake in the code")
    return math.nan


def _log(error: IronOreError) -> None:
    error.is_reported = True
    with suppress(OSError):  # the log itself may be unwritable
        for line in error.lines:
            log.error("%s", line)


def _is_raised_by_hydra(error: BaseException) -> bool:
    """Return whether Hydra's own code raised an error, as it does for ``model=null``."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = frame.tb_frame.f_globals.get("__name__", "") if frame else ""
    return module.partition(".")[0] in {"hydra", "omegaconf"}


def describe_hydra_error(error: Exception) -> str:
    """Return an error of Hydra as one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    # The settings take a fifth of a second to import, which --help and TAB do not have.
    from ironore_lightning.settings.checking import unknown_key, unresolved

    if isinstance(error, OmegaConfBaseException):
        return unresolved(error)
    if found := UNKNOWN_KEY.search(text):
        return unknown_key(found["key"])
    if found := UNKNOWN_MEMBER.search(text):
        return _unknown_member(found["group"], found["member"], found["members"].split())
    for pattern, line in KNOWN_LINES.items():
        if found := pattern.search(text):
            return line.format(**found.groupdict())
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override}: cannot be read as an override; quote spaces, brackets, = and ~, "
            """as in 'features.names=["lump premium"]'"""
        )
    return text


def _unknown_member(group: str, member: str, members: Sequence[str]) -> str:
    if group == "hydra/launcher" and member in EXTRAS:
        package = f"hydra-{member.partition('_')[0]}-launcher"
        return f"{group}={member}: {missing_extra(package, EXTRAS[member])}"
    own = "; one of your own needs --config-dir DIR, with DIR/market/NAME.yaml"
    return (
        f"{group}={member}: there is no such member{closest(member, members)}; "
        f"members are: {', '.join(members)}{own if group == 'market' else ''}"
    )
