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
    colors = np.empty((len(points), 3), np.uint8)
    _blend(points, normals, images, depth, intrinsics, world_to_camera, tolerance, colors, np.empty((0, 5)))
    return colors


class ColorSums:
    """Colours of points from photos that come some at a time; the arguments are those of `colors_from_photos`."""

    def __init__(self, points: NDArray[np.float32], normals: NDArray[np.float32]) -> None:
        self._points, self._normals = points, normals
        self._sums = np.zeros((len(points), 5))

    def add(
        self,
        images: NDArray[np.uint8],
        depth: FloatArray,
        intrinsics: FloatArray,
        world_to_camera: FloatArray,
        tolerance: float,
    ) -> None:
        """Let these photos count."""
        colors, sums = np.empty((len(self._points), 3), np.uint8), np.empty_like(self._sums)
        _blend(self._points, self._normals, images, depth, intrinsics, world_to_camera, tolerance, colors, sums)
        seen_before, seen = self._sums[:, 4] > 0, sums[:, 4] > 0
        self._sums[seen & ~seen_before] = 0  # colours of views that do not see a point are for points that none sees
        counts = seen | ~seen_before
        self._sums[counts] += sums[counts]

    @property
    def colors(self) -> NDArray[np.uint8]:
        """(P, 3) sRGB."""
        total = self._sums[:, 3:4]
        mean = self._sums[:, :3] / np.where(total > 0, total, 1)
        return np.where(total > 0, mean + 0.5, 128).astype(np.uint8)


def _blend(
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    images: NDArray[np.uint8],
    depth: FloatArray,
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    tolerance: float,
    colors: NDArray[np.uint8],
    sums: NDArray[np.float64],
) -> None:
    """`colors` (P, 3), and `sums` (P, 5) where they have rows, are changed in place."""
    from recon.geometry.mesh_colors_kernel import blend

    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
    to_camera = to_4x4(np.asarray(world_to_camera, np.float64))
    projections = np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ to_camera[:, :3])
    centres = np.ascontiguousarray(invert_rigid(to_camera)[:, :3, 3])
    least, most = depth_around(depth)
    images = np.ascontiguousarray(images)
    starts = range(0, len(points), _BATCH)
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(
            pool.map(
                lambda first: blend(
                    first, min(first + _BATCH, len(points)), points, normals, images, depth, least, most,
                    projections, centres, tolerance, colors, sums,
                ),
                starts,
            )
        )  # fmt: skip


def depth_around(depth: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and largest depth (N, H, W) of each pixel and those around it."""
    import cv2

    square = np.ones((3, 3), np.uint8)
    least, most = (np.stack([work(one, square) for one in depth]) for work in (cv2.erode, cv2.dilate))
    return np.asarray(least, np.float32), np.asarray(most, np.float32)
