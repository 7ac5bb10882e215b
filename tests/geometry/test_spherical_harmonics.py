from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.spherical_harmonics import evaluate_basis, rotation_matrices
from tests.seeds import numpy_random

from .random_cameras import random_rotations


def random_directions(seed: int, count: int = 300) -> np.ndarray:
    return random_rotations(numpy_random(seed), count)[:, 0]


@pytest.fixture(params=range(4))
def degree(request):
    return request.param


def test_basis_is_orthonormal(degree):
    """Integrals over the sphere, exact by Gauss-Legendre in z and equal steps in the angle."""
    z, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * 2 * np.pi / 16
    z, angles = (grid.ravel() for grid in np.meshgrid(z, angles, indexing="ij"))
    radius = np.sqrt(1 - z * z)
    directions = np.stack([radius * np.cos(angles), radius * np.sin(angles), z], axis=1)
    values = evaluate_basis(directions, degree)
    gram = values.T @ (values * np.repeat(weights, 16)[:, None]) * 2 * np.pi / 16
    np.testing.assert_allclose(gram, np.eye((degree + 1) ** 2), atol=1e-12)


def test_basis_is_that_of_the_3dgs_renderer():
    """The published renderer's constants, in its order and with its signs."""
    c0, c1 = 0.28209479177387814, 0.4886025119029199
    c2 = [1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396]
    c3 = [
        -0.5900435899266435,
        2.890611442640554,
        -0.4570457994644658,
        0.3731763325901154,
        -0.4570457994644658,
        1.445305721320277,
        -0.5900435899266435,
    ]
    directions = random_directions(0)
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    bands2 = [x * y, y * z, 2 * zz - xx - yy, x * z, xx - yy]
    bands3 = [
        y * (3 * xx - yy),
        x * y * z,
        y * (4 * zz - xx - yy),
        z * (2 * zz - 3 * xx - 3 * yy),
        x * (4 * zz - xx - yy),
        z * (xx - yy),
        x * (xx - 3 * yy),
    ]
    expected = [np.full_like(x, c0), -c1 * y, c1 * z, -c1 * x]
    expected += [c * b for c, b in zip(c2, bands2, strict=True)] + [c * b for c, b in zip(c3, bands3, strict=True)]
    np.testing.assert_allclose(evaluate_basis(directions, 3), np.stack(expected, axis=1), atol=1e-12)


def test_rotated_coefficients_describe_the_rotated_function(degree):
    generator = numpy_random(degree)
    rotations = random_rotations(generator, 20)
    coefficients = generator.normal(size=(20, (degree + 1) ** 2))
    directions = random_directions(1)
    rotated = np.einsum("nij,nj->ni", rotation_matrices(rotations, degree), coefficients)
    values = np.einsum("sk,nk->ns", evaluate_basis(directions, degree), rotated)
    turned_back = directions @ rotations  # (n, s, 3), rows Rᵀ d
    expected = np.einsum("nsk,nk->ns", evaluate_basis(turned_back, degree), coefficients)
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_representation_laws(degree):
    generator = numpy_random(degree)
    first, second = random_rotations(generator, 2, 5), random_rotations(generator, 2, 5)
    d1, d2 = rotation_matrices(first, degree), rotation_matrices(second, degree)
    identity = np.eye((degree + 1) ** 2)
    np.testing.assert_allclose(rotation_matrices(np.eye(3), degree), identity, atol=1e-12)
    np.testing.assert_allclose(rotation_matrices(first @ second, degree), d1 @ d2, atol=1e-12)
    np.testing.assert_allclose(d1 @ d1.swapaxes(-1, -2), np.broadcast_to(identity, d1.shape), atol=1e-12)
    assert d1.shape == (2, 5, (degree + 1) ** 2, (degree + 1) ** 2)


def test_bands_do_not_mix():
    matrix = rotation_matrices(random_rotations(numpy_random(0)), 3)
    bands = np.repeat(np.arange(4), [1, 3, 5, 7])
    assert (matrix[bands[:, None] != bands] == 0).all()


@pytest.mark.parametrize("degree", [-1, 4])
def test_unknown_degree_is_refused(degree):
    with pytest.raises(ValueError, match="degree must be 0 to 3"):
        evaluate_basis(np.eye(3), degree)
