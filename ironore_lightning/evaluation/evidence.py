"""Grade the evidence of skill, and explain the grade in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10

from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.selection import Discount
from ironore_lightning.evaluation.significance import (
    Outcome,
    clopper_pearson,
    correlation_bound,
)
from ironore_lightning.settings.evaluation import EvaluationSettings

MEANINGS = {
    "INSUFFICIENT": "too few days, or too few of one sign in forecast or market, to judge by",
    "NONE": "nothing that luck does not explain",
    "SUGGESTIVE": "forecast and return move together, which luck seldom explains: the tests of "
    "slope and rotation pass",
    "SUPPORTED": "both tests pass at a stricter level, and the forecast adds to ridge and "
    "autoregressions",
    "STRONG": "only for a search: the chosen trial passes as if the test days had chosen it, on "
    "many days, with a deflated Sharpe ratio and a profit after costs",
    "SUSPECT": "the model, or a learner beside it, is too good to be true, whatever else it earned",
}
"""What each grade takes, weakest first; the thresholds are the settings of `evaluation`."""

GRADES = tuple(grade for grade in MEANINGS if grade != "SUSPECT")
"""Weakest first. SUSPECT replaces any of them where scores are too good to be true."""

RIVALS = ("ridge", "AR(1)", "AR(5)")
"""The baselines to which a supported forecast must add."""

BELIEF = 0.95
"""Of the lower bound of a score that is too good to be true, one-sided."""


@dataclass(frozen=True)
class Findings:
    """The numbers that decide the grade; an undefined one is None.

    Attributes:
        table: Model and learners on the same days, the model first.
        fewest_signs: Fewer of the days up and down whose outcomes do not overlap, by `forecast`
            and `market`.
        slope: Of `skill.predictive_slope`.
        rotation: Of `skill.rotation`.
        skill_p: The larger p-value of these two.
        encompassing: Of `skill.encompassing`, over `RIVALS`.
        net_sharpe: Annual, of the sign strategy after `strong_cost_bp`; None without a price.
    """

    table: Sequence[Row]
    fewest_signs: dict[str, int]
    slope: Outcome
    rotation: Outcome
    skill_p: float | None
    encompassing: Outcome
    net_sharpe: float | None

    @property
    def scores(self) -> Scores:
        """Scores of the model."""
        return self.table[0].scores


@dataclass(frozen=True)
class Evidence:
    """The grade of a forecast.

    Attributes:
        grade: One of `GRADES`, or SUSPECT.
        earned: The grade apart from SUSPECT.
        skill_p: The p-value that decides: the larger one of slope and rotation.
        look: How many forecasts of these days have been looked at, with this one; None if that was
            not counted.
        missing: Which conditions of the next grade fail.
        line: Label, grade and the numbers behind them in one line.
        sentence: What the grade means for a decision.
    """

    grade: str
    earned: str
    skill_p: float | None
    look: int | None
    missing: tuple[str, ...]
    line: str
    sentence: str


def look_share(look: int) -> float:
    """Return the share of a level at which the n-th look at the same days is tested.

    The first look has the whole level, and all later ones share a sixth of it: the n-th has
    1 / (6 n (n - 1)), and these sum to 1/6. So the chance that any of arbitrarily many looks is
    called skill without any is at most 7/6 of the level.

    References:
        Foster & Stine (2008), "Alpha-investing: a procedure for sequential control of expected
        false discoveries", JRSS B 70(2), and Bonferroni, for spending a level over many looks.
    """
    assert look >= 1
    return 1.0 if look == 1 else 1 / (6 * look * (look - 1))


def grade_findings(
    findings: Findings,
    settings: EvaluationSettings,
    *,
    label: str,
    discount: Discount | None = None,
    look: int | None = None,
) -> Evidence:
    """Return the grade of the evidence: the best of `MEANINGS` whose conditions hold.

    Later looks at the same days are tested at a smaller level, see `look_share`. A trial that
    validation chose pays nothing for the others: the test days did not choose it.

    Args:
        findings: The numbers.
        settings: Thresholds of the rules.
        label: Direction label, see `labels`.
        discount: Correction for all trials of a search; None for a single run.
        look: Number of this look at these days; None if looks are not counted.
    """
    share = look_share(look or 1)
    earned, missing = _grade(findings, settings, discount, share)
    suspicion = _suspicion(findings, settings)
    grade = "SUSPECT" if suspicion else earned
    return Evidence(
        grade=grade,
        earned=earned,
        skill_p=findings.skill_p,
        look=look,
        missing=missing,
        line=_line(findings, settings, grade, label=label, share=share),
        sentence=f"{suspicion or _sentence(earned, missing)} {_looks(look)}",
    )


def _grade(
    findings: Findings, settings: EvaluationSettings, discount: Discount | None, share: float
) -> tuple[str, tuple[str, ...]]:
    """Return the grade, and which conditions of the next one fail."""
    if missing := _missing_data(findings, settings):
        return "INSUFFICIENT", missing
    if missing := _missing_skill(findings, share * settings.suggestive_p):
        return "NONE", missing
    missing = _missing_skill(findings, share * settings.supported_p)
    missing += _missing_addition(findings, settings.encompassing_p)
    if missing:
        return "SUGGESTIVE", missing
    if not discount:
        return "SUPPORTED", ("a search's discount for looking, which one run does not have",)
    missing = _missing_after_discount(findings, settings, discount)
    return ("SUPPORTED", missing) if missing else ("STRONG", ())


def _missing_data(findings: Findings, settings: EvaluationSettings) -> tuple[str, ...]:
    missing, scores = [], findings.scores
    if scores.days_apart < settings.min_days:
        overlap = "" if scores.days_apart == scores.direction_days else " that do not overlap"
        missing.append(f"{scores.days_apart} outcomes{overlap}, {settings.min_days} are needed")
    for name, fewest in findings.fewest_signs.items():
        if fewest < settings.min_sign_days:
            missing.append(
                f"the rarer sign of the {name} is there on {fewest} days, {settings.min_sign_days} "
                "are needed"
            )
    return tuple(missing)


def _missing_skill(findings: Findings, level: float) -> tuple[str, ...]:
    """Return the test of skill that fails worst at a level; empty if both pass."""
    if _passes(findings.skill_p, level):
        return ()
    tests = {"slope": findings.slope.p_value, "rotation": findings.rotation.p_value}
    digits = max(3, ceil(-log10(level)))  # a p-value that is too large shows a digit
    said = " and ".join(f"{name} {_p_value(value, digits)}" for name, value in tests.items())
    return (f"{said}, {level:.2g} is needed of both",)


def _missing_addition(findings: Findings, level: float) -> tuple[str, ...]:
    tested = findings.encompassing
    if _passes(tested.p_value, level):
        return ()
    why = tested.note.removeprefix("undefined: ") or f"{_p_value(tested.p_value, 3)}, {level:g}"
    needed = "" if tested.note else " is needed"
    return (f"what it adds to ridge and autoregressions: {why}{needed}",)


def _missing_after_discount(
    findings: Findings, settings: EvaluationSettings, discount: Discount
) -> tuple[str, ...]:
    """Return which conditions fail after the correction for many trials."""
    missing: tuple[str, ...] = ()
    if not _passes(discount.chosen_p, settings.strong_p):
        tried = f"as the best of {discount.num_trials} trials"
        missing += (f"{tried} {_p_value(discount.chosen_p, 3)}, {settings.strong_p:g} is needed",)
    if findings.scores.num_days < settings.strong_days:
        missing += (f"{findings.scores.num_days} days, {settings.strong_days} are needed",)
    if (discount.deflated_sharpe or 0) < settings.strong_sharpe:
        missing += (f"deflated Sharpe ratio {_number(discount.deflated_sharpe)}",)
    if (findings.net_sharpe or 0) <= 0:
        cost = f"after {settings.strong_cost_bp:g} bp a turn"
        missing += (f"Sharpe ratio {cost} {_number(findings.net_sharpe)}",)
    return missing


def _suspicion(findings: Findings, settings: EvaluationSettings) -> str | None:
    """Return who is too good to be true; None if nobody is, or days are too few to tell."""
    if findings.scores.days_apart < settings.min_days:
        return None
    reasons = {row.name: why for row in findings.table if (why := _too_good(row, settings))}
    if not reasons:
        return None
    (name, why), *others = reasons.items()
    likewise = f"; likewise {', '.join(other for other, _ in others)}" if others else ""
    return (
        f"Too good to be true ({name}: {why}{likewise}): run python -m ironore_lightning.audit "
        "with the same settings before anybody sees this."
    )


def _too_good(row: Row, settings: EvaluationSettings) -> str:
    """Return which score's lower bound is beyond belief; empty if none is.

    Drift lifts neither: a correlation is of deviations from the mean, and the hits are compared
    with those of the same signs in any other order. Outcomes that overlap count once.
    """
    scores, apart = row.scores, row.scores.days_apart
    said = []
    low = correlation_bound(scores.correlation, apart, belief=BELIEF)
    if low is not None and low >= settings.suspect_ic:
        said.append(f"correlation {scores.correlation:.2f}")
    if scores.chance_accuracy is not None and scores.direction_accuracy is not None:
        hits = round(scores.direction_accuracy / 100 * apart)
        bound = clopper_pearson(hits, apart, coverage=2 * BELIEF - 1).low
        if bound is not None and bound - scores.chance_accuracy >= settings.suspect_lead:
            said.append(
                f"direction {scores.direction_accuracy:.1f} % where the same signs in another "
                f"order have {scores.chance_accuracy:.1f} %"
            )
    return " and ".join(said)


def _line(
    findings: Findings, settings: EvaluationSettings, grade: str, *, label: str, share: float
) -> str:
    scores, parts, accuracy = findings.scores, [], "undefined"
    if scores.direction_accuracy is not None:
        accuracy = f"{scores.direction_accuracy:.1f} %"
    if scores.direction_low is not None:  # then the others are known, too
        assert scores.direction_high is not None
        assert scores.base_rate is not None
        relation = "covers"
        if scores.direction_low > scores.base_rate:
            relation = "lies above"
        elif scores.direction_high < scores.base_rate:
            relation = "lies below"
        parts.append(
            f"95 % interval {scores.direction_low:.1f} to {scores.direction_high:.1f} {relation} "
            f"the base rate {scores.base_rate:.1f}"
        )
    levels = (
        f"{share * settings.suggestive_p:.2g} suggests, {share * settings.supported_p:.2g} supports"
    )
    parts.append(f"skill {_p_value(findings.skill_p, 3)} ({levels})")
    smaller = [row for row in findings.table[1:] if row.scores.rmse < scores.rmse]
    if smaller:
        closest = min(smaller, key=lambda row: row.scores.rmse)
        parts.append(f"larger error than {closest.name}")
    return (
        f"direction {accuracy} ({scores.direction_hits}/{scores.direction_days}) "
        f"{label}, evidence {grade}: {'; '.join(parts)}"
    )


def _sentence(earned: str, missing: tuple[str, ...]) -> str:
    because = "; ".join(missing)
    return {
        "INSUFFICIENT": f"There is too little to judge by ({because}).",
        "NONE": f"There is no evidence of skill ({because}).",
        "SUGGESTIVE": f"A hint and no more: look again on later days ({because}).",
        "SUPPORTED": (
            f"On these days it knew more than drift and luck explain; what is not shown: {because}."
        ),
        "STRONG": (
            "On these days it knew more than drift, luck and all that was tried explain; "
            "whether the market stays as it was is not known."
        ),
    }[earned]


def _looks(look: int | None) -> str:
    if look is None:
        return "Looks at these days are not counted."
    if look == 1:
        return "This is the first look at these days that the ledger knows."
    times = f"{1 / look_share(look):,.0f} times"
    return f"This is look {look} at these days, and luck had to be {times} rarer than at the first."


def _passes(p_value: float | None, level: float) -> bool:
    return p_value is not None and p_value <= level


def _p_value(value: float | None, digits: int) -> str:
    if value is None:
        return "p undefined"
    smallest = 10.0**-digits
    return f"p < {smallest:g}" if value < smallest else f"p {value:.{digits}f}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
