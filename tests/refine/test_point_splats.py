"""Splats from sparse points, and their colours from photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.refine.point_splats import colors_in_photos, splats_from_points
from recon.splats.parameters import check_gaussians
from recon.splats.rendering import render
from recon.types.cameras import Cameras
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random


def test_scales_are_the_distances_of_neighbours_and_colours_those_given() -> None:
    line = np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0], [6, 0, 0]])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]], np.uint8)
    splats = splats_from_points(line, colors)
    distances = [[1, 3, 6], [1, 2, 5], [2, 3, 3], [3, 5, 6]]
    expected = np.sqrt(np.square(distances).mean(axis=1))
    np.testing.assert_allclose(splats.scales, np.repeat(expected[:, None], 3, axis=1), rtol=1e-6)
    np.testing.assert_allclose(splats.opacities, 0.1)
    look = np.eye(4)[None]
    look[0, 2, 3] = 100.0
    one = splats_from_points(np.array([[0.0, 0, 0], [0, 0, 1e-3]]), np.array([[0.2, 0.6, 1.0]] * 2))
    opaque = replace(one, opacities=np.ones(2, np.float32), scales=np.full((2, 3), 5, np.float32))
    camera = Cameras(look, np.array([[[100.0, 0, 8], [0, 100, 8], [0, 0, 1]]]))
    np.testing.assert_allclose(
        render(opaque, camera, (16, 16), rasterizer="cpu").color[0, 8, 8], [0.2, 0.6, 1], atol=0.02
    )
    # Points at one place, and one far away.
    heap = np.concatenate([np.zeros((5, 3)), numpy_random(1).normal(size=(40, 3)), [[1e6, 0, 0]]])
    splats = splats_from_points(heap, np.full(heap.shape, 0.5))
    check_gaussians(splats)
    assert splats.scales.min() > 0
    assert splats.scales.max() <= 60 * np.median(splats.scales)


def test_points_that_make_no_splats_are_refused() -> None:
    good, grey = np.eye(3), np.full((3, 3), 0.5)
    for points, colors, named in (
        (good[:1], grey[:1], "two points"),
        (good[:, :2], grey, "two points"),
        (good, grey[:2], "colours"),
        (np.where(good == 1, np.nan, good), grey, "3 of 3 points"),
        (good, np.where(good == 1, np.inf, grey), "3 of 3 colours"),
    ):
        with pytest.raises(InputError, match=named):
            splats_from_points(points, colors)


def test_colours_come_from_the_photos_that_see_a_point() -> None:
    room = make_prediction(2, 30, 40)
    assert room.intrinsics is not None
    assert room.extrinsics is not None
    rows, columns = np.array([5, 12, 20]), np.array([7, 30, 18])
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(3)]).T @ np.linalg.inv(room.intrinsics[1]).T
    camera = rays * room.depth[1, rows, columns][:, None]
    points = (camera - room.extrinsics[1, :, 3]) @ room.extrinsics[1, :, :3]
    points = np.concatenate([points, [[0.0, 0, -50]]])
    seen = SparsePoints(points, (np.array([3]), np.array([0, 1, 2])))
    found = colors_in_photos(seen, room)
    np.testing.assert_allclose(found[:3], room.processed_images[1, rows, columns] / 255, atol=1e-6)
    np.testing.assert_allclose(found[3], 0.5)  # behind the only camera that is said to see it
    with pytest.raises(InputError, match="cameras"):
        colors_in_photos(seen, replace(room, intrinsics=None))
