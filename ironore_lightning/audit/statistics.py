"""Judge by numbers what the black box cannot see: prepared columns, the target, and forecasts.

A `look` is beyond luck, and may have an honest cause. A `suspect` is beyond what anybody believes
of a daily market. Neither is a proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ironore_lightning.audit.correlations import (
    ONE_SIDED,
    WEEK,
    candidates,
    evening_columns,
    luck_limit,
    normal_scores,
    own_past,
    residual,
    search,
)
from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.evaluation.baselines import Samples, point_baselines

Array = npt.NDArray[Any]

Kind = Literal["leak", "suspect", "look"]
COPIED = 0.99
"""Correlation of daily changes above which one column copies another."""
LONGEST_COPY = 5
"""Most trading days by which a copy is late."""
FORECAST, PAST = "forecast", "past"
LEARNERS = ["ridge", "gradient boosting"]
FITTED_SHARE, CHOSEN_SHARE = 0.5, 0.1
"""Shares of the samples that fit the learners, and that choose their strength; the rest is held
out."""
PAST_CORRELATION = 0.6
"""Correlation of returns with what earlier ones tell above which prices look as if smoothed by
later ones; bounce and mean reversion stay below."""
ON_A_LINE = 0.05
"""Relative change of the slope below which three values lie on a line, rounding included."""
LINE_SHARE = 0.6
"""Share of values on such a line above which a column is interpolated."""
FEWEST_LINES = 10


@dataclass(frozen=True)
class Finding:
    """A leak, or something that may be one.

    Attributes:
        kind: `leak` is proven by the black box, `suspect` is beyond belief, `look` beyond luck.
        part: `features`, `target`, `scaler`, `windows` or `forecasts`.
        name: The column or the forecaster.
        days_ahead: Calendar days for a leak, trading days otherwise, or None.
        text: The finding as one line.
    """

    kind: Kind
    part: str
    name: str
    days_ahead: int | None
    text: str


@dataclass(frozen=True)
class Judgement:
    """What the numbers tell.

    Attributes:
        columns: Of each feature and forecaster, the comparison that is furthest beyond luck, as
            `search` returns it.
        num_comparisons: Correlations that were searched.
        findings: Looks and suspects.
    """

    columns: pd.DataFrame
    num_comparisons: int
    findings: tuple[Finding, ...]


def judge(
    features: pd.DataFrame,
    is_new: pd.DataFrame,
    target: pd.Series,
    forecasts: pd.DataFrame,
    *,
    horizon: int,
    window: int,
    too_large: float,
) -> Judgement:
    """Search for knowledge of later returns that neither their own past nor the clock explains.

    Args:
        features: Shape (T, F).
        is_new: Whether a value is of that row, not filled forward, shape (T, F).
        target: Return after each row, shape (T,), NaN where unknown; its name is the series.
        forecasts: Of these returns, shape (T, M), NaN where there is none.
        horizon: Trading days that a return reaches.
        window: Rows that a model reads; leads are searched as far.
        too_large: Correlation that no honest daily market has; a lower 95 % bound is compared.
    """
    outcome = normal_scores(target.to_numpy(dtype=np.float64)[:, None])[:, 0]
    scores, made = candidates(features, is_new), _scores(forecasts)
    past = own_past(target, horizon=horizon, num_rows=window)
    newest = past[[0]].set_axis(pd.MultiIndex.from_tuples([(target.name, PAST)]), axis=1)
    leads, sums = range(window), (WEEK, window)
    num_comparisons = (window + len(sums)) * (1 + scores.shape[1]) + made.shape[1]
    num_errors = luck_limit(num_comparisons)
    unexplained = residual(outcome, past.to_numpy())
    evening = evening_columns(scores, unexplained, horizon=horizon, num_errors=num_errors)
    earlier = _furthest(search(newest, outcome, horizon=horizon, leads=leads, sums=sums))
    explained = np.sqrt(1 - np.square(unexplained).sum() / max(np.square(outcome).sum(), 1.0))
    if len(evening):
        moves = scores[pd.MultiIndex.from_frame(evening[["name", "kind"]])]
        lags = [moves.shift(lag, fill_value=0.0) for lag in leads]
        unexplained = residual(outcome, pd.concat([past, *lags], axis=1).to_numpy())
    columns = _furthest(
        search(scores, unexplained, horizon=horizon, leads=leads, sums=sums),
        search(made, unexplained, horizon=horizon, leads=(0,), sums=()),
    )
    findings = [
        *(_past_finding(row, float(explained)) for row in _beyond_luck(earlier, num_errors)),
        *(_evening_finding(row) for _, row in evening.iterrows()),
        *(_column_finding(row, too_large) for row in _beyond_luck(columns, num_errors)),
    ]
    return Judgement(columns, num_comparisons, tuple(findings))


def worst_of_each(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the worst finding of each column, the worst kind first; the target counts apart."""
    worst: dict[tuple[bool, str], Finding] = {}
    for kind in get_args(Kind):
        for finding in findings:
            if finding.kind == kind:
                worst.setdefault((finding.part == "target", finding.name), finding)
    return tuple(worst.values())


def _scores(forecasts: pd.DataFrame) -> pd.DataFrame:
    names = pd.MultiIndex.from_product([forecasts.columns, [FORECAST]])
    scores = normal_scores(forecasts.to_numpy(dtype=np.float64))
    return pd.DataFrame(scores, forecasts.index, names)


def _furthest(*comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison of each column that is furthest beyond luck, in the given order."""
    table = pd.concat(comparisons, ignore_index=True)
    beyond = table["correlation"].abs() / table["error"]
    return table.loc[beyond.groupby(table["name"], sort=False).idxmax()]


def _beyond_luck(table: pd.DataFrame, num_errors: float) -> list[pd.Series]:
    is_beyond = table["correlation"].abs() > num_errors * table["error"]
    return [row for _, row in table[is_beyond].iterrows()]


def _past_finding(row: pd.Series, explained: float) -> Finding:
    if explained > PAST_CORRELATION:
        reason = (
            f"all of its past together goes {explained:.2f}, as for prices smoothed by later ones"
        )
        return _finding("suspect", "target", row, reason)
    reason = "prices that bounce, are stale or revert to a mean do so honestly"
    return _finding("look", "target", row, reason)


def _evening_finding(row: pd.Series) -> Finding:
    reason = (
        f"it goes {row['same_day']:+.2f} with that of its own day, which is honest only of a price "
        "that is struck after the target's"
    )
    return _finding("look", "features", row, reason)


def _column_finding(row: pd.Series, too_large: float) -> Finding:
    part = "forecasts" if row["kind"] == FORECAST else "features"
    if abs(row["correlation"]) - ONE_SIDED * row["error"] > too_large:
        return _finding("suspect", part, row, "beyond belief")
    return _finding("look", part, row, "beyond luck, without a known honest cause")


def _finding(kind: Kind, part: str, row: pd.Series, reason: str) -> Finding:
    name, over = row["name"], f" over {row['days']} days" if row["days"] > 1 else ""
    text = (
        f"{'target ' if part == 'target' else ''}{name}: {kind.upper()}, its {row['kind']} goes "
        f"{row['correlation']:+.2f} with the return{over} that ends {row['lead']} trading day(s) "
        f"ahead: {reason}"
    )
    return Finding(kind, part, name, int(row["lead"]), text)


# --- columns that copy or lie on lines ------------------------------------------------------------


def interpolated_columns(frame: pd.DataFrame) -> list[Finding]:
    """Return a suspicion of each column whose values mostly lie on lines between a few of them.

    A value on the line to the next reported one was not known before that was.

    Args:
        frame: Values as in the file, by day, ascending, NaN where there is none.
    """
    findings = []
    for name in frame:
        values = frame[name].dropna()
        dates = pd.DatetimeIndex(values.index)
        days = (dates - dates.min()).days.to_numpy()
        share = max(_share_on_lines(values, days), _share_on_lines(values, np.arange(len(days))))
        if share > LINE_SHARE:
            text = (
                f"{name}: SUSPECT, {100 * share:.0f} % of its values lie on a line between two "
                "others: who fills a gap so must know the later one"
            )
            findings.append(Finding("suspect", "features", str(name), None, text))
    return findings


def _share_on_lines(values: pd.Series, days: Array) -> float:
    """Return the share of changing values that are on a line; 0 for a trend or a calendar."""
    slopes = np.diff(values.to_numpy(dtype=np.float64)) / np.diff(days)
    before, after = slopes[:-1], slopes[1:]
    is_line = (np.abs(after - before) <= ON_A_LINE * np.abs(before)) & (before != 0)
    num_lines = len(np.unique(before[is_line & ~np.roll(is_line, 1)].round(9)))
    moves = (before != 0) | (after != 0)
    return float(is_line.sum() / moves.sum()) if num_lines >= FEWEST_LINES else 0.0


def late_copies(features: pd.DataFrame, *, fewest_rows: int) -> list[str]:
    """Return a remark for each pair of columns of which one copies the other some days later.

    It is no finding, as either the first looks ahead or the second is a lagged column.
    """
    changes = features.diff().iloc[1:]
    moving = changes.columns[changes.std(ddof=0) > 0]
    values = changes[moving].to_numpy(dtype=np.float64)
    remarks = []
    for lead in range(1, min(LONGEST_COPY, len(values) - fewest_rows) + 1):
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


# --- forecasts ------------------------------------------------------------------------------------


def honest_forecasts(module: WindowDataModule, *, horizon: int) -> pd.DataFrame:
    """Return what ridge and boosting forecast for samples that they have not seen.

    They are fitted on the first half of the samples; the next tenth chooses their strength.

    Args:
        module: Windows and outcomes.
        horizon: Trading days that an outcome reaches.

    Returns:
        By row of the table, shape (T, 2), NaN but in the last two fifths of the samples.
    """
    place = (np.arange(len(module.origins)) + 0.5) / len(module.origins)
    segment = np.select(
        [place < FITTED_SHARE, place < FITTED_SHARE + CHOSEN_SHARE], ["train", "val"], "test"
    )
    actual = module.outcomes["actual"].to_numpy(dtype=np.float64)
    samples = Samples(module.windows(), actual, segment, horizon)
    held_out = segment == "test"
    made: pd.DataFrame = point_baselines(samples).loc[held_out, LEARNERS]
    rows = module.features.index
    return made.set_axis(rows[module.origins[held_out]]).reindex(rows)
