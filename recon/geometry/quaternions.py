"""Rotations as unit quaternions (w, x, y, z); q and -q are the same rotation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.types import FloatArray


def normalise(quaternions: FloatArray) -> FloatArray:
    """Unit quaternions (..., 4) of the same directions; (0, 0, 0, 0) becomes the identity (1, 0, 0, 0)."""
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    identity = np.array([1, 0, 0, 0], quaternions.dtype)
    return np.where(length > 0, quaternions / np.where(length > 0, length, 1), identity)


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Hamilton product (..., 4): the rotation `right` followed by the rotation `left`. Shapes broadcast."""
    w1, x1, y1, z1 = _components(left)
    w2, x2, y2, z2 = _components(right)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def to_matrix(quaternions: FloatArray) -> FloatArray:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = _components(quaternions)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return np.stack(entries, axis=-1).reshape(*quaternions.shape[:-1], 3, 3)


def from_matrix(rotations: FloatArray) -> FloatArray:
    """Unit quaternions (..., 4), w ≥ 0, of rotation matrices (..., 3, 3).

    Each of the four components, where it is large, gives all others without cancellation; the largest is used
    (Shepperd 1978).
    """
    r = rotations
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    wx, wy, wz = r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]
    xy, xz, yz = r[..., 0, 1] + r[..., 1, 0], r[..., 0, 2] + r[..., 2, 0], r[..., 1, 2] + r[..., 2, 1]
    # Row k is 4 q_k (w, x, y, z).
    multiples = np.stack(
        [
            np.stack([1 + xx + yy + zz, wx, wy, wz], axis=-1),
            np.stack([wx, 1 + xx - yy - zz, xy, xz], axis=-1),
            np.stack([wy, xy, 1 - xx + yy - zz, yz], axis=-1),
            np.stack([wz, xz, yz, 1 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )  # (..., 4, 4)
    largest = np.argmax(np.diagonal(multiples, axis1=-2, axis2=-1), axis=-1)
    quaternions = normalise(np.take_along_axis(multiples, largest[..., None, None], axis=-2)[..., 0, :])
    return np.where(quaternions[..., :1] < 0, -quaternions, quaternions)


def slerp(start: FloatArray, end: FloatArray, fraction: FloatArray | float) -> FloatArray:
    """Unit quaternions (..., 4) part of the shorter way from `start` to `end`, at constant angular speed.

    `fraction` (...) is 0 at `start` and 1 at `end` (Shoemake 1985). Of the two ways between rotations half a turn
    apart, one is taken.
    """
    share = np.asarray(fraction)[..., None]
    end = np.where((start * end).sum(axis=-1, keepdims=True) < 0, -end, end)
    angle = 2 * np.arctan2(_length(end - start), _length(end + start))  # between the 4-vectors, at most 90 degrees
    sine = np.sin(angle)
    apart = sine > 1e-7
    divisor = np.where(apart, sine, 1)
    of_start = np.where(apart, np.sin((1 - share) * angle) / divisor, 1 - share)
    of_end = np.where(apart, np.sin(share * angle) / divisor, share)
    return normalise(of_start * start + of_end * end)


def angle_between(left: FloatArray, right: FloatArray) -> FloatArray:
    """Angles (...) in radians, 0 to π, of the rotations that take unit quaternions `left` (..., 4) to `right`."""
    difference, total = _length(left - right)[..., 0], _length(left + right)[..., 0]
    return 4 * np.arctan2(np.minimum(difference, total), np.maximum(difference, total))


def _length(vectors: FloatArray) -> FloatArray:
    return np.linalg.norm(vectors, axis=-1, keepdims=True)


def _components(quaternions: FloatArray) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    return quaternions[..., 0], quaternions[..., 1], quaternions[..., 2], quaternions[..., 3]
