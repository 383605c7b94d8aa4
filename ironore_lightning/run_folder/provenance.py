"""Provenance: command, code, versions, and hashes of input files and table."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.util import hash_pandas_object

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.market_cache import Market
from ironore_lightning.errors import DataError
from ironore_lightning.files import read_json
from ironore_lightning.run_folder.layout import PROVENANCE_FILE
from ironore_lightning.run_folder.record import Provenance, RunRecord

PACKAGES = (
    "ironore_lightning",
    "torch",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "pydantic",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "arch",
    "matplotlib",
)
PROJECT = Path(__file__).resolve().parents[2]

GIT_SECONDS = 10
"""Seconds that git may take, as on a slow network; then its state is unknown."""


def provenance(market: Market, datamodule: WindowDataModule) -> dict[str, Any]:
    """Return command, code, versions, seed, and hashes of input files and table."""
    return {
        "command": [Path(sys.executable).name, *sys.argv],
        "git": _git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _versions(),
        "seed": datamodule.seed,
        "input_sha256": dict(market.raw.digests),
        "table_sha256": table_digest(datamodule.features, datamodule.target),
        "training_sha256": column_digests(datamodule.training_rows),
    }


def column_digests(frame: pd.DataFrame) -> dict[str, str]:
    """Return a hash of each column with its dates, to name the one that changed."""
    return {
        str(name): hashlib.sha256(hash_pandas_object(frame[name]).to_numpy().tobytes()).hexdigest()
        for name in frame
    }


def table_digest(features: pd.DataFrame, target: pd.DataFrame) -> str:
    """Return a hash of the dates, names and values of a training table."""
    digest = hashlib.sha256(json.dumps(list(features.columns)).encode())
    for frame in (features, target):
        digest.update(hash_pandas_object(frame).to_numpy().tobytes())
    return digest.hexdigest()


def require_same_table(folder: Path, datamodule: WindowDataModule, *, remedy: str) -> None:
    """Raise `DataError` unless the table is the one that the run of a folder began with."""
    known = read_json(folder / PROVENANCE_FILE, Provenance).table_sha256
    if table_digest(datamodule.features, datamodule.target) != known:
        raise DataError(f"{folder}: the data have changed since this run began; {remedy}")


def require_same_history(run: RunRecord, features: pd.DataFrame) -> None:
    """Raise `DataError` if a row that a run was trained on has been restated since."""
    rows = run.training_rows
    first, last = pd.Timestamp(rows.first_date), pd.Timestamp(rows.last_date)
    for name, digest in column_digests(features.loc[first:last]).items():
        if run.training_sha256.get(name) != digest:
            raise DataError(
                f"{name}: its values from {first:%Y-%m-%d} to {last:%Y-%m-%d} are "
                f"not those that {run.folder} was trained on; put the old files back, train again, "
                f"or take the new ones with refit: python -m ironore_lightning.refit {run.folder} "
                "--accept-restated"
            )


@cache  # they take longer to find than a table takes to hash
def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def _git_state() -> dict[str, Any]:
    """Return commit and dirty flag of the code; None where it is not a checkout or has no git."""
    try:
        commit = _git("rev-parse", "HEAD").decode().strip()
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def _git(*arguments: str) -> bytes:
    """Run git on the project's own checkout, whatever lies around it or in the environment."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    checkout = (f"--git-dir={PROJECT / '.git'}", f"--work-tree={PROJECT}")
    result = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        ["git", *checkout, *arguments],  # noqa: S607 - git from the user's PATH
        capture_output=True,
        check=True,
        cwd=PROJECT,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        timeout=GIT_SECONDS,
    )
    return result.stdout
