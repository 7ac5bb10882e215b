"""Which device a network runs on."""

from __future__ import annotations

import torch

from recon.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA, else MPS, else the CPU. Raises InputError where it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [device for device, there in available.items() if there]
    if name != "auto" and name not in usable:
        raise InputError(f"device {name} is not available on this machine; usable: {', '.join(usable)}")
    return torch.device(usable[0] if name == "auto" else name)
