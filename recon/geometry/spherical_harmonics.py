"""The real spherical harmonics of 3D Gaussian splatting, and how their coefficients turn with the world.

Basis, order and signs are those of the 3DGS renderer (Kerbl et al. 2023; Sloan, "Efficient Spherical Harmonic
Evaluation", 2013): orthonormal on the sphere, band after band, m from -degree to degree, with the Condon-Shortley sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.types import FloatArray

MAX_DEGREE = 3
"""Highest degree that splat files and viewers know."""

_SAMPLES = 64
"""Directions that fix a rotation matrix; any well-spread number above (MAX_DEGREE + 1)² does."""


def evaluate_basis(directions: FloatArray, degree: int) -> NDArray[np.float64]:
    """Values (..., (degree + 1)²) of the basis functions in unit `directions` (..., 3).

    Raises:
        ValueError: the degree is not 0 to 3.
    """
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"degree must be 0 to {MAX_DEGREE}, got {degree}")
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    pi = np.pi
    values = [np.full_like(x, np.sqrt(1 / (4 * pi)))]
    if degree >= 1:
        first = np.sqrt(3 / (4 * pi))
        values += [-first * y, first * z, -first * x]
    if degree >= 2:
        second = np.sqrt(15 / (4 * pi))
        values += [
            second * x * y,
            -second * y * z,
            np.sqrt(5 / (16 * pi)) * (3 * z * z - 1),
            -second * x * z,
            second / 2 * (x * x - y * y),
        ]
    if degree >= 3:
        outer, inner, middle = np.sqrt(35 / (32 * pi)), np.sqrt(21 / (32 * pi)), np.sqrt(105 / (4 * pi))
        values += [
            -outer * y * (3 * x * x - y * y),
            middle * x * y * z,
            -inner * y * (5 * z * z - 1),
            np.sqrt(7 / (16 * pi)) * z * (5 * z * z - 3),
            -inner * x * (5 * z * z - 1),
            middle / 2 * z * (x * x - y * y),
            -outer * x * (x * x - 3 * y * y),
        ]
    return np.stack(values, axis=-1)


def rotation_matrices(rotations: FloatArray, degree: int) -> NDArray[np.float64]:
    """Matrices D that turn coefficients with the world: c' = D c describes f'(d) = f(Rᵀ d).

    Each band maps to itself, so D follows exactly from the basis in a few fixed directions: B(d) D = B(Rᵀ d).

    Args:
        rotations: (..., 3, 3) old world to new world.
        degree: of the harmonics, 0 to 3.

    Returns:
        (..., K, K) orthogonal and block-diagonal, K = (degree + 1)².
    """
    directions = _fibonacci_sphere(_SAMPLES)  # (S, 3)
    basis = evaluate_basis(directions, degree)  # (S, K)
    turned = evaluate_basis(directions @ np.asarray(rotations, np.float64), degree)  # (..., S, K), rows Rᵀ d
    matrices = np.zeros((*rotations.shape[:-2], basis.shape[1], basis.shape[1]))
    for band in range(degree + 1):
        inside = slice(band**2, (band + 1) ** 2)
        matrices[..., inside, inside] = np.linalg.pinv(basis[:, inside]) @ turned[..., inside]
    return matrices


def _fibonacci_sphere(count: int) -> NDArray[np.float64]:
    """(count, 3) unit directions spread evenly over the sphere."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    angle = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
