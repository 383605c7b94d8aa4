"""The settings: every member composes, every mistake is named."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pydantic import BaseModel

from ironore_lightning.errors import ConfigError
from ironore_lightning.settings.checking import to_config, unknown_key
from ironore_lightning.settings.experiment import Config

ROOT = Path(__file__).parents[1]
MEMBERS = sorted(
    f"{path.parent.name}={path.stem}"
    for path in (ROOT / "conf").glob("*/*.yaml")
    if path.stem != "own"  # a member of `market` completes it
)


def mistakes(compose, *overrides):
    with pytest.raises(ConfigError) as caught:
        compose(*overrides)
    return str(caught.value).splitlines()


def test_the_config_tree_was_found():
    assert len(MEMBERS) >= 20


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_composes_into_valid_settings(compose, member):
    root = () if member == "data=sample" else ("data.root=somewhere",)
    config = compose(member, *root)
    group, name = member.split("=")
    if group == "data":
        assert config.data.name == name


def test_the_defaults_are_those_of_the_original(compose):
    config = compose()
    assert (config.model.hidden_size, config.model.num_layers, config.model.dropout) == (
        96,
        2,
        0.35,
    )
    assert config.model.bidirectional
    assert config.model.layer_norm
    assert len(config.features.names) == 12
    assert (config.split.train, config.split.val, config.split.test) == (0.70, 0.15, 0.15)
    assert (config.window.sequence_length, config.training.batch_size) == (20, 32)
    assert (config.training.max_epochs, config.training.patience) == (200, 15)
    assert config.training.gradient_clip_norm == 1.0
    assert config.scaling.method == "minmax"


@pytest.mark.parametrize(
    ("member", "names", "transforms"),
    [
        ("all", 12, {"level"}),
        ("prices", 2, {"level"}),
        ("prices_and_indices", 4, {"level"}),
        ("single", 1, {"level"}),
        ("stationary", 12, {"log_return", "change", "zscore"}),
    ],
)
def test_feature_members_hold_what_their_name_says(compose, member, names, transforms):
    features = compose(f"features={member}").features.names
    assert len(features) == names
    assert {feature.transform for feature in features} == transforms


def test_an_experiment_member_sets_no_leaf_and_loses_to_the_command_line(compose):
    assert compose("experiment=stationary_small").model.hidden_size == 16
    assert compose("experiment=stationary_small", "model=bilstm").model.hidden_size == 96
    experiments = list((ROOT / "conf" / "experiment").glob("*.yaml"))
    experiments += (ROOT / "conf" / "hparams_search").glob("*.yaml")
    assert len(experiments) >= 6
    for path in experiments:
        assert set(OmegaConf.load(path)) <= {"defaults", "hydra"}, path


def test_a_market_of_ones_own_brings_its_files_features_target_and_name(compose):
    config = compose("market=dce_iron_ore", "data.root=somewhere")
    assert (config.name, config.data.name) == ("dce_iron_ore", "dce_iron_ore")
    assert config.data.columns == ("iron_ore", "port stocks")
    assert [feature.name for feature in config.features.names] == ["iron_ore", "port stocks"]
    assert config.target.series == "iron_ore"
    leg = config.data.contracts["iron_ore"]
    assert (leg.encoding, leg.thousands, leg.futures.listed_months) == ("gbk", ",", (1, 5, 9))
    assert leg.futures.adjustment == "ratio"  # as in data.futures


def test_a_market_and_experiments_go_together(compose):
    config = compose("market=weekly_table", "data.root=x", "experiment=[walk_forward,debug]")
    assert (config.name, config.split.method, config.model.hidden_size) == (
        *("weekly_table", "walk_forward", 4),
    )


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["data=own"], "data: contracts, sources or a table are needed: a member of conf/market "),
        (["data=own", "data.root=x", "features=own"], "features.names: Missing mandatory value"),
    ],
)
def test_a_market_that_is_not_whole_is_one_line(compose, overrides, line):
    (message,) = mistakes(compose, *overrides)
    assert message.startswith(line)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"# @package _global_\nname: x\n\tdata: {}\n", "mine.yaml: line 3, column 1: found ch"),
        (b"# @package _global_\nname: [\n", "mine.yaml: line 3, column 1: expected the node"),
        (b"# @package _global_\n# \xc8\xd5\xc6\xda\n", "a file of settings is not UTF-8 ("),
        (b"data: {x: 1}\n", "data=sample: market=mine has its own data. Begin the member with"),
    ],
)
def test_a_member_that_cannot_be_read_is_one_line(train, tmp_path, text, said):
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "mine.yaml").write_bytes(text)
    status, line = train(f"--config-dir={tmp_path}", "market=mine")
    assert (status, line.count("\n")) == (2, 1)
    assert said in line


def test_a_choice_that_a_market_would_hide_is_refused(train):
    choices = ("market=weekly_table", "data.root=x", "features=prices")
    status, said = train(*choices)
    assert status == 2
    assert said.startswith("ConfigError: features=prices: market=weekly_table has its own features")


def test_a_market_without_the_twelve_drivers_is_one_line_that_says_what_to_write(compose):
    config = compose("market=dce_iron_ore", "data.root=x").model_dump(mode="json")
    default = compose().model_dump(mode="json")
    config |= {"features": default["features"], "target": default["target"]}
    with pytest.raises(ConfigError) as caught:
        to_config(OmegaConf.create(config))
    assert str(caught.value) == (
        "features and target: data=dce_iron_ore has none of their columns, only iron_ore, port "
        "stocks; name those of this market in a member of conf/market, as "
        "conf/market/dce_iron_ore.yaml does, and choose it with market=NAME"
    )


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("model.dropout=1.0", "model.dropout: input should be less than 1, got 1.0"),
        ("model.hidden_size=9.5", "model.hidden_size: input should be a valid integer, got 9.5"),
        ("model.hidden_size=true", "model.hidden_size: input should be a valid integer, got True"),
        ("model.bidirectional=1", "model.bidirectional: input should be a valid boolean, got 1"),
        (
            "training.learning_rate=0",
            "training.learning_rate: input should be greater than 0, got 0",
        ),
        ("training.learning_rate=nan", "training.learning_rate: input should be a finite number"),
        ("seed=-1", "seed: input should be greater than or equal to 0, got -1"),
        ("monitor=test/rmse", "monitor: 'test/rmse' would choose by the test segment, and what is"),
        ("monitor=val/los", "monitor: must be one of val/loss, val/rmse, val/mae, got 'val/los'"),
        ("evaluation.strong_cost_bp=3", "evaluation: strong_cost_bp must be one of costs_bp (0, 2"),
        ("split.train=0.8", "split: train + val + test must be 1, they sum to 1.1"),
        (
            "+model.hiden_size=3",
            "model.hiden_size: there is no such key; did you mean 'hidden_size'?",
        ),
        ("+modle=3", "modle: there is no such key; did you mean 'model'?"),
        ("~model.dropout", "model.dropout: this key is required"),
        ("data=original", "data: data.root is missing: data=original needs the folder"),
        ("scaling.method=max", "scaling.method: input should be 'minmax', 'standard', 'robust'"),
        ("features.names=[]", "features.names: at least one feature is needed"),
        ("features.names=[62 Index,62 Index]", "features.names: listed twice: 62 Index"),
        (
            "features.names=[price_65_m]",
            "features.names: there is no column 'price_65_m'; did you mean 'price_65_m1'?",
        ),
        (
            "features.names=[{name:62 Index,transform:zscore}]",
            "features.names.0: a zscore needs a window, and nothing else takes one",
        ),
        (
            "features.names=[{name:62 Index,transform:future}]",
            "features.names.0.transform: input should be 'level', 'log_return', 'change'",
        ),
        (
            "features.names=[a,price_65_m1,{name:b,transform:change}]",
            "features.names: there is no column 'a', 'b'; columns are: price_65_m1, price_62_m1, ",
        ),
        ("target.series=price", "target.series: there is no column 'price'"),
        ("target.horizon=0", "target.horizon: input should be greater than or equal to 1, got 0"),
        (
            "+data.prices.a={kind:null,time:'1:30'}",
            "data.prices.a.time: string should match pattern",
        ),
        (
            "+data.prices.a={kind:quote,time:null}",
            "data.prices.a.kind: input should be 'settlement'",
        ),
        (
            "data.panel.break_days=[{leg:price_66,day:2025-08-29}]",
            "data.panel.break_days: 'price_66' is no",
        ),
        ("data.panel.start=0", "data.panel.start: a date is written YYYY-MM-DD, got 0"),
        (
            "data.panel.start='20240102'",
            "data.panel.start: a date is written YYYY-MM-DD, got 20240102",
        ),
        ("name=..", "name: string should match pattern"),
        ("hardware.threads=100000", "hardware.threads: input should be less than or equal to 1024"),
        ("data.panel.start=2022-02-30", "data.panel.start: input should be a valid date"),
        ("hardware.precision=16-mixed", "hardware: precision 16-mixed needs a gpu"),
        (
            "thresholds.good_accuracy=70",
            "thresholds: good_accuracy must be below excellent_accuracy",
        ),
        ("data.sample.signal=1", "data.sample.signal: input should be less than 1, got 1"),
        ("name=a/b", "name: string should match pattern"),
        (
            "data.sources.index.date_format=null",
            "data.sources.index: a csv needs date_format and delimiter",
        ),
        (
            "data.sources.index.publication_lag_days=-1",
            "data.sources.index.publication_lag_days: input should be greater than or equal to 0",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_rule_and_value(compose, override, line):
    lines = mistakes(compose, override)
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_all_mistakes_are_listed_at_once(compose):
    lines = mistakes(compose, "model.dropout=2", "seed=-1", "training.patience=0")
    assert [line.split(":")[0] for line in lines] == ["seed", "model.dropout", "training.patience"]


def test_dates_of_a_date_split_must_be_in_order(compose):
    lines = mistakes(compose, "split=by_date", "split.test_start=2020-01-01")
    assert lines == ["split: test_start must be after val_start 2024-08-12"]


def test_a_given_target_may_not_be_read_as_a_feature(compose):
    lines = mistakes(compose, "target.kind=given", "target.series=62 Index")
    assert len(lines) == 1
    assert "the model would read the answer" in lines[0]


def test_a_table_takes_names_that_only_its_header_knows(compose):
    config = compose("data=table", "data.root=x", "features.names=[anything]", "target.series=P")
    assert config.data.columns is None


def test_two_sources_may_not_name_the_same_column(compose):
    lines = mistakes(compose, "++data.sources.shipment.columns={62 Index:{unit:t,positive:true}}")
    assert lines == ["data: columns named twice: 62 Index"]


def test_a_value_that_cannot_be_resolved_is_one_line():
    with pytest.raises(ConfigError, match="nowhere") as caught:
        to_config(OmegaConf.create({"name": "${nowhere}"}))
    assert "\n" not in str(caught.value)


def test_unknown_keys_of_an_entry_suggest_the_nearest_and_those_left_out_a_plus():
    key = "data.contracts.mine.thousand"
    assert unknown_key(key) == f"{key}: there is no such key; did you mean 'thousands'?"
    assert unknown_key(f"{key}s").endswith(f"it takes a plus: +{key}s=VALUE")


def test_unknown_keys_suggest_the_nearest_at_their_own_level():
    assert unknown_key("training.pacience").endswith("did you mean 'patience'?")
    assert unknown_key("qqq") == "qqq: there is no such key"


def every_model(model, seen=None):
    seen = set() if seen is None else seen
    seen.add(model)
    for field in model.model_fields.values():
        found = re.findall(r"(ironore_lightning\.settings\.\w+)\.(\w+)", str(field.annotation))
        for module, name in found:
            child = getattr(import_module(module), name)
            if isinstance(child, type) and issubclass(child, BaseModel) and child not in seen:
                every_model(child, seen)
    return seen


def test_every_group_of_settings_is_closed_and_frozen():
    models = every_model(Config)
    assert len(models) >= 15
    for model in models:
        assert model.model_config["extra"] == "forbid", model
        assert model.model_config["frozen"], model
