"""Which number format the encoder runs in; heads and geometry are always float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from recon.errors import InputError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Encoder dtype for `name`, one of `PRECISIONS`, on `device`.

    `auto` is float32 on a CPU, where half precision is often slower, and on CUDA bfloat16 where the GPU has it, else
    float16. InputError for an unknown name, and for fp16 on a CPU (no CPU computes it at speed).
    """
    if name not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        # Older GPUs only emulate bfloat16.
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if name == "fp16" and device.type == "cpu":
        raise InputError("precision fp16 does not run on a CPU; use fp32 or bf16")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


@contextlib.contextmanager
def convolutions_as_precise_as(dtype: torch.dtype) -> Iterator[None]:
    """Convolutions of float32 on CUDA keep all digits in this context where the encoder's `dtype` does.

    By default, torch has cuDNN round their factors to TF32's 10 bits, which beside an encoder in half precision is
    little, and beside one in float32 the larger part of the error.
    """
    cudnn = torch.backends.cudnn
    if dtype != torch.float32:
        yield
        return
    with cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    ):
        yield
