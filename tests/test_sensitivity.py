"""Which settings matter is measured on objectives whose causes are known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.summary.sensitivity import (
    advice,
    as_numbers,
    best_so_far,
    comparable_runs,
    complete_runs,
    importance,
    is_wide,
    short_names,
)

LAST = "All of this is about validation; what it would do to the test score is not known."


def make_runs(objective, **values):
    """Run every combination of values; those that differ only in seed and fold are one trial."""
    names = {"rate": "training.learning_rate", "fold": "split.fold"}
    rows = [dict(zip(values, combination, strict=True)) for combination in product(values)]
    for number, row in enumerate(rows):
        trial = ",".join(f"{key}={row[key]}" for key in row if key not in ("seed", "fold"))
        row |= {"number": number, "trial": trial, "state": "complete"}
        row["objective"] = float(objective(row))
    runs = pd.DataFrame(rows).rename(columns=names)
    return runs, [names.get(name, name) for name in values]


def product(values):
    return itertools.product(*values.values())


def shares(runs, parameters):
    table = importance(runs, parameters)
    return dict(zip(table["parameter"], table["share"], strict=True))


def test_shares_are_those_of_the_variance():
    # Over four equal steps the parts of the variance are as 9 to 1.
    runs, names = make_runs(
        lambda row: 3 * row["a"] + row["b"] + row["c"] * 0, a=range(4), b=range(4), c=range(3)
    )
    found = shares(runs, names)
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == pytest.approx(0.9, abs=0.06)
    assert found["b"] == pytest.approx(0.1, abs=0.05)
    assert found["c"] < 0.01


def test_words_and_truths_are_parameters_too():
    level = {"all": 1.0, "few": 0.0, "some": 4.0}
    runs, names = make_runs(
        lambda row: level[row["features"]], features=level, both=[True, False], c=range(4)
    )
    found = shares(runs, names)
    assert found["features"] > 0.7
    assert found["both"] < 0.02


def test_shares_that_overlap_sum_to_one():
    # The objective is the product of two settings: each explains what the other does, too.
    pairs = [(a, b) for a in range(6) for b in range(6)]
    runs = pd.DataFrame(pairs, columns=["a", "b"]).assign(state="complete")
    runs = runs.assign(
        trial=[f"{a} {b}" for a, b in pairs], objective=(runs["a"] - 2.5) * (runs["b"] - 2.5)
    )
    table = importance(runs, ["a", "b"])
    assert table["share"].sum() == pytest.approx(1)
    assert (table["share"] > 0.3).all()


def test_the_share_of_the_seed_is_the_variance_within_trials():
    # Within: 8 / 4 = 2. In all, around the mean of 2: 40 / 7.
    runs, names = make_runs(lambda row: 4 * row["a"] + 2 * row["seed"] - 1, a=[0, 1], seed=[0, 1])
    runs = pd.concat([runs, runs.assign(trial=runs["trial"] + " again")])
    table = importance(runs, names).set_index("parameter")
    assert table.loc["seed", "share"] == pytest.approx(2 / (40 / 7))
    assert table.loc["seed", "spread"] == pytest.approx(0.35 * (2 / 4) ** 0.5)


def test_a_seed_that_was_drawn_once_a_trial_is_a_parameter_like_others():
    runs, names = make_runs(lambda row: row["a"], a=range(12), seed=[0])
    runs["seed"] = range(12)
    assert set(shares(runs, names)) == {"a", "seed"}


def test_noise_explains_nothing():
    noise = np.random.default_rng(0)
    runs, names = make_runs(lambda _: noise.standard_normal(), a=range(8), b=range(8))
    table = importance(runs, names)
    assert len(table) == 2
    assert (table["share"] < 2 * table["spread"] + 0.02).all()


def test_the_same_runs_give_the_same_shares():
    noise = np.random.default_rng(0)
    runs, names = make_runs(lambda row: row["a"] + noise.random(), a=range(4), b=range(4))
    pd.testing.assert_frame_equal(importance(runs, names), importance(runs, names))


@pytest.mark.parametrize("case", ["few", "constant", "pruned", "nothing known"])
def test_without_differences_between_enough_runs_there_is_no_share(case):
    runs, names = make_runs(lambda row: row["a"], a=range(7 if case == "few" else 9))
    if case == "constant":
        runs["objective"] = 0.5
    elif case == "pruned":
        runs.loc[:1, "state"] = "pruned"
    elif case == "nothing known":
        runs["objective"] = np.nan
    table = importance(runs, names)
    assert table.empty
    assert list(table.columns) == ["parameter", "share", "spread"]


def test_the_level_of_a_fold_is_no_merit():
    # Trial b is 1 worse on the one fold it has run, which is the quiet one.
    runs, names = make_runs(
        lambda row: 10 * row["fold"] + (row["a"] == "b"), a=["a", "b"], fold=[0, 1]
    )
    runs = runs[(runs["a"] == "a") | (runs["split.fold"] == 0)]
    levelled = complete_runs(runs, names).set_index("number")["objective"]
    # Levels 0.5 and 10; the mean of the three objectives is 11 / 3.
    np.testing.assert_allclose(levelled, 11 / 3 + np.array([-0.5, 0.0, 0.5]))
    points = comparable_runs(runs, names)
    assert list(points.columns) == ["trial", "a", "objective"]
    np.testing.assert_allclose(points["objective"], 11 / 3 + np.array([-0.25, 0.5]))


def test_folds_of_one_seed_are_one_point_and_pruned_runs_none():
    runs, names = make_runs(lambda row: row["a"], a=[1, 2], seed=[0, 1], fold=[0, 1, 2])
    runs.loc[0, "state"] = "pruned"
    runs.loc[1, "objective"] = np.inf
    points = comparable_runs(runs, names)
    assert points[["a", "seed"]].to_numpy().tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]


def test_lists_may_be_values():
    runs, names = make_runs(lambda row: row["b"], a=[0], b=range(9))
    runs["a"] = pd.Series([[1, 2], [3]] * 4 + [[1, 2]], dtype=object)
    assert set(shares(runs, names)) == {"a", "b"}


def test_a_trial_is_the_best_so_far_from_its_last_run_on():
    runs = pd.DataFrame(
        {
            "number": [0, 1, 2, 3, 5],
            "trial": ["a", "b", "a", "b", "c"],
            "objective": [1.0, 0.0, 2.0, 2.0, 4.0],
        }
    )
    best = best_so_far(runs)
    # The lucky first run of b is not its trial.
    assert best.to_dict() == {2: 1.5, 3: 1.0, 5: 1.0}


def test_numbers_are_told_from_words_and_truths():
    np.testing.assert_array_equal(as_numbers(pd.Series([1, 2.5], dtype=object)), [1, 2.5])
    for values in ([True, False], [1, "default"], [1.0, None], [1.0, np.nan], ["1"]):
        assert as_numbers(pd.Series(values, dtype=object)) is None


@pytest.mark.parametrize(
    ("values", "wide"), [([1, 21], True), ([1, 20], False), ([0, 50], False), ([-1, 50], False)]
)
def test_a_wide_range_is_positive_and_above_twenty_fold(values, wide):
    assert is_wide(np.array(values, dtype=float)) == wide


def test_names_are_short_where_that_is_clear():
    names = ["model.size", "training.rate", "features", "window.size"]
    assert list(short_names(names).values()) == ["model.size", "rate", "features", "window.size"]


def test_a_best_value_at_the_edge_is_to_be_passed():
    runs, names = make_runs(lambda row: row["rate"] + row["seed"] * 1e-6, rate=RATES, seed=[0, 1])
    assert advice(runs, names) == [
        "The best trial's training.learning_rate, 0.0001, lies at the lower edge of what was tried "
        "(0.0001 to 0.1): try smaller values.",
        LAST,
    ]
    runs["objective"] *= -1
    assert "0.1, lies at the upper edge" in advice(runs, names)[0]


RATES = [0.0001, 0.001, 0.01, 0.1]


def test_a_best_value_inside_is_no_edge_on_the_scale_that_was_searched():
    # On a linear scale 0.001 would be within a hundredth of the lower end.
    runs, names = make_runs(
        lambda row: abs(np.log10(row["rate"]) + 3) + row["seed"] * 1e-6, rate=RATES, seed=[0, 1]
    )
    assert advice(runs, names) == [LAST]


def test_words_have_no_edge():
    level = {"all": 0.0, "few": 1.0, "some": 4.0}
    runs, names = make_runs(
        lambda row: level[row["features"]] + row["seed"] * 1e-6, features=level, seed=range(4)
    )
    assert advice(runs, names) == [LAST]


def test_what_matters_less_than_the_seed_is_to_be_fixed():
    noise = np.random.default_rng(1)
    runs, names = make_runs(
        lambda row: 3 * (row["a"] - 1) ** 2 + noise.standard_normal(),
        a=range(4),
        b=range(2),
        seed=range(4),
    )
    (sentence, last) = advice(runs, names)
    assert sentence.startswith("The seed explains ")
    assert sentence.endswith(" % of the variation, more than b: fix it, and search the rest.")
    assert last == LAST


def test_luck_larger_than_the_lead_asks_for_seeds():
    # Two seeds two apart have a standard deviation of 2 ** 0.5; the best leads by 0.05.
    runs, names = make_runs(lambda row: 0.1 * row["a"] + 2 * row["seed"], a=[0, 1], seed=[0, 1])
    runs = pd.concat([runs, runs.assign(trial=runs["trial"] + " again")])
    first, second, last = advice(runs, names)
    assert first == (
        "Seeds alone spread the objective by 1.41, the best trial leads the median trial by 0.05: "
        "run more seeds, not more settings."
    )
    assert second.endswith(" % of the variation, more than a: fix it, no setting matters more.")
    assert last == LAST


def test_few_runs_are_no_ground_for_advice():
    runs, names = make_runs(lambda row: row["a"], a=range(9))
    runs.loc[:2, "state"] = "pruned"
    assert advice(runs, names) == [
        "3 of 9 runs were stopped early; how they would have ended is not known.",
        "Too few runs to advise on settings: 6 of different settings or seeds are complete, "
        "8 are needed.",
    ]


def test_one_seed_tells_no_trial_from_a_luckier_one():
    runs, names = make_runs(lambda row: row["a"] ** 2, a=range(-5, 6))
    first, last = advice(runs, names)
    assert first.startswith("Every trial was run with one seed: run more")
    assert last == LAST


def test_an_objective_that_never_changes_is_said_to():
    runs, names = make_runs(lambda _: 1.0, a=range(9))
    assert advice(runs, names) == [
        "The objective is the same in every run: no setting has moved it."
    ]


def test_reading_changes_no_run():
    runs, names = make_runs(lambda row: row["a"], a=range(4), seed=[0, 1], fold=[0, 1])
    before = runs.copy()
    importance(runs, names)
    advice(runs, names)
    pd.testing.assert_frame_equal(runs, before)
