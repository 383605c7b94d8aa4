"""Count the folds of a walk-forward, for ``split.fold=all``."""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ironore_lightning.errors import ConfigError
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.experiment import Config
from ironore_lightning.settings.samples import WalkForwardSplit

KEY = "split.fold"
ALL = f"{KEY}=all"


def with_all_folds(
    overrides: Sequence[str], config: DictConfig, hydra_context: HydraContext | None
) -> list[str]:
    """Replace `split.fold=all` by the range of all folds of the data.

    Other swept settings are left at their defaults while the folds are counted.

    Raises:
        ConfigError: If a setting is wrong or the split has no folds.
        DataError: If the data are wrong.
    """
    wanted = [override for override in overrides if override.partition("=")[0] == KEY]
    if not wanted or wanted[-1] != ALL:
        return list(overrides)
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    single = [override.input_line for override in parsed if not override.is_sweep_override()]
    others = [line for line in single if line is not None and line.partition("=")[0] != KEY]
    assert hydra_context is not None
    composed = hydra_context.config_loader.load_sweep_config(config, others)
    with open_dict(composed):
        del composed["hydra"]
    total = count_folds(to_config(composed))
    return [f"{KEY}=range(0,{total})" if line == ALL else line for line in overrides]


def count_folds(config: Config) -> int:
    """Count the folds of a walk-forward.

    Raises:
        ConfigError: If the split is not a walk-forward, or has no fold.
    """
    from ironore_lightning.data.features import build_table
    from ironore_lightning.data.market_cache import build_market
    from ironore_lightning.data.splits import count_walk_forward_folds

    if not isinstance(config.split, WalkForwardSplit):
        raise ConfigError(f"{ALL} needs split=walk_forward")
    panel = build_market(config.data, config.target).panel
    _, target = build_table(panel, config.features.names, config.target)
    dated = int(target["date"].notna().sum())
    total = count_walk_forward_folds(
        dated - config.window.sequence_length + 1,
        initial=config.split.initial,
        step=config.split.step,
        purged=config.target.horizon - 1,
    )
    if total == 0:
        raise ConfigError(
            f"{ALL}: {dated} rows with a target have no fold after the first {config.split.initial}"
            " samples; lower split.initial"
        )
    return total
