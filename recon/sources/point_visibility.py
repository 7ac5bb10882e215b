"""Which photos see which points, where nothing but the points and the cameras tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.types.cameras import Cameras

_CELLS = 64
"""Along the longer side of a photo: about as many as sparse points can fill."""
_BEHIND = 1.1
"""Points this many times as far as the nearest in their cell are taken to be hidden."""


def visible_points(points: NDArray[np.float64], cameras: Cameras) -> SparsePoints | None:
    """Points (P, 3), each seen by the photos that it lies in unless another lies well before it.

    None where the cameras are not known well enough to tell.
    """
    if cameras.world_to_camera is None or cameras.intrinsics is None or cameras.sizes is None:
        return None
    pinhole = cameras.pinhole()
    assert pinhole.world_to_camera is not None
    assert pinhole.intrinsics is not None
    observed = []
    for world_to_camera, intrinsics, size in zip(
        pinhole.world_to_camera, pinhole.intrinsics, cameras.sizes, strict=True
    ):
        in_camera = points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
        ahead = np.flatnonzero(in_camera[:, 2] > 1e-9)
        depth = in_camera[ahead, 2]
        places = in_camera[ahead] @ intrinsics[:2].T / depth[:, None]  # (K, 2)
        inside = ((places >= 0) & (places < size)).all(axis=1)
        ahead, depth, places = ahead[inside], depth[inside], places[inside]
        cell = np.minimum((places / size.max() * _CELLS).astype(np.intp), _CELLS - 1)
        cell = cell[:, 1] * _CELLS + cell[:, 0]
        nearest = np.full(_CELLS * _CELLS, np.inf)
        np.minimum.at(nearest, cell, depth)
        observed.append(ahead[depth <= _BEHIND * nearest[cell]])
    return SparsePoints(points, tuple(observed))
