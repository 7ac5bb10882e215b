from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.cameras import (
    camera_centres,
    invert_rigid,
    looks_like_camera_to_world,
    normalise_extrinsics,
    to_3x4,
    to_4x4,
    warn_if_camera_to_world,
)
from recon.geometry.quaternions import to_matrix
from recon.messages import ReconWarning
from tests.seeds import numpy_random

from .random_cameras import cameras_at, random_extrinsics, random_rotations, rigid, small_rotations, upright_cameras


def test_inverse_is_the_matrix_inverse():
    cameras = random_extrinsics(numpy_random(0), 60).reshape(3, 20, 4, 4)
    np.testing.assert_allclose(invert_rigid(cameras), np.linalg.inv(cameras), atol=1e-12)
    np.testing.assert_allclose(invert_rigid(to_3x4(cameras)), np.linalg.inv(cameras)[..., :3, :], atol=1e-12)
    np.testing.assert_allclose(invert_rigid(invert_rigid(cameras)), cameras, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conversions_round_trip_and_keep_the_dtype(dtype):
    cameras = random_extrinsics(numpy_random(1), 5).astype(dtype)
    assert to_4x4(cameras[:, :3]).dtype == dtype
    np.testing.assert_array_equal(to_4x4(to_3x4(cameras)), cameras)
    np.testing.assert_array_equal(to_4x4(cameras[0, :3]), cameras[0])


def test_conversions_do_not_share_memory():
    cameras = random_extrinsics(numpy_random(2), 2)
    assert not np.shares_memory(to_4x4(cameras), cameras)
    assert not np.shares_memory(to_3x4(cameras), cameras)


def test_centres_map_to_the_camera_origin():
    cameras = random_extrinsics(numpy_random(3), 50)
    centres = camera_centres(cameras)
    in_camera = np.einsum("nij,nj->ni", cameras[:, :3, :3], centres) + cameras[:, :3, 3]
    np.testing.assert_allclose(in_camera, 0, atol=1e-12)


@pytest.mark.parametrize("count", [2, 5, 6])
def test_normalised_cameras_are_the_same_up_to_a_similarity(count):
    generator = numpy_random(count)
    cameras = random_extrinsics(generator, count)
    normalised = normalise_extrinsics(cameras[:, :3])
    np.testing.assert_allclose(normalised[0], np.eye(4), atol=1e-12)
    relative = cameras @ np.linalg.inv(cameras[0])
    np.testing.assert_allclose(normalised[:, :3, :3], relative[:, :3, :3], atol=1e-12)
    distances = sorted(np.linalg.norm(np.linalg.inv(normalised)[:, :3, 3], axis=1))
    if count > 2:
        assert distances[(count - 1) // 2] == pytest.approx(1)
    moved = cameras @ rigid(random_rotations(generator), generator.normal(size=3))
    np.testing.assert_allclose(normalise_extrinsics(moved), normalised, atol=1e-10)


def test_small_scenes_are_scaled_by_ten_at_most():
    centres = np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0]])
    normalised = normalise_extrinsics(cameras_at(centres, np.eye(3)))
    np.testing.assert_allclose(np.linalg.inv(normalised)[:, :3, 3], centres * 10, atol=1e-12)


def test_normalising_changes_nothing_in_place():
    cameras = random_extrinsics(numpy_random(4), 4)
    before = cameras.copy()
    normalise_extrinsics(cameras)
    np.testing.assert_array_equal(cameras, before)


def ring(generator, count, radius):
    angles = np.sort(generator.uniform(0, 2 * np.pi, count))
    return radius * np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1)


def hand_held(generator, centres, viewing):
    """Upright cameras with a few centimetres and degrees of unsteadiness."""
    count = len(centres)
    cameras = upright_cameras(centres + generator.normal(scale=0.03, size=(count, 3)), viewing)
    return rigid(small_rotations(generator, count, 1.0), np.zeros((count, 3))) @ cameras


def dome(generator, count):
    """Cameras all around and above an object at the origin, looking at it."""
    centres = ring(generator, count, 3.0) + [0, 0, 1] * generator.uniform(0.3, 3, size=(count, 1))
    return hand_held(generator, centres, -centres)


def outward_ring(generator, count):
    centres = ring(generator, count, 0.5)
    return hand_held(generator, centres, centres)


def forward_dolly(generator, count):
    centres = np.arange(count)[:, None] * np.array([0.0, 0.3, 0])
    return hand_held(generator, centres, np.tile([0.0, 1, 0], (count, 1)))


def facade(generator, count):
    centres = np.arange(count)[:, None] * np.array([0.3, 0, 0.0])
    return hand_held(generator, centres, np.tile([0.0, 1, 0], (count, 1)))


def anywhere(generator, count):
    return hand_held(generator, generator.normal(size=(count, 3)), generator.normal(size=(count, 3)))


def moved_world(generator, cameras):
    """The same cameras in a world turned at random, with its origin a few units away."""
    return cameras @ rigid(random_rotations(generator), generator.normal(size=3) * 2)


@pytest.mark.parametrize("count", [2, 3, 6, 20])
@pytest.mark.parametrize("capture", [dome, outward_ring, forward_dolly, facade, anywhere])
def test_no_alarm_for_world_to_camera(capture, count):
    generator = numpy_random(count)
    alarms = 0
    for _ in range(60):
        cameras = capture(generator, count)
        alarms += looks_like_camera_to_world(cameras)
        alarms += looks_like_camera_to_world(cameras @ np.linalg.inv(cameras[0]))
        alarms += looks_like_camera_to_world(moved_world(generator, cameras))
    # Of 600 outward rings in moved worlds 2 alarmed, of 600 of any other capture none: 4 of 60 have a chance of 1e-4.
    assert alarms <= 3


@pytest.mark.parametrize(("count", "share", "share_moved"), [(4, 0.926, 0.825), (8, 0.998, 0.855), (30, 0.999, 0.863)])
def test_inverted_dome_is_noticed(count, share, share_moved):
    """As often as of thousands of such domes, to five standard deviations of 60."""
    generator = numpy_random(count)
    domes = [dome(generator, count) for _ in range(60)]
    for cameras, expected in ((domes, share), ([moved_world(generator, one) for one in domes], share_moved)):
        noticed = [looks_like_camera_to_world(np.linalg.inv(one)) for one in cameras]
        assert np.mean(noticed) > expected - 5 * np.sqrt(expected * (1 - expected) / 60)


@pytest.mark.parametrize("count", [6, 20])
def test_inverted_exact_orbit_is_noticed(count):
    """Rendered data sets: a perfect circle around the world origin, every camera aimed exactly at it."""
    angles = np.arange(count) * 2 * np.pi / count
    centres = np.stack([3 * np.cos(angles), 3 * np.sin(angles), np.full(count, 1.5)], axis=1)
    orbit = upright_cameras(centres, -centres)
    assert not looks_like_camera_to_world(orbit)
    assert looks_like_camera_to_world(np.linalg.inv(orbit))
    assert looks_like_camera_to_world(np.linalg.inv(orbit)[:, :3])


def test_real_cameras_raise_no_alarm(shared_data):
    lines = (shared_data / "door" / "sparse" / "0" / "images.txt").read_text().splitlines()
    poses = [line.split() for line in lines if line.endswith(".JPG")]
    numbers = np.array([pose[1:8] for pose in poses], dtype=np.float64)
    cameras = rigid(to_matrix(numbers[:, :4]), numbers[:, 4:])
    assert len(cameras) == 12
    assert not warn_if_camera_to_world(cameras)


def test_the_warning_says_what_to_do():
    generator = numpy_random(0)
    inverted = np.linalg.inv(dome(generator, 12))
    with pytest.warns(ReconWarning, match=r"extrinsics look camera-to-world.*invert them"):
        assert warn_if_camera_to_world(inverted)
