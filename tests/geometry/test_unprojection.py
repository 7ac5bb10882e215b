from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.unprojection import pixel_centres, project_points, unproject_depth
from tests.seeds import numpy_random

from .random_cameras import random_extrinsics, upright_cameras

HEIGHT, WIDTH = 42, 56


@pytest.fixture
def two_views():
    """Intrinsics (2, 3, 3), extrinsics (2, 4, 4) of cameras that look at the origin from 4 units away, 30° apart."""
    intrinsics = np.array([[[60, 0.7, 27], [0, 63, 22], [0, 0, 1]], [[50, 0, 28], [0, 50, 21], [0, 0, 1.0]]])
    centres = 4 * np.array([[0.0, -1, 0.1], [np.sin(np.pi / 6), -np.cos(np.pi / 6), 0.2]])
    return intrinsics, upright_cameras(centres, -centres)


def rays(intrinsics, extrinsics, pixels):
    """Centre (3,) and directions (P, 3) in the world, of unit z in the camera, of pixels (P, 2) in one camera."""
    rotation, translation = extrinsics[:3, :3], extrinsics[:3, 3]
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    return -rotation.T @ translation, np.linalg.solve(intrinsics, homogeneous.T).T @ rotation


def depth_of_plane(intrinsics, extrinsics, pixels):
    """Depth at `pixels` of the plane y = 0."""
    centre, directions = rays(intrinsics, extrinsics, pixels)
    return -centre[1] / directions[:, 1]


def depth_of_sphere(intrinsics, extrinsics, pixels):
    """Depth at `pixels` of a sphere of radius 3 around the origin, seen from outside; NaN beside it."""
    centre, directions = rays(intrinsics, extrinsics, pixels)
    a, half_b, c = (directions**2).sum(axis=1), directions @ centre, centre @ centre - 9
    return (-half_b - np.sqrt(half_b**2 - a * c)) / a


@pytest.mark.parametrize("surface", [depth_of_plane, depth_of_sphere])
def test_points_of_two_views_with_exact_depth_coincide(two_views, surface):
    intrinsics, extrinsics = two_views
    pixels = pixel_centres(HEIGHT, WIDTH)
    depth = surface(intrinsics[0], extrinsics[0], pixels.reshape(-1, 2)).reshape(1, HEIGHT, WIDTH)
    first = unproject_depth(depth.astype(np.float32), intrinsics[:1], extrinsics[:1])
    seen_at, _ = project_points(first, intrinsics[1:], extrinsics[1:])
    # The second camera's own depth and pixel there lead back to the same points.
    expected_depth = surface(intrinsics[1], extrinsics[1], seen_at.reshape(-1, 2))
    centre, directions = rays(intrinsics[1], extrinsics[1], seen_at.reshape(-1, 2))
    second = centre + directions * expected_depth[:, None]
    visible = np.isfinite(expected_depth) & (np.abs(first.reshape(-1, 3) - second).max(axis=1) < 0.5)
    assert visible.mean() > 0.6
    np.testing.assert_allclose(first.reshape(-1, 3)[visible], second[visible], atol=1e-4)


def test_pixel_grids_of_two_views_of_a_plane_lie_on_it(two_views):
    intrinsics, extrinsics = two_views
    pixels = pixel_centres(HEIGHT, WIDTH).reshape(-1, 2)
    depth = np.stack([depth_of_plane(k, e, pixels) for k, e in zip(intrinsics, extrinsics, strict=True)])
    points = unproject_depth(depth.reshape(2, HEIGHT, WIDTH).astype(np.float32), intrinsics, extrinsics[:, :3])
    np.testing.assert_allclose(points[..., 1], 0, atol=1e-5)


def test_projecting_returns_pixel_centres_and_depth():
    generator = numpy_random(0)
    views = 5
    intrinsics = np.tile(np.eye(3), (views, 1, 1))
    intrinsics[:, [0, 1], [0, 1]] = generator.uniform(30, 300, (views, 2))
    intrinsics[:, 0, 1] = generator.normal(size=views)
    intrinsics[:, :2, 2] = generator.uniform(10, 40, (views, 2))
    extrinsics = random_extrinsics(generator, views)
    depth = generator.uniform(0.5, 20, (views, HEIGHT, WIDTH)).astype(np.float32)
    points = unproject_depth(depth, intrinsics, extrinsics)
    assert points.dtype == np.float32
    assert points.shape == (views, HEIGHT, WIDTH, 3)
    pixels, z = project_points(points, intrinsics, extrinsics)
    np.testing.assert_allclose(pixels, np.broadcast_to(pixel_centres(HEIGHT, WIDTH), pixels.shape), atol=2e-3)
    np.testing.assert_allclose(z, depth, rtol=1e-5, atol=1e-5)


def test_pixel_centres_are_at_half_integers():
    centres = pixel_centres(2, 3)
    np.testing.assert_array_equal(centres[0], [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5]])
    np.testing.assert_array_equal(centres[1, 0], [0.5, 1.5])


def test_middle_of_an_odd_image_is_on_the_optical_axis():
    """With the principal point in the middle of 3 × 5 pixels, the middle pixel's centre is the principal point."""
    intrinsics = np.array([[[2.0, 0, 2.5], [0, 2, 1.5], [0, 0, 1]]])
    points = unproject_depth(np.full((1, 3, 5), 4.0), intrinsics, np.eye(4)[None])
    np.testing.assert_array_equal(points[0, 1, 2], [0, 0, 4])
    np.testing.assert_array_equal(points[0, 0, 0], [-4, -2, 4])


def test_depth_that_is_no_number_spoils_only_its_point():
    depth = np.ones((1, 4, 4), np.float32)
    depth[0, 1, 2], depth[0, 3, 3] = np.nan, np.inf
    points = unproject_depth(depth, np.eye(3)[None], np.eye(4)[None])
    np.testing.assert_array_equal(np.isfinite(points).all(axis=-1), np.isfinite(depth))


def test_points_behind_the_camera_have_negative_depth():
    _, z = project_points(np.array([[[0, 0, -1.0], [0, 0, 2]]]), np.eye(3)[None], np.eye(4)[None])
    np.testing.assert_array_equal(z, [[-1, 2]])
