"""What happened on the days of some forecasts, and what the baselines forecast for them."""

import datetime
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ironore_lightning.data.features import build_table
from ironore_lightning.data.market_cache import build_market
from ironore_lightning.errors import DataError
from ironore_lightning.evaluation.baselines import Samples, outcome_baselines, point_baselines
from ironore_lightning.evaluation.days import ScoredDays, scored_days
from ironore_lightning.evaluation.forecasts import BOUNDS
from ironore_lightning.judge.forecast_file import ForecastFile, require_units
from ironore_lightning.settings.experiment import Config
from ironore_lightning.settings.samples import DateSplit, TargetSettings
from ironore_lightning.trading_calendar.holidays import Holidays
from ironore_lightning.trading_calendar.rhythm import DAILY, Rhythm, require_rhythm, rows_apart

FEWEST_DAYS = 20
"""Fewest days that can be assessed; the grade asks for more."""

FEWEST_BEFORE = 100
"""Fewest samples of the market before the first day, from which its baselines learn."""

VALIDATION_SHARE = 0.15
"""Share of those samples that chooses the strength of ridge, boosting and NLinear."""

AGREE = 0.01
"""Largest difference from the market's outcome that rounding explains, relative or in per cent."""

UNDECLARED = (
    "Nobody has said until when this forecaster was trained (trained_until=YYYY-MM-DD), so it may "
    "know these days."
)


@dataclass(frozen=True, eq=False)
class JudgedDays:
    """Days to assess.

    Attributes:
        days: Forecasts and outcomes.
        baselines: Of the same days.
        notes: Which days do not count, and what is not known.
    """

    days: ScoredDays
    baselines: pd.DataFrame
    notes: tuple[str, ...]


def take_from_file(
    file: ForecastFile, target: TargetSettings, trained_until: datetime.date | None
) -> JudgedDays:
    """Return the days of a file that holds its own outcomes.

    Raises:
        DataError: If dates or units do not fit, or too few days are left.
    """
    rows = file.rows[file.rows["actual"].notna()].assign(is_roll=False)
    dates = pd.DatetimeIndex(rows["date"])
    rhythm = require_rhythm(dates, {file.name: dates}, Holidays())
    _require_horizon(file, target.horizon, rhythm)
    _require_every_origin(file)
    if target.is_return:
        require_units(file.name, rows)
    counted = _counted(file, rows, trained_until)
    baselines = outcome_baselines(rows["actual"].to_numpy(np.float64), horizon=target.horizon)
    notes = (
        *_notes(file, rows, counted, trained_until, rhythm),
        "outcomes are the file's own: without a market (data=...) boosting and NLinear are not "
        "among the baselines, and rolls cost nothing",
    )
    scored = _scored(rows[counted], target, rhythm)
    return JudgedDays(scored, _numbered(baselines[counted]), notes)


def take_from_market(
    file: ForecastFile, config: Config, trained_until: datetime.date | None
) -> JudgedDays:
    """Return the days of a file with the outcomes of the market that the settings name.

    The baselines learn from the market before the first day, as they do beside a run of ours.

    Raises:
        DataError: If the days or outcomes of the file are not those of the market, or too few days
            are left.
    """
    panel = build_market(config.data, config.target).panel
    _require_horizon(file, config.target.horizon, panel.rhythm)
    features, target = build_table(panel, config.features.names, config.target)
    rows = _with_outcomes(file, target)
    if config.target.is_return:
        require_units(file.name, rows)
    counted = _counted(file, rows, trained_until)
    scored = _scored(rows[counted], config.target, panel.rhythm)
    baselines = _market_baselines(file, features, target, config, scored.dates)
    return JudgedDays(scored, baselines, _notes(file, rows, counted, trained_until, panel.rhythm))


def _counted(
    file: ForecastFile, rows: pd.DataFrame, trained_until: datetime.date | None
) -> np.ndarray:
    """Return whether each day counts: its return begins when training is over.

    Raises:
        DataError: If too few count.
    """
    since = pd.Timestamp.min if trained_until is None else pd.Timestamp(trained_until)
    counted = (rows["origin"] >= since).to_numpy()
    if counted.sum() < FEWEST_DAYS:
        remark = "" if trained_until is None else f" after trained_until={trained_until}"
        raise DataError(
            f"{file.name}: {counted.sum()} days with an outcome count{remark}, at least "
            f"{FEWEST_DAYS} are needed to say anything"
        )
    return counted


def _notes(
    file: ForecastFile,
    rows: pd.DataFrame,
    counted: np.ndarray,
    trained_until: datetime.date | None,
    rhythm: Rhythm,
) -> tuple[str, ...]:
    """Return notes on days that do not count and columns that are not read."""
    noun, notes = rhythm.noun, []
    if trained_until is None:
        notes.append(rhythm.words(UNDECLARED))
    if before := int((~counted).sum()):
        notes.append(
            f"{before} {noun}s do not count: they begin before trained_until={trained_until}"
        )
    if unknown := len(file.rows) - len(rows):
        notes.append(f"{unknown} {noun}s do not count: their outcome is not known")
    if file.not_read:
        notes.append(f"columns that are not read: {', '.join(file.not_read[:10])}")
    return tuple(notes)


def _scored(rows: pd.DataFrame, target: TargetSettings, rhythm: Rhythm) -> ScoredDays:
    profit = [name for name in ("profit",) if name in rows]
    frame = _numbered(rows[["date", "actual", "forecast", *BOUNDS, "is_roll", *profit]])
    return scored_days(frame, target, rhythm)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index(drop=True)


def _require_horizon(file: ForecastFile, horizon: int, rhythm: Rhythm) -> None:
    """Raise unless most forecasts reach as many rows ahead as the target does."""
    origins, dates = (pd.DatetimeIndex(file.rows[name]) for name in ("origin", "date"))
    ahead = float(np.median(rows_apart(origins, dates, rhythm)))
    if ahead != horizon:
        unit = "weekdays" if rhythm == DAILY else f"{rhythm.noun}s"
        remedy = (
            f"set target.horizon={ahead:.0f}, or correct them" if ahead >= 1 else "correct them"
        )
        raise DataError(
            f"{file.name}: most forecasts reach {ahead:g} {unit} from origin to date, and "
            f"target.horizon is {horizon}; {remedy}"
        )


def _require_every_origin(file: ForecastFile) -> None:
    """Raise if a day on which a forecast was made is no day that is forecast.

    Origins are trading days. One that has no row is all that a file tells of a day left out.
    """
    origins, dates = file.rows["origin"], file.rows["date"]
    missing = origins[(origins > dates.iloc[0]) & ~origins.isin(dates)]
    if len(missing):
        raise DataError(
            f"{file.name}: there is no forecast of {missing.iloc[0]:%Y-%m-%d}, which is an origin "
            f"and so a trading day ({len(missing)} are missing); a verdict on chosen days says "
            "nothing"
        )


def _with_outcomes(file: ForecastFile, target: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the file whose outcome the market knows, with that outcome.

    Raises:
        DataError: If a day is none of the market, is left out, or has another origin or outcome.
    """
    dated = target[target["date"].notna()]
    market = (
        dated.drop(columns="with_breaks", errors="ignore")
        .assign(newest=dated.index)
        .set_index(pd.DatetimeIndex(dated["date"]))
        .drop(columns="date")
    )
    rows = file.rows[file.rows["date"] <= market.index[-1]]
    if rows.empty:
        raise DataError(f"{file.name}: the market ends on {market.index[-1]:%Y-%m-%d}, before it")
    strange = rows["date"][~rows["date"].isin(market.index)]
    if len(strange):
        raise DataError(
            f"{file.name}: {strange.iloc[0]:%Y-%m-%d} is no trading day of the market, which has "
            f"returns from {market.index[0]:%Y-%m-%d} to {market.index[-1]:%Y-%m-%d}"
        )
    span = market.loc[rows["date"].iloc[0] : rows["date"].iloc[-1]]
    missing = span.index[span["value"].notna() & ~span.index.isin(rows["date"])]
    if len(missing):
        raise DataError(
            f"{file.name}: there is no forecast of {missing[0]:%Y-%m-%d}, a trading day of the "
            f"market ({len(missing)} are missing); a verdict on chosen days says nothing"
        )
    known = market.loc[rows["date"]].reset_index(drop=True)
    rows = _numbered(rows)
    _require_same(file, rows, known)
    outcomes = known.drop(columns="newest").rename(columns={"value": "actual"})
    judged: pd.DataFrame = rows.assign(**outcomes)
    return judged[judged["actual"].notna()]


def _require_same(file: ForecastFile, rows: pd.DataFrame, market: pd.DataFrame) -> None:
    """Raise if an origin is too late, or an outcome is not the market's."""
    late = (rows["origin"] > market["newest"]).to_numpy()
    if late.any():
        row = int(late.argmax())
        raise DataError(
            f"{file.name}: the forecast of {rows['date'][row]:%Y-%m-%d} has the origin "
            f"{rows['origin'][row]:%Y-%m-%d}, but that return begins on "
            f"{market['newest'][row]:%Y-%m-%d}; is target.horizon right?"
        )
    difference = (rows["actual"] - market["value"]).abs()
    wrong = (difference > AGREE * market["value"].abs().clip(lower=1.0)).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{file.name}: actual of {rows['date'][row]:%Y-%m-%d} is {rows['actual'][row]:g}, and "
            f"{market['value'][row]:g} in the market; is it another series, day, unit or kind of "
            "return (target.series, target.kind)?"
        )


def _market_baselines(
    file: ForecastFile,
    features: pd.DataFrame,
    target: pd.DataFrame,
    config: Config,
    dates: pd.DatetimeIndex,
) -> pd.DataFrame:
    """Return what the nine baselines forecast for consecutive days of the market.

    Raises:
        DataError: If there is too little market before the first of these days.
    """
    known = target["date"][target["value"].notna() & (target["date"] < dates[0])]
    before = known.iloc[config.window.sequence_length :]
    if len(before) < FEWEST_BEFORE:
        raise DataError(
            f"{file.name}: the market has {len(before)} windows before {dates[0]:%Y-%m-%d}, and "
            f"the baselines need {FEWEST_BEFORE}; leave out the first days, or set trained_until"
        )
    from ironore_lightning.data.datamodule import WindowDataModule  # imports lightning

    first_val = before.iloc[int(len(before) * (1 - VALIDATION_SHARE))]
    split = DateSplit(method="date", val_start=first_val.date(), test_start=dates[0].date())
    module = WindowDataModule(features, target, replace(config.dataset_settings, split=split))
    outcomes = module.outcomes
    until = (outcomes["date"] <= dates[-1]).to_numpy()
    samples = Samples(
        windows=module.windows()[until],
        actual=outcomes["actual"].to_numpy(np.float64)[until],
        segment=outcomes["segment"].to_numpy(dtype=np.str_)[until],
        horizon=config.target.horizon,
    )
    return _numbered(point_baselines(samples)[samples.segment == "test"])
