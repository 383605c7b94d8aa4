"""Fixtures that more than one test file uses."""

import os

# Two test processes share two cores, so each takes one thread; torch reads this when imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from ironore_lightning.composition import to_config
from ironore_lightning.config.experiment import Config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the original raw files, which lie beside the project and are no part of it."""
    folder = ROOT.parent / "shared" / "data" / "original"
    if not folder.is_dir():
        reason = f"the original raw files are not in {folder}"
        if os.environ.get("IRONORE_REQUIRE_REAL_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def compose() -> Callable[..., Config]:
    """Compose and check the settings of a run, as train.py does."""

    def compose_config(*overrides: str) -> Config:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return to_config(hydra_compose("config", overrides=list(overrides)))

    return compose_config


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of the project in a process of its own."""

    def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False
        )

    return run
