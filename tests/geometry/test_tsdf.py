"""TSDF fusion against a sphere and a wall."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.geometry.tsdf import fuse_depth
from tests.seeds import numpy_random

HEIGHT, WIDTH, FOCAL = 120, 160, 150.0
INTRINSICS = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])


def sphere_views() -> tuple[np.ndarray, np.ndarray]:
    """Depth (6, H, W) and cameras (6, 4, 4) that see the unit sphere at (0.3, -0.2, 5) from all sides, 4 away."""
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5 - WIDTH / 2) / FOCAL, (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / FOCAL)
    a, b, c = x**2 + y**2 + 1, -8.0, 15.0  # |z (x, y, 1) - (0, 0, 4)| = 1
    discriminant = b * b - 4 * a * c
    depth = np.where(discriminant > 0, (-b - np.sqrt(np.maximum(discriminant, 0))) / (2 * a), 0)
    cameras = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            forward = -sign * np.eye(3)[axis]
            right = np.eye(3)[(axis + 1) % 3]
            camera_to_world = np.eye(4)
            camera_to_world[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
            camera_to_world[:3, 3] = np.array([0.3, -0.2, 5]) - 4 * forward
            cameras.append(invert_rigid(camera_to_world))
    return np.tile(depth, (6, 1, 1)).astype(np.float32), np.stack(cameras)


def test_fused_points_lie_on_the_sphere_and_cover_it() -> None:
    depth, cameras = sphere_views()
    points = fuse_depth(depth, np.tile(INTRINSICS, (6, 1, 1)), cameras, voxel=0.05, truncation=0.2)
    radii = np.linalg.norm(points - [0.3, -0.2, 5], axis=1)
    assert np.abs(radii - 1).mean() < 0.01
    assert np.abs(radii - 1).max() < 0.05
    directions = numpy_random(0).normal(size=(2000, 3))
    surface = [0.3, -0.2, 5] + directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert cKDTree(points).query(surface)[0].max() < 0.06


def test_a_wall_is_found_between_the_voxels() -> None:
    depth = np.full((1, HEIGHT, WIDTH), 2.013, np.float32)
    points = fuse_depth(depth, INTRINSICS[None], np.eye(4)[None], voxel=0.05, truncation=0.2)
    np.testing.assert_allclose(points[:, 2], 2.013, atol=1e-5)
    assert len(np.unique(np.floor(points / 0.05), axis=0)) == pytest.approx(
        2.013**2 * HEIGHT * WIDTH / FOCAL**2 / 0.05**2, rel=0.05
    )


def test_fusion_averages_noise_away() -> None:
    depth = np.full((16, HEIGHT, WIDTH), 2.0) + numpy_random(0).normal(0, 0.02, (16, HEIGHT, WIDTH))
    cameras, intrinsics = np.tile(np.eye(4), (16, 1, 1)), np.tile(INTRINSICS, (16, 1, 1))
    one = fuse_depth(depth[:1], intrinsics[:1], cameras[:1], 0.02, 0.1)
    all_of_them = fuse_depth(depth, intrinsics, cameras, 0.02, 0.1)
    middle = [np.median(np.abs(points[:, 2] - 2)) for points in (one, all_of_them)]
    assert middle[1] < middle[0] / 2


def test_nothing_to_fuse() -> None:
    empty = np.full((1, HEIGHT, WIDTH), np.nan, np.float32)
    assert fuse_depth(empty, INTRINSICS[None], np.eye(4)[None], 0.1, 0.2).shape == (0, 3)


@pytest.mark.parametrize(
    ("voxel", "truncation", "message"), [(0.0, 1.0, "voxel"), (0.5, 0.2, "voxel"), (1e-7, 1e-6, "far away")]
)
def test_impossible_voxels(voxel: float, truncation: float, message: str) -> None:
    depth, cameras = sphere_views()
    with pytest.raises(InputError, match=message):
        fuse_depth(depth[:1], INTRINSICS[None], cameras[:1], voxel, truncation)


def test_a_field_too_large_for_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.geometry.tsdf.MAX_BLOCKS", 10)
    depth, cameras = sphere_views()
    with pytest.raises(InputError, match="more than 10 blocks"):
        fuse_depth(depth[:1], INTRINSICS[None], cameras[:1], 0.05, 0.2)
