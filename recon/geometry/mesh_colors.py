"""Colours of a surface from the photos that show it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.types import FloatArray

_BATCH = 4096
"""Points that a thread works on at a time."""


def colors_from_photos(
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    images: NDArray[np.uint8],
    depth: FloatArray,
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    tolerance: float,
) -> NDArray[np.uint8]:
    """(P, 3) sRGB: what the views that see a point show there; those that see it straight and near count most.

    A point that no view sees, as in a hole that was closed, gets the colour that the views show in its direction.

    Args:
        points: (P, 3) in the world.
        normals: (P, 3) unit length.
        images: (N, H, W, 3).
        depth: (N, H, W) z-depth; 0 or not finite where there is none.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        tolerance: how far before or behind a view's depth a point may lie and still be seen.
    """
    from recon.geometry.mesh_colors_kernel import blend

    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
    to_camera = to_4x4(np.asarray(world_to_camera, np.float64))
    projections = np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ to_camera[:, :3])
    centres = np.ascontiguousarray(invert_rigid(to_camera)[:, :3, 3])
    colors = np.empty((len(points), 3), np.uint8)
    least, most = depth_around(depth)
    images = np.ascontiguousarray(images)
    starts = range(0, len(points), _BATCH)
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(
            pool.map(
                lambda first: blend(
                    first, min(first + _BATCH, len(points)), points, normals, images, depth, least, most,
                    projections, centres, tolerance, colors,
                ),
                starts,
            )
        )  # fmt: skip
    return colors


def depth_around(depth: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and largest depth (N, H, W) of each pixel and those around it."""
    import cv2

    square = np.ones((3, 3), np.uint8)
    least, most = (np.stack([work(one, square) for one in depth]) for work in (cv2.erode, cv2.dilate))
    return np.asarray(least, np.float32), np.asarray(most, np.float32)
