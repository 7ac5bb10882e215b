"""The steps after matching, and what comes before it: agreement, speckles, filling, view selection, rough points."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.stereo.consistency import (
    DepthMaps,
    agreement,
    close_gaps,
    extend,
    read_slopes,
    remove_speckles,
    store_slopes,
)
from recon.stereo.contours import clear_contours
from recon.stereo.filling import fill
from recon.stereo.images import scaled_intrinsics, to_grey, warp_back, warp_between
from recon.stereo.rough_points import rough_points
from tests.seeds import numpy_random

from ..sfm.cards import turned
from .planes import INTRINSICS, SIZE, Views, card, row, see


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def agree(views: Views, inverse_depth: NDArray[np.float32], pool: ThreadPoolExecutor) -> NDArray[np.float32]:
    """Agreement (S, H, W) of the first of the views with the others."""
    sources = np.arange(1, len(views.depth))
    there, back = warp_between(views.cameras, 0, sources), warp_back(views.cameras, 0, sources)
    return agreement(inverse_depth[0], DepthMaps(inverse_depth), sources, there, back, 0.01, 1.0, pool).with_each


def test_true_depth_agrees_except_where_it_is_hidden_or_out_of_the_picture(pool):
    views = see([card(0, (0, 0, 6.0), 30.0), card(1, (0.2, 0, 4.0), 1.6)], row(3))
    inverse_depth = (1 / views.depth).astype(np.float32)
    agreed = agree(views, inverse_depth, pool)
    assert agreed.min() >= 0
    assert agreed.max() <= 1
    shown = np.stack([_shown(views, 0, source) for source in (1, 2)])
    assert 0.05 < (~shown).mean() < 0.5
    # Between pixels on either side of an edge it may be the one or the other.
    assert (agreed[shown] > 0).mean() > 0.98
    assert (agreed[~shown] > 0).mean() < 0.1
    assert np.median(agreed[agreed > 0]) > 0.95


def _shown(views: Views, view: int, source: int) -> NDArray[np.bool_]:
    """Pixels whose surface point the source shows."""
    assert views.cameras.world_to_camera is not None
    rows, columns = np.indices(SIZE)
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(SIZE)], axis=-1) @ np.linalg.inv(INTRINSICS).T
    there = views.cameras.world_to_camera[source] @ np.linalg.inv(views.cameras.world_to_camera[view])
    local = rays * views.depth[view][..., None] @ there[:3, :3].T + there[:3, 3]
    column, row_, _ = np.floor(np.moveaxis(local @ INTRINSICS.T / local[..., 2:], -1, 0)).astype(int)
    inside = (column >= 0) & (column < SIZE[1]) & (row_ >= 0) & (row_ < SIZE[0])
    surface = views.depth[source][np.where(inside, row_, 0), np.where(inside, column, 0)]
    return np.asarray(inside & (np.abs(surface / local[..., 2] - 1) < 0.01))


def test_a_surface_that_the_others_do_not_find_there_does_not_agree(pool):
    """What one view alone takes for nearer than the others do, as things that move are."""
    views = see([card(0, (0, 0, 6.0), 30.0)], row(3))
    inverse_depth = (1 / views.depth).astype(np.float32)
    wrong = np.zeros(SIZE, bool)
    wrong[30:60, 40:80] = True
    inverse_depth[0][wrong] *= 1.1
    agreed = agree(views, inverse_depth, pool)
    assert (agreed[:, wrong] == 0).all()
    assert (agreed[:, ~wrong] > 0).mean() > 0.7


def test_agreement_falls_with_the_distance(pool):
    views = see([card(0, (0, 0, 6.0), 30.0)], row(3))
    inverse_depth = (1 / views.depth).astype(np.float32)
    values = []
    for off in (0, 0.002, 0.005, 0.008):
        changed = inverse_depth.copy()
        changed[0] *= 1 + off
        values.append(np.median(agree(views, changed, pool)[:, 40:56, 55:73]))
    assert values[0] > 0.98
    assert values == sorted(values, reverse=True)
    assert values[2] == pytest.approx(0.5, abs=0.03)  # half the tolerance


def test_nothing_agrees_with_unknown_depth(pool):
    views = see([card(0, (0, 0, 6.0), 30.0)], row(3))
    inverse_depth = (1 / views.depth).astype(np.float32)
    inverse_depth[1] = 0
    inverse_depth[0, :40] = 0
    agreed = agree(views, inverse_depth, pool)
    assert (agreed[0] == 0).all()
    assert (agreed[:, :40] == 0).all()
    assert (agreed[1, 40:] > 0).mean() > 0.7


def test_agreement_counts_the_views_that_have_a_point_in_their_image(pool):
    views = see([card(0, (0, 0, 6.0), 30.0)], row(4))
    sources = np.array([1, 2, 3])
    there, back = warp_between(views.cameras, 0, sources), warp_back(views.cameras, 0, sources)
    inverse_depth = (1 / views.depth).astype(np.float32)
    inverse_depth[0, :10] = 0
    nothing = DepthMaps(np.zeros_like(inverse_depth))
    within = agreement(inverse_depth[0], nothing, sources, there, back, 0.01, 1.0, pool).within
    expected = np.sum([_shown(views, 0, source) for source in sources], axis=0)  # nothing is hidden here
    assert (within[10:] == expected[10:]).mean() > 0.98  # but for the rims
    assert (within[:10] == 0).all()
    assert set(np.unique(within)) == {0, 1, 2, 3}


def test_steep_surfaces_agree_along_their_planes(pool):
    """A wall at a slant, on which every pixel is about 1 % farther than the one beside it, of which views find half."""
    views = see([card(0, (0, 0, 6.0), 60.0, 1.2)], row(3, 0.6))
    assert (views.depth > 0).all()
    inverse_depth = (1 / views.depth).astype(np.float32)
    sources = np.array([1, 2])
    there, back = warp_between(views.cameras, 0, sources), warp_back(views.cameras, 0, sources)
    planes = np.stack([inverse_depth, *np.gradient(inverse_depth, axis=(2, 1))], axis=1)
    slopes = np.stack([store_slopes(view) for view in planes])
    np.testing.assert_allclose(read_slopes(slopes[0]) * planes[0, 0], planes[0, 1:], atol=2e-5 * planes[0, 0].max())
    inverse_depth[1:, :, ::2] = 0
    level, along = (
        agreement(inverse_depth[0], maps, sources, there, back, 0.01, 1.0, pool)
        for maps in (DepthMaps(inverse_depth), DepthMaps(inverse_depth, slopes))
    )
    inside = np.zeros(SIZE, bool)
    inside[30:66, 40:90] = True
    seen = inside & (along.within == 2)
    assert seen.sum() > 500
    assert np.median(along.with_each[:, seen]) > 0.97
    assert np.median(along.with_each[:, seen]) > np.median(level.with_each[:, seen]) + 0.1


@pytest.mark.parametrize(("baseline", "agrees"), [(0.05, True), (0.5, False)])
def test_the_tolerance_is_a_fraction_of_a_pixel_between_views_near_to_each_other(pool, baseline, agrees):
    views = see([card(0, (0, 0, 6.0), 30.0)], row(2, baseline))
    inverse_depth = (1 / views.depth).astype(np.float32)
    inverse_depth[0] *= 1.02
    agreed = agree(views, inverse_depth, pool)[0, 40:56, 55:73]
    assert (agreed > 0).all() == agrees
    assert agreed.max() < 0.34  # less than what agrees within the tolerance may


def test_gaps_that_a_surface_surrounds_are_closed_and_its_border_stays():
    depth = np.full((20, 40), 0.2, np.float32)
    kept = np.zeros_like(depth)
    kept[5:15, 10:30] = 0.2
    closed = kept.copy()
    kept[8, 15] = kept[10:12, 20:22] = 0
    extend(kept, depth, FLAT, 0.01, 5)
    np.testing.assert_array_equal(kept, closed)


def test_single_pixels_take_the_depth_of_the_surface_around_them():
    """On a slanted plane; not between two surfaces, not where a mask is, and no gap that is wider."""
    plane = (0.2 + 0.001 * np.arange(40) * np.ones((20, 1))).astype(np.float32)
    slopes = np.stack([0.001 / plane, np.zeros_like(plane)]).astype(np.float32)
    step = plane.copy()
    step[:, 30:] *= 1.2
    kept = step.copy()
    gaps = [(5, 8), (10, 30), (12, 12)]
    for gap in gaps:
        kept[gap] = 0
    kept[15:17, 20:23] = 0
    wanted = np.ones(kept.shape, bool)
    wanted[12, 12] = False
    close_gaps(kept, slopes, wanted, 0.01)
    assert kept[5, 8] == pytest.approx(plane[5, 8], rel=1e-4)
    assert kept[10, 30] == kept[12, 12] == 0
    assert (kept[15:17, 21] == 0).all()


FLAT = np.zeros((2, 20, 40), np.float32)
"""Slopes of planes parallel to the image."""


def test_surfaces_go_on_over_candidates_that_continue_them():
    """Inverse depth rises by 0.2 % a pixel; candidates continue it, lie 3 % off it, or are on their own."""
    plane = (0.2 * 1.002 ** np.arange(40) * np.ones((20, 1))).astype(np.float32)
    kept = np.where(np.arange(40) < 15, plane, 0).astype(np.float32)
    candidates = plane.copy()
    candidates[:, 30:33] = 0
    candidates[4:6, 18:25] *= 1.03
    expected = candidates.copy()
    expected[4:6, 18:25] = 0
    expected[:, 33:] = 0
    before = kept.copy()
    extend(kept, candidates, FLAT, 0.01)
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(kept[:, :15], before[:, :15])
    turned_kept = np.ascontiguousarray(before[::-1])
    extend(turned_kept, np.ascontiguousarray(candidates[::-1]), FLAT, 0.01)
    np.testing.assert_array_equal(turned_kept[::-1], kept)


@pytest.mark.parametrize("behind", [0.0, 0.15])
def test_a_swollen_contour_is_taken_back_to_the_edge_of_the_colour(behind: float):
    """A dark pillar whose depth reaches 3 pixels into what is behind it: a sky without depth, or a wall."""
    generator = numpy_random(0)
    image = np.full((40, 60, 3), 200)
    image[:, 20:35] = 60
    image = (image + generator.normal(scale=4, size=image.shape)).clip(0, 255).astype(np.uint8)
    inverse_depth = np.full((40, 60), behind, np.float32)
    inverse_depth[:, 17:38] = 0.3
    expected = inverse_depth.copy()
    expected[:, 17:20] = expected[:, 35:38] = 0
    clear_contours(inverse_depth, image, 30)
    np.testing.assert_array_equal(inverse_depth, expected)


def test_contours_stay_where_both_sides_look_alike_and_beside_small_holes():
    generator = numpy_random(0)
    image = (90 + generator.normal(scale=4, size=(40, 60, 3))).astype(np.uint8)
    half = np.where(np.arange(60) < 30, np.float32(0.3), np.float32(0)) * np.ones((40, 1), np.float32)
    kept = half.copy()
    clear_contours(kept, image, 30)
    np.testing.assert_array_equal(kept, half)

    image[10:14, 10:17] = 220  # a spot
    holes = np.full((40, 60), 0.3, np.float32)
    holes[11:13, 11:14] = 0  # of which a part was not found
    kept = holes.copy()
    clear_contours(kept, image, 30)
    np.testing.assert_array_equal(kept, holes)
    clear_contours(kept, image, 6)  # were it a hole to see through, the rest of the spot would lie beyond
    assert (kept[10:14, 10:17] == 0).all()
    assert (kept > 0).sum() == kept.size - 28


def test_things_too_thin_to_have_an_inside_stay():
    image = np.full((40, 60, 3), 200, np.uint8)
    image[:, 30:32] = 60
    inverse_depth = np.zeros((40, 60), np.float32)
    inverse_depth[:, 29:33] = 0.3
    before = inverse_depth.copy()
    clear_contours(inverse_depth, image, 30)
    np.testing.assert_array_equal(inverse_depth, before)


def test_speckles_are_patches_smaller_than_asked_for():
    inverse_depth = np.zeros((20, 30), np.float32)
    inverse_depth[2:7, 2:7] = 0.5  # 25 pixels
    inverse_depth[2:7, 12:18] = 0.5  # 30
    inverse_depth[12:18, 2:8] = 0.5  # 36, of which 18 are elsewhere:
    inverse_depth[12:15, 2:8] = 0.6
    inverse_depth[12:18, 15:21] = np.linspace(0.5, 0.6, 6)  # connected in small steps
    expected = inverse_depth.copy()
    expected[2:7, 2:7] = 0
    expected[12:18, 2:8] = 0
    remove_speckles(inverse_depth, np.zeros((2, 20, 30), np.float32), 30, 0.05)
    np.testing.assert_array_equal(inverse_depth, expected)


def test_filling_goes_on_where_a_plane_has_holes():
    """Inverse depth is affine on a plane, and affine functions solve the Laplace equation."""
    rows, columns = np.indices((40, 60)).astype(np.float32)
    plane = 0.2 + 0.001 * rows + 0.002 * columns
    holes = plane.copy()
    holes[10:30, 20:45] = 0
    image = np.full((40, 60, 3), 90, np.uint8)
    filled = fill(holes, image)
    np.testing.assert_array_equal(filled[holes > 0], plane[holes > 0])
    np.testing.assert_allclose(filled, plane, rtol=0.01)


def test_filling_stops_at_edges_of_the_image():
    """A hole over the edge between two colours at two depths is filled with each depth on its side."""
    image = np.full((30, 60, 3), 40, np.uint8)
    image[:, 30:] = 200
    holes = np.where(np.arange(60) < 30, np.float32(0.2), np.float32(0.5)) * np.ones((30, 1), np.float32)
    truth = holes.copy()
    holes[:, 18:38] = 0
    np.testing.assert_allclose(fill(holes, image), truth, atol=0.02)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_filling_changes_nothing_where_all_or_nothing_is_known(value):
    whole = np.full((9, 7), value, np.float32)
    filled = fill(whole, np.zeros((9, 7, 3), np.uint8))
    np.testing.assert_array_equal(filled, whole)
    assert filled is not whole


def test_rough_points_lie_on_the_surfaces_and_tell_who_sees_them(pool):
    views = see([card(0, (0, 0, 6.0), 16.0), card(1, (0.2, 0, 4.0), 1.6)], row())
    sparse = rough_points(to_grey(views.images), views.cameras, 0.5, pool)
    assert len(sparse) > 1000
    assert (sparse.track_lengths >= 2).all()
    for view in range(len(views.depth)):
        depths = sparse.depths(view, views.cameras.world_to_camera)
        off = np.minimum(np.abs(depths / 6 - 1), np.abs(depths / 4 - 1))
        assert (off < 0.1).mean() > 0.95  # the planes are 7 % apart


def test_rough_points_come_from_views_that_look_the_same_way(pool):
    extrinsics = row(4)
    extrinsics[3] = turned(np.pi) @ extrinsics[3]
    views = see([card(0, (0, 0, 6.0), 16.0)], extrinsics)
    sparse = rough_points(to_grey(views.images), views.cameras, 0.5, pool)
    assert len(sparse.observed[3]) == 0
    assert min(len(sparse.observed[view]) for view in range(3)) > 300


def test_intrinsics_follow_the_pixels_of_a_resized_image():
    smaller = scaled_intrinsics(INTRINSICS[None], SIZE, (48, 32))[0]
    ray = np.array([0.2, -0.1, 1])
    np.testing.assert_allclose((smaller @ ray)[:2], (INTRINSICS @ ray)[:2] * (32 / 128, 48 / 96))
