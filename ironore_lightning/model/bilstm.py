"""The bidirectional LSTM, in plain torch."""

import torch
from torch import Tensor, nn

from ironore_lightning.model.shape import Shape
from ironore_lightning.settings.networks import BiLSTMSettings


class BiLSTM(nn.Module):
    """An LSTM that reads a window in both directions.

    The network reads the L rows that end at the origin forwards and backwards. Both passes see only
    rows known at the origin; the target lies outside the window. The readout takes the final state
    of each pass: at the last time step the backward pass has seen one row only.

    Weights start as follows: input weights Xavier uniform, recurrent weights orthogonal gate by
    gate, biases zero but for the forget gate's, which are 1 in sum; the output a tenth of
    Xavier uniform with bias zero, so that training starts near the forecast of zero.

    Args:
        shape: Input and output sizes; L is not used.
        settings: Sizes, dropout, directions, layer norm.

    References:
        Graves & Schmidhuber (2005), "Framewise phoneme classification with bidirectional LSTM",
        Neural Networks 18. Jozefowicz et al. (2015), "An empirical exploration of recurrent
        network architectures", for the forget gate's bias.
    """

    def __init__(self, shape: Shape, settings: BiLSTMSettings) -> None:
        """Build the layers and draw their weights."""
        super().__init__()
        self.lstm = nn.LSTM(
            input_size=shape.num_features,
            hidden_size=settings.hidden_size,
            num_layers=settings.num_layers,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
            bidirectional=settings.bidirectional,
            batch_first=True,
        )
        self.num_directions = 2 if settings.bidirectional else 1
        width = settings.hidden_size * self.num_directions
        self.norm = nn.LayerNorm(width) if settings.layer_norm else nn.Identity()
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(width, shape.num_outputs)
        self._draw_weights()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map scaled features (B, L, F) to raw outputs (B, P)."""
        _, (states, _) = self.lstm(inputs)  # (layers * directions, B, D), last layer last
        final = torch.cat(list(states[-self.num_directions :]), dim=1)  # (B, directions * D)
        outputs: Tensor = self.output(self.dropout(self.norm(final)))
        return outputs

    def _draw_weights(self) -> None:
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            elif name.startswith("weight_hh"):
                for gate in weight.data.chunk(4):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(weight)
                if name.startswith("bias_ih"):
                    _, forget, _, _ = weight.data.chunk(4)  # torch orders input, forget, cell, out
                    forget.fill_(1.0)
        nn.init.xavier_uniform_(self.output.weight, gain=0.1)
        nn.init.zeros_(self.output.bias)
