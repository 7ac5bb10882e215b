"""Rotation of spherical harmonics against the reference package, which uses e3nn's Wigner matrices."""

from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.spherical_harmonics import rotation_matrices
from tests.seeds import numpy_random

from ..geometry.random_cameras import random_rotations

pytestmark = pytest.mark.reference


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_rotated_coefficients_equal_the_reference(degree):
    torch = pytest.importorskip("torch")
    pytest.importorskip("e3nn")
    sh_helpers = pytest.importorskip("depth_anything_3.utils.sh_helpers")
    generator = numpy_random(degree)
    rotations = random_rotations(generator, 50)
    coefficients = generator.normal(size=(50, (degree + 1) ** 2))
    expected = sh_helpers.rotate_sh(torch.tensor(coefficients).float(), torch.tensor(rotations).float())
    rotated = np.einsum("nij,nj->ni", rotation_matrices(rotations, degree), coefficients)
    np.testing.assert_allclose(rotated, expected.numpy(), atol=1e-4)
