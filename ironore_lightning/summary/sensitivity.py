"""Sensitivity of the validation objective to the settings, and advice for a further search.

Test days are never used.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

Floats = NDArray[np.float64]

SEED, FOLD = "seed", "split.fold"
"""Settings that are not searched: runs that differ only in them form one trial."""

FEWEST_RUNS = 8
"""Fewest comparable runs to measure importance."""

WIDE_RANGE = 20
"""Positive values have a logarithmic scale if the largest is more than so many times the
smallest."""

_COLUMNS = ("parameter", "share", "spread")
_NUM_TREES = 100
_RANDOM_STATE = 0
# A best value this close to an end of the range, as a share of it, lies at the edge.
_EDGE = 0.05


def importance(runs: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Return the share of the variance between complete runs that each parameter explains.

    It is the permutation importance of a random forest on out-of-bag runs: half of the increase in
    squared error, over the variance between runs. If a trial has several seeds, the seed's share is
    the variance between its runs. If parameters interact, their shares overlap; those of the
    settings are then scaled down to what the seed leaves, so that no sum is above 1.

    Args:
        runs: One row per run: `state`, `objective`, `trial`, and a column for each parameter.
        parameters: Names of the settings that vary. The objective is demeaned by fold.

    Returns:
        `parameter`, `share` (0 to 1) and `spread` (standard error of the share), the largest share
        first; no row for fewer than `FEWEST_RUNS` comparable runs or a constant objective.

    References:
        Breiman (2001), "Random forests", Machine Learning 45(1); Sobol' (2001), "Global
        sensitivity indices for nonlinear mathematical models", Mathematics and Computers in
        Simulation 55, for half of the loss as share of the variance.
    """
    points = comparable_runs(runs, parameters)
    objective = points["objective"].to_numpy(dtype=np.float64)
    if len(points) < FEWEST_RUNS or np.ptp(objective) == 0:
        return pd.DataFrame({"parameter": [], "share": [], "spread": []}).astype({"parameter": str})
    repeated = SEED in parameters and bool(points["trial"].duplicated().any())
    names = [name for name in parameters if name != FOLD and not (repeated and name == SEED)]
    rows = _forest_shares(points[names], objective) if names else []
    if repeated:
        rows.append((SEED, *_seed_share(points)))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    is_seed = (table["parameter"] == SEED) & repeated
    left, found = 1 - table["share"][is_seed].sum(), table["share"][~is_seed].sum()
    if found > left:
        table.loc[~is_seed, ["share", "spread"]] *= left / found
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def complete_runs(runs: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Return the complete runs, with the mean of each fold removed from the objective.

    Otherwise trials with runs on easy folds only would look better.
    """
    known = (runs["state"] == "complete") & np.isfinite(runs["objective"])
    complete: pd.DataFrame = runs.loc[known].copy()
    objective = complete["objective"]
    if FOLD in parameters:
        level = objective.groupby(complete[FOLD]).transform("mean")
        complete["objective"] = objective - level + objective.mean()
    return complete


def comparable_runs(runs: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Return a row for each trial and seed, the mean over the complete runs of all folds.

    Its columns are `trial`, the parameters but the fold, and `objective`.
    """
    keys = ["trial", SEED] if SEED in parameters else ["trial"]
    columns: dict[str, str] = {
        **dict.fromkeys(searched_settings(parameters), "first"),
        "objective": "mean",
    }
    grouped = complete_runs(runs, parameters).groupby(keys, sort=False, as_index=False)
    return grouped.agg(columns)


def best_so_far(completed_runs: pd.DataFrame) -> pd.Series:
    """Return the best trial's objective by the number of the run that completed its trial.

    A trial counts from its last run on.
    """
    trials = completed_runs.groupby("trial").agg({"number": "max", "objective": "mean"})
    return trials.sort_values("number").set_index("number")["objective"].cummin()


def searched_settings(parameters: Sequence[str]) -> list[str]:
    """Return the settings that are searched."""
    return [name for name in parameters if name not in (SEED, FOLD)]


def short_names(parameters: Sequence[str]) -> dict[str, str]:
    """Return names without their groups where they stay unique, by full name."""
    last = [name.rsplit(".", 1)[-1] for name in parameters]
    return {
        name: short if last.count(short) == 1 else name
        for name, short in zip(parameters, last, strict=True)
    }


def as_numbers(values: pd.Series) -> Floats | None:
    """Return values as numbers; None unless all are finite numbers (not truth values)."""
    numbers = all(isinstance(value, int | float | np.number) for value in values)
    if not numbers or any(isinstance(value, bool | np.bool_) for value in values):
        return None
    array = values.to_numpy(dtype=np.float64)
    return array if np.isfinite(array).all() else None


def is_wide(values: Floats) -> bool:
    """Return whether values, shape (N,), need a logarithmic scale."""
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    return bool(low > 0 and high > WIDE_RANGE * low)


def advice(runs: pd.DataFrame, parameters: Sequence[str]) -> list[str]:
    """Return sentences on what a further search should try, by validation alone.

    Args:
        runs: As for `importance`.
        parameters: Names of the settings that vary.
    """
    sentences = _about_pruned(runs)
    points = comparable_runs(runs, parameters)
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
    """Return name, share and its standard error for each setting."""
    inputs = np.column_stack([_coded(settings[name]) for name in settings]).astype(np.float32)
    forest = RandomForestRegressor(_NUM_TREES, random_state=_RANDOM_STATE).fit(inputs, objective)
    rng = np.random.default_rng(_RANDOM_STATE)
    loss, count = np.zeros(inputs.shape), np.zeros(len(inputs))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        unseen = np.setdiff1d(np.arange(len(inputs)), drawn)
        rows, target = inputs[unseen], objective[unseen]
        # The inputs have the dtype of the tree already.
        error = (tree.tree_.predict(rows)[:, 0] - target) ** 2
        for column in range(inputs.shape[1]):
            shuffled = rows.copy()
            shuffled[:, column] = rng.choice(inputs[:, column], len(unseen))
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
    """Return numbers as they are, and other values by their alphabetical order."""
    numbers = as_numbers(values)
    if numbers is not None:
        return numbers
    codes, _ = pd.factorize(values.astype(str), sort=True)
    return codes.astype(np.float64)


def _seed_share(points: pd.DataFrame) -> tuple[float, float]:
    """Return the share of the variance between runs of one trial, and its standard error."""
    within = _variance_within(points)
    freedom = len(points) - points["trial"].nunique()
    share = min(within / float(points["objective"].var()), 1.0)
    return share, share * (2 / freedom) ** 0.5


def _variance_within(points: pd.DataFrame) -> float:
    """Return the pooled variance between runs of one trial; NaN if no trial has two runs."""
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
    """Compare the spread over seeds with the lead of the best trial."""
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
    """Return which settings to fix, and which ranges to extend."""
    share = dict(zip(shares["parameter"], shares["share"], strict=True))
    seed_share = share.pop(SEED, 0.0)
    unimportant = [name for name, value in share.items() if value <= seed_share]
    sentences = []
    if unimportant and seed_share > 0:
        them = "it" if len(unimportant) == 1 else "them"
        rest = (
            ", and search the rest"
            if len(unimportant) < len(share)
            else ", no setting matters more"
        )
        sentences.append(
            f"The seed explains {100 * seed_share:.0f} % of the variation, more than "
            f"{_listed(unimportant)}: fix {them}{rest}."
        )
    best = points.groupby("trial")["objective"].mean().idxmin()
    # Only settings whose share is significant (two standard errors).
    clear = shares["parameter"][shares["share"] > 2 * shares["spread"]]
    significant = [name for name in clear if name in share and name not in unimportant]
    return sentences + [edge for name in significant if (edge := _edge(points, name, str(best)))]


def _edge(points: pd.DataFrame, name: str, best: str) -> str:
    """Return advice to extend a setting's range if the best value is at its edge; else empty."""
    tried = as_numbers(points[name])
    if tried is None or np.ptp(tried) == 0:
        return ""
    value = float(tried[(points["trial"] == best).to_numpy()][0])
    scale = np.log if is_wide(tried) else np.asarray
    low, high, best_value = (float(scale(number)) for number in (tried.min(), tried.max(), value))
    position = (best_value - low) / (high - low)
    if _EDGE < position < 1 - _EDGE:
        return ""
    end, direction = ("lower", "smaller") if position <= _EDGE else ("upper", "larger")
    return (
        f"The best trial's {name}, {value:g}, lies at the {end} edge of what was tried "
        f"({tried.min():g} to {tried.max():g}): try {direction} values."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
