"""Files of a run folder from a stranger, or from a broken disk: a line, and nothing is run."""

import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from ironore_lightning.cli.resume import expand_resume
from ironore_lightning.errors import ConfigError
from ironore_lightning.forecast.__main__ import main as forecast
from ironore_lightning.model.checkpoints import read_checkpoint
from ironore_lightning.summarize import main as summarize

ROOT = Path(__file__).parents[1]
QUICK = ("model=tiny", "training.max_epochs=1", "evaluation.bootstrap_repetitions=100")
pytestmark = pytest.mark.usefixtures("one_quick_figure")
TODAY = __import__("datetime").date(2025, 8, 14)


@pytest.fixture(scope="module")
def sweep(train, tmp_path_factory):
    """A sweep of two runs, as a real one leaves it."""
    folder = tmp_path_factory.mktemp("sweep")
    assert train("-m", *QUICK, "seed=0,1", f"hydra.sweep.dir={folder}") == (0, "")
    return folder


@pytest.fixture
def finished(sweep, tmp_path):
    return Path(shutil.copytree(sweep / "seed=0", tmp_path / "run"))


@pytest.fixture
def cut(finished):
    """A run that was cut off after its last epoch."""
    change(finished / "status.json", state="interrupted", objective=None)
    return finished


def change(path, **values):
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**known, **values}), encoding="utf-8")


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def bomb():
    """A checkpoint whose pickle is compressed, and claims eight gigabytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(8_000_000))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", os.urandom(9000))  # as large as a checkpoint
    claimed = struct.pack("<I", 8_000_000)
    return stream.getvalue().replace(claimed, struct.pack("<I", 4_000_000_000))


def hostile(kind, marker, good):
    """Return the bytes of a checkpoint that would leave a marker, or that is none."""
    touch = f"touch {marker}"
    parts = torch.load(io.BytesIO(good), weights_only=True)
    evil = {
        "os.system": Calls(os.system, touch),
        "eval": Calls(eval, f"__import__('os').system({touch!r})"),
        "subprocess": Calls(subprocess.call, ["touch", str(marker)]),
        "nested": [Calls(getattr, Calls(__import__, "os"), "system"), Calls(os.system, touch)],
    }
    if kind in evil:
        return saved({**parts, "callbacks": {"x": evil[kind]}})
    return {
        "bare pickle": lambda: pickle.dumps(Calls(os.system, touch)),
        "truncated": lambda: good[: len(good) // 2],
        "empty": lambda: b"",
        "random": lambda: (
            torch.randint(
                256, (5000,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
            )
            .numpy()
            .tobytes()
        ),
        "foreign": lambda: saved({"state_dict": nn.Linear(3, 4).state_dict(), "epoch": 3}),
        "other network": lambda: saved({**parts, "state_dict": nn.Linear(3, 4).state_dict()}),
        "other values": lambda: saved({**parts, "state_dict": dict.fromkeys(parts["state_dict"])}),
        "a list": lambda: saved([1, 2]),
        "bomb": bomb,
    }[kind]()


UNREAD = "cannot be read as a checkpoint of this version: it "
ASKED = f"{UNREAD}holds more than tensors and numbers: "
HOSTILE = {
    "os.system": f"{ASKED}posix system",
    "eval": f"{ASKED}__builtin__ eval",
    "subprocess": f"{ASKED}commands call",
    "nested": f"{ASKED}__builtin__ getattr",
    "bare pickle": f"{UNREAD}has ",
    "truncated": "cannot be read as a checkpoint of this version: ",
    "empty": f"{UNREAD}has 0 bytes, and its tensors should have ",
    "random": "cannot be read as a checkpoint of this version: ",
    "foreign": f"{UNREAD}has ",
    "other network": "state_dict: network.lstm.weight_ih_l0 is missing, expected (16, 12) of ",
    "other values": "state_dict: network.lstm.weight_ih_l0 is missing, expected (16, 12) of ",
    "a list": f"{UNREAD}has ",
    "bomb": f"{UNREAD}would unpack to ",
}


def test_the_hostile_pickles_do_harm_where_nobody_refuses_them(sweep, tmp_path):
    good = (sweep / "seed=0" / "checkpoints" / "best.ckpt").read_bytes()
    for kind in ("os.system", "eval", "subprocess", "nested"):
        marker = tmp_path / kind
        torch.load(io.BytesIO(hostile(kind, marker, good)), weights_only=False)
        assert marker.exists()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_checkpoint_is_refused_in_a_line_and_nothing_runs(
    kind, train, finished, capsys, tmp_path
):
    best, last = (finished / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    marker, good = tmp_path / "marker", best.read_bytes()
    best.write_bytes(hostile(kind, marker, good))
    before = sorted(path.name for path in finished.rglob("*"))
    assert forecast([str(finished)], today=TODAY) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"ConfigError: {best}: {HOSTILE[kind]}"), said.err
    assert said.err.count("\n") == 1
    assert sorted(path.name for path in finished.rglob("*")) == before

    change(finished / "status.json", state="interrupted", objective=None)
    best.write_bytes(good)
    evil = hostile(kind, marker, last.read_bytes())
    last.write_bytes(evil)
    code, said = train(f"resume={finished}")
    assert code == 2, said
    assert said.startswith(f"ConfigError: {last}: {HOSTILE[kind]}"), said
    assert said.count("\n") == 1
    assert last.read_bytes() == evil  # nothing is thrown away
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_checkpoint_that_is_no_file_is_named(kind, train, finished, capsys):
    best = finished / "checkpoints" / "best.ckpt"
    best.unlink()
    if kind == "folder":
        best.mkdir()
    expected = (
        f"ConfigError: {best}: {'there is no such' if kind == 'missing' else 'cannot be read'}"
    )
    assert forecast([str(finished)], today=TODAY) == 2
    said = capsys.readouterr().err
    assert (said.startswith(expected), said.count("\n")) == (True, 1), said
    change(finished / "status.json", state="interrupted", objective=None)
    code, said = train(f"resume={finished}")
    assert (code, said.startswith(expected), said.count("\n")) == (2, True, 1), said


def test_an_archive_that_counts_its_bytes_twice_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(saved({"epoch": 0, "part": {"a": torch.zeros(100_000)}}))
    wanted = {"part": {"a": torch.ones(100_000)}}
    assert read_checkpoint(path, wanted)["part"]["a"].sum() == 0
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        archive.filelist += [largest] * 3  # entries of the directory that share their bytes
        archive._didModify = True
    with pytest.raises(ConfigError, match=r"a\.ckpt: .*: it would unpack to 1,6"):
        read_checkpoint(path, wanted)


PICKLES = {
    # As a key, which is hashed: each tuple calls for the next one, or twice for it.
    "nested": (b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.", "numbers: TUPLE1"),
    "doubled": (
        b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(40)) + b"K\x01s.",
        "numbers: BINGET",
    ),
    "bytes": (b"\x80\x02cbuiltins\nbytearray\nJ\0\0\0\x7f\x85R.", "numbers: builtins bytearray"),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_small_pickle_that_would_grow_is_refused(kind, tmp_path):
    path, good = tmp_path / "a.ckpt", saved({"epoch": 0})
    with zipfile.ZipFile(io.BytesIO(good)) as parts, zipfile.ZipFile(path, "w") as archive:
        for name in parts.namelist():
            is_pickle = name.endswith("data.pkl")
            archive.writestr(name, PICKLES[kind][0] if is_pickle else parts.read(name))
    with pytest.raises(ConfigError, match=f"{re.escape(PICKLES[kind][1])}$"):
        read_checkpoint(path)


def test_a_tensor_that_claims_more_bytes_than_there_are_is_refused(tmp_path):
    path, good = tmp_path / "a.ckpt", saved({"epoch": 0, "part": {"a": torch.zeros(4)}})
    with zipfile.ZipFile(io.BytesIO(good)) as parts, zipfile.ZipFile(path, "w") as archive:
        for name in parts.namelist():
            content = parts.read(name)
            archive.writestr(name, content.replace(b"K\x04", b"K\x7f"))
    with pytest.raises(ConfigError, match="checkpoint of this version: record size"):
        read_checkpoint(path)


def test_a_sweep_that_goes_on_over_a_hostile_checkpoint_says_so_and_does_the_rest(
    sweep, train, tmp_path
):
    folder = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    last, marker = folder / "seed=0" / "checkpoints" / "last.ckpt", tmp_path / "marker"
    last.write_bytes(hostile("os.system", marker, last.read_bytes()))
    for name in ("seed=0", "seed=1"):
        change(folder / name / "status.json", state="interrupted", objective=None)
    (folder / "seed=1" / "predictions.csv").unlink()
    code, said = train("-m", *QUICK, "seed=0,1", f"hydra.sweep.dir={folder}")
    assert code == 2
    assert said.startswith(f"ConfigError: {last}: {HOSTILE['os.system']}")
    assert said.count("\n") == 1
    assert not marker.exists()
    states = [json.loads((folder / f"seed={n}" / "status.json").read_text()) for n in (0, 1)]
    assert [status["state"] for status in states] == ["failed", "complete"]
    written = (folder / "seed=1" / "predictions.csv").read_bytes()
    assert written == (sweep / "seed=1" / "predictions.csv").read_bytes()


def test_a_search_that_goes_on_with_no_study_is_a_line(train, tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "study.db").write_bytes(b"not a database " * 100)
    code, said = train(
        "-m",
        *QUICK,
        "hydra/sweeper=optuna",
        "model.hidden_size=choice(2,3)",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert code == 2, said
    reason = "cannot be used as a study: file is not a database"
    assert said == f"ConfigError: {tmp_path / 'study.db'}: {reason}\n"


# --- the other files ------------------------------------------------------------------------------

BROKEN = {
    "no JSON": b"{",
    "empty": b"",
    "a list": b"[1, 2]",
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "wrong types": b'{"state": 3, "settings": [], "training_sha256": 5, "table_sha256": {}}',
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_status_is_a_line_and_the_checkpoint_stays(kind, train, cut, capsys):
    (cut / "status.json").write_bytes(BROKEN[kind])
    before = (cut / "checkpoints" / "last.ckpt").read_bytes()
    code, said = train(f"resume={cut}")
    assert code == 2, said
    assert said.startswith(f"ConfigError: {cut / 'status.json'}: ")
    assert said.count("\n") == 1
    assert (cut / "checkpoints" / "last.ckpt").read_bytes() == before
    assert (cut / "status.json").read_bytes() == BROKEN[kind]
    assert summarize([str(cut)]) == 0
    said = capsys.readouterr()
    assert "1 runs: 1 failed" in said.out
    assert said.err == ""


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["final_results.json", "provenance.json"])
def test_broken_results_are_a_line(kind, name, train, finished, capsys):
    path = finished / name
    path.write_bytes(BROKEN[kind])
    assert forecast([str(finished)], today=TODAY) == 2
    said = capsys.readouterr().err
    assert said.startswith("ConfigError: ")
    assert str(finished) in said
    assert said.count("\n") == 1
    if name == "final_results.json":
        code, said = train(*QUICK, f"hydra.run.dir={finished}")  # it has finished, it seems
        assert code == 2, said
        assert said.startswith(f"ConfigError: {finished}")
        assert said.count("\n") == 1
        assert path.read_bytes() == BROKEN[kind]
    else:
        change(finished / "status.json", state="interrupted", objective=None)
        code, said = train(f"resume={finished}")
        assert code == 2, said
        assert said.count("\n") == 1
        assert said.startswith(("ConfigError: ", "DataError: "))


def lose_results(folder):
    change(folder / "status.json", state="complete", objective=1.0)
    (folder / "final_results.json").unlink()


LOST = {
    "results": lose_results,
    "settings": lambda folder: (folder / ".hydra" / "overrides.yaml").write_text("- model=tiny\n"),
    "its good end": lambda folder: change(folder / "status.json", state="failed", error="E: x"),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_run_that_cannot_go_on_is_not_begun_anew_by_the_command(lost, train, cut):
    LOST[lost](cut)
    before = {path: path.read_bytes() for path in cut.rglob("*") if path.is_file()}
    code, said = train(f"resume={cut}")
    assert code == 2, said
    assert said.startswith(f"ConfigError: resume: {cut} cannot go on: "), said
    assert said.count("\n") == 1
    log = cut / "training.log"
    assert log.read_bytes().startswith(before[log])  # the refusal follows
    assert {path: path.read_bytes() for path in before if path != log} == {
        path: content for path, content in before.items() if path != log
    }


FOREIGN = {
    "no YAML": (b"[1,", "is no YAML: "),
    "empty": (b"", "holds no list of settings"),
    "text": (b"seed=1", "holds no list of settings"),
    "no text": (b"\xff\xfe\x00", "is no YAML: "),
    "numbers": (b"- 3\n", "'3' is no setting of a run"),
    "lists": (b"- [a, b]\n", "holds no list of settings"),
    "objects": (b"- {a: b}\n", "holds no list of settings"),
    "two lists": (b"- a=1\n---\n- b=1\n", "holds no list of settings"),
    "no number": (b"- !!int ''\n", "'' is no setting of a run"),
    "no truth": (b"- !!bool maybe\n", "'maybe' is no setting of a run"),
    "no time": (b"- !!timestamp x\n", "'x' is no setting of a run"),
    "laughs": (b"- &a [ha]\n- &b [*a, *a]\n- [*b, *b]\n", "holds no list of settings"),
    "words a thousandfold": (b"- &a seed=1\n" + b"- *a\n" * 1000, "holds no list of settings"),
    "depth": (b"[" * 2**17, "holds no list of settings"),
    "size": (b"- seed=1\n" * 2**15, "has 294912 bytes, may have 262144"),
    "no letter": (b'- "\\UFFFFFFFF"\n', "is no YAML: "),
    "half a letter": (b'- "name=\\ud800"\n', "'name=\\ud800' is no setting of a run"),
    "escapes": (b'- "name=\\e[2J"\n', "'name=\\x1b[2J' is no setting of a run"),
    "an object": (b"!!python/object/apply:os.system ['touch MARKER']", "'touch "),
    "a callback": (
        b"- +hydra.callbacks.x._target_=logging.FileHandler\n- +hydra.callbacks.x.filename=MARKER",
        "'+hydra.callbacks.x._target_=logging.FileHandler' is no setting of a run",
    ),
    "a launcher": (b"- hydra/launcher=joblib", "'hydra/launcher=joblib' is no setting of a run"),
    "a package": (b"- model@hydra=tiny", "'model@hydra=tiny' is no setting of a run"),
    "an option": (b"- --config-dir=FOLDER", "'--config-dir=FOLDER' is no setting of a run"),
    "a file outside": (
        b"- experiment=../../FOLDER/evil",
        "'experiment=../../FOLDER/evil' is no setting of a run",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_settings_from_a_stranger_name_no_code_and_no_file_outside(kind, tmp_path):
    marker = tmp_path / "marker"
    content, expected = FOREIGN[kind]
    path = tmp_path / ".hydra" / "overrides.yaml"
    path.parent.mkdir()
    path.write_bytes(content.replace(b"MARKER", str(marker).encode()))
    (tmp_path / "status.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        expand_resume([f"resume={tmp_path}"])
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert len(caught.value.lines) == 1
    assert not marker.exists()


def test_no_setting_of_ours_names_a_class(train, tmp_path):
    for setting in ("+model._target_=os.system", "+data.sample._target_=os.system"):
        code, said = train(setting, f"hydra.run.dir={tmp_path}")
        assert code == 2
        assert said.startswith(f"ConfigError: {setting[1:].partition('=')[0]}: there is no such")
    for setting in (
        "hydra.launcher._target_=os.system",
        "hydra.sweeper._target_=subprocess.Popen",
        "+hydra.callbacks.x._target_=os.system",
    ):
        code, said = train("-m", *QUICK, setting, f"hydra.sweep.dir={tmp_path}")
        assert code == 2, said
        assert said.startswith("ConfigError: ")
        assert said.count("\n") == 1
    assert not list(tmp_path.rglob("provenance.json"))
