"""Find look-ahead: replace all data published after a day by noise, and rebuild.

The pipeline is a black box: raw data go in; features, target, scaler and windows come out, through
the functions that a run uses. A value that was final on a day but changes with later data has
looked ahead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ironore_lightning.audit.statistics import Finding
from ironore_lightning.data.datamodule import WindowDataModule, build_datamodule
from ironore_lightning.data.features import build_features
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import RawData
from ironore_lightning.settings.experiment import Config

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

CANARY = "canary (centred mean of 5 days)"
"""A column that looks two trading days ahead; an audit that misses it is broken."""


# --- the parts of a run ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Values of a run, and the day on which each row is final.

    Attributes:
        days: When each row is final, shape (N,).
        columns: Names, F of them.
        values: Shape (N, K, F), K values for each row and column.
    """

    days: pd.DatetimeIndex
    columns: tuple[str, ...]
    values: Array

    def changed(self, again: "Part") -> Flags:
        """Return which rows and columns differ, shape (N, F); all if the shapes do."""
        if not self.days.equals(again.days) or self.values.shape != again.values.shape:
            return np.ones((len(self.days), len(self.columns)), dtype=bool)
        same = (self.values == again.values) | (np.isnan(self.values) & np.isnan(again.values))
        return np.asarray(~same.all(axis=1))


def build_parts(raw: RawData, config: Config) -> dict[str, Part]:
    """Return features (with the canary), target, scaler and windows of a run, by name."""
    panel = build_panel(raw, config.data, config.target)
    module = build_datamodule(panel, config.dataset_settings)
    border = training_border(module)
    names = tuple(map(str, module.features.columns))
    outcomes = module.target[module.target["date"].notna()]
    windows = torch.cat([batch.inputs for batch in module.predict_dataloader()])
    ends = pd.DatetimeIndex(module.features.index)[module.origins]
    scale = np.stack([module.scaler.center, module.scaler.spread])
    return {
        "features": _features_part(module.features, raw, config),
        "target": Part(
            days=pd.DatetimeIndex(outcomes["date"]),
            columns=(config.target.series,),
            values=outcomes["value"].to_numpy(dtype=np.float64)[:, None, None],
        ),
        "scaler": Part(days=pd.DatetimeIndex([border]), columns=names, values=scale[None]),
        "windows": Part(
            days=ends.where(ends > border, border), columns=names, values=windows.numpy()
        ),
    }


def training_border(module: WindowDataModule) -> pd.Timestamp:
    """Return the last day that the scaler may have seen."""
    return pd.DatetimeIndex(module.features.index)[module.split.train.stop - 1]


def plant_canary(price: pd.Series) -> pd.Series:
    """Return the centred mean of five days."""
    return price.rolling(5, center=True).mean()


def _features_part(features: pd.DataFrame, raw: RawData, config: Config) -> Part:
    days = pd.DatetimeIndex(features.index)
    canary = plant_canary(_price(raw, config, days))
    table = features.assign(**{CANARY: canary})
    values = table.to_numpy(dtype=np.float64)[:, None, :]
    return Part(days=days, columns=tuple(map(str, table.columns)), values=values)


def _price(raw: RawData, config: Config, days: pd.DatetimeIndex) -> pd.Series:
    """Return the raw values behind the target, filled forward."""
    series = config.target.series
    if series in raw.contracts:
        price = raw.contracts[series].mean(axis=1)
    else:
        price = next(frame[series] for frame in raw.sources.values() if series in frame)
    return price.ffill().reindex(days, method="ffill")


# --- the future, replaced by noise ----------------------------------------------------------------


@dataclass(frozen=True)
class BlackBox:
    """The pipeline of a run, to rebuild with noise in place of the data after a cut.

    Attributes:
        raw: True data.
        config: Of the run.
        base: Parts built from the true data.
        noise: Replaces the data after a cut.
        rebuilt: Cached results of `changed`, by cut.
    """

    raw: RawData
    config: Config
    base: Mapping[str, Part]
    noise: RawData
    rebuilt: dict[pd.Timestamp, dict[str, Flags]] = field(default_factory=dict)

    def changed(self, cut: pd.Timestamp) -> dict[str, Flags]:
        """Return what changes, by part, if all data published after the cut are replaced.

        They are replaced by other values on the same dates and, for the features, also by nothing,
        which reveals features that depend on the dates alone.
        """
        if cut not in self.rebuilt:
            noisy = build_parts(self._with_replaced_future(cut, _replaced), self.config)
            changed = {name: part.changed(noisy[name]) for name, part in self.base.items()}
            blank = self._with_replaced_future(
                cut, partial(_blanked, days_of=self.config.target.series)
            )
            changed["features"] |= self.base["features"].changed(self._features(blank))
            self.rebuilt[cut] = changed
        return self.rebuilt[cut]

    def days_ahead(self, part: str, column: int, row: int, *, known: int, already: int) -> int:
        """Return how many days ahead of its own day a value looks, or `already` if that is more.

        Args:
            part: Of the value.
            column: Of the value.
            row: Of the value.
            known: Days ahead that it is known to look, at least.
            already: Look-ahead of another row.
        """
        day = self.base[part].days[row]

        def depends(days: int) -> bool:
            return bool(self.changed(day + pd.Timedelta(days=days))[part][row, column])

        if already > known and not depends(already):
            return already
        low = max(known, already)
        high, longest = low + 1, (last_day(self.raw, self.config) - day).days
        while high < longest and depends(high):
            low, high = high, min(high + 2 * (high - low), longest)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if depends(middle) else (low, middle)
        return high

    def _with_replaced_future(
        self, cut: pd.Timestamp, replacement: Callable[[pd.DataFrame, pd.DataFrame, Flags], Any]
    ) -> RawData:
        lags = publication_lags(self.config)
        return replace(
            self.raw,
            contracts={
                name: _replaced(frame, self.noise.contracts[name], _is_later(frame, cut, 0))
                for name, frame in self.raw.contracts.items()
            },
            sources={
                name: replacement(
                    frame, self.noise.sources[name], _is_later(frame, cut, lags.get(name, 0))
                )
                for name, frame in self.raw.sources.items()
            },
            activity={
                name: _replaced(frame, self.noise.activity[name], _is_later(frame, cut, 0))
                for name, frame in self.raw.activity.items()
            },
        )

    def _features(self, raw: RawData) -> Part:
        config = self.config
        panel = build_panel(raw, config.data, config.target)
        return _features_part(build_features(panel, config.features.names), raw, config)


def build_black_box(raw: RawData, config: Config) -> BlackBox:
    """Build the true parts, and draw noise by the seed of the run."""
    rng = np.random.default_rng(config.seed)
    noise = replace(
        raw,
        contracts={name: _curve_noise(frame, rng) for name, frame in raw.contracts.items()},
        sources={name: _column_noise(frame, rng) for name, frame in raw.sources.items()},
        # Doubled or halved, so that other contracts are held.
        activity={
            name: frame * np.exp(rng.normal(0, 0.7, frame.shape))
            for name, frame in raw.activity.items()
        },
    )
    return BlackBox(raw=raw, config=config, base=build_parts(raw, config), noise=noise)


def publication_lags(config: Config) -> dict[str, int]:
    """Return the publication lag of each source in days, even if the run ignores it."""
    return {name: source.publication_lag_days for name, source in config.data.sources.items()}


def last_day(raw: RawData, config: Config) -> pd.Timestamp:
    """Return the day on which the newest value is published."""
    lags = publication_lags(config)
    last = {name: frame.index[-1] for name, frame in {**raw.contracts, **raw.sources}.items()}
    days = [day + pd.Timedelta(days=lags.get(name, 0)) for name, day in last.items()]
    return pd.DatetimeIndex(days).max()


def _is_later(frame: pd.DataFrame, cut: pd.Timestamp, lag: int) -> Flags:
    return np.asarray(pd.DatetimeIndex(frame.index) + pd.Timedelta(days=lag) > cut)


def _replaced(frame: pd.DataFrame, noise: pd.DataFrame, later: Flags) -> pd.DataFrame:
    return pd.DataFrame(np.where(later[:, None], noise, frame), frame.index, frame.columns)


def _blanked(
    frame: pd.DataFrame, noise: pd.DataFrame, later: Flags, *, days_of: str
) -> pd.DataFrame:
    """Remove the values after the cut.

    Columns that start after it, and `days_of`, whose values define the rows, get noise instead.
    """
    kept = frame[~later].isna().all().to_numpy() | (frame.columns == days_of)
    return _replaced(frame, noise.loc[:, kept].reindex(columns=frame.columns), later)


def _curve_noise(closes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return curves above all true prices, with contracts close together.

    Otherwise the adjustment for rolls could make levels negative.
    """
    values = closes.to_numpy(dtype=np.float64)
    levels = np.nanmax(values) * rng.uniform(1.5, 3.0, (len(values), 1))
    prices = levels * np.exp(rng.normal(0, 0.005, values.shape))
    return closes.mask(closes.notna(), pd.DataFrame(prices, closes.index, closes.columns))


def _column_noise(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return values beyond the range of each column; positive if the column is."""
    values = frame.to_numpy(dtype=np.float64)
    size = np.nanmax(np.abs(values), axis=0)
    magnitude = np.where(size > 0, size, 1.0) * rng.uniform(1.5, 3.0, values.shape)
    sign = np.where(np.nanmin(values, axis=0) > 0, 1, rng.choice([-1, 1], values.shape))
    return frame.mask(frame.notna(), pd.DataFrame(sign * magnitude, frame.index, frame.columns))


# --- days and leaks -------------------------------------------------------------------------------


def audit_days(box: BlackBox) -> pd.DatetimeIndex:
    """Return the days after which data are replaced.

    They are eight days spread evenly, the last training row, two month ends (rolls) with the rows
    before and after, two Mondays and two Fridays, and for each source with a publication lag two of
    the days with the longest wait for a value.
    """
    days = box.base["features"].days
    inner = days[:-1]  # no data follow the last row
    month_ends = _two_of(np.flatnonzero(inner.month != days[1:].month))
    chosen = [
        inner[np.linspace(0, len(inner) - 1, 8).astype(int)],
        box.base["scaler"].days,
        *(inner[np.clip(month_ends + step, 0, len(inner) - 1)] for step in (-1, 0, 1)),
        *(inner[_two_of(np.flatnonzero(inner.day_of_week == weekday))] for weekday in (0, 4)),
        *(
            _longest_waits(inner, box.raw.sources[name], lag)
            for name, lag in publication_lags(box.config).items()
        ),
    ]
    return pd.DatetimeIndex(np.concatenate(chosen)).unique().sort_values()


def _two_of(rows: Array) -> Array:
    """Return the elements at one third and two thirds, if there are any."""
    return rows[[len(rows) // 3, 2 * len(rows) // 3]] if len(rows) else rows


def _longest_waits(days: pd.DatetimeIndex, source: pd.DataFrame, lag: int) -> pd.DatetimeIndex:
    """Return trading days on which a dated value waits longest for its publication."""
    dates = pd.DatetimeIndex(source.index)
    dates = dates[(dates >= days[0]) & (dates <= days[-1])]
    first_days = days[days.searchsorted(dates)]
    wait = (dates + pd.Timedelta(days=lag) - first_days).days.to_numpy()
    longest = wait.max(initial=0)
    return first_days[_two_of(np.flatnonzero(wait == longest))] if longest > 0 else days[:0]


def find_leaks(box: BlackBox, days: pd.DatetimeIndex) -> dict[str, dict[str, int]]:
    """Return the longest look-ahead of every column, by part, in calendar days; 0 is none.

    It is counted from a value's own day to the publication of the last data that it depends on.
    """
    ahead = {name: np.zeros(len(part.columns), dtype=int) for name, part in box.base.items()}
    for day in days:
        for name, flags in box.changed(day).items():
            part = box.base[name]
            early = flags & np.asarray(part.days <= day)[:, None]
            for column in np.flatnonzero(early.any(axis=0)):
                if part.columns[column] == CANARY and ahead[name][column]:
                    continue  # it is found already
                row = int(np.flatnonzero(early[:, column])[-1])
                since = (day - part.days[row]).days
                ahead[name][column] = box.days_ahead(
                    name, int(column), row, known=since, already=int(ahead[name][column])
                )
    return {
        name: dict(zip(part.columns, map(int, ahead[name]), strict=True))
        for name, part in box.base.items()
    }


def leak_findings(ahead: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """Return a finding per leak, without the canary and the consequences of other leaks."""
    wordings = {
        "features": "{name}: looks {days} day(s) ahead",
        "target": "target {name}: looks {days} day(s) past its own outcome",
        "scaler": "scaler of {name}: looks {days} day(s) past the training rows",
        "windows": "windows of {name}: look {days} day(s) past their last row",
    }
    findings = []
    named = {CANARY}
    for part, wording in wordings.items():
        for name, days in ahead[part].items():
            if days and (part == "target" or name not in named):
                text = wording.format(name=name, days=days)
                findings.append(Finding("leak", part, name, days, text))
        named |= {name for name, days in ahead[part].items() if days and part != "target"}
    return findings
