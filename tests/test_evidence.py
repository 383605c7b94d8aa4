"""The grade, rule by rule, on findings made by hand."""

from dataclasses import fields, replace

import pytest

from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.evidence import (
    GRADES,
    RIVALS,
    SIGN_ALLOWANCE,
    Findings,
    grade_findings,
)
from ironore_lightning.evaluation.selection import Discount

CONVINCING = Findings(
    num_days=600,
    model=Row(
        name="model",
        rmse=1.4,
        mae=1.0,
        rmse_ratio=0.99,
        mae_ratio=0.99,
        r2_zero=0.02,
        r2_mean=0.021,
        hits=336,
        moved_days=600,
        accuracy=56.0,
        accuracy_low=51.9,
        accuracy_high=60.0,
        base_rate=51.2,
        ic=0.15,
        rank_ic=0.15,
        clark_west_p=0.001,
        clark_west_holm_p=0.01,
        diebold_mariano_p=0.01,
    ),
    pesaran_timmermann=0.004,
    one_sided="",
    anatolyev_gerko=0.002,
    block_share=7 / 9,
    net_sharpe=1.2,
    stronger=(),
)
"""What satisfies every rule and is not too good."""

SURVIVING = Discount(
    num_trials=20,
    num_scored=20,
    effective_trials=8.0,
    luck=0.01,
    superior_ability_p=0.02,
    sharpe=2.4,
    expected_best_sharpe=0.9,
    deflated_sharpe=0.97,
    minimum_track_record_days=200,
    overfitting=0.1,
    cscv_blocks=16,
    notes=(),
)
"""What is left after the discount, and suffices for the highest grade."""

OF_THE_MODEL = {field.name for field in fields(Row)}
SIGN_TESTS = ("pesaran_timmermann", "anatolyev_gerko")


def findings_with(**changes):
    """Replace some of the convincing findings, those of the model's line among them."""
    model = {name: changes.pop(name) for name in OF_THE_MODEL & set(changes)}
    return replace(CONVINCING, model=replace(CONVINCING.model, **model), **changes)


@pytest.fixture(scope="module")
def settings(compose):
    return compose().evaluation


@pytest.fixture(scope="module")
def grade(settings):
    """Weigh convincing findings, of which some are replaced."""

    def weigh_changed(**changes):
        return grade_findings(findings_with(**changes), settings, label="GOOD")

    return weigh_changed


@pytest.fixture(scope="module")
def grade_search(settings):
    """Weigh convincing findings of a search, of whose discount some numbers are replaced."""

    def weigh_changed(findings=CONVINCING, **changes):
        discount = replace(SURVIVING, **changes)
        return grade_findings(findings, settings, label="GOOD", discount=discount)

    return weigh_changed


def test_what_satisfies_every_rule_is_supported(grade):
    evidence = grade()
    assert (evidence.grade, evidence.earned) == ("SUPPORTED", "SUPPORTED")
    assert "beat doing nothing by more than luck explains" in evidence.sentence
    assert evidence.missing == ("a search's discount for looking, which one run does not have",)
    assert evidence.missing[0] in evidence.sentence


def test_grades_rise_in_their_order(grade, grade_search):
    rising = [
        grade(num_days=20),
        grade(clark_west_p=0.4),
        grade(clark_west_p=0.05),
        grade(),
        grade_search(),
    ]
    assert [evidence.earned for evidence in rising] == list(GRADES)


# --- INSUFFICIENT ---------------------------------------------------------------------------------


def test_few_days_arouse_no_suspicion(grade, settings):
    few = settings.min_days - 1
    assert grade(num_days=few, ic=0.9, r2_zero=0.5).grade == "INSUFFICIENT"
    assert grade(num_days=few + 1, ic=0.9).grade == "SUSPECT"


def test_too_few_days_are_insufficient(grade, settings):
    assert grade(num_days=settings.min_days).earned != "INSUFFICIENT"
    evidence = grade(num_days=settings.min_days - 1)
    assert (evidence.grade, evidence.earned) == ("INSUFFICIENT", "INSUFFICIENT")
    assert evidence.missing == ("59 days, 60 are needed",)
    assert evidence.sentence == "There is too little to judge by (59 days, 60 are needed)."


def test_a_forecast_of_one_sign_is_insufficient(grade):
    evidence = grade(pesaran_timmermann=None, one_sided="forecast never changes sign")
    assert evidence.earned == "INSUFFICIENT"
    assert evidence.missing == ("forecast never changes sign",)


def test_nothing_known_at_all_is_insufficient_and_has_a_line(settings):
    scores = {**dict.fromkeys(OF_THE_MODEL), "hits": 0, "moved_days": 0}
    nothing = dict.fromkeys((*SIGN_TESTS, "block_share", "net_sharpe"))
    unknown = findings_with(num_days=70, **scores, **nothing)
    evidence = grade_findings(unknown, settings, label="POOR")
    assert evidence.grade == "INSUFFICIENT"
    assert evidence.line == (
        "direction undefined (0/0) POOR, evidence INSUFFICIENT: Clark-West p undefined"
    )


def test_both_reasons_are_named(grade):
    assert len(grade(num_days=10, pesaran_timmermann=None).missing) == 2


# --- NONE -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clark_west_p": 0.091}, "Clark-West p 0.091, 0.09 is needed"),
        ({"clark_west_p": 0.21}, "Clark-West p 0.210, 0.09 is needed"),
        ({"clark_west_p": None}, "Clark-West p undefined, 0.09 is needed"),
        ({"r2_zero": 0.0}, "R2 against zero 0.0000"),
        ({"r2_zero": -0.01}, "R2 against zero -0.0100"),
        ({"r2_zero": None}, "R2 against zero undefined"),
    ],
)
def test_each_condition_alone_keeps_it_at_none(grade, change, named):
    evidence = grade(**change)
    assert (evidence.grade, evidence.earned) == ("NONE", "NONE")
    assert evidence.missing == (named,)
    expected = f"There is no evidence that this beats doing nothing ({named})."
    assert evidence.sentence == expected


@pytest.mark.parametrize(
    ("profit", "named"),
    [(0.181, "Anatolyev-Gerko p 0.181"), (None, "Anatolyev-Gerko p undefined")],
)
def test_it_takes_both_sign_tests_to_fail(grade, profit, named):
    evidence = grade(pesaran_timmermann=0.3, anatolyev_gerko=profit)
    assert evidence.earned == "NONE"
    assert evidence.missing == (f"{named} and Pesaran-Timmermann p 0.300, 0.18 is needed of one",)


@pytest.mark.parametrize("passing", SIGN_TESTS)
def test_one_sign_test_is_enough_for_a_hint(grade, passing):
    failed = dict.fromkeys(SIGN_TESTS, 0.5)
    assert grade(**{**failed, passing: 0.17}).earned == "SUGGESTIVE"


def test_every_missing_condition_is_named(grade):
    evidence = grade(pesaran_timmermann=0.3, anatolyev_gerko=0.4, clark_west_p=0.5, r2_zero=-0.1)
    assert evidence.missing == (
        "Anatolyev-Gerko p 0.400 and Pesaran-Timmermann p 0.300, 0.18 is needed of one",
        "Clark-West p 0.500, 0.09 is needed",
        "R2 against zero -0.1000",
    )
    assert "; ".join(evidence.missing) in evidence.sentence


# --- SUGGESTIVE and SUPPORTED ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"pesaran_timmermann": 0.06, "anatolyev_gerko": 0.051},
            "Anatolyev-Gerko p 0.051 and Pesaran-Timmermann p 0.060, 0.05 is needed of one",
        ),
        ({"clark_west_p": 0.026}, "Clark-West p 0.026, 0.025 is needed"),
        ({"r2_mean": 0.0}, "R2 against the expanding mean 0.0000"),
        ({"r2_mean": None}, "R2 against the expanding mean undefined"),
        ({"block_share": 4 / 9}, "44 % of the blocks above the base rate"),
        ({"block_share": 0.0}, "0 % of the blocks above the base rate"),
        ({"block_share": None}, "no whole block of days"),
        *(({"stronger": (name,)}, f"weaker than {name}") for name in RIVALS),
    ],
)
def test_each_condition_alone_keeps_it_at_a_hint(grade, change, named):
    evidence = grade(**change)
    assert (evidence.grade, evidence.earned) == ("SUGGESTIVE", "SUGGESTIVE")
    assert evidence.missing == (named,)
    assert evidence.sentence == f"A hint and no more: look again on later days ({named})."


@pytest.mark.parametrize("passing", SIGN_TESTS)
def test_one_sign_test_is_enough_for_support(grade, passing):
    failed = dict.fromkeys(SIGN_TESTS, None if passing == "pesaran_timmermann" else 0.5)
    assert grade(**{**failed, passing: 0.05}).earned == "SUPPORTED"


def test_half_of_the_blocks_are_enough(grade):
    assert grade(block_share=0.5).earned == "SUPPORTED"


def test_every_stronger_rival_is_named_and_no_other_baseline_counts(grade):
    evidence = grade(stronger=("gradient boosting", "ridge", "NLinear", "AR(5)"))
    assert evidence.missing == ("weaker than ridge", "weaker than AR(5)")
    assert grade(stronger=("gradient boosting", "majority sign")).earned == "SUPPORTED"


def test_p_values_on_the_line_pass(grade, settings):
    for level, earned in (
        (settings.supported_p, "SUPPORTED"),
        (settings.suggestive_p, "SUGGESTIVE"),
    ):
        signs = dict.fromkeys(SIGN_TESTS, SIGN_ALLOWANCE * level)
        assert grade(**signs, clark_west_p=level).earned == earned


def test_the_thresholds_are_those_of_the_settings(compose):
    strict = compose("evaluation.supported_p=0.0005", "evaluation.block_share=0.9").evaluation
    evidence = grade_findings(findings_with(clark_west_p=1e-5), strict, label="GOOD")
    assert evidence.earned == "SUGGESTIVE"
    assert evidence.missing == (
        "Anatolyev-Gerko p 0.002 and Pesaran-Timmermann p 0.004, 0.001 is needed of one",
        "78 % of the blocks above the base rate",
    )


# --- SUSPECT --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"accuracy": 61.2, "num_days": 250},
            "direction 61.2 % on 250 days, 10.0 beyond the base rate",
        ),
        ({"ic": 0.25}, "correlation 0.25"),
        ({"r2_zero": 0.06, "r2_mean": 0.07}, "R2 against zero 0.060"),
    ],
)
def test_too_good_to_be_true_is_suspect(grade, change, named):
    evidence = grade(**change)
    assert (evidence.grade, evidence.earned) == ("SUSPECT", "SUPPORTED")
    assert evidence.sentence == (
        f"Too good to be true ({named}): run python -m ironore_lightning.audit with the same "
        "settings before anybody sees this."
    )
    assert ", evidence SUSPECT: " in evidence.line


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": 61.1},
        {"accuracy": 63.4, "base_rate": 63.4, "accuracy_low": 60.0},
        {"r2_zero": 0.07, "r2_mean": 0.0},
        {"accuracy": 75.0, "num_days": 249},
        {"ic": 0.249},
        {"ic": -0.9},
        {"ic": None},
        {"r2_zero": 0.0599},
    ],
)
def test_what_luck_or_skill_may_reach_is_not(grade, change):
    assert grade(**change).grade != "SUSPECT"


def test_all_that_is_suspicious_is_named(grade):
    sentence = grade(accuracy=71.0, ic=0.5, r2_zero=0.25, r2_mean=0.25).sentence
    assert (
        "(direction 71.0 % on 600 days, 19.8 beyond the base rate, correlation 0.50, "
        "R2 against zero 0.250)"
    ) in sentence


def test_suspicion_does_not_hide_what_was_earned(grade):
    evidence = grade(ic=0.3, clark_west_p=0.3)
    assert (evidence.grade, evidence.earned) == ("SUSPECT", "NONE")
    assert evidence.missing == ("Clark-West p 0.300, 0.09 is needed",)


# --- the line -------------------------------------------------------------------------------------


def test_one_line_says_it_all(grade):
    evidence = grade(
        num_days=131,
        hits=73,
        moved_days=131,
        accuracy=100 * 73 / 131,
        accuracy_low=46.79,
        accuracy_high=64.41,
        base_rate=100 * 67 / 131,
        clark_west_p=0.21,
        stronger=("ridge", "zero"),
    )
    assert evidence.line == (
        "direction 55.7 % (73/131) GOOD, evidence NONE: 95 % interval 46.8 to 64.4 covers the base "
        "rate 51.1; Clark-West p 0.21; weaker than ridge"
    )


@pytest.mark.parametrize(
    ("low", "high", "relation"),
    [(51.9, 60.0, "lies above"), (51.2, 60.0, "covers"), (40.0, 51.1, "lies below")],
)
def test_the_line_says_where_the_interval_lies(grade, low, high, relation):
    line = grade(accuracy_low=low, accuracy_high=high).line
    assert f"95 % interval {low} to {high} {relation} the base rate 51.2; " in line


def test_a_small_p_value_is_not_written_as_zero(grade):
    assert grade(clark_west_p=1e-9).line.endswith("; Clark-West p < 0.01")


def test_a_forecast_without_a_sign_has_a_line(grade):
    evidence = grade(
        hits=0, accuracy=None, accuracy_low=None, accuracy_high=None, pesaran_timmermann=None
    )
    assert evidence.line == (
        "direction undefined (0/600) GOOD, evidence INSUFFICIENT: Clark-West p < 0.01"
    )


# --- STRONG: the discount for looking -------------------------------------------------------------


def test_what_survives_the_discount_is_strong_and_promises_nothing(grade_search):
    evidence = grade_search()
    assert (evidence.grade, evidence.missing) == ("STRONG", ())
    assert evidence.sentence.endswith("whether the market stays as it was is not known.")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"superior_ability_p": 0.051}, "SPA over 20 trials p 0.051, 0.05 is needed"),
        ({"deflated_sharpe": 0.949}, "deflated Sharpe ratio 0.9490"),
        ({"deflated_sharpe": None}, "deflated Sharpe ratio undefined"),
        ({"overfitting": 0.21}, "probability of overfitting 0.2100"),
        ({"overfitting": None}, "probability of overfitting undefined"),
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


@pytest.mark.parametrize("p_value", [0.101, None])
def test_a_search_whose_best_may_be_luck_is_a_hint_at_most(grade_search, p_value):
    evidence = grade_search(superior_ability_p=p_value)
    assert evidence.earned == "SUGGESTIVE"
    assert evidence.missing[0].startswith("SPA over 20 trials p")


def test_where_nothing_was_chosen_overfitting_is_no_question(grade_search):
    alone = {"num_trials": 1, "num_scored": 1, "overfitting": None}
    assert grade_search(**alone).earned == "STRONG"
    assert grade_search(**alone, superior_ability_p=0.2).earned == "SUPPORTED"


def test_the_discount_lifts_nothing_that_had_not_earned_it(grade_search):
    assert grade_search(findings_with(clark_west_p=0.4)).earned == "NONE"
    assert grade_search(findings_with(ic=0.4)).grade == "SUSPECT"
