"""The fit of a run in plain PyTorch: what a hand-written loop takes, and what it must come to."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.windows import WindowDataset
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.model.training import build_forecaster
from ironore_lightning.settings.experiment import Config


@dataclass(frozen=True)
class BareFit:
    """What a hand-written loop ends with.

    Attributes:
        num_epochs: Epochs run.
        losses: Validation loss of each.
        weights: Of the best epoch.
    """

    num_epochs: int
    losses: list[float]
    weights: dict[str, Tensor]


class Patience:
    """Early stopping by hand."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.losses: list[float] = []
        self.best = math.inf
        self.weights: dict[str, Tensor] = {}
        self.since_best = 0

    def is_over(self, loss: float, network: nn.Module) -> bool:
        """Take the validation loss of an epoch, and keep the weights of the best one."""
        self.losses.append(loss)
        self.since_best += 1
        if loss < self.best:
            self.best, self.since_best = loss, 0
            self.weights = copy.deepcopy(network.state_dict())
        return self.since_best >= self.epochs


def fit_bare(datamodule: WindowDataModule, config: Config) -> BareFit:
    """Fit a network as a run does, to the same numbers, with as little as possible around it."""
    torch.manual_seed(config.seed)
    forecaster = build_forecaster(datamodule.features.shape[1], config.fit_settings)
    optimizer = Adam(forecaster.network.parameters(), lr=config.training.learning_rate)
    training, validation = datamodule.datasets["train"], datamodule.datasets["val"]
    held_out = validation[torch.arange(len(validation))]
    patience = Patience(config.training.patience)
    for epoch in range(config.training.max_epochs):
        forecaster.network.train()
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(training), generator=generator)
        total = torch.zeros(())
        for positions in order.split(config.training.batch_size):
            inputs, target = training[positions]
            loss = step(forecaster, optimizer, inputs, target, config)
            total += loss.detach() * len(target)
        forecaster.network.eval()
        with torch.no_grad():
            loss = loss_of(forecaster, held_out.inputs, held_out.target)
        if patience.is_over(loss.item(), forecaster.network):
            break
    return BareFit(len(patience.losses), patience.losses, patience.weights)


def fit_usual(datamodule: WindowDataModule, config: Config) -> BareFit:
    """Fit a network as people write it: copied windows, DataLoaders, a loss read every step."""
    torch.manual_seed(config.seed)
    forecaster = build_forecaster(datamodule.features.shape[1], config.fit_settings)
    optimizer = Adam(forecaster.network.parameters(), lr=config.training.learning_rate)
    size = config.training.batch_size
    training = DataLoader(_copied(datamodule.datasets["train"]), batch_size=size, shuffle=True)
    validation = DataLoader(_copied(datamodule.datasets["val"]), batch_size=size)
    patience = Patience(config.training.patience)
    for _ in range(config.training.max_epochs):
        forecaster.network.train()
        total = 0.0
        for inputs, target in training:
            total += step(forecaster, optimizer, inputs, target, config).item() * len(target)
        forecaster.network.eval()
        loss = 0.0
        with torch.no_grad():
            for inputs, target in validation:
                loss += loss_of(forecaster, inputs, target).item() * len(target)
        if patience.is_over(loss / len(validation.dataset), forecaster.network):
            break
    return BareFit(len(patience.losses), patience.losses, patience.weights)


def loss_of(forecaster: Forecaster, inputs: Tensor, target: Tensor) -> Tensor:
    """Return the mean loss of a batch."""
    parameters = forecaster.head.parameters(forecaster.network(inputs))
    return forecaster.head.mean_loss(parameters, target)


def step(
    forecaster: Forecaster, optimizer: Adam, inputs: Tensor, target: Tensor, config: Config
) -> Tensor:
    """Take one step, and return its loss."""
    loss = loss_of(forecaster, inputs, target)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(forecaster.network.parameters(), config.training.gradient_clip_norm)
    optimizer.step()
    return loss


def _copied(dataset: WindowDataset) -> TensorDataset:
    return TensorDataset(*dataset[torch.arange(len(dataset))])
