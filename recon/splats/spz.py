"""Splats in Niantic's SPZ format, about a quarter of the size of a PLY, through the package gsply.

SPZ rounds: positions to fixed point, scales to steps of 6 %, opacities and colours to a byte, rotations to 0.2 degrees.

The axes are those of the PLY, the prediction's world: x right, y down, z forward for a camera at its origin. Niantic's
library documents y up and z backward where the two sides name their axes, but converts a PLY without turning it, as do
SuperSplat, splat-transform and gsply. A viewer that goes by the documented axes shows the scene upside down.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np

from recon.errors import InputError, MissingExtraError
from recon.files import atomic_write
from recon.geometry.quaternions import normalise
from recon.messages import warn
from recon.splats.parameters import (
    check_gaussians,
    from_log_scales,
    from_logits,
    lower_degree,
    to_log_scales,
    to_logits,
    usable_gaussians,
)
from recon.types import Gaussians

_VERSION = 3
"""Of the format: gzip, which every reader knows. Version 4 is zstd."""
_LARGEST_FIXED = 2**23 - 1
"""Positions are signed 24-bit numbers."""
_MOST_FRACTION_BITS = 24
_LOG_SCALES = (-10.0, 255 / 16 - 10)
"""Smallest and largest logarithm of a scale."""
_GZIP_TIME = slice(4, 8)
"""Where a gzip file notes the time of its making."""


def require_gsply() -> ModuleType:
    """The package gsply. Raises MissingExtraError where it is not installed."""
    try:
        return importlib.import_module("gsply")
    except ImportError as error:
        raise MissingExtraError("the splat format spz", "gsply", "spz") from error


def write_spz(path: str | Path, gaussians: Gaussians, sh_degree: int | None = None) -> None:
    """Write an SPZ file; the same Gaussians give the same bytes.

    Positions are rounded as finely as the largest coordinate allows: to an 8-millionth of it or better. Clipped are
    scales outside 4.5e-5 to 379 units, spherical harmonics of degree 0 outside ±3.3, and those above outside ±1.

    Args:
        path: where to; missing folders are made.
        gaussians: what to write.
        sh_degree: leave out spherical harmonics above this degree, 0 to 3; None leaves out what no viewer knows, those
            above 3. Gaussians of a lower degree stay as they are.

    Raises:
        InputError: parameters that are NaN, infinite or out of bounds, positions beyond 4 million units, another
            `sh_degree`, or a path that cannot be written.
        MissingExtraError: gsply is not installed.
    """
    gsply = require_gsply()
    check_gaussians(gaussians)
    fraction_bits = _fraction_bits(gaussians)
    log_scales = to_log_scales(gaussians.scales)
    _warn_of_scales(log_scales)
    harmonics = lower_degree(gaussians, sh_degree).harmonics.astype(np.float32).swapaxes(1, 2)  # (G, K, 3)
    data = gsply.GSData.from_arrays(
        means=gaussians.means.astype(np.float32),
        scales=log_scales,
        quats=normalise(gaussians.rotations.astype(np.float32)),
        opacities=to_logits(gaussians.opacities),
        sh0=harmonics[:, 0],
        shN=harmonics[:, 1:],
        format="ply",
    )
    with atomic_write(Path(path)) as temporary:
        gsply.write_spz(temporary, data, version=_VERSION, fractional_bits=fraction_bits)
        with temporary.open("r+b") as file:
            file.seek(_GZIP_TIME.start)
            file.write(bytes(_GZIP_TIME.stop - _GZIP_TIME.start))


def read_spz(path: str | Path) -> Gaussians:
    """Read an SPZ file of version 2 to 4: float32 Gaussians in the axes of the file.

    Version 4 also needs the package zstandard, which the extra brings. Gaussians that are not finite are left out, with
    a warning.

    Raises:
        InputError: no such file, no SPZ, damaged, or none of its Gaussians finite.
        MissingExtraError: gsply is not installed.
    """
    gsply = require_gsply()
    path = Path(path)
    try:
        data = gsply.read_spz(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # of a damaged file gsply raises what its decompressors do, in classes of their own
        raise InputError(f"{path}: not an SPZ file that can be read: {error}") from error
    constant = data.sh0[:, :, None]  # (G, 3) -> (G, 3, 1)
    higher = np.empty((len(constant), 3, 0), np.float32) if data.shN is None else data.shN.swapaxes(1, 2)
    gaussians = Gaussians(
        means=data.means,
        scales=from_log_scales(data.scales),
        rotations=data.quats,
        harmonics=np.concatenate([constant, higher], axis=2),
        opacities=from_logits(data.opacities),
    )
    return usable_gaussians(gaussians, path)


def _fraction_bits(gaussians: Gaussians) -> int:
    """How many of the 24 bits of a coordinate may stand behind the point, so that the largest one fits."""
    largest = float(np.abs(gaussians.means).max(initial=0))
    if largest == 0:
        return _MOST_FRACTION_BITS
    bits = math.floor(math.log2(_LARGEST_FIXED / largest))
    if bits < 1:
        raise InputError(
            f"spz holds positions up to {_LARGEST_FIXED // 2} units from the origin, and these reach {largest:.3g}: "
            "write gs_ply instead"
        )
    return min(bits, _MOST_FRACTION_BITS)


def _warn_of_scales(log_scales: np.ndarray) -> None:
    """Warn of Gaussians that will look larger or smaller than they are."""
    low, high = _LOG_SCALES
    longest = log_scales.max(axis=1)  # a splat thinner than the smallest scale looks the same
    clipped = int(((longest < low) | (longest > high)).sum())
    if clipped:
        warn(
            f"{clipped} of {len(longest)} Gaussians are smaller than {math.exp(low):.2g} or larger than "
            f"{math.exp(high):.0f} units, which spz cannot hold: they get that size"
        )
