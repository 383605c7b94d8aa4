"""The recipes of the README, followed to the letter."""

import json
import re
import shutil
from pathlib import Path

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


def test_a_driver_takes_two_lines_and_the_sample_market_has_it(driver_lines, forks, tmp_path):
    in_data, in_features = driver_lines
    shutil.copy(ROOT / "train.py", tmp_path)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    original, everything = (tmp_path / "conf" / name for name in ("data", "features"))
    original, everything = original / "original.yaml", everything / "all.yaml"
    text = original.read_text(encoding="utf-8")
    group, columns, rest = text.partition("      columns:\n")
    assert group.count("file: group.csv") == 1
    original.write_text(group + columns + in_data + rest, encoding="utf-8")
    with everything.open("a", encoding="utf-8") as file:
        file.write(in_features)
    command = [str(tmp_path / "train.py"), *QUICK, f"hydra.run.dir={tmp_path}/run"]
    files = {"out": tmp_path / "out", "err": tmp_path / "err"}
    status = forks.wait(forks.start(command, **files, cwd=tmp_path))
    assert (status, files["err"].read_text(encoding="utf-8")) == (0, "")
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))
    name = in_features.removeprefix("  - ").strip()
    assert name in provenance["training_sha256"]
    assert len(provenance["training_sha256"]) == 13
