"""Checkpoints: written whole, and read, whoever made them, without running what is in them."""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from ironore_lightning.errors import ConfigError
from ironore_lightning.record import write_bytes

PARTS = {
    "epoch": int,
    "global_step": int,
    "state_dict": Mapping,
    "loops": Mapping,
    "callbacks": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
    "WindowDataModule": Mapping,
}
"""What every checkpoint of a run holds."""


class WholeCheckpoints(TorchCheckpointIO):
    """Put a checkpoint in the place of the one before only when it is complete.

    Lightning's own writes to the folder for temporary files and moves from there, which between two
    file systems is a copy: a full disk or a kill would leave half a file and take the one before.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write one; there are no options."""
        assert storage_options is None
        path = Path(path)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, content.getvalue())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # noqa: ANN401 - as in lightning
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read one, and where it says that the best one lies, in a folder that may have moved.

        Lightning would forget which epoch was the best, and take the next one for that.
        """
        content = super().load_checkpoint(path, map_location, weights_only)
        home = os.path.realpath(Path(path).parent)
        for state in content["callbacks"].values():
            if isinstance(state, dict) and isinstance(state.get("dirpath"), str):
                state.update(_moved(state, state["dirpath"], home))
        return content


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read tensors and plain values; a pickle that names anything else is refused unread.

    Torch stores its archives uncompressed. One that claims to hold more than its own size would
    fill the memory, and is refused as well.

    Raises:
        ConfigError: Naming the file, if it is missing or no checkpoint of this package.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ConfigError(f"{path}: refused, it would unpack to {unpacked:,} bytes")
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # torch lets through whatever broken bytes cause
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a checkpoint: {reason}") from None
    for key, kind in PARTS.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ConfigError(f"{path}: is no checkpoint of a run, it holds no {key}")
    return content


def _moved(value: Any, old: str, new: str) -> Any:  # noqa: ANN401 - of any shape
    """Replace the folder at the beginning of every path in a callback's state."""
    if isinstance(value, dict):
        return {_moved(key, old, new): _moved(one, old, new) for key, one in value.items()}
    is_inside = isinstance(value, str) and Path(value).is_relative_to(old)
    return str(Path(new) / Path(value).relative_to(old)) if is_inside else value


def require_network(path: Path, content: Mapping[str, Any], network: torch.nn.Module) -> None:
    """Raise `ConfigError` unless the weights of a checkpoint are those of such a network."""
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {
        str(name): tuple(value.shape) if isinstance(value, Tensor) else None
        for name, value in content["state_dict"].items()
    }
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise ConfigError(
                f"{path}: holds another network: {name} has the shape {found.get(name)}, "
                f"expected {wanted.get(name)}"
            )
