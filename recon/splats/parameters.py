"""Gaussian parameters as splat files need them: checked, of a degree that files know, and without bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.spherical_harmonics import MAX_DEGREE
from recon.messages import warn
from recon.types import FloatArray, Gaussians

_LARGEST = float(np.finfo(np.float32).max)
_BOUNDS = {
    "means": (-_LARGEST, _LARGEST),
    "scales": (0.0, _LARGEST),
    "rotations": (-_LARGEST, _LARGEST),
    "harmonics": (-_LARGEST, _LARGEST),
    "opacities": (0.0, 1.0),
}
_OPACITY_MARGIN = 2.0**-24
"""Half of float32's rounding at 1: the closest to 0 and 1 that an opacity comes in a file."""
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)


def check_gaussians(gaussians: Gaussians) -> None:
    """Raise InputError naming a field that is not finite in float32, or out of bounds, and in how many Gaussians."""
    for name, (low, high) in _BOUNDS.items():
        values = getattr(gaussians, name)
        if values.size == 0 or (values.min() >= low and values.max() <= high):  # NaN makes either comparison false
            continue
        rows = values.reshape(len(values), -1)  # (G, ...)
        infinite = (~(np.abs(rows) <= _LARGEST)).any(axis=1)
        if infinite.any():
            raise InputError(f"{name} of {infinite.sum()} of {len(rows)} Gaussians are NaN or infinite")
        outside = ((rows < low) | (rows > high)).any(axis=1).sum()
        meaning = "not negative: standard deviations, not logarithms" if name == "scales" else "0 to 1, not logits"
        raise InputError(f"{name} of {outside} of {len(rows)} Gaussians are out of bounds; they must be {meaning}")


def usable_gaussians(gaussians: Gaussians, path: Path) -> Gaussians:
    """What was read from a file without the Gaussians that have a NaN or an infinity, and of degree 3 at most.

    A warning says how many were left out, and which of their fields were to blame. Raises InputError where none is
    left, or where values are out of bounds.
    """
    if not all(_is_finite(getattr(gaussians, name)) for name in _BOUNDS):
        gaussians = _without_infinite(gaussians, path)
    try:
        check_gaussians(gaussians)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if gaussians.sh_degree > MAX_DEGREE:
        warn(f"{path}: spherical harmonics of degree {gaussians.sh_degree}; those above {MAX_DEGREE} are left out")
    return lower_degree(gaussians, None)


def _is_finite(values: FloatArray) -> bool:
    """Also in float32. Two passes and no copy: files are large."""
    return values.size == 0 or bool(values.min() >= -_LARGEST and values.max() <= _LARGEST)


def _without_infinite(gaussians: Gaussians, path: Path) -> Gaussians:
    """Without those of which any number is NaN or infinite, with a warning; InputError where none is left."""
    fields = {name: getattr(gaussians, name).reshape(len(gaussians), -1) for name in _BOUNDS}  # (G, ...)
    broken = {name: ~(np.abs(rows) <= _LARGEST).all(axis=1) for name, rows in fields.items()}
    dropped = np.any(list(broken.values()), axis=0)
    blamed = ", ".join(f"{name} of {mask.sum()}" for name, mask in broken.items() if mask.any())
    said = f"{path}: {dropped.sum()} of {len(gaussians)} Gaussians are NaN or infinite ({blamed})"
    if dropped.all():
        raise InputError(said)
    warn(f"{said}: left out")
    return replace(gaussians, **{name: getattr(gaussians, name)[~dropped] for name in _BOUNDS})


def lower_degree(gaussians: Gaussians, sh_degree: int | None) -> Gaussians:
    """The Gaussians without spherical harmonics above `sh_degree`; those of a lower degree are returned as they are.

    None stands for 3, the highest degree that splat files know. Raises InputError for a degree that is not 0 to 3.
    """
    degree = MAX_DEGREE if sh_degree is None else sh_degree
    if not 0 <= degree <= MAX_DEGREE:
        raise InputError(f"sh_degree must be 0 to {MAX_DEGREE}, got {sh_degree}")
    if gaussians.sh_degree <= degree:
        return gaussians
    return replace(gaussians, harmonics=gaussians.harmonics[:, :, : (degree + 1) ** 2])


def to_logits(opacities: FloatArray) -> NDArray[np.float32]:
    """(G,) logits of opacities in [0, 1]; those of 0 and 1 are finite, about ∓16.6."""
    inside = np.clip(opacities.astype(np.float32), _OPACITY_MARGIN, 1 - _OPACITY_MARGIN)
    logits: NDArray[np.float32] = np.log(inside / (1 - inside))
    return logits


def from_logits(logits: FloatArray) -> NDArray[np.float32]:
    """(G,) opacities in [0, 1]; infinite logits give 0 and 1."""
    with np.errstate(over="ignore"):  # exp of a large number is infinity, and 1 / infinity the 0 that is wanted
        return np.float32(1) / (np.float32(1) + np.exp(-logits.astype(np.float32)))


def to_log_scales(scales: FloatArray) -> NDArray[np.float32]:
    """(G, 3) natural logarithms of scales that are not negative; that of 0 is finite, about -87."""
    return np.log(np.maximum(scales.astype(np.float32), _SMALLEST_SCALE))


def from_log_scales(log_scales: FloatArray) -> NDArray[np.float32]:
    """(G, 3) scales; infinite where float32 does not reach."""
    with np.errstate(over="ignore"):
        return np.exp(log_scales.astype(np.float32))
