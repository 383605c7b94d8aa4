"""Alarms for skill that nobody can trade: bounce, stale prices, two clocks.

An outcome is measured between two prices. If one of them is off for a day (struck at the bid,
smoothed, or struck hours before another price of the same day), its correction can be forecast,
but not earned: whoever trades pays the corrected price. Such skill hangs on the last moves and
does not outlast a day.

Nothing here forecasts, and nothing is chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import cast

import numpy as np
import pandas as pd

from ironore_lightning.evaluation.days import Floats, ScoredDays
from ironore_lightning.evaluation.significance import is_constant

MIN_DAYS = 60
"""Fewest days that are judged."""
SKILL_T = 1.0
"""Smallest t of the covariance of forecast and outcome for an alarm. It lies below the 1.28 of a
one-sided p of 0.10, so that no grade above NONE is without one; see `alarm_sentence`."""
BEYOND_CHANCE_T = 1.645
"""Smallest absolute t of an autocovariance, a leg or a later entry that counts: p of 0.05."""
LASTING, BRIEF = 2 / 3, 1 / 3
"""Share of the skill kept a day later: skill that keeps more than the first outlasts the wait, and
skill that keeps more than the second is not held against the legs of a spread."""
LEAST_EXPLAINED, LEAST_ADDED = 1 / 2, 1 / 3
"""Share of the skill that a cause must explain, and that a driver must add to what the outcome's
own moves explain."""
NUM_MOVES = 3
"""Last moves, of the outcome and of a driver, that may explain the skill."""

OWN_TEXTS = {
    "bounce": "it bets against the outcome's last move, as between a settlement and a last trade",
    "stale": "it repeats the outcome's last move, as in a price that is smoothed or marked late",
}
UNSKILLED = ("INSUFFICIENT", "NONE")
"""Grades of forecasts that show no skill, whose verdict needs no alarm."""
ROLES = ("later", "unknown", "leg")
"""What a clue is; see `find_alarms`."""
CLOCK_TEXTS = {
    "later": "it repeats the last move of {}, which is priced later in the day",
    "unknown": "it repeats the last move of {}, which moves with the outcome and may be priced "
    "later (data.prices does not tell)",
    "leg": "neither leg of the spread ({}) is predictable alone, as with prices struck at two "
    "times or in two ways",
}


Cause = tuple[str, str, float | None]
"""Kind and text of an alarm, and the share of the skill that the cause explains."""


@dataclass(frozen=True)
class Alarm:
    """Why the skill may not be tradable.

    Attributes:
        kind: `bounce`, `stale` or `clocks`.
        text: The cause, in words.
        autocorrelation: Of the outcome with the last one known at the origin.
        explained: Share of the skill, the covariance of forecast and outcome, that the cause
            explains; None for two legs.
        kept: Share of the skill that a trade entered a day later keeps.
    """

    kind: str
    text: str
    autocorrelation: float
    explained: float | None
    kept: float


def find_alarms(days: ScoredDays) -> list[Alarm]:
    """Return why the skill of a forecast may not be tradable; empty if there is no skill.

    None is raised without skill, or where it is left for a trade entered a day later.

    - `bounce`: the outcome reverses the last one beyond chance, and the last moves explain most of
      the skill. `stale`: it repeats the last one.
    - `clocks`: the moves of a driver that is priced later in the day, or at an unknown time but
      moves with the outcome, explain most of the skill, and the outcome's own moves do not. Or the
      outcome is the difference of two legs, and the forecast has skill for neither.

    Args:
        days: Consecutive days, N of them. Their `clues`, shape (N, K), are by role and name:
            (`later` or `unknown`, driver) is the driver's move on the day of the origin,
            (`leg`, name) the outcome of a leg.

    References:
        Roll (1984), "A simple implicit measure of the effective bid-ask spread in an efficient
        market", Journal of Finance 39(4): bounce. Lo & MacKinlay (1990), "An econometric analysis
        of nonsynchronous trading", Journal of Econometrics 45: stale prices and two clocks.
    """
    forecast, actual, horizon = days.forecast, days.actual, days.horizon
    if len(days) < MIN_DAYS + horizon or is_constant(forecast) or is_constant(actual):
        return []
    if _covariance_t(forecast, actual, horizon) < SKILL_T:
        return []
    kept = _covariance(forecast[:-1], actual[1:]) / _covariance(forecast, actual)
    later_t = _covariance_t(forecast[:-1], actual[1:], horizon)
    if kept > LASTING and later_t >= BEYOND_CHANCE_T:
        return []
    autocorrelation = float(np.corrcoef(actual[horizon:], actual[:-horizon])[0, 1])
    causes = [_own_moves(days, autocorrelation)]
    if days.clues is not None:
        causes[0] = causes[0] or _late_driver(days, days.clues)
        causes.append(_unpredictable_legs(days, days.clues) if kept <= BRIEF else None)
    return [
        Alarm(kind, text, autocorrelation, explained, kept)
        for kind, text, explained in filter(None, causes)
    ]


def alarm_sentence(alarms: Sequence[Alarm], grade: str) -> str:
    """Return what a verdict ends with, with a space before it; empty without alarm or skill."""
    if not alarms or grade in UNSKILLED:
        return ""
    causes = "; ".join(alarm.text for alarm in alarms)
    kept = max(100 * alarms[0].kept, 0)
    return (
        f" The skill may not be tradable: {causes}. A trade entered a day later keeps {kept:.0f} % "
        "of it."
    )


def _own_moves(days: ScoredDays, autocorrelation: float) -> Cause | None:
    """Return the outcome's last moves as the cause, if they reverse or repeat beyond chance."""
    actual, horizon = days.actual, days.horizon
    explained = _explained(days, _last_own(days))
    is_chance = abs(_covariance_t(actual[horizon:], actual[:-horizon], horizon)) < BEYOND_CHANCE_T
    if is_chance or explained < LEAST_EXPLAINED:
        return None
    kind = "bounce" if autocorrelation < 0 else "stale"
    return kind, OWN_TEXTS[kind], explained


def _late_driver(days: ScoredDays, clues: pd.DataFrame) -> Cause | None:
    """Return the driver whose last moves, with the outcome's, explain most of the skill."""
    own, causes = _last_own(days), []
    without = _explained(days, own)
    for (role, name), moved in _by_role(clues):
        if role == "leg":
            continue
        moves = _last_moves(moved, lags=range(NUM_MOVES))
        explained = _explained(days, [*own, *moves])
        if explained >= LEAST_EXPLAINED and explained - without >= LEAST_ADDED:
            causes.append(("clocks", CLOCK_TEXTS[role].format(name), explained))
    return max(causes, key=itemgetter(2), default=None)


def _unpredictable_legs(days: ScoredDays, clues: pd.DataFrame) -> Cause | None:
    """Return the legs of a spread as the cause, if the forecast has skill for neither."""
    legs = {name: moved for (role, name), moved in _by_role(clues) if role == "leg"}
    alone = [abs(_covariance_t(days.forecast, leg, days.horizon)) for leg in legs.values()]
    if max(alone, default=BEYOND_CHANCE_T) >= BEYOND_CHANCE_T:
        return None
    return "clocks", CLOCK_TEXTS["leg"].format(" and ".join(legs)), None


def _by_role(clues: pd.DataFrame) -> Iterator[tuple[tuple[str, str], Floats]]:
    """Yield each column's role and name, and its values, shape (N,)."""
    for column, values in clues.items():
        yield cast(tuple[str, str], column), values.to_numpy(np.float64)


def _explained(days: ScoredDays, causes: list[Floats]) -> float:
    """Return the share of the covariance of forecast and outcome that linear causes explain."""
    rest = _covariance(_residual(days.forecast, causes), days.actual)
    return 1 - rest / _covariance(days.forecast, days.actual)


def _last_own(days: ScoredDays) -> list[Floats]:
    """Return the newest outcomes known at each origin, shape (N,) each."""
    return _last_moves(days.actual, lags=range(days.horizon, days.horizon + NUM_MOVES))


def _residual(values: Floats, causes: list[Floats]) -> Floats:
    """Return values less their least-squares fit on a constant and the causes, shape (N,)."""
    design = np.column_stack([np.ones_like(values), *causes])
    weights = np.linalg.lstsq(design, values, rcond=None)[0]
    residual: Floats = values - design @ weights
    return residual


def _last_moves(values: Floats, *, lags: range) -> list[Floats]:
    """Return values some rows earlier, shape (N,) each; rows before the first hold the mean."""
    padded = np.concatenate([np.full(lags[-1], values.mean()), values])
    return [padded[lags[-1] - lag : len(padded) - lag] for lag in lags]


def _covariance(first: Floats, second: Floats) -> float:
    return float(np.mean((first - first.mean()) * (second - second.mean())))


def _covariance_t(first: Floats, second: Floats, horizon: int) -> float:
    """Return the t of a covariance, with Bartlett weights up to lag `horizon - 1`."""
    products = (first - first.mean()) * (second - second.mean())
    centred = products - products.mean()
    variance = float(np.mean(centred**2))
    for lag in range(1, horizon):
        variance += 2 * (1 - lag / horizon) * float(centred[lag:] @ centred[:-lag]) / len(centred)
    return float(products.mean() / np.sqrt(variance / len(products))) if variance > 0 else 0.0
