"""Links and pipes in a run's folder: nothing outside is touched, and nobody waits for ever."""

import datetime
import json
import os
import shutil
from pathlib import Path

import pytest

from ironore_lightning.audit.__main__ import audit_run
from ironore_lightning.cli.resume import expand_resume
from ironore_lightning.errors import ConfigError, MachineError
from ironore_lightning.files import write_json
from ironore_lightning.forecast.__main__ import main as forecast
from ironore_lightning.run_folder.layout import OPENED, require_local_files, require_local_folders
from ironore_lightning.summarize import main as summarize

TODAY = datetime.date(2025, 8, 14)
FOLDERS = (".hydra", "checkpoints", "plots", "tensorboard")
EVENTS = "events.out.tfevents.1.end"
PLACES = (*OPENED, EVENTS, *(f"{name}/file" for name in FOLDERS))


@pytest.fixture
def run(write_run, tmp_path):
    """A run of 100 days, beside another one."""
    returns = [(-1.0) ** day * (1 + day % 7) for day in range(100)]
    for name in ("run", "other"):
        folder = write_run(
            tmp_path / "runs" / name, [], returns, returns[::-1], objective=1.0, borders=(20, 30)
        )
    return folder.with_name("run")


@pytest.fixture
def elsewhere(tmp_path):
    """Somebody's folder, which must stay as it is."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "events.end").write_text("precious", encoding="utf-8")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["events.end"]
    assert (folder / "events.end").read_text(encoding="utf-8") == "precious"


STRANGE = {
    "pipe": (lambda path, _: os.mkfifo(path), "is neither a file nor a folder, so no run left it"),
    "link to a file": (
        lambda path, elsewhere: path.symlink_to(elsewhere / "events.end"),
        "is a link that leads out of its run's folder",
    ),
    "link to a folder": (
        lambda path, elsewhere: path.symlink_to(elsewhere),
        "is a link that leads out of its run's folder",
    ),
    "link to nothing": (
        lambda path, elsewhere: path.symlink_to(os.path.relpath(elsewhere / "new", path.parent)),
        "is a link that leads out of its run's folder",
    ),
}


def put(kind, path, elsewhere):
    """Put something strange in the place of whatever is there; return what is said of it."""
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make, said = STRANGE[kind]
    make(path, elsewhere)
    return f"{path}: {said}"


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("place", PLACES)
def test_whatever_a_run_opens_must_be_a_file_or_a_folder_of_its_own(
    kind, place, elsewhere, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    said = put(kind, folder / place, elsewhere)
    with pytest.raises(ConfigError) as caught:
        require_local_files(folder)
    assert str(caught.value).startswith(said)
    assert len(caught.value.lines) == 1


def test_links_within_the_folder_and_to_the_folder_are_a_users_own(run, elsewhere, tmp_path):
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").symlink_to("best.ckpt")
    (run / "plots").symlink_to("checkpoints")
    (run / "my_notes").symlink_to(elsewhere)  # is opened by nobody
    (tmp_path / "link").symlink_to(run)
    require_local_files(run)
    require_local_files(tmp_path / "link")


def test_a_name_that_is_too_long_is_one_line():
    with pytest.raises(MachineError, match="file name too long"):
        require_local_files(Path("x" * 300))


READERS = {
    "forecast": lambda run: forecast([str(run)], today=TODAY),
    "summarize": lambda run: summarize([str(run)]),
    "resume": lambda run: expand_resume([f"resume={run}"]),
    "audit": lambda run: audit_run(None, run=run),  # the folder is looked at before any setting
}


@pytest.mark.parametrize("kind", ["pipe", "link to a file"])
@pytest.mark.parametrize("command", READERS)
def test_a_command_refuses_such_a_folder_in_a_line(command, kind, run, elsewhere, capsys):
    said = put(kind, run / "predictions.csv", elsewhere)
    try:
        assert READERS[command](run) == 2
        lines = capsys.readouterr().err
    except ConfigError as error:
        lines = f"{error.lines[0]}\n"
    assert lines.startswith(f"ConfigError: {said}")
    assert lines.count("\n") == 1


def test_a_summary_goes_on_without_such_a_run(run, elsewhere, capsys):
    said = put("pipe", run / "status.json", elsewhere)
    assert summarize([str(run.parent)]) == 0
    assert "2 runs: 1 complete, 1 failed" in capsys.readouterr().out
    assert said in (run.parent / "summary.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["training.log", ".hydra", "tensorboard"])
def test_a_run_is_refused_before_anything_is_written(place, train, elsewhere, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    said = put("link to a folder", folder / place, elsewhere)
    code, line = train("model=tiny", f"hydra.run.dir={folder}")
    assert (code, line.count("\n")) == (2, 1)
    assert line.startswith(f"ConfigError: {said}")
    assert [path.name for path in folder.iterdir()] == [place]


@pytest.mark.parametrize("place", ["multirun.yaml", "study.db", "seed=0", "seed=0/.hydra"])
def test_a_multirun_is_refused_before_anything_is_written(place, train, elsewhere, tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    said = put("link to a folder", folder / place, elsewhere)
    code, line = train("-m", "model=tiny", "seed=0,1", f"hydra.sweep.dir={folder}")
    assert (code, line.count("\n")) == (2, 1)
    assert line.startswith(f"ConfigError: {said}")
    assert [path.name for path in folder.iterdir()] == [place.partition("/")[0]]


def test_the_folder_of_many_runs_may_be_reached_through_a_link(run, tmp_path):
    (tmp_path / "link").symlink_to(run.parent)
    require_local_folders(tmp_path / "link")
    require_local_folders(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", STRANGE)
def test_a_temporary_file_is_a_new_one_whatever_has_its_name(kind, elsewhere, tmp_path):
    put(kind, tmp_path / ".forecast.json.part", elsewhere)
    write_json(tmp_path / "forecast.json", {"a": 1})
    assert (tmp_path / "forecast.json").read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    assert not (tmp_path / "forecast.json").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "forecast.json"]


# --- names ----------------------------------------------------------------------------------------

LATIN = os.fsdecode(b"lat\xe9")


@pytest.fixture
def latin(tmp_path):
    """A folder whose name is not UTF-8, where the file system has such."""
    try:
        (tmp_path / LATIN).mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    return tmp_path / LATIN


def test_a_summary_shows_a_name_that_is_not_utf_8_escaped(latin, run):
    broken = shutil.copytree(run, run.with_name(LATIN))
    (broken / "predictions.csv").unlink()  # which an error says, with the name
    folder = Path(shutil.move(run.parent, latin / LATIN))
    assert summarize([str(folder)]) == 0
    runs = json.loads((folder / "summary.json").read_bytes())["runs"]
    states = {run["run"]: run["state"] for run in runs}
    assert states == {"other": "complete", "run": "complete", "lat\\udce9": "failed"}
    assert "lat\\udce9/predictions.csv" in (folder / "summary.csv").read_text(encoding="utf-8")
    assert "<title>lat\\udce9" in (folder / "summary.html").read_text(encoding="utf-8")


def test_json_keeps_a_name_that_is_not_utf_8(tmp_path):
    write_json(tmp_path / "a.json", {"run": LATIN, "Erz": "鉄鉱石"})
    assert "鉄鉱石" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"run": LATIN, "Erz": "鉄鉱石"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (LATIN, "TensorBoard writes only to a folder whose name is UTF-8"),
        ("${seed}", "holds ${ in its name, which settings cannot"),
    ],
)
def test_a_run_below_a_name_that_it_cannot_write_to_is_refused(
    name, said, train, latin, monkeypatch
):
    folder = latin.with_name(name)
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    for arguments in (["model=tiny"], ["-m", "model=tiny", "seed=0,1"]):
        code, line = train(*arguments)
        assert (code, line.count("\n")) == (2, 1)
        assert said in line
    assert list(folder.iterdir()) == []
