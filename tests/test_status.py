"""What a run folder says of its run, however that ends."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from ironore_lightning.errors import ConfigError, DataError, MachineError, RunPruned, TrainingError
from ironore_lightning.files import write_json
from ironore_lightning.run_folder import lock
from ironore_lightning.run_folder.attempt import run_attempt
from ironore_lightning.run_folder.layout import LEFT_BY_A_RUN, RESULTS_FILE
from ironore_lightning.run_folder.lock import lock_folder
from ironore_lightning.run_folder.status import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    PRUNED,
    RUNNING,
    Status,
    read_status,
)

ROOT = Path(__file__).parents[1]
SETTINGS = {"seed": 0, "model": {"hidden_size": 4, "dropout": 0.5}, "features": ["a", "b"]}

HOLD = """
import sys, time
from pathlib import Path
from ironore_lightning.run_folder.attempt import run_attempt
with run_attempt(Path(sys.argv[1])) as this:
    this.start({"seed": 0})
    print("held", flush=True)
    time.sleep(600)
"""
FAIL_FOREVER = """
import sys
from pathlib import Path
from ironore_lightning.errors import TrainingError
from ironore_lightning.run_folder.attempt import run_attempt
print("held", flush=True)
while True:
    try:
        with run_attempt(Path(sys.argv[1])) as this:
            this.start({"seed": 0})
            raise TrainingError("x" * 300_000)
    except TrainingError:
        pass
"""


@contextmanager
def process_in(folder, code):
    """Run `code` on a folder in a process that has said "held", and kill it at last."""
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def run(folder, settings=SETTINGS, *, objective=2.5):
    """Do what train.py does, and count the fits."""
    with run_attempt(folder) as this:
        finished = this.finished(settings)
        if finished is not None:
            return finished, 0
        this.start(settings)
        write_json(folder / RESULTS_FILE, {"settings": settings})
        this.complete(objective)
    return objective, 1


def fail(folder, error, *, after_start=True):
    """End a try by `error`, which must come through as it is."""

    def end():
        with run_attempt(folder) as this:
            if after_start:
                this.start(SETTINGS)
            raise error

    with pytest.raises(type(error)) as caught:
        end()
    assert caught.value is error


def written(folder):
    return json.loads((folder / "status.json").read_text(encoding="utf-8"))


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- how a run ends -------------------------------------------------------------------------------

ENDINGS = {
    "wrong settings": (ConfigError("a.b: must be\n  positive"), FAILED, 2),
    "wrong data": (DataError("group.csv: no rows"), FAILED, 2),
    "fit that failed": (TrainingError("train/loss is nan"), FAILED, 1),
    "mistake in the code": (ZeroDivisionError("division by zero"), FAILED, 1),
    "full disk": (MachineError("a.csv: no space left on device"), FAILED, 1),
    "pruned": (RunPruned("pruned after epoch 3: others were better"), PRUNED, 0),
    "Ctrl-C": (KeyboardInterrupt(), INTERRUPTED, 130),
    "Ctrl-C in lightning": (SystemExit(130), INTERRUPTED, 130),
    "SIGTERM": (SystemExit(143), INTERRUPTED, 143),
    "exit with a word": (SystemExit("no"), INTERRUPTED, 1),
}
ERRORS = {
    "wrong settings": "ConfigError: a.b: must be positive",
    "wrong data": "DataError: group.csv: no rows",
    "fit that failed": "TrainingError: train/loss is nan",
    "mistake in the code": "ZeroDivisionError: division by zero",
    "full disk": "MachineError: a.csv: no space left on device",
    "pruned": "pruned after epoch 3: others were better",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_way_a_run_ends_is_written(tmp_path, ending):
    error, state, exit_status = ENDINGS[ending]
    fail(tmp_path, error)
    found = written(tmp_path)
    assert (found["state"], found["exit_status"]) == (state, exit_status)
    assert found["error"] == ERRORS.get(ending)
    assert found["objective"] is None
    assert datetime.fromisoformat(found["started"]) <= datetime.fromisoformat(found["ended"])
    assert read_status(tmp_path) == Status(**found)


def test_a_run_is_running_from_its_start_and_complete_with_its_objective(tmp_path):
    with run_attempt(tmp_path) as this:
        assert not (tmp_path / "status.json").exists()
        this.start(SETTINGS)
        running = written(tmp_path)
        write_json(tmp_path / RESULTS_FILE, {})
        this.complete(2.5)
    complete = written(tmp_path)
    assert datetime.fromisoformat(running["started"]).tzinfo is not None
    nothing = dict.fromkeys(("ended", "objective", "error", "exit_status", "seconds"))
    own = {"started": running["started"], "settings": running["settings"]}
    assert running == {"state": RUNNING, **own, **nothing}
    assert complete == {
        "state": COMPLETE,
        **own,
        "ended": complete["ended"],
        "objective": 2.5,
        "error": None,
        "exit_status": 0,
        "seconds": complete["seconds"],
    }
    assert complete["ended"] >= complete["started"]
    assert 0 <= complete["seconds"] < 60


def test_settings_that_are_refused_before_the_start_leave_no_start(tmp_path):
    fail(tmp_path, ConfigError("seed: no"), after_start=False)
    found = written(tmp_path)
    assert (found["state"], found["started"], found["exit_status"]) == (FAILED, None, 2)
    assert found["error"] == "ConfigError: seed: no"


def test_a_run_whose_end_cannot_be_written_is_not_complete(tmp_path):
    with pytest.raises(ValueError, match="a complete run has an objective, and not nan"):
        run(tmp_path, objective=float("nan"))
    found = written(tmp_path)
    assert (found["state"], found["exit_status"], found["objective"]) == (FAILED, 1, None)


def test_a_run_that_wrote_no_results_is_never_complete(tmp_path):
    def end_without_results():
        with run_attempt(tmp_path) as this:
            this.start(SETTINGS)
            this.complete(2.5)

    with pytest.raises(MachineError, match=r"final_results\.json: no such file"):
        end_without_results()
    assert (written(tmp_path)["state"], written(tmp_path)["objective"]) == (FAILED, None)


def test_an_interrupted_try_does_not_inherit_the_error_of_an_earlier_one(tmp_path):
    fail(tmp_path, TrainingError("loss is nan"))
    fail(tmp_path, KeyboardInterrupt(), after_start=False)
    found = written(tmp_path)
    assert (found["state"], found["error"], found["exit_status"]) == (INTERRUPTED, None, 130)


def test_a_folder_without_a_status_is_interrupted_and_looking_leaves_nothing(tmp_path):
    assert read_status(tmp_path) == Status(INTERRUPTED)
    assert read_status(tmp_path / "nowhere") == Status(INTERRUPTED)
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_run_that_was_killed_leaves_nothing(tmp_path):
    write_json(tmp_path / "status.json", {"state": RUNNING})
    assert read_status(tmp_path) == Status(INTERRUPTED)
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_run_whose_lock_belongs_to_another_user_is_running(tmp_path, monkeypatch):
    write_json(tmp_path / "status.json", {"state": RUNNING})
    (tmp_path / ".lock").touch()

    usual = Path.open

    def refuse(path, *arguments, **options):
        if path.name == ".lock":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert read_status(tmp_path) == Status(RUNNING)


# --- a process that holds the folder --------------------------------------------------------------


def test_while_a_process_lives_its_folder_is_running_and_nobody_else_gets_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.2)
    with process_in(tmp_path, HOLD) as process:
        before = content(tmp_path)
        assert read_status(tmp_path).state == RUNNING
        with pytest.raises(ConfigError) as caught, run_attempt(tmp_path):
            pytest.fail("two processes work in one folder")
        assert str(caught.value) == (
            f"{tmp_path}: another process works in this folder; wait for it or choose another one"
        )
        assert process.poll() is None
        assert read_status(tmp_path).state == RUNNING
    assert "status.json" in before
    assert content(tmp_path) == before


def test_a_process_that_is_killed_leaves_an_interrupted_run_that_can_start_again(tmp_path):
    with process_in(tmp_path, HOLD) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
    on_disk = written(tmp_path)
    assert on_disk["state"] == RUNNING
    assert read_status(tmp_path) == Status(**{**on_disk, "state": INTERRUPTED})
    assert run(tmp_path) == (2.5, 1)
    again = read_status(tmp_path)
    assert again.state == COMPLETE
    assert again.started > on_disk["started"]


def test_a_status_is_never_found_half_written(tmp_path):
    seen = []
    with process_in(tmp_path, FAIL_FOREVER) as process:
        deadline = time.monotonic() + 20
        while (len(seen) < 200 or len(set(seen)) < 2) and time.monotonic() < deadline:
            if (tmp_path / "status.json").exists():
                found = written(tmp_path)
                seen.append((found["state"], len(found["error"] or "")))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    # The error is `TrainingError: ` and 300,000 letters.
    assert len(seen) >= 200
    assert set(seen) == {(RUNNING, 0), (FAILED, 300_015)}
    assert written(tmp_path)["state"] in {RUNNING, FAILED}


def test_a_lock_that_cannot_be_written_is_an_error_of_the_machine(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(MachineError, match=r"\.lock: is a directory; choose a folder"):
        run(tmp_path)


def test_a_folder_is_free_after_whatever_happened_in_it(tmp_path):
    for error, _, _ in ENDINGS.values():
        with pytest.raises(type(error)), lock_folder(tmp_path / "deep" / "folder"):
            raise error
    with lock_folder(tmp_path / "deep" / "folder"):
        assert (tmp_path / "deep" / "folder").is_dir()


# --- a run that has finished ----------------------------------------------------------------------


def test_a_finished_run_is_not_repeated_and_keeps_its_status(tmp_path):
    assert run(tmp_path) == (2.5, 1)
    before = content(tmp_path)
    assert run(tmp_path, objective=9.0) == (2.5, 0)
    assert len(before) == 3  # status, results and lock
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"seed": 1}, "seed"),
        ({"model": {"hidden_size": 8, "dropout": 0.5}}, "model.hidden_size"),
        ({"model": {"hidden_size": 8, "dropout": 0.1}}, "model.dropout, model.hidden_size"),
        ({"features": ["b", "a"], "seed": 2}, "features, seed"),
        ({"model": {"hidden_size": 4, "dropout": 0.5, "head": "point"}}, "model.head"),
        ({"model": None}, "model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_settings_in_a_finished_folder_are_refused_by_the_keys_that_differ(
    tmp_path, change, keys
):
    run(tmp_path)
    before = content(tmp_path)
    with pytest.raises(ConfigError) as caught:
        run(tmp_path, {**SETTINGS, **change})
    message = str(caught.value)
    assert f"{tmp_path} holds a finished run that differs in {keys}; choose" in message
    assert "\n" not in message
    assert content(tmp_path) == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_that_happens_later_makes_a_finished_run_unfinished(tmp_path, ending):
    run(tmp_path)
    before = content(tmp_path)
    fail(tmp_path, ENDINGS[ending][0], after_start=False)
    assert content(tmp_path) == before


def test_other_settings_may_follow_a_run_that_did_not_finish(tmp_path):
    fail(tmp_path, TrainingError("loss is nan"))
    assert run(tmp_path, {**SETTINGS, "seed": 1}) == (2.5, 1)
    found = written(tmp_path)
    assert (found["state"], found["error"], found["exit_status"]) == (COMPLETE, None, 0)


# --- starting again -------------------------------------------------------------------------------


def leave(folder, names):
    """Leave a file for each name, inside a folder of that name where it has no suffix."""
    for name in names:
        path = folder / name
        path = path if path.suffix else path / "deep" / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")


USERS = (
    "notes.txt",
    "predictions.csv.bak",
    "my_predictions.csv",
    "analysis/predictions.csv",
    "analysis/checkpoints/best.ckpt",
    "seed=1/status.json",
    ".hydra/config.yaml",
    "training.log",
)


def test_starting_again_removes_what_a_broken_try_left_and_nothing_else(tmp_path):
    fail(tmp_path, TrainingError("loss is nan"))
    leave(tmp_path, [*LEFT_BY_A_RUN, "events.out.tfevents.1.host.2.0.end"])
    leave(tmp_path, USERS)
    assert len(content(tmp_path)) == 15 + 1 + 8 + 2  # status and lock
    with run_attempt(tmp_path) as this:
        assert len(content(tmp_path)) == 26
        this.start(SETTINGS)
        left = content(tmp_path)
    assert sorted(left) == sorted([*USERS, "status.json", ".lock"])
    assert [left[name].decode() for name in USERS] == list(USERS)
    assert not any((tmp_path / name).exists() for name in LEFT_BY_A_RUN)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_was_cut_off_goes_on_from_its_last_checkpoint(tmp_path, error):
    fail(tmp_path, error)
    leave(tmp_path, [*LEFT_BY_A_RUN, "checkpoints/last.ckpt"])
    before, cut = content(tmp_path), written(tmp_path)
    assert len(before) == 15 + 1 + 2
    with run_attempt(tmp_path) as this:
        assert this.finished(SETTINGS) is None
        assert this.start(dict(reversed(SETTINGS.items())))
        assert written(tmp_path) == {**cut, "state": RUNNING, "ended": None, "exit_status": None}
        left = content(tmp_path)
        this.complete(1.0)
    assert {**left, "status.json": before["status.json"]} == before
    assert (written(tmp_path)["state"], written(tmp_path)["started"]) == (COMPLETE, cut["started"])


def test_a_run_whose_process_was_killed_goes_on_from_its_last_checkpoint(tmp_path):
    with process_in(tmp_path, HOLD) as process:
        process.kill()
        process.wait(timeout=10)
    leave(tmp_path, ["checkpoints/last.ckpt"])
    with run_attempt(tmp_path) as this:
        assert this.start({"seed": 0})
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()


@pytest.mark.parametrize("error", [ConfigError("a"), DataError("b"), MachineError("c")], ids=str)
def test_a_try_that_was_refused_or_hit_a_full_disk_leaves_the_checkpoint_to_go_on_from(
    tmp_path, error
):
    fail(tmp_path, KeyboardInterrupt())
    leave(tmp_path, ["checkpoints/last.ckpt"])
    fail(tmp_path, error)
    assert written(tmp_path)["state"] == FAILED
    with run_attempt(tmp_path) as this:
        assert this.start(SETTINGS)
        assert (written(tmp_path)["state"], written(tmp_path)["error"]) == (RUNNING, None)


def test_what_the_operating_system_refuses_is_an_error_of_the_machine(tmp_path):
    def fill_the_disk():
        with run_attempt(tmp_path) as this:
            this.start(SETTINGS)
            raise OSError(28, "No space left on device", "a.csv")

    with pytest.raises(MachineError) as caught:
        fill_the_disk()
    assert str(caught.value) == "a.csv: no space left on device; make room on the disk"
    assert written(tmp_path)["error"] == f"MachineError: {caught.value}"


ANEW = {
    "failed": (TrainingError("loss is nan"), SETTINGS),
    "pruned": (RunPruned("pruned after epoch 3"), SETTINGS),
    "other settings": (KeyboardInterrupt(), {**SETTINGS, "seed": 1}),
}


@pytest.mark.parametrize("case", ANEW)
def test_what_cannot_go_on_starts_anew(tmp_path, case):
    error, settings = ANEW[case]
    fail(tmp_path, error)
    leave(tmp_path, ["checkpoints/last.ckpt"])
    with run_attempt(tmp_path) as this:
        assert not this.start(settings)
    assert sorted(content(tmp_path)) == [".lock", "status.json"]
    assert written(tmp_path)["error"] is None


OBSTACLES = {
    "no results": (
        "complete",
        {"objective": 1.0},
        "it has finished, but final_results.json is missing",
    ),
    "failed": ("failed", {"error": "TrainingError: a\nb"}, "(failed: TrainingError: a b)"),
    "pruned": ("pruned", {"error": "after epoch 3"}, "ended by itself (pruned: after epoch 3)"),
    "unknown settings": ("interrupted", {"settings": None}, "its settings are not those"),
    "other settings": ("running", {"settings": "0" * 64}, "its settings are not those"),
}


def refusal(folder):
    """Try to go on, and return the line that says why not; nothing may have been touched."""

    def go_on():
        with run_attempt(folder, resume=True) as this:
            assert this.finished(SETTINGS) is None
            this.start(SETTINGS)

    before = content(folder)
    with pytest.raises(ConfigError) as caught:
        go_on()
    assert content(folder) == before
    assert len(caught.value.lines) == 1
    assert str(caught.value).startswith(f"resume: {folder} cannot go on: ")
    assert "start it anew with its own command" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_is_to_go_on_and_cannot_is_refused_and_stays_as_it_is(tmp_path, case):
    fail(tmp_path, KeyboardInterrupt())
    leave(tmp_path, [*LEFT_BY_A_RUN[:-1], "checkpoints/last.ckpt", "training.log"])
    state, change, said = OBSTACLES[case]
    write_json(tmp_path / "status.json", {**written(tmp_path), "state": state, **change})
    assert said in refusal(tmp_path)


@pytest.mark.parametrize("after_start", [True, False])
def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_anew(tmp_path, after_start):
    fail(tmp_path, KeyboardInterrupt(), after_start=after_start)
    leave(tmp_path, ["tensorboard", "provenance.json"])
    (tmp_path / "checkpoints").mkdir()
    with run_attempt(tmp_path, resume=True) as this:
        assert not this.start(SETTINGS)
        assert written(tmp_path)["state"] == RUNNING
    assert sorted(content(tmp_path)) == [".lock", "status.json"]


def test_what_happens_before_a_run_goes_on_leaves_its_status(tmp_path):
    fail(tmp_path, KeyboardInterrupt())
    leave(tmp_path, ["checkpoints/last.ckpt"])
    before = content(tmp_path)
    with pytest.raises(ConfigError, match="seed: no"), run_attempt(tmp_path, resume=True):
        raise ConfigError("seed: no")
    assert content(tmp_path) == before
    with run_attempt(tmp_path, resume=True) as this:
        assert this.start(SETTINGS)


def test_without_a_last_checkpoint_a_run_that_was_cut_off_starts_anew(tmp_path):
    fail(tmp_path, KeyboardInterrupt())
    leave(tmp_path, ["checkpoints/best.ckpt"])
    with run_attempt(tmp_path) as this:
        assert not this.start(SETTINGS)
    assert sorted(content(tmp_path)) == [".lock", "status.json"]


@pytest.mark.parametrize(
    ("error", "log"), [(KeyboardInterrupt(), ""), (TrainingError("loss is nan"), "of before\n")]
)
def test_the_log_starts_anew_after_an_interruption_and_goes_on_after_a_failure(
    tmp_path, error, log
):
    fail(tmp_path, error)
    (tmp_path / "training.log").write_text("of before\n")
    with run_attempt(tmp_path) as this:
        assert not this.start(SETTINGS)
    assert (tmp_path / "training.log").read_text() == log


def test_a_first_try_removes_nothing(tmp_path):
    leave(tmp_path, LEFT_BY_A_RUN)
    before = content(tmp_path)
    with run_attempt(tmp_path) as this:
        this.start(SETTINGS)
    assert len(before) == 15
    assert {name: content(tmp_path)[name] for name in before} == before


def test_a_link_is_removed_but_not_what_it_leads_to(tmp_path):
    elsewhere, folder = tmp_path / "disk", tmp_path / "run"
    leave(elsewhere, ["best.ckpt", "table.csv"])
    fail(folder, TrainingError("loss is nan"))
    (folder / "checkpoints").symlink_to(elsewhere)
    (folder / "predictions.csv").symlink_to(elsewhere / "table.csv")
    with run_attempt(folder) as this:
        this.start(SETTINGS)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "status.json"]
    assert sorted(content(elsewhere)) == ["best.ckpt", "table.csv"]


# --- the second process of ddp --------------------------------------------------------------------


def test_a_secondary_process_writes_and_removes_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    fail(folder, TrainingError("loss is nan"))
    leave(folder, LEFT_BY_A_RUN)
    before = content(folder)
    assert len(before) == 17
    monkeypatch.setenv("LOCAL_RANK", "1")
    with run_attempt(folder) as this:
        assert this.finished(SETTINGS) is None
        this.start(SETTINGS)
        this.complete(1.0)
    for error, _, _ in ENDINGS.values():
        fail(folder, error)
        fail(tmp_path / "new", error)
    assert content(folder) == before
    assert not (tmp_path / "new").exists()


def test_a_secondary_process_goes_on_with_the_first_one_and_writes_nothing(tmp_path, monkeypatch):
    fail(tmp_path, KeyboardInterrupt())
    leave(tmp_path, ["checkpoints/last.ckpt"])
    before = content(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with run_attempt(tmp_path) as this:
        assert this.start(SETTINGS)
    assert content(tmp_path) == before


def test_a_secondary_process_works_beside_the_first_one(tmp_path, monkeypatch):
    with run_attempt(tmp_path) as first:
        first.start(SETTINGS)
        monkeypatch.setenv("LOCAL_RANK", "1")
        with run_attempt(tmp_path) as second:
            second.start(SETTINGS)
            second.complete(1.0)
        monkeypatch.setenv("LOCAL_RANK", "0")
        assert read_status(tmp_path).state == RUNNING
        write_json(tmp_path / RESULTS_FILE, {})
        first.complete(2.0)
    assert written(tmp_path)["objective"] == 2.0
