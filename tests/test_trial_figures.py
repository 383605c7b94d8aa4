"""The pictures of a search say what was tried, what was chosen, and no test score of the rest."""

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.assessment import assess, skill_blocks
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.report.style import shorten
from ironore_lightning.summary.fold_figures import chosen_figures
from ironore_lightning.summary.trial_figures import MOST_RANKED, Tuning, tuning_figures

NAMES = [
    "performance_rankings",
    "recommendation",
    "top_models_timeseries",
]
RATES = [1e-4, 1e-3, 1e-2]


def make_days(num_days=130, *, folds=1):
    source = np.random.default_rng(3)
    actual = 1.4 * source.standard_t(4, num_days)
    forecast = 0.15 * source.standard_normal(num_days)
    days = pd.DataFrame({"date": pd.bdate_range("2023-10-02", periods=num_days)})
    days = days.assign(actual=actual, forecast=forecast, is_roll=False, segment="test")
    for per_cent, width in ((80, 2.0), (90, 3.0)):
        days[f"lower_{per_cent}"] = forecast - width
        days[f"upper_{per_cent}"] = forecast + width
    return days.assign(fold=np.arange(num_days) * folds // num_days)


@pytest.fixture(scope="module")
def assessed(compose):
    """Half a year of days and what they are worth."""
    days = make_days()
    baselines = pd.DataFrame({"zero": np.zeros(130), "expanding mean": np.full(130, 0.01)})
    settings = compose().evaluation.model_copy(update={"bootstrap_repetitions": 20})
    density = pd.DataFrame({("pinball", "model"): np.ones(130)})
    scored = ScoredDays(days, "log_return", 1)
    return days, assess(scored, baselines, density, settings, label="FAIR")


def make_runs(values, objective):
    """Run every combination of values; those that differ only in seed and fold are one trial."""
    rows = []
    for number, each in enumerate(itertools.product(*values.values())):
        row = dict(zip(values, each, strict=True))
        parts = [f"{key}={row[key]}" for key in row if key not in ("seed", "split.fold")]
        trial = ",".join(parts) or "default"
        value = float(objective(row))
        rows.append({"number": number, "state": "complete", "objective": value, "trial": trial})
        rows[-1] |= row
    return pd.DataFrame(rows)


def rank(runs):
    by_seed = ["trial", *(name for name in ("seed",) if name in runs)]
    complete = runs[runs["state"] == "complete"]
    seeds = complete.groupby(by_seed)["objective"].mean().groupby("trial")
    ranking = pd.DataFrame({"validation": seeds.mean(), "spread": seeds.std(ddof=1)})
    ranking = ranking.sort_values("validation", kind="stable").reset_index()
    return ranking.assign(
        num_runs=complete.groupby("trial").size().reindex(ranking["trial"]).to_numpy(),
        num_seeds=seeds.size().reindex(ranking["trial"]).to_numpy(),
        num_folds=complete["split.fold"].nunique() if "split.fold" in complete else 1,
        horizon=1,
        seconds=1234.5,
        num_parameters=40000,
    )


def make_tuning(assessed, runs, *, parameters=None, title="a search"):
    days, assessment = assessed
    ranking = rank(runs)
    first = list(runs.columns).index("trial") + 1
    series = days[["date", "actual"]].copy()
    for place, name in enumerate(ranking["trial"].head(5)):
        series[name] = days["forecast"] * (1 - 0.1 * place)
    return Tuning(
        title=title,
        monitor="val/loss",
        ranking=ranking,
        runs=runs,
        parameters=tuple(runs.columns[first:]) if parameters is None else parameters,
        series=series,
        days=days,
        assessment=assessment,
        num_folds=int(ranking["num_folds"].max()),
        horizon=1,
    )


def loss(row):
    """Best at a rate of a thousandth, and 0.01 worse with each later seed."""
    return 0.5 + 0.1 * abs(np.log10(row["training.rate"]) + 3) + 0.01 * row.get("seed", 0)


@pytest.fixture(scope="module")
def small(assessed):
    """Three rates and three seeds."""
    return make_tuning(assessed, make_runs({"training.rate": RATES, "seed": [0, 1, 2]}, loss))


@pytest.fixture(scope="module")
def figures(small):
    return tuning_figures(small)


def grid_of(num_trials):
    return make_runs({"model.size": range(num_trials)}, lambda row: 1 + 0.01 * row["model.size"])


def words(axes):
    return [text.get_text() for text in axes.texts]


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def drawn(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found


def panel(figure, title):
    (found,) = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return found


def legends(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_there_are_three_figures_that_say_how_much_was_tried(figures):
    assert list(figures) == NAMES
    headings = {figure.get_suptitle() for figure in figures.values()}
    assert headings == {
        "a search\n3 trials, 9 runs; judged by val/loss on validation days, lower is better"
    }


def test_pruned_runs_are_counted_and_marked_apart(assessed):
    runs = grid_of(10)
    runs.loc[[7, 9], "state"] = "pruned"
    runs.loc[7, "objective"] = np.nan
    figure = tuning_figures(make_tuning(assessed, runs))["recommendation"]
    assert "8 trials, 10 runs (2 of them pruned); judged" in figure.get_suptitle()
    history = figure.axes[1]
    np.testing.assert_array_equal(drawn(history, "pruned, no final value (2)").get_xdata(), [7, 9])
    np.testing.assert_array_equal(drawn(history, "run").get_xdata(), [1, 2, 3, 4, 5, 6, 8])


def test_the_ranking_is_by_validation_with_the_spread_over_seeds(figures):
    (axes,) = figures["performance_rankings"].axes
    assert labels(axes.yaxis) == [
        "training.rate=0.001   1",
        "training.rate=0.0001   2",
        "training.rate=0.01   3",
    ]
    np.testing.assert_allclose(drawn(axes, "chosen trial").get_xdata(), [0.51])
    np.testing.assert_allclose(drawn(axes, "other trials").get_xdata(), [0.61, 0.61])
    assert words(axes) == ["0.51 ± 0.01", "0.61 ± 0.01", "0.61 ± 0.01"]
    (bars,) = [each for each in axes.collections if len(each.get_segments()) == 3]
    np.testing.assert_allclose(bars.get_segments()[0][:, 0], [0.5, 0.52])
    assert axes.yaxis_inverted()


def test_trials_within_the_luck_of_the_seed_are_counted(assessed):
    runs = make_runs({"a": [0.0, 0.006, 0.02], "seed": [0, 1]}, lambda row: row["a"] + row["seed"])
    runs["objective"] = runs["a"] + 0.01 * runs["seed"]
    figure = tuning_figures(make_tuning(assessed, runs))["performance_rankings"]
    # The standard deviation of two seeds is 0.01 / 2 ** 0.5 = 0.00707.
    assert "within one spread over seeds of the best (2 trials)" in legends(figure)
    (band,) = figure.axes[0].patches
    assert band.get_width() == pytest.approx(0.01 / 2**0.5)


def test_one_seed_has_no_spread(assessed):
    figures = tuning_figures(make_tuning(assessed, grid_of(2)))
    (axes,) = figures["performance_rankings"].axes
    assert words(axes) == ["1", "1.01"]
    assert not axes.patches


def test_of_many_trials_the_first_are_shown_and_all_are_counted(assessed):
    figures = tuning_figures(make_tuning(assessed, grid_of(108)))
    (ranking,) = figures["performance_rankings"].axes
    assert len(labels(ranking.yaxis)) == MOST_RANKED == 25
    assert ranking.get_title(loc="left") == (
        "The best 25 of 108 trials by validation, best first; the worst is at 2.07"
    )


def test_long_names_give_way_to_the_settings_that_were_searched(assessed):
    values = {
        "model.hidden_size": [8, 16],
        "training.learning_rate": [0.000123456],
        "long": ["w" * 9],
    }
    figures = tuning_figures(
        make_tuning(assessed, make_runs(values, lambda row: row["long"] == ""))
    )
    (axes,) = figures["performance_rankings"].axes
    assert labels(axes.yaxis)[0] == "16, 0.000123, wwwwwwwww   1"
    assert axes.get_xlabel().endswith("trials are named by hidden_size, learning_rate, long")


def test_no_picture_scores_another_trial_on_the_test_days(assessed):
    # The second trial forecasts the actual itself; nothing that is written may tell.
    plain = make_tuning(assessed, grid_of(3))
    series = plain.series.copy()
    known = replace(plain, series=series.assign(**{series.columns[3]: series["actual"]}))
    for name, before, after in zip(
        NAMES,
        *(tuning_figures(each).values() for each in (plain, known)),
        strict=True,
    ):
        pairs = list(zip(before.axes, after.axes, strict=True))
        assert [words(axes) for axes, _ in pairs] == [words(axes) for _, axes in pairs], name


def test_importance_marks_the_seed(figures):
    bars = figures["recommendation"].axes[0]
    assert labels(bars.yaxis) == ["rate", "seed"]
    rate, seed = bars.patches
    assert rate.get_width() > seed.get_width() > 0
    assert rate.get_facecolor() != seed.get_facecolor()
    (luck,) = [each for each in bars.lines if each.get_linestyle() == "--"]
    assert luck.get_xdata()[0] == seed.get_width()


def test_the_history_counts_a_trial_when_its_last_run_ends(figures):
    history = figures["recommendation"].axes[1]
    best = drawn(history, "best trial so far (mean of its runs)")
    np.testing.assert_allclose(best.get_xdata(), [2, 5, 8, 8.5])
    np.testing.assert_allclose(best.get_ydata(), [0.61, 0.51, 0.51, 0.51])
    np.testing.assert_array_equal(drawn(history, "run of the chosen trial").get_xdata(), [3, 4, 5])


def test_a_run_that_diverged_hides_no_other(assessed):
    runs = grid_of(10)
    runs.loc[9, "objective"] = 1e6
    history, parallel = (
        tuning_figures(make_tuning(assessed, runs))["recommendation"].axes[place]
        for place in (1, 2)
    )
    beyond = drawn(history, "run beyond the panel, up to 1e+06")
    # The lower three quarters reach from 1 to 1.0675, and three times that beyond.
    np.testing.assert_allclose(beyond.get_ydata(), [1.27])
    assert history.get_ylim()[1] < 1.3
    assert labels(parallel.xaxis) == ["size", "objective, cut"]


def test_the_parallel_lines_pass_the_settings_to_the_objective(assessed):
    runs = make_runs({"a": [1, 2], "b": ["x", "y", "z"]}, lambda row: row["a"] + (row["b"] == "y"))
    figure = tuning_figures(make_tuning(assessed, runs))["recommendation"]
    parallel = panel(figure, "Settings of each trial, the best in blue")
    assert labels(parallel.xaxis) == ["a", "b", "objective"]
    assert words(parallel) == ["1", "2", "x", "y", "z", "1", "3"]
    paths = [each for each in parallel.lines if len(each.get_xdata()) == 3]
    assert len(paths) == 6
    ends = [path.get_ydata()[-1] for path in paths]
    assert ends == sorted(ends, reverse=True)
    best = paths[-1]
    assert best.get_linewidth() == max(path.get_linewidth() for path in paths)
    np.testing.assert_allclose(best.get_ydata(), [0, 1, 0], atol=0.03)


def test_few_numbers_get_a_place_each_and_many_a_scale(assessed):
    rates = np.geomspace(1e-5, 1e-1, 9)
    many = tuning_figures(make_tuning(assessed, make_runs({"training.rate": rates}, loss)))
    few = tuning_figures(make_tuning(assessed, make_runs({"training.rate": RATES}, loss)))
    wide, narrow = (panel(each["recommendation"], "rate") for each in (many, few))
    assert wide.get_xscale() == "log"
    assert narrow.get_xscale() == "linear"
    assert labels(narrow.xaxis) == ["0.0001", "0.001", "0.01"]
    np.testing.assert_array_equal(drawn(narrow, "run of the chosen trial").get_xdata(), [1])


def test_the_folds_level_is_taken_from_the_history(assessed):
    runs = make_runs(
        {"a": [0, 1], "split.fold": [0, 1, 2]}, lambda row: row["a"] + 10 * row["split.fold"]
    )
    figure = tuning_figures(make_tuning(assessed, runs))["recommendation"]
    history = panel(figure, "Runs in the order of their start")
    parallel = panel(figure, "Settings of each trial, the best in blue")
    np.testing.assert_allclose(drawn(history, "run").get_ydata(), [11, 11, 11])
    assert history.get_ylabel() == "val/loss, level of folds removed"
    assert labels(parallel.xaxis) == ["a", "objective"]


def test_forecasts_share_a_scale_of_their_own_below_the_actual(figures, small):
    top, *strips = figures["top_models_timeseries"].axes
    assert len(strips) == 3
    assert {axes.get_ylim() for axes in strips} == {
        (-reach, reach) for reach in [1.1 * small.days["forecast"].abs().max()]
    }
    assert max(top.get_ylim()) > 3
    assert strips[1].get_title(loc="left") == (
        "2. training.rate=0.0001; correlation with the first +1.00"
    )


def test_days_without_a_forecast_are_left_out(assessed):
    tuning = make_tuning(assessed, grid_of(2))
    tuning.series.iloc[:100, 3] = np.nan
    _, first, second = tuning_figures(tuning)["top_models_timeseries"].axes
    stems = [len(axes.collections[0].get_segments()) for axes in (first, second)]
    assert stems == [130, 30]


ODD = "铁矿石 $x_1$ <b>&\"'"


def odd_runs():
    values = {"features": [ODD, "very_long_" * 20], "model.hidden_size": [8, 16], "seed": [0, 1]}
    return make_runs(values, lambda row: row["model.hidden_size"] + row["seed"])


def searched_runs():
    """Forty runs of seven settings, of which some were pruned."""
    source = np.random.default_rng(0)
    runs = grid_of(40)
    names = ["training.learning_rate", "training.weight_decay", "model.sequence_length"]
    for name in names:
        runs[name] = 10 ** source.uniform(-5, -1, 40)
    runs["features"] = source.choice(["stationary", "prices_and_indices", "all"], 40)
    runs["model.bidirectional"] = source.integers(2, size=40).astype(bool)
    runs["trial"] = [f"{name},{'long' * 30}" for name in runs["trial"]]
    runs["objective"] = source.uniform(0.5, 0.6, 40)
    runs.loc[::6, ["state", "objective"]] = ["pruned", np.nan]
    return runs


EDGE_CASES = {
    "all the same": lambda: grid_of(9).assign(objective=0.5),
    "odd names": odd_runs,
    "a study": searched_runs,
}


@pytest.mark.parametrize("case", EDGE_CASES)
def test_whatever_was_searched_can_be_drawn(case, assessed):
    tuning = make_tuning(assessed, EDGE_CASES[case](), title=f"{case} {ODD}")
    figures = tuning_figures(tuning)
    assert list(figures) == NAMES
    for figure in figures.values():
        figure.get_layout_engine().execute(figure)


def test_one_trial_has_no_ranking_and_nothing_that_mattered(assessed):
    only_seeds = make_runs({"seed": range(9)}, lambda row: row["seed"])
    for runs in (make_runs({}, lambda _: 0.5), only_seeds):
        assert tuning_figures(make_tuning(assessed, runs)) == {}


def test_trials_that_differ_in_no_setting_have_nothing_that_mattered(assessed):
    tuning = replace(make_tuning(assessed, grid_of(3)), parameters=())
    assert list(tuning_figures(tuning)) == ["performance_rankings", "top_models_timeseries"]


def test_without_enough_runs_to_explain_there_is_no_panel_that_explains(assessed):
    axes = tuning_figures(make_tuning(assessed, grid_of(3)))["recommendation"].axes
    assert [each.get_title(loc="left") for each in axes] == [
        "Runs in the order of their start",
        "Settings of each trial, the best in blue",
        "size",
    ]


def test_drawing_changes_neither_the_search_nor_settings(small):
    before, options = small.runs.copy(), dict(mpl.rcParams)
    tuning_figures(small)
    pd.testing.assert_frame_equal(small.runs, before)
    assert dict(mpl.rcParams) == options


def walked(assessed, folds):
    days, assessment = assessed
    runs = make_runs({"a": [0, 1], "split.fold": range(folds)}, lambda row: row["a"])
    tuning = make_tuning(assessed, runs)
    days = make_days(folds=folds)
    blocks = skill_blocks(days, 50)
    return replace(tuning, days=days, assessment=replace(assessment, blocks=blocks))


def test_one_fold_has_the_figures_of_a_run(assessed):
    figures = chosen_figures(walked(assessed, 1))
    assert list(figures) == ["timeseries_comparison", "actual_vs_predicted_scatter"]


def test_the_borders_of_the_folds_are_marked_and_numbered(assessed):
    tuning = walked(assessed, 5)
    figure = chosen_figures(tuning)["joined_forecast"]
    upper, lower = figure.axes
    for axes in (upper, lower):
        borders = [each.get_xdata()[0] for each in axes.lines if each.get_linestyle() == ":"]
        assert borders == list(tuning.days["date"].iloc[[26, 52, 78, 104]])
    assert words(upper) == [" 0", " 1", " 2", " 3", " 4"]
    assert upper.get_title(loc="left") == "5 folds joined, a model each"


def test_skill_is_shown_by_block_and_by_year_over_what_a_coin_gets(assessed):
    tuning = walked(assessed, 5)
    figure = chosen_figures(tuning)["block_skill"]
    by_block, by_year, r2_by_block, r2_by_year = figure.axes
    blocks = tuning.assessment.blocks
    assert len(blocks) == 2
    accuracy = drawn(by_block, "direction accuracy").get_ydata()
    np.testing.assert_allclose(accuracy, [block.accuracy for block in blocks])
    # Of fifty tosses 18 to 32 are heads with a chance of 95 %.
    assert [(bar.get_y(), bar.get_height()) for bar in by_block.patches] == [(36, 28)] * 2
    assert [bar.get_height() for bar in r2_by_block.patches] == [each.r2_zero for each in blocks]
    days = tuning.days
    late = days[days["date"].dt.year == 2024]
    moved = 100 * (late["actual"] * late["forecast"] > 0).mean()
    assert drawn(by_year, "direction accuracy").get_ydata()[1] == pytest.approx(moved)
    assert labels(r2_by_year.xaxis) == ["2023\n(65)", "2024\n(65)"]
    ups = 100 * (days["actual"] > 0).mean()
    (base,) = {each.get_ydata()[0] for each in by_year.lines if each.get_linestyle() == "--"}
    assert base == pytest.approx(max(ups, 100 - ups))


def test_too_few_days_for_a_block_are_said_to_be(assessed):
    tuning = walked(assessed, 2)
    few = replace(tuning, assessment=replace(tuning.assessment, blocks=[]))
    figure = chosen_figures(few)["block_skill"]
    assert words(figure.axes[0]) == ["there are fewer days than one block has"]
    assert len(figure.axes[1].patches) == 2


@pytest.mark.parametrize(
    ("text", "num_columns", "short"),
    [("abc", 3, "abc"), ("abcdefghij", 7, "ab...ij"), ("a\n b", 9, "a b"), ("铁", 3, "?")],
)
def test_long_text_loses_its_middle(text, num_columns, short):
    assert shorten(text, num_columns) == short
