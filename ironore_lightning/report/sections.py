"""The sections of a page that tell what forecasts are worth: of a run, a summary or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import pandas as pd

from ironore_lightning.evaluation.assessment import NOT_TRADED, Assessment
from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.evidence import GRADES, MEANINGS, Evidence
from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.evaluation.risk import RISK_WINDOW
from ironore_lightning.evaluation.trading import FLAT, ONE_DAY_LATER, TradingResult
from ironore_lightning.report.equity import monthly_returns
from ironore_lightning.report.page import Picture, Section, Table
from ironore_lightning.report.style import counted
from ironore_lightning.settings.evaluation import EvaluationSettings

CAPTIONS = {
    "timeseries_comparison": "Each test day's return, what was forecast for it, and its intervals; "
    "below, the hits so far against those of a coin",
    "joined_forecast": "The folds of the walk-forward joined to one series",
    "block_skill": "Skill by block of days and by calendar year",
    "losses": "Training and validation loss after each epoch",
    "importance": "What each driver is worth on the test days; drivers that say the same stand in "
    "for each other",
    "actual_vs_predicted_scatter": "Forecast against outcome; days in a shaded quadrant have the "
    "right sign",
    "equity_curve": "Capital and drawdown of the strategies after each cost",
    "calibration": "How often outcomes fell inside their intervals, or below their quantiles",
    "residuals_analysis": "What the forecast left over",
    "distribution_comparison": "How often each return occurred, and was forecast",
}
"""Of the figures, by file name without suffix."""

QUESTIONS = {
    "predictive_slope": ("predictive slope", "do returns rise with the forecast?"),
    "rotation": ("rotation", "is it better than the same forecasts shifted in time?"),
    "encompassing": ("encompassing", "does it add to ridge and autoregressions?"),
    "diebold_mariano": ("Diebold-Mariano", "is its squared error smaller than that of zero?"),
    "clark_west": ("Clark-West", "the same, apart from the noise of fitting?"),
    "giacomini_white": ("Giacomini-White", "do errors differ from those of zero, foreseeably?"),
    "pesaran_timmermann": ("Pesaran-Timmermann", "do the signs agree more than by chance?"),
    "anatolyev_gerko": ("Anatolyev-Gerko", "does trading its sign earn more than by chance?"),
    "binomial": ("binomial", "are there more hits than the better constant sign has?"),
}
"""Name of each test, and what it asks; the first three decide the grade."""

FEW_MONTHS = 24
"""A longer table of monthly returns is folded away."""


def picture(pictures: Mapping[str, str], *names: str) -> list[Picture]:
    """Return those of the named figures that exist, with their captions.

    Args:
        pictures: SVG texts by file name without suffix.
        names: Names in the order of the page.
    """
    return [Picture(CAPTIONS[name], pictures[name]) for name in names if name in pictures]


def assessment_sections(
    assessment: Assessment,
    days: ScoredDays,
    settings: EvaluationSettings,
    pictures: Mapping[str, str],
    *,
    name: str,
) -> list[Section]:
    """Return the sections on the assessment of some days.

    Args:
        assessment: Of `days`.
        days: Forecasts and outcomes.
        settings: Costs and buffer of the strategies.
        pictures: SVG texts by file name without suffix; missing ones are left out.
        name: What the forecaster is called beside the baselines.
    """
    sections = [
        grade_section(assessment.evidence),
        Section(
            "Scores beside the baselines",
            tables=[score_table(assessment.table, name=name, unit=assessment.unit)],
            text=[_kept_text(assessment)],
        ),
        Section(
            "Forecast over time",
            pictures=picture(pictures, "joined_forecast", "timeseries_comparison"),
        ),
        Section(
            "Hits against guessing",
            facts=_hit_facts(assessment.scores),
            pictures=picture(pictures, "block_skill", "actual_vs_predicted_scatter"),
            tables=[_block_table(assessment)],
        ),
        _test_section(assessment),
        _trading_section(assessment, days, settings, pictures),
        _interval_section(assessment, pictures),
        _risk_section(assessment),
        Section(
            "Residuals",
            pictures=picture(pictures, "residuals_analysis", "distribution_comparison"),
        ),
    ]
    return [section.said_in(days.rhythm) for section in sections]


def grade_section(evidence: Evidence) -> Section:
    """Return what each grade takes, and what the next one would have taken."""
    text = [f"{evidence.grade}: {MEANINGS[evidence.grade]}."]
    if evidence.earned != GRADES[-1] and evidence.missing:
        higher = GRADES[GRADES.index(evidence.earned) + 1 :]
        ahead = "a higher grade" if len(higher) > 1 else higher[0]
        text.append(f"What {ahead} would have taken: {'; '.join(evidence.missing)}.")
    grades = [
        {"grade": f"▸ {grade}" if grade == evidence.grade else grade, "what it takes": meaning}
        for grade, meaning in MEANINGS.items()
    ]
    table = Table(pd.DataFrame(grades), "All grades, weakest first", is_folded=True)
    return Section("What the grade means", text=text, tables=[table])


def score_table(rows: Sequence[Row], *, name: str, unit: str) -> Table:
    """Return the scores of the first row, which is called `name`, and of the baselines."""
    scores = [row.scores for row in rows]
    rmse, mae = f"RMSE, {unit}", f"MAE, {unit}"
    frame = pd.DataFrame(
        {
            "forecaster": [name, *(row.name for row in rows[1:])],
            rmse: [score.rmse for score in scores],
            mae: [score.mae for score in scores],
            "R2 (zero)": [score.r2_zero for score in scores],
            "R2 (mean)": [score.r2_mean for score in scores],
            # A forecast of zero has no sign.
            "right": [
                "–" if row.name == "zero" else f"{score.direction_hits}/{score.direction_days}"
                for row, score in zip(rows, scores, strict=True)
            ],
            "direction, %": [
                None if row.name == "zero" else score.direction_accuracy
                for row, score in zip(rows, scores, strict=True)
            ],
            "95 % from": [score.direction_low for score in scores],
            "to": [score.direction_high for score in scores],
            "correlation": [score.correlation for score in scores],
            "Clark-West p": [row.clark_west_p for row in rows],
        }
    )
    decimals = dict.fromkeys((rmse, mae, "R2 (zero)", "R2 (mean)"), 4)
    decimals |= dict.fromkeys(("direction, %", "95 % from", "to"), 1)
    decimals |= dict.fromkeys(("correlation", "Clark-West p"), 3)
    return Table(frame, f"{scores[0].num_days} test days", decimals)


def _kept_text(assessment: Assessment) -> str:
    kept = ", ".join(assessment.confidence_set.kept)
    return f"Cannot be told from the best by squared error: {kept}."


def _hit_facts(scores: Scores) -> list[tuple[str, str]]:
    """Return the direction accuracy and what it must be compared with."""
    if scores.direction_accuracy is None:
        return [("sign right", "undefined: no day moved")]
    share = f"{scores.direction_hits} of {scores.direction_days} days that moved"
    return [
        ("sign right", f"{scores.direction_accuracy:.1f} % ({share})"),
        ("its 95 % interval", _range(scores.direction_low, scores.direction_high)),
        ("where 95 % of coin tossers lie", _range(scores.guessing_low, scores.guessing_high)),
        ("the better constant sign", _per_cent(scores.base_rate)),
        ("the same signs in another order", _per_cent(scores.chance_accuracy)),
        ("correlation of forecast and outcome", _number(scores.correlation, 3)),
    ]


def _block_table(assessment: Assessment) -> Table:
    rows = [
        {
            "from": block.first_date,
            "to": block.last_date,
            "days": block.num_days,
            "direction, %": block.accuracy,
            "R2 (zero)": block.r2_zero,
        }
        for block in assessment.blocks
    ]
    decimals = {"direction, %": 1, "R2 (zero)": 4}
    rest = assessment.scores.num_days - sum(block.num_days for block in assessment.blocks)
    remark = f"; the last {counted(rest, 'day')} fill no block" if rows and rest else ""
    return Table(pd.DataFrame(rows), f"Block by block{remark}", decimals)


def _test_section(assessment: Assessment) -> Section:
    """Return the tests of skill, and the intervals of what they are about."""
    tests = [
        {
            "test": QUESTIONS[name][0],
            "statistic": test.statistic,
            "p": test.p_value,
            "asks": QUESTIONS[name][1],
            "note": test.note,
        }
        for name, test in assessment.tests.items()
    ]
    bootstrap = assessment.bootstrap
    resampled = [
        {"score": name, "estimate": found.estimate, "95 % from": found.low, "to": found.high}
        for name, found in (
            ("direction, %", bootstrap.direction_accuracy),
            ("RMSE over that of zero", bootstrap.rmse_ratio),
            ("Sharpe ratio before costs", bootstrap.sharpe),
        )
    ]
    blocks = f"Resampled in blocks of {counted(bootstrap.block_length, 'day')} on average"
    superior = _number(assessment.superior_ability_p, 3)
    return Section(
        "Tests of skill",
        text=[
            "The first three decide the grade. A small p says that luck alone seldom does as well.",
            f"That the best of all forecasters beats zero by luck has p {superior} (Hansen's SPA).",
        ],
        tables=[
            _filled(Table(pd.DataFrame(tests), "Tests", {"statistic": 2, "p": 3})),
            Table(
                pd.DataFrame(resampled),
                blocks,
                dict.fromkeys(("estimate", "95 % from", "to"), 3),
            ),
        ],
        points=[f"Perhaps not tradable: {alarm.text}." for alarm in assessment.tradability],
    )


def _trading_section(
    assessment: Assessment,
    days: ScoredDays,
    settings: EvaluationSettings,
    pictures: Mapping[str, str],
) -> Section:
    """Return the strategies, each result at its own cost, and their monthly returns."""
    if not assessment.trading:
        return Section("Paper trading after costs", text=[NOT_TRADED])
    months = monthly_returns(days, settings)
    return Section(
        "Paper trading after costs",
        text=[
            "A cost is paid for each turn, which is a trade of the whole capital; a flip is two, "
            "and so is a roll of the contract that is held. "
            f"The threshold strategy stays flat while the forecast is within "
            f"±{settings.trade_buffer:g} {days.unit}."
        ],
        pictures=picture(pictures, "equity_curve"),
        tables=[
            _trading_table(assessment.trading),
            Table(
                months,
                "Return by month, %, at the cost of each column (basis points a turn)",
                {str(name): 1 for name in months},
                is_folded=len(months) > FEW_MONTHS,
            ),
        ],
    )


def _trading_table(results: Sequence[TradingResult]) -> Table:
    order = list(dict.fromkeys((result.name, result.delay_days) for result in results))
    rows = [
        {
            "strategy": f"{result.name}{ONE_DAY_LATER if result.delay_days else ''}",
            "cost, bp": result.cost_bp,
            "return, %": result.total_return,
            "drawdown, %": result.max_drawdown,
            "Sharpe": result.sharpe,
            "± error": result.sharpe_error,
            "turnover a day": result.turnover,
            "hit rate, %": result.hit_rate,
            "profit factor": result.profit_factor,
            "trades": result.num_trades,
        }
        for result in sorted(
            results, key=lambda each: (order.index((each.name, each.delay_days)), each.cost_bp)
        )
        if result.name != FLAT
    ]
    decimals = dict.fromkeys(("return, %", "drawdown, %", "hit rate, %"), 1)
    decimals |= dict.fromkeys(("Sharpe", "± error", "turnover a day", "profit factor"), 2)
    return Table(pd.DataFrame(rows), "Every number at the cost of its own row", decimals)


def _interval_section(assessment: Assessment, pictures: Mapping[str, str]) -> Section:
    """Return how well intervals and distributions fit."""
    unit = assessment.unit
    width, winkler, pinball, crps = (
        f"{score}, {unit}" for score in ("mean width", "Winkler score", "pinball loss", "CRPS")
    )
    intervals = [
        {
            "interval": f"{100 * found.coverage_nominal:.0f} %",
            "covered, %": None if found.coverage is None else 100 * found.coverage,
            "missed days": found.misses,
            "days": found.num_days,
            width: found.mean_width,
            winkler: found.winkler,
            "p of misses": found.binomial_p,
            "p of independence": found.independence_p,
            "note": found.note,
        }
        for found in assessment.intervals
    ]
    density = [
        {"distribution": name, pinball: losses["pinball"], crps: losses["crps"]}
        for name, losses in assessment.density.items()
    ]
    decimals = {"covered, %": 1, width: 3, winkler: 3}
    decimals |= {"p of misses": 3, "p of independence": 3}
    return Section(
        "Intervals and calibration",
        pictures=picture(pictures, "calibration"),
        tables=[
            _filled(Table(pd.DataFrame(intervals), "Intervals", decimals)),
            Table(
                pd.DataFrame(density),
                "Distributions; lower is better, and a CRPS that is not exact is left out",
                {pinball: 4, crps: 4},
            ),
        ],
    )


def _risk_section(assessment: Assessment) -> Section:
    """Return what tail risk is, how well three forecasters put it; empty without any."""
    if not assessment.risk:
        return Section("Tail risk")
    return Section(
        "Tail risk",
        text=[
            "A day should lose more than the value at risk (VaR) as seldom as the level says, and "
            "then as much on average as the expected shortfall (ES): of who holds the contract "
            "(long), and of who has sold it (short).",
            "Filtered history, which the morning desk uses, takes up to "
            f"{RISK_WINDOW} past outcomes, each divided by the EWMA volatility known before it; "
            "the tail of these, times the newest volatility, is the risk.",
            "The test of ES compares the sum of all losses beyond VaR with the sum to expect: its "
            "Z2 is 0 where both agree and below 0 where more was lost, and a small p says that "
            "chance seldom does that.",
        ],
        tables=[_risk_table(assessment)],
    )


def _risk_table(assessment: Assessment) -> Table:
    """Return how often, and by how much, days lost more than each forecaster's value at risk."""
    unit = assessment.unit
    var, es = f"mean VaR, {unit}", f"mean ES, {unit}"
    names = {
        "forecaster": "forecaster",
        "side": "side",
        "level": "level",
        "num_days": "days",
        "exceedances": "days beyond",
        "mean_var": var,
        "mean_es": es,
        "binomial_p": "exact p",
        "kupiec_p": "Kupiec p",
        "independence_p": "Christoffersen p",
        "shortfall_z": "ES: Z2",
        "shortfall_p": "p of Z2",
        "note": "note",
    }
    rows = [asdict(found) for found in assessment.risk]
    frame = pd.DataFrame(rows, columns=list(names)).rename(columns=names)
    decimals = dict.fromkeys(("exact p", "Kupiec p", "Christoffersen p", "p of Z2"), 3)
    decimals |= dict.fromkeys(("level", var, es, "ES: Z2"), 2)
    return _filled(Table(frame, "Days that lost more than the value at risk", decimals))


def _filled(table: Table) -> Table:
    """Return a table without the columns that say nothing in any row."""
    says = table.frame.notna() & (table.frame != "")
    return replace(table, frame=table.frame.loc[:, says.any()])


def _range(low: float | None, high: float | None) -> str:
    return "undefined" if low is None or high is None else f"{low:.1f} to {high:.1f} %"


def _per_cent(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1f} %"


def _number(value: float | None, decimals: int) -> str:
    return "undefined" if value is None else f"{value:.{decimals}f}"
