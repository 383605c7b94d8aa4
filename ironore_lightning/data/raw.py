"""Everything the raw files hold, read and checked, before any two of them are joined."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ironore_lightning.config.data import DataSettings, FileSettings
from ironore_lightning.data.files import read_bytes, source_path
from ironore_lightning.data.sample import simulate_market, write_market
from ironore_lightning.data.sources import read_contracts, read_source, read_table
from ironore_lightning.errors import ConfigError, DataError

LONGEST_SILENCE_DAYS = 45
"""How long before the newest value of all files a column may end: a month, and its publication."""


@dataclass(frozen=True)
class RawData:
    """Checked raw data.

    Attributes:
        contracts: Futures curves by leg, each (T, C) with monthly Period columns.
        sources: Drivers by source, each (T, columns), dated as in the file.
        digests: SHA-256 of each file that was read, by file name.
    """

    contracts: Mapping[str, pd.DataFrame]
    sources: Mapping[str, pd.DataFrame]
    digests: Mapping[str, str]


def read_raw(settings: DataSettings) -> RawData:
    """Read all configured files, of which a sample market is simulated first.

    Raises:
        DataError: If a file is missing or wrong, or ends long before the others.
        ConfigError: If the sample market would be written into a folder that holds something.
    """
    if settings.sample is None:
        return _read_folder(settings, Path(settings.root or "."))
    with tempfile.TemporaryDirectory(prefix="ironore_sample_") as folder:
        write_market(simulate_market(settings.sample), Path(folder))
        if settings.root is not None:
            _keep(Path(folder), Path(settings.root))
        return _read_folder(settings, Path(folder))


def _keep(folder: Path, root: Path) -> None:
    """Copy the files of `folder` to `root`, unless they are there; never over anything else."""
    files = sorted(folder.iterdir())
    if root.is_dir() and all(_is_copy(root / one.name, one) for one in files):
        return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ConfigError(
            f"data.root: {root} exists and is not empty, and the sample market is written only "
            "into a new folder; to read files that are there, choose data=original"
        )
    shutil.copytree(folder, root, dirs_exist_ok=True)


def _is_copy(path: Path, original: Path) -> bool:
    return path.is_file() and path.read_bytes() == original.read_bytes()


def _read_folder(settings: DataSettings, root: Path) -> RawData:
    files: list[FileSettings] = [*settings.contracts.values(), *settings.sources.values()]
    if settings.table is not None:
        files = [settings.table]
        sources = {"table": read_table(settings.table, root)}
    else:
        sources = {name: read_source(name, one, root) for name, one in settings.sources.items()}
    contracts = {name: read_contracts(name, one, root) for name, one in settings.contracts.items()}
    digests = {
        one.file: hashlib.sha256(read_bytes(source_path(one, root))).hexdigest() for one in files
    }
    _require_fresh({**contracts, **sources})
    return RawData(contracts=contracts, sources=sources, digests=digests)


def _require_fresh(frames: Mapping[str, pd.DataFrame]) -> None:
    """Raise if a file or one of its columns ends long before the others, as one not refreshed."""
    newest = max(frame.index[-1] for frame in frames.values())
    for name, frame in frames.items():
        is_curve = isinstance(frame.columns, pd.PeriodIndex)  # its old contracts have expired
        ends = {name: frame.index[-1]} if is_curve else _last_values(frame)
        for column, end in ends.items():
            if newest - end > pd.Timedelta(days=LONGEST_SILENCE_DAYS):
                raise DataError(
                    f"{column}: its last value is of {end.date()}, {(newest - end).days} days "
                    f"before the newest of all files ({newest.date()}); refresh it or leave it out"
                )


def _last_values(frame: pd.DataFrame) -> dict[str, pd.Timestamp]:
    return {str(name): frame.index[column.notna()][-1] for name, column in frame.items()}
