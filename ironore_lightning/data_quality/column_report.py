"""What each column of a panel holds: first value, forward fills, staleness, range."""

from typing import Any

import pandas as pd

from ironore_lightning.data.panel import Panel


def column_report(panel: Panel, name: str, days: pd.DatetimeIndex) -> dict[str, Any]:
    """Return what a column of a panel holds.

    Args:
        panel: With the column.
        name: Of the column.
        days: Days that count, except for the first value.

    Returns:
        `column`, `first_value` (a date), `filled` (days that repeat an earlier value),
        `longest_staleness` (trading days), `minimum` and `maximum`; a price leg has its level
        adjusted backwards from the newest contract.
    """
    is_leg = name in panel.futures
    values = panel.futures[name].days["adjusted_price"] if is_leg else panel.values[name]
    staleness = panel.staleness.loc[days, name]
    inside = values.reindex(days)
    return {
        "column": name,
        "first_value": f"{pd.DatetimeIndex(values.dropna().index)[0]:%Y-%m-%d}",
        "filled": int((staleness > 0).sum()),
        "longest_staleness": int(staleness.max()),
        "minimum": float(inside.min()),
        "maximum": float(inside.max()),
    }
