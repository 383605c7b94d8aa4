"""Find what the numbers alone give away, where nobody can see how they were made.

A prepared table comes from elsewhere, and so do forecasts. Of these only the numbers can be
suspicious: they know later returns too well, learn without a lesson, or repeat yesterday.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.stats import t
from sklearn.linear_model import Ridge

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.evaluation.metrics import correlation, direction_hits, guessing_band
from ironore_lightning.evaluation.significance import clark_west

Array = npt.NDArray[Any]

SUSPICIOUS_P = 1e-4
"""How rarely luck may correlate as much; a run correlates over a hundred pairs."""
COPIED = 0.99
"""Correlation of daily changes above which one column repeats another."""
LONGEST_LEAD = 5
"""Trading days ahead that are searched."""
NUM_SHUFFLES = 40
LUCKY_SHARE = 0.125
"""Share of the fits to shuffled targets that may show skill; on markets without a leak at most two
of forty did."""
SKILL_P = 0.05
COPY_CORRELATION = 0.95


@dataclass(frozen=True)
class Finding:
    """One thing that knows, or seems to know, the future.

    Attributes:
        kind: `leak` is proven by the black box, `suspect` follows from the numbers alone.
        part: `features`, `target`, `scaler`, `windows` or `forecasts`.
        name: The column.
        days_ahead: Calendar days for a leak, trading days for a suspect; None where neither.
        text: All of it as a line.
    """

    kind: Literal["leak", "suspect"]
    part: str
    name: str
    days_ahead: int | None
    text: str


def correlations_with_later_returns(
    features: pd.DataFrame, target: pd.Series, *, horizon: int, too_large: float, fewest_rows: int
) -> pd.DataFrame:
    """Correlate every feature, and its daily change, with the returns that come after it.

    Args:
        features: Shape (T, F).
        target: Return after each row, shape (T,), NaN where it is not known.
        horizon: Trading days that it reaches (H); overlapping returns count for less evidence.
        too_large: Correlation that is not believed, if luck cannot reach it either.
        fewest_rows: Rows below which a large correlation is no surprise.

    Returns:
        By feature: `correlation`, the least believable one; `lead`, trading days from the row to
        the end of that return; `is_suspect`.
    """
    rows = []
    for name in features:
        scored = []
        for lead, values, outcome, overlap in _pairs(features[name], target, horizon):
            both = (values.notna() & outcome.notna()).to_numpy()
            found = correlation(values.to_numpy()[both], outcome.to_numpy()[both]) or 0.0
            limit = max(too_large, _luck(both.sum() / overlap))
            scored.append((abs(found) - limit, found, lead, both.sum() >= fewest_rows))
        excess, found, lead, is_enough = max(scored, key=itemgetter(0))
        rows.append((found, lead, excess >= 0 and bool(is_enough)))
    columns = ["correlation", "lead", "is_suspect"]
    return pd.DataFrame(rows, columns=columns, index=features.columns)


def _pairs(
    feature: pd.Series, target: pd.Series, horizon: int
) -> Iterator[tuple[int, pd.Series, pd.Series, int]]:
    """Yield lead, values, outcome and the days that neighbouring outcomes share, plus one."""
    ahead = range(LONGEST_LEAD)
    for step in ahead:
        for values in (feature, feature.diff()):
            yield step + horizon, values, target.shift(-step), horizon
    # A mean over many days around the row knows a little of each day; together they show.
    week = sum((target.shift(-step) for step in ahead), start=0.0 * target)
    yield ahead[-1] + horizon, feature.diff(), week, ahead[-1] + horizon


def _luck(num_rows: float) -> float:
    """Return the correlation that luck passes with a probability of `SUSPICIOUS_P`."""
    freedom = num_rows - 2
    if freedom < 1:
        return np.inf
    quantile = float(t.isf(SUSPICIOUS_P / 2, freedom))
    return float(quantile / np.sqrt(freedom + quantile**2))


def suspicions(knowledge: pd.DataFrame) -> list[Finding]:
    """Name the features that know later returns too well."""
    return [
        Finding(
            "suspect",
            "features",
            str(name),
            int(row["lead"]),
            f"{name}: SUSPECT, it correlates {row['correlation']:+.2f} with the return "
            f"{row['lead']} trading day(s) ahead",
        )
        for name, row in knowledge[knowledge["is_suspect"]].iterrows()
    ]


def late_copies(features: pd.DataFrame, *, fewest_rows: int) -> list[str]:
    """Name pairs of which one repeats the other some trading days later.

    Numbers alone cannot say whether the first looks ahead or the second is old news, as a lagged
    column of a prepared table is, so these are remarks. If the first knows a return that it should
    not, it is a suspect as well.
    """
    changes = features.diff().iloc[1:]
    moving = changes.columns[changes.std(ddof=0) > 0]
    values = changes[moving].to_numpy(dtype=np.float64)
    remarks = []
    for lead in range(1, min(LONGEST_LEAD, len(values) - fewest_rows) + 1):
        alike = np.abs(_standardised(values[:-lead]).T @ _standardised(values[lead:]))
        for first, second in np.argwhere(alike / (len(values) - lead) > COPIED):
            remarks.append(
                f"{moving[first]} is {moving[second]} of {lead} trading day(s) later: either the "
                "first looks ahead or the second is old news"
            )
    return remarks


def _standardised(values: Array) -> Array:
    """Give every column mean 0 and spread 1; one that never moves is 0."""
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, np.inf))


@dataclass(frozen=True)
class ShuffledFits:
    """How ridge regressions on shuffled training targets did on the test days.

    Attributes:
        num_fits: Regressions.
        num_skilled: Those with a direction above the guessing band and Clark-West below 5 %.
    """

    num_fits: int
    num_skilled: int

    @property
    def is_leak(self) -> bool:
        """Whether skill came up more often than luck allows."""
        return self.num_skilled > LUCKY_SHARE * self.num_fits


def fit_shuffled(module: WindowDataModule, *, horizon: int) -> ShuffledFits:
    """Fit targets in a random order, which teach nothing: whoever is then right knows the answer.

    All returns are taken about their mean, so that a trend is no skill.
    """
    rng = np.random.default_rng(module.seed)
    train, actual = (segment_returns(module, segment) for segment in ("train", "test"))
    train, actual = train - train.mean(), actual - actual.mean()
    shuffled = np.stack([rng.permutation(train) for _ in range(NUM_SHUFFLES)], axis=1)
    forecasts = fit_ridge(module, shuffled)
    skilled = sum(_has_skill(forecast, actual, horizon) for forecast in forecasts.T)
    return ShuffledFits(num_fits=NUM_SHUFFLES, num_skilled=skilled)


def fit_ridge(module: WindowDataModule, targets: Array) -> Array:
    """Fit the flattened windows of the training segment and forecast the test segment.

    Args:
        module: Windows by segment.
        targets: Of the training samples, shape (N, K), for K fits.

    Returns:
        Shape (test samples, K).
    """
    windows = module.windows()
    flat = windows.reshape(len(windows), -1).astype(np.float64)
    train, test = flat[: len(targets)], flat[len(flat) - len(module.datasets["test"]) :]
    spread = train.std(axis=0)
    spread[spread == 0] = 1.0
    ridge = Ridge(alpha=float(flat.shape[1]), solver="cholesky").fit(train / spread, targets)
    return np.asarray(ridge.predict(test / spread)).reshape(len(test), -1)


def segment_returns(module: WindowDataModule, segment: str) -> Array:
    """Return what happened after each sample of a segment, per cent."""
    origins = module.datasets[segment].origins.numpy()
    return np.asarray(module.target["value"].to_numpy(dtype=np.float64)[origins])


def _has_skill(forecast: Array, actual: Array, horizon: int) -> bool:
    hits, days = (
        int(count) for count in direction_hits(*map(torch.from_numpy, (forecast, actual)))
    )
    zeros = np.zeros(len(actual))
    p_value = clark_west(forecast, actual, benchmark=zeros, horizon=horizon).p_value
    if p_value is None or not days:
        return False
    return p_value < SKILL_P and 100 * hits / days > guessing_band(days, horizon=horizon)[1]


@dataclass(frozen=True)
class Copy:
    """How much forecasts look like outcomes.

    Attributes:
        correlation: Of the forecast with the outcome that it resembles most.
        lag: Samples by which that outcome came before the one forecast; 0 is the answer itself.
    """

    correlation: float
    lag: int

    @property
    def is_copy(self) -> bool:
        """Whether the forecasts say little else."""
        return abs(self.correlation) > COPY_CORRELATION


def compare_with_outcomes(forecast: Array, actual: Array) -> Copy:
    """Find the outcome that forecasts resemble most, their own or an earlier one.

    Args:
        forecast: In time order, shape (N,).
        actual: What happened, shape (N,).
    """
    copies = [
        Copy(correlation(forecast[lag:], actual[: len(actual) - lag]) or 0.0, lag)
        for lag in range(LONGEST_LEAD + 1)
    ]
    return max(copies, key=lambda copy: abs(copy.correlation))


def fit_findings(shuffled: ShuffledFits, copy: Copy | None) -> list[Finding]:
    """Put into words what fits and forecasts gave away; `copy` is that of a finished run."""
    findings = []
    if shuffled.is_leak:
        text = (
            f"shuffled targets: SUSPECT, {shuffled.num_skilled} of {shuffled.num_fits} fits to "
            "targets in a random order show skill"
        )
        findings.append(Finding("suspect", "forecasts", "shuffled targets", None, text))
    if copy is not None and copy.is_copy:
        what = "the outcome itself" if not copy.lag else f"the outcome {copy.lag} sample(s) before"
        text = f"forecasts: SUSPECT, they are {what} (correlation {copy.correlation:+.2f})"
        findings.append(Finding("suspect", "forecasts", "forecasts", None, text))
    return findings
