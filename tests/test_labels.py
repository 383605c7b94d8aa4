"""The words for scores, and the last sentence."""

from dataclasses import replace

import pandas as pd
import pytest

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.labels import direction_sentence, epoch_speed, label, loss_trend
from ironore_lightning.evaluation.metrics import evaluate


def scores_with(hits, days=100):
    """Score a market that rises on every other day, and a forecast that is right on some days."""
    actual = [1.0, -1.0] * (days // 2)
    sizes = [1.0 + day / days for day in range(hits)] + [-1.0] * (days - hits)
    forecast = [size * move for size, move in zip(sizes, actual, strict=True)]
    return evaluate(
        ScoredDays(pd.DataFrame({"actual": actual, "forecast": forecast}), "log_return", 1)
    )


def words(thresholds, scores, *, is_return=True, num_parameters=1, training_seconds=1.0):
    return label(
        scores,
        thresholds,
        is_return=is_return,
        num_parameters=num_parameters,
        training_seconds=training_seconds,
    )


@pytest.mark.parametrize(
    ("hits", "word"),
    [(60, "EXCELLENT"), (59, "GOOD"), (55, "GOOD"), (54, "FAIR"), (50, "FAIR"), (49, "POOR")],
)
def test_direction_is_called_as_in_the_original(compose, hits, word):
    assert words(compose().thresholds, scores_with(hits)).direction == word


@pytest.mark.parametrize(("hits", "word"), [(63, "FAIR"), (62, "POOR"), (68, "GOOD")])
def test_what_always_saying_up_reaches_earns_no_better_word(compose, hits, word):
    rising = replace(scores_with(hits), up_share=63.0)
    falling = replace(scores_with(hits), up_share=37.0)
    for scores in (rising, falling):
        assert words(compose().thresholds, scores).direction == word


def test_trading_thresholds_are_stricter(compose):
    thresholds = compose("thresholds=trading").thresholds
    assert words(thresholds, scores_with(60)).direction == "GOOD"


@pytest.mark.parametrize(
    ("field", "value", "attribute", "word"),
    [
        ("rmse", 1.0, "error", "LOW"),
        ("rmse", 2.0, "error", "MODERATE"),
        ("rmse", 2.01, "error", "HIGH"),
        ("correlation", 0.5, "correlation", "STRONG"),
        ("correlation", 0.2, "correlation", "MODERATE"),
        ("correlation", 0.19, "correlation", "WEAK"),
        ("correlation", -0.9, "correlation", "WEAK"),
        ("correlation", None, "correlation", "WEAK"),
        ("direction_accuracy", None, "direction", "POOR"),
    ],
)
def test_error_and_correlation_words(compose, field, value, attribute, word):
    scores = replace(scores_with(50), **{field: value})
    assert getattr(words(compose().thresholds, scores), attribute) == word


@pytest.mark.parametrize(
    ("count", "seconds", "complexity", "training"),
    [
        (10_000, 300, "SIMPLE", "QUICK"),
        (10_001, 301, "MODERATE", "MODERATE"),
        (100_001, 1801, "COMPLEX", "LENGTHY"),
    ],
)
def test_size_and_time_words(compose, count, seconds, complexity, training):
    labels = words(
        compose().thresholds, scores_with(50), num_parameters=count, training_seconds=seconds
    )
    assert (labels.complexity, labels.training) == (complexity, training)


def test_epoch_words(compose):
    thresholds = compose().thresholds
    assert [epoch_speed(time, thresholds) for time in (10, 30, 31)] == ["FAST", "MEDIUM", "SLOW"]


def test_a_loss_is_compared_with_the_best_so_far_and_not_with_the_epoch_before(compose):
    thresholds = compose().thresholds
    best, said = float("inf"), []
    for loss in (2.0, 1.0, 1.5, 1.25, 1.0, 1.0009, 1.0011, 0.9999):
        said.append(loss_trend(loss, best, thresholds))
        best = min(best, loss)
    assert said == [
        *("IMPROVING", "IMPROVING"),
        *("DECLINING", "DECLINING"),  # 1.25 is less than 1.5, and more than 1.0
        *("PLATEAU", "PLATEAU"),
        *("DECLINING", "IMPROVING"),
    ]


def test_the_sentence_on_the_direction_states_facts_and_judges_nothing(compose):
    scores = scores_with(57)
    assert words(compose().thresholds, scores).direction == "GOOD"
    assert direction_sentence(scores) == (
        "Direction was right on 57 of 100 test days (57.0 %); guessing reaches 40.0 to 60.0 % on "
        "as many days, and always saying up reaches 50.0 %."
    )


def test_the_sentence_names_the_more_frequent_sign():
    scores = replace(scores_with(65), up_share=35.0)
    assert direction_sentence(scores).endswith("always saying down reaches 65.0 %.")


def test_no_move_at_all_says_that_there_was_no_direction():
    scores = evaluate(
        ScoredDays(pd.DataFrame({"actual": [0.0], "forecast": [1.0]}), "log_return", 1)
    )
    assert "there was no direction to forecast" in direction_sentence(scores)
