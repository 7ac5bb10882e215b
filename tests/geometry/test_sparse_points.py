from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.sparse_points import SparsePoints
from tests.geometry.random_cameras import random_extrinsics
from tests.seeds import numpy_random


def random_points(generator: np.random.Generator, count: int, views: int) -> SparsePoints:
    observed = tuple(np.flatnonzero(generator.random(count) < 0.5) for _ in range(views))
    return SparsePoints(generator.normal(size=(count, 3)), observed, generator.random(count))


def test_depths_are_along_the_camera_axis():
    generator = numpy_random(0)
    points, cameras = random_points(generator, 40, 3), random_extrinsics(generator, 3)
    for view in range(3):
        seen = points.points[points.observed[view]]
        homogeneous = np.concatenate([seen, np.ones((len(seen), 1))], axis=1) @ cameras[view].T
        np.testing.assert_allclose(points.in_camera(view, cameras), homogeneous[:, :3], atol=1e-12)
        np.testing.assert_allclose(points.depths(view, cameras[:, :3]), homogeneous[:, 2], atol=1e-12)


def test_track_lengths_and_chosen_views():
    points = random_points(numpy_random(1), 40, 5)
    lengths = [sum(index in view for view in points.observed) for index in range(40)]
    np.testing.assert_array_equal(points.track_lengths, lengths)
    chosen = points.select_views([3, 0])
    np.testing.assert_array_equal(chosen.observed[0], points.observed[3])
    np.testing.assert_array_equal(chosen.observed[1], points.observed[0])
    assert len(chosen) == 40


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match=r"points must have shape \(any, 3\)"):
        SparsePoints(np.zeros((3, 2)), ())
    with pytest.raises(ValueError, match=r"observed\[1\] must hold indices of the 3 points"):
        SparsePoints(np.zeros((3, 3)), (np.array([0]), np.array([3])))
    with pytest.raises(ValueError, match=r"errors must have shape \(3,\)"):
        SparsePoints(np.zeros((3, 3)), (), np.zeros(2))
