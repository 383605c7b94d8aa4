"""Rules between the settings of the data, the features and the target."""

from typing import Any

from ironore_lightning.errors import closest
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.samples import FeaturesSettings, TargetSettings


def with_unit(settings: dict[Any, Any]) -> dict[Any, Any]:
    """Complete the unit of an outcome that is no return by that of its series.

    Args:
        settings: Of an experiment, yet to be checked.
    """
    target, data = settings.get("target"), settings.get("data")
    if not isinstance(target, dict) or not isinstance(data, dict):
        return settings
    unit = _unit_of(data, target.get("series"))
    if unit is None or target.get("unit") or target.get("kind") not in ("change", "given"):
        return settings
    return {**settings, "target": {**target, "unit": unit}}


def _unit_of(data: dict[str, Any], series: object) -> str | None:
    """Return the unit of a price leg or driver in settings that are yet to be checked."""
    columns = [data.get("contracts")]
    sources = data.get("sources")
    for source in sources.values() if isinstance(sources, dict) else ():
        columns.append(source.get("columns") if isinstance(source, dict) else None)
    for known in columns:
        column = known.get(series) if isinstance(known, dict) else None
        if isinstance(column, dict) and isinstance(column.get("unit"), str):
            return str(column["unit"])
    return None


def require_positive_prices(data: DataSettings, target: TargetSettings) -> None:
    """Raise `ValueError` if a per-cent return is asked of prices that may be negative."""
    negative = [name for name, leg in data.contracts.items() if not leg.positive]
    if target.is_return and target.series in negative:
        raise ValueError(
            f"target.kind={target.kind}: {target.series} has no per-cent return, as "
            f"data.contracts.{target.series}.positive is false; set target.kind=change"
        )
    if target.profit_series in negative:
        raise ValueError(
            f"target.profit_series: {target.profit_series} has no per-cent return, as "
            f"data.contracts.{target.profit_series}.positive is false; name another series"
        )


def require_columns(data: DataSettings, features: FeaturesSettings, target: TargetSettings) -> None:
    """Raise `ValueError` if a break day, a feature or the target is of no series of the data."""
    for leg in (day.leg for day in data.panel.break_days):
        if leg not in data.contracts:
            known = closest(leg, data.contracts)
            raise ValueError(f"data.panel.break_days: {leg!r} is no price leg{known}")
    if data.columns is None:  # known only once the prepared table is read
        return
    wanted = {
        "features.names": [feature.name for feature in features.names],
        "target.series": [target.series],
        "target.profit_series": [*filter(None, [target.profit_series])],
    }
    shown = ", ".join(data.columns)
    if not {*wanted["features.names"], target.series} & {*data.columns}:
        raise ValueError(
            f"features and target: data={data.name} has none of their columns, only {shown}; name "
            "those of this market in a member of conf/market, as conf/market/dce_iron_ore.yaml "
            "does, and choose it with market=NAME"
        )
    mistakes = []
    for key, names in wanted.items():
        unknown = [name for name in dict.fromkeys(names) if name not in data.columns]
        if unknown:
            meant = closest(unknown[0], data.columns) if len(unknown) == 1 else ""
            missing = ", ".join(repr(name) for name in unknown)
            mistakes.append(f"{key}: there is no column {missing}{meant}")
    if mistakes:
        raise ValueError("\n".join([*mistakes[:-1], f"{mistakes[-1]}; columns are: {shown}"]))
