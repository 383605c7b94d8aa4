"""Scalers of the features, fitted on the training rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from ironore_lightning.errors import DataError
from ironore_lightning.settings.samples import ScalingSettings

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

ROWS_AT_ONCE = 65_536
"""Rows scaled in double precision at a time, which bounds memory."""


@dataclass(frozen=True)
class Scaler:
    """The map ``(value - center) / spread``, column by column.

    Attributes:
        center: Shape (F,), in the feature's unit.
        spread: Shape (F,), in the feature's unit, above zero.
    """

    center: Floats
    spread: Floats

    def apply(self, values: Floats) -> Singles:
        """Return scaled rows, shape (T, F), without clipping.

        A value that overflows single precision becomes infinite.
        """
        with np.errstate(all="ignore"):
            return ((values - self.center) / self.spread).astype(np.float32)


def fit_scaler(training_rows: Floats, settings: ScalingSettings) -> Scaler:
    """Return the scaler of the training rows, shape (T, F); constant columns have spread 1."""
    with np.errstate(all="ignore"):  # `scale_table` checks the result
        return _fit(training_rows, settings)


def scale_table(scaler: Scaler, features: pd.DataFrame) -> Singles:
    """Return a scaled table, shape (T, F).

    Raises:
        DataError: If a value overflows single precision.
    """
    scaled = np.empty(features.shape, dtype=np.float32)
    for first in range(0, len(features), ROWS_AT_ONCE):
        block = features.iloc[first : first + ROWS_AT_ONCE]
        rows = scaler.apply(block.to_numpy(np.float64))
        rows[:, ~np.isfinite(scaler.spread)] = np.inf
        _require_not_too_large(~np.isfinite(rows), block)
        scaled[first : first + ROWS_AT_ONCE] = rows
    return scaled


def target_values(target: pd.DataFrame) -> Singles:
    """Return the column `value` of a target, shape (T,); NaN where it is unknown.

    Raises:
        DataError: If a value overflows single precision.
    """
    values = target[["value"]].rename(columns={"value": "target"})
    with np.errstate(over="ignore"):
        singles = values.to_numpy(np.float32)
    _require_not_too_large(np.isinf(singles), values)
    return singles[:, 0].copy()


def _require_not_too_large(is_large: npt.NDArray[np.bool_], given: pd.DataFrame) -> None:
    """Raise `DataError` for the largest value of the first column with one too large."""
    for name, is_row in zip(given, is_large.T, strict=True):
        if is_row.any():
            values = given[name].to_numpy(np.float64)
            row = int(np.where(is_row, np.abs(values), -1.0).argmax())
            raise DataError(
                f"{name}: {values[row]:g} on {given.index[row]:%Y-%m-%d} is too large to learn "
                "from; is it a mistake in the data?"
            )


def _fit(training_rows: Floats, settings: ScalingSettings) -> Scaler:
    if settings.method == "minmax":
        minmax = MinMaxScaler().fit(training_rows)
        return Scaler(center=minmax.data_min_, spread=1 / minmax.scale_)
    if settings.method == "standard":
        standard = StandardScaler().fit(training_rows)
        return Scaler(center=standard.mean_, spread=standard.scale_)
    if settings.method == "robust":
        robust = RobustScaler().fit(training_rows)
        return Scaler(center=robust.center_, spread=robust.scale_)
    num_features = training_rows.shape[1]
    return Scaler(center=np.zeros(num_features), spread=np.ones(num_features))
