"""Read and check all raw files, before they are joined."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ironore_lightning.data.contract_tables import read_contracts
from ironore_lightning.data.raw_files import read_source, read_table
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.reading.raw_bytes import quoted, read_bytes, source_path
from ironore_lightning.sample_market.filler_drivers import write_neutral_drivers
from ironore_lightning.sample_market.simulation import simulate_market, write_market
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.files import FileSettings
from ironore_lightning.trading_calendar.holidays import (
    Holidays,
    exchange_holidays,
    read_holidays,
)

LONGEST_GAP_DAYS = {"daily": 45, "weekly": 45, "monthly": 110, "quarterly": 220}
"""Most days between two dates of a file, and from the last value of a column to the newest of all
files, by frequency: a month, or two months or quarters, and their publication. Contracts and tables
are daily here."""

LONGEST_LEAD_DAYS = 31
"""Most days that the last date of a file may lie after those of all others."""


@dataclass(frozen=True)
class OldHole:
    """A hole that is no mistake as long as no row needs what lies in it.

    Attributes:
        end: First day after it.
        message: What is missing.
    """

    end: pd.Timestamp
    message: str


@dataclass(frozen=True)
class RawData:
    """Checked raw data.

    Attributes:
        contracts: Futures curves by leg, each (T, C) with monthly Period columns.
        activity: Volume or open interest of the legs that are rolled by it, shaped as the curve.
        roll_days: Contracts by date, of the legs with a roll file.
        remarks: What is wrong before the panel's start and left out, a line each.
        sources: Drivers by source, each (T, columns), dated as in the file.
        digests: SHA-256 of each file that was read, by file name.
        holidays: Known days without trading, past and future.
        unusable: Why a column of a prepared table cannot be used, by header.
        old_holes: Holes that end before the first row of the panel.
        held: The contract of each row of a prepared table, see `PreparedTable`.
    """

    contracts: Mapping[str, pd.DataFrame]
    sources: Mapping[str, pd.DataFrame]
    digests: Mapping[str, str]
    holidays: Holidays = field(default_factory=Holidays)
    unusable: Mapping[str, str] = field(default_factory=dict)
    old_holes: Sequence[OldHole] = ()
    held: pd.Series | None = None
    activity: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    roll_days: Mapping[str, pd.Series] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def until(self, day: pd.Timestamp) -> "RawData":
        """Return what the files would have held at the end of a day, had nothing been restated."""
        contracts, sources, activity = (
            {name: frame.loc[:day] for name, frame in frames.items()}
            for frames in (self.contracts, self.sources, self.activity)
        )
        held = None if self.held is None else self.held.loc[:day]
        return replace(self, contracts=contracts, sources=sources, activity=activity, held=held)


def read_raw(settings: DataSettings) -> RawData:
    """Read all configured files; a sample market is simulated first.

    Raises:
        DataError: If a file is missing or wrong, has a gap, or ends long before or after the
            others.
        ConfigError: If the sample market would be written into a folder that is not empty or
            cannot be made.
    """
    if settings.sample is None:
        return _read_folder(settings, Path(settings.root or "."))
    with tempfile.TemporaryDirectory(prefix="ironore_sample_") as folder:
        write_market(simulate_market(settings.sample), Path(folder))
        sources = settings.sources.values()
        write_neutral_drivers(Path(folder), sources, seed=settings.sample.seed)
        if settings.root is not None:
            _copy_sample(Path(folder), Path(settings.root))
        return _read_folder(settings, Path(folder))


def _copy_sample(folder: Path, root: Path) -> None:
    """Copy the files of `folder` to a new `root`; do nothing if it has the same files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if root.is_dir() and all(_is_copy(root / file.relative_to(folder), file) for file in files):
        return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ConfigError(
            f"data.root: {root} exists and is not empty, and the sample market is written only "
            "into a new folder; to read files that are there, choose data=original"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = str(error.strerror).lower()
        raise ConfigError(f"data.root: {root} cannot be made: {reason}") from None
    shutil.copytree(folder, root, dirs_exist_ok=True)


def _is_copy(path: Path, original: Path) -> bool:
    return path.is_file() and path.read_bytes() == original.read_bytes()


def _read_folder(settings: DataSettings, root: Path) -> RawData:
    files: list[FileSettings] = [*settings.sources.values()]
    unusable: dict[str, str] = {}
    held = None
    if settings.table is not None:
        files = [settings.table]
        table, unusable, held = read_table(settings.table, root)
        sources = {"table": table}
    else:
        sources = {
            name: read_source(name, source, root) for name, source in settings.sources.items()
        }
    curves = {
        name: read_contracts(name, leg, root, start=settings.panel.start)
        for name, leg in settings.contracts.items()
    }
    contracts = {name: curve.prices for name, curve in curves.items()}
    paths = {
        str(path.relative_to(root)): path
        for leg in settings.contracts.values()
        for path in leg.paths(root)
    }
    paths |= {file.file: source_path(file, root) for file in files}
    others = [settings.holidays, *(leg.futures.roll_file for leg in settings.contracts.values())]
    paths |= {file: root / file for file in others if file is not None}
    digests = {file: hashlib.sha256(read_bytes(path)).hexdigest() for file, path in paths.items()}
    _require_no_stray_dates({**contracts, **sources}, settings)
    old_holes = _old_holes({**contracts, **sources}, settings)
    late = _late_columns({**contracts, **sources}, settings)
    if late and settings.table is None:
        raise DataError(next(iter(late.values())))
    unusable |= late  # of a table, whose other columns may be usable
    sources = {name: frame.drop(columns=list(late)) for name, frame in sources.items()}
    if not contracts and all(frame.empty for frame in sources.values()):
        raise DataError(next(iter(unusable.values())))
    return RawData(
        contracts,
        sources,
        digests,
        _holidays(settings, root),
        unusable,
        old_holes,
        held,
        activity={name: own.activity for name, own in curves.items() if own.activity is not None},
        roll_days={
            name: own.roll_days for name, own in curves.items() if own.roll_days is not None
        },
        remarks=[remark for own in curves.values() for remark in own.remarks],
    )


def _holidays(settings: DataSettings, root: Path) -> Holidays:
    if settings.exchange is not None:
        return exchange_holidays(settings.exchange)
    return Holidays() if settings.holidays is None else read_holidays(root / settings.holidays)


def _require_no_stray_dates(frames: Mapping[str, pd.DataFrame], settings: DataSettings) -> None:
    """Raise if the last date of one file is far beyond those of all others."""
    if len(frames) == 1:
        return
    *_, second, newest = sorted(frames, key=lambda name: frames[name].index[-1])
    day, before = frames[newest].index[-1], frames[second].index[-1]
    # A file of quarters ends a quarter before the others.
    longest = max(LONGEST_LEAD_DAYS, *(_longest_gap(name, settings) // 2 for name in frames))
    if (day - before).days > longest:
        raise DataError(
            f"{settings.file_of(newest)}: the last date of {newest}, {day.date()}, lies "
            f"{(day - before).days} days after that of every other file ({before.date()}, "
            f"{settings.file_of(second)}); correct the date or the date_format, or refresh all"
        )


def _old_holes(frames: Mapping[str, pd.DataFrame], settings: DataSettings) -> list[OldHole]:
    """Return the holes of each file before the first row of the panel.

    A curve may be blank before its first contract is listed. The panel checks the days of a
    prepared table.

    Raises:
        DataError: If a file has no value for long after that row.
    """
    start = settings.panel.start
    holes = []
    for name in (*settings.contracts, *settings.sources):
        frame, longest = frames[name], _longest_gap(name, settings)
        is_curve = name in settings.contracts
        dates = pd.DatetimeIndex(frame.index if is_curve else frame.dropna(how="all").index)
        gaps = np.diff(dates.to_numpy()) // np.timedelta64(1, "D")
        for begin, end, gap in zip(dates[:-1], dates[1:], gaps, strict=True):
            if gap <= longest:
                continue
            message = (
                f"{settings.file_of(name)}: {name} has no value between {begin.date()} and "
                f"{end.date()} ({gap} days, {longest} are allowed)"
            )
            if start is None or end > pd.Timestamp(start):
                raise DataError(
                    f"{message}; rows are missing, or a date is wrong: complete the file, or begin "
                    f"later with data.panel.start={end.date()}"
                )
            holes.append(OldHole(end, message))
    return holes


def _longest_gap(name: str, settings: DataSettings) -> int:
    """Return the days that a file may have no value."""
    source = settings.sources.get(name)
    return LONGEST_GAP_DAYS["daily" if source is None else source.frequency]


def _late_columns(frames: Mapping[str, pd.DataFrame], settings: DataSettings) -> dict[str, str]:
    """Return a message for each column that ends long before the newest value of all files."""
    newest = max(frame.index[-1] for frame in frames.values())
    return {
        column: f"{settings.file_of(name)}: the last value of {quoted(column)} is of {end.date()}, "
        f"{(newest - end).days} days before the newest of all files ({newest.date()}); refresh it "
        "or leave it out"
        for name, frame in frames.items()
        for column, end in _last_values(name, frame).items()
        if (newest - end).days > _longest_gap(name, settings)
    }


def _last_values(name: str, frame: pd.DataFrame) -> dict[str, pd.Timestamp]:
    """Return the last date with a value by column; for a curve, of all its contracts."""
    if isinstance(frame.columns, pd.PeriodIndex):
        return {name: frame.dropna(how="all").index[-1]}
    return {str(column): frame[column].dropna().index[-1] for column in frame}
