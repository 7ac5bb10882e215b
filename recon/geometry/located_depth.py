"""What any cloud of points or splats needs of a prediction: depth that is usable, and cameras to place it with."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from recon.errors import InputError
from recon.messages import warn
from recon.types import LARGEST_DEPTH, FloatArray, Prediction
from recon.types.mapped import any_in

ASSUMED_HORIZONTAL_FIELD_OF_VIEW = 60.0
"""Degrees, for a single view without intrinsics."""
_ROTATION_TOLERANCE = 0.01
"""How far from orthonormal a rotation may be: those of networks are rounded, and no more."""
_FOCAL_BOUNDS = (1e-6, 1e9)
"""Pixels: between these the inverse of intrinsics, and points of any usable depth, fit float32."""


def check_cameras(prediction: Prediction, what: str) -> None:
    """Raise InputError where `what` is to be made of several views and the cameras are missing, or are not usable."""
    views = len(prediction.depth)
    if views > 1 and (prediction.extrinsics is None or prediction.intrinsics is None):
        missing = "extrinsics" if prediction.extrinsics is None else "intrinsics"
        raise InputError(
            f"{what} of {views} views needs cameras, and this prediction has no {missing}: "
            "use a model that estimates cameras, or give them"
        )
    for name in ("extrinsics", "intrinsics"):
        matrices = getattr(prediction, name)
        if matrices is not None and not (np.abs(matrices) <= LARGEST_DEPTH).all():  # False for NaN
            raise InputError(f"{what} needs finite cameras, and the {name} of this prediction are not")
    if prediction.extrinsics is not None:
        rotations = prediction.extrinsics[:, :, :3].astype(np.float64)
        if (np.abs(rotations @ rotations.swapaxes(1, 2) - np.eye(3)) > _ROTATION_TOLERANCE).any():
            raise InputError(f"{what} needs rigid cameras, and the extrinsics of this prediction hold other rotations")
    if prediction.intrinsics is not None:
        focal = prediction.intrinsics[:, [0, 1], [0, 1]]
        if not ((focal >= _FOCAL_BOUNDS[0]) & (focal <= _FOCAL_BOUNDS[1])).all():
            raise InputError(f"{what} needs positive focal lengths that can be used, and the intrinsics have others")
        others_right = np.abs(prediction.intrinsics) <= _FOCAL_BOUNDS[1]
        if not others_right.all() or (prediction.intrinsics[:, 2] != (0, 0, 1)).any():
            raise InputError(f"{what} needs intrinsics with the last row (0, 0, 1) and numbers that can be used")


def check_points(prediction: Prediction, what: str = "a point cloud") -> None:
    """Raise InputError where `what` cannot be made of points: as `check_cameras`, or no depth."""
    check_cameras(prediction, what)
    if not any_in(prediction.pixels_with_depth(filled=True, sky=True)):
        raise InputError("no pixel has a positive, finite depth: there are no points to export")


def with_cameras(prediction: Prediction) -> Prediction:
    """The prediction itself, or for a single view without cameras a copy with assumed ones.

    The assumed camera sits at the world origin with square pixels and the principal point at the image centre.
    """
    extrinsics, intrinsics = prediction.extrinsics, prediction.intrinsics
    if extrinsics is not None and intrinsics is not None:
        return prediction
    check_points(prediction)
    _, height, width = prediction.depth.shape
    if extrinsics is None:
        extrinsics = np.eye(3, 4, dtype=np.float32)[None]
    if intrinsics is None:
        warn(
            f"no camera intrinsics: the points assume a horizontal field of view of "
            f"{ASSUMED_HORIZONTAL_FIELD_OF_VIEW:.0f} degrees"
        )
        focal = width / 2 / math.tan(math.radians(ASSUMED_HORIZONTAL_FIELD_OF_VIEW) / 2)
        intrinsics = np.array([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]], dtype=np.float32)
    return replace(prediction, extrinsics=extrinsics, intrinsics=intrinsics)


def percentiles(values: FloatArray, which: list[float]) -> FloatArray:
    """(len(which), ...) percentiles along the last axis: `np.percentile`, several times faster on millions of values.

    Sorting is vectorised in numpy, and the selection in `np.percentile` is quick on what is sorted already.
    """
    return np.percentile(np.sort(values, axis=-1), which, axis=-1, overwrite_input=True)
