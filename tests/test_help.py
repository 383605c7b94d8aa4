"""What `--help` and `--version` print, whatever stands beside them."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from ironore_lightning import __main__ as door
from ironore_lightning.cli.commands import COMMANDS
from ironore_lightning.cli.help import help_text
from ironore_lightning.cli.quick_settings import quick_settings
from ironore_lightning.settings.command_keys import COMMAND_KEYS
from ironore_lightning.settings.folder import conf_folder

ROOT = Path(__file__).parents[1]
BESIDE = {
    "--help": "model.hidden_size=96",
    "-h model=tiny": "model.hidden_size=4",
    "-m seed=0,1 --help": "model.hidden_size=96",
    "--help --cfg job": "model.hidden_size=96",
    "resume=nowhere --help": "model.hidden_size=96",
    "modle=tiny model=null seed=[1 --help": "model.hidden_size=96",
    "+experiment=stationary_small ++seed=7 --help": "model.hidden_size=16",
}


@pytest.mark.parametrize("arguments", BESIDE)
def test_help_comes_whatever_stands_beside_it(train, capsys, arguments):
    assert train(*arguments.split()) == (0, "")
    said = capsys.readouterr().out
    assert said.startswith("Forecast the next-day return of iron ore futures")
    assert "\nthresholds: default, research, trading\n" in said
    assert f"\n{BESIDE[arguments]}\n" in said


@pytest.mark.parametrize("name", ["config", "prepare", "audit", "judge"])
def test_every_setting_stands_in_the_help_with_its_type_and_a_sentence_in_80_columns(name):
    said = help_text(name, "What it does.\n", [])
    assert max(map(len, said.splitlines())) <= 80
    settings = said.partition("\nSettings")[2].partition("\n\n")[2].partition("\n\nCommands")[0]
    paragraphs = re.split(r"\n(?=\S)", settings.strip())
    assert len(paragraphs) > 90
    for paragraph in paragraphs:
        meaning = " ".join(paragraph.partition("\n    ")[2].split())
        is_typed = paragraph.partition("=")[0] not in COMMAND_KEYS[name]
        sentence = meaning.partition(". ")[2] if is_typed else meaning
        assert re.fullmatch(r"[A-Z`].+ .+\.", sentence), paragraph
    assert "\n  ironore forecast   forecast the next day with finished runs\n" in said


def test_help_names_types_bounds_and_allowed_values():
    said = help_text("judge", "", ["model=bilstm_small"])
    for lines in (
        "file=null\n    Table of forecasts: csv, xlsx or parquet, ",
        "seed=0\n    whole number >= 0, < 4294967296. Seeds the weights",
        "monitor=val/loss\n    val/loss | val/rmse | val/mae. What stops training",
        "model.hidden_size=16\n    whole number >= 1, <= 4096. Units",
        "training.loss=mse\n    mse | mae | huber. Loss of",
        "data.panel.start=2022-03-30\n    date YYYY-MM-DD | null. First row",
        "evaluation.costs_bp=[0, 2, 5, 10]\n    list of number >= 0, <= 10000. Costs",
        "data.sources.*\n    mapping: group, index, inventory, shipment. Files of drivers.",
        "data.sources.*.publication_lag_days\n    whole number >= 0, <= 3650. Calendar days",
    ):
        assert f"\n{lines}" in said


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("config", ["seed=3", "training.learning_rate=5e-4", "report.emoji=false"]),
        ("config", ["experiment=debug", "data=leaky_demo", "split=by_date"]),
        ("audit", ["experiment=replica", "hardware=multi_gpu", "thresholds=research"]),
        ("judge", ["experiment=walk_forward", "data=table", "file=a.csv"]),
    ],
)
def test_the_settings_of_the_help_are_those_that_hydra_composes(name, overrides):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        expected = hydra_compose(name, overrides=overrides)
    quick = OmegaConf.create(yaml.safe_dump(quick_settings(name, overrides)))
    assert OmegaConf.to_container(quick) == OmegaConf.to_container(expected)


def ironore(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["ironore", *arguments])
    for name in COMMANDS:  # another test may have imported them, and a command starts anew
        for module in (f"ironore_lightning.{name}", f"ironore_lightning.{name}.__main__"):
            monkeypatch.delitem(sys.modules, module, raising=False)
    status = door.main()
    return status, *capsys.readouterr()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_commands_are_listed_in_a_line_each(monkeypatch, capsys, arguments):
    status, said, wrong = ironore(monkeypatch, capsys, *arguments)
    assert (status, wrong) == (0, "")
    listed = re.findall(r"^  ironore (\w+) +\w", said, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_a_wrong_command_is_told_the_closest_one_and_all_of_them(monkeypatch, capsys):
    status, said, wrong = ironore(monkeypatch, capsys, "foecast", "run")
    assert (status, said) == (2, "")
    assert "ironore audit      look for the future" in wrong
    last = wrong.splitlines()[-1]
    assert last == "ConfigError: foecast: there is no such command; did you mean 'forecast'?"


def test_every_module_that_is_a_command_is_listed():
    package = ROOT / "ironore_lightning"
    guard = '__name__ == "__main__"'
    found = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in (*package.glob("*.py"), *package.glob("*/__main__.py"))
        if guard in path.read_text(encoding="utf-8") and path != package / "__main__.py"
    }
    assert "train" in found
    assert found == set(COMMANDS)


def version_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"ironore_lightning {project['version']}\n"


def test_the_version_is_that_of_this_package(monkeypatch, capsys):
    assert ironore(monkeypatch, capsys, "--version") == (0, version_of_the_project(), "")


def test_a_plain_command_tells_version_settings_and_the_other_commands(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        ironore(monkeypatch, capsys, "forecast", "--version")
    assert (ended.value.code, capsys.readouterr().out) == (0, version_of_the_project())
    with pytest.raises(SystemExit) as ended:
        ironore(monkeypatch, capsys, "forecast", "--help")
    said = capsys.readouterr().out
    assert (ended.value.code, said.startswith("usage: ironore forecast")) == (0, True)
    assert "--data-root" in said
    assert "\n  ironore audit      look for the future" in said
    assert max(map(len, said.splitlines())) <= 80


def test_train_py_tells_the_same_version(train, capsys):
    assert train("--version", "model=nope") == (0, "")
    assert capsys.readouterr().out == version_of_the_project()
