"""Laws of multi-view depth as a whole, on planes whose depth is known exactly."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import recon.stereo.multi_view
from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.stereo.multi_view import StereoDepth, StereoOptions, multi_view_depth
from recon.types.cameras import Cameras

from ..sfm.cards import turned
from .planes import SIZE, Card, Views, card, row, see, sparse_points

OPTIONS = StereoOptions(device="cpu")
PIXEL = 0.033
"""Relative change of depth that moves a match in a neighbouring view by about a pixel, at a depth of 5 m."""
FIFTEENTH = PIXEL / 15
BACKGROUND = card(0, (0, 0, 6.0), 16.0)


def find(views: Views, options: StereoOptions = OPTIONS, sparse: SparsePoints | None = None) -> StereoDepth:
    return multi_view_depth(views.images, views.cameras, sparse or sparse_points(views), options)


def relative_errors(found: NDArray[np.float32], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = found > 0
    return np.abs(found[kept] / truth[kept] - 1)


def seen_by(views: Views, view: int, other: int) -> NDArray[np.bool_]:
    """Pixels of a view that lie in another view's image."""
    assert views.cameras.world_to_camera is not None
    assert views.cameras.intrinsics is not None
    rows, columns = np.indices(SIZE)
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(SIZE)], axis=-1)
    local = pixels @ np.linalg.inv(views.cameras.intrinsics[view]).T * views.depth[view][..., None]
    there = views.cameras.world_to_camera[other] @ np.linalg.inv(views.cameras.world_to_camera[view])
    projected = (local @ there[:3, :3].T + there[:3, 3]) @ views.cameras.intrinsics[other].T
    u, v, z = np.moveaxis(projected, -1, 0)
    return np.asarray((z > 0) & (u >= 0) & (u < SIZE[1] * z) & (v >= 0) & (v < SIZE[0] * z))


def well_inside(mask: NDArray[np.bool_], pixels: int = 5) -> NDArray[np.bool_]:
    """Pixels of a mask (H, W) that are farther than so many pixels from its border and that of the image."""
    side = 2 * pixels + 1
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((side, side)), borderValue=0) > 0)


@pytest.mark.parametrize("slopes", [(0, 0), (0.8, 0), (0, -0.8), (0.5, 0.5)])
def test_planes_are_recovered_to_a_fraction_of_a_percent(slopes):
    views = see([card(0, (0, 0, 5.0), 30.0 if slopes == (0, 0) else 12.0, *slopes)], row())
    depth = find(views).depth
    count = len(views.depth)
    for view in range(count):
        others = np.sum([seen_by(views, view, other) for other in range(count) if other != view], axis=0)
        # Views must agree within 1 %, which is a third of a pixel here.
        assert (depth[view] > 0)[well_inside(others >= 2)].mean() > 0.85
    errors = relative_errors(depth, views.depth)
    assert np.median(errors) < FIFTEENTH
    assert (errors < PIXEL).mean() > 0.98


@pytest.mark.cuda
def test_cuda_finds_the_depth_that_the_cpu_finds():
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6, 0.3)], row())
    here, there = (find(views, replace(OPTIONS, device=device)).depth for device in ("cpu", "cuda"))
    both = (here > 0) & (there > 0)
    assert ((here > 0) == (there > 0)).mean() > 0.98
    assert (np.abs(there[both] / here[both] - 1) < 0.005).mean() > 0.97
    expected, found = (np.median(relative_errors(depth, views.depth)) for depth in (here, there))
    assert found < 1.05 * expected


def test_confidence_marks_what_is_kept_and_is_bounded_by_the_number_of_checking_views():
    found = find(see([BACKGROUND], row()))
    assert found.depth.dtype == found.conf.dtype == np.float32
    np.testing.assert_array_equal(found.conf > 1, found.depth > 0)
    np.testing.assert_array_equal(found.conf[found.depth == 0], 1)
    assert found.conf.max() <= 1 + 4  # four other views
    assert not found.filled.any()


def test_a_photo_may_be_brighter_and_of_more_contrast():
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row())
    plain = find(views).depth
    images = views.images.copy()
    gains, offsets = (1.0, 0.75, 0.9, 0.8, 0.7), (0, 40, 10, 25, 15)
    for image, gain, offset in zip(images, gains, offsets, strict=True):
        image[:] = np.rint(gain * image.astype(np.float64) + offset).clip(0, 255)
    changed = find(views._replace(images=images)).depth
    both = (plain > 0) & (changed > 0)
    assert both.sum() > 0.95 * (plain > 0).sum()
    assert np.median(np.abs(changed[both] / plain[both] - 1)) < FIFTEENTH
    assert (np.abs(changed[both] / plain[both] - 1) < 0.01).mean() > 0.98


def test_depth_goes_with_the_scale_of_the_world_and_not_with_its_place():
    """A power of two changes no digits; a turned world changes the last ones."""
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6, 0.3)], row())
    sparse = sparse_points(views)
    plain = find(views, sparse=sparse).depth
    extrinsics = views.cameras.world_to_camera
    assert extrinsics is not None
    larger = extrinsics.copy()
    larger[:, :3, 3] *= 8
    scaled = find(
        views._replace(cameras=Cameras(larger, views.cameras.intrinsics)),
        sparse=SparsePoints(sparse.points * 8, sparse.observed),
    ).depth
    np.testing.assert_allclose(scaled, 8 * plain, rtol=1e-6)

    world = turned(0.7, -0.4, 0.9)
    world[:3, 3] = 20, -5, 3
    moved = find(
        views._replace(cameras=Cameras(extrinsics @ invert_rigid(world), views.cameras.intrinsics)),
        sparse=SparsePoints(sparse.points @ world[:3, :3].T + world[:3, 3], sparse.observed),
    ).depth
    both = (plain > 0) & (moved > 0)
    assert both.sum() > 0.995 * max((plain > 0).sum(), (moved > 0).sum())
    assert (np.abs(moved[both] / plain[both] - 1) < 1e-3).mean() > 0.995


def test_the_order_of_the_views_does_not_matter():
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row())
    sparse = sparse_points(views)
    plain = find(views, sparse=sparse)
    order = [3, 0, 4, 2, 1]
    assert views.cameras.world_to_camera is not None
    assert views.cameras.intrinsics is not None
    cameras = Cameras(views.cameras.world_to_camera[order], views.cameras.intrinsics[order])
    permuted = find(Views(views.images[order], cameras, views.depth[order]), sparse=sparse.select_views(order))
    # Sources that are worth the same may change places, and sums their last digits.
    both = (plain.depth[order] > 0) & (permuted.depth > 0)
    assert both.sum() > 0.999 * (plain.depth > 0).sum()
    np.testing.assert_allclose(permuted.depth[both], plain.depth[order][both], rtol=1e-4)


def test_the_number_of_threads_does_not_matter():
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row(4))
    one, again, three = (find(views, replace(OPTIONS, threads=threads, fill=True)) for threads in (1, 1, 3))
    for other in (again, three):
        np.testing.assert_array_equal(other.depth, one.depth)
        np.testing.assert_array_equal(other.conf, one.conf)
        np.testing.assert_array_equal(other.filled, one.filled)


def test_pixels_that_no_other_view_sees_get_no_depth():
    """Of two views turned apart, the outer sides are seen by one alone."""
    extrinsics = row(2, 1.2)
    extrinsics[0] = turned(0.12) @ extrinsics[0]
    extrinsics[1] = turned(-0.12) @ extrinsics[1]
    views = see([BACKGROUND], extrinsics)
    depth = find(views).depth
    for view, other in ((0, 1), (1, 0)):
        shared = seen_by(views, view, other)
        assert 0.2 < shared.mean() < 0.8
        assert (depth[view] > 0)[well_inside(~shared)].mean() < 0.01
        assert (depth[view] > 0)[well_inside(shared)].mean() > 0.9


def test_a_card_that_moves_gets_no_depth():
    """Each photo shows the card elsewhere in the world; the wall behind it does not move."""
    extrinsics = row()
    places = [(-0.3, -0.2), (0.35, 0.1), (-0.15, 0.35), (0.1, -0.4), (0.3, 0.3)]
    cards: list[Card] = [card(1, (x, y, 4.0), 0.9) for x, y in places]
    still = see([BACKGROUND], extrinsics)
    images = np.stack([see([BACKGROUND, moved], extrinsics[[view]]).images[0] for view, moved in enumerate(cards)])
    depth = find(still._replace(images=images), sparse=sparse_points(still)).depth
    on_card = (images != still.images).any(axis=-1)
    on_card = np.stack([cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0 for mask in on_card])
    assert on_card.mean() > 0.03
    assert (depth[on_card] > 0).mean() < 0.1
    off_card = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((13, 13))) == 0 for mask in on_card])
    errors = relative_errors(np.where(off_card, depth, 0), still.depth)
    assert (errors < 0.01).mean() > 0.96


def test_filling_completes_everything_and_leaves_alone_what_is_kept():
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row(4))
    plain, filled = find(views), find(views, replace(OPTIONS, fill=True))
    kept = plain.depth > 0
    assert 0.3 < kept.mean() < 0.98
    assert (filled.depth > 0).all()
    np.testing.assert_array_equal(filled.filled, ~kept)
    np.testing.assert_array_equal(filled.depth[kept], plain.depth[kept])
    np.testing.assert_array_equal(filled.conf[kept], plain.conf[kept])
    np.testing.assert_array_equal(filled.conf[~kept], 1)
    assert (filled.depth.min(axis=(1, 2)) >= 0.999 * np.where(kept, plain.depth, np.inf).min(axis=(1, 2))).all()


def test_cameras_alone_suffice():
    """Without points, the depth range and the sources come from a sweep of thumbnails."""
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row())
    depth = multi_view_depth(views.images, views.cameras, None, OPTIONS).depth
    assert (depth > 0).mean() > 0.65
    errors = relative_errors(depth, views.depth)
    assert np.median(errors) < 0.003
    assert (errors < 0.02).mean() > 0.95


def test_a_given_depth_range_bounds_the_depth():
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row())
    depth = find(views, replace(OPTIONS, depth_range=(3.5, 5.0))).depth
    kept = depth > 0
    assert depth[kept].min() >= 3.5 * (1 - 1e-5)
    assert depth[kept].max() < 0.999 * 5.0  # what the end of the range holds back is not found there
    near = views.depth < 5
    assert (kept & near).sum() > 0.6 * near.sum()
    assert (kept & ~near).sum() < 0.05 * (~near).sum()


def test_progress_is_told_view_by_view():
    views = see([BACKGROUND], row(3))
    told: list[tuple[str, int, int]] = []
    multi_view_depth(views.images, views.cameras, sparse_points(views), OPTIONS, lambda *step: told.append(step))
    assert told == [(stage, view, 3) for stage, view in itertools.product(("depth", "agreement"), (1, 2, 3))]


def test_sky_gets_no_depth_even_where_the_rest_is_completed(monkeypatch):
    views = see([BACKGROUND, card(1, (0.2, 0, 4.0), 1.6)], row(3))
    sky = np.zeros(views.depth.shape, bool)
    sky[:, :10, 40:90] = True

    def find_here(photos, inverse_depth, cameras, plans):
        assert inverse_depth.max() == pytest.approx(1 / 4, rel=0.1)
        inverse_depth[sky] = 0
        return sky

    monkeypatch.setattr(recon.stereo.multi_view, "find_sky", find_here)
    found = find(views, replace(OPTIONS, fill=True))
    np.testing.assert_array_equal(found.depth == 0, sky)
    np.testing.assert_array_equal(found.sky, sky)
    assert (found.conf[sky] == 1).all()
    assert not found.filled[sky].any()
