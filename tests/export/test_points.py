"""Which pixels become points, where they lie, and that some always do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.export.points import PointOptions, confidence_threshold, select_points
from recon.geometry.located_depth import with_cameras
from recon.geometry.unprojection import project_points
from recon.messages import ReconWarning
from recon.types import MadeBy

EVERYTHING = PointOptions(conf_thresh_percentile=0.0, conf_thresh=0.0)


def test_points_project_to_their_pixel_centres_and_depths(make_prediction):
    prediction = make_prediction()
    cloud = select_points(prediction, EVERYTHING)
    views, height, width = prediction.depth.shape
    assert len(cloud.points) == prediction.depth.size
    for view in range(views):
        mine = cloud.pixels // (height * width) == view
        pixels, z = project_points(
            cloud.points[mine][None], prediction.intrinsics[view : view + 1], prediction.extrinsics[view : view + 1]
        )
        rows, columns = np.divmod(cloud.pixels[mine] % (height * width), width)
        np.testing.assert_allclose(pixels.reshape(-1, 2), np.stack([columns, rows], 1) + 0.5, atol=1e-3)
        np.testing.assert_allclose(z.ravel(), prediction.depth[view].ravel(), rtol=1e-5)
    np.testing.assert_array_equal(cloud.colors, prediction.processed_images.reshape(-1, 3)[cloud.pixels])


@pytest.mark.parametrize("percentile", [0.0, 40.0, 75.0])
def test_the_percentile_decides_how_many_stay(percentile, make_prediction):
    prediction = make_prediction(sky="upper")
    cloud = select_points(prediction, PointOptions(conf_thresh_percentile=percentile, conf_thresh=0.0))
    ground = prediction.conf[~prediction.sky]
    assert len(cloud.points) == pytest.approx(len(ground) * (1 - percentile / 100), abs=1)
    assert cloud.conf_threshold == pytest.approx(np.percentile(ground, percentile))
    assert (prediction.conf.ravel()[cloud.pixels] >= cloud.conf_threshold).all()
    assert not prediction.sky.ravel()[cloud.pixels].any()


def test_threshold_is_clamped_between_the_percentiles():
    conf = np.linspace(1, 2, 101)
    assert confidence_threshold(conf, PointOptions(conf_thresh=1.05)) == pytest.approx(1.4)
    assert confidence_threshold(conf, PointOptions(conf_thresh=1.6)) == pytest.approx(1.6)
    assert confidence_threshold(conf, PointOptions(conf_thresh=5.0)) == pytest.approx(1.9)
    assert confidence_threshold(conf, PointOptions(conf_thresh_percentile=95.0)) == pytest.approx(1.9)


def test_low_or_equal_confidence_still_gives_points(make_prediction):
    low = select_points(make_prediction(), PointOptions(conf_thresh=1e9))
    assert len(low.points) == pytest.approx(0.1 * 3 * 28 * 42, abs=1)
    equal = select_points(make_prediction(conf=np.ones((3, 28, 42), np.float32)), PointOptions())
    assert len(equal.points) == 3 * 28 * 42


def test_depth_that_was_checked_against_other_views_is_kept_whole_unless_asked(make_prediction):
    stereo, network = (make_prediction(made_by=MadeBy(kind, "x")) for kind in ("stereo", "network"))
    conf = stereo.conf
    cloud = select_points(stereo, PointOptions())
    assert len(cloud.points) == conf.size
    assert cloud.conf_threshold is None
    assert select_points(network, PointOptions()).conf_threshold == pytest.approx(np.percentile(conf, 40))
    for options, threshold in (
        (PointOptions(conf_thresh_percentile=20.0), np.percentile(conf, 20)),
        (PointOptions(conf_thresh=2.0), 2.0),
        (PointOptions(conf_drop_percent=5.0), np.percentile(conf, 5)),
    ):
        assert select_points(stereo, options).conf_threshold == pytest.approx(threshold)


def test_the_exact_percentage_knows_no_other_threshold(make_prediction):
    conf = np.linspace(1, 1.04, 3 * 28 * 42, dtype=np.float32).reshape(3, 28, 42)  # all below the rule's 1.05
    prediction = make_prediction(conf=conf)
    assert len(select_points(prediction, PointOptions(conf_thresh_percentile=20.0)).points) == pytest.approx(353, abs=1)
    for percent, left in ((0.0, 3528), (20.0, 2822), (95.0, 177)):
        cloud = select_points(prediction, PointOptions(conf_drop_percent=percent))
        assert len(cloud.points) == pytest.approx(left, abs=1)
    with pytest.raises(InputError, match="conf_drop_percent and conf_thresh_percentile"):
        PointOptions(conf_drop_percent=20.0, conf_thresh_percentile=20.0)


def test_filled_and_masked_pixels_make_no_points_unless_asked(make_prediction):
    filled, mask = np.zeros((3, 28, 42), bool), np.ones((3, 28, 42), bool)
    filled[0], mask[1] = True, False
    prediction = make_prediction(filled=filled, mask=mask, with_conf=False)
    view_size = 28 * 42
    np.testing.assert_array_equal(
        select_points(prediction, PointOptions()).pixels, 2 * view_size + np.arange(view_size)
    )
    with_filled = select_points(prediction, PointOptions(include_filled=True)).pixels
    np.testing.assert_array_equal(np.unique(with_filled // view_size), [0, 2])
    with pytest.raises(InputError, match="include_filled"):
        select_points(make_prediction(filled=np.ones_like(filled)), PointOptions())


def test_without_confidence_all_depth_counts(make_prediction):
    cloud = select_points(make_prediction(with_conf=False), PointOptions())
    assert len(cloud.points) == 3 * 28 * 42
    assert cloud.conf_threshold is None


def test_all_sky_falls_back_with_a_warning(make_prediction):
    prediction = make_prediction(sky="all")
    with pytest.warns(ReconWarning, match="leaving out sky would leave no points: it is kept"):
        cloud = select_points(prediction, PointOptions())
    np.testing.assert_array_equal(cloud.pixels, select_points(make_prediction(), PointOptions()).pixels)


def test_pixels_without_depth_or_confidence_are_left_out(make_prediction):
    depth, conf = make_prediction().depth.copy(), make_prediction().conf.copy()
    depth[0, 0, :5] = [np.nan, np.inf, -np.inf, 0, -1]
    conf[0, 0, 5] = np.nan
    cloud = select_points(make_prediction(depth=depth, conf=conf), EVERYTHING)
    np.testing.assert_array_equal(cloud.pixels, np.arange(6, depth.size))
    threshold = select_points(make_prediction(depth=depth, conf=conf), PointOptions()).conf_threshold
    assert threshold == pytest.approx(np.percentile(conf.ravel()[6:], 40))
    assert np.isfinite(cloud.points).all()


def test_backgrounds_are_left_out_on_request(make_prediction):
    images = make_prediction().processed_images.copy()
    images[:, :7], images[:, 7:14] = 5, 250
    images[0, 20, 20] = (5, 5, 100)
    prediction = make_prediction(processed_images=images, with_conf=False)
    rows = 3 * 42
    for black, white, left in ((False, False, 28), (True, False, 21), (False, True, 21), (True, True, 14)):
        cloud = select_points(prediction, PointOptions(filter_black_bg=black, filter_white_bg=white))
        assert len(cloud.points) == left * rows
        assert (cloud.colors < 16).all(axis=1).any() == (not black)
        assert (cloud.colors >= 240).all(axis=1).any() == (not white)
    with pytest.warns(ReconWarning, match="leaving out black background would leave no points"):
        select_points(make_prediction(processed_images=np.zeros_like(images)), PointOptions(filter_black_bg=True))


def test_the_sample_is_seeded_and_even(make_prediction):
    prediction = make_prediction()
    whole = select_points(prediction, PointOptions())
    count = 600
    first = select_points(prediction, PointOptions(num_max_points=count))
    again = select_points(prediction, PointOptions(num_max_points=count))
    other = select_points(prediction, PointOptions(num_max_points=count, seed=1))
    assert len(first.points) == count
    assert (np.diff(first.pixels) > 0).all()
    assert np.isin(first.pixels, whole.pixels).all()
    np.testing.assert_array_equal(first.points, again.points)
    assert not np.array_equal(first.pixels, other.pixels)
    positions = np.searchsorted(whole.pixels, first.pixels) / len(whole.pixels)
    counts, _ = np.histogram(positions, bins=6, range=(0, 1))
    assert (np.abs(counts - count / 6) < 4 * np.sqrt(count / 6)).all()
    most = select_points(prediction, PointOptions(num_max_points=len(whole.points)))
    np.testing.assert_array_equal(most.pixels, whole.pixels)


def test_one_view_without_cameras_assumes_sixty_degrees(make_prediction):
    prediction = make_prediction(views=1, cameras=False, ref_view=None)
    with pytest.warns(ReconWarning, match="horizontal field of view of 60 degrees"):
        assumed = with_cameras(prediction)
    fx, cx, cy = assumed.intrinsics[0][[0, 0, 1], [0, 2, 2]]
    assert 2 * np.degrees(np.arctan(21 / fx)) == pytest.approx(60, abs=1e-4)
    assert (cx, cy) == (21, 14)
    assert with_cameras(assumed) is assumed
    given = make_prediction(views=1, ref_view=None, extrinsics=None)
    np.testing.assert_array_equal(with_cameras(given).intrinsics, given.intrinsics)


def test_infinite_depth_on_the_optical_axis_is_left_out_silently(make_prediction, recwarn):
    depth = np.ones((1, 3, 3), np.float32)
    depth[0, 1, 1] = np.inf
    camera = np.eye(3, 4, dtype=np.float32)[None]
    prediction = make_prediction(views=1, height=3, width=3, depth=depth, with_conf=False, extrinsics=camera)
    assert len(select_points(prediction, PointOptions()).points) == 8
    assert not list(recwarn)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("extrinsics", np.nan, "finite cameras, and the extrinsics"),
        ("intrinsics", np.inf, "finite cameras, and the intrinsics"),
        ("intrinsics", 0.0, "positive focal lengths"),
    ],
)
def test_cameras_that_place_no_point_are_refused(name, value, message, make_prediction):
    prediction = make_prediction()
    broken = replace(prediction, **{name: np.full_like(getattr(prediction, name), value)})
    with pytest.raises(InputError, match=message):
        select_points(broken, EVERYTHING)
