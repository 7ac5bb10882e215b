"""World-to-camera matrices: conversion, inversion, normalisation, and a guess at matrices given the wrong way round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from recon.messages import warn
from recon.types import FloatArray

Float = TypeVar("Float", bound=np.floating[Any])

_LARGEST_SKEW = 1e-6
"""Of a camera without skew, as a fraction of the focal length."""
_SMALLEST_SCENE = 0.1
"""Centre distances below this are not blown up to 1 (the network was trained so)."""

_MEETING_ANGLE = 6.0
"""Degrees by which optical axes may miss their common point (root mean square) and still be said to meet."""
_MISSING_ANGLE = 25.0
"""Degrees from which on optical axes are said to miss their common point."""
_WIDE_SPREAD = 45.0
"""Degrees between two optical axes that a capture needs for its axes to tell anything."""


def to_4x4(transform: NDArray[Float]) -> NDArray[Float]:
    """Rigid or affine maps (..., 3, 4) or (..., 4, 4) as (..., 4, 4), in the same dtype; always a copy."""
    if transform.shape[-2:] == (4, 4):
        return transform.copy()
    full = np.zeros((*transform.shape[:-2], 4, 4), transform.dtype)
    full[..., :3, :] = transform
    full[..., 3, 3] = 1
    return full


def to_3x4(transform: NDArray[Float]) -> NDArray[Float]:
    """The upper three rows (..., 3, 4) of maps (..., 3, 4) or (..., 4, 4); always a copy."""
    return transform[..., :3, :].copy()


def invert_rigid(transform: NDArray[Float]) -> NDArray[Float]:
    """Inverse of rigid motions (..., 3, 4) or (..., 4, 4), in the same shape: rotation Rᵀ, translation -Rᵀ t."""
    inverse = transform.copy()
    transposed = np.swapaxes(transform[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = transposed
    inverse[..., :3, 3:] = -transposed @ transform[..., :3, 3:]
    return inverse


def has_skew(intrinsics: FloatArray) -> NDArray[np.bool_]:
    """(N,) True where (N, 3, 3) intrinsics have more of it than rounding leaves."""
    skew = np.abs(intrinsics[:, [0, 1], [1, 0]]).max(axis=1, initial=0)
    return np.asarray(skew > _LARGEST_SKEW * intrinsics[:, 0, 0])


def camera_centres(world_to_camera: NDArray[Float]) -> NDArray[Float]:
    """Centres (..., 3) in the world of cameras (..., 3, 4) or (..., 4, 4)."""
    return invert_rigid(world_to_camera)[..., :3, 3]


def normalise_extrinsics(world_to_camera: FloatArray) -> NDArray[np.float64]:
    """Cameras as the network was trained to take them: the first at the origin, the median centre at distance 1.

    The world becomes the frame of the first camera; translations are divided by the lower median of the distances of
    all centres (the first one's 0 included), or by 0.1 where that median is smaller.

    Args:
        world_to_camera: (N, 4, 4) or (N, 3, 4).

    Returns:
        (N, 4, 4) world to camera.
    """
    cameras = to_4x4(np.asarray(world_to_camera, np.float64))
    relative = cameras @ invert_rigid(cameras[0])
    distances = np.sort(np.linalg.norm(camera_centres(relative), axis=-1))  # (N,)
    relative[:, :3, 3] /= max(distances[(len(distances) - 1) // 2], _SMALLEST_SCENE)
    return relative


def warn_if_camera_to_world(extrinsics: FloatArray) -> bool:
    """Warn if `extrinsics` (N, 4, 4) or (N, 3, 4) look camera-to-world; returns whether it warned."""
    suspicious = looks_like_camera_to_world(extrinsics)
    if suspicious:
        warn(
            "extrinsics look camera-to-world: their inverses point at a common scene, they themselves do not; "
            "world-to-camera matrices are expected (invert them if so)"
        )
    return suspicious


def looks_like_camera_to_world(extrinsics: FloatArray) -> bool:
    """Whether matrices given as world-to-camera make far better sense as camera-to-world (OpenCV axes).

    Photos of one scene mostly look at something in common. The answer is True only if the inverted reading is such a
    capture and the given one is not:

    - inverted, the optical axes meet in front of the cameras within 6°, from directions at least 45° apart;
    - as given, they miss by more than 25° or meet behind the cameras, or are near parallel where the inverted ones are
      not;
    - inverted, the cameras are held at least as upright (their x axes lie in one plane) as they are as given.

    What it cannot see, and stays silent on: fewer than 3 cameras; dollies, facades and other captures with little
    rotation; rigs that look outwards; and arcs in a world that starts at one of the cameras (or is turned like their
    mean), since there the inverses are an equally good arc. What may alarm it wrongly, in about one of a hundred
    cases: a pan or a bend in the road seen from a far and oddly turned world origin, which has the very matrices of an
    inverted arc.

    Args:
        extrinsics: (N, 4, 4) or (N, 3, 4).
    """
    if len(extrinsics) < 3:
        return False
    cameras = to_4x4(np.asarray(extrinsics, np.float64))
    given, inverted = _viewing(cameras), _viewing(invert_rigid(cameras))
    meets = inverted.miss < _MEETING_ANGLE and inverted.spread > _WIDE_SPREAD
    given_fails = given.miss > _MISSING_ANGLE or given.spread < inverted.spread / 3
    return bool(meets and given_fails and inverted.tilt <= given.tilt + 0.002)


def warn_if_float32_is_too_coarse(extrinsics: NDArray[np.float64]) -> None:
    """Warn where cameras far from the origin lose what tells them apart when they are stored as float32."""
    centres = camera_centres(extrinsics)
    extent = float(np.linalg.norm(np.ptp(centres, axis=0)))
    spacing = float(np.spacing(np.float32(np.abs(extrinsics[:, :3, 3]).max())))
    if extent > 0 and spacing > 1e-4 * extent:
        warn(
            f"the given cameras are so far from the origin that float32 places them to {spacing:.2g} units only, "
            f"and they span {extent:.3g}: subtract an offset from the world's coordinates"
        )


@dataclass(frozen=True)
class _Viewing:
    """How well cameras look at one thing."""

    miss: float
    """Root mean square angle between an optical axis and the ray to the point nearest to all of them, degrees; a
    camera with that point behind it counts more than 90."""
    spread: float
    """Largest angle between two optical axes, degrees."""
    tilt: float
    """How far the camera x axes are from lying in one plane, as they do for cameras without roll; 0 to 0.58."""


def _viewing(world_to_camera: NDArray[np.float64]) -> _Viewing:
    rotation, centres = world_to_camera[:, :3, :3], camera_centres(world_to_camera)
    axes = rotation[:, 2]  # (N, 3)
    point = _nearest_point(centres, axes)
    rays = point - centres
    along = (rays * axes).sum(axis=1)  # (N,)
    across = np.linalg.norm(rays - along[:, None] * axes, axis=1)
    miss = np.degrees(np.arctan2(across, along))
    cosines: NDArray[Any] = np.clip(axes @ axes.T, -1, 1)
    return _Viewing(
        miss=float(np.sqrt((miss**2).mean())),
        spread=float(np.degrees(np.arccos(cosines.min()))),
        tilt=float(np.linalg.svd(rotation[:, 0], compute_uv=False)[2] / np.sqrt(len(rotation))),
    )


def _nearest_point(origins: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point (3,) with the least sum of squared distances to lines along unit `directions`."""
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]  # (N, 3, 3)
    middle = origins.mean(axis=0)
    offset = (across @ (origins - middle)[:, :, None]).mean(axis=0)[:, 0]
    return middle + np.linalg.pinv(across.mean(axis=0), rcond=1e-9, hermitian=True) @ offset
