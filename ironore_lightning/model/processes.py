"""Several processes that train one network: how each of them ends."""

import signal

import torch
from lightning import Callback, LightningModule, Trainer


class OneOfSeveral(Callback):
    """Let SIGTERM end a process at once, and the others with the first one.

    Lightning's own handler tells the others in a collective operation, which they meet while they
    are in another one: all would wait for ever.
    """

    def __init__(self) -> None:
        """Keep the handler that there is before a fit."""
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take lightning's handler away."""
        signal.signal(signal.SIGTERM, self.handler)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take lightning's handler away."""
        signal.signal(signal.SIGTERM, self.handler)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End the processes that this one has started; they would wait for it."""
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(signal.SIGKILL)


def has_lost_another(error: BaseException) -> bool:
    """Return whether an error says that another process has gone; gloo has none of its own."""
    is_gloo = isinstance(error, RuntimeError) and "/gloo/" in str(error)
    return is_gloo or isinstance(error, torch.distributed.DistError)
