"""The house rules that a machine can hold."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from ironore_lightning.run_folder.provenance import _git

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ironore_lightning"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
SOURCES = [*MODULES.values(), ROOT / "train.py"]

TOP_LEVEL = {
    *("ironore_lightning", "conf", "tests", "outputs"),
    *("train.py", "pyproject.toml", "README.md"),
}

LAYERS = (
    {"errors"},
    {"files", "process"},
    {"settings"},
    {"data", "evaluation"},
    {"model"},
    {"run_folder"},
    {"report"},
    {"experiment"},
    {"summary"},
    {"sweep"},
    {"cli"},
)
"""Rooms from the ground up; whatever is not here is a command and stands on top."""

COMPOSERS = {"settings", "sweep", "cli"}
"""The rooms that may know Hydra and OmegaConf, beside the commands."""

KNOW_ALL = {"settings", "run_folder", "report"}
"""The rooms below `experiment` that may see all settings: they tell of a whole run."""


def layer(module):
    """The height of a module's room."""
    room = module.split(".")[0]
    return next((n for n, rooms in enumerate(LAYERS) if room in rooms), len(LAYERS))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def ours(path):
    prefix = "ironore_lightning."
    return [name.removeprefix(prefix) for name in imports_of(path) if name.startswith(prefix)]


def test_the_modules_were_found():
    assert len(MODULES) >= 60
    assert set().union(*LAYERS) < {name.split(".")[0] for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name):
    room = name.split(".")[0]
    for imported in ours(MODULES[name]):
        is_same_room = imported.split(".")[0] == room
        assert is_same_room or layer(imported) < layer(name), f"{name} imports {imported}"


def test_a_module_of_an_unknown_room_stands_on_top():
    assert [layer(name) for name in ("errors", "data.panel", "cli.help", "audit.statistics")] == [
        *(0, 3, 10, 11)
    ]


@pytest.mark.parametrize("name", MODULES)
def test_only_composers_and_commands_know_hydra(name):
    knows = any(
        module.split(".")[0] in {"hydra", "omegaconf"} for module in imports_of(MODULES[name])
    )
    is_command = layer(name) == len(LAYERS)
    assert not knows or name.split(".")[0] in COMPOSERS or is_command


@pytest.mark.parametrize("name", MODULES)
def test_the_whole_config_is_seen_at_the_top_only(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "ironore_lightning.settings.experiment"
        for alias in node.names
    }
    is_below = layer(name) < layer("experiment")
    assert "Config" not in imported or not is_below or name.split(".")[0] in KNOW_ALL


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_classes_functions_and_lines_stay_short(path):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= 500
    assert max(map(len, lines), default=0) <= 100
    for node in ast.walk(ast.parse(text)):
        length = (getattr(node, "end_lineno", None) or 0) - getattr(node, "lineno", 0) + 1
        if isinstance(node, ast.FunctionDef):
            assert length < 50, node.name
        elif isinstance(node, ast.ClassDef):
            assert length < 100, node.name


def own_files():
    """The files of the project as git knows them, or those in its places where there is no git.

    Whatever else lies in a checkout, such as a virtual environment, is its user's.
    """
    try:
        names = [os.fsdecode(name) for name in _git("ls-files", "-z").split(b"\0") if name]
    except (OSError, subprocess.SubprocessError):
        places = [ROOT / name for name in (TOP_LEVEL - {"outputs"}) | {"outputs/.gitkeep"}]
        return [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return [path for path in (ROOT / name for name in names) if path.is_file()]


def test_the_top_level_is_what_the_readme_says():
    names = {path.relative_to(ROOT).parts[0] for path in own_files()}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_the_two_lines_of_the_readme_are_those_of_the_continuous_integration():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.compile(r"^python -m pip install -e .*$", re.MULTILINE)
    lines = pattern.findall(readme)
    assert lines == [
        "python -m pip install -e . && python train.py",
        'python -m pip install -e ".[dev]" && python -m pytest',
    ]
    assert pattern.findall(script) == lines


def test_the_project_knows_no_machine_and_no_registry():
    files = [path for path in own_files() if path.suffix in {".py", ".yaml", ".toml", ".md"}]
    assert len(files) > 60
    forbidden = re.compile(r"/" + r"(root|work|home)/|index-" + r"url|pypi" + r"\.org")
    for path in files:
        assert not forbidden.search(path.read_text(encoding="utf-8")), path
