"""Start and end of the processes that train one network."""

import os
import signal

import torch
from lightning import Callback, LightningModule, Trainer

from ironore_lightning import LAUNCHED


class DistributedShutdown(Callback):
    """Mark the processes that this one starts, and let SIGTERM end it at once, and them with it.

    A process trusts the ranks in its environment only if it finds the mark there, and it stands
    there only while lightning starts processes. Lightning's own handler of SIGTERM tells the others
    in a collective operation, which they meet while they are in another one: all would wait for
    ever.
    """

    def __init__(self) -> None:
        """Set the mark, and keep the handler that there is before a fit."""
        os.environ[LAUNCHED] = "1"
        # Without the variable lightning would choose the number of threads itself.
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
        self.handler = signal.getsignal(signal.SIGTERM)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the mark: the others have been started."""
        os.environ.pop(LAUNCHED, None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the handler that lightning replaced."""
        signal.signal(signal.SIGTERM, self.handler)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the handler that lightning replaced."""
        signal.signal(signal.SIGTERM, self.handler)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End the started processes, which would wait for this one."""
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(signal.SIGKILL)


def has_lost_a_process(error: BaseException) -> bool:
    """Return whether an error means that another process has died; gloo has no own class."""
    is_gloo = isinstance(error, RuntimeError) and "/gloo/" in str(error)
    return is_gloo or isinstance(error, torch.distributed.DistError)
