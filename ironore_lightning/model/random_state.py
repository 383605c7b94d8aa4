"""Keep the random numbers of a fit in its checkpoint, so that a run can go on exactly."""

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor


class RandomState(Callback):
    """Save the generator that dropout draws on, and put it back where a fit goes on."""

    def __init__(self) -> None:
        """Know no state and no device yet."""
        self.device = torch.device("cpu")
        self.state: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the device of the fit."""
        self.device = trainer.strategy.root_device

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the state back; what was drawn while setting up is forgotten."""
        if self.state is None:
            return
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self.state, self.device)
        else:
            torch.set_rng_state(self.state)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of now."""
        on_card = self.device.type == "cuda"
        state = torch.cuda.get_rng_state(self.device) if on_card else torch.get_rng_state()
        return {"state": state}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Take the state of a checkpoint; generators want it on the CPU."""
        self.state = state_dict["state"].cpu()
