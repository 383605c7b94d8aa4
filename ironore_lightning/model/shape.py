"""What a network reads and says: its dimensions."""

from typing import NamedTuple


class Shape(NamedTuple):
    """What a network reads and says.

    Attributes:
        num_features: Columns of a window (F).
        sequence_length: Rows of a window (L).
        num_outputs: Numbers to say (P).
    """

    num_features: int
    sequence_length: int
    num_outputs: int
