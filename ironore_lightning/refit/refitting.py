"""Refits: the network of a finished run, fitted once more on all days."""

import datetime
import glob
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.features import build_table, build_target
from ironore_lightning.data.market_cache import Market
from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data.splits import Split
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.evaluation.forecasts import BOUNDS, build_predictions
from ironore_lightning.files import write_json
from ironore_lightning.forecast.next_day import (
    evidence_of,
    network_rows,
    segments_of,
    with_known,
)
from ironore_lightning.model.hardware import set_up_process
from ironore_lightning.model.training import refit
from ironore_lightning.report.console import report_step
from ironore_lightning.report.epochs import silence_lightning
from ironore_lightning.run_folder.forecast_tables import write_predictions
from ironore_lightning.run_folder.layout import PROVENANCE_FILE, RESULTS_FILE
from ironore_lightning.run_folder.losses import read_losses
from ironore_lightning.run_folder.provenance import (
    provenance,
    require_same_history,
    table_digest,
)
from ironore_lightning.run_folder.record import RefitFacts, RunRecord, read_run
from ironore_lightning.settings.experiment import Config
from ironore_lightning.settings.samples import WalkForwardSplit


def refit_folder(
    folder: Path,
    *,
    data_root: str | None = None,
    output_dir: Path | None = None,
    accept_restated: bool = False,
) -> RunRecord:
    """Refit a finished run into a folder that is named for the newest day with an outcome.

    Args:
        folder: Of the run, or of an earlier refit.
        data_root: Newer files in place of its own.
        output_dir: Takes `RUN_DATE`; None for `refit_DATE` below the folder of the run.
        accept_restated: As for `refit_run`.

    Raises:
        Those of `refit_run`.
    """
    folder = folder.absolute()
    record = read_run(folder, data_root)
    market = read_market(record.settings)
    date = f"{newest_outcome(market.panel, record.settings):%Y-%m-%d}"
    made = folder / f"refit_{date}"
    if output_dir:
        made = output_dir.absolute() / f"{folder.name}_{date}"
    return refit_run(record, made, market, accept_restated=accept_restated)


def refit_run(
    record: RunRecord,
    folder: Path,
    market: Market | None = None,
    *,
    accept_restated: bool = False,
) -> RunRecord:
    """Fit the network of a run, or of an earlier refit, once more on all days with an outcome.

    Its `predictions.csv` holds what was forecast before the outcome was learnt: until the end of
    the run by the run itself, then by the networks in between. Bounds of later forecasts come from
    those errors, since the errors of a network on days that it has learnt are too small. A network
    that says a distribution keeps its own bounds, which nobody has tested.

    The folder appears when it is whole. If it holds this refit already, nothing is fitted.

    Args:
        record: The run; `data` of its settings may name newer files.
        folder: Where the refit goes.
        market: What those settings read now; None to read it.
        accept_restated: Whether values that the run has learnt may be others now. Its forecasts of
            the days in its own `predictions.csv` are kept, as they were made from the values of
            then; those of later days are made from the new values.

    Raises:
        ConfigError: If the folder holds something else, or the run cannot be fitted in this way.
        DataError: If the data do not fit the run.
        TrainingError: If the fit diverges.
    """
    config = record.settings
    _require_one_process(config)
    market = market or read_market(config)
    module = every_day(market.panel, config)
    made_of = provenance(market, module)
    facts = _facts(record, module, accept_restated=accept_restated)
    if folder.exists() and any(folder.iterdir()):
        return _require_same(RunRecord.read(folder), facts, made_of["table_sha256"])
    predictions = _predictions(record, module, market.panel)
    rates = facts.learning_rates
    report_step(f"fitting {len(module.origins)} samples, {len(rates)} epochs")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".refit_", dir=folder.parent) as place:
        whole = Path(place) / "refit"
        fit(config, module, whole, rates)
        write_predictions(whole, predictions)
        write_json(whole / PROVENANCE_FILE, made_of)
        write_json(whole / RESULTS_FILE, _results(record, module, predictions, facts))
        whole.rename(folder)
    return RunRecord.read(folder)


def newest_refit(
    run: RunRecord, folder: Path, market: Market, every: int, *, accept_restated: bool = False
) -> RunRecord:
    """Return the newest refit of a run; make one if `every` rows have come since the last fit.

    Refits that know later days than the market are passed over, so that an old morning is repeated
    with the network of then.

    Args:
        run: A finished run, or a refit.
        folder: Of the refits of a desk, each named for its run, its newest outcome and its table.
        market: What the data settings of the run read now.
        every: Rows of the panel after which a refit is due.
        accept_restated: Whether a refit is due, too, where values that were learnt are others now.

    Returns:
        What to forecast with, with the settings of `run`: the run itself until a refit is due.

    Raises:
        Those of `refit_run`.
    """
    config = run.settings
    until = newest_outcome(market.panel, config)
    known = [run, *_refits_until(until, run, folder)]
    newest = max(known, key=_learnt_until).model_copy(update={"settings": config})
    features, target = build_table(market.panel, config.features.names, config.target)
    is_due = (market.panel.days > _learnt_until(newest)).sum() >= every
    if not is_due and not (accept_restated and _is_restated(newest, features)):
        return newest
    table = f"{_source(run)} {table_digest(features, target)}"
    token = hashlib.sha256(table.encode()).hexdigest()[:8]
    made = refit_run(
        newest,
        folder / f"{run.folder.name}_{until:%Y-%m-%d}_{token}",
        market,
        accept_restated=accept_restated,
    )
    return made.model_copy(update={"settings": config})


def _refits_until(until: pd.Timestamp, run: RunRecord, folder: Path) -> list[RunRecord]:
    """Return the refits of a run in a folder that have learnt no day after `until`, by name."""
    whole = sorted(folder.glob(f"{glob.escape(run.folder.name)}_*/{RESULTS_FILE}"))
    found = [read_run(path.parent, None) for path in whole]
    return [
        refitted
        for refitted in found
        if refitted.refit and refitted.refit.of == _source(run) and _learnt_until(refitted) <= until
    ]


def _is_restated(record: RunRecord, features: pd.DataFrame) -> bool:
    try:
        require_same_history(record, features)
    except DataError:
        return True
    return False


def read_market(config: Config) -> Market:
    """Read the data of a run as they are now, whatever this process has read before."""
    raw = read_raw(config.data)
    return Market(raw, build_panel(raw, config.data, config.target))


def newest_outcome(panel: Panel, config: Config) -> pd.Timestamp:
    """Return the newest day on which an outcome is known."""
    target = build_target(panel, config.target)
    return pd.Timestamp(target["date"][target["value"].notna()].iloc[-1])


def every_day(panel: Panel, config: Config) -> WindowDataModule:
    """Return all samples with an outcome as one training segment.

    A walk-forward that forgets (`split.rolling`) keeps the length of its past.
    """
    settings = config.dataset_settings
    features, target = build_table(panel, settings.features, settings.target)
    end = int(np.flatnonzero(target["value"].notna())[-1]) + 1
    start = 0
    if isinstance(config.split, WalkForwardSplit) and config.split.rolling:
        start = max(0, end - config.split.initial)
    split = Split(range(start, end), range(end, end), range(end, end))
    return WindowDataModule(features, target, settings, split=split)


def fit(
    config: Config, module: WindowDataModule, folder: Path, learning_rates: Sequence[float]
) -> None:
    """Fit the network of some settings, and write `checkpoints/best.ckpt` into `folder`."""
    silence_lightning()
    set_up_process(config.hardware)
    folder.mkdir(exist_ok=True)
    refit(module, config.fit_settings, folder / "checkpoints", learning_rates)


def learning_rates_of(record: RunRecord) -> list[float]:
    """Return the learning rate of each epoch until the one that validation chose.

    A schedule may follow validation, which a refit has none of, so it repeats them.

    Raises:
        ConfigError: If the run has a schedule, and `losses.csv` does not hold its rates.
    """
    if record.refit:
        return record.refit.learning_rates
    training, epochs = record.settings.training, record.training.best_epoch
    if training.schedule == "none":
        return [training.learning_rate] * epochs
    rates = read_losses(record.folder)["learning_rate"].iloc[:epochs]
    if len(rates) < epochs or not rates.between(0, training.learning_rate).all():
        raise ConfigError(
            f"{record.folder / 'losses.csv'}: has no learning rates of the first {epochs} epochs, "
            f"which a refit with training.schedule={training.schedule} repeats; train again"
        )
    return [float(rate) for rate in rates]


def _facts(record: RunRecord, module: WindowDataModule, *, accept_restated: bool) -> RefitFacts:
    is_restated = _is_restated(record, module.features)
    if is_restated and not accept_restated:
        require_same_history(record, module.features)
    return RefitFacts(
        of=_source(record),
        until=module.outcomes["date"].iloc[-1].date(),
        learning_rates=learning_rates_of(record),
        restated=is_restated or bool(record.refit and record.refit.restated),
        evidence=evidence_of([record]),
    )


def _predictions(record: RunRecord, module: WindowDataModule, panel: Panel) -> pd.DataFrame:
    """Return what was forecast for every sample before its outcome was learnt, with bounds."""
    config, outcomes = record.settings, module.outcomes
    rows = with_known(record, network_rows(record, module.features), panel)
    rows = rows.loc[module.features.index[module.origins]].reset_index(drop=True)
    outcomes["segment"] = segments_of(outcomes["date"], record)
    forecast = rows["forecast"].to_numpy(np.float64)
    horizon = config.target.horizon
    table = build_predictions(outcomes, forecast, None, config.evaluation, horizon=horizon)
    if "lower_80" in rows:
        is_test = table["segment"] == "test"
        table = table.assign(**{name: rows[name].where(is_test) for name in BOUNDS})
    return table


def _results(
    record: RunRecord, module: WindowDataModule, predictions: pd.DataFrame, facts: RefitFacts
) -> Mapping[str, Any]:
    """Return the content of `final_results.json`, see `Results`."""
    days = predictions.groupby("segment", sort=False)["date"]
    return {
        "settings": record.settings.model_dump(mode="json"),
        "split": [
            {"segment": name, "samples": len(own), **_span(own.iloc[0], own.iloc[-1])}
            for name, own in days
        ],
        "training_rows": _span(module.training_rows.index[0], module.training_rows.index[-1]),
        "training": asdict(record.training),
        "validation": None,
        "evaluation": None,
        "refit": facts.model_dump(mode="json"),
    }


def _span(first: pd.Timestamp, last: pd.Timestamp) -> dict[str, str]:
    return {"first_date": f"{first:%Y-%m-%d}", "last_date": f"{last:%Y-%m-%d}"}


def _source(record: RunRecord) -> str:
    """Return the folder of the run itself, also of a refit of a refit."""
    return record.refit.of if record.refit else str(record.folder.resolve())


def _learnt_until(record: RunRecord) -> pd.Timestamp:
    day: datetime.date = record.refit.until if record.refit else record.training_rows.last_date
    return pd.Timestamp(day)


def _require_one_process(config: Config) -> None:
    if config.hardware.devices > 1:
        raise ConfigError(
            f"hardware.devices: a refit has one process, and the run has {config.hardware.devices} "
            "and larger steps; train it on one device first"
        )


def _require_same(known: RunRecord, facts: RefitFacts, table_digest: str) -> RunRecord:
    """Return a refit that is there; raise `ConfigError` if it is another one."""
    if known.refit != facts or known.table_sha256 != table_digest:
        raise ConfigError(f"{known.folder}: holds something else than this refit; name another")
    return known
