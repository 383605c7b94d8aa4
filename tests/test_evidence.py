"""The grade, rule by rule, on findings made by hand."""

from dataclasses import fields, replace

import pytest

from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.evidence import GRADES, Findings, grade_findings, look_share
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.selection import Discount
from ironore_lightning.evaluation.significance import Outcome

SCORES = Scores(
    num_days=600,
    rmse=1.4,
    mae=1.0,
    zero_rmse=1.41,
    zero_mae=1.01,
    rmse_ratio=0.99,
    mae_ratio=0.99,
    r2=0.02,
    r2_zero=0.02,
    r2_mean=0.021,
    direction_accuracy=56.0,
    direction_low=51.9,
    direction_high=60.0,
    direction_hits=336,
    direction_days=600,
    days_apart=600,
    zero_forecast_days=0,
    up_share=51.2,
    base_rate=51.2,
    chance_accuracy=50.1,
    guessing_low=46.0,
    guessing_high=54.0,
    correlation=0.15,
    rank_correlation=0.15,
    mape=1.0,
    naive_mape=1.01,
)


def result(p_value, note=""):
    return Outcome(None if p_value is None else 2.0, p_value, note, 600)


CONVINCING = Findings(
    table=[Row("model", SCORES, clark_west_p=0.001, diebold_mariano_p=0.01)],
    fewest_signs={"forecast": 250, "market": 290},
    slope=result(0.001),
    rotation=result(0.002),
    skill_p=0.002,
    encompassing=result(0.01),
    net_sharpe=1.2,
)
"""What satisfies every rule and is not too good."""

SURVIVING = Discount(
    num_trials=20,
    num_scored=20,
    effective_trials=8.0,
    chosen_p=0.02,
    sharpe=2.4,
    expected_best_sharpe=0.9,
    deflated_sharpe=0.97,
    minimum_track_record_days=200,
    overfitting=0.1,
    cscv_blocks=16,
    notes=(),
)
"""What is left after the discount, and suffices for the highest grade."""

OF_THE_SCORES = {field.name for field in fields(Scores)}
FIRST_LOOK = "This is the first look at these days that the ledger knows."


def findings_with(*, skill=None, others=(), **changes):
    """Replace some of the convincing findings, those of the model's scores among them."""
    scores = {name: changes.pop(name) for name in OF_THE_SCORES & set(changes)}
    model = replace(CONVINCING.table[0], scores=replace(SCORES, **scores))
    if skill is not None:
        changes |= {"slope": result(skill), "rotation": result(skill / 2), "skill_p": skill}
    return replace(CONVINCING, table=[model, *others], **changes)


@pytest.fixture(scope="module")
def settings(compose):
    return compose().evaluation


@pytest.fixture(scope="module")
def grade(settings):
    """Weigh convincing findings, of which some are replaced, at the first look."""

    def weigh_changed(*, look=1, **changes):
        return grade_findings(findings_with(**changes), settings, label="GOOD", look=look)

    return weigh_changed


@pytest.fixture(scope="module")
def grade_search(settings):
    """Weigh convincing findings of a search, of whose discount some numbers are replaced."""

    def weigh_changed(findings=CONVINCING, **changes):
        discount = replace(SURVIVING, **changes)
        return grade_findings(findings, settings, label="GOOD", discount=discount, look=1)

    return weigh_changed


def test_what_satisfies_every_rule_is_supported(grade):
    evidence = grade()
    assert (evidence.grade, evidence.earned) == ("SUPPORTED", "SUPPORTED")
    assert evidence.skill_p == 0.002
    assert evidence.missing == ("a search's discount for looking, which one run does not have",)
    assert evidence.sentence == (
        "On these days it knew more than drift and luck explain; what is not shown: "
        f"{evidence.missing[0]}. {FIRST_LOOK}"
    )


def test_grades_rise_in_their_order(grade, grade_search):
    rising = [grade(days_apart=20), grade(skill=0.4), grade(skill=0.05), grade(), grade_search()]
    assert [evidence.earned for evidence in rising] == list(GRADES)


# --- INSUFFICIENT ---------------------------------------------------------------------------------


def test_few_days_arouse_no_suspicion(grade):
    few = {"days_apart": 59, "direction_days": 59, "correlation": 0.9}
    assert grade(**few).grade == "INSUFFICIENT"
    assert grade(**{**few, "days_apart": 60}).grade == "SUSPECT"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"days_apart": 59, "direction_days": 59}, "59 outcomes, 60 are needed"),
        ({"days_apart": 59}, "59 outcomes that do not overlap, 60 are needed"),
        (
            {"fewest_signs": {"forecast": 9, "market": 300}},
            "the rarer sign of the forecast is there on 9 days, 10 are needed",
        ),
        (
            {"fewest_signs": {"forecast": 10, "market": 0}},
            "the rarer sign of the market is there on 0 days, 10 are needed",
        ),
    ],
)
def test_what_is_too_little_is_named(grade, change, named):
    evidence = grade(**change)
    assert (evidence.grade, evidence.earned) == ("INSUFFICIENT", "INSUFFICIENT")
    assert evidence.missing == (named,)
    assert evidence.sentence == f"There is too little to judge by ({named}). {FIRST_LOOK}"


def test_sixty_days_with_ten_of_each_sign_are_enough(grade):
    enough = {"days_apart": 60, "fewest_signs": {"forecast": 10, "market": 10}}
    assert grade(**enough).earned == "SUPPORTED"


def test_nothing_known_at_all_is_insufficient_and_has_a_line(settings):
    scores = dict.fromkeys(OF_THE_SCORES)
    counts = {"direction_hits": 0, "direction_days": 0, "days_apart": 0, "num_days": 70}
    unknown = findings_with(**scores | counts, skill_p=None, slope=result(None))
    evidence = grade_findings(unknown, settings, label="POOR")
    assert evidence.grade == "INSUFFICIENT"
    assert (
        evidence.line == "direction undefined (0/0) POOR, evidence INSUFFICIENT: skill p undefined "
        "(0.085 suggests, 0.02 supports)"
    )


def test_a_forecast_of_zero_is_as_wrong_in_the_line_as_in_the_sentence(grade):
    zero = {"direction_accuracy": 0.0, "direction_low": None, "direction_high": None}
    evidence = grade(**zero, direction_hits=0)
    assert evidence.line.startswith("direction 0.0 % (0/600) GOOD, evidence SUPPORTED: skill p")


# --- NONE, SUGGESTIVE and SUPPORTED ---------------------------------------------------------------


def test_without_a_significant_covariance_there_is_no_evidence(grade):
    evidence = grade(skill=0.086)
    assert (evidence.grade, evidence.earned) == ("NONE", "NONE")
    named = "slope p 0.086 and rotation p 0.043, 0.085 is needed of both"
    assert evidence.missing == (named,)
    assert evidence.sentence == f"There is no evidence of skill ({named}). {FIRST_LOOK}"


def test_an_undefined_test_is_no_evidence(grade):
    undefined = result(None, "undefined: the regression has no error")
    evidence = grade(slope=undefined, skill_p=None)
    assert evidence.earned == "NONE"
    assert evidence.missing[0].startswith("slope p undefined and rotation p 0.002, ")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"skill": 0.03}, "slope p 0.030 and rotation p 0.015, 0.02 is needed of both"),
        (
            {"encompassing": result(0.051)},
            "what it adds to ridge and autoregressions: p 0.051, 0.05 is needed",
        ),
        (
            {"encompassing": result(None, "undefined: its rivals add up to the forecast")},
            "what it adds to ridge and autoregressions: its rivals add up to the forecast",
        ),
    ],
)
def test_each_condition_alone_keeps_it_at_a_hint(grade, change, named):
    evidence = grade(**change)
    assert (evidence.grade, evidence.earned) == ("SUGGESTIVE", "SUGGESTIVE")
    assert evidence.missing == (named,)
    expected = f"A hint and no more: look again on later days ({named}). {FIRST_LOOK}"
    assert evidence.sentence == expected


def test_p_values_at_the_limit_pass(grade):
    assert grade(skill=0.02, encompassing=result(0.05)).earned == "SUPPORTED"
    assert grade(skill=0.085).earned == "SUGGESTIVE"


def test_neither_errors_nor_blocks_nor_drift_decide(grade):
    """A noisy forecast that is right has a larger error than zero, and yet knows something."""
    assert grade(r2_zero=-0.1, r2_mean=-0.1, direction_accuracy=50.0).earned == "SUPPORTED"


def test_the_thresholds_are_those_of_the_settings(compose):
    strict = compose("evaluation.supported_p=0.001", "evaluation.encompassing_p=0.005").evaluation
    evidence = grade_findings(CONVINCING, strict, label="GOOD")
    assert evidence.earned == "SUGGESTIVE"
    assert evidence.missing == (
        "slope p 0.001 and rotation p 0.002, 0.001 is needed of both",
        "what it adds to ridge and autoregressions: p 0.010, 0.005 is needed",
    )


# --- looks ----------------------------------------------------------------------------------------


def test_all_later_looks_together_cost_a_sixth_of_the_first():
    assert [look_share(look) for look in (1, 2, 3, 14)] == [1, 1 / 12, 1 / 36, 1 / 1092]
    # 1 / (n (n - 1)) = 1 / (n - 1) - 1 / n, so the first hundred later ones sum to 1 - 1 / 101.
    later = sum(look_share(look) for look in range(2, 102))
    assert later == pytest.approx((1 - 1 / 101) / 6)


def test_a_later_look_needs_a_smaller_p_value_and_says_so(grade):
    second = grade(look=2)
    assert (second.look, second.earned) == (2, "SUGGESTIVE")  # 0.002 > 0.02 / 12
    assert "0.0017 is needed of both" in second.missing[0]
    assert second.sentence.endswith(
        "This is look 2 at these days, and luck had to be 12 times rarer than at the first."
    )
    assert grade(look=14).earned == "NONE"
    assert grade(look=14, skill=1e-6).earned == "SUPPORTED"


def test_a_p_value_that_is_too_large_for_a_later_look_is_not_called_smaller_than_needed(grade):
    tenth = grade(look=10, skill=0.0004)
    assert tenth.earned == "NONE"
    assert tenth.missing == ("slope p 0.0004 and rotation p 0.0002, 0.00016 is needed of both",)


def test_what_is_not_counted_is_said(grade):
    evidence = grade(look=None)
    assert (evidence.look, evidence.earned) == (None, "SUPPORTED")
    assert evidence.sentence.endswith("Looks at these days are not counted.")


# --- SUSPECT --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        # tanh(atanh(0.32) - 1.645 / sqrt(597)) = 0.259
        ({"correlation": 0.32}, "model: correlation 0.32"),
        # The one-sided 95 % bound of 384 of 600 is 60.6 %, and 50.1 + 10 are needed.
        (
            {"direction_accuracy": 64.0},
            "model: direction 64.0 % where the same signs in another order have 50.1 %",
        ),
    ],
)
def test_too_good_to_be_true_is_suspect(grade, change, named):
    evidence = grade(**change)
    assert (evidence.grade, evidence.earned) == ("SUSPECT", "SUPPORTED")
    assert evidence.sentence == (
        f"Too good to be true ({named}): run python -m ironore_lightning.audit with the same "
        f"settings before anybody sees this. {FIRST_LOOK}"
    )
    assert ", evidence SUSPECT: " in evidence.line


@pytest.mark.parametrize(
    "change",
    [
        {"correlation": 0.31},  # at least 0.2485 with 95 % confidence
        {"correlation": 0.42, "days_apart": 60},  # at least 0.227
        {"correlation": -0.9},
        {"correlation": None},
        {"direction_accuracy": 63.0},  # at least 59.6 %
        {"direction_accuracy": 75.0, "chance_accuracy": 75.0},  # long in a rising market
        {"direction_accuracy": 66.0, "days_apart": 120},  # weekly outcomes, each counted five times
    ],
)
def test_what_luck_skill_or_drift_may_reach_is_not(grade, change):
    assert grade(**change).grade != "SUSPECT"


def test_a_learner_that_knows_too_much_is_the_alarm_whatever_the_model_made_of_it(grade):
    ridge = Row("ridge", replace(SCORES, correlation=0.9), None, None)
    evidence = grade(skill=0.5, others=[ridge, replace(ridge, name="NLinear")])
    assert (evidence.grade, evidence.earned) == ("SUSPECT", "NONE")
    assert "(ridge: correlation 0.90; likewise NLinear)" in evidence.sentence


# --- the line -------------------------------------------------------------------------------------


def test_one_line_says_it_all(grade):
    closer = [
        Row(name, replace(SCORES, rmse=rmse), None, None)
        for name, rmse in (("zero", 1.39), ("ridge", 1.38), ("AR(1)", 1.5))
    ]
    evidence = grade(
        skill=0.21,
        others=closer,
        direction_hits=73,
        direction_days=131,
        direction_accuracy=100 * 73 / 131,
        direction_low=46.79,
        direction_high=64.41,
        base_rate=100 * 67 / 131,
    )
    assert evidence.line == (
        "direction 55.7 % (73/131) GOOD, evidence NONE: 95 % interval 46.8 to 64.4 covers the base "
        "rate 51.1; skill p 0.210 (0.085 suggests, 0.02 supports); larger error than ridge"
    )


@pytest.mark.parametrize(
    ("low", "high", "relation"),
    [(51.9, 60.0, "lies above"), (51.2, 60.0, "covers"), (40.0, 51.1, "lies below")],
)
def test_the_line_says_where_the_interval_lies(grade, low, high, relation):
    line = grade(direction_low=low, direction_high=high).line
    assert f"95 % interval {low} to {high} {relation} the base rate 51.2; " in line


def test_a_small_p_value_is_not_written_as_zero(grade):
    assert grade(skill=1e-9).line.endswith("; skill p < 0.001 (0.085 suggests, 0.02 supports)")


# --- STRONG: the discount for looking -------------------------------------------------------------


def test_what_survives_the_discount_is_strong_and_promises_nothing(grade_search):
    evidence = grade_search()
    assert (evidence.grade, evidence.missing) == ("STRONG", ())
    assert "whether the market stays as it was is not known." in evidence.sentence


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"chosen_p": 0.051}, "as the best of 20 trials p 0.051, 0.05 is needed"),
        ({"chosen_p": None}, "as the best of 20 trials p undefined, 0.05 is needed"),
        ({"deflated_sharpe": 0.949}, "deflated Sharpe ratio 0.9490"),
        ({"deflated_sharpe": None}, "deflated Sharpe ratio undefined"),
    ],
)
def test_each_part_of_the_discount_alone_keeps_it_at_supported(grade_search, change, named):
    evidence = grade_search(**change)
    assert (evidence.earned, evidence.missing) == ("SUPPORTED", (named,))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_days": 249}, "249 days, 250 are needed"),
        ({"net_sharpe": 0.0}, "Sharpe ratio after 5 bp a turn 0.0000"),
        ({"net_sharpe": None}, "Sharpe ratio after 5 bp a turn undefined"),
    ],
)
def test_few_days_or_costs_keep_it_at_supported(grade_search, change, named):
    evidence = grade_search(findings_with(**change))
    assert (evidence.earned, evidence.missing) == ("SUPPORTED", (named,))


def test_what_validation_chose_pays_nothing_for_the_others(grade_search):
    assert grade_search(num_trials=1000, chosen_p=0.9, overfitting=1.0).earned == "SUPPORTED"


def test_the_discount_lifts_nothing_that_had_not_earned_it(grade_search):
    assert grade_search(findings_with(skill=0.4)).earned == "NONE"
    assert grade_search(findings_with(correlation=0.4)).grade == "SUSPECT"
