"""What the forecasts of a desk have been worth since it began, from numbers for daily looking."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from ironore_lightning.evaluation.betting import (
    ENOUGH,
    direction_log_wealth,
    loss_log_wealth,
    mean_bounds,
    rank_log_wealth,
)
from ironore_lightning.evaluation.days import Flags, Floats, ScoredDays, hits
from ironore_lightning.evaluation.intervals import winkler_scores

BELIEF = 0.95
"""Of the confidence sequences."""

FEW = 10
"""With fewer days a share or a mean error says nothing yet."""

MOST = 1e6
"""Largest wealth that is told; more says nothing more."""


@dataclass(frozen=True)
class Share:
    """A share of days, and bounds of its mean chance that hold on all days at once.

    Attributes:
        estimate: Per cent; None without a day.
        low: Per cent; the same for the upper bound `high`.
        high: Per cent.
        num_days: Days that count.
        estimates: The estimate after each day of `LiveEvidence.dates`.
        lows: `low` after each day.
        highs: `high` after each day.
    """

    estimate: float | None
    low: float
    high: float
    num_days: int
    estimates: list[float | None]
    lows: list[float]
    highs: list[float]


@dataclass(frozen=True)
class Bet:
    """The wealth of a gambler who began with 1.

    Attributes:
        wealth: Now; 1 before the first day.
        highest: Of all days; from 20 on, luck alone seldom explains it.
        reached: First day with 20, YYYY-MM-DD; None if there is none.
        by_day: After each day of `LiveEvidence.dates`.
    """

    wealth: float
    highest: float
    reached: str | None
    by_day: list[float]


@dataclass(frozen=True)
class IntervalLoss:
    """Interval (Winkler) scores on the days that have bounds, in the unit of the outcome.

    Attributes:
        model: Mean of the forecast's bounds; None without a day.
        ewma: Mean of a normal distribution around zero with the EWMA volatility.
        num_days: Days that count.
    """

    model: float | None
    ewma: float | None
    num_days: int


@dataclass(frozen=True)
class LiveEvidence:
    """What forecasts have been worth that were written before their outcomes.

    With a horizon H outcomes overlap, and every H-th forecast counts: that keeps every bet fair.
    Each bet and each share may mislead with a chance of 5 % of its own, on all days together.

    Attributes:
        num_forecasts: Forecasts with an outcome.
        num_days: Those that count (N).
        dates: Their days, YYYY-MM-DD, in time order.
        hits: Days with the right sign, of those that moved.
        coverage_80: Days within the 80 % bounds, of those that have bounds.
        coverage_90: The same for 90 %.
        mean_square: Of the errors, in squared units of the outcome; None without a day.
        mean_square_zero: Of the errors of zero.
        gain: Share of the second that the forecast saves, per cent; below 0 it loses.
        interval_80: Of the 80 % bounds.
        interval_90: Of the 90 % bounds.
        direction: Bets that outcomes are higher where forecasts are.
        loss: Bets that squared errors are smaller than those of zero.
        break_bet: Bets that errors are larger than validation promised.
        sentences: The same in plain words.
        alarms: What speaks against relying on the forecast any longer; mostly empty.
    """

    num_forecasts: int
    num_days: int
    dates: list[str]
    hits: Share
    coverage_80: Share
    coverage_90: Share
    mean_square: float | None
    mean_square_zero: float | None
    gain: float | None
    interval_80: IntervalLoss
    interval_90: IntervalLoss
    direction: Bet
    loss: Bet
    break_bet: Bet
    sentences: list[str]
    alarms: list[str]


def live_evidence(days: ScoredDays) -> LiveEvidence:
    """Return what live forecasts have been worth; later days change nothing of earlier paths.

    Args:
        days: Forecasts with their outcomes, in time order, none at first. Beside the bounds, the
            frame has `volatility` (EWMA of the outcomes known at the origin), `rank` (of the scaled
            error on validation) and `num_scores` (errors it was ranked among).
    """
    apart = replace(days, frame=days.frame.iloc[:: days.horizon])
    frame, actual, forecast = apart.frame, apart.actual, apart.forecast
    volatility, rank, num_scores = (
        frame[name].to_numpy(np.float64) for name in ("volatility", "rank", "num_scores")
    )
    dates = [f"{date:%Y-%m-%d}" for date in apart.dates]
    square, zero = (_mean(errors**2) for errors in (actual - forecast, actual))
    evidence = LiveEvidence(
        num_forecasts=len(days),
        num_days=len(apart),
        dates=dates,
        hits=_share(hits(forecast, actual), actual != 0),
        coverage_80=_coverage(apart, 0.8),
        coverage_90=_coverage(apart, 0.9),
        mean_square=square,
        mean_square_zero=zero,
        gain=100 * (1 - square / zero) if square is not None and zero else None,
        interval_80=_interval_loss(apart, volatility, 0.8),
        interval_90=_interval_loss(apart, volatility, 0.9),
        direction=_bet(direction_log_wealth(forecast, actual, volatility), dates),
        loss=_bet(loss_log_wealth(forecast, actual, volatility), dates),
        break_bet=_bet(rank_log_wealth(rank, num_scores), dates),
        sentences=[],
        alarms=[],
    )
    words = days.rhythm.words
    return replace(
        evidence,
        sentences=[words(text) for text in _sentences(evidence, days)],
        alarms=[words(text) for text in _alarms(evidence)],
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _share(is_success: Flags, counts: Flags) -> Share:
    """Return the share of successes among the days that count, both of shape (N,)."""
    successes, trials = (
        np.cumsum(flags).astype(np.float64) for flags in (is_success & counts, counts)
    )
    low, high = mean_bounds(successes, trials, belief=BELIEF)
    rates = (100 * successes / np.maximum(trials, 1)).tolist()
    estimates = [rate if tried else None for rate, tried in zip(rates, trials, strict=True)]
    lows, highs = (100 * low).tolist(), (100 * high).tolist()
    return Share(
        estimate=estimates[-1] if estimates else None,
        low=lows[-1] if lows else 0.0,
        high=highs[-1] if highs else 100.0,
        num_days=int(counts.sum()),
        estimates=estimates,
        lows=lows,
        highs=highs,
    )


def _bounds(days: ScoredDays, coverage: float) -> tuple[Floats, Floats, Flags]:
    """Return lower and upper bounds, and whether a day has both, shape (N,)."""
    lower, upper = (
        days.frame[f"{side}_{100 * coverage:.0f}"].to_numpy(np.float64)
        for side in ("lower", "upper")
    )
    return lower, upper, np.isfinite(lower) & np.isfinite(upper)


def _coverage(days: ScoredDays, coverage: float) -> Share:
    lower, upper, has_bounds = _bounds(days, coverage)
    return _share((days.actual >= lower) & (days.actual <= upper), has_bounds)


def _interval_loss(days: ScoredDays, volatility: Floats, coverage: float) -> IntervalLoss:
    """Compare the bounds with those of a normal distribution around zero on the same days."""
    lower, upper, has_bounds = _bounds(days, coverage)
    reach = float(norm.ppf((1 + coverage) / 2)) * volatility
    model, ewma = (
        _mean(winkler_scores(days.actual, lower=low, upper=high, coverage=coverage)[has_bounds])
        for low, high in ((lower, upper), (-reach, reach))
    )
    return IntervalLoss(model, ewma, int(has_bounds.sum()))


def _bet(log_wealth: Floats, dates: list[str]) -> Bet:
    by_day = np.exp(np.minimum(log_wealth, np.log(MOST))).tolist()
    enough = [date for date, now in zip(dates, by_day, strict=True) if now >= ENOUGH]
    return Bet(
        wealth=by_day[-1] if by_day else 1.0,
        highest=max(by_day, default=1.0),
        reached=enough[0] if enough else None,
        by_day=by_day,
    )


def _sentences(evidence: LiveEvidence, days: ScoredDays) -> list[str]:
    if not evidence.num_days:
        return ["No outcome of a live forecast is known yet."]
    said = []
    if days.horizon > 1:
        said.append(
            f"Outcomes span {days.horizon} days and overlap: of {evidence.num_forecasts} forecasts "
            f"every {days.horizon}th counts, {evidence.num_days} in all."
        )
    if evidence.num_days < FEW:
        said.append(
            f"{_days(evidence.num_days)}, too few to say how often the sign is right and the "
            "bounds hold, or how large errors are."
        )
        return [*said, *_bets(evidence)]
    said.append(_told("The sign was right", evidence.hits, "that moved"))
    if evidence.gain is not None:
        verb = "smaller" if evidence.gain >= 0 else "larger"
        said.append(f"Squared errors are {abs(evidence.gain):.1f} % {verb} than those of zero.")
    for coverage, share, loss in (
        (80, evidence.coverage_80, evidence.interval_80),
        (90, evidence.coverage_90, evidence.interval_90),
    ):
        said.append(_told(f"The {coverage} % bounds held", share, "with bounds"))
        if loss.model is not None and loss.ewma is not None and loss.num_days >= FEW:
            said.append(
                f"The interval score of the {coverage} % bounds is {loss.model:.2f} {days.unit}, "
                f"and {loss.ewma:.2f} {days.unit} for normal EWMA bounds around zero; lower is "
                "better."
            )
    return [*said, *_bets(evidence)]


def _bets(evidence: LiveEvidence) -> list[str]:
    return [
        "Bets on direction, in which forecast and outcome are measured against their usual drift, "
        f"{_fortune(evidence.direction, 'skill in direction')}",
        "Bets that squared errors are smaller than those of zero "
        f"{_fortune(evidence.loss, 'a gain over zero')}",
        "Bets that errors are larger than validation promised "
        f"{_fortune(evidence.break_bet, 'a break')}",
    ]


def _told(what: str, share: Share, which: str) -> str:
    """Return a sentence on the share of days of some kind; of few days it says no share."""
    if share.num_days < FEW:
        return f"{what}: {_days(share.num_days)} {which}, too few to say."
    return f"{what} on {_said(share)} {which}."


def _said(share: Share) -> str:
    """Return a share of at least one day, and its bounds, in words."""
    assert share.estimate is not None
    return (
        f"{share.estimate:.1f} % (chance {share.low:.1f} to {share.high:.1f} %, with "
        f"{100 * BELIEF:.0f} % confidence daily) of {_days(share.num_days)}"
    )


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def _fortune(bet: Bet, finding: str) -> str:
    """Return what became of a gambler, and what follows, in words."""
    now = f"have turned 1 into {_number(bet)}"
    if bet.reached is None:
        return f"{now}: no evidence of {finding}, which takes {ENOUGH:.0f}."
    return (
        f"{now}, and reached {ENOUGH:.0f} on {bet.reached}: evidence of {finding}, as luck ever "
        "gets there with a chance of at most 5 %."
    )


def _number(bet: Bet) -> str:
    return f"{bet.wealth:,.0f}" if bet.wealth >= ENOUGH else f"{bet.wealth:.2f}"


def _alarms(evidence: LiveEvidence) -> list[str]:
    """Return what speaks against the forecast today, by tests that may be repeated every day."""
    alarms = []
    if evidence.break_bet.wealth >= ENOUGH:
        bet = _fortune(evidence.break_bet, "a break")
        alarms.append(f"Errors are larger than validation promised: bets on that {bet}")
    promises = [
        (50, evidence.hits, "The sign is wrong more often than right: it was right"),
        (80, evidence.coverage_80, "The 80 % bounds are too narrow: they held"),
        (90, evidence.coverage_90, "The 90 % bounds are too narrow: they held"),
    ]
    alarms += [
        f"{what} on {_said(share)}." for least, share, what in promises if share.high < least
    ]
    return alarms
