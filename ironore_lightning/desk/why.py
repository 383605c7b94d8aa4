"""Why this morning's forecast is what it is, averaged over the networks behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ironore_lightning.desk.newest import Newest
from ironore_lightning.model.attribution import (
    Explanation,
    agreement,
    explain,
    mean_explanation,
)
from ironore_lightning.model.training import load_network
from ironore_lightning.run_folder.record import RunRecord


@dataclass(frozen=True)
class Why:
    """What the inputs add to the forecast, in its unit; empty where nothing explains it.

    Attributes:
        by_driver: By input.
        by_lag: By row of the window, oldest first.
        agreement: Mean correlation of the explanations of two networks.
    """

    by_driver: Mapping[str, float] = field(default_factory=dict)
    by_lag: Sequence[float] = ()
    agreement: float | None = None


def explain_newest(newest: Newest) -> Why:
    """Explain the newest forecast; only networks that read the same windows have a mean."""
    labels = [[feature.label for feature in run.settings.features.names] for run in newest.runs]
    lengths = {run.settings.window.sequence_length for run in newest.runs}
    if len(lengths) > 1 or any(names != labels[0] for names in labels):
        return Why()
    explained = [explanation for run in newest.runs if (explanation := _explain(run, newest))]
    if not explained:
        return Why()
    mean = mean_explanation(explained, labels[0])
    return Why(mean.by_driver, mean.by_lag, agreement(explained))


def _explain(run: RunRecord, newest: Newest) -> Explanation | None:
    inputs, settings = newest.inputs(run), run.settings
    path = run.folder / "checkpoints" / "best.ckpt"
    forecaster, scaler = load_network(path, inputs.shape[1], settings.fit_settings)
    first, last = (
        pd.Timestamp(day) for day in (run.training_rows.first_date, run.training_rows.last_date)
    )
    trained = scaler.apply(inputs.loc[first:last].to_numpy(np.float64))
    window = scaler.apply(inputs.iloc[-settings.window.sequence_length :].to_numpy(np.float64))
    return explain(
        forecaster,
        window.astype(np.float32),
        [str(name) for name in inputs],
        usual=trained.mean(axis=0).astype(np.float32),
    )
