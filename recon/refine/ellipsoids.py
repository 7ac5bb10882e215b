"""Flat ellipsoids that cover the footprints of pixels on the surface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.refine.surface import plane_normals
from recon.types import FloatArray

SIGMA = 0.35
"""Standard deviation of a splat, in pixels of its own view. Less renders that view sharper; more closes the gaps that
open where a novel view comes nearer than the own one."""
SIGMA_WITH_SECOND_LAYER = 0.2
"""The same where larger splats behind close the gaps."""
THICKNESS = 0.1
"""Extent along the normal as a share of the shorter one on the surface."""
DILATION = 0.3
"""Variance in square pixels that renderers add, which helps to cover the gaps between splats a pixel apart."""
LARGEST_STRETCH = 8.0
"""Of the longer extent to the shorter one; a pixel's footprint reaches it at 83° between normal and line of sight."""


class Ellipsoids(NamedTuple):
    """Orientation and size of P splats."""

    scales: NDArray[np.float32]
    """(P, 3) standard deviations: the longer and the shorter one on the surface, and along the normal."""
    rotations: NDArray[np.float32]
    """(P, 4) unit quaternions, local axes to world."""


def cover_footprints(
    depth: FloatArray,
    slopes: FloatArray,
    pixels: FloatArray,
    spacing: FloatArray,
    sigma: float,
    intrinsics: FloatArray,
    camera_to_world: FloatArray,
) -> Ellipsoids:
    """Ellipsoids that look round from the view whose pixels they cover, of deviation `sigma` for neighbouring pixels.

    A step of one pixel moves the point on a pixel's plane by the columns of J = z [∂r/∂x - a r, ∂r/∂y - b r] for the
    ray r through it (z = 1) and the slopes a, b of its inverse depth. The covariance is that of J with the deviation on
    either axis, its axes are the left singular vectors of J.

    Args:
        depth: (P,).
        slopes: (2, P) of `recon.refine.surface.measure_slopes`.
        pixels: (2, P) x and y of the pixel centres.
        spacing: (P,) distance between splats in pixels, ≥ 1: rendered, they overlap as those of neighbouring pixels do.
        sigma: standard deviation in pixels of splats that are one pixel apart, such as `SIGMA`.
        intrinsics: (3, 3) in pixels.
        camera_to_world: (3, 4) or (4, 4).
    """
    pixel_to_ray = np.linalg.inv(np.asarray(intrinsics, np.float64))
    to_ray = pixel_to_ray.astype(np.float32)
    rays = to_ray[:, :2] @ pixels + to_ray[:, 2:]  # (3, P)
    step_x, step_y = to_ray[:, :1] - slopes[0] * rays, to_ray[:, 1:2] - slopes[1] * rays  # (3, P)
    normals = plane_normals(slopes, pixels, intrinsics)
    length = np.sqrt(_dot(normals, normals))

    # Singular values of the 3 × 2 matrix from its Gram matrix; their product is the area of the footprint.
    xx, yy, xy = _dot(step_x, step_x), _dot(step_y, step_y), _dot(step_x, step_y)
    longer = np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / 2)
    shorter = length * np.float32(np.linalg.det(pixel_to_ray)) / longer
    angle = np.arctan2(2 * xy, xx - yy) / 2

    axes = np.empty((len(depth), 3, 3), np.float32)  # columns are the axes
    axes[:, :, 0] = ((step_x * np.cos(angle) + step_y * np.sin(angle)) / longer).T
    axes[:, :, 2] = (normals / length).T
    axes[:, :, 1] = np.cross(axes[:, :, 2], axes[:, :, 0])
    rotations = quaternions.from_matrix(camera_to_world[:3, :3].astype(np.float32) @ axes)

    longer = np.minimum(longer, LARGEST_STRETCH * shorter)
    extent = np.sqrt((sigma**2 + DILATION) * spacing**2 - DILATION).astype(np.float32)
    scales = np.stack([longer * extent, shorter * extent, shorter * np.float32(THICKNESS * sigma)], axis=1)
    scales *= depth[:, None]
    return Ellipsoids(scales, rotations)


def _dot(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P,) scalar products of (3, P)."""
    return np.einsum("ip,ip->p", left, right)
