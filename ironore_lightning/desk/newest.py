"""What the desk knows this morning: runs, data, and what the runs say of every day until now."""

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.market_cache import Market
from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.evaluation.intervals import Floats, ewma_volatility, scaled_scores
from ironore_lightning.forecast.next_day import predict_mean
from ironore_lightning.refit.refitting import newest_refit
from ironore_lightning.run_folder.record import RunRecord
from ironore_lightning.settings.desk import DeskSettings
from ironore_lightning.settings.experiment import Config


@dataclass(frozen=True, eq=False)
class Newest:
    """The newest data beside the runs that forecast with them.

    Attributes:
        runs: Finished runs of one task.
        raw: What their data settings read.
        panel: The same, joined; its last row is the origin.
        rows: Mean forecast of the runs by origin, perhaps with bounds, see `predict_mean`.
        outcomes: `date`, `value` and `is_roll` by origin, see `build_target`.
    """

    runs: Sequence[RunRecord]
    raw: RawData
    panel: Panel
    rows: pd.DataFrame
    outcomes: pd.DataFrame

    @property
    def config(self) -> Config:
        """Settings that the runs share: data, target and split."""
        return self.runs[0].settings

    @property
    def origin(self) -> pd.Timestamp:
        """The newest row."""
        return pd.Timestamp(self.panel.days[-1])

    @property
    def rules(self) -> str:
        """SHA-256 of what decides an outcome: the target, and the roll of its contracts."""
        target, legs = self.config.target, self.config.data.contracts
        rolls = [
            legs[name].futures.model_dump_json(exclude={"adjustment"})
            for name in (target.series, target.profit_series)
            if name in legs
        ]
        return hashlib.sha256("\n".join([target.model_dump_json(), *rolls]).encode()).hexdigest()

    @property
    def windows(self) -> pd.DataFrame:
        """Return what any run reads, before it is scaled, by input and row, shape (T, F)."""
        inputs = pd.concat([self.inputs(run) for run in self.runs], axis=1)
        return inputs.loc[:, ~inputs.columns.duplicated()]

    def prices(self, contract: str | None) -> pd.Series:
        """Return the prices of a contract by day, or of a series without contracts."""
        series = self.config.target.series
        none = pd.Series(dtype=np.float64, index=pd.DatetimeIndex([]))
        if self.config.target.kind == "given":
            return none
        if contract is None or series not in self.raw.contracts:
            return self.panel.values[series]
        curve, month = self.raw.contracts[series], pd.Period(contract, "M")
        return curve.get(month, none)

    def inputs(self, run: RunRecord) -> pd.DataFrame:
        """Return what a run reads, before it is scaled, shape (T, F)."""
        return build_features(self.panel, run.settings.features.names)

    @property
    def volatility(self) -> pd.Series:
        """EWMA of the outcomes known at each origin."""
        values = self.outcomes["value"].loc[self.rows.index]
        horizon = self.config.target.horizon
        return pd.Series(
            ewma_volatility(values.to_numpy(np.float64), horizon=horizon), index=values.index
        )

    @property
    def promised(self) -> Floats:
        """Scaled errors of the validation segment, shape (M,): what the runs have promised."""
        span = self.runs[0].validation_span
        first, last = pd.Timestamp(span.first_date), pd.Timestamp(span.last_date)
        rows = self.outcomes.loc[self.rows.index].assign(
            forecast=self.rows["forecast"], volatility=self.volatility
        )
        known = rows[rows["date"].between(first, last) & rows["value"].notna()]
        actual, forecast, volatility = (
            known[["value", "forecast", "volatility"]].to_numpy(np.float64).T
        )
        return scaled_scores(actual, forecast, volatility)


def read_newest(
    runs: Sequence[RunRecord],
    until: datetime.date | None,
    *,
    refits: Path,
    settings: DeskSettings,
) -> Newest:
    """Read the data of the runs anew, refit what is due, and forecast every row.

    Args:
        runs: Finished runs of one task.
        until: Last day that is known in a rehearsal; None for all that the files hold.
        refits: Folder of the refits.
        settings: When a run is refitted, and whether on restated values.

    Raises:
        DataError: If the data are wrong or no longer fit a run.
        ConfigError: If the settings of a run do not fit the data.
    """
    config = runs[0].settings
    raw = read_raw(config.data)
    if until is not None:
        raw = raw.until(pd.Timestamp(until))
    panel = build_panel(raw, config.data, config.target)
    if (every := settings.refit_every) is not None:
        market, accepted = Market(raw, panel), settings.accept_restated
        runs = [newest_refit(run, refits, market, every, accept_restated=accepted) for run in runs]
    outcomes = build_target(panel, config.target)
    return Newest(runs, raw, panel, predict_mean(runs, panel), outcomes)
