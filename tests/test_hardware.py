"""The machine."""

import os

import pytest
import torch

from ironore_lightning.errors import ConfigError
from ironore_lightning.model.hardware import require_devices, set_up_process


def test_threads_are_set_as_asked(compose):
    before = torch.get_num_threads()
    try:
        set_up_process(compose("hardware.threads=2").hardware)
        assert torch.get_num_threads() == 2
        set_up_process(compose().hardware)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("member", ["gpu", "multi_gpu"])
def test_a_gpu_that_is_not_there_is_named(compose, monkeypatch, member):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=r"gpu was asked for, but torch .* choose hardware=cpu"):
        require_devices(compose(f"hardware={member}").hardware)


def test_more_cards_than_there_are_are_refused(compose, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    require_devices(compose("hardware=gpu").hardware)
    with pytest.raises(ConfigError, match=r"hardware.devices: 2 were asked for, but torch sees 1"):
        require_devices(compose("hardware=multi_gpu").hardware)


def test_more_processes_than_cores_are_refused(compose, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    require_devices(compose("hardware.devices=2").hardware)
    line = r"hardware.devices: 3 were asked for, but this process may use 2 core"
    with pytest.raises(ConfigError, match=line):
        require_devices(compose("hardware.devices=3").hardware)


def test_an_apple_gpu_that_is_not_there_is_named(compose, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="mps was asked for"):
        require_devices(compose("hardware=mps").hardware)


def test_a_precision_for_which_the_processor_has_no_kernels_is_refused(compose, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(ConfigError, match=r"hardware.precision: bf16-mixed .* choose 32-true"):
        require_devices(compose("hardware.precision=bf16-mixed").hardware)
    require_devices(compose().hardware)
