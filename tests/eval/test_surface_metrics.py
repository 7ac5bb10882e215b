"""Surface metrics against brute force and by hand; TSDF fusion against a sphere."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.eval.surface_metrics import nearest_distances, surface_scores, thin
from recon.eval.tsdf import fuse_depth
from recon.geometry.cameras import invert_rigid


def test_nearest_distances_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    points, targets = rng.normal(size=(300, 3)), rng.normal(size=(170, 3))
    expected = np.linalg.norm(points[:, None] - targets, axis=2).min(axis=1)
    np.testing.assert_allclose(nearest_distances(points, targets), expected)
    scores = surface_scores(points, targets, 0.4)
    assert scores is not None
    back = np.linalg.norm(points[:, None] - targets, axis=2).min(axis=0)
    assert scores.accuracy == pytest.approx(expected.mean())
    assert scores.completeness == pytest.approx(back.mean())
    assert scores.chamfer == pytest.approx((expected.mean() + back.mean()) / 2)
    assert scores.precision == (expected < 0.4).mean()
    assert scores.recall == (back < 0.4).mean()


def test_scores_by_hand() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    predicted = np.array([[0, 0.1, 0], [1, 0, 0.3], [np.nan, 0, 0]])
    scores = surface_scores(predicted, truth, 0.2)
    assert scores is not None
    assert scores.predicted_points == 2
    assert scores.accuracy == pytest.approx(0.2)
    assert scores.precision == 0.5
    assert scores.recall == 0.25
    assert scores.f1 == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    far = surface_scores(predicted, truth, 0.2, outlier_distance=0.25)
    assert far is not None
    assert far.accuracy == pytest.approx(0.1)
    assert far.precision == 0.5  # the outlier still counts there


def test_empty_clouds() -> None:
    truth = np.zeros((5, 3))
    scores = surface_scores(np.empty((0, 3)), truth, 1.0)
    assert scores is not None
    assert (scores.f1, scores.recall) == (0, 0)
    assert scores.chamfer is scores.precision is None
    assert surface_scores(truth, np.empty((0, 3)), 1.0) is None
    nowhere = surface_scores(truth, truth + 100, 1.0, outlier_distance=1.0)
    assert nowhere is not None
    assert nowhere.chamfer is None
    assert nowhere.f1 == 0


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_wrong_threshold(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold"):
        surface_scores(np.zeros((1, 3)), np.zeros((1, 3)), threshold)


def test_thinning_keeps_one_mean_per_cell() -> None:
    points = np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [1.2, 0.1, 0.1], [-0.1, 0.1, 0.1], [1e30, 0, 0]])
    thinned = thin(points, 1.0)
    expected = [[-0.1, 0.1, 0.1], [0.2, 0.1, 0.1], [1.2, 0.1, 0.1], [1e30, 0, 0]]
    np.testing.assert_allclose(sorted(thinned.tolist()), expected)
    assert thin(np.empty((0, 3)), 1.0).shape == (0, 3)
    rng = np.random.default_rng(0)
    many = rng.normal(size=(5000, 3))
    assert len(thin(many, 0.3)) == len(np.unique(np.floor(many / 0.3), axis=0))


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
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    surface = [0.3, -0.2, 5] + directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert nearest_distances(surface, points).max() < 0.06


def test_a_wall_is_found_between_the_voxels() -> None:
    depth = np.full((1, HEIGHT, WIDTH), 2.013, np.float32)
    points = fuse_depth(depth, INTRINSICS[None], np.eye(4)[None], voxel=0.05, truncation=0.2)
    np.testing.assert_allclose(points[:, 2], 2.013, atol=1e-5)
    assert len(thin(points, 0.05)) == pytest.approx(2.013**2 * HEIGHT * WIDTH / FOCAL**2 / 0.05**2, rel=0.05)


def test_fusion_averages_noise_away() -> None:
    depth = np.full((16, HEIGHT, WIDTH), 2.0) + np.random.default_rng(0).normal(0, 0.02, (16, HEIGHT, WIDTH))
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
    monkeypatch.setattr("recon.eval.tsdf.MAX_BLOCKS", 10)
    depth, cameras = sphere_views()
    with pytest.raises(InputError, match="more than 10 blocks"):
        fuse_depth(depth[:1], INTRINSICS[None], cameras[:1], 0.05, 0.2)
