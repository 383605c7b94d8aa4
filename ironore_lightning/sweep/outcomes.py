"""What became of the jobs of a multirun."""

import math
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from ironore_lightning.errors import ConfigError
from ironore_lightning.run_folder.status import COMPLETE, FAILED, Status, read_status

REFUSED = "its folder holds another run that has finished"


def outcome(result: JobReturn) -> Status:
    """Read what became of a job; a finished run of other settings in its folder is not its own."""
    try:
        status = read_status(_folder(result))
    except ConfigError as error:
        return Status(FAILED, error=str(error))
    is_own = status.state != COMPLETE or not _has_failed(result)
    return status if is_own else Status(FAILED, error=REFUSED)


def require_none_refused(results: Sequence[JobReturn]) -> None:
    """Raise if jobs found finished runs of other settings in their folders.

    Raises:
        ConfigError: Since a summary would take other runs for what was asked for.
    """
    failed = [result for result in results if _has_failed(result)]
    if refused := [result for result in failed if outcome(result).error == REFUSED]:
        raise ConfigError(
            f"{_folder(refused[0])} holds another run that has finished, so {len(refused)} of "
            f"{len(results)} jobs were not run; choose another hydra.sweep.dir"
        )


def _has_failed(result: JobReturn) -> bool:
    value = result.return_value if result.status == JobStatus.COMPLETED else None
    return isinstance(value, float) and math.isnan(value)


def _folder(result: JobReturn) -> Path:
    assert result.hydra_cfg is not None
    return Path(result.hydra_cfg.hydra.runtime.output_dir)
