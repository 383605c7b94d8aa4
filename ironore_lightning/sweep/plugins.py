"""Register the sweepers and the launcher with Hydra."""

import sys
from types import ModuleType

from hydra.core.plugins import Plugins

from ironore_lightning.sweep.grid_sweeper import GridSweeper
from ironore_lightning.sweep.launcher import LocalLauncher
from ironore_lightning.sweep.optuna_sweeper import OptunaSweeper

NAMESPACE = "hydra_plugins"
MODULE = "ironore_lightning"


def register() -> None:
    """Register what `conf/hydra` names as ours; once, before `hydra.main` runs.

    Hydra accepts plugins only from a package called `hydra_plugins`, so one is created.
    """
    plugins = Plugins.instance()
    namespace = sys.modules.setdefault(NAMESPACE, ModuleType(NAMESPACE))
    module = ModuleType(f"{NAMESPACE}.{MODULE}")
    setattr(namespace, MODULE, module)
    sys.modules[module.__name__] = module
    for plugin in (GridSweeper, OptunaSweeper, LocalLauncher):
        setattr(module, plugin.__name__, plugin)
        plugins.register(plugin)
