"""The grade of evidence: its rules, and the sentence that explains it."""

from dataclasses import dataclass

from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.selection import Discount
from ironore_lightning.settings.evaluation import EvaluationSettings

GRADES = ("INSUFFICIENT", "NONE", "SUGGESTIVE", "SUPPORTED", "STRONG")
"""From nothing to be said to as much as history can say; SUSPECT stands beside them."""


@dataclass(frozen=True)
class Findings:
    """What the grade is made of; a p-value that is undefined there is None.

    Attributes:
        model: Its line of the table.
        pesaran_timmermann: One-sided p.
        one_sided: Why that is undefined: which of forecast and market never changes sign.
        anatolyev_gerko: One-sided p.
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
        grade: One of `GRADES`, or SUSPECT where it is too good to be true.
        earned: What the grade would be without the suspicion.
        missing: What keeps it from the next grade.
        line: Label, grade and the numbers behind them in one line.
        sentence: What that means for somebody who would act on it.
    """

    grade: str
    earned: str
    missing: tuple[str, ...]
    line: str
    sentence: str


RIVALS = ("ridge", "AR(1)", "AR(5)")
"""The baselines that a supported forecast must beat."""

SIGN_ALLOWANCE = 2.0
"""How much larger than Clark-West's the p-value of a sign test may be. Signs show less of the same
skill than sizes do; at one level for both they would find less at the same rate of false alarms."""


ALONE = "a search's discount for looking, which one run does not have"


def grade_findings(
    findings: Findings,
    settings: EvaluationSettings,
    *,
    label: str,
    discount: Discount | None = None,
) -> Evidence:
    """Grade findings.

    INSUFFICIENT: too few days, or a forecast or market of one sign. SUGGESTIVE: Clark-West passes
    at `suggestive_p`, one of the two sign tests (Pesaran-Timmermann, Anatolyev-Gerko) at
    `SIGN_ALLOWANCE` times that, and R2 against zero is positive. SUPPORTED: the same at
    `supported_p`, R2 is positive against the expanding mean as well, neither ridge nor an
    autoregression has a smaller error, and at least the share `block_share` of the blocks exceeds
    the base rate; and what was chosen among several trials, that the best of them all beats zero
    (Hansen's SPA at `searched_p`). STRONG: after the discount for looking, which only many runs
    have, SPA at `strong_p`, a deflated Sharpe ratio, a small probability of overfitting, a profit
    after costs, and `strong_days`. Otherwise NONE. What is too good to be true is SUSPECT, whatever
    it has earned.

    Args:
        findings: The numbers.
        settings: Where the rules draw the line.
        label: The original's word for the direction accuracy.
        discount: For all that was tried; None for a single run.
    """
    earned, missing = _earned(findings, settings, discount)
    suspicion = _suspicion(findings, settings)
    grade = "SUSPECT" if suspicion else earned
    line = _line(findings, grade, label=label)
    return Evidence(
        grade=grade,
        earned=earned,
        missing=missing,
        line=line,
        sentence=suspicion or _sentence(earned, missing),
    )


def _earned(
    findings: Findings, settings: EvaluationSettings, discount: Discount | None
) -> tuple[str, tuple[str, ...]]:
    """Return the grade and what is missing for the next one."""
    if lacking := _insufficient(findings, settings):
        return "INSUFFICIENT", lacking
    if lacking := _without_skill(findings, settings.suggestive_p):
        return "NONE", lacking
    lacking = _without_skill(findings, settings.supported_p) + _without_lead(findings, settings)
    if discount and discount.num_trials > 1:
        lacking += _no_better_than_zero(discount, settings.searched_p)
    if lacking:
        return "SUGGESTIVE", lacking
    lacking = _discounted(findings, settings, discount) if discount else (ALONE,)
    return ("SUPPORTED", lacking) if lacking else ("STRONG", ())


def _insufficient(findings: Findings, settings: EvaluationSettings) -> tuple[str, ...]:
    lacking = []
    if findings.model.scores.num_days < settings.min_days:
        lacking.append(f"{findings.model.scores.num_days} days, {settings.min_days} are needed")
    if findings.pesaran_timmermann is None:
        lacking.append(findings.one_sided)
    return tuple(lacking)


def _without_skill(findings: Findings, level: float) -> tuple[str, ...]:
    """Name the tests against luck that do not pass, Clark-West at `level`."""
    model, profit, hits = findings.model, findings.anatolyev_gerko, findings.pesaran_timmermann
    sign_level = SIGN_ALLOWANCE * level
    lacking = []
    if not (_passes(profit, sign_level) or _passes(hits, sign_level)):
        lacking.append(
            f"Anatolyev-Gerko {_p_value(profit, 3)} and Pesaran-Timmermann {_p_value(hits, 3)}, "
            f"{sign_level:g} is needed of one"
        )
    if not _passes(model.clark_west_p, level):
        lacking.append(f"Clark-West {_p_value(model.clark_west_p, 3)}, {level:g} is needed")
    if (model.scores.r2_zero or 0) <= 0:
        lacking.append(f"R2 against zero {_number(model.scores.r2_zero)}")
    return tuple(lacking)


def _without_lead(findings: Findings, settings: EvaluationSettings) -> tuple[str, ...]:
    """Name the rivals that are not beaten, and days that are not spread."""
    lacking, r2_mean = [], findings.model.scores.r2_mean
    if (r2_mean or 0) <= 0:
        lacking.append(f"R2 against the expanding mean {_number(r2_mean)}")
    lacking += [f"weaker than {name}" for name in findings.stronger if name in RIVALS]
    if findings.block_share is None:
        lacking.append("no whole block of days")
    elif findings.block_share < settings.block_share:
        lacking.append(f"{100 * findings.block_share:.0f} % of the blocks above the base rate")
    return tuple(lacking)


def _no_better_than_zero(discount: Discount, level: float) -> tuple[str, ...]:
    p_value = discount.superior_ability_p
    if _passes(p_value, level):
        return ()
    return (f"SPA over {discount.num_trials} trials {_p_value(p_value, 3)}, {level:g} is needed",)


def _discounted(
    findings: Findings, settings: EvaluationSettings, discount: Discount
) -> tuple[str, ...]:
    """Name what does not survive the discount for looking."""
    lacking = _no_better_than_zero(discount, settings.strong_p)
    if findings.model.scores.num_days < settings.strong_days:
        lacking += (f"{findings.model.scores.num_days} days, {settings.strong_days} are needed",)
    if (discount.deflated_sharpe or 0) < settings.strong_sharpe:
        lacking += (f"deflated Sharpe ratio {_number(discount.deflated_sharpe)}",)
    was_chosen = discount.num_trials > 1
    overfitting = discount.overfitting
    if was_chosen and (overfitting is None or overfitting > settings.strong_overfitting):
        lacking += (f"probability of overfitting {_number(overfitting)}",)
    if (findings.net_sharpe or 0) <= 0:
        cost = f"after {settings.strong_cost_bp:g} bp a turn"
        lacking += (f"Sharpe ratio {cost} {_number(findings.net_sharpe)}",)
    return lacking


def _suspicion(findings: Findings, settings: EvaluationSettings) -> str | None:
    """Say what is too good to be true, if something is; on few days luck goes as far.

    What a constant reaches in a market that mostly rises is none of it.
    """
    if findings.model.scores.num_days < settings.min_days:
        return None
    found, scores = [], findings.model.scores
    enough = scores.num_days >= settings.suspect_days
    lead = (scores.direction_accuracy or 0) - (scores.base_rate or 0)
    if enough and lead >= settings.suspect_accuracy - 50:
        found.append(
            f"direction {scores.direction_accuracy:.1f} % on {scores.num_days} days, "
            f"{lead:.1f} beyond the base rate"
        )
    if (scores.correlation or 0) >= settings.suspect_ic:
        found.append(f"correlation {scores.correlation:.2f}")
    if min(scores.r2_zero or 0, scores.r2_mean or 0) >= settings.suspect_r2:
        found.append(f"R2 against zero {scores.r2_zero:.3f}")
    if not found:
        return None
    return (
        f"Too good to be true ({', '.join(found)}): run python -m ironore_lightning.audit with the "
        "same settings before anybody sees this."
    )


def _line(findings: Findings, grade: str, *, label: str) -> str:
    model, scores, parts, accuracy = findings.model, findings.model.scores, [], "undefined"
    if scores.direction_low is not None:  # then these are known as well
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
