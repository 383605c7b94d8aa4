"""Grade the evidence of skill, and explain the grade in a sentence."""

from dataclasses import dataclass

from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.selection import Discount
from ironore_lightning.settings.evaluation import EvaluationSettings

GRADES = ("INSUFFICIENT", "NONE", "SUGGESTIVE", "SUPPORTED", "STRONG")
"""Weakest first. SUSPECT replaces any of them where scores are too good to be true."""


@dataclass(frozen=True)
class Findings:
    """The numbers that decide the grade; an undefined one is None.

    Attributes:
        model: Its row of the comparison.
        pesaran_timmermann: One-sided p-value.
        one_sided: Why that is undefined: which of forecast and market never changes sign.
        anatolyev_gerko: One-sided p-value.
        block_share: Share of blocks whose accuracy exceeds the base rate.
        net_sharpe: Annual, of the sign strategy after `strong_cost_bp`; None without a price.
        stronger: Names of the baselines with a smaller RMSE on the same days, strongest first.
    """

    model: Row
    pesaran_timmermann: float | None
    one_sided: str
    anatolyev_gerko: float | None
    block_share: float | None
    net_sharpe: float | None
    stronger: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """The grade of a forecast.

    Attributes:
        grade: One of `GRADES`, or SUSPECT.
        earned: The grade apart from SUSPECT.
        missing: Which conditions of the next grade fail.
        line: Label, grade and the numbers behind them in one line.
        sentence: What the grade means for a decision.
        look: How many assessments of these days are known, this one included; None if they are not
            counted.
    """

    grade: str
    earned: str
    missing: tuple[str, ...]
    line: str
    sentence: str
    look: int | None


RIVALS = ("ridge", "AR(1)", "AR(5)")
"""The baselines that a supported forecast must beat."""

SIGN_ALLOWANCE = 2.0
"""Factor on Clark-West's level for a sign test, which has less power against the same skill."""


def grade_findings(
    findings: Findings,
    settings: EvaluationSettings,
    *,
    label: str,
    discount: Discount | None = None,
    look: int | None = None,
) -> Evidence:
    """Return the grade of the evidence.

    - INSUFFICIENT: too few days, or a forecast or market of one sign.
    - NONE: none of the others.
    - SUGGESTIVE: Clark-West passes at `suggestive_p`, one of the sign tests (Pesaran-Timmermann,
      Anatolyev-Gerko) at `SIGN_ALLOWANCE` times that, and R2 against zero is positive.
    - SUPPORTED: the same at `supported_p`; R2 against the expanding mean is positive; no ridge or
      autoregression has a smaller RMSE; the share `block_share` of the blocks exceeds the base
      rate; and for a search, the best of all trials beats zero (SPA at `searched_p`).
    - STRONG, for a search only: SPA at `strong_p`, a deflated Sharpe ratio, a small probability of
      overfitting, a profit after costs, and `strong_days`.
    - SUSPECT: scores that are too good to be true, whatever the grade.

    Args:
        findings: The numbers.
        settings: Thresholds of the rules.
        label: Direction label, see `labels`.
        discount: Correction for all trials of a search; None for a single run.
        look: How many assessments of these days are known, this one included; None if they are not
            counted.
    """
    earned, missing = _grade(findings, settings, discount)
    suspicion = _suspicion(findings, settings)
    grade = "SUSPECT" if suspicion else earned
    line = _line(findings, grade, label=label)
    return Evidence(
        grade=grade,
        earned=earned,
        missing=missing,
        line=line,
        sentence=suspicion or _sentence(earned, missing),
        look=look,
    )


def _grade(
    findings: Findings, settings: EvaluationSettings, discount: Discount | None
) -> tuple[str, tuple[str, ...]]:
    """Return the grade, and which conditions of the next one fail."""
    if missing := _missing_data(findings, settings):
        return "INSUFFICIENT", missing
    if missing := _missing_skill(findings, settings.suggestive_p):
        return "NONE", missing
    missing = _missing_skill(findings, settings.supported_p) + _missing_lead(findings, settings)
    if discount and discount.num_trials > 1:
        missing += _missing_superior_ability(discount, settings.searched_p)
    if missing:
        return "SUGGESTIVE", missing
    if not discount:
        return "SUPPORTED", ("a search's discount for looking, which one run does not have",)
    missing = _missing_after_discount(findings, settings, discount)
    return ("SUPPORTED", missing) if missing else ("STRONG", ())


def _missing_data(findings: Findings, settings: EvaluationSettings) -> tuple[str, ...]:
    missing = []
    if findings.model.scores.num_days < settings.min_days:
        missing.append(f"{findings.model.scores.num_days} days, {settings.min_days} are needed")
    if findings.pesaran_timmermann is None:
        missing.append(findings.one_sided)
    return tuple(missing)


def _missing_skill(findings: Findings, level: float) -> tuple[str, ...]:
    """Return which tests of skill do not pass, Clark-West at `level`."""
    model, profit, hits = findings.model, findings.anatolyev_gerko, findings.pesaran_timmermann
    sign_level = SIGN_ALLOWANCE * level
    missing = []
    if not (_passes(profit, sign_level) or _passes(hits, sign_level)):
        missing.append(
            f"Anatolyev-Gerko {_p_value(profit, 3)} and Pesaran-Timmermann {_p_value(hits, 3)}, "
            f"{sign_level:g} is needed of one"
        )
    if not _passes(model.clark_west_p, level):
        missing.append(f"Clark-West {_p_value(model.clark_west_p, 3)}, {level:g} is needed")
    if (model.scores.r2_zero or 0) <= 0:
        missing.append(f"R2 against zero {_number(model.scores.r2_zero)}")
    return tuple(missing)


def _missing_lead(findings: Findings, settings: EvaluationSettings) -> tuple[str, ...]:
    """Return which baselines are not beaten, and whether too few blocks exceed the base rate."""
    missing, r2_mean = [], findings.model.scores.r2_mean
    if (r2_mean or 0) <= 0:
        missing.append(f"R2 against the expanding mean {_number(r2_mean)}")
    missing += [f"weaker than {name}" for name in findings.stronger if name in RIVALS]
    if findings.block_share is None:
        missing.append("no whole block of days")
    elif findings.block_share < settings.block_share:
        missing.append(f"{100 * findings.block_share:.0f} % of the blocks above the base rate")
    return tuple(missing)


def _missing_superior_ability(discount: Discount, level: float) -> tuple[str, ...]:
    p_value = discount.superior_ability_p
    if _passes(p_value, level):
        return ()
    return (f"SPA over {discount.num_trials} trials {_p_value(p_value, 3)}, {level:g} is needed",)


def _missing_after_discount(
    findings: Findings, settings: EvaluationSettings, discount: Discount
) -> tuple[str, ...]:
    """Return which conditions fail after the correction for many trials."""
    missing = _missing_superior_ability(discount, settings.strong_p)
    if findings.model.scores.num_days < settings.strong_days:
        missing += (f"{findings.model.scores.num_days} days, {settings.strong_days} are needed",)
    if (discount.deflated_sharpe or 0) < settings.strong_sharpe:
        missing += (f"deflated Sharpe ratio {_number(discount.deflated_sharpe)}",)
    was_chosen = discount.num_trials > 1
    overfitting = discount.overfitting
    if was_chosen and (overfitting is None or overfitting > settings.strong_overfitting):
        missing += (f"probability of overfitting {_number(overfitting)}",)
    if (findings.net_sharpe or 0) <= 0:
        cost = f"after {settings.strong_cost_bp:g} bp a turn"
        missing += (f"Sharpe ratio {cost} {_number(findings.net_sharpe)}",)
    return missing


def _suspicion(findings: Findings, settings: EvaluationSettings) -> str | None:
    """Return which scores are too good to be true; None if none is, or days are too few to tell.

    Direction accuracy is judged by its lead over the base rate.
    """
    if findings.model.scores.num_days < settings.min_days:
        return None
    suspicions, scores = [], findings.model.scores
    enough = scores.num_days >= settings.suspect_days
    lead = (scores.direction_accuracy or 0) - (scores.base_rate or 0)
    if enough and lead >= settings.suspect_accuracy - 50:
        suspicions.append(
            f"direction {scores.direction_accuracy:.1f} % on {scores.num_days} days, "
            f"{lead:.1f} beyond the base rate"
        )
    if (scores.correlation or 0) >= settings.suspect_ic:
        suspicions.append(f"correlation {scores.correlation:.2f}")
    if min(scores.r2_zero or 0, scores.r2_mean or 0) >= settings.suspect_r2:
        suspicions.append(f"R2 against zero {scores.r2_zero:.3f}")
    if not suspicions:
        return None
    return (
        f"Too good to be true ({', '.join(suspicions)}): run python -m ironore_lightning.audit "
        "with the same settings before anybody sees this."
    )


def _line(findings: Findings, grade: str, *, label: str) -> str:
    model, scores, parts, accuracy = findings.model, findings.model.scores, [], "undefined"
    if scores.direction_low is not None:  # then the others are known, too
        assert scores.direction_accuracy is not None
        assert scores.direction_high is not None
        assert scores.base_rate is not None
        accuracy, relation = f"{scores.direction_accuracy:.1f} %", "covers"
        if scores.direction_low > scores.base_rate:
            relation = "lies above"
        elif scores.direction_high < scores.base_rate:
            relation = "lies below"
        parts.append(
            f"95 % interval {scores.direction_low:.1f} to {scores.direction_high:.1f} {relation} "
            f"the base rate {scores.base_rate:.1f}"
        )
    parts.append(f"Clark-West {_p_value(model.clark_west_p, 2)}")
    if findings.stronger:
        parts.append(f"weaker than {findings.stronger[0]}")
    return (
        f"direction {accuracy} ({scores.direction_hits}/{scores.direction_days}) "
        f"{label}, evidence {grade}: {'; '.join(parts)}"
    )


def _sentence(earned: str, missing: tuple[str, ...]) -> str:
    because = "; ".join(missing)
    return {
        "INSUFFICIENT": f"There is too little to judge by ({because}).",
        "NONE": f"There is no evidence that this beats doing nothing ({because}).",
        "SUGGESTIVE": f"A hint and no more: look again on later days ({because}).",
        "SUPPORTED": (
            "On these days it beat doing nothing by more than luck explains; "
            f"what is not shown: {because}."
        ),
        "STRONG": (
            "On these days it beat doing nothing by more than luck and all that was tried explain; "
            "whether the market stays as it was is not known."
        ),
    }[earned]


def _passes(p_value: float | None, level: float) -> bool:
    return p_value is not None and p_value <= level


def _p_value(value: float | None, digits: int) -> str:
    if value is None:
        return "p undefined"
    smallest = 10.0**-digits
    return f"p < {smallest:g}" if value < smallest else f"p {value:.{digits}f}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
