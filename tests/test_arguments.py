"""The command line as Hydra reads it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ironore_lightning.cli.arguments import normalize_arguments, quoted
from ironore_lightning.errors import ConfigError

READ = {
    "model=tiny -m seed=0,1": "-m model=tiny seed=0,1",
    "seed=1 --config-dir a=b model=tiny --cfg job": "--config-dir a=b --cfg job seed=1 model=tiny",
    "name=数据": "name='数据'",
    "features.names=[größe,price,{name:数.1,transform:change}]": (
        "features.names=['größe',price,{name:'数.1',transform:change}]"
    ),
    "data=choice(数,b)": "data=choice('数',b)",
    "name='数据'": "name='数据'",
    "data.root=../数据": "data.root='{here}/../数据'",
    "data.root=raw": "data.root='{here}/raw'",
    "+data.root='raw'": "+data.root='{here}/raw'",
    "data.root=/raw": "data.root=/raw",
    "data.root=a,b": "data.root=a,b",
    "data.root=": "data.root=",
    "data.root=[a": "data.root=[a",
    "data.root=${oc.env:RAW}": "data.root=${oc.env:RAW}",
    "~model +a=1": "~model +a=1",
    "+experiment=debug ++seed=1": "experiment=debug ++seed=1",
    "++hparams_search=original_grid +hydra/launcher=joblib": (
        "hparams_search=original_grid hydra/launcher=joblib"
    ),
    "+data.prices.a=1 +data=sample": "+data.prices.a=1 data=sample",
}


@pytest.mark.parametrize("typed", READ)
def test_what_is_typed_becomes_what_hydra_reads(typed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    expected = READ[typed].replace("{here}", str(tmp_path)).split()
    assert normalize_arguments(typed.split()) == expected
    assert normalize_arguments(expected) == expected


def test_words_keep_their_spaces_inside_quotes_only():
    assert normalize_arguments(["features.names=[a b, 数 据]"]) == ["features.names=[a b, '数 据']"]


@pytest.mark.parametrize("text", ["a b", "it's", "a\\b", "end\\", "a\\'b\\\\'", "数,[x]={y}"])
def test_a_quoted_text_is_read_as_it_stands(text):
    assert OverridesParser.create().parse_override(f"name={quoted(text)}").value() == text


def test_a_flag_that_is_none_is_one_line():
    with pytest.raises(
        ConfigError, match=r"^unrecognized arguments: --epochs; settings are [^\n]*$"
    ):
        normalize_arguments(["seed=1", "--epochs"])
