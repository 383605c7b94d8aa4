"""The losses of each epoch, in `losses.csv`, whichever logger draws them."""

import logging
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from ironore_lightning.errors import ConfigError
from ironore_lightning.files import read_bytes, short_reason, write_text
from ironore_lightning.run_folder.layout import LOSSES_FILE

log = logging.getLogger(__name__)

COLUMNS = ("epoch", "train_loss", "val_loss", "learning_rate")
LARGEST_LOSSES = 2**24
"""Most bytes of the file."""


class LossFile(Callback):
    """Writes `losses.csv` after each epoch.

    Args:
        folder: Of the run.
        last: State in the last checkpoint, whose later epochs will be repeated; empty for a new
            run.
    """

    def __init__(self, folder: Path, last: Mapping[str, Any]) -> None:
        """Start with the losses up to the checkpoint."""
        self.folder = folder
        known = read_losses(folder).iloc[: last["epoch"] + 1] if last else pd.DataFrame()
        self.rows = [tuple(row) for row in known.itertuples()]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the losses of the epoch, and the learning rate it ends with."""
        train_loss, val_loss = (
            float(trainer.callback_metrics[name]) for name in ("train/loss", "val/loss")
        )
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append((trainer.current_epoch + 1, train_loss, val_loss, rate))
        if trainer.is_global_zero:
            lines = [COLUMNS, *self.rows]
            text = "".join(",".join(map(str, line)) + "\n" for line in lines)
            write_text(self.folder / LOSSES_FILE, text)


def read_losses(folder: Path) -> pd.DataFrame:
    """Read the losses of a run, whose folder may be untrusted.

    Returns:
        `train_loss`, `val_loss` and `learning_rate` by `epoch`, from 1; empty if the folder has no
        such file, as that of an older version, or one that cannot be read.
    """
    path = folder / LOSSES_FILE
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS[1:]))
    try:
        losses = pd.read_csv(BytesIO(read_bytes(path, largest=LARGEST_LOSSES)), dtype=np.float64)
        if tuple(losses) != COLUMNS or not np.isfinite(losses.to_numpy()).all():
            raise ValueError(f"holds something else than numbers of {', '.join(COLUMNS)}")
        return losses.astype({"epoch": int}).set_index("epoch")
    except (ConfigError, ValueError) as error:
        log.warning("%s: is no table of losses: %s", path, short_reason(error))
        return pd.DataFrame(columns=list(COLUMNS[1:]))
