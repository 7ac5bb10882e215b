"""The scale of depth by what several views see of each other, on a small scene whose truth is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from recon.geometry.scale_between_views import agreeing_views, pairs_of, scale_between
from tests.seeds import numpy_random

from ..conftest import REPOSITORY
from ..synthetic.sample_scenes import load_scene

SCENES: Path = REPOSITORY / "scenes"


@pytest.fixture(scope="module")
def table():
    scene = load_scene(SCENES / "table")
    depth = np.stack([cv2.resize(one, (168, 126), interpolation=cv2.INTER_NEAREST_EXACT) for one in scene.depth[:4]])
    height, width = scene.depth[0].shape
    intrinsics = np.diag([168 / width, 126 / height, 1]) @ scene.cameras.intrinsics[:4]
    return depth, intrinsics, scene.cameras.world_to_camera[:4]


@pytest.mark.parametrize("unit", [0.001, 0.42, 1.0, 7.0])
def test_the_scale_is_found(table, unit: float) -> None:
    depth, *cameras = table
    generator = numpy_random(0)
    sparse = np.where(generator.random(depth.shape) < 0.3, depth / np.float32(unit), 0).astype(np.float32)
    found = scale_between(sparse, *cameras)
    assert found.told
    assert found.scale == pytest.approx(unit, rel=0.02)


def test_a_wall_that_cameras_pass_by_tells_no_scale() -> None:
    intrinsics = np.tile([[100.0, 0, 84], [0, 100, 63], [0, 0, 1]], (3, 1, 1))
    world_to_camera = np.tile(np.eye(4), (3, 1, 1))
    world_to_camera[:, 0, 3] = [0, -0.2, -0.4]
    found = scale_between(np.full((3, 126, 168), 2, np.float32), intrinsics, world_to_camera)
    assert not found.told


def test_depth_of_another_view_is_apart(table) -> None:
    depth, *cameras = table
    wrong = depth.copy()
    wrong[1] = depth[3]
    shares, apart = agreeing_views(pairs_of(wrong, *cameras), 1.0)
    assert apart.tolist() == [False, True, False, False]
    assert shares[1] < 0.3
    assert shares[[0, 2, 3]].min() > 0.9
