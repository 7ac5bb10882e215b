"""Which views serve a view, and between which depths it is searched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.stereo.view_selection import FEWEST_POINTS, plan_view
from recon.types.cameras import Cameras
from tests.seeds import numpy_random

from ..sfm.cards import shifted, turned
from .planes import INTRINSICS, SIZE

WIDTH_HEIGHT = np.array(SIZE[::-1])


def cloud(cameras: NDArray[np.float64], count: int = 60) -> tuple[Cameras, SparsePoints]:
    """Cameras with points in front of the first of them at depths 4 to 8, that all of them see."""
    generator = numpy_random(3)
    points = generator.uniform((-0.8, -0.6, 4), (0.8, 0.6, 8), (count, 3)) @ cameras[0, :3, :3]
    points = points + invert_rigid(cameras)[0, :3, 3]
    every = Cameras(cameras, np.tile(INTRINSICS, (len(cameras), 1, 1)))
    return every, SparsePoints(points, tuple(np.arange(count) for _ in cameras))


def arc_around(angles: list[float]) -> NDArray[np.float64]:
    """Cameras on a circle around a place 6 in front of the first, by degrees."""
    return np.stack(
        [shifted(np.array([0, 0, 6.0])) @ turned(np.radians(a)) @ shifted(np.array([0, 0, -6.0])) for a in angles]
    )


def test_views_at_a_good_angle_come_first_and_those_at_one_place_not_at_all():
    cameras, sparse = cloud(arc_around([0, 0, 1, 10, 60]))
    plan = plan_view(0, cameras, sparse, np.array(SIZE[::-1]), 4, 6)
    assert plan is not None
    assert plan.sources.tolist() == [3, 2, 4] or plan.sources.tolist() == [3, 4, 2]
    assert plan.sources.tolist() == plan.checking_views.tolist()


def test_views_that_look_elsewhere_are_no_sources():
    extrinsics = arc_around([0, 8, 8, -8])
    extrinsics[2] = turned(np.pi) @ extrinsics[2]
    cameras, sparse = cloud(extrinsics)
    plan = plan_view(0, cameras, sparse, np.array(SIZE[::-1]), 4, 6)
    assert plan is not None
    assert sorted(plan.sources.tolist()) == [1, 3]


def test_views_that_were_found_to_share_points_are_preferred():
    cameras, sparse = cloud(arc_around([0, 8, -8]))
    half = SparsePoints(sparse.points, (sparse.observed[0], sparse.observed[1][:5], sparse.observed[2]))
    plan = plan_view(0, cameras, half, np.array(SIZE[::-1]), 1, 2)
    assert plan is not None
    assert plan.sources.tolist() == [2]
    assert plan.checking_views.tolist() == [2, 1]


def test_the_depth_range_holds_the_points_with_room_to_spare():
    cameras, sparse = cloud(arc_around([0, 8]))
    plan = plan_view(0, cameras, sparse, np.array(SIZE[::-1]), 4, 6)
    assert plan is not None
    depth = sparse.depths(0, cameras.world_to_camera)
    low, high = plan.inverse_depths
    assert 0.5 / depth.max() < low < 1 / depth.max()
    assert 1 / depth.min() < high < 2 / depth.min()


def test_a_view_with_few_points_has_no_plan():
    cameras, sparse = cloud(arc_around([0, 8]), FEWEST_POINTS - 1)
    assert plan_view(0, cameras, sparse, np.array(SIZE[::-1]), 4, 6) is None


def test_the_plan_does_not_depend_on_the_scale_or_the_place_of_the_world():
    cameras, sparse = cloud(arc_around([0, 3, 8, 20, -15]))
    plan = plan_view(0, cameras, sparse, np.array(SIZE[::-1]), 3, 4)
    world = turned(0.4, 1.0, -0.3)
    world[:3, 3] = 3, 4, 5
    extrinsics = cameras.world_to_camera @ invert_rigid(world)
    extrinsics[:, :3, 3] *= 10
    points = 10 * (sparse.points @ world[:3, :3].T + world[:3, 3])
    moved = plan_view(
        0, Cameras(extrinsics, cameras.intrinsics), SparsePoints(points, sparse.observed), np.array(SIZE[::-1]), 3, 4
    )
    assert plan is not None
    assert moved is not None
    assert moved.sources.tolist() == plan.sources.tolist()
    assert moved.checking_views.tolist() == plan.checking_views.tolist()
    np.testing.assert_allclose(np.multiply(moved.inverse_depths, 10), plan.inverse_depths, rtol=1e-9)


def forward(places: list[float]) -> Cameras:
    """Cameras that look ahead from places along their axis."""
    extrinsics = np.stack([shifted(np.array([0, 0, -place])) for place in places])
    return Cameras(extrinsics, np.tile(INTRINSICS, (len(places), 1, 1)))


def test_views_at_another_scale_come_late():
    """To the sides of the road, at a distance of 6: from one view 1.3 times as large, from the other 2.5 times."""
    generator = numpy_random(2)
    points = generator.uniform((-2, -1.2, 5.5), (2, 1.2, 6.5), (300, 3))
    points[:, 0] += np.sign(points[:, 0]) * 0.4
    cameras = forward([0, 3.6, 1.4])
    plan = plan_view(0, cameras, SparsePoints(points, (np.arange(300),) * 3), WIDTH_HEIGHT, 2, 2)
    assert plan is not None
    assert plan.sources.tolist() == [2, 1]


def test_each_part_of_the_picture_gets_a_source_that_sees_it():
    """On the left a rich facade, which all see; on the right something near, which those ahead have passed."""
    generator = numpy_random(3)
    facade = generator.uniform((-4.5, -3, 9), (-0.5, 3, 10), (400, 3))
    near = generator.uniform((0.6, -0.9, 2.5), (1.3, 0.9, 2.8), (25, 3))
    everything, on_facade = np.arange(425), np.arange(400)
    cameras = forward([0, 1.6, 1.6, 1.7, -1.0])
    extrinsics = cameras.world_to_camera
    assert extrinsics is not None
    extrinsics[:, 0, 3] = [0, 0.9, 0.9, 1.0, -0.4]
    sparse = SparsePoints(np.concatenate([facade, near]), (everything, *(on_facade,) * 3, everything))
    plan = plan_view(0, cameras, sparse, WIDTH_HEIGHT, 3, 4)
    assert plan is not None
    assert 4 in plan.sources.tolist()
    assert sorted(plan.checking_views.tolist()) == [1, 2, 3, 4]


def test_what_only_neighbours_have_found_bounds_the_nearest_depth():
    generator = numpy_random(4)
    far = generator.uniform((-2, -1.5, 9), (2, 0.5, 10), (200, 3))
    near = generator.uniform((-0.6, 0.5, 2.5), (0.6, 0.7, 2.7), (50, 3))
    points = np.concatenate([far, near])
    cameras = forward([0, -1, -2])
    seen = (np.arange(200), np.arange(250), np.arange(250))
    plan = plan_view(0, cameras, SparsePoints(points, seen), WIDTH_HEIGHT, 2, 2)
    assert plan is not None
    low, high = plan.inverse_depths
    assert high > 1 / 2.5
    assert low > 0.5 / 10  # what is hidden behind does not widen the range
