"""Put features on a common scale that only the training rows decide."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from ironore_lightning.config.samples import ScalingSettings

Floats = npt.NDArray[np.float64]

ROWS_AT_ONCE = 65_536
"""Scaled in double precision before they are stored in single, which bounds the memory between."""


@dataclass(frozen=True)
class Scaler:
    """The map ``(value - center) / spread``, column by column.

    Attributes:
        center: Shape (F,), in the feature's unit.
        spread: Shape (F,), in the feature's unit, above zero.
    """

    center: Floats
    spread: Floats

    def apply(self, values: Floats) -> npt.NDArray[np.float32]:
        """Scale rows of shape (T, F); a value beyond the training rows is not clipped."""
        scaled = np.empty(values.shape, dtype=np.float32)
        for first in range(0, len(values), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            scaled[rows] = (values[rows] - self.center) / self.spread
        return scaled


def fit_scaler(training_rows: Floats, settings: ScalingSettings) -> Scaler:
    """Learn center and spread from the training rows, shape (T, F); constants get spread 1."""
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
