"""Raw data and their panel, cached for all runs of a process."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.samples import TargetSettings


@dataclass(frozen=True)
class Market:
    """What the files hold.

    Attributes:
        raw: As read.
        panel: A row a trading day; shared by all runs of a process, so nobody may write into it.
    """

    raw: RawData
    panel: Panel


@dataclass(frozen=True)
class _Wanted:
    """Settings with the text that tells two of them apart."""

    key: str
    data: DataSettings = field(compare=False)
    target: TargetSettings = field(compare=False)


def build_market(data: DataSettings, target: TargetSettings) -> Market:
    """Read and join the raw files, or return what this process made of the same settings before.

    Files that change while a process makes its runs are not read again: its runs stay comparable.

    Raises:
        DataError: If a raw file or the table made of it is wrong.
        ConfigError: If the settings do not fit the data.
    """
    return _build(_Wanted(data.model_dump_json() + target.model_dump_json(), data, target))


@lru_cache(maxsize=1)
def _read(wanted: _Wanted) -> RawData:
    return read_raw(wanted.data)


@lru_cache(maxsize=1)
def _build(wanted: _Wanted) -> Market:
    files = wanted.data.model_dump_json(exclude={"futures", "panel"})
    raw = _read(replace(wanted, key=files))
    return Market(raw, build_panel(raw, wanted.data, wanted.target))
