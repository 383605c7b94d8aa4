"""Settings of the networks.

A network of your own takes a class here, a member of the union `NetworkSettings`, and its network
in `model/`; see `model/networks.py`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ironore_lightning.settings.base import Settings

Head = Literal["point", "gaussian", "student_t", "quantile"]
"""The output: one return, or a distribution (fitted by likelihood or pinball loss)."""


class BiLSTMSettings(Settings):
    """An LSTM that reads the window in both directions."""

    title: ClassVar[str] = "BiLSTM"
    network: Literal["bilstm"]
    """Which network; model=MEMBER chooses it."""
    hidden_size: int = Field(ge=1, le=4096)
    """Units a layer and direction (D)."""
    num_layers: int = Field(ge=1, le=8)
    """Layers on top of each other."""
    dropout: float = Field(ge=0, lt=1)
    """Share of units dropped between layers and before the output, while training."""
    bidirectional: bool
    """Whether the window is read backwards as well; both passes end at the origin or before."""
    layer_norm: bool
    """Whether the final states are normalised before the output."""
    head: Head
    """The output: one return, or a distribution of it."""


class NLinearSettings(Settings):
    """One linear layer on the window: the network to beat."""

    title: ClassVar[str] = "NLinear"
    network: Literal["nlinear"]
    """Which network; model=MEMBER chooses it."""
    dropout: float = Field(ge=0, lt=1)
    """Share of the inputs dropped while training."""
    head: Head
    """The output: one return, or a distribution of it."""


NetworkSettings = Annotated[BiLSTMSettings | NLinearSettings, Field(discriminator="network")]
"""One of the networks; `network` says which."""
