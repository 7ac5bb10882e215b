"""What one scene takes of a machine, by what makes its depth."""

from __future__ import annotations

from dataclasses import dataclass

from recon.choices import NETWORK, ONNX_FILE, STEREO
from recon.estimate.choice import JOINED_BY, Choice

_CORES = 4.0
_GIGABYTES = 4.0
"""Of a scene without a network: measured are 0.7 for twelve views of 504 pixels by stereo, and more views take more."""
_GIGABYTES_PER_PARAMETER = 8e-9
"""Weights in float32, and as much again while they are read."""


@dataclass(frozen=True)
class Resources:
    """Of one scene."""

    cpus: float
    gpus: float
    memory: float
    """Gigabytes (10⁹ bytes) of RAM."""


def usual_resources(chosen: Choice, device: str, has_gpus: bool) -> Resources:
    """For what makes the depth, on a device as `--device` names it, among machines some of which may have GPUs."""
    on_gpu = bool(chosen.profile.parts & {NETWORK, ONNX_FILE, STEREO})
    gpus = 1.0 if on_gpu and (device == "cuda" or (device == "auto" and has_gpus)) else 0.0
    return Resources(_CORES, gpus, _GIGABYTES + _GIGABYTES_PER_PARAMETER * _parameters(chosen.model))


def _parameters(model: str) -> int:
    from recon.models.presets import load_preset, preset_names

    names = [name for name in model.split(JOINED_BY) if name in preset_names()]
    return sum(load_preset(name).parameters for name in names)
