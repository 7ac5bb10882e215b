"""The world of a result brought onto the true one so closely that pictures of it can be compared pixel by pixel.

`recon.geometry.similarity.align_cameras` goes by camera centres alone, as benchmarks of cameras and surfaces do. Where
the cameras stand close together, or nearly on a line, their orientations tell the rotation of the world far better
than their centres: a millimetre on a path of two metres is a pixel of a photo.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.geometry.similarity import Similarity, umeyama
from recon.types import FloatArray

_FITS = 3
_FAR_OFF = 3.0
"""Cameras that are off by this many times the median are left out of the next fit."""


def align_views(
    target_world_to_camera: FloatArray, source_world_to_camera: FloatArray, rough: Similarity, distance: float
) -> Similarity:
    """The similarity that moves what the cameras see at some distance by the least, from the same N cameras.

    Least squares (Umeyama, PAMI 1991) on the camera centres and on a point at that distance along each of a camera's
    axes; cameras that are far off are left out.

    Args:
        target_world_to_camera: (N, 3, 4) or (N, 4, 4).
        source_world_to_camera: the same cameras, in the same order, in the source world.
        rough: from the source world to the target one, its scale right.
        distance: to what is seen, in target units.
    """
    target = _points(target_world_to_camera, distance)  # (N, 4, 3)
    source = _points(source_world_to_camera, distance / rough.scale)
    found = rough
    for _ in range(_FITS):
        errors = np.sqrt(((found.apply(source) - target) ** 2).sum(axis=(1, 2)))  # (N,)
        close = errors <= _FAR_OFF * np.median(errors)
        found = umeyama(target[close].reshape(-1, 3), source[close].reshape(-1, 3))
    return found


def _points(world_to_camera: FloatArray, distance: float) -> NDArray[np.float64]:
    """(N, 4, 3) the centre of each camera, and the points at `distance` along its axes."""
    camera_to_world = invert_rigid(np.asarray(world_to_camera, np.float64))[:, :3]
    local = np.concatenate([np.zeros((1, 3)), distance * np.eye(3)])
    return local @ camera_to_world[:, :, :3].swapaxes(1, 2) + camera_to_world[:, None, :, 3]
