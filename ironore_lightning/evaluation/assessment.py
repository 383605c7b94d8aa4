"""Assess the forecasts of some test days: scores, tests, intervals, trading, grade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from ironore_lightning.evaluation.comparison import Row, compare
from ironore_lightning.evaluation.days import Floats, ScoredDays
from ironore_lightning.evaluation.evidence import RIVALS, Evidence, Findings, grade_findings
from ironore_lightning.evaluation.intervals import COVERAGES, IntervalScores, interval_scores
from ironore_lightning.evaluation.labels import direction_sentence
from ironore_lightning.evaluation.metrics import (
    COVERAGE,
    Scores,
    base_rate,
    count_hits,
    gain,
    mean_losses,
)
from ironore_lightning.evaluation.resampling import (
    BootstrapIntervals,
    ConfidenceSet,
    block_length,
    bootstrap_intervals,
    model_confidence_set,
    superior_ability,
)
from ironore_lightning.evaluation.risk import RiskScores, score_risk
from ironore_lightning.evaluation.selection import Discount
from ironore_lightning.evaluation.significance import (
    Outcome,
    anatolyev_gerko,
    binomial_test,
    clark_west,
    diebold_mariano,
    giacomini_white,
    pesaran_timmermann,
)
from ironore_lightning.evaluation.skill import encompassing, predictive_slope, rotation, skill_p
from ironore_lightning.evaluation.tradability import Alarm, alarm_sentence, find_alarms
from ironore_lightning.evaluation.trading import SIGN, TradingResult, gross_profit, trading_table
from ironore_lightning.settings.evaluation import EvaluationSettings
from ironore_lightning.trading_calendar.rhythm import Rhythm

MODEL = "model"
NOT_TRADED = (
    "Trading is left out, as nobody says what a position earns; target.profit_series names the "
    "prices that it is earned on."
)
"""What a verdict says of a target that is no return."""
CONFIDENCE_SET_LEVEL = 0.10
"""A forecaster is in the model confidence set if its p-value is above this."""


@dataclass(frozen=True)
class Block:
    """Skill on consecutive days.

    Attributes:
        first_date: Of the outcomes, YYYY-MM-DD.
        last_date: Of the outcomes, YYYY-MM-DD.
        num_days: Number of days.
        accuracy: Direction accuracy, per cent of the days that moved; None if none did.
        r2_zero: R2 against the zero forecast; None if no day moved.
    """

    first_date: str
    last_date: str
    num_days: int
    accuracy: float | None
    r2_zero: float | None


@dataclass(frozen=True)
class Assessment:
    """Scores, tests and grade of the forecasts.

    Attributes:
        scores: Of the model.
        table: Model and baselines side by side, the model first.
        tests: Of the model's skill, by name.
        bootstrap: Intervals of the model's direction accuracy, RMSE ratio and Sharpe ratio.
        confidence_set: Model confidence set of the forecasters, by squared error.
        superior_ability_p: Hansen's SPA p-value of the best forecaster against zero.
        intervals: Scores of the 80 % and 90 % intervals.
        density: Mean pinball loss and CRPS by distribution; a CRPS that is not exact is None.
        risk: Scores of value at risk and expected shortfall; empty where nobody has computed them.
        trading: Results of the strategies; empty where nobody knows what they earn.
        blocks: Skill by block of days.
        evidence: The grade.
        tradability: Why the skill may not be tradable; empty if nothing says so.
        unit: Of outcomes and forecasts, for people.
        rhythm: Of the days, which all numbers of days count: weeks of a weekly market.
    """

    scores: Scores
    table: list[Row]
    tests: dict[str, Outcome]
    bootstrap: BootstrapIntervals
    confidence_set: ConfidenceSet
    superior_ability_p: float | None
    intervals: list[IntervalScores]
    density: dict[str, dict[str, float | None]]
    risk: list[RiskScores]
    trading: list[TradingResult]
    blocks: list[Block]
    evidence: Evidence
    tradability: list[Alarm]
    rhythm: Rhythm
    unit: str = "%"

    @property
    def verdict(self) -> str:
        """The verdict in words: direction, grade, and whether the skill may not be tradable."""
        words = f"{direction_sentence(self.scores)} {self.evidence.sentence}"
        words += alarm_sentence(self.tradability, self.evidence.grade)
        return self.rhythm.words(words if self.trading else f"{words} {NOT_TRADED}")


def assess(
    days: ScoredDays,
    baselines: pd.DataFrame,
    density: pd.DataFrame,
    settings: EvaluationSettings,
    *,
    label: str,
    discount: Discount | None = None,
    look: int | None = None,
) -> Assessment:
    """Return the assessment of the forecasts of consecutive days.

    Args:
        days: Forecasts, outcomes, interval bounds and, perhaps, risk figures.
        baselines: Forecasts of the same rows by baseline, with `zero` and `expanding mean`.
        density: Losses of the same rows: `pinball` and `crps` by distribution.
        settings: Rules of the grade, bootstrap, costs.
        label: Direction label, see `labels`.
        discount: Correction for all trials of a multirun; None for a single run.
        look: Number of this look at these days; None if looks are not counted.
    """
    forecasts = {MODEL: days.forecast}
    forecasts |= {str(name): baseline.to_numpy() for name, baseline in baselines.items()}
    table = compare(days, forecasts)
    rivals = {name: forecasts[name] for name in RIVALS if name in forecasts}
    tests = skill_tests(days.forecast, days.actual, rivals, horizon=days.horizon)
    confidence_set, superior_p = _compare_all(days, forecasts, settings)
    trading = _trading(days, settings)
    after_costs = net_sharpe(trading, settings.strong_cost_bp)
    findings = collect_findings(days, table, tests, after_costs=after_costs)
    return Assessment(
        scores=table[0].scores,
        table=table,
        tests=tests,
        bootstrap=_bootstrap(days, settings),
        confidence_set=confidence_set,
        superior_ability_p=superior_p,
        intervals=_interval_scores(days.frame, adaptive=("crps", MODEL) not in density),
        density=_density_means(density),
        risk=[] if days.risk is None else score_risk(days.actual, days.risk),
        trading=trading,
        blocks=skill_blocks(days.frame, settings.block_days),
        evidence=grade_findings(findings, settings, label=label, discount=discount, look=look),
        tradability=find_alarms(days),
        rhythm=days.rhythm,
        unit=days.unit,
    )


def skill_tests(
    forecast: Floats, actual: Floats, rivals: Mapping[str, Floats], *, horizon: int
) -> dict[str, Outcome]:
    """Return the tests of a forecast by name: those that decide the grade, and classical ones.

    If outcomes overlap (horizon > 1), the sign tests use every `horizon`-th day.

    Args:
        forecast: Shape (N,), per cent.
        actual: Shape (N,), per cent.
        rivals: Forecasts to which this one should add, by name, shape (N,), per cent.
        horizon: Days ahead that a forecast reaches.
    """
    zero = np.zeros_like(actual)
    non_overlapping = slice(None, None, horizon)
    hits, moved = count_hits(forecast[non_overlapping], actual[non_overlapping])
    rate = base_rate(actual[non_overlapping]) or 50.0
    return {
        "predictive_slope": predictive_slope(forecast, actual, horizon=horizon),
        "rotation": rotation(forecast, actual),
        "encompassing": encompassing(forecast, actual, rivals, horizon=horizon),
        "diebold_mariano": diebold_mariano(forecast, actual, benchmark=zero, horizon=horizon),
        "clark_west": clark_west(forecast, actual, benchmark=zero, horizon=horizon),
        "giacomini_white": giacomini_white(forecast, actual, benchmark=zero, horizon=horizon),
        "pesaran_timmermann": pesaran_timmermann(
            forecast[non_overlapping], actual[non_overlapping]
        ),
        "anatolyev_gerko": anatolyev_gerko(forecast[non_overlapping], actual[non_overlapping]),
        "binomial": binomial_test(hits, moved, base_rate=rate),
    }


def skill_blocks(days: pd.DataFrame, block_days: int) -> list[Block]:
    """Return the skill of each whole block of days; left-over days at the end are dropped."""
    starts = range(0, len(days) - block_days + 1, block_days)
    return [_block(days.iloc[start : start + block_days]) for start in starts]


def skill_years(days: pd.DataFrame) -> list[Block]:
    """Return the skill of each calendar year."""
    return [_block(year) for _, year in days.groupby(days["date"].dt.year)]


def _block(days: pd.DataFrame) -> Block:
    actual, forecast = (days[name].to_numpy(np.float64) for name in ("actual", "forecast"))
    hits, moved = count_hits(forecast, actual)
    squared, _ = mean_losses(forecast, actual)
    zero_squared, _ = mean_losses(np.zeros_like(actual), actual)
    return Block(
        first_date=f"{days['date'].iloc[0]:%Y-%m-%d}",
        last_date=f"{days['date'].iloc[-1]:%Y-%m-%d}",
        num_days=len(days),
        accuracy=100 * hits / moved if moved else None,
        r2_zero=gain(squared, zero_squared),
    )


def collect_findings(
    days: ScoredDays,
    table: Sequence[Row],
    tests: Mapping[str, Outcome],
    *,
    after_costs: float | None,
) -> Findings:
    """Return the numbers that decide the grade.

    Args:
        days: Forecasts and outcomes of the model.
        table: Of `compare`, the model first.
        tests: Of `skill_tests`.
        after_costs: Sharpe ratio of the sign strategy.
    """
    slope, rotated = tests["predictive_slope"], tests["rotation"]
    return Findings(
        table=table,
        fewest_signs={
            "forecast": _fewest_of_a_sign(days.forecast[:: days.horizon]),
            "market": _fewest_of_a_sign(days.actual[:: days.horizon]),
        },
        slope=slope,
        rotation=rotated,
        skill_p=skill_p(slope, rotated),
        encompassing=tests["encompassing"],
        net_sharpe=after_costs,
    )


def _fewest_of_a_sign(values: Floats) -> int:
    return int(min((values > 0).sum(), (values < 0).sum()))


def net_sharpe(results: Sequence[TradingResult], cost_bp: float) -> float | None:
    """Return the Sharpe ratio of the sign strategy at a cost; None if it is not in the results."""
    for result in results:
        if (result.name, result.delay_days, result.cost_bp) == (SIGN, 0, cost_bp):
            return result.sharpe
    return None


def _bootstrap(days: ScoredDays, settings: EvaluationSettings) -> BootstrapIntervals:
    return bootstrap_intervals(
        days,
        gross_profit(days) if days.has_profit else None,
        coverage=COVERAGE,
        reps=settings.bootstrap_repetitions,
        seed=settings.bootstrap_seed,
    )


def _compare_all(
    days: ScoredDays, forecasts: Mapping[str, Floats], settings: EvaluationSettings
) -> tuple[ConfidenceSet, float | None]:
    """Return the model confidence set, and the SPA p-value of the best against zero."""
    losses = {name: (days.actual - values) ** 2 for name, values in forecasts.items()}
    zero = losses["zero"]
    others = {name: loss for name, loss in losses.items() if name != "zero"}
    block = block_length(losses[MODEL][:, None] - zero[:, None], horizon=days.horizon)
    reps, seed = settings.bootstrap_repetitions, settings.bootstrap_seed
    confidence_set = model_confidence_set(
        losses, size=CONFIDENCE_SET_LEVEL, block_size=block, reps=reps, seed=seed
    )
    superior = superior_ability(others, benchmark=zero, block_size=block, reps=reps, seed=seed)
    return confidence_set, superior.p_value


def _interval_scores(days: pd.DataFrame, *, adaptive: bool) -> list[IntervalScores]:
    return [
        interval_scores(
            days["actual"].to_numpy(),
            lower=days[f"lower_{100 * coverage:.0f}"].to_numpy(),
            upper=days[f"upper_{100 * coverage:.0f}"].to_numpy(),
            coverage=coverage,
            adaptive=adaptive,
        )
        for coverage in COVERAGES
    ]


def _density_means(density: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    means: dict[str, dict[str, float | None]] = {}
    for column, mean in density.mean().items():
        score, name = cast(tuple[str, str], column)
        means.setdefault(name, {"pinball": None, "crps": None})[score] = (
            float(mean) if np.isfinite(mean) else None
        )
    return means


def _trading(days: ScoredDays, settings: EvaluationSettings) -> list[TradingResult]:
    if not days.has_profit:
        return []
    return trading_table(days, buffer=settings.trade_buffer, costs_bp=settings.costs_bp)
