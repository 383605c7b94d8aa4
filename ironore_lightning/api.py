"""Everything that the commands do, from Python.

    from ironore_lightning import api

    result = api.train(["model=bilstm_small", "training.max_epochs=20"])
    result.scores                       # model and baselines on the test days
    result.predictions                  # forecasts with their bounds
    api.figures(result)["equity_curve"]

A run leaves the same folder as one of the command line. Errors are raised as `ironore_lightning`
raises them: `ConfigError` and `DataError` for wrong settings and data, with one line each.
"""

import datetime
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.types import RunMode
from lightning import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ironore_lightning.cli.arguments import normalize_arguments
from ironore_lightning.cli.hydra_command import describe_hydra_error
from ironore_lightning.desk.entries import Forecast as MorningForecast
from ironore_lightning.desk.entries import Refusal
from ironore_lightning.desk.morning import run_morning
from ironore_lightning.errors import ConfigError, machine_errors
from ironore_lightning.experiment import assess_run, run_experiment
from ironore_lightning.files import write_text
from ironore_lightning.forecast.next_day import NextDayForecast, forecast_next
from ironore_lightning.judge.judgement import Judgement, judge_file
from ironore_lightning.process.terminal import Lines, RunLog, printed
from ironore_lightning.recall import assess_on_days, other_days_folder, recall_run
from ironore_lightning.refit.refitting import refit_folder
from ironore_lightning.report.run_page import run_figures
from ironore_lightning.run_folder.attempt import run_attempt
from ironore_lightning.run_folder.layout import (
    LOG_FILE,
    require_local_files,
    require_usable_name,
)
from ironore_lightning.run_folder.looks import ledger_path
from ironore_lightning.run_folder.record import read_run
from ironore_lightning.run_folder.results import FittedRun, RunResult
from ironore_lightning.settings.base import parse_day
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.desk import read_desk_settings
from ironore_lightning.settings.folder import conf_folder

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


def train(
    overrides: Sequence[str] = (),
    *,
    folder: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> RunResult:
    """Train, validate and assess one run.

    Args:
        overrides: Settings as on the command line, such as ``"model=nlinear"``.
        folder: Where the files go; by default one named for the time, below `outputs/`. A run that
            was interrupted there goes on, and one that has finished is assessed again.
        callbacks: Of Lightning, beside those that stop the fit and keep its best epoch.
        quiet: Whether nothing is printed.

    Returns:
        Its `predictions` and `scores` as tables, its `assessment`, the `sentence` of the verdict,
        and `run` with the network and its samples.

    Raises:
        ConfigError: If a setting is wrong, or they start many runs.
        DataError: If the data are.
        TrainingError: If a loss is NaN or infinite.
    """
    wrong = [callback for callback in callbacks if not isinstance(callback, Callback)]
    if wrong:
        raise ConfigError(f"callbacks: expected callbacks of Lightning, got {wrong[0]!r}")
    composed = _compose(_lines(overrides))
    config = to_config(_without_hydra(composed))
    now = datetime.datetime.now(tz=datetime.UTC).astimezone()
    named = Path("outputs") / config.name / f"{now:%Y-%m-%d_%H-%M-%S-%f}"
    path = Path(folder or named).absolute()
    require_usable_name(path)
    require_local_files(path)
    _write_settings(path, composed)
    looks = ledger_path(Path.cwd())
    with _logged(path / LOG_FILE, quiet=quiet), run_attempt(path) as this:
        settings = config.model_dump(mode="json")
        if this.finished(settings) is not None:
            return assess_run(recall_run(read_run(path, None)), looks=looks)
        resume = this.start(settings)
        result = run_experiment(config, path, callbacks=callbacks, resume=resume, looks=looks)
        this.complete(result.run.objective)
    return result


def load_run(folder: Path | str, *, data_root: str | None = None) -> FittedRun:
    """Load a finished run: its settings, samples, forecasts and network.

    Args:
        folder: Of the run.
        data_root: Where the raw files are, if they are no longer where the run has read them.

    Returns:
        The run; `run.trained.forecaster` is its LightningModule.

    Raises:
        ConfigError: If there is no such run.
        DataError: If the data have changed since.
    """
    return recall_run(read_run(Path(folder), data_root))


def evaluate(
    folder: Path | str,
    *,
    data_root: str | None = None,
    first: str | None = None,
    last: str | None = None,
    output_dir: Path | str | None = None,
) -> RunResult:
    """Assess a finished run on its own test days, or on other days after its validation.

    Args:
        folder: Of the run.
        data_root: Where the raw files are; newer ones need `first` or `last`.
        first: First day that is scored, YYYY-MM-DD.
        last: Last day that is scored.
        output_dir: Takes the files of other days; by default a folder below that of the run.

    Raises:
        ConfigError: If there is no such run, or no such day.
        DataError: If the data do not fit the run.
    """
    record = read_run(Path(folder).absolute(), data_root)
    looks = ledger_path(Path.cwd())
    if first is None and last is None:
        return assess_run(recall_run(record), looks=looks)
    target = Path(output_dir) if output_dir else other_days_folder(record.folder, first, last)
    days = [
        None if day is None else parse_day(name, day)
        for name, day in (("first", first), ("last", last))
    ]
    return assess_on_days(record, target.absolute(), first=days[0], last=days[1], looks=looks)


def forecast(
    *folders: Path | str, data_root: str | None = None, today: datetime.date | None = None
) -> NextDayForecast:
    """Forecast the day after the newest row with one finished run, or with the mean of several.

    Args:
        folders: Of the runs.
        data_root: Newer files in place of the runs' own.
        today: Tells how old the data are; by default it is that.

    Raises:
        ConfigError: If the runs do not forecast the same thing.
        DataError: If the data no longer fit a run.
    """
    today = today or datetime.datetime.now(tz=datetime.UTC).date()
    return forecast_next([read_run(Path(folder), data_root) for folder in folders], today=today)


def desk(
    overrides: Sequence[str], *, settings: Path | str | None = None
) -> MorningForecast | Refusal:
    """Run one morning of a desk, and return what its record says of the next trading day.

    Args:
        overrides: Settings as on the command line, such as ``"desk.runs=[outputs/ironore/RUN]"``.
        settings: File with those of a desk of your own.

    Raises:
        ConfigError: If the settings or the runs are wrong.
        RecordError: If the record is not what was written.
    """
    file = None if settings is None else Path(settings)
    return run_morning(
        read_desk_settings(overrides, file), lambda: datetime.datetime.now(tz=datetime.UTC)
    )


def refit(*folders: Path | str, data_root: str | None = None) -> list[Path]:
    """Fit finished runs once more on all days, each into `refit_DATE` below its folder.

    Args:
        folders: Of the runs, or of earlier refits.
        data_root: Newer files in place of the runs' own.

    Returns:
        The folders of the refits, which `forecast` takes like those of runs.

    Raises:
        ConfigError: If there is no such run.
        DataError: If the data no longer fit a run.
        TrainingError: If a fit diverges.
    """
    return [refit_folder(Path(folder), data_root=data_root).folder for folder in folders]


def assess(
    frame: pd.DataFrame, overrides: Sequence[str] = (), *, trained_until: str | None = None
) -> Judgement:
    """Judge anybody's forecasts.

    Args:
        frame: `origin` (last day that the forecaster had seen), `date` (on which the return ends),
            `forecast` and, if you like, `actual`, `lower_80`, `upper_80`, `lower_90`, `upper_90`,
            all in per cent of return, or in the unit of another target.
        overrides: Settings as on the command line. With ``data=...`` the outcomes are those of that
            market; without, those of `actual`.
        trained_until: Last day that the forecaster was trained on, YYYY-MM-DD.

    Returns:
        The `sentence` of the verdict, the `assessment`, and the `days` that count.

    Raises:
        DataError: If the table is damaged or does not fit the market, or too few days count.
    """
    lines = _lines(overrides)
    keys = {line.lstrip("+~").partition("=")[0].partition(".")[0] for line in lines}
    day = None if trained_until is None else parse_day("trained_until", trained_until)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.csv"  # what is checked in a file is checked here, too
        frame.to_csv(path, index=False, date_format="%Y-%m-%d")
        return judge_file(
            path,
            to_config(_without_hydra(_compose(lines))),
            has_market="data" in keys,
            trained_until=day,
            looks=ledger_path(Path.cwd()),
        )


def figures(result: RunResult) -> dict[str, Figure]:
    """Return the figures of an assessed run by name, as matplotlib draws them."""
    return run_figures(result)


def _lines(overrides: Sequence[str]) -> list[str]:
    """Return overrides as the command line passes them on.

    Raises:
        ConfigError: If they are one text, or a flag is among them.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides: expected a list of them, as in [{overrides!r}]")
    flags = [line for line in overrides if line.startswith("-")]
    if flags:
        raise ConfigError(f"{flags[0]}: flags belong to the command line; python train.py has them")
    return normalize_arguments(list(overrides))


def _compose(lines: Sequence[str]) -> DictConfig:
    """Compose settings as `train.py` does, Hydra's own included.

    Raises:
        ConfigError: If an override does not fit, or starts many runs.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            composed = compose("config", overrides=list(lines), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(describe_hydra_error(error)) from error
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise ConfigError("these settings start many runs; python train.py does that")
    return composed


def _without_hydra(composed: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])


def _write_settings(folder: Path, composed: DictConfig) -> None:
    """Write what Hydra writes beside a run, so that ``resume=`` and a summary can read it."""
    place = folder / ".hydra"
    with machine_errors(folder):
        place.mkdir(parents=True, exist_ok=True)
        write_text(place / "config.yaml", OmegaConf.to_yaml(_without_hydra(composed)))
        overrides = list(composed.hydra.overrides.task)
        write_text(place / "overrides.yaml", OmegaConf.to_yaml(overrides))


@contextmanager
def _logged(path: Path, *, quiet: bool) -> Iterator[None]:
    """Write what our own modules log into the log of a run, and print it unless `quiet`."""
    log = logging.getLogger("ironore_lightning")
    handler = RunLog(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(Lines(LOG_FORMAT))
    with ExitStack() as stack:
        stack.callback(handler.close)
        stack.callback(log.removeHandler, handler)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        if not quiet:
            stack.enter_context(printed())
        yield
