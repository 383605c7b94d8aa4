"""The forecast of the next trading day with finished runs."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.panel import Panel, build_panel, roll_facts
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.data.rolls import held_months
from ironore_lightning.data.windows import WindowDataset
from ironore_lightning.errors import ConfigError, DataError, single_line
from ironore_lightning.evaluation.assessment import assess
from ironore_lightning.evaluation.days import OUTCOME_WORDS, to_price
from ironore_lightning.evaluation.forecasts import (
    BOUNDS,
    conformal_bounds,
    distribution_bounds,
    mean_forecast,
)
from ironore_lightning.evaluation.intervals import COVERAGES
from ironore_lightning.experiment import complete_forecasts
from ironore_lightning.model.checkpoints import require_finite
from ironore_lightning.model.hardware import cpu_precision
from ironore_lightning.model.training import load_network
from ironore_lightning.recall import recall_run
from ironore_lightning.report.style import counted
from ironore_lightning.report.table import Table, make_facts, make_table, number
from ironore_lightning.run_folder.forecast_tables import (
    has_tables,
    read_forecasts,
    read_predictions,
)
from ironore_lightning.run_folder.looks import count_look, ledger_path
from ironore_lightning.run_folder.provenance import require_same_history
from ironore_lightning.run_folder.record import RunRecord, read_run
from ironore_lightning.settings.experiment import Config
from ironore_lightning.summary.membership import member_evidence, read_membership
from ironore_lightning.trading_calendar.rhythm import DAILY
from ironore_lightning.trading_calendar.trading_days import Calendar

FURTHEST = 10.0
"""Distance from the training rows, in their spreads, beyond which a value has another unit."""


@dataclass(frozen=True)
class NextDayForecast:
    """The forecast of the next trading day.

    Attributes:
        date: The day on which the return ends: weekends are skipped, and holidays if known.
        holidays_known: Whether they are, in the year of that day.
        origin: Newest row that was read.
        age_days: Trading days after it that have passed.
        series: What is forecast.
        forecast: In `unit`.
        bounds: `lower_80`, `upper_80`, `lower_90`, `upper_90`, in `unit`; None where unknown.
        price: Where the forecast puts the price; None for a target without one.
        price_bounds: The bounds as prices.
        contract_month: Contract of that price.
        staleness: Trading days since each driver was new.
        runs: Folders of the networks.
        evidence: The grade that they had earned, in one line.
        warnings: What a reader should know first.
        unit: Of forecast and bounds: per cent of return, or that of another outcome.
        word: What the outcome is called.
        noun: What a row is: a day, week or month; ages and staleness count them.
        refits: Of what the networks are refits, a line each.
    """

    date: str
    holidays_known: bool
    origin: str
    age_days: int
    series: str
    forecast: float
    bounds: dict[str, float | None]
    price: float | None
    price_bounds: dict[str, float | None]
    contract_month: str | None
    staleness: dict[str, int]
    runs: list[str]
    evidence: str
    warnings: list[str]
    unit: str
    word: str
    noun: str
    refits: list[str]

    @property
    def age(self) -> str:
        """How old the newest row is, in words."""
        return age_of(self.age_days, self.noun)


def forecast_next(runs: Sequence[RunRecord], *, today: datetime.date) -> NextDayForecast:
    """Forecast the day after the newest row with the mean of the runs.

    Raises:
        ConfigError: If the runs do not forecast the same thing.
        DataError: If the data no longer fit a run.
    """
    require_same_task(runs)
    config = runs[0].settings
    raw = read_raw(config.data)
    panel = build_panel(raw, config.data, config.target)
    return forecast_on(runs, raw, panel, predict_mean(runs, panel), today=today)


def predict_mean(runs: Sequence[RunRecord], panel: Panel) -> pd.DataFrame:
    """Return the mean forecast of the runs by origin, newest last.

    The four bounds stand beside it where a single run says a distribution.

    Raises:
        DataError: If the data no longer fit a run.
    """
    rows = [predict_rows(run, panel) for run in runs]
    if len(rows) == 1:
        return rows[0]
    forecasts = [frame["forecast"] for frame in rows]
    return pd.concat(forecasts, axis=1, join="inner").mean(axis=1).to_frame("forecast")


def forecast_on(
    runs: Sequence[RunRecord],
    raw: RawData,
    panel: Panel,
    rows: pd.DataFrame,
    *,
    today: datetime.date,
) -> NextDayForecast:
    """Return the forecast of the day after the newest row, which is the last of `rows`.

    Args:
        runs: Finished runs of one task.
        raw: What their data settings read now.
        panel: The same, joined.
        rows: Of `predict_mean`.
        today: Tells how old the newest row is.

    Raises:
        ConfigError: If the data lack the validation segment of the runs.
        DataError: If the newest row lies in the future.
    """
    config = runs[0].settings
    origin = pd.Timestamp(panel.days[-1])
    _require_past(origin, today)
    bounds = _newest_bounds(rows, panel, runs[0])
    date = pd.Timestamp(panel.calendar.ahead(panel.days[-1:], config.target.horizon)[0])
    base, month = price_base(raw, panel, config, date)
    newest, kind = float(rows["forecast"].iloc[-1]), config.target.kind
    return NextDayForecast(
        date=f"{date:%Y-%m-%d}",
        holidays_known=panel.calendar.knows(date),
        origin=f"{origin:%Y-%m-%d}",
        age_days=max(0, panel.calendar.between(origin, today)),
        series=config.target.series,
        forecast=newest,
        bounds=bounds,
        price=to_price(newest, base, kind),
        price_bounds={name: to_price(bound, base, kind) for name, bound in bounds.items()},
        contract_month=month,
        staleness=_staleness(runs, panel),
        runs=[str(run.folder) for run in runs],
        evidence=evidence_of(runs),
        warnings=_warnings(raw, panel, config, date, today),
        unit=config.target.unit_name,
        word=OUTCOME_WORDS[kind],
        noun=panel.rhythm.noun,
        refits=[run.refit.sentence for run in runs if run.refit],
    )


def predict_rows(run: RunRecord, panel: Panel) -> pd.DataFrame:
    """Forecast with one network at every row that ends a full window, newest last.

    A refit has learnt the outcomes until its end, and its errors there are too small. So the
    forecasts of those days are the ones of `predictions.csv`, which were made without knowing them.

    Returns:
        By origin: `forecast`, and the four bounds if the network says a distribution.

    Raises:
        DataError: If its training rows were restated, the newest row is in another unit, or there
            are fewer rows than a window has.
    """
    features = build_features(panel, run.settings.features.names)
    require_same_history(run, features)
    rows = network_rows(run, features)
    return with_known(run, rows, panel) if run.refit else rows


def with_known(run: RunRecord, rows: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return forecasts by origin: those of `predictions.csv` wherever it has the outcome's day.

    Args:
        run: Whose file it is.
        rows: Of its network, by origin.
        panel: Tells the day of each outcome.
    """
    known = read_predictions(run.folder, run.settings.target.kind).set_index("date")
    days = build_target(panel, run.settings.target)["date"].loc[rows.index]
    is_known = days.isin(known.index).to_numpy()
    rows = rows.copy()
    rows.loc[is_known] = known.loc[days[is_known], rows.columns].to_numpy()
    return rows


def network_rows(run: RunRecord, features: pd.DataFrame) -> pd.DataFrame:
    """Forecast with the network of a run, whether or not it was trained on such values.

    Args:
        run: With its checkpoint.
        features: Unscaled, shape (T, F).

    Returns:
        As `predict_rows`.

    Raises:
        DataError: If the newest row is in another unit, or there are fewer rows than a window has.
    """
    config = run.settings
    path = run.folder / "checkpoints" / "best.ckpt"
    forecaster, scaler = load_network(path, features.shape[1], config.fit_settings)
    values = scaler.apply(features.to_numpy(np.float64))
    _require_same_units(run, features, values[-1])
    length = config.window.sequence_length
    if len(features) < length:
        raise DataError(
            f"{run.folder}: its window has {length} rows, and the data only {len(features)}"
        )
    origins = np.arange(length - 1, len(features))
    scaled = torch.from_numpy(values.astype(np.float32))
    samples = WindowDataset(scaled, torch.zeros(len(features)), origins, sequence_length=length)
    with torch.no_grad(), cpu_precision(config.hardware.precision):
        parameters = forecaster(samples[torch.arange(len(samples))].inputs)
    require_finite(path, "the forecast of its network", parameters)
    frame = pd.DataFrame(
        {"forecast": forecaster.head.forecast(parameters).double().numpy()},
        index=features.index[origins],
    )
    if (distribution := forecaster.head.distribution(parameters)) is not None:
        frame = frame.assign(**distribution_bounds(distribution))
    return frame


def describe(next_day: NextDayForecast) -> list[str | Table]:
    """Return the warnings, the forecast as a table, and what to know beside it."""
    has_price = next_day.price is not None
    measure = f"{next_day.word}, {next_day.unit}"
    where = f", price of {next_day.contract_month}" if next_day.contract_month else ""
    rows = [("forecast", f"{next_day.forecast:+.2f}", number(next_day.price, 2))]
    for coverage in COVERAGES:
        name = f"{100 * coverage:.0f}"
        for words, side in (("lower bound", "lower"), ("upper bound", "upper")):
            change, price = (
                bounds[f"{side}_{name}"] for bounds in (next_day.bounds, next_day.price_bounds)
            )
            rows.append((f"{name} %, {words}", number(change, 2, sign="+"), number(price, 2)))
    frame = pd.DataFrame(rows, columns=[f"{next_day.series}{where}", measure, "price"])
    oldest = max(next_day.staleness, key=lambda name: next_day.staleness[name])
    holidays = "" if next_day.holidays_known else ", if that is no holiday (they are not known)"
    facts = [
        (f"for the {next_day.noun}", f"{next_day.date}{holidays}"),
        ("newest row", f"{next_day.origin}, {next_day.age}"),
        ("oldest driver", f"{oldest}, {age_of(next_day.staleness[oldest], next_day.noun)}"),
        *(("network", refit) for refit in next_day.refits),
        ("earned so far", next_day.evidence),
    ]
    return [
        *(f"warning: {warning}" for warning in next_day.warnings),
        make_table(frame if has_price else frame.drop(columns="price")),
        "",
        make_facts(facts),
    ]


def _staleness(runs: Sequence[RunRecord], panel: Panel) -> dict[str, int]:
    names = {feature.name for run in runs for feature in run.settings.features.names}
    return {name: int(panel.staleness[name].iloc[-1]) for name in sorted(names)}


def _newest_bounds(rows: pd.DataFrame, panel: Panel, run: RunRecord) -> dict[str, float | None]:
    if "lower_80" in rows:
        return {name: float(rows[name].iloc[-1]) for name in BOUNDS}
    outcome = build_target(panel, run.settings.target)["value"]
    return _conformal_bounds(rows["forecast"], outcome, run)


def _conformal_bounds(
    forecast: pd.Series, outcome: pd.Series, run: RunRecord
) -> dict[str, float | None]:
    """Return intervals of the newest forecast from the errors since validation began."""
    horizon = run.settings.target.horizon
    outcome = outcome.loc[forecast.index]
    ends = pd.Series(outcome.index, index=outcome.index).shift(-horizon)
    rows = pd.DataFrame({"actual": outcome, "forecast": forecast}).loc[
        outcome.notna() | ends.isna()  # of samples without an outcome, only the newest counts
    ]
    rows["segment"] = segments_of(ends.loc[rows.index], run)
    bounds = conformal_bounds(rows, run.settings.evaluation.adaptation, horizon=horizon).iloc[-1]
    return {name: float(bounds[name]) if np.isfinite(bounds[name]) else None for name in BOUNDS}


def segments_of(days: pd.Series, run: RunRecord) -> np.ndarray:
    """Return the segment of each outcome of a run by its day; those not known yet are of the test.

    Raises:
        ConfigError: If the validation segment is not there, or nothing before it.
    """
    first = pd.Timestamp(run.validation_span.first_date)
    last = pd.Timestamp(run.validation_span.last_date)
    segments = np.where(days < first, "train", np.where(days <= last, "val", "test"))
    if not {"train", "val"} <= {*segments}:
        raise ConfigError(
            f"{run.folder}: its data have no outcome between {first:%Y-%m-%d} and "
            f"{last:%Y-%m-%d}, which should be its validation segment, or none before"
        )
    return segments


def price_base(
    raw: RawData, panel: Panel, config: Config, date: pd.Timestamp
) -> tuple[float | None, str | None]:
    """Return the newest price and the month of the contract held on `date`."""
    series = config.target.series
    if config.target.kind == "given":
        return None, None
    if series not in panel.futures:
        return float(panel.values[series].iloc[-1]), None
    month = contract_on(date, raw, config)
    closes = raw.contracts[series]
    if month not in closes:
        return None, str(month) if month else None
    price = float(closes[month].loc[panel.days[-1]])
    return (price if np.isfinite(price) else None), str(month)


def contract_on(day: pd.Timestamp, raw: RawData, config: Config) -> pd.Period | None:
    """Return the contract that is held on a day; None after the last one of a roll file."""
    leg = config.target.series
    futures = config.data.contracts[leg].futures
    days = pd.DatetimeIndex([day])
    held = held_months(days, raw.contracts[leg], futures, roll_facts(raw, leg)).dropna()
    return held[0] if len(held) else None


def evidence_of(runs: Sequence[RunRecord]) -> str:
    """Return the grade of one run, or of the mean forecast on the common test days.

    Runs of a multirun are graded by its summary, which corrects for all that was tried. Refits have
    the grade of the runs that they come from.
    """
    if len(runs) > 1 and any(run.refit for run in runs):
        try:
            return evidence_of([_graded(run) for run in runs])
        except (ConfigError, DataError) as error:
            return f"not known: a run that was refitted is gone or has changed: {error}"
    members = [member for run in runs if (member := read_membership(run.folder))]
    if len(members) == len(runs) and len({member.folder for member in members}) == 1:
        return member_evidence(members)
    remark = "with runs of a multirun, for which nothing is taken off: " if members else ""
    if len(runs) > 1:
        return remark + _mean_evidence(runs)
    return runs[0].earned or (
        "not known: its test days were never assessed; "
        f"python -m ironore_lightning.evaluate {single_line(runs[0].folder)} does that"
    )


def _graded(run: RunRecord) -> RunRecord:
    """Return the run that a refit comes from, or the run itself."""
    return read_run(Path(run.refit.of), None) if run.refit else run


def _mean_evidence(runs: Sequence[RunRecord]) -> str:
    """Count the look at the mean forecast of several runs, and return its grade."""
    first = runs[0]
    target, folder = first.settings.target, first.folder
    tables = (
        read_forecasts(folder, target.kind)
        if has_tables(folder)
        else complete_forecasts(recall_run(first))
    )
    others = [read_predictions(run.folder, target.kind) for run in runs[1:]]
    mean = mean_forecast([tables.predictions, *others])
    unbounded = mean.assign(**dict.fromkeys(BOUNDS, np.nan))
    days = replace(tables, predictions=unbounded).test_days(target)
    assessment = assess(
        days,
        tables.baselines,
        pd.DataFrame(index=days.frame.index),
        first.settings.evaluation,
        label=f"of the mean of {len(runs)} runs",
        look=count_look(ledger_path(Path.cwd()), days, what=f"mean with {folder}"),
    )
    return assessment.evidence.line


def _warnings(
    raw: RawData, panel: Panel, config: Config, date: pd.Timestamp, today: datetime.date
) -> list[str]:
    return [
        *panel.doubts,
        *_age_warning(panel.days[-1], panel.calendar, today),
        *_holiday_warning(date, panel.calendar, raw, config),
    ]


def _age_warning(origin: pd.Timestamp, calendar: Calendar, today: datetime.date) -> list[str]:
    """Return a warning if the data end before the last trading day."""
    missed = calendar.between(origin, today)
    if missed <= 0:
        return []
    rhythm = calendar.rhythm
    rows = "weekday" if rhythm == DAILY else rhythm.noun
    return [
        f"the newest row is {origin:%Y-%m-%d}, {missed} {rows}(s) before the last one that has "
        f"closed by {today}; this is a forecast for the {rhythm.noun} after it"
    ]


def age_of(rows: int, noun: str) -> str:
    """Return how old something is, counted in rows: 3 trading days old, 1 week old."""
    if noun == DAILY.noun:
        return f"{rows} trading days old"
    return f"{counted(rows, noun)} old"


def _holiday_warning(
    date: pd.Timestamp, calendar: Calendar, raw: RawData, config: Config
) -> list[str]:
    """Return a warning where an unknown holiday changes the contract that is forecast."""
    if calendar.knows(date) or config.target.series not in raw.contracts:
        return []
    after = calendar.ahead(pd.DatetimeIndex([date]), 1)[0]
    month, next_month = (contract_on(day, raw, config) for day in (date, after))
    if next_month in (month, None):
        return []
    return [
        f"holidays are not known (data.holidays): if nobody trades on {date:%Y-%m-%d}, this is a "
        f"forecast for {after:%Y-%m-%d} and contract {next_month}"
    ]


def _require_past(origin: pd.Timestamp, today: datetime.date) -> None:
    """Raise if the newest row lies in the future everywhere on earth."""
    if origin.date() > today + datetime.timedelta(days=1):
        raise DataError(
            f"the newest row is {origin:%Y-%m-%d}, and today is {today}; correct the date"
        )


def require_same_task(runs: Sequence[RunRecord]) -> None:
    """Raise `ConfigError` if the runs do not forecast the same thing."""
    for run in runs[1:]:
        if (run.refit is None) != (runs[0].refit is None):
            raise ConfigError(
                f"{run.folder} and {runs[0].folder}: one is a refit and one is not, so their "
                "forecasts have no mean; refit all or none"
            )
        for key in ("data", "target", "split"):
            if getattr(run.settings, key) != getattr(runs[0].settings, key):
                raise ConfigError(
                    f"{run.folder} and {runs[0].folder} differ in {key}, so their forecasts "
                    "have no mean"
                )


def _require_same_units(run: RunRecord, features: pd.DataFrame, newest: np.ndarray) -> None:
    """Raise if the newest value of a column lies too far from the training rows."""
    if run.settings.scaling.method == "none":
        return
    for name, value, scaled in zip(features, features.iloc[-1], newest, strict=True):
        if abs(scaled) > FURTHEST:
            raise DataError(
                f"{name}: its newest value {value:g} ({features.index[-1]:%Y-%m-%d}) lies "
                f"{abs(scaled):.0f} spreads from the training rows; has its unit changed?"
            )
