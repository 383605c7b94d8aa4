"""Returns of a price without stated contracts that look like rolls, not like the market."""

import numpy as np
import pandas as pd

from ironore_lightning.data.panel import Panel
from ironore_lightning.settings.samples import TargetSettings

LEAST_JUMP = 6.0
"""Smallest suspicious move, in robust standard deviations: 1.48 times the median absolute move."""
EDGE_DAYS = 3
"""Trading days at either end of a month on which contracts are usually rolled."""
LEAST_ALIKE = 3
"""Jumps on the same trading day of their months from which the day is suspicious itself."""


def suspicious_returns(
    panel: Panel, target: TargetSettings, days: pd.DatetimeIndex
) -> dict[str, float]:
    """Return the moves of the target's series that may be rolls from one contract to the next.

    Args:
        panel: Values by trading day; weeks and months have no days of rolls.
        target: The series, which is neither a price leg nor a target that is given, and whose
            contracts the table does not name; of others, nothing is suspicious.
        days: Rows that count.

    Returns:
        By date (YYYY-MM-DD): the log return since the row before, per cent, or the change of a
        series that a change is forecast of.
    """
    series = target.series
    if target.kind == "given" or series in panel.breaks or panel.rhythm.noun != "day":
        return {}
    values = panel.values[series]
    moves = values.diff() if target.kind == "change" else 100 * np.log(values).diff()
    size = moves.loc[days].abs()
    jumps = size[size > LEAST_JUMP * 1.48 * size.median()]
    place = _places(days).loc[jumps.index]
    is_edge = (place < EDGE_DAYS).any(axis=1)
    recurs = place["from_start"].map(place["from_start"].value_counts()) >= LEAST_ALIKE
    found = moves.loc[jumps.index[is_edge | recurs]]
    return {f"{day:%Y-%m-%d}": float(move) for day, move in found.items()}


def _places(days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return by day how many trading days of its month lie before and after it."""
    months = pd.Series(0, index=days).groupby(days.to_period("M"))
    return pd.DataFrame(
        {"from_start": months.cumcount(), "from_end": months.cumcount(ascending=False)}
    )


def suspicion(panel: Panel, target: TargetSettings, days: pd.DatetimeIndex) -> list[str]:
    """Return a warning if moves of the target's series may be rolls; arguments as above."""
    found = suspicious_returns(panel, target, days)
    if not found:
        return []
    largest = max(found, key=lambda day: abs(found[day]))
    unit = "%" if target.is_return else target.unit_name
    return [
        f"{target.series}: {len(found)} moves of more than {LEAST_JUMP:g} standard deviations on "
        f"days on which contracts are rolled, such as {found[largest]:+.3g} {unit} on {largest}; "
        "if they are rolls, name the column of the contracts (data.table.contract_column) or "
        "bring prices of the contracts (data.contracts)"
    ]
