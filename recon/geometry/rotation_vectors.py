"""Rotations as vectors along their axes, as long as their angles in radians: what optimisation steps in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALL = 1e-4
"""Radians, below which series stand for quotients of small numbers."""


def rotation_vectors(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3), not longer than pi, of rotations (N, 3, 3)."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(rotations).as_rotvec())


def from_rotation_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) rotations of vectors (N, 3)."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(vectors).as_matrix())


def skew(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) matrices whose product with a vector is the cross product of `vectors` (N, 3) with it."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)


def inverse_right_jacobian(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) J with log(exp(v) exp(d)) = v + J d for small d, of vectors v (N, 3).

    Chirikjian, Stochastic Models, Information Theory, and Lie Groups, vol. 2, eq. 10.86 (inverse).
    """
    angle = np.linalg.norm(vectors, axis=1)
    safe = np.maximum(angle, _SMALL)
    quotient = 1 / safe**2 - (1 + np.cos(safe)) / (2 * safe * np.sin(safe))
    factor = np.where(angle < _SMALL, 1 / 12, quotient)
    crossed = skew(vectors)
    return np.asarray(np.eye(3) + crossed / 2 + factor[:, None, None] * (crossed @ crossed))
