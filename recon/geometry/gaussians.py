"""Move Gaussians from one world to another, all at once or each view's with its camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.similarity import Similarity
from recon.geometry.spherical_harmonics import rotation_matrices
from recon.types import FloatArray, Gaussians


def transform_gaussians(gaussians: Gaussians, similarity: Similarity) -> Gaussians:
    """The same Gaussians in the target world of `similarity`, in their own dtypes; opacities are shared.

    Centres and scales follow the similarity, orientations and colours its rotation.

    Raises:
        ValueError: the spherical harmonics are of a degree above 3.
    """
    means, scales = gaussians.means, gaussians.scales
    turn = quaternions.from_matrix(similarity.rotation)
    turn_harmonics = rotation_matrices(similarity.rotation, gaussians.sh_degree)  # (K, K)
    rotations = quaternions.normalise(quaternions.multiply(turn, gaussians.rotations.astype(np.float64)))
    harmonics = gaussians.harmonics @ turn_harmonics.T.astype(gaussians.harmonics.dtype)  # (G, 3, K)
    return Gaussians(
        means=similarity.apply(means).astype(means.dtype),
        scales=(scales * similarity.scale).astype(scales.dtype),
        rotations=rotations.astype(gaussians.rotations.dtype),
        harmonics=harmonics,
        opacities=gaussians.opacities,
    )


def move_with_cameras(
    gaussians: Gaussians, from_world_to_camera: FloatArray, to_world_to_camera: FloatArray, scale: float = 1.0
) -> Gaussians:
    """The Gaussians of N views, G / N of each in order, where they lie before each one's camera taken along.

    Args:
        gaussians: in the world of the first cameras.
        from_world_to_camera: (N, 3, 4) or (N, 4, 4).
        to_world_to_camera: the cameras of the same views in the target world.
        scale: target units per source unit.
    """
    to_camera = to_4x4(np.asarray(from_world_to_camera, np.float64))
    to_world = invert_rigid(to_4x4(np.asarray(to_world_to_camera, np.float64)))
    to_camera[:, :3, 3] *= scale  # scaled about the world's origin, then moved
    motion = to_world @ to_camera  # (N, 4, 4)
    moved = [
        transform_gaussians(part, Similarity(scale, motion[view, :3, :3], motion[view, :3, 3]))
        for view, part in enumerate(_of_views(gaussians, len(motion)))
    ]
    return _joined(moved)


def move_with_intrinsics(
    gaussians: Gaussians, world_to_camera: FloatArray, from_intrinsics: FloatArray, to_intrinsics: FloatArray
) -> Gaussians:
    """The Gaussians of N views, G / N of each in order, at the same pixels and depths by other intrinsics.

    Centres and covariances follow the linear map of the camera's frame that this is; colours stay.

    Args:
        gaussians: in the world of the cameras.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        from_intrinsics, to_intrinsics: (N, 3, 3) in pixels of the same images.
    """
    cameras = to_4x4(np.asarray(world_to_camera, np.float64))
    rotations, centres = cameras[:, :3, :3], invert_rigid(cameras)[:, :3, 3]
    in_camera = np.linalg.inv(np.asarray(to_intrinsics, np.float64)) @ np.asarray(from_intrinsics, np.float64)
    in_world = rotations.swapaxes(1, 2) @ in_camera @ rotations  # (N, 3, 3)
    moved = [
        _deformed(part, in_world[view], centres[view]) for view, part in enumerate(_of_views(gaussians, len(cameras)))
    ]
    return _joined(moved)


def _deformed(gaussians: Gaussians, linear: NDArray[np.float64], centre: NDArray[np.float64]) -> Gaussians:
    """Under x -> linear (x - centre) + centre."""
    means = (gaussians.means - centre) @ linear.T + centre
    axes = quaternions.to_matrix(gaussians.rotations.astype(np.float64)) * gaussians.scales[:, None, :]  # (G, 3, 3)
    axes = linear @ axes
    variances, directions = np.linalg.eigh(axes @ axes.swapaxes(1, 2))
    directions[:, :, 0] *= np.sign(np.linalg.det(directions))[:, None]
    return Gaussians(
        means=means.astype(gaussians.means.dtype),
        scales=np.sqrt(variances.clip(0, None)).astype(gaussians.scales.dtype),
        rotations=quaternions.from_matrix(directions).astype(gaussians.rotations.dtype),
        harmonics=gaussians.harmonics,
        opacities=gaussians.opacities,
    )


def _of_views(gaussians: Gaussians, views: int) -> list[Gaussians]:
    """Equal parts, in order."""
    if len(gaussians) % views:
        raise ValueError(f"{len(gaussians)} Gaussians cannot be those of {views} views of one size")
    each = len(gaussians) // views
    names = [part.name for part in fields(Gaussians)]
    return [
        Gaussians(**{name: getattr(gaussians, name)[view * each : (view + 1) * each] for name in names})
        for view in range(views)
    ]


def _joined(parts: Sequence[Gaussians]) -> Gaussians:
    names = [part.name for part in fields(Gaussians)]
    return Gaussians(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
