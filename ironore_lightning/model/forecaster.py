"""The LightningModule: training step, optimizer, scores of an epoch."""

import math
from typing import Any, cast

from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ironore_lightning.data.windows import Batch
from ironore_lightning.errors import TrainingError
from ironore_lightning.model.epoch_metrics import epoch_metrics
from ironore_lightning.model.heads import NUM_OUTPUTS, Head
from ironore_lightning.model.losses import MeanLoss
from ironore_lightning.model.networks import build_network
from ironore_lightning.model.optimizers import build_optimizer, build_schedule
from ironore_lightning.model.shape import Shape
from ironore_lightning.settings.networks import NetworkSettings
from ironore_lightning.settings.training import TrainingSettings


class Forecaster(LightningModule):
    """Fit a network to returns in per cent.

    Args:
        num_features: Columns of a window (F).
        sequence_length: Rows of a window (L).
        model: The fields of its settings; plain numbers, so that a checkpoint holds no code.
        training: The fields of `TrainingSettings`, plain as well.
        monitor: Score that the learning rate's schedule watches.
    """

    def __init__(
        self,
        *,
        num_features: int,
        sequence_length: int,
        model: dict[str, Any],
        training: dict[str, Any],
        monitor: str,
    ) -> None:
        """Build the network; its weights come from torch's global generator."""
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.automatic_optimization = False  # one call makes several steps
        self.training_settings = TrainingSettings.model_validate(training)
        self.monitor = monitor
        settings = TypeAdapter[NetworkSettings](NetworkSettings).validate_python(model)
        self.head = Head(settings.head, self.training_settings.loss)
        shape = Shape(num_features, sequence_length, NUM_OUTPUTS[settings.head])
        self.network = build_network(shape, settings)
        self.val_metrics = epoch_metrics(prefix="val/")
        self.train_loss, self.val_loss = MeanLoss(), MeanLoss()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map scaled features (B, L, F) to the head's parameters (B, P), per cent."""
        raw: Tensor = self.network(inputs)
        return self.head.parameters(raw.float())  # mixed precision ends with the network

    def training_step(self, chunk: Batch) -> None:
        """Make one optimizer step for each batch of a chunk."""
        optimizer = cast(LightningOptimizer, self.optimizers())
        for batch in chunk.split(self.training_settings.batch_size):
            loss = self.head.mean_loss(self(batch.inputs), batch.target)
            self.train_loss.add(loss, len(batch.target))
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:  # noqa: ARG002 - lightning's
        """Clip the gradients, already unscaled at any precision."""
        clip_grad_norm_(self.parameters(), self.training_settings.gradient_clip_norm)

    def on_validation_epoch_start(self) -> None:
        """Log the training loss; raise before the checkpoint if it is NaN or infinite."""
        if self.train_loss.num_samples:  # none when validating without a fit
            # The axis of all curves, and the same in all processes.
            self.log("step", float(self.current_epoch + 1), sync_dist=True)
            _log_mean(self, "train/loss", self.train_loss)
            if self.training_settings.schedule != "none":
                learning_rate = self.trainer.optimizers[0].param_groups[0]["lr"]
                self.log("train/learning_rate", learning_rate, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Step the learning-rate schedule before the checkpoint is written."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(self.trainer.callback_metrics[self.monitor])
        elif isinstance(schedule, LRScheduler):
            schedule.step()

    def validation_step(self, batch: Batch) -> None:
        """Update the validation scores with one batch."""
        parameters = self(batch.inputs)
        self.val_loss.add(self.head.mean_loss(parameters, batch.target), len(batch.target))
        self.val_metrics.update(self.head.forecast(parameters), batch.target)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation segment."""
        _log_mean(self, "val/loss", self.val_loss)
        self.log_dict(self.val_metrics.compute(), sync_dist=True)
        self.val_metrics.reset()

    def predict_step(self, batch: Batch) -> Tensor:
        """Return the head's parameters (B, P), per cent."""
        parameters: Tensor = self(batch.inputs)
        return parameters

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and the schedule, if set."""
        settings = self.training_settings
        # A fused one would scale the gradients back by itself, after they are clipped.
        is_scaled = self._trainer is not None and self.trainer.precision == "16-mixed"
        optimizer = build_optimizer(self.parameters(), settings, fused=not is_scaled)
        schedule = build_schedule(optimizer, settings)
        return [optimizer], [] if schedule is None else [schedule]


def _log_mean(module: LightningModule, name: str, mean: MeanLoss) -> None:
    """Log a mean over the samples of all processes; raise if it is NaN or infinite."""
    reduce = module.trainer.strategy.reduce
    total, num_samples = (cast(Tensor, reduce(part, reduce_op="sum")) for part in mean.take())
    loss = total / num_samples
    _require_number(name, loss.item(), epoch=module.current_epoch + 1)
    module.log(name, loss, sync_dist=True)


def _require_number(name: str, loss: float, *, epoch: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"{name} is {loss} in epoch {epoch}; lower training.learning_rate or "
            "training.gradient_clip_norm, and look for absurd values in the data; the epochs "
            "before are kept"
        )
