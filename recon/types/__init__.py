"""The values that travel between the parts: frozen, checked once, shapes and units on every field.

Conventions (everywhere in the package): camera frame x right, y down, z forward (OpenCV); `extrinsics` map world to
camera; intrinsics in pixels with pixel centres at half-integers; quaternions (w, x, y, z). No torch in this package, so
that a machine without it can still load, convert and export results.
"""

from recon.types.arrays import FloatArray
from recon.types.cameras import Cameras
from recon.types.gaussians import Gaussians
from recon.types.prediction import (
    FEATURE_PREFIX,
    LARGEST_DEPTH,
    NOBODY,
    SMALLEST_DEPTH,
    DepthKind,
    GaussianSource,
    MadeBy,
    Prediction,
    Units,
    usable_pixels,
)

__all__ = [
    "FEATURE_PREFIX",
    "LARGEST_DEPTH",
    "NOBODY",
    "SMALLEST_DEPTH",
    "Cameras",
    "DepthKind",
    "FloatArray",
    "GaussianSource",
    "Gaussians",
    "MadeBy",
    "Prediction",
    "Units",
    "usable_pixels",
]
