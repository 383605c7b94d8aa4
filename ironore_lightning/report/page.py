"""One page that holds everything a search has to say, and needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Page:
    """What stands on the page."""

    title: str
    verdict_lines: tuple[str, ...]
    counts: str
    table: pd.DataFrame
    chosen_table: pd.DataFrame
    discount: Sequence[tuple[str, str]]
    advice: Sequence[str]
    figures: Mapping[str, Figure]
    captions: Mapping[str, str]
    notes: Sequence[str]


def render_page(page: Page) -> str:
    """Return the page as HTML."""
    raise NotImplementedError
