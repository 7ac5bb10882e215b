"""Which number format the encoder gets."""

from __future__ import annotations

import pytest
import torch

from recon.errors import InputError
from recon.models.precision import convolutions_as_precise_as, resolve_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("capability", [(7, 5), (9, 0)])
def test_auto_on_a_cpu_is_float32_whatever_the_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", CPU) == torch.float32


def test_auto_on_a_gpu_is_the_half_precision_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert resolve_precision("auto", CUDA) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert resolve_precision("auto", CUDA) == torch.float16


def test_named_precisions() -> None:
    assert resolve_precision("fp32", CUDA) == torch.float32
    assert resolve_precision("bf16", CPU) == torch.bfloat16
    assert resolve_precision("fp16", CUDA) == torch.float16


@pytest.mark.parametrize(("name", "reason"), [("fp16", "does not run on a CPU"), ("int8", "must be one of auto")])
def test_what_cannot_be(name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        resolve_precision(name, CPU)


@pytest.mark.parametrize(("dtype", "rounded"), [(torch.float32, False), (torch.bfloat16, True)])
def test_convolutions_of_a_float32_network_are_not_rounded_to_tf32(dtype: torch.dtype, rounded: bool) -> None:
    assert torch.backends.cudnn.allow_tf32  # torch's default
    with convolutions_as_precise_as(dtype):
        assert torch.backends.cudnn.allow_tf32 == rounded
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32
