"""Whether work that the CPU can do as well runs on CUDA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recon.errors import InputError

if TYPE_CHECKING:
    import torch


def cuda_device(device: str) -> torch.device | None:
    """CUDA where `device` is `cuda`, or `auto` and torch has it; None for the CPU. With `cpu`, torch is not imported.

    Raises:
        InputError: CUDA that is not there.
        ModuleNotFoundError: `cuda` without torch.
    """
    if device not in ("auto", "cuda"):
        return None
    try:
        import torch
    except ModuleNotFoundError:
        if device == "cuda":
            raise
        return None  # torch is for the GPU alone
    if torch.cuda.is_available():
        return torch.device("cuda")
    if device == "cuda":
        raise InputError("device 'cuda' was asked for, and torch finds no CUDA device here; use 'cpu' or 'auto'")
    return None
