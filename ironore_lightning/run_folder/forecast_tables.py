"""Write the forecast tables of a run, and read and check them."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.data.splits import SEGMENTS
from ironore_lightning.errors import ConfigError, single_line
from ironore_lightning.evaluation.forecasts import BOUNDS, Forecasts
from ironore_lightning.evaluation.risk import RISK_MEASURES
from ironore_lightning.evaluation.tradability import ROLES
from ironore_lightning.files import read_bytes, short_reason, write_csv

TABLES = ("baselines", "density", "price_clues")
"""Tables that an assessment needs beside `predictions.csv`."""

RISK_TABLE = "risk"
"""A table that runs of earlier versions lack."""

LARGEST = {"log_return": 1e4, "simple_return": 1e6, "change": 1e38, "given": 1e38}
"""Largest absolute value of a forecast table, by `target.kind`; beyond it, prices or float32
overflow."""

LARGEST_TABLE = 2**28
"""Largest table that is read, in bytes: a million rows."""

MOST_COLUMNS = 50
"""Most columns of a table that is read; ours have fewer than twenty."""


def write_predictions(folder: Path, predictions: pd.DataFrame) -> None:
    """Write the forecasts of the network."""
    write_csv(folder / "predictions.csv", predictions, index=False)


def write_tables(folder: Path, forecasts: Forecasts) -> None:
    """Write what stands beside the forecasts of the test days."""
    # As in "crps model", "pinball EWMA", "long_var_90 EWMA" and "unknown 62 Index".
    density, risk, clues = (
        table.set_axis([" ".join(column) for column in table.columns.to_list()], axis=1)
        for table in (forecasts.density, forecasts.risk, forecasts.clues)
    )
    rows = forecasts.predictions
    dates = rows.loc[rows["segment"] == "test", "date"].reset_index(drop=True)
    tables = (forecasts.baselines, density, clues, risk)
    for name, table in zip((*TABLES, RISK_TABLE), tables, strict=True):
        write_csv(folder / f"{name}.csv", pd.concat([dates, table], axis=1), index=False)


def has_tables(folder: Path) -> bool:
    """Return whether the test days of a finished run were assessed, so that its tables are there.

    A run of a multirun has none, unless it was chosen.
    """
    return all((folder / f"{name}.csv").exists() for name in TABLES)


def read_forecasts(folder: Path, kind: str) -> Forecasts:
    """Return the forecasts of a finished run, whose `target.kind` is `kind`.

    Raises:
        ConfigError: Naming the file that is missing, or is no table of such a run.
    """
    predictions = read_predictions(folder, kind)
    test = predictions["date"][predictions["segment"] == "test"].reset_index(drop=True)
    with _table(folder / "baselines.csv", kind, days=test) as baselines:
        _require_whole(baselines[["zero", "expanding mean", *baselines]])
    with _table(folder / "density.csv", kind, days=test) as losses:
        known = losses.filter(regex="^(pinball|crps) ")
        if known.empty:
            raise ValueError("it holds no loss")
        density = known.set_axis(known.columns.str.split(n=1, expand=True), axis=1)
    with _table(folder / "price_clues.csv", kind, days=test) as clues:
        _require_whole(clues)
        names = [single_line(name).split(" ", 1) for name in clues]
        if any(len(name) == 1 or name[0] not in ROLES for name in names):
            raise ValueError(f"its columns are not named {', '.join(ROLES)} and a series")
        clues.columns = pd.MultiIndex.from_arrays(list(zip(*names, strict=True)) or [[], []])
    risk = _read_risk(folder, kind, test)
    return Forecasts(predictions, baselines, density, risk, clues)


def _read_risk(folder: Path, kind: str, days: pd.Series) -> pd.DataFrame:
    """Return the risk figures of the test days; none if the run is of an earlier version."""
    path = folder / f"{RISK_TABLE}.csv"
    if not path.exists():
        return pd.DataFrame(index=days.index)
    with _table(path, kind, days=days) as risk:
        pairs = [tuple(single_line(name).split(" ", 1)) for name in risk]
        names = list(dict.fromkeys(pair[-1] for pair in pairs))
        if not pairs or pairs != [(measure, name) for name in names for measure in RISK_MEASURES]:
            raise ValueError(f"its columns are not {', '.join(RISK_MEASURES)}, by forecaster")
        return risk.set_axis(pd.MultiIndex.from_tuples(pairs), axis=1)


def read_predictions(folder: Path, kind: str) -> pd.DataFrame:
    """Return the predictions of a finished run.

    Raises:
        ConfigError: If the file is missing, or is no table of such a run.
    """
    with _table(folder / "predictions.csv", kind) as table:
        profit = [name for name in ("profit",) if name in table]
        _require_whole(table[["actual", "forecast", *profit]])
        place = table["segment"].map({name: number for number, name in enumerate(SEGMENTS)})
        if not place.is_monotonic_increasing or place.nunique() != len(SEGMENTS):
            raise ValueError("its segments are not train, val and test")
        return table[["date", "segment", "actual", "forecast", *BOUNDS, "is_roll", *profit]]


@contextmanager
def _table(path: Path, kind: str, *, days: pd.Series | None = None) -> Iterator[pd.DataFrame]:
    """Read a table; with `days`, check and drop its dates. Errors within name the file."""
    content = read_bytes(path, largest=LARGEST_TABLE)
    try:
        table = _parse(content, largest=LARGEST[kind])
        if days is not None and not table.pop("date").equals(days):
            raise ValueError("its days are not the test days of its run")
        yield table
    except (ValueError, KeyError) as error:
        reason = short_reason(error)
        raise ConfigError(f"{path}: is no table of a finished run: {reason}") from None


def _parse(content: bytes, *, largest: float) -> pd.DataFrame:
    """Parse a CSV of dates, segments and numbers; raise `ValueError` for anything else."""
    if content.partition(b"\n")[0].count(b",") >= MOST_COLUMNS:
        raise ValueError(f"it has more than {MOST_COLUMNS} columns")
    own = {"date": str, "segment": str, "is_roll": bool}
    table = pd.read_csv(BytesIO(content), dtype=defaultdict(lambda: np.float64, own))
    table["date"] = pd.to_datetime(table["date"], format="%Y-%m-%d")
    if not (table["date"].diff()[1:] > pd.Timedelta(0)).all():
        raise ValueError("its days do not follow each other")
    if (table.select_dtypes(np.float64).abs() > largest).any(axis=None):
        raise ValueError(f"a number lies beyond {largest:g}")
    return table


def _require_whole(numbers: pd.DataFrame) -> None:
    if numbers.isna().any(axis=None):
        raise ValueError("a value is missing")
