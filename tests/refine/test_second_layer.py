"""The second layer of splats: behind the first, through its gaps, and where depth is unknown."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from recon.geometry.cameras import to_4x4
from recon.refine.depth_splats import DepthSplatOptions, DepthSplats, from_depth, splats_from_depth
from recon.splats.rendering import Rendering, render
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

SIZE = (60, 80)
FOCAL = 90.0
WITHOUT = DepthSplatOptions(second_layer=False)


def planes(
    depth: np.ndarray, shifts: tuple[float, ...] = (0.0,), focal: float = FOCAL, **changes: object
) -> Prediction:
    """Views along z of (N, H, W) depth, from places along x; every pixel a colour of its own."""
    rng = numpy_random(1)
    extrinsics = np.tile(np.eye(3, 4, dtype=np.float32), (len(shifts), 1, 1))
    extrinsics[:, 0, 3] = -np.array(shifts)
    intrinsics = np.array([[focal, 0, SIZE[1] / 2], [0, focal, SIZE[0] / 2], [0, 0, 1]], np.float32)
    prediction = Prediction(
        depth=np.broadcast_to(depth, (len(shifts), *SIZE)).astype(np.float32),
        processed_images=rng.integers(60, 200, (len(shifts), *SIZE, 3), dtype=np.uint8),
        extrinsics=extrinsics,
        intrinsics=np.tile(intrinsics, (len(shifts), 1, 1)),
    )
    return replace(prediction, **changes)


def seen(gaussians: Gaussians, views: Prediction, moved: tuple[float, float, float] = (0, 0, 0)) -> Rendering:
    """Rendered from the views' cameras, these `moved` by so much in their own frame."""
    extrinsics = to_4x4(views.extrinsics.astype(np.float64))
    extrinsics[:, :3, 3] -= moved
    cameras = Cameras(extrinsics, views.intrinsics.astype(np.float64))
    return render(gaussians, cameras, views.depth.shape[1:], rasterizer="cpu")


def in_two_colors(splats: DepthSplats) -> Gaussians:
    """The first layer red, the second one green."""
    harmonics = np.full_like(splats.gaussians.harmonics, -0.5 / 0.28209479177387814)
    first = len(splats.pixels)
    harmonics[:first, 0] *= -1
    harmonics[first:, 1] *= -1
    return replace(splats.gaussians, harmonics=harmonics)


@pytest.fixture(scope="module")
def scene() -> Prediction:
    return make_prediction(4)


def test_layers_are_counted_and_ordered(scene: Prediction) -> None:
    both, first = splats_from_depth(scene), splats_from_depth(scene, WITHOUT)
    assert first.behind == 0
    assert len(first.gaussians) == len(first.pixels)
    assert len(both.gaussians) == len(both.pixels) + both.behind
    np.testing.assert_array_equal(both.pixels, first.pixels)
    np.testing.assert_array_equal(both.gaussians.means[: len(first.pixels)], first.gaussians.means)
    assert 0.1 * len(both.pixels) < both.behind < 0.3 * len(both.pixels)


@pytest.mark.parametrize("tilt", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("moved", [(0, 0, 0), (0.3, 0, 0), (0, -0.3, 0.2)])
def test_the_first_layer_is_seen(tilt: float, moved: tuple[float, float, float]) -> None:
    rows = (np.arange(SIZE[0])[:, None] + 0.5 - SIZE[0] / 2) / FOCAL
    prediction = planes(4 / (1 + tilt * rows) * np.ones((1, SIZE[1])))
    rendering = seen(in_two_colors(splats_from_depth(prediction)), prediction, moved)
    inner = (slice(None), slice(12, -12), slice(16, -16))
    assert rendering.alpha[inner].min() > 0.97
    assert rendering.color[inner][..., 1].mean() < 0.15


def test_gaps_close_as_a_camera_comes_nearer() -> None:
    prediction = planes(np.full(SIZE, 4.0))
    inner = (slice(None), slice(10, -10), slice(10, -10))
    covered = seen(from_depth(prediction), prediction, (0, 0, 2)).alpha[inner]
    alone = seen(from_depth(prediction, WITHOUT), prediction, (0, 0, 2)).alpha[inner]
    assert covered.min() > 0.93
    assert alone.min() < 0.85


def test_fine_texture_is_sharper_than_with_one_layer() -> None:
    prediction = planes(np.full(SIZE, 4.0))
    errors = []
    for options in (None, WITHOUT):
        color = seen(from_depth(prediction, options), prediction).color
        errors.append(((color - prediction.processed_images / 255.0)[:, 5:-5, 5:-5] ** 2).mean())
    assert errors[0] < 0.7 * errors[1]


def test_a_hole_is_closed_from_the_pixels_around() -> None:
    depth = np.full(SIZE, 4.0)
    depth[20:40, 30:50] = np.nan
    prediction = planes(depth)
    splats = splats_from_depth(prediction)
    hole = seen(splats.gaussians, prediction)
    assert seen(from_depth(prediction, WITHOUT), prediction).alpha[0, 22:38, 32:48].max() < 0.1
    assert hole.alpha[0, 22:38, 32:48].min() > 0.9
    behind = splats.gaussians.means[len(splats.pixels) :, 2]
    assert behind.min() > 4
    assert behind.max() < 4.5


def test_a_hole_that_another_view_knows_is_left_to_it() -> None:
    depth = np.full((2, *SIZE), 4.0)
    depth[0, 20:40, 30:50] = 0
    views = planes(depth, (0.0, 0.04), focal=400.0)
    splats = splats_from_depth(views)
    pixels = splats.gaussians.means[len(splats.pixels) :] @ views.intrinsics[0].T
    x, y = (pixels[:, :2] / pixels[:, 2:]).T
    in_hole = (x > 30) & (x < 50) & (y > 20) & (y < 40)
    assert 90 < in_hole.sum() < 110  # as many as one view puts into 20 × 20 pixels


def test_nothing_completed_stands_where_a_view_sees_past() -> None:
    """A post before a wall, and a hole around it that is completed to somewhere between the two."""
    depth = np.full((3, *SIZE), 6.0)
    depth[:, :, 36:44] = 2.0
    depth[0, 10:50, 26:36] = depth[0, 10:50, 44:54] = 0
    views = planes(depth, (0.0, 2.0, -2.0))
    splats = splats_from_depth(views)
    behind = splats.gaussians.means[len(splats.pixels) :].astype(np.float64)
    for view in (1, 2):
        local = behind @ views.extrinsics[view, :, :3].T + views.extrinsics[view, :, 3]
        pixels = local @ views.intrinsics[view].T
        columns, rows = np.floor(pixels[:, :2] / pixels[:, 2:]).astype(int).T
        inside = (columns >= 0) & (columns < SIZE[1]) & (rows >= 0) & (rows < SIZE[0])
        known = views.depth[view, rows[inside], columns[inside]]
        post = np.abs(local[inside, 2] - 2) < 0.3  # it is where the pictures of these views put it
        assert (local[inside, 2] > 0.98 * known)[~post].all()


def test_doubtful_depth_stands_behind_at_its_own_depth() -> None:
    depth = np.full(SIZE, 4.0)
    depth[20:40, 30:50] = 5.0
    conf = np.full((1, *SIZE), 2.0, np.float32)
    conf[:, 20:40, 30:50] = 1
    splats = splats_from_depth(planes(depth, conf=conf), DepthSplatOptions(conf_thresh_percentile=10))
    assert splats.low_confidence == 400
    behind = splats.gaussians.means[len(splats.pixels) :, 2]
    assert ((behind > 5) & (behind < 5.7)).sum() == 100


def test_sky_has_nothing() -> None:
    sky = np.zeros((1, *SIZE), bool)
    sky[:, :25] = True
    depth = np.full(SIZE, 4.0)
    depth[:25] = 200
    prediction = planes(depth, sky=sky)
    assert seen(from_depth(prediction), prediction).alpha[0, :22].max() < 0.05


def test_a_budget_keeps_some_for_what_no_other_splat_shows() -> None:
    depth = np.full(SIZE, 4.0)
    depth[20:40, 30:50] = 0
    prediction = planes(depth)
    splats = splats_from_depth(prediction, DepthSplatOptions(budget=1200))
    assert len(splats.gaussians) == len(splats.pixels) + splats.behind == 1200
    assert 5 < splats.behind <= 100
    assert np.percentile(seen(splats.gaussians, prediction).alpha[0, 3:-3, 3:-3], 1) > 0.8


def test_any_holes_give_finite_splats() -> None:
    rng = numpy_random(0)
    depth = np.where(rng.random((2, *SIZE)) < 0.3, np.nan, 10 ** rng.uniform(-5, 5, (2, *SIZE)))
    splats = from_depth(planes(depth, (0.0, 0.1)))
    for field in fields(splats):
        assert np.isfinite(getattr(splats, field.name)).all(), field.name


@pytest.mark.parametrize("empty", [0, 1])
def test_a_view_without_any_depth_gets_no_splats_and_makes_none_elsewhere(empty: int) -> None:
    """There is nothing to complete its depth from."""
    both = planes(np.full(SIZE, 4.0), shifts=(0.0, 0.1))
    depth = both.depth.copy()
    depth[empty] = 0
    found = from_depth(replace(both, depth=depth))
    other = slice(1 - empty, 2 - empty)
    alone = from_depth(
        replace(
            both,
            depth=both.depth[other],
            processed_images=both.processed_images[other],
            extrinsics=both.extrinsics[other],
            intrinsics=both.intrinsics[other],
        )
    )
    assert np.abs(found.means).max() < 10
    for part in fields(Gaussians):
        np.testing.assert_array_equal(getattr(found, part.name), getattr(alone, part.name))
