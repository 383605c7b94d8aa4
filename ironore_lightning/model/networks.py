"""The table of networks: which one belongs to which settings.

To add one of your own: its settings are a class in `settings/networks.py`, in the union there; its
network is a class in a module of its own in this folder, and a line below.
"""

from torch import nn

from ironore_lightning.model.bilstm import BiLSTM
from ironore_lightning.model.nlinear import NLinear
from ironore_lightning.model.shape import Shape
from ironore_lightning.settings.networks import BiLSTMSettings, NetworkSettings, NLinearSettings

NETWORKS = {BiLSTMSettings: BiLSTM, NLinearSettings: NLinear}
"""Plain torch modules: ``network(shape, settings)`` maps (B, L, F) to (B, P)."""


def build_network(shape: Shape, settings: NetworkSettings) -> nn.Module:
    """Build the network that the settings name; its weights come from torch's global generator."""
    network: nn.Module = NETWORKS[type(settings)](shape, settings)
    return network
