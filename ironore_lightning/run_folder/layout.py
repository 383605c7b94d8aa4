"""Names of the files in a run folder, and checks that no link leads out of it."""

import os
from pathlib import Path

from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.files import readable

RESULTS_FILE = "final_results.json"
PROVENANCE_FILE = "provenance.json"
STATUS_FILE = "status.json"
LOG_FILE = "training.log"
LOSSES_FILE = "losses.csv"
PAGE_FILE = "report.html"
CURVES_FILE = "metrics.csv"
EVENT_FILES = "events.out.tfevents.*"
OLD_EVENTS = "tensorboard"
MULTIRUN_FILE = "multirun.yaml"
LOCK_FILE = ".lock"

LEFT_BY_A_RUN = (
    CURVES_FILE,
    "hparams.yaml",
    OLD_EVENTS,
    PROVENANCE_FILE,
    "checkpoints",
    "plots",
    "predictions.csv",
    "baselines.csv",
    "density.csv",
    "risk.csv",
    "price_clues.csv",
    "evaluation_results.json",
    LOSSES_FILE,
    PAGE_FILE,
    RESULTS_FILE,
)
"""What is removed before a run starts again, beside its `EVENT_FILES`."""

OPENED = (
    ".hydra",
    LOCK_FILE,
    STATUS_FILE,
    *(LOG_FILE, "prepare.log", "audit.log", "judge.log"),
    *LEFT_BY_A_RUN,
    *(MULTIRUN_FILE, "study.db", "study.db-journal", "study.db-wal"),
)
"""What is read or written in the folder of a run or a multirun."""


def require_local_files(folder: Path) -> None:
    """Raise unless everything that a run opens is a plain file or folder inside its own folder.

    The folder may be untrusted: a run would overwrite the target of a link, and wait for a pipe
    forever. The folder itself may be a link.

    Raises:
        ConfigError: Naming the file that is neither.
        MachineError: If the operating system refuses to look.
    """
    with machine_errors(folder):
        top = os.path.realpath(folder)
        for path in (*(folder / name for name in OPENED), *folder.glob(EVENT_FILES)):
            _require_local(path, top)
            if path.is_dir():
                for file in path.iterdir():
                    _require_local(file, top)


def events_folder(folder: Path) -> Path:
    """Return where TensorBoard's files of a run lie; those of older runs had their own folder.

    TensorBoard calls a run by the folder of its files.
    """
    old = folder / OLD_EVENTS
    return old if old.is_dir() else folder


def is_of_multirun(folder: Path) -> bool:
    """Return whether a run is one of a multirun, also if it is resumed alone."""
    return (folder.absolute().parent / MULTIRUN_FILE).is_file()


def require_usable_name(folder: Path) -> None:
    """Raise `ConfigError` for a path that Hydra or TensorBoard cannot write to."""
    name = str(folder.absolute())
    if "${" in name:  # settings would interpolate it
        raise ConfigError(
            f"{name} holds ${{ in its name, which settings cannot; rename it or choose another"
        )
    if readable(name) != name:
        raise ConfigError(
            f"{readable(name)}: TensorBoard writes only to a folder whose name is UTF-8; rename it "
            "or choose another"
        )


def require_local_folders(folder: Path) -> None:
    """Check a multirun folder and its run folders as `require_local_files` does.

    Raises:
        ConfigError: Naming the file that is neither.
        MachineError: If the operating system refuses to look.
    """
    require_local_files(folder)
    with machine_errors(folder):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                _require_local(path, os.path.realpath(folder))
                require_local_files(path)


def _require_local(path: Path, top: str) -> None:
    if not Path(os.path.realpath(path)).is_relative_to(top):
        raise ConfigError(
            f"{path}: is a link that leads out of its run's folder, where nothing is read or "
            "written; remove it, or put what it leads to in its place"
        )
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ConfigError(f"{path}: is neither a file nor a folder, so no run left it; remove it")
