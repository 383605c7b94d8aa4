"""Raw data and their panel, cached for all runs of a process."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.settings.data import DataSettings
from ironore_lightning.settings.samples import TargetSettings


@dataclass(frozen=True)
class Market:
    """Raw data and their panel.

    Attributes:
        raw: Checked raw data.
        panel: One row per trading day; read-only, as all runs of a process share it.
    """

    raw: RawData
    panel: Panel


@dataclass(frozen=True)
class _CacheKey:
    """Settings, compared by their text."""

    text: str
    data: DataSettings = field(compare=False)
    target: TargetSettings = field(compare=False)


def build_market(data: DataSettings, target: TargetSettings) -> Market:
    """Read and join the raw files, once per process for the same settings.

    Files that change later are not read again, so all runs of a process stay comparable.

    Raises:
        DataError: If a raw file or the table made of it is wrong.
        ConfigError: If the settings do not fit the data.
    """
    return _build(_CacheKey(data.model_dump_json() + target.model_dump_json(), data, target))


@lru_cache(maxsize=1)
def _read(key: _CacheKey) -> RawData:
    return read_raw(key.data)


@lru_cache(maxsize=1)
def _build(key: _CacheKey) -> Market:
    files = f"{key.data.panel.start} {key.data.model_dump_json(exclude={'futures', 'panel'})}"
    raw = _read(replace(key, text=files))
    return Market(raw, build_panel(raw, key.data, key.target))
