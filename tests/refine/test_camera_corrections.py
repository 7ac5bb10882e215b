"""Cameras that have been moved: together, apart, and those that nobody looked at."""

from __future__ import annotations

import numpy as np

from recon.geometry.cameras import to_4x4
from recon.geometry.similarity import Similarity
from recon.refine import from_depth
from recon.refine.optimisation.camera_corrections import CorrectedCameras
from recon.splats.rendering import render
from recon.types.cameras import Cameras
from tests.geometry.random_cameras import random_rotations
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

ROOM = make_prediction(5, 30, 40)
assert ROOM.extrinsics is not None
assert ROOM.intrinsics is not None
GIVEN, LENSES = to_4x4(ROOM.extrinsics.astype(np.float64)), ROOM.intrinsics.astype(np.float64)
ELSEWHERE = Similarity(1.0, random_rotations(numpy_random(2)), np.array([0.3, -0.2, 0.5]))


def corrected() -> CorrectedCameras:
    """Of which the third is held out."""
    return CorrectedCameras(GIVEN, LENSES, 2.0, 2.5, [0, 1, 3, 4])


def test_what_drifts_together_returns_together() -> None:
    cameras = corrected()
    splats = from_depth(ROOM)
    seen = render(splats, Cameras(GIVEN, LENSES), (30, 40), rasterizer="cpu").color
    moved = ELSEWHERE.apply_to_extrinsics(GIVEN)
    cameras.world_to_camera[[0, 1, 3, 4]] = moved[[0, 1, 3, 4]]
    cameras.take_others_along()
    np.testing.assert_allclose(cameras.world_to_camera[2], moved[2], atol=1e-6)
    np.testing.assert_allclose(cameras.in_given_world(), GIVEN, atol=1e-6)
    drifted = CorrectedCameras(moved, LENSES, 2.0, 2.5)
    drifted.world_to_camera[:] = GIVEN
    away = drifted.splats_in_given_world(splats)  # given in the other world, drifted to this one
    again = render(away, Cameras(moved, LENSES), (30, 40), rasterizer="cpu").color
    assert np.abs(again - seen).mean() < 1e-3


def test_corrections_of_single_cameras_stay() -> None:
    cameras = corrected()
    cameras.world_to_camera[1, 0, 3] += 0.01
    found = cameras.in_given_world()
    assert np.abs(found[1] - GIVEN[1]).max() > 0.008
    assert np.abs(found[[0, 3, 4]] - GIVEN[[0, 3, 4]]).max() < 0.004
    np.testing.assert_array_equal(found[2], GIVEN[2])


def test_nothing_moved_is_nothing_changed() -> None:
    cameras, splats = corrected(), from_depth(ROOM)
    cameras.take_others_along()
    np.testing.assert_array_equal(cameras.world_to_camera, GIVEN)
    np.testing.assert_array_equal(cameras.in_given_world(), GIVEN)
    assert cameras.splats_in_given_world(splats) is splats


def test_one_camera_stays_where_it_is() -> None:
    cameras = CorrectedCameras(GIVEN[:1], LENSES[:1], 2.0, 2.5)
    cameras.world_to_camera[0, :3, 3] += 0.02
    np.testing.assert_allclose(cameras.in_given_world(), GIVEN[:1], atol=1e-6)
