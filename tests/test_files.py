"""The files of a run."""

import csv
import json
import os
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.errors import ConfigError
from ironore_lightning.files import read_bytes, write_csv, write_json, write_text
from ironore_lightning.run_folder import provenance as provenance_module
from ironore_lightning.run_folder.provenance import column_digests, provenance, table_digest


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full") as caught:
        write_json(path, {"a": 2})
    assert caught.value.filename == str(path)
    assert json.loads(path.read_bytes()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_folder_that_has_vanished_is_missed_and_not_made_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "a" / "b.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_numbers_of_a_table_read_back_to_the_same_bits(tmp_path):
    values = np.random.default_rng(0).normal(size=100)
    write_csv(tmp_path / "a.csv", pd.DataFrame({"value": values}), index=False)
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "value"
    assert [float(line) for line in lines[1:]] == values.tolist()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-0.1", "-0.1"),
        ("+1e-05", "+1e-05"),
        ("-.5", "-.5"),
        ("-inf", "-inf"),
        ("a=1", "a=1"),
        ("\x1b[2J", r"\x1b[2J"),
    ],
)
def test_text_of_a_table_is_no_formula_and_no_command(tmp_path, text, cell):
    frame = pd.DataFrame({"number": [-0.1, 2.0], text: [text, None]})
    write_csv(tmp_path / "a.csv", frame, index=False)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["number", cell], ["-0.1", cell], ["2.0", ""]]


def test_only_files_are_read_and_none_that_is_too_large(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", largest=5) == b"12345"
    for name, reason in (
        ("pipe", "is no file"),
        ("", "is no file"),
        ("none", "there is no such file"),
        ("file/below", "cannot be read: not a directory"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_bytes(tmp_path / name, largest=5)
        assert str(caught.value) == f"{tmp_path / name}: {reason}"
    with pytest.raises(ConfigError, match="has 5 bytes, may have 4"):
        read_bytes(tmp_path / "file", largest=4)


def frames():
    index = pd.date_range("2024-01-01", periods=3, name="date")
    features = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=index)
    target = pd.DataFrame({"date": index, "value": [0.1, 0.2, np.nan]}, index=index)
    return features, target


@pytest.mark.parametrize("change", ["value", "name", "date", "target"])
def test_the_hash_of_a_table_sees_every_change(change):
    features, target = frames()
    before = table_digest(features, target)
    assert table_digest(*frames()) == before
    if change == "value":
        features.iloc[1, 0] = np.nextafter(2.0, 3.0)
    elif change == "name":
        features = features.rename(columns={"a": "b"})
    elif change == "date":
        features.index += pd.Timedelta(days=1)
    else:
        target.iloc[0, 1] = 0.3
    assert table_digest(features, target) != before


def test_provenance_outside_a_checkout_says_that_it_does_not_know(monkeypatch, tmp_path):
    monkeypatch.setattr("ironore_lightning.run_folder.provenance.PROJECT", tmp_path)
    features, target = frames()
    market = SimpleNamespace(raw=SimpleNamespace(digests={"a": "b"}))
    datamodule = SimpleNamespace(
        seed=3, features=features, target=target, training_rows=features.iloc[:2]
    )
    made_of = provenance(market, datamodule)
    assert made_of["git"] == {"commit": None, "dirty": None}
    assert made_of["seed"] == 3
    assert made_of["input_sha256"] == {"a": "b"}
    assert made_of["training_sha256"] == column_digests(features.iloc[:2])


def make_checkout(folder):
    """Make a repository with one commit, and return that."""
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b.invalid"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=first"], check=True)
    said = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return said.stdout.strip()


def test_only_the_commit_of_the_projects_own_checkout_is_recorded(monkeypatch, tmp_path):
    project, around = tmp_path / "around" / "project", tmp_path / "around"
    project.mkdir(parents=True)
    make_checkout(around)
    monkeypatch.setattr(provenance_module, "PROJECT", project)
    unknown = {"commit": None, "dirty": None}
    assert provenance_module._git_state() == unknown
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    assert provenance_module._git_state() == unknown
    monkeypatch.delenv("GIT_DIR")
    own = make_checkout(project)
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    assert provenance_module._git_state() == {"commit": own, "dirty": False}
    # A name that is no UTF-8, and that git is told to print as it is.
    with (project / ".git" / "config").open("a", encoding="utf-8") as settings:
        settings.write("[core]\n\tquotepath = false\n")
    open(os.fsencode(project) + b"/\xe9", "wb").close()  # noqa: PTH123
    assert provenance_module._git_state() == {"commit": own, "dirty": True}


def test_a_git_that_does_not_answer_is_not_waited_for(monkeypatch, tmp_path):
    (tmp_path / "git").write_text("#!/bin/sh\nsleep 60\n", encoding="utf-8")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(provenance_module, "GIT_SECONDS", 0.1)
    assert provenance_module._git_state() == {"commit": None, "dirty": None}
