"""Sky is found where rendered scenes have it, and nowhere else, given the depth of what has texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import recon.stereo.sky
from recon.stereo.photos import take_photos
from recon.stereo.sky import find_sky
from recon.stereo.view_selection import ViewPlan
from tests.seeds import numpy_random

from ..synthetic.camera_paths import PathKind, camera_path, pinhole
from ..synthetic.render import SyntheticViews, render_views
from ..synthetic.scenes import make_scene

SIZE = (120, 160)
VIEWS = 4
PLAIN = 6.0
"""Standard deviation of the grey levels around a pixel below which nothing is matched."""


class Found(NamedTuple):
    sky: NDArray[np.bool_]
    inverse_depth: NDArray[np.float32]


def photograph(name: str, path: PathKind) -> SyntheticViews:
    scene = make_scene(name)
    cameras = camera_path(scene, path, 8)[:VIEWS]
    return render_views(scene, cameras, pinhole(SIZE, scene.stage.field_of_view), SIZE, 1)


@pytest.fixture(scope="module")
def street() -> SyntheticViews:
    return photograph("street", "forward")


@pytest.fixture(scope="module")
def room() -> SyntheticViews:
    return photograph("plain_room", "orbit")


def textured(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N, H, W) where stereo would find something to match."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in images]
    spread = [cv2.blur(levels**2, (7, 7)) - cv2.blur(levels, (7, 7)) ** 2 for levels in grey]
    return np.stack(spread) > PLAIN**2


def find(views: SyntheticViews, images: NDArray[np.uint8], without: Sequence[int] = ()) -> Found:
    """Sky in pictures of views whose depth is known where they have texture; of some `without` what to match with."""
    inverse_depth = np.divide(1, views.depth, out=np.zeros_like(views.depth), where=views.depth > 0)
    inverse_depth *= textured(images)
    others = [np.array([other for other in range(VIEWS) if other != view]) for view in range(VIEWS)]
    plans = [None if view in without else ViewPlan(rest, rest, (0.01, 1.0)) for view, rest in enumerate(others)]
    return Found(find_sky(take_photos(images, views.cameras, None), inverse_depth, views.cameras, plans), inverse_depth)


def test_blue_sky_with_clouds_is_found_up_to_the_roofs(street):
    sky = find(street, street.images).sky
    assert street.sky.mean() > 0.1
    assert sky[street.sky].mean() > 0.9
    assert sky[~street.sky].mean() < 0.002


def test_large_photos_are_looked_at_smaller(street, monkeypatch):
    """As they are for speed and memory; roofs that have depth keep it."""
    monkeypatch.setattr(recon.stereo.sky, "_SIDE", 80)
    found = find(street, street.images)
    assert found.sky[street.sky].mean() > 0.8
    assert found.sky[~street.sky].mean() < 0.01
    textured_roofs = (street.depth > 0) & textured(street.images)
    assert (found.inverse_depth[textured_roofs] > 0).mean() > 0.995


def test_overcast_sky_is_found_as_well(street):
    images = street.images.copy()
    images[street.sky] = 244 + numpy_random(0).integers(0, 5, (int(street.sky.sum()), 3))
    sky = find(street, images).sky
    assert sky[street.sky].mean() > 0.9
    assert sky[~street.sky].mean() < 0.002


def test_depth_found_in_the_sky_is_taken_back(street):
    """A bit of a cloud seemed to match."""
    views = replace(street, depth=street.depth.copy())
    patch = np.zeros(street.sky.shape, bool)
    patch[0, 6:12, 70:80] = True
    assert street.sky[patch].all()
    views.depth[patch] = 60
    images = street.images.copy()
    noise = numpy_random(1).integers(-25, 26, (int(patch.sum()), 1))
    images[patch] = (images[patch].astype(int) + noise).clip(0, 255)
    assert textured(images)[patch].any()
    found = find(views, images)
    assert found.sky[patch].all()
    assert (found.inverse_depth[found.sky] == 0).all()


@pytest.mark.parametrize("cast", [(0, 0, 0), (-25, -8, 25), (70, 75, 90)])
def test_plain_walls_are_no_sky_white_or_blue(room, cast):
    """The walls and the ceiling have no texture, and no depth; also where light makes them bluish or very bright."""
    images = (room.images.astype(int) + cast).clip(0, 255).astype(np.uint8)
    assert textured(images).mean() < 0.8
    assert not find(room, images).sky.any()


def test_a_view_without_depth_gets_no_sky_and_does_not_take_that_of_others(street):
    sky = find(street, street.images, without=[1]).sky
    assert not sky[1].any()
    assert sky[0][street.sky[0]].mean() > 0.9


def test_masked_pixels_are_no_sky(street):
    masks = np.ones(street.sky.shape, bool)
    masks[:, :30] = False
    inverse_depth = np.divide(1, street.depth, out=np.zeros_like(street.depth), where=street.depth > 0)
    rest = [np.array([other for other in range(VIEWS) if other != view]) for view in range(VIEWS)]
    plans = [ViewPlan(others, others, (0.01, 1.0)) for others in rest]
    sky = find_sky(take_photos(street.images, street.cameras, masks), inverse_depth, street.cameras, plans)
    assert not sky[:, :30].any()
