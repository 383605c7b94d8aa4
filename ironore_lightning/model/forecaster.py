"""The LightningModule: loss, optimiser, scores of an epoch."""

from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from ironore_lightning.config.training import ModelSettings, TrainingSettings
from ironore_lightning.data.windows import Batch
from ironore_lightning.errors import TrainingError
from ironore_lightning.evaluation.metrics import epoch_metrics
from ironore_lightning.model.heads import NUM_OUTPUTS, Head
from ironore_lightning.model.losses import MeanLoss
from ironore_lightning.model.network import BiLSTM


class Forecaster(LightningModule):
    """Fit a BiLSTM to returns in per cent.

    Args:
        num_features: Columns of a window (F).
        model: The fields of `ModelSettings`; plain numbers, so that a checkpoint holds no code.
        training: The fields of `TrainingSettings`, likewise.
        monitor: Score that the learning rate's schedule watches.
    """

    def __init__(
        self,
        *,
        num_features: int,
        model: dict[str, Any],
        training: dict[str, Any],
        monitor: str,
    ) -> None:
        """Build the network; its weights come from torch's global generator."""
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.training_settings = TrainingSettings.model_validate(training)
        self.monitor = monitor
        settings = ModelSettings.model_validate(model)
        self.head = Head(settings.head, self.training_settings.loss)
        self.network = BiLSTM(num_features, settings, num_outputs=NUM_OUTPUTS[settings.head])
        self.val_metrics = epoch_metrics(prefix="val/")
        self.train_loss, self.val_loss = MeanLoss(), MeanLoss()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map scaled features (B, L, F) to the head's parameters (B, P), per cent."""
        raw: Tensor = self.network(inputs)
        return self.head.parameters(raw.float())  # mixed precision ends with the network

    def training_step(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        loss = self.head.mean_loss(self(batch.inputs), batch.target)
        self.train_loss.add(loss, len(batch.target))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Log the training loss; if it is no number, no checkpoint may follow."""
        if self.train_loss.num_samples:  # none when validating without a fit
            self._log_loss("train/loss", self.train_loss.take())
            learning_rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            self.log("learning_rate", learning_rate, sync_dist=True)

    def validation_step(self, batch: Batch) -> None:
        """Score a batch."""
        parameters = self(batch.inputs)
        self.val_loss.add(self.head.mean_loss(parameters, batch.target), len(batch.target))
        self.val_metrics.update(self.head.forecast(parameters), batch.target)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation segment."""
        self._log_loss("val/loss", self.val_loss.take())
        self.log_dict(self.val_metrics.compute(), sync_dist=True)
        self.val_metrics.reset()

    def predict_step(self, batch: Batch) -> Tensor:
        """Return the head's parameters (B, P), per cent."""
        parameters: Tensor = self(batch.inputs)
        return parameters

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser, and its schedule if one is set."""
        settings = self.training_settings
        # Of a fused optimiser lightning clips no gradients in mixed precision.
        is_mixed = self._trainer is not None and "mixed" in str(self.trainer.precision)
        family = {"adam": Adam, "adamw": AdamW}[settings.optimizer]
        optimizer: Optimizer = family(
            self.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=not is_mixed,  # one call a step; equal to the others but for rounding
        )
        if settings.schedule == "none":
            return optimizer
        scheduler: LRScheduler
        if settings.schedule == "cosine":
            scheduler = CosineAnnealingLR(optimizer, T_max=settings.max_epochs)
        else:
            scheduler = ReduceLROnPlateau(
                optimizer, factor=0.5, patience=max(settings.patience // 3, 1)
            )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": self.monitor},
        }

    def _log_loss(self, name: str, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise TrainingError(
                f"{name} is {loss.item()} in epoch {self.current_epoch + 1}; lower "
                "training.learning_rate or training.gradient_clip_norm, and look for absurd values "
                "in the data; the epochs before are kept"
            )
        self.log(name, loss, sync_dist=True)
