"""Sensitivity of the validation objective to the settings, and advice for a further search.

All of it is about validation: nothing here has seen a test day.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

Floats = NDArray[np.float64]

SEED, FOLD = "seed", "split.fold"
"""The two settings that are no choice: runs that differ only in them form one trial."""

FEWEST_RUNS = 8
"""With fewer comparable runs the settings are not told apart."""

WIDE_RANGE = 20
"""Positive values are seen on a logarithmic scale if the largest is more than so many times the
smallest."""

_COLUMNS = ("parameter", "share", "spread")
_NUM_TREES = 100
_RANDOM_STATE = 0
# A best value this close to an end of what was tried, as a share of the range, lies at the edge.
_EDGE = 0.05


def importance(runs: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Measure how much of the variation between complete runs each parameter explains.

    A parameter's share is half of what a random forest loses, in squared error on runs that its
    trees have not seen, when that parameter is shuffled, over the variance between runs. Where a
    trial was run with more than one seed, the seed's share needs no forest: it is the variance
    between runs of one trial. Shares overlap where parameters act together.

    Args:
        runs: A row a run: `state`, `objective`, `trial`, and a column for each parameter.
        parameters: Names of the settings that vary. A fold's level is taken out of the objective.

    Returns:
        `parameter`, `share` (0 to 1) and `spread` (standard error of the share), the largest share
        first; no row if fewer than `FEWEST_RUNS` can be compared or the objective never changes.

    References:
        Breiman (2001), "Random forests", Machine Learning 45(1); Sobol' (2001), "Global
        sensitivity indices for nonlinear mathematical models", Mathematics and Computers in
        Simulation 55, for half of the loss as share of the variance.
    """
    points = comparable(runs, parameters)
    objective = points["objective"].to_numpy(dtype=np.float64)
    if len(points) < FEWEST_RUNS or np.ptp(objective) == 0:
        return pd.DataFrame({"parameter": [], "share": [], "spread": []}).astype({"parameter": str})
    repeated = SEED in parameters and points["trial"].duplicated().any()
    names = [name for name in parameters if name != FOLD and not (repeated and name == SEED)]
    rows = _forest_shares(points[names], objective) if names else []
    if repeated:
        rows.append((SEED, *_share_within(points)))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def completed(runs: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Return the complete runs, the level of whose fold was taken from their objective.

    So a trial gains nothing from runs on the quiet folds only.
    """
    known = (runs["state"] == "complete") & np.isfinite(runs["objective"])
    complete: pd.DataFrame = runs.loc[known].copy()
    objective = complete["objective"]
    if FOLD in parameters:
        level = objective.groupby(complete[FOLD]).transform("mean")
        complete["objective"] = objective - level + objective.mean()
    return complete


def comparable(runs: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Return a row for each trial and seed, the mean over the complete runs of all folds.

    Its columns are `trial`, the parameters but the fold, and `objective`.
    """
    keys = ["trial", SEED] if SEED in parameters else ["trial"]
    columns: dict[str, str] = {**dict.fromkeys(choices(parameters), "first"), "objective": "mean"}
    grouped = completed(runs, parameters).groupby(keys, sort=False, as_index=False)
    return grouped.agg(columns)


def best_so_far(completed_runs: pd.DataFrame) -> pd.Series:
    """Return the best trial's objective by the number of the run that completed its trial.

    A trial counts from its last run on: the best single run so far would only be the luckiest.
    """
    trials = completed_runs.groupby("trial").agg({"number": "max", "objective": "mean"})
    return trials.sort_values("number").set_index("number")["objective"].cummin()


def choices(parameters: Sequence[str]) -> list[str]:
    """Return the settings that are a choice."""
    return [name for name in parameters if name not in (SEED, FOLD)]


def short_names(parameters: Sequence[str]) -> dict[str, str]:
    """Name settings without their groups where that is clear."""
    last = [name.rsplit(".", 1)[-1] for name in parameters]
    return {
        name: short if last.count(short) == 1 else name
        for name, short in zip(parameters, last, strict=True)
    }


def as_numbers(values: pd.Series) -> Floats | None:
    """Return values as numbers if all of them are; a truth value is none."""
    numbers = all(isinstance(each, int | float | np.number) for each in values)
    if not numbers or any(isinstance(each, bool | np.bool_) for each in values):
        return None
    array = values.to_numpy(dtype=np.float64)
    return array if np.isfinite(array).all() else None


def is_wide(values: Floats) -> bool:
    """Say whether values, shape (N,), are better seen on a logarithmic scale."""
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    return bool(low > 0 and high > WIDE_RANGE * low)


def advice(runs: pd.DataFrame, parameters: Sequence[str]) -> list[str]:
    """Say in plain sentences what a further search should try, by validation alone.

    Args:
        runs: As for `importance`.
        parameters: Names of the settings that vary.
    """
    sentences = _about_pruned(runs)
    points = comparable(runs, parameters)
    if len(points) < FEWEST_RUNS:
        few = (
            f"Too few runs to advise on settings: {len(points)} of different settings or seeds "
            f"are complete, {FEWEST_RUNS} are needed."
        )
        return [*sentences, few]
    shares = importance(runs, parameters)
    if shares.empty:
        return [*sentences, "The objective is the same in every run: no setting has moved it."]
    sentences += _about_seeds(points)
    sentences += _about_settings(points, shares)
    return [
        *sentences,
        "All of this is about validation; what it would do to the test score is not known.",
    ]


def _forest_shares(settings: pd.DataFrame, objective: Floats) -> list[tuple[str, float, float]]:
    """Return name, share and its standard error for each column of settings."""
    inputs = np.column_stack([_coded(settings[name]) for name in settings]).astype(np.float32)
    forest = RandomForestRegressor(_NUM_TREES, random_state=_RANDOM_STATE).fit(inputs, objective)
    source = np.random.default_rng(_RANDOM_STATE)
    loss, count = np.zeros(inputs.shape), np.zeros(len(inputs))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        unseen = np.setdiff1d(np.arange(len(inputs)), drawn)
        rows, target = inputs[unseen], objective[unseen]
        # The inputs are what the tree would make of them.
        error = (tree.tree_.predict(rows)[:, 0] - target) ** 2
        for column in range(inputs.shape[1]):
            shuffled = rows.copy()
            shuffled[:, column] = source.choice(inputs[:, column], len(unseen))
            loss[unseen, column] += (tree.tree_.predict(shuffled)[:, 0] - target) ** 2 - error
        count[unseen] += 1
    known = count > 0
    shares = loss[known] / count[known, None] / (2 * objective.var())
    errors = shares.std(axis=0) / np.sqrt(len(shares))
    means = np.clip(shares.mean(axis=0), 0, 1)
    return [
        (str(name), float(share), float(error))
        for name, share, error in zip(settings, means, errors, strict=True)
    ]


def _coded(values: pd.Series) -> Floats:
    """Return numbers as they are, and anything else as its place in the alphabet."""
    numbers = as_numbers(values)
    if numbers is not None:
        return numbers
    codes, _ = pd.factorize(values.astype(str), sort=True)
    return codes.astype(np.float64)


def _share_within(points: pd.DataFrame) -> tuple[float, float]:
    """Return the share of the variance that is between runs of one trial, and its error."""
    within = _variance_within(points)
    freedom = len(points) - points["trial"].nunique()
    share = min(within / float(points["objective"].var()), 1.0)
    return share, share * (2 / freedom) ** 0.5


def _variance_within(points: pd.DataFrame) -> float:
    """Pool the variance between runs of one trial; NaN if no trial was run twice."""
    centred = points["objective"] - points.groupby("trial")["objective"].transform("mean")
    freedom = len(points) - points["trial"].nunique()
    return float((centred**2).sum()) / freedom if freedom else float("nan")


def _about_pruned(runs: pd.DataFrame) -> list[str]:
    pruned = int((runs["state"] == "pruned").sum())
    if not pruned:
        return []
    return [
        f"{pruned} of {len(runs)} runs were stopped early; how they would have ended is not known."
    ]


def _about_seeds(points: pd.DataFrame) -> list[str]:
    """Compare the luck of the seed with the lead of the best trial."""
    spread = _variance_within(points) ** 0.5
    if np.isnan(spread):
        return [
            "Every trial was run with one seed: run more, without them a better trial cannot be "
            "told from a luckier one."
        ]
    trials = points.groupby("trial")["objective"].mean()
    lead = float(trials.median() - trials.min())
    if spread <= lead:
        return []
    return [
        f"Seeds alone spread the objective by {spread:.3g}, the best trial leads the median trial "
        f"by {lead:.3g}: run more seeds, not more settings."
    ]


def _about_settings(points: pd.DataFrame, shares: pd.DataFrame) -> list[str]:
    """Say which settings to fix, and beyond which edge to look."""
    share = dict(zip(shares["parameter"], shares["share"], strict=True))
    luck = share.pop(SEED, 0.0)
    idle = [name for name, value in share.items() if value <= luck]
    sentences = []
    if idle and luck > 0:
        them = "it" if len(idle) == 1 else "them"
        rest = ", and search the rest" if len(idle) < len(share) else ", no setting matters more"
        sentences.append(
            f"The seed explains {100 * luck:.0f} % of the variation, more than {_listed(idle)}: "
            f"fix {them}{rest}."
        )
    best = points.groupby("trial")["objective"].mean().idxmin()
    # Twice its error: what cannot be told from nothing has no edge worth going beyond.
    clear = shares["parameter"][shares["share"] > 2 * shares["spread"]]
    moving = [name for name in clear if name in share and name not in idle]
    return sentences + [edge for name in moving if (edge := _edge(points, name, str(best)))]


def _edge(points: pd.DataFrame, name: str, best: str) -> str:
    """Say where to look on if the best trial's value lies at an end of what was tried."""
    tried = as_numbers(points[name])
    if tried is None or np.ptp(tried) == 0:
        return ""
    value = float(tried[(points["trial"] == best).to_numpy()][0])
    scale = np.log if is_wide(tried) else np.asarray
    low, high, place = (float(scale(each)) for each in (tried.min(), tried.max(), value))
    place = (place - low) / (high - low)
    if _EDGE < place < 1 - _EDGE:
        return ""
    end, direction = ("lower", "smaller") if place <= _EDGE else ("upper", "larger")
    return (
        f"The best trial's {name}, {value:g}, lies at the {end} edge of what was tried "
        f"({tried.min():g} to {tried.max():g}): try {direction} values."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
