"""What a search is told: type and bound of every setting of its sweeper."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ironore_lightning.errors import ConfigError
from ironore_lightning.sweep.grid import MAX_RUNS


class SearchSettings(BaseModel):
    """How a search goes; the values stand in `conf/hydra/sweeper/optuna.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    n_trials: int = Field(ge=1)
    """Trials to reach in all, those of earlier commands in the same folder included."""
    n_jobs: int = Field(ge=1, le=MAX_RUNS)
    """Trials handed to the launcher at once."""
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "hyperband", "none"]
    seed: int = Field(ge=0)
    """Of the sampler."""
    startup_trials: int = Field(ge=0)
    """Trials drawn at random, and never pruned, before the sampler has learnt something."""
    warmup_epochs: int = Field(ge=0)
    """Epochs before a trial may be pruned by the median."""
    params: dict[str, Any]
    """Intervals, ranges and choices by setting, as Hydra writes them."""
    trial: int | None
    """Which trial a job is; None in the command that starts them."""


def read_settings(node: Mapping[str, Any]) -> SearchSettings:
    """Check the settings of a search, as they stand in Hydra's `sweeper` node.

    Raises:
        ConfigError: If one is wrong.
    """
    plain = {key: value for key, value in node.items() if key != "_target_"}
    try:
        return SearchSettings.model_validate(plain)
    except ValidationError as error:
        lines = [
            f"hydra.sweeper.{'.'.join(map(str, one['loc']))}: "
            f"{one['msg'][0].lower()}{one['msg'][1:]}, got {one['input']!r}"
            for one in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None
