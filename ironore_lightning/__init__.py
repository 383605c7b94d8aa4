"""Honest forecasts of the next-day return of iron ore futures."""

import os
import sys

from ironore_lightning.process.interrupts import exit_on_interrupt

if sys.argv[:1] == ["-m"]:  # while Python is still locating the module to run
    exit_on_interrupt()

LAUNCHED = "IRONORE_LAUNCHED"
"""Variable set in the worker processes of a run; see `model.distributed`."""

FOREIGN = (
    # Ranks and addresses, which srun, mpirun or torchrun leave in a shell. They would make
    # lightning take the main process for a worker, which writes no results.
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"),
    *("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "STANDALONE_PORT"),
    # Would change where Hydra looks for conf/.
    "HYDRA_MAIN_MODULE",
)
FOREIGN_PREFIXES = ("PL_", "TORCHELASTIC_")  # PL_TRAINER_* would override the settings


def _forget_foreign_settings() -> None:
    """Remove environment variables that would override the settings of a run.

    This precedes every import of lightning, which reads some of them at once.
    """
    if os.environ.pop(LAUNCHED, None) is not None:
        return  # a worker: its run has set these variables
    for name in list(os.environ):
        if name in FOREIGN or name.startswith(FOREIGN_PREFIXES):
            del os.environ[name]


_forget_foreign_settings()
# Figures go to files. If MPLBACKEND names a missing backend, matplotlib cannot be imported, and
# torchmetrics imports it. A notebook's backend, "module://...", is kept.
if not os.environ.get("MPLBACKEND", "module://").startswith("module://"):
    os.environ["MPLBACKEND"] = "agg"
