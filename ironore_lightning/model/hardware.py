"""Check the hardware, and set up the process for it.

Torch is imported late, for whoever only counts cores.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ironore_lightning.errors import ConfigError
from ironore_lightning.settings.training import HardwareSettings

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of `mallopt`, from glibc's malloc.h."""

KEPT_BYTES = 64 * 2**20


def set_up_process(settings: HardwareSettings) -> None:
    """Set the threads of this process, how it treats denormal numbers, and its memory.

    Raises:
        ConfigError: If the accelerator, or as many devices, are not there.
    """
    require_devices(settings)
    import torch

    torch.set_num_threads(settings.threads)
    # Vanishing LSTM gradients over long windows are denormal, and those are slow.
    torch.set_flush_denormal(True)
    # Deterministic algorithms would fill all new memory with NaN, to be overwritten at once.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory, since every step allocates the same pages again.

    Without glibc nothing is set.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD):
        mallopt(option, KEPT_BYTES)


@contextmanager
def cpu_precision(precision: str) -> Iterator[None]:
    """Compute on a CPU as a run of `precision` does there.

    A processor for which oneDNN has no such kernels takes torch's own, which are slower.
    """
    import torch

    if precision == "32-true":
        yield
        return
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    mkldnn: Any = torch.backends.mkldnn
    before = mkldnn.enabled
    try:
        mkldnn.enabled = before and _has_kernels(precision)
        with torch.autocast("cpu", dtype):
            yield
    finally:
        mkldnn.enabled = before


def _has_kernels(precision: str) -> bool:
    """Return whether this processor runs an LSTM in mixed `precision`."""
    import torch

    kernels: Any = torch.ops.mkldnn
    is_bf16 = precision == "bf16-mixed"
    asked = kernels._is_mkldnn_bf16_supported if is_bf16 else kernels._is_mkldnn_fp16_supported
    return not torch.backends.mkldnn.enabled or bool(asked())


def usable_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_one_process(settings: HardwareSettings) -> None:
    """Raise `ConfigError` if a job of a multirun asks for several processes."""
    if settings.devices > 1:
        raise ConfigError(
            f"hardware.devices: a run of a multirun has one process, got {settings.devices}; start "
            "such runs one by one, without -m"
        )


def require_devices(settings: HardwareSettings) -> None:
    """Raise `ConfigError` if there are fewer cores or GPUs than `devices`."""
    if settings.accelerator == "cpu":
        if settings.devices > usable_cores():
            raise ConfigError(
                f"hardware.devices: {settings.devices} were asked for, but this process may use "
                f"{usable_cores()} core(s)"
            )
        if settings.precision != "32-true" and not _has_kernels(settings.precision):
            raise ConfigError(
                f"hardware.precision: {settings.precision} was asked for, but this processor has "
                "no kernels for it (AVX-512 or newer has); choose 32-true"
            )
        return
    import torch

    advice = "choose hardware=cpu"
    if settings.accelerator == "gpu":
        available = torch.cuda.device_count()
        if available == 0:
            raise ConfigError(
                f"hardware.accelerator: gpu was asked for, but torch {torch.__version__} sees no "
                f"GPU on this machine; {advice}"
            )
        if settings.devices > available:
            raise ConfigError(
                f"hardware.devices: {settings.devices} were asked for, but torch sees {available}"
            )
    if settings.accelerator == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(
            "hardware.accelerator: mps was asked for, but this machine has no Apple GPU that "
            f"torch can use; {advice}"
        )
