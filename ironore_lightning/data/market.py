"""Raw data and the panel made of them, built once in a process however many runs it makes."""

from dataclasses import dataclass
from functools import lru_cache

from ironore_lightning.data.panel import Panel, build_panel
from ironore_lightning.data.raw import RawData, read_raw
from ironore_lightning.settings.data import DataSettings, FuturesSettings, PanelSettings
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


def build_market(
    data: DataSettings, futures: FuturesSettings, panel: PanelSettings, target: TargetSettings
) -> Market:
    """Read and join the raw files, or return what this process made of the same settings before.

    Files that change while a process makes its runs are not read again: its runs stay comparable.

    Raises:
        DataError: If a raw file or the table made of it is wrong.
        ConfigError: If the settings do not fit the data.
    """
    others = (one.model_dump_json() for one in (futures, panel, target))
    return _build(data.model_dump_json(), *others)


@lru_cache(maxsize=1)
def _read(data: str) -> RawData:
    return read_raw(DataSettings.model_validate_json(data))


@lru_cache(maxsize=1)
def _build(data: str, futures: str, panel: str, target: str) -> Market:
    raw = _read(data)
    return Market(
        raw,
        build_panel(
            raw,
            DataSettings.model_validate_json(data),
            futures=FuturesSettings.model_validate_json(futures),
            panel=PanelSettings.model_validate_json(panel),
            target=TargetSettings.model_validate_json(target),
        ),
    )
