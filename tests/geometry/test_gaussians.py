from __future__ import annotations

import numpy as np
import pytest

from recon.geometry import quaternions
from recon.geometry.gaussians import move_with_cameras, move_with_intrinsics, transform_gaussians
from recon.geometry.spherical_harmonics import evaluate_basis
from recon.types import Gaussians
from tests.seeds import numpy_random

from .random_cameras import random_extrinsics, random_rotations, random_similarity


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


def before_cameras(gaussians: Gaussians, world_to_camera: np.ndarray) -> np.ndarray:
    """Centres (N, G / N, 3) in the frames of N cameras."""
    views = len(world_to_camera)
    homogeneous = np.concatenate([gaussians.means, np.ones((len(gaussians), 1))], axis=1).reshape(views, -1, 4)
    return (homogeneous @ world_to_camera.swapaxes(1, 2))[..., :3]


def test_each_views_move_with_its_own_camera(gaussians):
    generator = numpy_random(3)
    first, second = random_extrinsics(generator, 3), random_extrinsics(generator, 3)
    moved = move_with_cameras(gaussians, first, second, scale=2.5)
    expected = 2.5 * before_cameras(gaussians, first)
    np.testing.assert_allclose(before_cameras(moved, second), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(moved.scales, 2.5 * gaussians.scales, rtol=1e-5)
    back = move_with_cameras(moved, second, first, scale=1 / 2.5)
    np.testing.assert_allclose(back.means, gaussians.means, atol=1e-4)
    np.testing.assert_allclose(back.harmonics, gaussians.harmonics, atol=1e-4)


def test_the_same_cameras_twice_is_one_similarity(gaussians):
    similarity = random_similarity(numpy_random(5))
    cameras = random_extrinsics(numpy_random(6), 3)
    moved = move_with_cameras(gaussians, cameras, similarity.apply_to_extrinsics(cameras), similarity.scale)
    np.testing.assert_allclose(moved.means, transform_gaussians(gaussians, similarity).means, rtol=1e-4, atol=1e-4)


def test_other_intrinsics_keep_pixels_and_depth(gaussians):
    cameras = random_extrinsics(numpy_random(4), 3)
    old = np.tile([[60.0, 0, 30], [0, 62.0, 20], [0, 0, 1]], (3, 1, 1))
    new = np.tile([[80.0, 0, 28], [0, 70.0, 23], [0, 0, 1]], (3, 1, 1))
    new[2, 0, 0] = 50
    moved = move_with_intrinsics(gaussians, cameras, old, new)
    before, after = before_cameras(gaussians, cameras), before_cameras(moved, cameras)
    np.testing.assert_allclose(after[..., 2], before[..., 2], atol=1e-4)
    np.testing.assert_allclose(after @ new.swapaxes(1, 2), before @ old.swapaxes(1, 2), atol=1e-2, rtol=1e-4)
    linear = np.linalg.inv(new) @ old
    in_world = cameras[:, :3, :3].swapaxes(1, 2) @ linear @ cameras[:, :3, :3]
    expected = np.repeat(in_world, 10, axis=0) @ covariances(gaussians) @ np.repeat(in_world, 10, axis=0).swapaxes(1, 2)
    np.testing.assert_allclose(covariances(moved), expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(moved.rotations, axis=1), 1, rtol=1e-5)
