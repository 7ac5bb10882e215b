from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.depth_fusion import fuse_depth
from recon.geometry.scale_field import blocks_of, fit_field, fit_line
from tests.made_up_network import Errors, spoil
from tests.seeds import numpy_random

HEIGHT, WIDTH = 126, 168


def truth_and_photo() -> tuple[np.ndarray, np.ndarray]:
    """A floor that goes back to a wall, and a box before it; each of a colour of its own."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wall = np.full((HEIGHT, WIDTH), 8.0)
    floor = 8 * 60 / np.maximum(y, 60)
    depth = np.minimum(wall, floor)
    box = (x > 50) & (x < 110) & (y > 30) & (y < 90)
    depth[box] = 3 + 0.005 * (x - 50)[box]
    photo = np.where((y > 60)[..., None], (120, 90, 60), (200, 200, 210))
    photo[box] = (30, 60, 160)
    return depth.astype(np.float32), photo.astype(np.uint8)


def sure_depth(truth: np.ndarray, seed: int = 0) -> np.ndarray:
    """True to 0.2 % with holes: at the picture's left, at the box's sides, and here and there."""
    generator = numpy_random(seed)
    sure = truth * np.exp(generator.normal(0, 0.002, truth.shape))
    sure[:, :30] = sure[25:95, 45:56] = sure[25:95, 104:116] = sure[100:, 120:150] = 0
    sure[generator.random(truth.shape) < 0.05] = 0
    return sure.astype(np.float32)


def error(depth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.abs(depth / truth - 1)


def test_dense_and_sure_together_are_better_than_either() -> None:
    truth, photo = truth_and_photo()
    dense, conf = spoil(truth, Errors(), 3)
    sure = sure_depth(truth)
    found = fuse_depth(dense * np.float32(0.37), sure, photo, dense_conf=conf)
    assert (found.depth > 0).all()
    np.testing.assert_array_equal(found.depth[found.sure], sure[found.sure])
    assert found.sure[sure > 0].mean() > 0.99
    assert error(found.depth, truth).mean() < 0.008
    hole = sure == 0
    assert error(found.depth, truth)[hole].mean() < 0.25 * error(dense, truth)[hole].mean()
    # The box's sides, where there is no sure depth: on the right side of the edge.
    sides = np.zeros_like(hole)
    sides[35:55, 48:53] = sides[35:55, 108:113] = True
    assert (error(found.depth, truth)[sides] < 0.05).mean() > 0.9
    assert (error(found.depth, truth)[sides] < 0.05).mean() > (error(dense, truth)[sides] < 0.05).mean() + 0.2


def test_the_expected_error_is_that_of_both() -> None:
    truth, photo = truth_and_photo()
    dense, conf = spoil(truth, Errors(), 5)
    sure = sure_depth(truth)
    found = fuse_depth(dense, sure, photo, dense_conf=conf)
    off = error(found.depth, truth)
    assert 0.5 < found.error[found.sure].mean() / off[found.sure].mean() < 4
    assert 0.3 < found.error[~found.sure].mean() / off[~found.sure].mean() < 4
    assert found.error[~found.sure].mean() > 2 * found.error[found.sure].mean()


def test_sure_pixels_that_stand_alone_and_are_wrong_do_not_count() -> None:
    truth, photo = truth_and_photo()
    dense, _ = spoil(truth, Errors(plane=0, outliers=0), 7)
    generator = numpy_random(0)
    sure = np.where(generator.random(truth.shape) < 0.03, truth, 0).astype(np.float32)
    wrong = (sure > 0) & (generator.random(truth.shape) < 0.1)
    sure[wrong] *= 1.6
    found = fuse_depth(dense, sure, photo)
    assert found.sure[wrong].mean() < 0.1
    assert found.sure[(sure > 0) & ~wrong].mean() > 0.9
    assert error(found.depth, truth).mean() < 0.02


def test_a_relative_disparity_is_fitted_with_its_shift() -> None:
    truth, photo = truth_and_photo()
    dense = (1 / (0.02 + 3 / truth)).astype(np.float32)  # disparity times 3, plus a shift
    sure = np.where(numpy_random(0).random(truth.shape) < 0.1, truth, 0).astype(np.float32)
    line = fit_line(blocks_of(dense, sure))
    assert line is not None
    assert line.factor == pytest.approx(1 / 3, rel=0.01)
    assert line.shift == pytest.approx(-0.02 / 3, rel=0.05)
    assert error(fuse_depth(dense, sure, photo).depth, truth).mean() < 0.001
    plain = fit_line(blocks_of(truth * 2, sure))
    assert plain is not None
    assert (plain.factor, plain.shift) == (pytest.approx(2), 0)


def test_a_field_goes_on_where_nothing_is_known_but_not_far() -> None:
    truth, _ = truth_and_photo()
    x = np.arange(WIDTH) / WIDTH
    field = 0.1 * np.sin(4 * x)
    sure = (truth * np.exp(field)).astype(np.float32)
    sure[:, 120:] = 0
    found = fit_field(blocks_of(truth, sure), truth.shape)
    np.testing.assert_allclose(found.logarithm[:, :120], np.broadcast_to(field[:120], (HEIGHT, 120)), atol=0.006)
    assert np.abs(found.logarithm).max() < 0.16


@pytest.mark.parametrize(("dense_value", "sure_value"), [(2, 0), (0, 3), (0, 0)])
def test_where_one_of_them_is_missing_the_other_stays(dense_value: float, sure_value: float) -> None:
    photo = np.zeros((40, 50, 3), np.uint8)
    dense, sure = (np.full((40, 50), value, np.float32) for value in (dense_value, sure_value))
    found = fuse_depth(dense, sure, photo)
    np.testing.assert_array_equal(found.depth, max(dense_value, sure_value))
    assert found.sure.all() == (sure_value > 0)
    assert np.isfinite(found.error).all()
    assert (found.error > 0).all()


def test_points_that_have_no_neighbours_at_all() -> None:
    truth, photo = truth_and_photo()
    dense, _ = spoil(truth, Errors(plane=0, outliers=0, blur=0), 7)
    sure = np.zeros_like(truth)
    sure[5::12, 5::12] = truth[5::12, 5::12]
    found = fuse_depth(dense, sure, photo)
    assert error(found.depth, truth).mean() < 0.01
    assert np.isfinite(found.error).all()
