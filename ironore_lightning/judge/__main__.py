"""Judge anybody's forecasts: ``python -m ironore_lightning.judge file=FORECASTS.csv``.

The file has the columns `origin` (last day that the forecaster had seen), `date` (day on which the
return ends) and `forecast` (per cent), and if you like `actual`, `lower_80`, `upper_80`, `lower_90`
and `upper_90`. With `data=...` the outcomes are those of that market. `file=RUN/predictions.csv` of
a finished run gets the verdict of that run.
"""

from pathlib import Path

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_original_cwd, to_absolute_path
from omegaconf import DictConfig

from ironore_lightning.cli.help import is_answered
from ironore_lightning.cli.hydra_command import run_command, run_job
from ironore_lightning.errors import ConfigError
from ironore_lightning.process.imports import quick_imports
from ironore_lightning.run_folder.layout import RESULTS_FILE
from ironore_lightning.run_folder.looks import ledger_path, require_ledger
from ironore_lightning.settings.base import parse_day
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.command_keys import command_keys

DEFAULT_DATA = "sample"
"""The market of the settings unless another one is named; it is simulated."""


def main(composed: DictConfig) -> None:
    """Check the settings, judge the file, and write and print the verdict."""
    run_job(lambda: _judge(composed))


def _judge(composed: DictConfig) -> None:
    config = to_config(composed, besides=command_keys("judge"))
    if not composed.file:
        raise ConfigError("file is missing: name a table of forecasts, as in file=broker.csv")
    path = Path(to_absolute_path(str(composed.file)))
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; name the table in it, such as predictions.csv")
    day = composed.trained_until
    trained_until = None if day is None else parse_day("trained_until", str(day))
    folder = Path(HydraConfig.get().runtime.output_dir)
    looks = ledger_path(Path(get_original_cwd()))
    require_ledger(looks)
    with quick_imports():  # of torch, which --help does not need
        from ironore_lightning.judge.judgement import judge_file, judge_run
        from ironore_lightning.judge.output import print_judgement, write_judgement

    if path.name == "predictions.csv" and (path.parent / RESULTS_FILE).exists():
        require_no_settings(HydraConfig.get())
        judgement = judge_run(path.parent, looks=looks)
    else:
        judgement = judge_file(
            path,
            config,
            has_market=names_a_market(HydraConfig.get()),
            trained_until=trained_until,
            looks=looks,
        )
    write_judgement(judgement, folder)
    print_judgement(judgement, folder)


def require_no_settings(hydra_config: HydraConf) -> None:
    """Raise `ConfigError` if the command line sets what a run of ours has settled."""
    keys = [line.lstrip("+~").partition("=")[0] for line in hydra_config.overrides.task]
    settled = [key for key in keys if key not in {"file", "name"} and not key.startswith("report")]
    if settled:
        raise ConfigError(
            f"{settled[0]}: a run of ours is judged by its own days and settings; leave it out"
        )


def names_a_market(hydra_config: HydraConf) -> bool:
    """Return whether the command line names a market; nobody's forecasts are of the sample."""
    keys = [line.lstrip("+~").partition("=")[0] for line in hydra_config.overrides.task]
    is_set = any(key.partition(".")[0] == "data" for key in keys)
    return is_set or hydra_config.runtime.choices["data"] != DEFAULT_DATA


if __name__ == "__main__" and not is_answered("judge", __doc__):
    run_command(main, "judge")
