"""The READMEs: their commands run, their settings exist, and runs leave the files they list."""

import json
import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import get_args

import forks
import pandas as pd
import pytest
import yaml
from pydantic import BaseModel

from ironore_lightning.cli.commands import COMMANDS as COMMANDS_OF_THE_PACKAGE
from ironore_lightning.run_folder.layout import EVENT_FILES
from ironore_lightning.sample_market.simulation import simulate_market, write_market
from ironore_lightning.settings.command_keys import COMMAND_KEYS
from ironore_lightning.settings.data import SimulationSettings
from ironore_lightning.settings.desk import DeskSettings
from ironore_lightning.settings.experiment import Config
from ironore_lightning.settings.files import FileSettings

ROOT = Path(__file__).parents[1]
READMES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "conf" / "README.md",
        ROOT / "tests" / "benchmarks" / "README.md",
        *sorted((ROOT / "ironore_lightning").glob("*/README.md")),
    )
}
README = READMES["README.md"]
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BLOCKS = [text for language, text in FENCED if not language]
COMMANDS = [
    line
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("python ") and "pip install" not in line
]
QUICK = ("model=tiny", "training.max_epochs=1", "evaluation.bootstrap_repetitions=100")
SHORTER = {
    "features=all,prices": ("features=prices",),
    "experiment=walk_forward": ("split.initial=784", "seed=0"),
    "hparams_search=bilstm_optuna": ("hydra.sweeper.n_trials=1",),
    "ironore_lightning.audit": ("features=single",),
    "ironore_lightning.forecast": ("--max-age-days=100000",),
    "ironore_lightning.desk": ("desk.now=2025-07-02T06:00",),
}
"""What ends a command sooner, or lets it take files of another year; it says the same otherwise."""


def shortened(command):
    """The words of a command behind `python`, and what makes it short."""
    words = shlex.split(command)[1:]
    trains = words[0] == "train.py" and not any(word.startswith("resume=") for word in words)
    added = QUICK if trains else ()
    return [*words, *added, *(more for key in SHORTER if key in words for more in SHORTER[key])]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder to start commands in, with `../raw` and `../dce` beside it."""
    top = tmp_path_factory.mktemp("newcomer")
    market = simulate_market(SimulationSettings(seed=0, signal=0.0))
    write_market(market, top / "raw")
    write_dce_market(market, top / "dce")
    (top / "checkout").mkdir()
    return top / "checkout"


def write_dce_market(market, folder):
    """Write contracts of January, May and September in GBK, and weekly stocks."""
    folder.mkdir()
    curve = market.closes_65
    listed = [month for month in curve if month.month in (1, 5, 9)]
    prices = (8 * curve[listed]).map(lambda price: "" if pd.isna(price) else f"{price:,.1f}")
    prices.columns = [f"I{month:%y%m}" for month in listed]
    prices.rename_axis("日期").to_csv(folder / "iron_ore.csv", encoding="gbk")
    weeks = pd.date_range(curve.index[0], curve.index[-1], freq="W-FRI", name="date")
    stocks = pd.DataFrame({"port stocks": range(1000, 1000 + len(weeks))}, index=weeks)
    stocks.to_csv(folder / "port_stocks.csv")


@pytest.fixture(scope="module")
def follow(checkout):
    """Run a command of the README in the checkout, once."""

    @cache
    def run(command):
        words = shortened(command)
        if words[0] == "train.py":
            words[0] = str(ROOT / "train.py")
        out, err = checkout / "out.txt", checkout / "err.txt"
        for path in (out, err):
            path.unlink(missing_ok=True)
        status = forks.wait(forks.start(words, out=out, err=err, cwd=checkout))
        return subprocess.CompletedProcess(words, status, out.read_text("utf-8"), err.read_text())

    return run


@pytest.fixture(scope="module")
def run_folder(follow, checkout):
    """What the README calls RUN."""
    assert follow("python train.py").returncode == 0
    (folder,) = checkout.glob("outputs/ironore/2*")
    return folder


@pytest.fixture(scope="module")
def multirun_folder(follow, checkout):
    """What the README calls MULTIRUN."""
    command = next(command for command in COMMANDS if " -m features=" in command)
    assert follow(command).returncode == 0
    (folder,) = checkout.glob("outputs/ironore/multirun_*")
    return folder


def test_the_example_in_python_runs_as_it_is_written(tmp_path):
    (example,) = [text for language, text in FENCED if language == "python"]
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    status = forks.wait(forks.start(["example.py"], out=out, err=err, cwd=tmp_path))
    assert (status, err.read_text(encoding="utf-8")) == (0, "")
    said = out.read_text(encoding="utf-8")
    assert "epochs" in said
    assert "Direction was right on" in said
    assert (tmp_path / "equity.png").stat().st_size > 10_000
    assert (tmp_path / "outputs" / "mine" / "report.html").exists()


def test_the_market_of_the_readme_is_the_one_in_conf():
    (example,) = [text for language, text in FENCED if "override /data: own" in text]
    written = (ROOT / "conf" / "market" / "dce_iron_ore.yaml").read_text(encoding="utf-8")
    lines = [line for line in written.splitlines() if not re.match("# (?!@)", line)]
    assert example.splitlines() == lines


def test_every_command_and_extra_is_in_its_table():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    for heading, known in (("command", COMMANDS_OF_THE_PACKAGE), ("extra", extras)):
        table = README.partition(f"| {heading} | what it")[2].partition("\n\n")[0]
        cells = " ".join(line.split("|")[1] for line in table.splitlines()[2:])
        assert set(re.findall(r"`(\w+)`", cells)) == set(known)


def test_the_commands_were_found():
    assert len(COMMANDS) >= 11
    for key in SHORTER:
        assert any(key in command for command in COMMANDS), key
    places = {"train.py", *(f"ironore_lightning.{name}" for name in ("audit", "forecast", "judge"))}
    places |= {f"ironore_lightning.{name}" for name in ("inspect", "prepare", "summarize")}
    assert {word for command in COMMANDS for word in command.split()} >= places


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, follow, run_folder, multirun_folder):
    where = "outputs/ironore"
    command = command.replace(f"{where}/RUN", str(run_folder))
    ended = follow(command.replace(f"{where}/MULTIRUN", str(multirun_folder)))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout) > 100 or "resume=" in command


def test_the_console_sample_has_the_lines_of_a_run(follow):
    (sample,) = [block for block in BLOCKS if block.startswith("bilstm on")]
    lines = [line for line in sample.splitlines() if line != "..."]
    assert len(lines) >= 12
    printed = {opening(line) for line in follow("python train.py").stdout.splitlines()}
    for line in lines:
        assert opening(line) in printed, line


def opening(line):
    """What a line says before its first number: that differs from run to run."""
    before = re.match(r"[^\d]*", line.removesuffix("..."))[0]
    return re.sub(r":? [A-Z]{4,}.*", "", " ".join(before.rstrip(" -+").split()))


def test_the_files_that_are_listed_are_those_that_a_run_leaves(run_folder):
    listed = table_keys(READMES["ironore_lightning/run_folder/README.md"], heading="# What a run")
    assert len(listed) >= 12
    left = {"metrics.csv"}  # with logger=csv
    for path in run_folder.iterdir():
        if path.match("evaluation_20*") or path.match("refit_20*"):
            continue  # what commands of the README have made of it
        left.add(EVENT_FILES if path.match(EVENT_FILES) else path.name)
    left -= {"checkpoints", "forecast.json"}
    left |= {f"checkpoints/{path.name}" for path in (run_folder / "checkpoints").iterdir()}
    assert {name.rstrip("/") for name in listed} == left
    columns = (
        (run_folder / "predictions.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
    )
    (row,) = [
        line
        for line in READMES["ironore_lightning/run_folder/README.md"].splitlines()
        if line.startswith("| `predictions.csv`")
    ]
    assert re.findall(r"`(\w+)`", row) == columns


def test_the_keys_that_are_explained_are_those_of_the_results(run_folder):
    results = json.loads((run_folder / "evaluation_results.json").read_text(encoding="utf-8"))
    readme = READMES["ironore_lightning/run_folder/README.md"]
    assert table_keys(readme, heading="## Keys of") == set(results)


def table_keys(text, *, heading):
    """The names in the first cells of the table below a heading."""
    _, _, below = text.partition(f"\n{heading}" if not text.startswith(heading) else heading)
    section, _, _ = below.partition("\n## ")
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def keys_of(annotation, prefix=""):
    """The dotted keys of some settings; `*` stands for a name of the user's, or a place."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from keys_of(field.annotation, f"{prefix}.{name}".removeprefix("."))
        return
    inner = [keys_of(part, prefix) for part in get_args(annotation) if has_fields(part)]
    if not inner:
        yield prefix
    for keys in inner:
        is_many = getattr(annotation, "__origin__", None) in (dict, tuple)
        for key in keys:
            yield key.replace(prefix, f"{prefix}.*", 1) if is_many else key


def has_fields(annotation):
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return is_model or any(has_fields(part) for part in get_args(annotation))


def shared(key):
    """A key of several files or legs under the name that conf/README.md gives them."""
    group, _, name = key.rpartition(".")
    if group in {"data.contracts.*", "data.sources.*", "data.table"}:
        return f"FILE.{name}" if name in FileSettings.model_fields else key
    is_roll = group in {"data.futures", "data.contracts.*.futures"}
    return f"FUTURES.{name}" if is_roll else key


def test_every_setting_is_explained_and_every_key_that_is_explained_exists():
    settings = set(keys_of(Config))
    assert len(settings) >= 100
    assert {"data.contracts.*.file", "features.names.*.window", "split.fold"} <= settings
    sweeper = yaml.safe_load((ROOT / "conf/hydra/sweeper/optuna.yaml").read_text(encoding="utf-8"))
    # The sweeper sets `trial` itself.
    search = {f"hydra.sweeper.{key}" for key in sweeper.keys() - {"_target_", "trial"}}
    desk = {f"desk.{key}" for key in DeskSettings.model_fields}
    commands = set().union(*COMMAND_KEYS.values(), search, desk, {"hydra.launcher.n_jobs"})
    cells = re.findall(r"^\| `([^`]+)` \|", READMES["conf/README.md"], re.MULTILINE)
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"hydra"}
    explained = [cell for cell in cells if cell not in groups]
    assert groups < set(cells)
    assert len(explained) == len(set(explained))
    assert set(explained) == {*map(shared, settings)} | commands


def test_every_member_of_a_group_is_named():
    members = [path.stem for path in (ROOT / "conf").glob("*/*.yaml")]
    assert len(members) >= 25
    for member in members:
        assert f"`{member}`" in READMES["conf/README.md"], member


def test_links_and_paths_lead_to_files():
    assert len(READMES) >= 6
    found = 0
    for name, text in READMES.items():
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert (ROOT / name).parent.joinpath(link).is_file(), f"{name}: {link}"
            found += 1
        for path in re.findall(r"\b(?:conf|tests|ironore_lightning)/[\w/]+\.(?:md|py|yaml)", text):
            assert (ROOT / path).is_file(), f"{name}: {path}"
            found += 1
    assert found >= 20
