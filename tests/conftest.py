"""Fixtures that more than one test file uses."""

import os

# Two test processes share two cores, so each takes one thread; torch reads this when imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests count no looks, or those of this checkout would grow; those of looks have their own ledger.
os.environ["IRONORE_LOOKS"] = ""

import contextlib
import datetime
import gc
import hashlib
import io
import json
import logging
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import forks
import numpy as np
import pandas as pd
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from parts_of_a_run import draw_one_quick_figure

from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.experiment import Config
from ironore_lightning.sweep.plugins import register

ROOT = Path(__file__).parents[1]


def pytest_collection_finish() -> None:
    """Take what has been imported out of garbage collection, which it would slow by half."""
    gc.freeze()


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

    @cache  # settings are frozen, and Hydra takes a third of a second
    def compose_config(*overrides: str) -> Config:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return to_config(hydra_compose("config", overrides=list(overrides)))

    return compose_config


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of the project in a process of its own."""
    return forks.run


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Start Python anew, where it matters what is imported."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
        )

    return run


@pytest.fixture(scope="module")
def train() -> Callable[..., tuple[object, str]]:
    """Run the real train.py in this process; return its exit status and what it said of errors."""
    root = logging.getLogger()
    before = list(root.handlers)

    def run(*arguments: str) -> tuple[object, str]:
        said, code, argv = io.StringIO(), 0, sys.argv
        ctrl_c = signal.getsignal(signal.SIGINT)
        sys.argv = ["train.py", *arguments]
        try:
            with contextlib.redirect_stderr(said):
                runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.argv = argv
            signal.signal(signal.SIGINT, ctrl_c)
            for handler in set(root.handlers) - set(before):
                handler.close()
            root.handlers = list(before)
        return code, said.getvalue()

    return run


@pytest.fixture(scope="module")
def one_quick_figure() -> Iterator[None]:
    """Let every run of a test file draw one figure of noise."""
    with pytest.MonkeyPatch.context() as patch:
        draw_one_quick_figure(patch.setattr)
        yield


@pytest.fixture(scope="module")
def hydra_context() -> HydraContext:
    """Return what composes the settings of a sweep's jobs."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
    return HydraContext(config_loader=loader, callbacks=Callbacks())


@pytest.fixture
def bfloat16(monkeypatch) -> None:
    """Let any processor compute in bfloat16: one without such kernels takes torch's own."""
    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


@pytest.fixture(scope="session")
def write_run(compose) -> Callable[..., Path]:
    """Write the folder of a run as a real one leaves it, with forecasts made by hand."""

    def write(
        folder: Path,
        overrides: Sequence[str],
        actual: Sequence[float],
        forecast: Sequence[float],
        *,
        objective: float,
        borders: tuple[int, int],
        minute: int = 0,
    ) -> Path:
        """Write one run.

        Args:
            folder: Where to.
            overrides: Of its command line.
            actual: Returns of consecutive business days from 2021-01-04, per cent.
            forecast: Likewise.
            objective: Best monitor on validation.
            borders: First day of validation and of test; test ends with `forecast`.
            minute: When it was started.
        """
        config = compose(*overrides)
        dates = pd.bdate_range("2021-01-04", periods=len(forecast)).strftime("%Y-%m-%d")
        lengths = np.diff([0, *borders, len(forecast)])
        segment = np.repeat(["train", "val", "test"], lengths)
        frame = pd.DataFrame({"date": dates, "segment": segment})
        frame["actual"] = np.asarray(actual)[: len(forecast)]
        frame["forecast"] = forecast
        is_test = segment == "test"
        for name, reach in (("80", 2.0), ("90", 3.0)):
            frame[f"lower_{name}"] = np.where(is_test, frame["forecast"] - reach, np.nan)
            frame[f"upper_{name}"] = np.where(is_test, frame["forecast"] + reach, np.nan)
        frame["is_roll"] = np.arange(len(forecast)) % 21 == 20
        frame.to_csv(_made(folder / "predictions.csv"), index=False)
        test = frame.loc[is_test, ["date"]].reset_index(drop=True)
        mean = 0.01 * np.arange(len(test))
        test.assign(zero=0.0, **{"expanding mean": mean}).to_csv(
            folder / "baselines.csv", index=False
        )
        test.assign(**{"pinball model": 0.3, "crps model": np.nan, "pinball EWMA": 0.4}).to_csv(
            folder / "density.csv", index=False
        )
        test.to_csv(folder / "price_clues.csv", index=False)
        span = {"first_date": "2021-01-04", "last_date": "2021-01-04"}
        scores = {"rmse": 1.0, "direction_accuracy": 50.0, "r2_zero": 0.0}
        results = {
            "settings": config.model_dump(mode="json"),
            "split": [{"segment": name, **span} for name in ("train", "val", "test")],
            "training_rows": span,
            "training": {
                "num_epochs": 1,
                "best_epoch": 1,
                "best_score": objective,
                "seconds": 1.0,
                "stopped_early": False,
                "num_parameters": 100,
            },
            "evaluation": {"scores": scores, "evidence": {"line": "evidence: NONE"}},
        }
        (folder / "final_results.json").write_text(json.dumps(results), encoding="utf-8")
        made_of = {"input_sha256": {"a": digest("b")}, "table_sha256": digest("c")}
        made_of["training_sha256"] = {}
        (folder / "provenance.json").write_text(json.dumps(made_of))
        _made(folder / ".hydra" / "overrides.yaml").write_text(json.dumps(list(overrides)))
        write_status(folder, state="complete", objective=objective, minute=minute)
        return folder

    return write


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_status(folder: Path, *, minute: int = 0, **values: object) -> None:
    """Write a status of 90 seconds that started so many minutes after noon."""
    start = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
    start += datetime.timedelta(minutes=minute)
    status = {
        "started": start.isoformat(),
        "ended": (start + datetime.timedelta(seconds=90)).isoformat(),
        "objective": None,
        "error": None,
        "exit_status": 0,
        "seconds": 90.0,
        **values,
    }
    _made(folder / "status.json").write_text(json.dumps(status), encoding="utf-8")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
