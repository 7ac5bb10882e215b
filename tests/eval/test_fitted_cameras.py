"""Cameras fitted to pictures that splats themselves have made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recon.eval.fitted_cameras import FittedCamera, fit_camera, gains
from recon.geometry.cameras import to_4x4
from recon.geometry.quaternions import normalise, to_matrix
from recon.refine import from_depth
from recon.splats.rasterizer import Renderer, RenderSettings
from recon.splats.rendering import choose_rasterizer
from recon.splats.view_metrics import psnr
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

SIZE = (60, 80)
ROOM = make_prediction(3, *SIZE)
DISTANCE = float(np.median(ROOM.depth))
assert ROOM.extrinsics is not None
assert ROOM.intrinsics is not None
CAMERA = to_4x4(ROOM.extrinsics[1].astype(np.float64))
LENS = ROOM.intrinsics[1].astype(np.float64)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    opened = choose_rasterizer("cpu").open(from_depth(ROOM), RenderSettings(SIZE, np.zeros(3), "RGB"))
    yield opened
    opened.close()


def aside() -> tuple[np.ndarray, np.ndarray]:
    """The camera turned, shifted and zoomed by a pixel or two."""
    turned, zoomed = CAMERA.copy(), LENS.copy()
    turned[:3] = to_matrix(normalise(np.array([1, 0.01, 0.012, 0.006]))) @ CAMERA[:3]
    turned[:3, 3] += 0.015 * DISTANCE
    zoomed[[0, 1], [0, 1]] *= 1.02
    return turned, zoomed


def pixels_off(camera: np.ndarray, lens: np.ndarray) -> float:
    """How far points of the room are from where they belong, as a median."""
    points = from_depth(ROOM).means
    places = []
    for world_to_camera, intrinsics in ((CAMERA, LENS), (camera, lens)):
        local = points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
        places.append((local @ intrinsics.T)[:, :2] / local[:, 2:])
        seen = local[:, 2] > 0.5
    return float(np.median(np.linalg.norm(places[0] - places[1], axis=1)[seen]))


@pytest.mark.parametrize("brightness", [1.0, 0.6])
def test_a_camera_that_is_off_finds_its_picture(renderer: Renderer, brightness: float) -> None:
    photo = brightness * np.clip(renderer.render(CAMERA, LENS).color, 0, 1).astype(np.float64)
    photo[20:30, 30:40] = (1, 0, 0)  # something that no other photo shows
    start = aside()
    found = fit_camera(renderer, *start, photo, DISTANCE)
    assert pixels_off(*start) > 1
    assert pixels_off(found.world_to_camera, found.intrinsics) < 0.1
    np.testing.assert_allclose(found.view, renderer.render(found.world_to_camera, found.intrinsics).color.clip(0, 1))
    other = np.ones(SIZE, bool)
    other[20:30, 30:40] = False
    assert psnr(found.view * brightness, photo, other) > 34
    rotation = found.world_to_camera[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


def test_a_camera_that_is_right_stays(renderer: Renderer) -> None:
    photo = np.clip(renderer.render(CAMERA, LENS).color, 0, 1).astype(np.float64)
    found = fit_camera(renderer, CAMERA, LENS, photo, DISTANCE)
    assert pixels_off(found.world_to_camera, found.intrinsics) < 1e-6


def test_nothing_to_go_by_leaves_it_where_it_was(renderer: Renderer) -> None:
    away = CAMERA.copy()
    away[2, 3] -= 1e3  # everything behind it
    found = fit_camera(renderer, away, LENS, np.full((*SIZE, 3), 0.5), DISTANCE)
    assert isinstance(found, FittedCamera)
    assert np.isfinite(found.world_to_camera).all()
    np.testing.assert_allclose(found.view, 0)


def test_gains_are_those_of_each_channel() -> None:
    view = numpy_random(0).uniform(0, 1, (5, 6, 3))
    np.testing.assert_allclose(gains(view, view * (0.5, 1, 2)), [0.5, 1, 2])
    np.testing.assert_array_equal(gains(np.zeros((5, 6, 3)), view), 0)
