"""Random walks for drivers of the settings that the simulation lacks.

They are independent of the prices and of each other, so the market stays unpredictable. Settings
with additional drivers therefore also run on the sample market.
"""

import csv
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.sample_market.simulation import FIRST_DAY_GROUP, LAST_DAY
from ironore_lightning.settings.data import SourceSettings

FREQUENCIES = {"daily": "B", "weekly": "W-SUN", "monthly": "MS", "quarterly": "QS"}


def write_neutral_drivers(folder: Path, sources: Iterable[SourceSettings], *, seed: int) -> None:
    """Add the missing columns and files to the market in `folder`."""
    for source in sources:
        path = folder / source.file
        if not path.resolve().is_relative_to(folder.resolve()):
            continue  # a real file, which lies elsewhere
        if path.exists():
            _add_columns(path, source, seed)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_file(path, source, seed)


def _add_columns(path: Path, source: SourceSettings, seed: int) -> None:
    """Add the missing columns to a CSV, with a value in every dated line."""
    header, *rows = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    known = {cell.strip() for cell in header}
    missing = [name for name in source.headers.values() if name not in known]
    for name in missing:
        header.append(name)
        for row, cell in zip(rows, _cells(name, len(rows), seed), strict=True):
            row.append(cell if row[0] else "")
    if missing:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows([header, *rows])
        path.write_bytes(text.getvalue().encode("utf-8-sig"))


def _write_file(path: Path, source: SourceSettings, seed: int) -> None:
    days = pd.date_range(FIRST_DAY_GROUP, LAST_DAY, freq=FREQUENCIES[source.frequency])
    dates = days.strftime(source.date_format) if source.date_format else days
    table = pd.DataFrame({source.date_column: dates})
    for name in source.headers.values():
        table[name] = np.array(_cells(name, len(days), seed), dtype=np.float64)
    try:
        if source.format == "parquet":
            table.to_parquet(path, index=False)
        elif source.format == "excel":
            table.to_excel(path, index=False)
        else:
            table.to_csv(path, sep=source.delimiter or ",", index=False)
    except ImportError:
        path.write_bytes(b"-")  # its reader reports the missing extra


def _cells(name: str, num_rows: int, seed: int) -> list[str]:
    """Return a random walk from 100 by steps of 1 %, which depends on name and seed alone."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    levels = 100 * np.exp(0.01 * np.cumsum(rng.standard_normal(num_rows)))
    return [f"{level:.2f}" for level in levels]
