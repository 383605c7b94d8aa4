"""Find suspicious statistics of prepared tables and forecasts.

They are correlations with later returns, skill learnt from shuffled targets, and forecasts that
copy outcomes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t
from sklearn.linear_model import Ridge

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.evaluation.metrics import correlation, count_hits, guessing_band
from ironore_lightning.evaluation.significance import clark_west

Array = npt.NDArray[Any]

SUSPICIOUS_P = 1e-4
"""Significance level of a correlation; an audit tests over a hundred."""
COPIED = 0.99
"""Correlation of daily changes above which one column copies another."""
LONGEST_LEAD = 5
"""Most trading days ahead of a suspicious correlation."""
NUM_SHUFFLES = 40
CHANCE_SHARE = 0.125
"""Largest share of fits to shuffled targets that may show skill by chance; on markets without a
leak at most two of forty did."""
SKILL_P = 0.05
COPY_CORRELATION = 0.95


@dataclass(frozen=True)
class Finding:
    """A leak, or a suspicion of one.

    Attributes:
        kind: `leak` is proven by the black box, `suspect` is a suspicious statistic.
        part: `features`, `target`, `scaler`, `windows` or `forecasts`.
        name: The column.
        days_ahead: Calendar days for a leak, trading days for a suspect, or None.
        text: The finding as one line.
    """

    kind: Literal["leak", "suspect"]
    part: str
    name: str
    days_ahead: int | None
    text: str


def correlations_with_later_returns(
    features: pd.DataFrame, target: pd.Series, *, horizon: int, too_large: float, fewest_rows: int
) -> pd.DataFrame:
    """Return the most suspicious correlation of every feature, or its change, with a later return.

    Args:
        features: Shape (T, F).
        target: Return after each row, shape (T,), NaN where unknown.
        horizon: Trading days that it reaches (H); overlapping returns reduce the sample size.
        too_large: Correlation that is suspicious if it is also significant.
        fewest_rows: Fewest rows for a suspicion.

    Returns:
        By feature: `correlation`; `lead`, trading days from the row to the end of that return;
        `is_suspect`.
    """
    rows = []
    for name in features:
        scored = []
        for lead, values, outcome, overlap in _pairs(features[name], target, horizon):
            both = (values.notna() & outcome.notna()).to_numpy()
            value = correlation(values.to_numpy()[both], outcome.to_numpy()[both]) or 0.0
            limit = max(too_large, _significant_correlation(both.sum() / overlap))
            scored.append((abs(value) - limit, value, lead, both.sum() >= fewest_rows))
        excess, value, lead, is_enough = max(scored, key=itemgetter(0))
        rows.append((value, lead, excess >= 0 and bool(is_enough)))
    columns = ["correlation", "lead", "is_suspect"]
    return pd.DataFrame(rows, columns=columns, index=features.columns)


def _pairs(
    feature: pd.Series, target: pd.Series, horizon: int
) -> Iterator[tuple[int, pd.Series, pd.Series, int]]:
    """Yield lead, values, outcome and the number of days that an outcome spans."""
    ahead = range(LONGEST_LEAD)
    for step in ahead:
        for values in (feature, feature.diff()):
            yield step + horizon, values, target.shift(-step), horizon
    # A mean over many days around the row correlates little with each, but clearly with their sum.
    week = sum((target.shift(-step) for step in ahead), start=0.0 * target)
    yield ahead[-1] + horizon, feature.diff(), week, ahead[-1] + horizon


def _significant_correlation(num_rows: float) -> float:
    """Return the critical correlation at the level `SUSPICIOUS_P`."""
    freedom = num_rows - 2
    if freedom < 1:
        return np.inf
    quantile = float(t.isf(SUSPICIOUS_P / 2, freedom))
    return float(quantile / np.sqrt(freedom + quantile**2))


def suspicions(knowledge: pd.DataFrame) -> list[Finding]:
    """Return a finding for every suspicious feature."""
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
    """Return a remark for each pair of columns of which one copies the other some days later.

    It is no finding, as either the first looks ahead or the second is a lagged column.
    """
    changes = features.diff().iloc[1:]
    moving = changes.columns[changes.std(ddof=0) > 0]
    values = changes[moving].to_numpy(dtype=np.float64)
    remarks = []
    for lead in range(1, min(LONGEST_LEAD, len(values) - fewest_rows) + 1):
        correlations = np.abs(_standardised(values[:-lead]).T @ _standardised(values[lead:]))
        for first, second in np.argwhere(correlations / (len(values) - lead) > COPIED):
            remarks.append(
                f"{moving[first]} is {moving[second]} of {lead} trading day(s) later: either the "
                "first looks ahead or the second is a lagged copy"
            )
    return remarks


def _standardised(values: Array) -> Array:
    """Return columns with mean 0 and standard deviation 1; a constant one is 0."""
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, np.inf))


@dataclass(frozen=True)
class ShuffledFits:
    """Test results of ridge regressions on shuffled training targets.

    Attributes:
        num_fits: Number of regressions.
        num_skilled: Those with a hit rate above the guessing band and Clark-West below 5 %.
    """

    num_fits: int
    num_skilled: int

    @property
    def is_leak(self) -> bool:
        """Whether more fits show skill than chance allows."""
        return self.num_skilled > CHANCE_SHARE * self.num_fits


def fit_shuffled(module: WindowDataModule, *, horizon: int) -> ShuffledFits:
    """Return the test results of fits to shuffled targets, whose skill would reveal a leak.

    Returns are demeaned, so that a trend is no skill.
    """
    rng = np.random.default_rng(module.seed)
    train, actual = (segment_returns(module, segment) for segment in ("train", "test"))
    train, actual = train - train.mean(), actual - actual.mean()
    shuffled = np.stack([rng.permutation(train) for _ in range(NUM_SHUFFLES)], axis=1)
    forecasts = fit_ridge(module, shuffled)
    skilled = sum(_has_skill(forecast, actual, horizon) for forecast in forecasts.T)
    return ShuffledFits(num_fits=NUM_SHUFFLES, num_skilled=skilled)


def fit_ridge(module: WindowDataModule, targets: Array) -> Array:
    """Return forecasts of the test samples, shape (test samples, K), by ridge regression.

    Args:
        module: Windows by segment.
        targets: Of the training samples, shape (N, K), for K fits.
    """
    windows = module.windows()
    flat = windows.reshape(len(windows), -1).astype(np.float64)
    train, test = flat[: len(targets)], flat[len(flat) - len(module.datasets["test"]) :]
    spread = train.std(axis=0)
    spread[spread == 0] = 1.0
    ridge = Ridge(alpha=float(flat.shape[1]), solver="cholesky").fit(train / spread, targets)
    return np.asarray(ridge.predict(test / spread)).reshape(len(test), -1)


def segment_returns(module: WindowDataModule, segment: str) -> Array:
    """Return the outcome of each sample of a segment, per cent."""
    origins = module.datasets[segment].origins.numpy()
    return np.asarray(module.target["value"].to_numpy(dtype=np.float64)[origins])


def _has_skill(forecast: Array, actual: Array, horizon: int) -> bool:
    hits, days = count_hits(forecast, actual)
    zeros = np.zeros(len(actual))
    p_value = clark_west(forecast, actual, benchmark=zeros, horizon=horizon).p_value
    if p_value is None or not days:
        return False
    return p_value < SKILL_P and 100 * hits / days > guessing_band(days, horizon=horizon)[1]


@dataclass(frozen=True)
class Copy:
    """The largest correlation of forecasts with their own or earlier outcomes.

    Attributes:
        correlation: Of forecasts and outcomes.
        lag: Samples by which that outcome is older than the forecast one; 0 is the same.
    """

    correlation: float
    lag: int

    @property
    def is_copy(self) -> bool:
        """Whether the forecasts copy that outcome."""
        return abs(self.correlation) > COPY_CORRELATION


def compare_with_outcomes(forecast: Array, actual: Array) -> Copy:
    """Return the largest correlation of forecasts with their own or earlier outcomes.

    Args:
        forecast: In time order, shape (N,).
        actual: Outcomes, shape (N,).
    """
    copies = [
        Copy(correlation(forecast[lag:], actual[: len(actual) - lag]) or 0.0, lag)
        for lag in range(LONGEST_LEAD + 1)
    ]
    return max(copies, key=lambda copy: abs(copy.correlation))


def fit_findings(shuffled: ShuffledFits, copy: Copy | None) -> list[Finding]:
    """Return the findings on shuffled fits and on the forecasts of a finished run (`copy`)."""
    findings = []
    if shuffled.is_leak:
        text = (
            f"shuffled targets: SUSPECT, {shuffled.num_skilled} of {shuffled.num_fits} fits to "
            "targets in a random order show skill"
        )
        findings.append(Finding("suspect", "forecasts", "shuffled targets", None, text))
    if copy is not None and copy.is_copy:
        outcome = (
            "the outcome itself" if not copy.lag else f"the outcome {copy.lag} sample(s) before"
        )
        text = f"forecasts: SUSPECT, they are {outcome} (correlation {copy.correlation:+.2f})"
        findings.append(Finding("suspect", "forecasts", "forecasts", None, text))
    return findings
