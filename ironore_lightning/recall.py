"""A finished run again, without training: on its own test days, or on other ones."""

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ironore_lightning.data.datamodule import WindowDataModule, build_datamodule
from ironore_lightning.data.features import build_table
from ironore_lightning.data.market_cache import Market, build_market
from ironore_lightning.data.splits import Split
from ironore_lightning.errors import ConfigError
from ironore_lightning.experiment import (
    close_run,
    evaluate_run,
    join_baselines,
    predict_samples,
    run_network,
)
from ironore_lightning.files import write_json
from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.model.training import TrainedNetwork, load_best
from ironore_lightning.run_folder.forecast_tables import (
    read_predictions,
    write_predictions,
    write_tables,
)
from ironore_lightning.run_folder.layout import PROVENANCE_FILE, require_local_files
from ironore_lightning.run_folder.provenance import (
    provenance,
    require_same_history,
    require_same_table,
)
from ironore_lightning.run_folder.record import RunRecord, Span, require_test_days
from ironore_lightning.run_folder.results import FittedRun, RunResult

SAME_FORECAST, SAME_IN_MIXED_PRECISION = 1e-4, 2e-2
"""Largest difference of a forecast computed again, as a share of the largest one: processors and
cards round differently."""


def recall_run(record: RunRecord) -> FittedRun:
    """Build a finished run again from its data and its best checkpoint.

    The forecasts are those in its folder.

    Raises:
        ConfigError: If the checkpoint is not of this run.
        DataError: If the data have changed since.
    """
    config, folder = record.settings, record.folder
    require_test_days(folder)
    set_up_process(config.hardware.on_cpu())
    panel = build_market(config.data, config.target).panel
    datamodule = build_datamodule(panel, config.dataset_settings)
    require_same_table(
        folder, datamodule, remedy="put back those of then, or name newer days with --from"
    )
    trained = _recall_network(record, datamodule)
    predictions = read_predictions(folder, config.target.kind)
    again = predict_samples(datamodule, trained, config)
    is_full = config.hardware.precision == "32-true"
    if not _agree(predictions, again, SAME_FORECAST if is_full else SAME_IN_MIXED_PRECISION):
        raise ConfigError(
            f"{folder / 'checkpoints' / 'best.ckpt'}: is not the network that wrote "
            "predictions.csv beside it"
        )
    return FittedRun(config, folder, panel, datamodule, trained, predictions)


def _recall_network(record: RunRecord, datamodule: WindowDataModule) -> TrainedNetwork:
    """Return the network of a finished run with its outputs for every sample."""
    config = record.settings
    path = record.folder / "checkpoints" / "best.ckpt"
    forecaster, _ = load_best(path, datamodule.features.shape[1], config.fit_settings)
    outputs = run_network(forecaster, datamodule.windows(), config)
    return TrainedNetwork(forecaster, record.training, outputs)


def _agree(predictions: pd.DataFrame, again: pd.DataFrame, tolerance: float) -> bool:
    """Return whether two tables hold the same days, outcomes and forecasts."""
    # Values, for pandas 2 keeps dates in the unit that they were made in.
    same_days = all(np.array_equal(again[name], predictions[name]) for name in ("date", "segment"))
    return same_days and all(
        np.allclose(
            again[name], predictions[name], rtol=0, atol=tolerance * again[name].abs().max()
        )
        for name in ("actual", "forecast")
    )


def assess_on_days(
    record: RunRecord,
    folder: Path,
    *,
    first: datetime.date | None,
    last: datetime.date | None,
    looks: Path | None,
) -> RunResult:
    """Assess a finished run on days after its validation, and write what it is worth.

    Network and scaler are those of the run, and its baselines learn from the rows that it was
    trained on. Everything forecasts all days after validation in their order, so that on its own
    test days each forecast and each bound is that of the run. Only the days asked for are scored.

    Args:
        record: The run; `data` of its settings may name newer files.
        folder: Where the files go.
        first: First day that is scored; None for the first after validation.
        last: Last day; later rows are not read. None for the newest.
        looks: Ledger that counts the look; None counts nothing.

    Raises:
        ConfigError: If no such day is in the data, or validation has seen one.
        DataError: If a row that the run was trained on has changed.
        MachineError: If the ledger or a file cannot be written.
    """
    if first and last and first > last:
        raise ConfigError(f"--from {first}: lies after --to {last}")
    require_local_files(folder)
    config = record.settings.model_copy(update={"logger": []})  # they hold the run's own days
    set_up_process(config.hardware.on_cpu())
    market = build_market(config.data, config.target)
    datamodule = _until(record, market, last)
    require_same_history(record, datamodule.features)
    trained = _recall_network(record, datamodule)
    predictions = predict_samples(datamodule, trained, config)
    run = FittedRun(config, folder, market.panel, datamodule, trained, predictions)
    forecasts = join_baselines(run)
    if first is not None:
        forecasts = forecasts.since(pd.Timestamp(first))
        run = replace(_from_day(record, run, first), predictions=forecasts.predictions)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / PROVENANCE_FILE, provenance(market, datamodule))
    write_predictions(folder, run.predictions)
    write_tables(folder, forecasts)
    result = evaluate_run(run, forecasts, looks=looks)
    result = replace(result, sentence=f"{result.sentence}{_overlap(record, result)}")
    close_run(result)
    return result


def _overlap(record: RunRecord, result: RunResult) -> str:
    """Return what a reader should know of days that the run itself was tested on."""
    known = read_predictions(record.folder, record.settings.target.kind)
    shared = result.days.dates.isin(known["date"][known["segment"] == "test"]).sum()
    if not shared:
        return ""
    said = f" {shared} of these {len(result.days)} days were test days of the run itself."
    return result.days.rhythm.words(said)


def other_days_folder(run: Path, first: object, last: object) -> Path:
    """Return where the files of other days go, unless somebody names another folder.

    Raises:
        ConfigError: If that leads out of the folder of the run, which may be a stranger's.
    """
    folder = run / f"evaluation_{first or 'start'}_{last or 'end'}"
    if folder.is_symlink():
        raise ConfigError(f"{folder}: is a link, where nothing is written; remove it")
    return folder


def _until(record: RunRecord, market: Market, last: datetime.date | None) -> WindowDataModule:
    """Return the samples until a day; all after validation are the test segment."""
    require_test_days(record.folder)
    settings = record.settings.dataset_settings
    features, target = build_table(market.panel, settings.features, settings.target)
    if last is not None:
        known = (target["date"] <= pd.Timestamp(last)).to_numpy()
        features, target = features[known], target[known]
    trained, checked = record.training_rows, record.validation_span
    dates = target["date"].dropna()
    start, end = _rows(pd.Series(features.index), trained)
    val, val_end = _rows(dates, checked)
    purged = settings.target.horizon - 1
    test = val_end + 1 + purged
    if test >= len(dates):
        raise ConfigError(
            f"{record.folder}: validation ended on {checked.last_date}, and the data hold no "
            f"outcome after it{'' if last is None else f' until {last}'}; name newer "
            "files with --data-root"
        )
    split = Split(range(start, end + 1), range(val, val_end + 1), range(test, len(dates)))
    return WindowDataModule(features, target, settings, split=split)


def _rows(days: pd.Series, span: Span) -> tuple[int, int]:
    """Return the first and last row of a span in ascending days."""
    first, last = (
        int(days.searchsorted(pd.Timestamp(day))) for day in (span.first_date, span.last_date)
    )
    return first, last


def _from_day(record: RunRecord, run: FittedRun, first: datetime.date) -> FittedRun:
    """Return the run without the samples of the test segment before a day.

    Raises:
        ConfigError: If none is left, or validation has seen that day.
    """
    end = record.validation_span.last_date
    if first <= end:
        raise ConfigError(
            f"--from {first}: the run has learnt from outcomes until {end}; "
            "only later days can be scored"
        )
    module, trained = run.datamodule, run.trained
    dates = module.target["date"].dropna()
    if pd.Timestamp(first) > dates.iloc[-1]:
        raise ConfigError(
            f"--from {first}: the newest outcome until --to is of {dates.iloc[-1]:%Y-%m-%d}; give "
            "other days, or newer files with --data-root"
        )
    start = max(int(dates.searchsorted(pd.Timestamp(first))), module.split.test.start)
    split = replace(module.split, test=range(start, module.split.test.stop))
    settings = run.config.dataset_settings
    later = WindowDataModule(module.features, module.target, settings, split=split)
    kept = torch.from_numpy(np.isin(module.origins, later.origins))
    return replace(run, datamodule=later, trained=replace(trained, outputs=trained.outputs[kept]))
