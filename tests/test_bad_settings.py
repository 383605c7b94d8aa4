"""Wrong command lines: each ends with status 2 and a line that names key, rule and value."""

import sys
from pathlib import Path

import pytest
import torch
from hydra.core.config_store import ConfigStore

BAD = {
    "model=bilsm": "model=bilsm: there is no such member; did you mean 'bilstm'?",
    "batch_size=16": "batch_size: there is no such key; did you mean 'training.batch_size'?",
    "modle=tiny": "modle: there is no such key; did you mean 'model'?",
    "model=null": "Config group override must be a string or a list. Got NoneType, in: model=null",
    "model=": "model=: there is no such member; members are: bilstm, ",
    "model.hiden_size=3": "model.hiden_size: there is no such key; did you mean 'hidden_size'?",
    "+seed=1": "+seed: this key exists; write it without the plus sign",
    "+experiment=debugg": "experiment=debugg: there is no such member; did you mean 'debug'?",
    "+model.extra=1": "model.extra: there is no such key",
    "~model.hidden_size": "model.hidden_size: this key is required",
    "~model.nothing": "model.nothing: there is no such key",
    "seed=0,1": "seed=0,1: several values make a multirun; add -m, or [] for a list",
    "seed=[1": "seed=[1: cannot be read as an override; quote spaces, brackets, = and ~",
    "seed=${nope}": "seed: Interpolation key 'nope' not found",
    "monitor=test/loss": "monitor: 'test/loss' would choose by the test segment, and what is chose",
    "monitor=val/r2": "monitor: must be one of val/loss, val/rmse, val/mae, got 'val/r2'",
    "features.names=[]": "features.names: at least one feature is needed",
    "features.names=[price_65]": "features.names: there is no column 'price_65'; did you mean 'pri",
    "features.names=[price_65_m1,price_65_m1]": "features.names: listed twice: price_65_m1",
    "features.names=[{name:price_65_m1,window:5}]": "features.names.0: a zscore needs a window",
    "target.series=price_66_m1": "target.series: there is no column 'price_66_m1'; did you mean 'p",
    "split.train=0.9": "split: train + val + test must be 1, they sum to 1.2",
    "split.fold=0": "split.fold: there is no such key",
    "split=by_date split.test_start=2020-01-01": "split: test_start must be after val_start 2024-",
    "split=by_date split.val_start=01/02/2024": "split.val_start: a date is written YYYY-MM-DD",
    "split=walk_forward split.fold=99": "split.fold: there is no fold 99; 847 samples have 10",
    "window.sequence_length=900": "the data hold 866 rows with a target",
    "window=5": "window: input should be a valid dictionary or instance of WindowSettings, got 5",
    "data=original": "data: data.root is missing: data=original needs the folder of its files",
    "data=original data.root=": "data.root: string should have at least 1 character, got ''",
    "data=original data.root=nowhere": f"{Path.cwd() / 'nowhere'}/group.csv: there is no such f",
    "data.holidays=../days.txt": "data.holidays: must be a path below data.root, got '../days.txt'",
    "data=sample data.root=/proc/x": "data.root: /proc/x cannot be made: no such file or directory",
    "data.panel.start=2030-01-01": "data.panel.start=2030-01-01 lies after the last trading day",
    "data.panel.break_days=[{leg:nothing,day:2024-01-01}]": "data.panel.break_days: 'nothing' is n",
    "hardware.devices=1000": "hardware.devices: 1000 were asked for, but this process may use",
    "hardware.precision=16-mixed": "hardware: precision 16-mixed needs a gpu; on a cpu take",
    "thresholds.good_accuracy=10": "thresholds: fair_accuracy must be below good_accuracy",
    "evaluation.supported_p=0.5": "evaluation: supported_p must not exceed suggestive_p",
    "evaluation.strong_cost_bp=7": "evaluation: strong_cost_bp must be one of costs_bp",
    "hydra/launcher=nothing": "hydra/launcher=nothing: there is no such member; members are: basic",
    "hydra.run.dirr=x": "hydra.run.dirr: there is no such key",
    "resume=nowhere": "resume takes the run's own settings, and nothing beside them; leave out: hy",
    "-m model.hidden_size=interval(1,9)": "model.hidden_size=interval(1,9): a grid needs values",
    "-m model=tiny seed=0,a": "seed: input should be a valid integer, got 'a'",
    "-m model=tiny,bilsm": "model=bilsm: there is no such member; did you mean 'bilstm'?",
    "-m hardware.devices=1,2": "hardware.devices: a run of a multirun has one process, got 2",
    "-m hydra/sweeper=optuna hardware.devices=2 model.hidden_size=choice(2,3)": "hardware.devices:",
    "-m data=original data.root=nowhere seed=0,1": f"{Path.cwd() / 'nowhere'}/",
    "-m data=sample,original": "data: data.root is missing: data=original needs the folder of its",
    "-m hydra/sweeper=optuna": "hydra.sweeper.params: there is nothing to search; give a setting",
    "-m hydra/sweeper=optuna seed=choice(1,2)": "seed: a search may not choose it: the luckiest",
}

VALUES = (
    {
        "model.hidden_size=sixteen": "input should be a valid integer, got 'sixt",
        "model.dropout=1": "input should be less than 1, got 1",
        "model.head=normal": "input should be 'point', 'gaussian', 'student_t' or 'quan",
        "model.bidirectional=maybe": "input should be a valid boolean, got 'maybe",
        "training.learning_rate=fast": "input should be a valid number, got 'f",
        "training.batch_size=0": "input should be greater than or equal to 1, got",
        "training.max_epochs=0": "input should be greater than or equal to 1, go",
        "training.patience=none": "input should be a valid integer, got 'none'",
        "training.optimizer=sgd": "input should be 'adam' or 'adamw', got 'sgd'",
        "training.schedule=linear": "input should be 'none', 'cosine' or 'reduce_o",
        "training.gradient_clip_norm=0": "input should be greater than 0",
        "seed=-1": "input should be greater than or equal to 0, got -1",
        "features.names=price_65_m1": "input should be a list, as [a,b], got 'price_65_m1",
        "target.horizon=0": "input should be greater than or equal to 1, got 0",
        "target.kind=return": "input should be 'log_return', 'simple_return', 'change' or",
        "window.sequence_length=0": "input should be greater than or equal to",
        "scaling.method=zscore": "input should be 'minmax', 'standard', 'robust' or",
        "data.sample.signal=1": "input should be less than 1, got 1",
        "data.sources=null": "input should be a valid dictionary, got None",
        "data.futures.month_offset=0": "input should be greater than",
        "data.futures.adjustment=panama": "input should be 'ratio', 'diff",
        "data.panel.start=yesterday": "a date is written YYYY-MM-DD, got yesterday",
        "hardware.threads=0": "input should be greater than or equal to 1, got 0",
        "hardware.devices=0": "input should be greater than or equal to 1, got 0",
        "evaluation.costs_bp=[]": "tuple should have at least 1 item",
        "report.emoji=sometimes": "input should be a valid boolean, got 'sometimes'",
        "name=": "string should match pattern",
    },
    {
        "model.hidden_size=0": "input should be greater than or equal to 1, got 0",
        "model.dropout=nan": "input should be a finite number, got nan",
        "training.learning_rate=0": "input should be greater than 0, got 0",
        "training.batch_size=32.5": "input should be a valid integer, got 32.5",
        "seed=4294967296": "input should be less than 4294967296, got 4294967296",
        "window.sequence_length=1": "input should be greater than or equal to",
        "hardware.devices=9999": "input should be less than or equal to 1024",
        "evaluation.costs_bp=[0,5,-1]": "input should be greater than or equal",
    },
)
"""Values that are wrong by themselves: each of these is one command line."""


@pytest.fixture
def refused(train, tmp_path):
    """Give a command line to train.py, which must refuse it; return the lines that it said."""

    def run(*overrides):
        where = [f"hydra.run.dir={tmp_path}/run", f"hydra.sweep.dir={tmp_path}/sweep"]
        code, said = train(*overrides, *where)
        assert code == 2, said
        assert not list(tmp_path.rglob("provenance.json"))
        assert list(tmp_path.iterdir()) == []
        return said.splitlines()

    return run


@pytest.mark.parametrize("overrides", BAD)
def test_a_wrong_setting_ends_with_status_2_and_lines_that_name_it(refused, overrides):
    kinds = ("ConfigError", "DataError")
    lines = refused(*overrides.split())
    assert lines[0].startswith(tuple(f"{kind}: {BAD[overrides]}" for kind in kinds))
    assert all(line.startswith(kinds) for line in lines)


@pytest.mark.parametrize("values", VALUES, ids=len)
def test_all_wrong_values_of_a_command_line_are_listed_in_a_line_each(refused, values):
    lines = refused(*values)
    assert len(lines) == len(values)
    for value, expected in values.items():
        key = value.partition("=")[0]
        (said,) = (line for line in lines if line.startswith(f"ConfigError: {key}"))
        assert f": {expected}" in said


@pytest.mark.parametrize("missing", ["optuna", "optuna_integration"])
def test_a_search_without_its_extra_is_one_line_that_installs_it(refused, monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "ironore_lightning.sweep.optuna_study", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not there
    assert refused("-m", "hydra/sweeper=optuna", "model.hidden_size=choice(2,3)") == [
        "ConfigError: hydra/sweeper: Optuna is not installed; install it with "
        'pip install -e ".[search]"'
    ]


@pytest.mark.parametrize(
    ("launcher", "extra"),
    [("joblib", "parallel"), ("submitit_local", "cluster"), ("submitit_slurm", "cluster")],
)
def test_a_launcher_without_its_extra_is_one_line_that_installs_it(
    refused, monkeypatch, launcher, extra
):
    members = ConfigStore.instance().repo["hydra"]["launcher"]
    monkeypatch.delitem(members, f"{launcher}.yaml", raising=False)
    assert refused("-m", f"hydra/launcher={launcher}", "seed=0,1") == [
        f"ConfigError: hydra/launcher={launcher}: hydra-{launcher.split('_')[0]}-launcher is not "
        f'installed; install it with pip install -e ".[{extra}]"'
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_card_that_is_not_there_is_said(refused):
    (line,) = refused("hardware=gpu")
    assert line.startswith("ConfigError: hardware.accelerator: gpu was asked for, but torch")
