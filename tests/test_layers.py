"""The house rules that a machine can hold."""

import ast
import os
import re
import subprocess
from functools import cache
from pathlib import Path

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
    {"reading"},
    {"sample_market", "trading_calendar"},
    {"data", "evaluation"},
    {"data_quality"},
    {"model"},
    {"run_folder"},
    {"report"},
    {"experiment"},
    {"recall"},
    {"summary"},
    {"sweep"},
    {"cli"},
    {"train", "prepare", "inspect", "audit", "judge", "forecast", "evaluate", "compare"},
    {"refit"},
    {"desk"},
)
"""Rooms from the ground up; whatever is not here stands on top."""

COMPOSERS = {"settings", "sweep", "cli"}
"""The rooms that may know Hydra and OmegaConf, beside the commands."""

KNOW_ALL = {"settings", "run_folder", "report"}
"""The rooms below `experiment` that may see all settings: they tell of a whole run."""


def layer(module):
    """The height of a module's room."""
    room = module.split(".")[0]
    return next((n for n, rooms in enumerate(LAYERS) if room in rooms), len(LAYERS))


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path):
    for node in ast.walk(tree_of(path)):
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


def test_imports_point_downwards():
    for name, path in MODULES.items():
        for imported in ours(path):
            is_same_room = imported.split(".")[0] == name.split(".")[0]
            assert is_same_room or layer(imported) < layer(name), f"{name} imports {imported}"


def test_a_module_of_an_unknown_room_stands_on_top():
    assert [layer(name) for name in ("errors", "data.panel", "cli.help", "audit.statistics")] == [
        *(0, 5, 14, 15)
    ]


def test_only_composers_and_commands_know_hydra():
    for name, path in MODULES.items():
        knows = {"hydra", "omegaconf"} & {module.split(".")[0] for module in imports_of(path)}
        is_command = layer(name) > layer("cli")
        assert not knows or name.split(".")[0] in COMPOSERS or is_command, name


def test_the_whole_config_is_seen_at_the_top_only():
    for name, path in MODULES.items():
        is_below = layer(name) < layer("experiment") and name.split(".")[0] not in KNOW_ALL
        assert not is_below or "settings.experiment" not in ours(path), name


def test_files_classes_functions_and_lines_stay_short():
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 500, path
        assert max(map(len, lines), default=0) <= 100, path
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                limit = 50 if isinstance(node, ast.FunctionDef) else 100
                assert length < limit, f"{path}: {node.name}"


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
