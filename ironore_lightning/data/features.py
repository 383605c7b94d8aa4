"""Features and target: columns of the panel, transformed without look-ahead."""

import datetime
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ironore_lightning.data.panel import Panel
from ironore_lightning.errors import ConfigError, DataError, LeakageError
from ironore_lightning.settings.samples import FeatureSettings, TargetSettings

SAME_SHARE = 0.9
"""Share of rows equal to the target above which a feature is a leak."""


def build_table(
    panel: Panel, features: Sequence[FeatureSettings], target: TargetSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features, shape (T, F), and the target of the same rows.

    Where the series has break days, the target has one more column: `with_breaks`, the outcome as
    if a break of the specification were a move of the market.

    Raises:
        ConfigError: If the settings do not fit the panel.
        DataError: If a feature has no value where it is needed.
        LeakageError: If a feature equals the target.
    """
    table = build_features(panel, features)
    outcomes = build_target(panel, target).loc[table.index]
    if _breaks(panel, target).any():
        outcomes["with_breaks"] = _outcome(panel, target, with_breaks=True).loc[table.index]
    require_no_target_leak(table, outcomes)
    return table, outcomes


def build_features(panel: Panel, features: Sequence[FeatureSettings]) -> pd.DataFrame:
    """Return the features: transformed over the whole history, then cut at the panel's start.

    Args:
        panel: Values, staleness and returns by trading day.
        features: Names and transforms, in the order of the model's inputs.

    Returns:
        Shape (T, F) from the start on, without gaps; returns are in per cent.

    Raises:
        ConfigError: If there is no column of that name, or no row from `data.panel.start` on.
        DataError: If a feature has no value yet on the first row, or the series of a return is not
            positive.
    """
    for feature in features:
        panel.require_column(feature.name, key="features.names")
    table = pd.concat(
        [_transform(panel, feature).rename(feature.label) for feature in features], axis=1
    )
    complete = table.notna().all(axis=1)
    if panel.start is not None:
        table = _cut_at(table, panel.start)
    elif complete.any():
        table = table.loc[complete.idxmax() :]
    _require_complete(table, complete)
    _require_no_hole(panel, table, reach=max(map(_reach, features)))
    return table


def _reach(feature: FeatureSettings) -> int:
    """Return how many rows before its own a feature reads."""
    if feature.window is not None:
        return feature.window - 1
    return 1 if feature.transform in ("log_return", "change") else 0


def _require_no_hole(panel: Panel, table: pd.DataFrame, *, reach: int) -> None:
    """Raise if the features of the first row reach back into a hole."""
    first = max(int(panel.days.searchsorted(table.index[0])) - reach, 0)
    for hole in panel.old_holes:
        if hole.end > panel.days[first]:
            raise DataError(
                f"{hole.message}; data.panel.start={panel.start} is too early for features that "
                f"reach back {reach} row(s): begin later, or complete the file"
            )


def build_target(panel: Panel, settings: TargetSettings) -> pd.DataFrame:
    """Return the target of every row of the panel: what happens over the next `horizon` days.

    Returns:
        By origin, shape (T, 3): `date`, the day on which the outcome is complete (NaT in the last
        rows); `value`, the outcome in `unit_name`, NaN where it, or what is earned on it, is not
        known yet or where a break of the specification lies inside; `is_roll`, whether the contract
        changes at the origin's close. With a `profit_series` also `profit`, its simple return over
        the same days, per cent, as if a break were a move of the market.

    Raises:
        ConfigError: If there is no such series.
        DataError: If the series of a return is not positive.
    """
    panel.require_column(settings.series, key="target.series")
    value = _outcome(panel, settings)
    table = {
        "date": _outcome_days(panel, value, settings.horizon),
        "value": value,
        "is_roll": _rolls_after(panel, settings.profit_series or settings.series),
    }
    if settings.profit_series is not None:
        table["profit"] = _profit(panel, settings)
    return pd.DataFrame(table)


def _profit(panel: Panel, settings: TargetSettings) -> pd.Series:
    """Return what a long position in the profit series earns over the days of each outcome."""
    name = settings.profit_series
    assert name is not None
    panel.require_column(name, key="target.profit_series")
    if name not in panel.futures:
        _require_positive(panel.values[name], "name another target.profit_series")
    earned = settings.model_copy(
        update={"series": name, "kind": "simple_return", "profit_series": None}
    )
    return _outcome(panel, earned, with_breaks=True)


def _outcome_days(panel: Panel, value: pd.Series, horizon: int) -> pd.Series:
    """Return by row the day on which its return ends, which may have no row yet."""
    ends = pd.Series(panel.days, index=panel.days).shift(-horizon)
    later = panel.calendar.ahead(panel.days, horizon)
    return ends.where(ends.notna() | value.isna(), later)


def _outcome(panel: Panel, settings: TargetSettings, *, with_breaks: bool = False) -> pd.Series:
    """Return by row what happens after it; NaN where its profit is asked for and not known."""
    outcome = _move_ahead(panel, settings, with_breaks=with_breaks)
    if settings.profit_series is not None:
        outcome = outcome.where(_profit(panel, settings).notna())
    if with_breaks:
        return outcome
    ahead = range(1, settings.horizon + 1)
    breaks = _breaks(panel, settings).astype(float)
    return outcome.mask(sum((breaks.shift(-days) for days in ahead), start=0.0 * breaks) > 0)


def _move_ahead(panel: Panel, settings: TargetSettings, *, with_breaks: bool) -> pd.Series:
    """Return by row what the series does over the next days, in the unit of the outcome."""
    daily = _daily_moves(panel, settings, with_breaks=with_breaks)
    if settings.kind == "given":
        return daily
    ahead = range(1, settings.horizon + 1)
    outcome = sum((daily.shift(-days) for days in ahead), start=0.0 * daily.fillna(0.0))
    return np.expm1(outcome / 100) * 100 if settings.kind == "simple_return" else outcome


def _daily_moves(panel: Panel, settings: TargetSettings, *, with_breaks: bool) -> pd.Series:
    """Return change or log return (per cent) since the row before, or the given target itself."""
    series = settings.series
    # A filled-forward value is the target of another day.
    observed = panel.values[series].where(panel.staleness[series] == 0)
    if settings.kind == "given":
        return observed
    if settings.kind == "change":
        if series not in panel.changes:
            return observed.diff()
        daily = panel.changes[series]
        return daily + panel.left_out_changes[series] if with_breaks else daily
    if series not in panel.futures:
        _require_positive(observed, "take its change, with target.kind=change")
    if series not in panel.log_returns:
        own: pd.Series = 100 * np.log(observed).diff()
        return own
    daily = 100 * panel.log_returns[series]
    return daily + 100 * panel.left_out[series] if with_breaks else daily


def _breaks(panel: Panel, settings: TargetSettings) -> pd.Series:
    """Return by row whether the move since the row before is none of the market's.

    A break of the profit series is one, too.
    """
    names = [name for name in (settings.series, settings.profit_series) if name in panel.breaks]
    return panel.breaks[names].any(axis=1)


def _is_of_table(panel: Panel, series: str) -> bool:
    """Return whether a prepared table names the contracts of a series."""
    return series in panel.changes and series not in panel.futures


def _rolls_after(panel: Panel, series: str) -> pd.Series:
    """Return by row whether the next row's return is of a newer contract.

    A prepared table has no price of the newer contract before its first row, so its roll is there.
    """
    if _is_of_table(panel, series):
        return panel.breaks[series]
    if series not in panel.futures:
        return pd.Series(data=False, index=panel.days)
    month = panel.futures[series].days["contract_month"].reindex(panel.days)
    rolled = month.ne(month.shift(-1))
    rolled.iloc[-1] = False  # the next row is not known yet
    return rolled


def _transform(panel: Panel, feature: FeatureSettings) -> pd.Series:
    values = panel.values[feature.name]
    if feature.transform == "log_return":
        _require_returns(panel, feature.name)
        _require_positive(values, "take its change, or data.futures.adjustment=ratio for a price")
        return _log_return(panel, feature.name)
    if feature.transform == "change":
        is_moved = _is_of_table(panel, feature.name)
        return panel.changes[feature.name] if is_moved else values.diff()
    if feature.transform == "staleness":
        return panel.staleness[feature.name]
    if feature.transform == "zscore":
        assert feature.window is not None  # FeatureSettings require it
        return _trailing_zscore(values, feature.window)
    return values


def _require_returns(panel: Panel, name: str) -> None:
    """Raise if the prices of a leg may be negative, so that it has changes and no returns."""
    if name in panel.log_returns and panel.log_returns[name].isna().all():
        raise ConfigError(
            f"features.names: {name} has no per-cent return, as its prices may be at or below zero "
            f"(data.contracts.{name}.positive: false); take transform: change"
        )


def _require_positive(values: pd.Series, remedy: str) -> None:
    """Raise if a value is not positive, such as a difference-adjusted price."""
    wrong = values[values <= 0]
    if len(wrong):
        day = pd.DatetimeIndex(wrong.index)[0].date()
        raise DataError(
            f"{values.name}: a return needs positive values, but it is {wrong.iloc[0]:g} on {day}; "
            f"{remedy}"
        )


def _log_return(panel: Panel, name: str) -> pd.Series:
    """Return the log return since the row before, per cent; of a price leg, the held contract's."""
    if name in panel.log_returns:
        return 100 * panel.log_returns[name]
    daily: pd.Series = 100 * np.log(panel.values[name]).diff()
    return daily


def _trailing_zscore(values: pd.Series, window: int) -> pd.Series:
    """Return the z-score in the trailing window; 0 if the window is constant."""
    trailing = values.rolling(window)
    spread = trailing.std(ddof=0)
    # The running sums of `rolling` leave rounding noise where the window is constant.
    is_flat = trailing.max() == trailing.min()
    return ((values - trailing.mean()) / spread.mask(is_flat)).mask(is_flat, 0.0)


def _cut_at(table: pd.DataFrame, start: datetime.date) -> pd.DataFrame:
    days = pd.DatetimeIndex(table.index)
    if days[-1] < pd.Timestamp(start):
        raise ConfigError(
            f"data.panel.start={start} lies after the last trading day {days[-1].date()}"
        )
    return table[days >= pd.Timestamp(start)]


def require_no_target_leak(features: pd.DataFrame, target: pd.DataFrame) -> None:
    """Raise `LeakageError` if a feature is the target itself, or what is earned on it."""
    known = target["value"].notna().to_numpy()
    for answer, words in (("value", "the target"), ("profit", "the profit of the target")):
        if answer not in target:
            continue
        answers = target[answer].to_numpy()[known]
        for name in features:
            read = features[name].to_numpy()[known]
            share = np.isclose(read, answers, rtol=1e-6, atol=1e-9).mean()
            if share > SAME_SHARE:
                raise LeakageError(
                    f"features.names: {name} equals {words} on {100 * share:.0f} % of the rows: "
                    "the model would read the answer"
                )


def _require_complete(table: pd.DataFrame, complete: pd.Series) -> None:
    """Raise if a feature lacks a value; values are filled forward, so only early rows can."""
    gaps = table.isna().any()
    if not gaps.any():
        return
    remedy = "leave it out"
    if complete.any():
        days = pd.DatetimeIndex(complete.index)
        remedy = f"set data.panel.start={days[int(complete.argmax())].date()} or leave it out"
    first = pd.DatetimeIndex(table.index)[0].date()
    raise DataError(f"{gaps.idxmax()}: it has no value yet on {first}; {remedy}")
