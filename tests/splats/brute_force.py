"""What the rasterizers must agree with: every splat at every pixel in float64, without tiles or extents.

Written from the definitions in `recon.splats.rendering`, plainly and apart from the rasterizers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.geometry.spherical_harmonics import evaluate_basis
from recon.geometry.unprojection import pixel_centres
from recon.types import Gaussians


class Truth(NamedTuple):
    """One view in float64."""

    color: NDArray[np.float64]
    """(H, W, 3)."""
    depth: NDArray[np.float64]
    """(H, W) accumulated."""
    expected_depth: NDArray[np.float64]
    """(H, W)."""
    alpha: NDArray[np.float64]
    """(H, W)."""
    unclear: NDArray[np.bool_]
    """(H, W) True where rounding may decide whether a splat is drawn: its alpha or the light that it leaves comes close
    to the threshold."""


def brute_force(
    gaussians: Gaussians,
    world_to_camera: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    size: tuple[int, int],
    background: tuple[float, float, float] = (0, 0, 0),
    near: float = 0.01,
    far: float = 1e10,
    close: float = 1e-5,
) -> Truth:
    """One view of `gaussians` from a (4, 4) and (3, 3) camera.

    What differs from a threshold by less than `close`, relatively, may be rounded across it.
    """
    height, width = size
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    means = gaussians.means.astype(np.float64)
    means_camera = means @ rotation.T + translation  # (G, 3)
    centre = -rotation.T @ translation
    means_image, covariances = _project(gaussians, means_camera, rotation, intrinsics, size)
    directions = means - centre
    with np.errstate(invalid="ignore"):  # a mean at the camera centre, which is culled
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    basis = evaluate_basis(directions, gaussians.sh_degree)  # (G, K)
    colors = np.maximum(np.einsum("gk,gck->gc", basis, gaussians.harmonics.astype(np.float64)) + 0.5, 0)

    pixels = pixel_centres(height, width)  # (H, W, 2)
    color, depth = np.zeros((height, width, 3)), np.zeros((height, width))
    unclear = np.zeros((height, width), bool)
    transmittance, done = np.ones((height, width)), np.zeros((height, width), bool)
    for g in np.argsort(means_camera[:, 2].astype(np.float32), kind="stable"):
        z = means_camera[g, 2]
        if not near <= z <= far:
            continue
        offset = pixels - means_image[g]
        squared = np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(covariances[g]), offset)
        alpha = np.minimum(0.999, float(gaussians.opacities[g]) * np.exp(-squared / 2))
        seen = ~done & (alpha >= 1 / 255)
        behind = transmittance * (1 - alpha)
        unclear |= ~done & (np.abs(alpha * 255 - 1) < close) | seen & (np.abs(behind / 1e-4 - 1) < close)
        done |= seen & (behind <= 1e-4)
        weight = np.where(seen & ~done, alpha * transmittance, 0)
        transmittance = np.where(seen & ~done, behind, transmittance)
        color += weight[..., None] * colors[g]
        depth += weight * z
    alpha = 1 - transmittance
    color += transmittance[..., None] * np.asarray(background, np.float64)
    return Truth(color, depth, depth / np.maximum(alpha, 1e-10), alpha, unclear)


def _project(
    gaussians: Gaussians,
    means_camera: NDArray[np.float64],
    rotation: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    size: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means (G, 2) in the image and covariances (G, 2, 2) with the dilation, in pixels."""
    height, width = size
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    x, y, z = means_camera.T
    z = np.where(z == 0, 1, z)  # culled
    margin_x, margin_y = 0.15 * width, 0.15 * height  # pixels
    slope_x = np.clip(x / z, (-cx - margin_x) / fx, (width - cx + margin_x) / fx)
    slope_y = np.clip(y / z, (-cy - margin_y) / fy, (height - cy + margin_y) / fy)
    zero = np.zeros_like(z)
    jacobian = np.array([[fx / z, zero, -fx * slope_x / z], [zero, fy / z, -fy * slope_y / z]]).transpose(2, 0, 1)
    orientation = quaternions.to_matrix(quaternions.normalise(gaussians.rotations.astype(np.float64)))
    axes = jacobian @ rotation @ (orientation * gaussians.scales.astype(np.float64)[:, None, :])  # (G, 2, 3)
    covariances = axes @ axes.transpose(0, 2, 1) + 0.3 * np.eye(2)
    return np.stack([fx * x / z + cx, fy * y / z + cy], axis=1), covariances
