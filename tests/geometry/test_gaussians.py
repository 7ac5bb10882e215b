from __future__ import annotations

import numpy as np
import pytest

from recon.geometry import quaternions
from recon.geometry.gaussians import transform_gaussians
from recon.geometry.spherical_harmonics import evaluate_basis
from recon.types import Gaussians
from tests.seeds import numpy_random

from .random_cameras import random_rotations, random_similarity


@pytest.fixture(params=range(4))
def gaussians(request):
    generator = numpy_random(request.param)
    count = 30
    return Gaussians(
        means=generator.normal(size=(count, 3)).astype(np.float32),
        scales=generator.uniform(0.1, 1, (count, 3)).astype(np.float32),
        rotations=quaternions.from_matrix(random_rotations(generator, count)).astype(np.float32),
        harmonics=generator.normal(size=(count, 3, (request.param + 1) ** 2)).astype(np.float32),
        opacities=generator.uniform(size=count).astype(np.float32),
    )


def covariances(gaussians: Gaussians) -> np.ndarray:
    axes = quaternions.to_matrix(gaussians.rotations) * gaussians.scales[:, None, :]
    return axes @ axes.swapaxes(1, 2)


def test_means_covariances_and_colours_follow_the_world(gaussians):
    similarity = random_similarity(numpy_random(9))
    moved = transform_gaussians(gaussians, similarity)
    np.testing.assert_allclose(moved.means, similarity.apply(gaussians.means), rtol=1e-6, atol=1e-6)
    linear = similarity.scale * similarity.rotation
    np.testing.assert_allclose(covariances(moved), linear @ covariances(gaussians) @ linear.T, rtol=1e-4, atol=1e-4)
    directions = random_rotations(numpy_random(8), 50)[:, 0]
    seen = moved.harmonics @ evaluate_basis(directions @ similarity.rotation.T, gaussians.sh_degree).T
    np.testing.assert_allclose(seen, gaussians.harmonics @ evaluate_basis(directions, gaussians.sh_degree).T, atol=1e-5)
    np.testing.assert_array_equal(moved.opacities, gaussians.opacities)


def test_round_trip_and_dtype(gaussians):
    similarity = random_similarity(numpy_random(9))
    back = transform_gaussians(transform_gaussians(gaussians, similarity), similarity.inverse())
    for name in ("means", "scales", "harmonics"):
        assert getattr(back, name).dtype == np.float32
        np.testing.assert_allclose(getattr(back, name), getattr(gaussians, name), rtol=1e-5, atol=1e-5)
    alignment = np.abs((back.rotations * gaussians.rotations).sum(axis=1))
    np.testing.assert_allclose(alignment, 1, atol=1e-6)


def test_input_is_unchanged(gaussians):
    before = gaussians.means.copy(), gaussians.harmonics.copy(), gaussians.scales.copy()
    transform_gaussians(gaussians, random_similarity(numpy_random(9)))
    for array, copy in zip((gaussians.means, gaussians.harmonics, gaussians.scales), before, strict=True):
        np.testing.assert_array_equal(array, copy)
