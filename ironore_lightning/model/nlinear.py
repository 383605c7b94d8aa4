"""NLinear: a linear layer on the window."""

from torch import Tensor, nn

from ironore_lightning.model.shape import Shape
from ironore_lightning.settings.networks import NLinearSettings


class NLinear(nn.Module):
    """Subtract the last row of the window from all rows, and apply a linear layer.

    The differences do not depend on the level of a feature, which may have drifted since training.
    The original adds the level back to its forecast of a level; a return has none.

    Args:
        shape: Input and output sizes.
        settings: Dropout.

    References:
        Zeng, Chen, Zhang & Xu (2023), "Are Transformers Effective for Time Series Forecasting?",
        AAAI 37(9), section "NLinear".
    """

    def __init__(self, shape: Shape, settings: NLinearSettings) -> None:
        """Build the layer; it starts near the forecast of zero."""
        super().__init__()
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear((shape.sequence_length - 1) * shape.num_features, shape.num_outputs)
        nn.init.xavier_uniform_(self.output.weight, gain=0.1)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map scaled features (B, L, F) to raw outputs (B, P)."""
        differences = inputs[:, :-1] - inputs[:, -1:]
        outputs: Tensor = self.output(self.dropout(differences.flatten(1)))
        return outputs
