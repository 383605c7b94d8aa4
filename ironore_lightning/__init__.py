"""Honest forecasts of the next-day return of iron ore futures."""

import os
import sys

from ironore_lightning.process.interrupts import exit_on_interrupt

if sys.argv[:1] == ["-m"]:  # as long as Python looks for the module that it is to run
    exit_on_interrupt()

LAUNCHED = "IRONORE_LAUNCHED"
"""Variable that marks the processes that a run starts to train with it; see `model.distributed`."""

FOREIGN = (
    # Ranks and addresses, which srun, mpirun or torchrun leave in a shell. With one of them
    # lightning takes the only process of a run for a helper, which writes no results.
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"),
    *("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "STANDALONE_PORT"),
    # Where Hydra would look for conf/.
    "HYDRA_MAIN_MODULE",
)
FOREIGN_PREFIXES = ("PL_", "TORCHELASTIC_")  # PL_TRAINER_*: settings that no run knows of


def _forget_foreign_settings() -> None:
    """Take out of the environment what would change a run behind the back of its settings.

    This is done before anything imports lightning, which reads some of it at once.
    """
    if os.environ.pop(LAUNCHED, None) is not None:
        return  # what this process finds, its run has set
    for name in list(os.environ):
        if name in FOREIGN or name.startswith(FOREIGN_PREFIXES):
            del os.environ[name]


_forget_foreign_settings()
# Figures go to files. Where the variable names a backend that is not there, matplotlib cannot even
# be imported, which torchmetrics does; that of a notebook, "module://...", is left alone.
if not os.environ.get("MPLBACKEND", "module://").startswith("module://"):
    os.environ["MPLBACKEND"] = "agg"
