"""Between pixels with z-depth and points in the world. Pixel centres are at half-integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.types import FloatArray


def pixel_centres(height: int, width: int) -> NDArray[np.float64]:
    """(height, width, 2) x and y of every pixel's centre; the first is (0.5, 0.5)."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=-1)


def unproject_depth(depth: FloatArray, intrinsics: FloatArray, extrinsics: FloatArray) -> NDArray[np.float32]:
    """World points seen at the pixel centres. Depth that is no number gives points that are none.

    Args:
        depth: (N, H, W) along the camera z axis.
        intrinsics: (N, 3, 3) in pixels; skew is honoured.
        extrinsics: (N, 3, 4) or (N, 4, 4) world to camera.

    Returns:
        (N, H, W, 3) in the units of depth and extrinsics.
    """
    views, height, width = depth.shape
    camera_to_world = invert_rigid(np.asarray(extrinsics, np.float64))
    pixel_to_ray = camera_to_world[:, :3, :3] @ np.linalg.inv(np.asarray(intrinsics, np.float64))  # (N, 3, 3), z = 1
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    along_x = pixel_to_ray[:, :, :1] * x  # (N, 3, W)
    along_y = pixel_to_ray[:, :, 1:2] * y + pixel_to_ray[:, :, 2:]  # (N, 3, H)
    columns, rows = along_x.astype(np.float32), along_y.astype(np.float32)
    centres = camera_to_world[:, :3, 3].astype(np.float32)
    points = np.empty((views, height, width, 3), np.float32)
    plane = np.empty((height, width), np.float32)
    for view in range(views):
        view_depth = depth[view].astype(np.float32, copy=False)
        for axis in range(3):
            np.add(rows[view, axis][:, None], columns[view, axis], out=plane)
            with np.errstate(invalid="ignore", over="ignore"):
                np.multiply(plane, view_depth, out=plane)
                np.add(plane, centres[view, axis], out=points[view, :, :, axis])
    return points


def project_points(
    points: FloatArray, intrinsics: FloatArray, extrinsics: FloatArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates and z-depth of world points in the camera of their row.

    Args:
        points: (N, ..., 3) in the world.
        intrinsics: (N, 3, 3) in pixels.
        extrinsics: (N, 3, 4) or (N, 4, 4) world to camera.

    Returns:
        Pixels (N, ..., 2) and depth (N, ...). Points with depth ≤ 0 are behind the camera; at 0 pixels are not finite.
    """
    world_to_camera = np.asarray(extrinsics, np.float64)
    flat = np.asarray(points, np.float64).reshape(len(points), -1, 3)  # (N, P, 3)
    in_camera = flat @ world_to_camera[:, :3, :3].swapaxes(1, 2) + world_to_camera[:, None, :3, 3]
    homogeneous = in_camera @ np.asarray(intrinsics, np.float64).swapaxes(1, 2)  # (N, P, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = homogeneous[..., :2] / homogeneous[..., 2:]
    shape = points.shape[:-1]
    return pixels.reshape(*shape, 2), in_camera[..., 2].reshape(shape)
