"""What multi-view stereo does with wishes and views that cannot give depth, or only some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.messages import ReconWarning
from recon.stereo.multi_view import StereoOptions, multi_view_depth
from recon.types.cameras import Cameras

from ..sfm.cards import turned
from .planes import INTRINSICS, card, row, see, sparse_points

WALL = card(0, (0, 0, 6.0), 16.0)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"planes": 7}, "planes must be at least 8"),
        ({"window": 8}, "window must be odd"),
        ({"window": 1}, "window must be at least 3"),
        ({"sources": 0}, "sources must be at least 1"),
        ({"refinements": 0}, "refinements must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"noise": 0.0}, "noise must be above 0"),
        ({"tolerance": float("nan")}, "tolerance must be a number"),
        ({"least_score": 1.0}, "least_score must be"),
        ({"depth_range": (2.0, 2.0)}, "depth_range must be a nearest and a larger farthest"),
        ({"depth_range": (0.0, 2.0)}, "depth_range must be"),
        ({"depth_range": (1.0, float("inf"))}, "depth_range must be"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(wish: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        StereoOptions(**wish)


def test_one_view_is_refused():
    views = see([WALL], row(1))
    with pytest.raises(InputError, match="needs at least two views of the scene, got 1"):
        multi_view_depth(views.images, views.cameras, None)


def test_missing_cameras_are_refused():
    views = see([WALL], row(2))
    for cameras, name in (
        (Cameras(None, views.cameras.intrinsics), "extrinsics"),
        (Cameras(views.cameras.world_to_camera, None), "intrinsics"),
        (Cameras(None, None), "extrinsics"),
    ):
        with pytest.raises(InputError, match=f"needs {name}: give cameras, or find them by structure from motion"):
            multi_view_depth(views.images, cameras, None)


def test_counts_that_differ_are_refused():
    views = see([WALL], row(3))
    with pytest.raises(InputError, match="one matrix per image: 3 given for 2 images"):
        multi_view_depth(views.images[:2], views.cameras, None)
    with pytest.raises(InputError, match="sparse points must be of the same views: of 2, not 3"):
        multi_view_depth(views.images, views.cameras, sparse_points(views).select_views([0, 1]))


@pytest.mark.parametrize("size", [(1, 1), (15, 40), (40, 15)])
def test_images_smaller_than_the_windows_are_refused(size: tuple[int, int]):
    images = np.zeros((2, *size, 3), np.uint8)
    with pytest.raises(InputError, match=f"{size[1]}×{size[0]} pixels are too small for multi-view stereo"):
        multi_view_depth(images, Cameras(row(2), np.tile(INTRINSICS, (2, 1, 1))), None)


def test_the_smallest_images_give_what_they_can():
    views = see([card(0, (0, 0, 6.0), 16.0)], row(3, 0.1), (16, 16))
    found = multi_view_depth(views.images, views.cameras, sparse_points(views, 3), StereoOptions(tolerance=0.1))
    kept = found.depth > 0
    assert kept.any()
    assert np.median(np.abs(found.depth[kept] / views.depth[kept] - 1)) < 0.1


@pytest.mark.parametrize("images", [np.zeros((2, 20, 20), np.uint8), np.zeros((2, 20, 20, 3), np.float32)])
def test_other_arrays_than_rgb_bytes_are_refused(images):
    with pytest.raises(InputError, match=r"images must be uint8 of shape \(views, height, width, 3\)"):
        multi_view_depth(images, Cameras(row(2), np.tile(INTRINSICS, (2, 1, 1))), None)


@pytest.mark.parametrize("far_away", [0.0, 1e6])
def test_cameras_at_one_place_are_refused(far_away: float):
    extrinsics = np.stack([turned(angle) for angle in (-0.1, 0.0, 0.1)])
    views = see([WALL], extrinsics)
    moved = extrinsics.copy()
    moved[:, :3, 3] = -extrinsics[:, :3, :3] @ (far_away, 0, 0)
    with pytest.raises(InputError, match="cameras all stand at one place"):
        multi_view_depth(views.images, Cameras(moved, views.cameras.intrinsics), None)


@pytest.mark.parametrize("with_points", [False, True])
def test_views_that_do_not_overlap_get_no_depth_and_a_warning_each(with_points: bool):
    extrinsics = row(2)
    extrinsics[1] = turned(np.pi) @ extrinsics[1]
    views = see([WALL, card(1, (0, 0, -6.0), 16.0)], extrinsics)
    sparse = sparse_points(views) if with_points else None
    with pytest.warns(ReconWarning, match="overlaps with no other view") as said:
        found = multi_view_depth(views.images, views.cameras, sparse, names=("left", "right"))
    assert [str(warning.message).split(" ")[0] for warning in said] == ["'left'", "'right'"]
    assert (found.depth == 0).all()
    assert (found.conf == 1).all()
    assert not found.filled.any()


def test_one_view_apart_does_not_harm_the_others():
    extrinsics = row(4)
    extrinsics[3] = turned(np.pi) @ extrinsics[3]
    views = see([WALL], extrinsics)
    with pytest.warns(ReconWarning, match=r"^view 3 overlaps with no other view"):
        found = multi_view_depth(views.images, views.cameras, None, StereoOptions(fill=True))
    assert (found.depth[3] == 0).all()
    assert (found.depth[:3] > 0).all()


def test_images_without_any_texture_get_no_depth():
    images = np.full((3, 48, 64, 3), 120, np.uint8)
    views = see([WALL], row(3), (48, 64))
    found = multi_view_depth(images, views.cameras, sparse_points(views, 3))
    assert (found.depth == 0).all()
    with pytest.warns(ReconWarning, match="overlaps with no other view"):
        found = multi_view_depth(images, views.cameras, None)
    assert (found.depth == 0).all()


def test_points_behind_the_cameras_count_as_none():
    views = see([WALL], row(2))
    points = SparsePoints(np.tile([0.0, 0, -5], (20, 1)), (np.arange(20), np.arange(20)))
    with pytest.warns(ReconWarning, match="overlaps with no other view"):
        found = multi_view_depth(views.images, views.cameras, points)
    assert (found.depth == 0).all()


def test_points_that_all_lie_at_one_depth_are_range_enough():
    """The range around them has room to both sides."""
    views = see([WALL], row(3))
    sparse = sparse_points(views)
    flat = sparse.points.copy()
    flat[:, 2] = 6.0
    found = multi_view_depth(views.images, views.cameras, SparsePoints(flat, sparse.observed))
    kept = found.depth > 0
    assert kept.mean() > 0.5
    assert np.median(np.abs(found.depth[kept] / views.depth[kept] - 1)) < 0.003


def test_two_views_suffice():
    views = see([WALL], row(2, 1.0))
    found = multi_view_depth(views.images, views.cameras, None)
    kept = found.depth > 0
    assert kept.mean() > 0.5
    assert np.median(np.abs(found.depth[kept] / views.depth[kept] - 1)) < 0.005
