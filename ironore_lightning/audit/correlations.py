"""Search columns for correlations with later returns.

All series become normal scores, so that a few wild days decide nothing. Luck is measured on
circular rotations of the returns against a column: they keep the autocorrelation of both and
destroy what links them. The limit of luck holds for all comparisons together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, rankdata

Array = npt.NDArray[Any]

FAMILY_LEVEL = 0.01
"""Chance that an audit of columns without any link names one of them."""
MARGIN = 63
"""Rows by which a rotation that measures luck is at least away from the truth; nearer ones show
what is honest, such as an index that follows today's price."""
WEEK = 5
ONE_SIDED = 1.645
"""Quantile of the lower 95 % bound of a correlation."""
EVENING_SHARE = 0.8
"""An index assessed after the settlement goes with the next return at most this much as closely as
with that of its own day; a column that is a day early is the other way round."""
LEVEL, CHANGE, MISSING = "level", "change", "missing cell"


def normal_scores(table: Array) -> Array:
    """Return each column by rank, as quantiles of the normal distribution, 0 where it is NaN.

    Args:
        table: Shape (T, K).
    """
    known = np.isfinite(table)
    ranks = rankdata(table, axis=0, nan_policy="omit")
    scores = np.where(known, norm.ppf(ranks / (known.sum(axis=0) + 1)), 0.0)
    return np.asarray(np.where(known, scores - scores.sum(axis=0) / known.sum(axis=0).clip(1), 0.0))


def candidates(features: pd.DataFrame, is_new: pd.DataFrame) -> pd.DataFrame:
    """Return what a model could read from each column, as normal scores.

    They are its level, its change, the change of that (which shows both ends of a centred mean),
    the size of the change, and whether its cell is missing. Changes of a positive column are
    relative. A change of 0 says nothing, so those of a weekly column are ranked among its new
    values only.

    Args:
        features: Shape (T, F).
        is_new: Whether the value is of that row, not filled forward, shape (T, F).

    Returns:
        Shape (T, 5 F), columns by name and kind.
    """
    positive = features.columns[(features > 0).all()]
    level = features.assign(**{name: np.log(features[name]) for name in positive})
    change, turn = level.diff(), level.diff().diff()
    change = change.mask(change == 0)
    kinds = {
        LEVEL: level,
        CHANGE: change,
        "change of change": turn.mask(turn == 0),
        "size of change": change.abs(),
        MISSING: (~is_new).astype(float),
    }
    table = pd.concat(kinds, axis=1).swaplevel(axis=1)
    return pd.DataFrame(normal_scores(table.to_numpy()), table.index, table.columns)


def own_past(target: pd.Series, *, horizon: int, num_rows: int) -> pd.DataFrame:
    """Return the newest outcomes known on each row (0 is the newest) and the sum of all.

    Args:
        target: Outcome by origin, shape (T,), NaN where unknown.
        horizon: Trading days until it is known.
        num_rows: Of the newest outcomes (L).

    Returns:
        Normal scores, shape (T, L + 1).
    """
    known = target.shift(horizon)
    table = pd.DataFrame({lag: known.shift(lag) for lag in range(num_rows)})
    table[LEVEL] = known.fillna(0.0).cumsum()
    return pd.DataFrame(normal_scores(table.to_numpy()), table.index, table.columns)


def residual(outcome: Array, regressors: Array) -> Array:
    """Return the outcome less its least-squares fit; rows where it is 0 stay unknown.

    Args:
        outcome: Normal scores, shape (T,).
        regressors: Normal scores, shape (T, K).
    """
    known = outcome != 0
    weights = np.linalg.lstsq(regressors[known], outcome[known])[0]
    return np.where(known, outcome - regressors @ weights, 0.0)


def rotated(scores: Array, outcome: Array) -> tuple[Array, Array]:
    """Return the correlation of each column with the outcome of s rows later, for every s.

    It is of the rows on which the column says something; the others are 0.

    Args:
        scores: Shape (T, K).
        outcome: Shape (T,).

    Returns:
        Correlations and their errors if the two are independent but for their sizes, both of shape
        (T, K), by s, around the end of the table.

    References:
        White (1980), "A heteroskedasticity-consistent covariance matrix estimator", Econometrica
        48(4): calm and wild days come in clusters.
    """
    says = (scores != 0).sum(axis=0)
    size = np.sqrt((scores**2).sum(axis=0) * says * (outcome**2).mean())
    size = np.where(size > 0, size, np.inf)
    spread = np.sqrt(np.maximum(_products(scores**2, outcome**2), 0.0))
    return _products(scores, outcome) / size, spread / size


def _products(columns: Array, outcome: Array) -> Array:
    """Return the sum of products of each column with the outcome of s rows later, for every s."""
    spectrum = np.fft.rfft(outcome)[:, None] * np.conj(np.fft.rfft(columns, axis=0))
    return np.asarray(np.fft.irfft(spectrum, n=len(columns), axis=0))


def search(
    scores: pd.DataFrame, outcome: Array, *, horizon: int, leads: Sequence[int], sums: Sequence[int]
) -> pd.DataFrame:
    """Return the correlation of every column with later outcomes, and its error by luck.

    Args:
        scores: Normal scores, shape (T, K).
        outcome: The same, by origin, shape (T,).
        horizon: Trading days that an outcome reaches.
        leads: Rows from the column to the origin of the outcome.
        sums: Numbers of consecutive outcomes whose sum is searched as well, from lead 0 on.

    Returns:
        One row per comparison: `name` and `kind` of the column; `lead`, trading days from the row
        to the end of the outcome; `days`, trading days that it spans; `correlation`; `error`, its
        size by luck.
    """
    tables = []
    names = scores.columns.to_frame(index=False).set_axis(["name", "kind"], axis=1)
    says = (scores.to_numpy() != 0).sum(axis=0).clip(1).astype(float)
    for num_outcomes in (1, *sums):
        summed = sum(np.roll(outcome, -step) for step in range(num_outcomes))
        values, spread = rotated(scores.to_numpy(), np.asarray(summed))
        margin = min(MARGIN + num_outcomes, len(values) // 3)
        error = np.sqrt((values[margin:-margin] ** 2).mean(axis=0))
        error = np.maximum(error, says**-0.5)  # a weekday would have none with the sum of a week
        for lead in leads if num_outcomes == 1 else (0,):
            days = num_outcomes - 1 + horizon
            found = {"lead": lead + days, "days": days, "correlation": values[lead]}
            tables.append(names.assign(**found, error=np.maximum(error, spread[lead])))
    return pd.concat(tables, ignore_index=True)


def luck_limit(num_comparisons: int) -> float:
    """Return how many errors a correlation must reach to be no luck among so many (Bonferroni)."""
    return float(norm.isf(FAMILY_LEVEL / 2 / max(num_comparisons, 1)))


def evening_columns(
    scores: pd.DataFrame, outcome: Array, *, horizon: int, num_errors: float
) -> pd.DataFrame:
    """Return the changes that go with the return of their own day, less with the next, no further.

    Args:
        scores: Normal scores by name and kind, shape (T, K).
        outcome: The same, by origin, shape (T,).
        horizon: Trading days that an outcome reaches.
        num_errors: How many errors by luck a correlation must exceed.

    Returns:
        As of `search`, with `same_day`, the correlation with the return of the same day.
    """
    moves = scores.loc[:, scores.columns.get_level_values(1).isin([LEVEL, CHANGE])]
    found = search(moves, outcome, horizon=horizon, leads=[0, 1, -horizon], sums=())
    following, further, same = (found[found["lead"] == lead] for lead in (horizon, horizon + 1, 0))
    following = following.assign(same_day=same["correlation"].to_numpy())
    strength, luck = following["correlation"].abs(), num_errors * following["error"]
    is_evening = (
        (strength > luck)
        & (np.abs(further["correlation"].to_numpy()) <= luck)
        & (strength <= EVENING_SHARE * following["same_day"].abs())
        & (following["correlation"] * following["same_day"] > 0)
    )
    return pd.DataFrame(following[is_evening])
