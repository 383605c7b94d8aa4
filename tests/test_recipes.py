"""The recipes of the README, followed to the letter."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forks
import pytest

ROOT = Path(__file__).parents[1]
QUICK = ("model=tiny", "training.max_epochs=1", "evaluation.bootstrap_repetitions=100")


@pytest.fixture
def driver_lines():
    """The lines that the README adds to `conf/data` and `conf/features`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, recipe = readme.partition("**A driver of a file that is read already.**")
    in_data, in_features = re.findall(r"^```yaml\n(.*?)^```", recipe, re.MULTILINE | re.DOTALL)
    assert (in_data.count("\n"), in_features.count("\n")) == (1, 1)
    return in_data, in_features


def test_a_driver_takes_two_lines_and_the_sample_market_has_it(driver_lines, tmp_path):
    in_data, in_features = driver_lines
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    original, everything = (tmp_path / "conf" / name for name in ("data", "features"))
    original, everything = original / "original.yaml", everything / "all.yaml"
    text = original.read_text(encoding="utf-8")
    group, columns, rest = text.partition("      columns:\n")
    assert group.count("file: group.csv") == 1
    original.write_text(group + columns + in_data + rest, encoding="utf-8")
    with everything.open("a", encoding="utf-8") as file:
        file.write(in_features)
    where = ["--config-path", str(tmp_path / "conf"), f"hydra.run.dir={tmp_path}/run"]
    command = [str(ROOT / "train.py"), *QUICK, *where]
    files = {"out": tmp_path / "out", "err": tmp_path / "err"}
    status = forks.wait(forks.start(command, **files, cwd=tmp_path))
    assert (status, files["err"].read_text(encoding="utf-8")) == (0, "")
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))
    name = in_features.removeprefix("  - ").strip()
    assert name in provenance["training_sha256"]
    assert len(provenance["training_sha256"]) == 13


OWN_SETTINGS = """

class MeanSettings(Settings):
    title: ClassVar[str] = "Mean"
    network: Literal["mean"]
    head: Head


NetworkSettings = Annotated[
    BiLSTMSettings | NLinearSettings | MeanSettings, Field(discriminator="network")
]
"""
OWN_NETWORK = """
from torch import nn


class Mean(nn.Module):
    def __init__(self, shape, settings):
        super().__init__()
        self.output = nn.Linear(shape.num_features, shape.num_outputs)

    def forward(self, inputs):
        return self.output(inputs.mean(dim=1))
"""
OWN_LINE = """
from ironore_lightning.model.mean import Mean
from ironore_lightning.settings.networks import MeanSettings

NETWORKS[MeanSettings] = Mean
"""


def test_a_network_of_ones_own_takes_its_settings_and_its_class(tmp_path):
    for name in ("ironore_lightning", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", tmp_path)
    package = tmp_path / "ironore_lightning"
    for file, text in {
        "settings/networks.py": OWN_SETTINGS,
        "model/mean.py": OWN_NETWORK,
        "model/networks.py": OWN_LINE,
    }.items():
        with (package / file).open("a", encoding="utf-8") as module:
            module.write(text)
    (tmp_path / "conf" / "model" / "mean.yaml").write_text("network: mean\nhead: gaussian\n")
    command = ["train.py", "model=mean", "training.max_epochs=1", "hydra.run.dir=run"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "run" / "final_results.json").read_text())["training"]
    assert facts["num_parameters"] == 2 * 12 + 2
