"""Put features on a common scale that only the training rows decide."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from ironore_lightning.config.samples import ScalingSettings
from ironore_lightning.errors import DataError

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

LARGEST = float(np.finfo(np.float32).max)
"""The model reads numbers of single precision."""


@dataclass(frozen=True)
class Scaler:
    """The map ``(value - center) / spread``, column by column.

    Attributes:
        center: Shape (F,), in the feature's unit.
        spread: Shape (F,), in the feature's unit, above zero.
    """

    center: Floats
    spread: Floats

    def apply(self, values: Floats) -> Floats:
        """Scale rows of shape (T, F); a value beyond the training rows is not clipped."""
        with np.errstate(all="ignore"):  # what comes of absurd values is looked at afterwards
            return np.asarray((values - self.center) / self.spread)


def fit_scaler(training_rows: Floats, settings: ScalingSettings) -> Scaler:
    """Learn center and spread from the training rows, shape (T, F); constants get spread 1."""
    with np.errstate(all="ignore"):
        return _fit(training_rows, settings)


def scale_table(scaler: Scaler, features: pd.DataFrame) -> Singles:
    """Scale a table of shape (T, F) for the model.

    Raises:
        DataError: If a value is too large for it, or for its scaler.
    """
    scaled = scaler.apply(features.to_numpy(np.float64))
    scaled[~(np.isfinite(scaled) & np.isfinite(scaler.spread))] = np.inf
    return _singles(pd.DataFrame(scaled, features.index, features.columns), features)


def target_values(target: pd.DataFrame) -> Singles:
    """Return the column `value` of a target, shape (T,), for the model; NaN where there is none.

    Raises:
        DataError: If one is too large for it.
    """
    values = target[["value"]].rename(columns={"value": "target"})
    return np.ascontiguousarray(_singles(values, values)[:, 0])


def _singles(numbers: pd.DataFrame, given: pd.DataFrame) -> Singles:
    is_large = numbers.abs() > LARGEST
    if is_large.any(axis=None):
        name = is_large.any().idxmax()
        values = given[name].to_numpy(np.float64)
        row = int(np.where(is_large[name], np.abs(values), -1.0).argmax())
        raise DataError(
            f"{name}: {values[row]:g} on {given.index[row]:%Y-%m-%d} is too large to learn from; "
            "is it a mistake in the data?"
        )
    return np.array(numbers, dtype=np.float32)


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
