"""Whether a break day looks like a change of specification, or like a move of the market."""

from collections.abc import Mapping

import pandas as pd

from ironore_lightning.data.contracts import ContinuousSeries

HISTORY, LEAST_HISTORY = 250, 20
"""Trading days before a break day that tell how much a leg usually moves against the others."""
LEAST_JUMP = 3.0
"""Smallest jump of a leg's contracts against the others', in usual moves."""
LEAST_ALIKE = 0.75
"""Share of the contracts that must jump alike, to half of their median jump."""


def doubtful_breaks(
    contracts: Mapping[str, pd.DataFrame], futures: Mapping[str, ContinuousSeries]
) -> list[str]:
    """Return a warning for each break day on which the contracts of its leg do not jump together.

    A change of specification moves all contracts of a leg by the same amount, and no contract of
    another leg. So the moves are compared, month by month, with those of the other legs: the median
    difference must exceed `LEAST_JUMP` of its usual size, and most contracts must be near it.

    Args:
        contracts: Prices of each leg, as they were read.
        futures: The continuous series of each leg, with its break days.
    """
    return [
        f"{name}: on the break day {day.date()} its contracts do not jump together against those "
        "of the other legs, so a move of the market may be left out; remove it from "
        "data.panel.break_days unless the specification changed"
        for name, series in futures.items()
        for day in pd.DatetimeIndex(series.days.index[series.days["is_break"]])
        if not jumps_together(contracts, name, day)
    ]


def jumps_together(
    contracts: Mapping[str, pd.DataFrame],
    leg: str,
    day: pd.Timestamp,
    *,
    least: float = LEAST_JUMP,
) -> bool:
    """Return whether the contracts of a leg jump alike on a day against those of the others.

    Args:
        contracts: Prices of each leg, as they were read.
        leg: One of them.
        day: Whose move since the day before is meant; later days do not count.
        least: Smallest jump, in usual moves.
    """
    moves = {name: prices.dropna(how="all").diff() for name, prices in contracts.items()}
    own = moves.pop(leg)
    if not moves:
        return False
    others = pd.concat([other.reindex_like(own) for other in moves.values()])
    jumps = own - others.groupby(level=0).mean()
    usual = jumps.median(axis=1).loc[:day].iloc[:-1].dropna().abs().tail(HISTORY)
    today = jumps.loc[[day]].iloc[0].dropna()
    if today.empty or len(usual) < LEAST_HISTORY:
        return False
    jump = float(today.median())
    is_alike = (today - jump).abs() <= abs(jump) / 2
    # 1.48 times the median absolute move is the standard deviation of a normal distribution.
    return bool(abs(jump) > least * 1.48 * usual.median() and is_alike.mean() >= LEAST_ALIKE)
