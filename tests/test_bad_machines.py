"""Full disks, vanished folders, jumping clocks: a line and an exit status, and nothing lost."""

import contextlib
import datetime
import itertools
import json
import logging
import mmap
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import forks
import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch
from PIL import Image

from ironore_lightning import experiment
from ironore_lightning.errors import DataError, MachineError
from ironore_lightning.inspect import __main__ as inspect
from ironore_lightning.inspect import guesses
from ironore_lightning.model.checkpoints import read_checkpoint
from ironore_lightning.process.terminal import RunLog
from ironore_lightning.report.epochs import EpochReport
from ironore_lightning.run_folder import attempt as attempt_module
from ironore_lightning.run_folder.attempt import run_attempt
from ironore_lightning.run_folder.status import read_status

ROOT = Path(__file__).parents[1]
QUICK = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")
pytestmark = pytest.mark.usefixtures("one_quick_figure")


@pytest.fixture(scope="module")
def reference(compose, tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("reference")
    experiment.run_experiment(compose(*QUICK), folder)
    return (folder / "predictions.csv").read_bytes()


@pytest.fixture
def limit_files():
    """Let no file grow beyond a size, which every system can do and which is as a full disk is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of some kilobytes, where that is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(kilobytes):
        if shutil.which("mount") is None:
            pytest.skip("there is no mount here")
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(disk)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode:
            pytest.skip(f"no disk can be mounted here: {found.stderr.strip()}")
        return disk

    yield mount
    if os.path.ismount(disk):
        subprocess.run([shutil.which("umount"), str(disk)], check=True)


READERS = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".csv": pd.read_csv,
    ".png": lambda path: Image.open(path).load(),
    ".ckpt": read_checkpoint,
}


def require_whole(folder):
    """Every file is whole; return the names of those that could have been half written."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.name.endswith(".part")] == []
    read = [path for path in files if path.suffix in READERS]
    for path in read:
        READERS[path.suffix](path)
    return {path.name for path in read}


def require_one_line(said):
    assert said.startswith("MachineError: "), said
    assert said.count("\n") == 1, said


def state(folder):
    return json.loads((folder / "status.json").read_text(encoding="utf-8"))["state"]


# --- a full disk ----------------------------------------------------------------------------------

MOMENTS = {
    "first checkpoint": ("train", 4096, "checkpoints/best.ckpt"),
    "results": ("close_fit", 4096, "predictions.csv"),
    "plots": ("write_run_figures", 4096, "plots/actual_vs_predicted_scatter.png"),
    "events": ("log_validation", 4096, "events"),
}
"""What the run is about to do, how large a file may become then, and which one is too large."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_disk_that_is_full_is_one_line_and_with_room_the_run_goes_on(
    train, limit_files, monkeypatch, tmp_path, reference, moment
):
    name, size, expected = MOMENTS[moment]
    usual = getattr(experiment, name)

    def fill_first(*arguments, **settings):
        limit_files(size)
        return usual(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(experiment, name, fill_first)
        code, said = train(*QUICK, f"hydra.run.dir={tmp_path}")
    limit_files(resource.RLIM_INFINITY)
    assert code == 1
    require_one_line(said)
    assert re.match(rf"MachineError: {tmp_path}/?{'' if moment == 'events' else expected}", said)
    assert "file too large; make room on the disk" in said
    assert state(tmp_path) == "failed"
    before = require_whole(tmp_path)
    assert ("last.ckpt" in before) == (name != "train")

    code, said = train(f"resume={tmp_path}")
    assert (code, said) == (0, "")
    assert state(tmp_path) == "complete"
    assert len(require_whole(tmp_path)) == 13
    assert (tmp_path / "predictions.csv").read_bytes() == reference
    lines = (tmp_path / "training.log").read_text(encoding="utf-8").rpartition("epoch  train")[2]
    assert len(re.findall(r"(?:FAST|MEDIUM|SLOW)$", lines, re.MULTILINE)) == 2


def test_a_disk_that_was_full_before_is_one_line(train, limit_files, tmp_path):
    limit_files(64)
    code, said = train(*QUICK, f"hydra.run.dir={tmp_path}")
    limit_files(resource.RLIM_INFINITY)
    assert code == 1
    require_one_line(said)
    assert not (tmp_path / "status.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_log_that_cannot_be_written_is_named():
    handler = RunLog("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        handler.emit(logging.makeLogRecord({"msg": "x"}))
    with contextlib.suppress(OSError):
        handler.close()


@pytest.mark.parametrize("kilobytes", [8, 32, 52, 84, 160, 300])
def test_on_a_small_disk_a_run_ends_in_one_line_and_what_is_there_is_whole(
    train, small_disk, kilobytes
):
    folder = small_disk(kilobytes) / "run"
    code, said = train(*QUICK, f"hydra.run.dir={folder}")
    assert code == 1
    require_one_line(said)
    assert "no space left on device; make room on the disk" in said
    there = require_whole(folder)
    assert ("status.json" in there) == (kilobytes > 8)
    assert read_status(folder).state in {"failed", "interrupted"}


# --- no memory ------------------------------------------------------------------------------------


def thread_that_cannot_start():
    raise RuntimeError("can't start new thread")  # as CPython says it


WITHOUT_MEMORY = {
    "Python": lambda: bytearray(2**60),
    "NumPy": lambda: np.empty(2**57),
    "torch": lambda: torch.empty(2**57),
    "Arrow": lambda: pyarrow.allocate_buffer(2**60),
    "a thread": thread_that_cannot_start,
    "the system": lambda: mmap.mmap(-1, 2**60),
}


@pytest.mark.parametrize("asks", WITHOUT_MEMORY)
def test_a_machine_without_memory_is_one_line_and_curable(asks, tmp_path):
    with pytest.raises(MachineError) as caught, run_attempt(tmp_path):
        WITHOUT_MEMORY[asks]()
    assert str(caught.value).startswith(f"{tmp_path}: out of memory; end other programs, or ask ")
    assert read_status(tmp_path).is_resumable


def test_a_run_that_was_out_of_memory_goes_on_as_if_nothing_had_been(
    train, monkeypatch, tmp_path, reference
):
    usual = EpochReport.on_train_epoch_end

    def ask_for_too_much(self, trainer, *arguments):
        usual(self, trainer, *arguments)
        if trainer.current_epoch == 1:
            np.empty(2**57)

    with monkeypatch.context() as patch:
        patch.setattr(EpochReport, "on_train_epoch_end", ask_for_too_much)
        code, said = train(*QUICK, f"hydra.run.dir={tmp_path}")
    assert code == 1
    require_one_line(said)
    assert said.startswith(f"MachineError: {tmp_path}: out of memory; ")
    assert train(f"resume={tmp_path}") == (0, "")
    assert (tmp_path / "predictions.csv").read_bytes() == reference


def test_a_file_for_which_there_is_no_memory_is_one_line(monkeypatch, tmp_path, capsys):
    (tmp_path / "f.csv").write_text("date,a\n2024-01-02,1\n", encoding="utf-8")
    monkeypatch.setattr(guesses, "read_raw_table", lambda *_, **__: np.empty(2**57))
    assert inspect.main([str(tmp_path / "f.csv")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    require_one_line(said.err)
    assert said.err.startswith("MachineError: this machine: out of memory; ")


def test_a_mistake_in_the_code_and_a_word_of_a_file_are_no_lack_of_memory(tmp_path):
    for error in (RuntimeError("a mistake"), DataError("f.csv: 'out of memory' is no number")):
        with pytest.raises(type(error)), run_attempt(tmp_path):
            raise error


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_is_one_line(train, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    wrong = {
        tmp_path / "file": "file exists; choose a folder that can be written",
        tmp_path / "file" / "run": "not a directory; choose a folder that can be written",
        Path("/proc/run"): "no such file or directory",
    }
    for folder, expected in wrong.items():
        code, said = train(*QUICK, f"hydra.run.dir={folder}")
        assert code == 1
        require_one_line(said)
        assert said.startswith(f"MachineError: {folder}: {expected}")
    (tmp_path / "run" / "training.log").mkdir(parents=True)
    code, said = train(*QUICK, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 1
    require_one_line(said)
    assert "training.log: is a directory" in said
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("moment", ["an epoch", "the results"])
def test_a_folder_that_is_removed_in_a_run_is_missed_and_not_made_again(
    train, monkeypatch, tmp_path, moment
):
    folder = tmp_path / "run"
    place, name = {
        "an epoch": (EpochReport, "on_train_epoch_end"),
        "the results": (experiment, "write_results"),
    }[moment]
    usual = getattr(place, name)

    def remove_first(*arguments):
        shutil.rmtree(folder)
        return usual(*arguments)

    monkeypatch.setattr(place, name, remove_first)
    code, said = train(*QUICK, f"hydra.run.dir={folder}")
    assert code == 1
    require_one_line(said)
    assert "no such file or directory; has its folder been removed or moved meanwhile?" in said
    assert not folder.exists(), list(folder.rglob("*"))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two runs started at once; one's reader leaves at the first line, one's in the first epoch."""
    place = tmp_path_factory.mktemp("both")
    command = [str(ROOT / "train.py"), "model=tiny", "training.max_epochs=1"]
    runs = []
    for number in range(2):
        os.mkfifo(place / f"out{number}")
        paths = {name: place / f"{name}{number}" for name in ("out", "err")}
        runs.append(forks.start(command, cwd=place, **paths))
    readers = [(place / f"out{number}").open(encoding="utf-8") for number in range(2)]
    seen = []
    for reader, last in zip(readers, ("segment", "epoch"), strict=True):
        seen.append(next((line for line in reader if last in line), ""))
        reader.close()
    codes = [forks.wait(run) for run in runs]
    said = [(place / f"err{number}").read_text(encoding="utf-8") for number in range(2)]
    return sorted((place / "outputs" / "ironore").iterdir()), codes, seen, said


def test_two_runs_that_start_in_the_same_second_have_two_folders(both):
    folders, codes, _, _ = both
    assert codes == [0, 0]
    assert len(folders) == 2
    assert [state(folder) for folder in folders] == ["complete", "complete"]
    first, second = ((folder / "predictions.csv").read_bytes() for folder in folders)
    assert first == second


def test_a_reader_who_has_seen_enough_does_not_stop_a_run(both):
    folders, codes, seen, said = both
    assert [line.split()[0] for line in seen] == ["segment", "epoch"]
    assert (codes, said) == ([0, 0], ["", ""])
    for folder in folders:
        assert "guessing reaches" in (folder / "training.log").read_text(encoding="utf-8")


# --- the environment ------------------------------------------------------------------------------


def test_what_other_programs_left_in_the_environment_changes_nothing(
    run_python, monkeypatch, tmp_path, reference
):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n", encoding="utf-8")
    left = {
        "RANK": "abc",
        "LOCAL_RANK": "1",
        "SLURM_PROCID": "1",
        "JSM_NAMESPACE_RANK": "1",
        "PL_TRAINER_FAST_DEV_RUN": "True",
        "PL_TRAINER_MAX_STEPS": "1",
        "HYDRA_MAIN_MODULE": "elsewhere.main",
        "MATPLOTLIBRC": str(tmp_path),
        "GIT_DIR": str(tmp_path),
    }
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    process = run_python("train.py", *QUICK, f"hydra.run.dir={tmp_path / 'run'}")
    assert (process.returncode, process.stderr) == (0, "")
    assert state(tmp_path / "run") == "complete"
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == reference
    assert len(list((tmp_path / "run" / "plots").glob("*.png"))) == 8


# --- clocks ---------------------------------------------------------------------------------------


def test_a_clock_that_jumps_a_day_back_and_forth_harms_nothing(
    train, monkeypatch, tmp_path, reference
):
    jumps, own_jumps = (itertools.cycle([0, -86_400, 86_400]) for _ in range(2))
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + next(jumps))

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            # Its own, lest one more line of the log would take both looks to the same day.
            return datetime.datetime.fromtimestamp(right() + next(own_jumps), tz=tz)

    jumping = types.SimpleNamespace(datetime=Jumping, UTC=datetime.UTC)
    monkeypatch.setattr(attempt_module, "datetime", jumping)
    code, said = train(*QUICK, f"hydra.run.dir={tmp_path}")
    assert (code, said) == (0, "")
    assert (tmp_path / "predictions.csv").read_bytes() == reference
    found = json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))
    started, ended = (datetime.datetime.fromisoformat(found[at]) for at in ("started", "ended"))
    assert abs(ended - started) > datetime.timedelta(hours=23)  # it did jump
    final = json.loads((tmp_path / "final_results.json").read_text(encoding="utf-8"))
    assert 0 < final["training"]["seconds"] < found["seconds"] < 60
    assert not re.search(r" -\d+\.\d\d s ", (tmp_path / "training.log").read_text())


# --- standard output ------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("output", ["full", "closed"])
def test_a_run_ends_well_without_standard_output(train, monkeypatch, tmp_path, output):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full if output == "full" else None)
        code, said = train(*QUICK, f"hydra.run.dir={tmp_path}")
        if sys.stdout is not full:
            sys.stdout.close()
    line = "warning: standard output: no space left on device; the log has every line\n"
    assert (code, said) == (0, line if output == "full" else "")
    assert state(tmp_path) == "complete"
    assert "guessing reaches" in (tmp_path / "training.log").read_text(encoding="utf-8")


def test_a_console_that_is_not_utf_8_shows_the_verdict(train, monkeypatch, tmp_path):
    with (tmp_path / "said").open("w", encoding="latin-1") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        code, said = train(*QUICK, f"hydra.run.dir={tmp_path / 'run'}")
    assert (code, said) == (0, "")
    shown = (tmp_path / "said").read_text(encoding="latin-1")
    assert "? FAST" in shown
    assert "guessing reaches" in shown.splitlines()[-3]


# --- a kill while files are written ---------------------------------------------------------------

WRITE_FOREVER = """
import sys
from pathlib import Path
import pandas as pd
import torch
from matplotlib.figure import Figure
from ironore_lightning.model.checkpoints import _write
from ironore_lightning.files import write_csv, write_json
from ironore_lightning.report.style import write_figures
folder = Path(sys.argv[1])
number = 0
while True:
    number += 1
    write_csv(folder / "a.csv", pd.DataFrame({"a": [number] * 20_000}), index=False)
    write_json(folder / "a.json", {"a": [number] * 20_000})
    _write({"epoch": number, "a": torch.full((20_000,), float(number))}, folder / "a.ckpt")
    write_figures({"a": Figure(figsize=(5, 5))}, folder / "plots")
    if number == 2:
        print("written", flush=True)
"""


def test_no_file_is_ever_found_half_written(tmp_path):
    command = [sys.executable, "-c", WRITE_FOREVER, str(tmp_path)]
    seen = {"a.csv": [], "a.json": [], "a.ckpt": []}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "written\n"
            deadline = time.monotonic() + 60
            while len(seen["a.csv"]) < 15 and time.monotonic() < deadline:
                seen["a.csv"].append(set(pd.read_csv(tmp_path / "a.csv")["a"]))
                seen["a.json"].append(set(READERS[".json"](tmp_path / "a.json")["a"]))
                seen["a.ckpt"].append({read_checkpoint(tmp_path / "a.ckpt")["epoch"]})
                READERS[".png"](tmp_path / "plots" / "a.png")
        finally:
            process.kill()
    for found in seen.values():
        assert len(found) == 15
        assert all(len(numbers) == 1 for numbers in found)
        assert len({number for numbers in found for number in numbers}) > 2
    leftovers = {path.name for path in tmp_path.rglob("*.part")}
    assert len(leftovers) <= 1  # what a kill leaves is hidden, and has no name of a result
    assert {path.name for path in tmp_path.iterdir()} - leftovers == {*seen, "plots"}
