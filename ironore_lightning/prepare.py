"""Write the tables that a run reads: ``python -m ironore_lightning.prepare output_dir=DIR``.

The command takes the settings of train.py and trains nothing.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.utils import to_absolute_path
from omegaconf import DictConfig

from ironore_lightning.cli.help import is_answered
from ironore_lightning.cli.hydra_command import run_command, run_job
from ironore_lightning.data.features import build_table
from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.data_quality.break_days import doubtful_breaks
from ironore_lightning.data_quality.column_report import column_report
from ironore_lightning.data_quality.suspicious_returns import suspicion, suspicious_returns
from ironore_lightning.errors import ConfigError
from ironore_lightning.files import write_csv, write_json
from ironore_lightning.report.table import make_table
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.command_keys import command_keys
from ironore_lightning.settings.experiment import Config
from ironore_lightning.trading_calendar.rhythm import DAILY, Rhythm, longest_step

log = logging.getLogger(__name__)


def main(composed: DictConfig) -> None:
    """Check the settings, and build and write the tables."""
    besides = command_keys("prepare")
    run_job(lambda: write_tables(to_config(composed, besides=besides), _folder(composed)))


def write_tables(config: Config, folder: Path) -> None:
    """Write `continuous_futures.csv`, `consolidated_features.csv` and `data_report.json`.

    Prices in both tables are adjusted backwards from the newest contract, as in the original; a
    model reads the same series anchored at the oldest one.
    """
    raw = read_raw(config.data)
    panel = build_panel(raw, config.data, config.target)
    features, target = build_table(panel, config.features.names, config.target)
    report = data_report(raw, panel, features, target)
    report["suspicious_returns"] = suspicious_returns(panel, config.target, _days(features))
    tables = {"consolidated_features.csv": consolidated_features(panel, features, target)}
    if panel.futures:
        tables["continuous_futures.csv"] = continuous_futures(panel)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_csv(folder / name, table, index=True)
    write_json(folder / "data_report.json", report)
    _print_report(report, panel.rhythm)
    doubtful = doubtful_breaks(raw.contracts, panel.futures)
    suspicious = suspicion(panel, config.target, _days(features))
    for line in (*panel.warnings(_days(features)), *doubtful, *suspicious):
        log.warning(line)


def continuous_futures(panel: Panel) -> pd.DataFrame:
    """Return all continuous series, one row for each day of any leg."""
    columns: list[tuple[str, pd.Series]] = []
    for name, series in panel.futures.items():
        leg = name.removeprefix("price_")
        columns += [
            (name, series.days["adjusted_price"]),
            (f"raw_price_{leg}", series.days["raw_price"]),
            (f"contract_month_{leg}", series.days["contract_month"].astype(str)),
        ]
    return _dated(columns)


def consolidated_features(
    panel: Panel, features: pd.DataFrame, target: pd.DataFrame
) -> pd.DataFrame:
    """Return the features and the target `Y`, which is missing in the last rows."""
    levels = {
        name: series.days["adjusted_price"].reindex(features.index)
        for name, series in panel.futures.items()
        if name in features
    }
    own = [(str(name), levels.get(str(name), column)) for name, column in features.items()]
    return _dated([*own, ("Y", target["value"])])


def _dated(columns: Sequence[tuple[str, pd.Series]]) -> pd.DataFrame:
    """Return a table of named columns, indexed by `date`.

    Raises:
        ConfigError: If two columns have the same name.
    """
    names = ["date", *(name for name, _ in columns)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"features.names: two columns of the tables would be called {', '.join(twice)}; leave "
            "that one out, or rename it in its file and in conf/data/"
        )
    return pd.DataFrame(dict(columns)).rename_axis("date")


def data_report(
    raw: RawData, panel: Panel, features: pd.DataFrame, target: pd.DataFrame
) -> dict[str, Any]:
    """Return the ranges, forward-filled counts and rolls of the tables."""
    days = _days(features)
    blanks = {
        name: int(column.loc[days[0] : days[-1]].isna().sum())
        for frame in raw.sources.values()
        for name, column in frame.items()
    }
    return {
        "rows": len(days),
        "rows_with_target": int(target["value"].notna().sum()),
        "first_date": _date(days[0]),
        "last_date": _date(days[-1]),
        "rhythm": panel.rhythm.sentence,
        "longest_return_days": longest_step(days),
        "bridged_days": panel.bridged_days(days),
        "contract_changes": panel.contract_changes(days),
        "remarks": list(panel.remarks),
        "longest_bridge_days": panel.longest_bridges(days),
        "columns": [
            {**column_report(panel, str(name), days), "missing": blanks.get(name, 0)}
            for name in panel.values
        ],
        "rolls": {
            name: [
                {
                    "roll_day": _date(day),
                    "from_month": str(roll.from_month),
                    "to_month": str(roll.to_month),
                    "ratio": roll.ratio,
                    "difference": roll.difference,
                }
                for day, roll in zip(_days(series.rolls), _no_nan(series.rolls), strict=True)
            ]
            for name, series in panel.futures.items()
        },
    }


def _no_nan(table: pd.DataFrame) -> Iterable[Any]:
    """Return the rows of a table, with None for NaN."""
    return table.astype(object).where(table.notna(), None).itertuples()


def _print_report(report: dict[str, Any], rhythm: Rhythm) -> None:
    log.info(
        "%d rows, %d of them with a target, from %s to %s",
        report["rows"],
        report["rows_with_target"],
        report["first_date"],
        report["last_date"],
    )
    if rhythm != DAILY:
        log.info("rhythm: %s", rhythm.sentence)
    columns = pd.DataFrame(report["columns"])
    for name in ("minimum", "maximum"):
        columns[name] = columns[name].map("{:.6g}".format)
    names = {"first_value": "first day", "longest_staleness": "stalest, days"}
    table = make_table(columns.rename(columns=names), elsewhere="data_report.json")
    log.info(table.said_in(rhythm))
    for name, changes in report["contract_changes"].items():
        log.info("%s: %d moves between two contracts are left out", name, changes)
    for name, rolls in report["rolls"].items():
        ratios = [roll["ratio"] for roll in rolls if roll["ratio"] is not None]
        spread = f", ratios {min(ratios):.4f} to {max(ratios):.4f}" if ratios else ""
        log.info("%s: %d rolls%s", name, len(rolls), spread)


def _folder(composed: DictConfig) -> Path:
    return Path(to_absolute_path(composed.output_dir))


def _days(table: pd.DataFrame | pd.Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(table.index)


def _date(day: pd.Timestamp) -> str:
    return f"{day:%Y-%m-%d}"


if __name__ == "__main__" and not is_answered("prepare", __doc__):
    run_command(main, "prepare")
