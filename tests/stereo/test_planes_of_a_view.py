"""Planes from one level to the next, smoothed along surfaces, and patches that lie on planes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.stereo.coarse_to_fine import _coarsest, _finer
from recon.stereo.consistency import extend, remove_speckles
from recon.stereo.smoothing import smooth
from tests.seeds import numpy_random

SIZE = (48, 64)
ALIKE = np.full(SIZE, 0.1, np.float32)
"""Information of pixels that are matched equally sharply."""


def plane(w: float, along_x: float, along_y: float, size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """(3, H, W) one plane at every pixel, with inverse depth `w` at the left upper one."""
    rows, columns = np.indices(size)
    return np.stack([w + along_x * columns + along_y * rows, *np.full((2, *size), 1.0)]).astype(np.float32) * np.array(
        [1, along_x, along_y], np.float32
    ).reshape(3, 1, 1)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize(
    ("size", "expected"), [((504, 378), 2), ((60, 40), 2), ((1008, 756), 2), ((1296, 1936), 4), ((4000, 3000), 8)]
)
def test_views_are_swept_at_half_their_size_or_at_most_at_504_pixels(size, expected):
    assert _coarsest(*size) == expected


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_a_plane_is_the_same_plane_at_the_next_level(size):
    coarse = plane(0.2, 0.004, -0.002, (24, 32))
    finer = _finer(coarse, size)
    np.testing.assert_allclose(finer, plane(0.2 - 0.25 * 0.004 + 0.25 * 0.002, 0.002, -0.001, size), atol=1e-7)


def test_smoothing_takes_noise_away_and_leaves_planes_and_steps(pool):
    """Two slanted planes, the right one a tenth nearer, of one colour: only their distance tells them apart."""
    true = plane(0.2, 0.001, -0.0005)
    true[0, :, 32:] *= 1.1
    true[1, :, 32:] *= 1.1
    true[2, :, 32:] *= 1.1
    image, scores = np.full((*SIZE, 3), 90, np.uint8), np.full(SIZE, 0.9, np.float32)
    same = smooth(true, scores, ALIKE, image, 7, 0.01, 1e-4, 0.3, pool)
    np.testing.assert_allclose(same[0], true[0], rtol=2e-4)
    generator = numpy_random(0)
    noisy = true.copy()
    noisy[0] *= 1 + 0.004 * generator.standard_normal(SIZE).astype(np.float32)
    noisy[1:] += 3e-4 * generator.standard_normal((2, *SIZE)).astype(np.float32)
    before = noisy.copy()
    found = smooth(noisy, scores, ALIKE, image, 7, 0.01, 1e-4, 0.3, pool)
    np.testing.assert_array_equal(noisy, before)
    off = found[0] / true[0] - 1
    assert np.sqrt((off**2).mean()) < 0.5 * 0.004
    assert np.abs(off[:, 26:38].mean(axis=0)).max() < 0.002  # beside the step, too
    assert np.abs(found[1:] - true[1:]).mean() < 0.5 * np.abs(noisy[1:] - true[1:]).mean()


def test_pixels_that_are_matched_sharply_count_for_more(pool):
    """Every fourth column is sharp and right, the others are four times as noisy, and 1/16 as informative."""
    true = plane(0.2, 0.0005, 0.0003)
    image, scores = np.full((*SIZE, 3), 90, np.uint8), np.full(SIZE, 0.9, np.float32)
    sharp = np.zeros(SIZE, bool)
    sharp[:, ::4] = True
    noise = np.where(sharp, 5e-4, 2e-3).astype(np.float32)
    noisy = true.copy()
    noisy[0] *= 1 + noise * numpy_random(3).standard_normal(SIZE).astype(np.float32)
    information = np.where(sharp, 16 * ALIKE, ALIKE)
    off, off_alike = (
        np.abs(smooth(noisy, scores, given, image, 7, 0.05, 1e-4, 0.3, pool)[0] / true[0] - 1)[8:-8, 8:-8]
        for given in (information, ALIKE)
    )
    assert np.median(off) < 0.75 * np.median(off_alike)
    assert np.median(off[sharp[8:-8, 8:-8]]) < 4e-4


def test_smoothing_heeds_colours_and_leaves_alone_what_has_no_score(pool):
    true = plane(0.2, 0, 0)
    true[0, :, 32:] *= 1.008  # not told apart by distance
    image, scores = np.full((*SIZE, 3), 40, np.uint8), np.full(SIZE, 0.9, np.float32)
    mixed = smooth(true, scores, ALIKE, image, 7, 0.01, 1e-4, 0.3, pool)[0]
    image[:, 32:] = 200
    parted = smooth(true, scores, ALIKE, image, 7, 0.01, 1e-4, 0.3, pool)[0]
    assert np.abs(mixed / true[0] - 1).max() > 0.002
    np.testing.assert_allclose(parted, true[0], rtol=2e-4)
    scores[10:20, 10:20] = 0.3
    true[0, 10:20, 10:20] = 5
    found = smooth(true, scores, ALIKE, image, 7, 10.0, 10.0, 0.3, pool)[0]
    assert (found[10:20, 10:20] == 5).all()
    np.testing.assert_allclose(np.delete(found[:, :32], np.s_[10:20], axis=0), 0.2, rtol=2e-4)


def test_ground_seen_at_a_slant_is_one_patch_and_goes_on():
    """From row to row it is 6 % nearer, three times the tolerance, as its planes say."""
    depth = (0.1 * 1.06 ** np.arange(20)[:, None] * np.ones((1, 10))).astype(np.float32)
    slopes = np.zeros((2, 20, 10), np.float32)
    slopes[1] = np.log(1.06)
    kept = depth.copy()
    remove_speckles(kept, slopes, 30, 0.02)
    np.testing.assert_array_equal(kept, depth)
    remove_speckles(kept, np.zeros_like(slopes), 30, 0.02)
    assert (kept == 0).all()
    kept[:5] = depth[:5]
    extend(kept, depth, slopes, 0.01)
    np.testing.assert_array_equal(kept, depth)
