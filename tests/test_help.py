"""What `--help` prints, whatever stands beside it."""

import pytest

BESIDE = {
    "--help": "hidden_size: 96",
    "-h model=tiny": "hidden_size: 4",
    "-m seed=0,1 --help": "seed: 0",
    "--help --cfg job": "seed: 0",
    "resume=nowhere --help": "seed: 0",
    "modle=tiny model=null seed=[1 --help": "seed: 0",
}


@pytest.mark.parametrize("arguments", BESIDE)
def test_help_comes_whatever_stands_beside_it(train, capsys, arguments):
    assert train(*arguments.split()) == (0, "")
    said = capsys.readouterr().out
    assert said.startswith("Forecast the next-day return of iron ore futures")
    assert "thresholds: default, research, trading" in said
    assert f"{BESIDE[arguments]}\n" in said
