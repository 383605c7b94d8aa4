"""The files that a run leaves: written whole or not at all, and read as somebody else's."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # train.py needs this module for its --help, which has no time for pandas
    import pandas as pd

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
"""How long git may take, as on a network that does not answer; then its state is not known."""


def provenance(
    *,
    seed: int,
    digests: Mapping[str, str],
    features: "pd.DataFrame",
    target: "pd.DataFrame",
    training: range,
) -> dict[str, Any]:
    """Say what a run was made of: command, code, versions, seed, input files and built table.

    Args:
        seed: Of the run.
        digests: SHA-256 by input file.
        features: As the model reads them, unscaled, shape (T, F).
        target: By origin, T rows.
        training: Rows of the training segment.
    """
    from importlib.metadata import version  # takes time that --help does not have

    return {
        "command": [Path(sys.executable).name, *sys.argv],
        "git": _git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "seed": seed,
        "input_sha256": dict(digests),
        "table_sha256": table_digest(features, target),
        "training_sha256": column_digests(features.iloc[training.start : training.stop]),
    }


def column_digests(frame: "pd.DataFrame") -> dict[str, str]:
    """Hash each column with its dates, so that a restated one can be named."""
    from pandas.util import hash_pandas_object

    return {
        str(name): hashlib.sha256(hash_pandas_object(frame[name]).to_numpy().tobytes()).hexdigest()
        for name in frame
    }


def table_digest(features: "pd.DataFrame", target: "pd.DataFrame") -> str:
    """Hash the dates, names and values of what a model is trained on."""
    from pandas.util import hash_pandas_object

    digest = hashlib.sha256(json.dumps(list(features.columns)).encode())
    for frame in (features, target):
        digest.update(hash_pandas_object(frame).to_numpy().tobytes())
    return digest.hexdigest()


def _git_state() -> dict[str, Any]:
    """Return commit and dirtiness of the code; None where it is not a checkout or has no git."""
    try:
        commit = _git("rev-parse", "HEAD").decode().strip()
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def _git(*arguments: str) -> bytes:
    """Ask git of the project's own checkout, and of none around it or named by a variable."""
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
