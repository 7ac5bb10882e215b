"""Cameras brought to noisy positions: what is found, what is left out, and what is said to be open."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.geometry.cameras import camera_centres, invert_rigid
from recon.geometry.georeferencing import fit_to_positions
from recon.geometry.similarity import Similarity
from tests.seeds import numpy_random

Array = NDArray[np.float64]


def looking(centres: Array, ahead: Array) -> Array:
    """(N, 4, 4) world to camera of level cameras at (N, 3), which look along (N, 3), in a world with z up."""
    forward = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    to_world = np.tile(np.eye(4), (len(centres), 1, 1))
    to_world[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
    to_world[:, :3, 3] = centres
    return invert_rigid(to_world)


def ring(count: int, radius: float) -> Array:
    """(N, 4, 4) of a flight around something, 20 to 40 m up."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    height = 30 + 10 * np.sin(3 * angle)
    centres = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)
    return looking(centres, -centres)


def free(truth: Array, random: np.random.Generator) -> tuple[Array, Similarity]:
    """The cameras in a frame and scale of their own, and the way back."""
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    there = Similarity(0.037, turn, random.normal(size=3))
    return there.apply_to_extrinsics(truth), there.inverse()


def north_off(found: Similarity, right: Similarity) -> float:
    """Degrees that north is turned about the vertical."""
    error = found.rotation @ right.rotation.T
    return float(np.degrees(np.arctan2(error[1, 0], error[0, 0])))


@pytest.mark.parametrize("seed", range(5))
def test_forty_photos_with_three_metres_of_noise_give_metres_and_north(seed: int) -> None:
    random = numpy_random(seed)
    truth = ring(40, 80.0)
    cameras, back = free(truth, random)
    positions = camera_centres(truth) + random.normal(scale=3.0, size=(40, 3))
    positions[7] += [500_000.0, 200_000.0, 0.0]
    positions[21] += [60.0, 0.0, 0.0]
    fit = fit_to_positions(cameras, positions)
    assert fit.similarity is not None
    assert fit.turn_known
    assert not fit.upright
    assert np.flatnonzero(~fit.used).tolist() == [7, 21]
    assert abs(fit.similarity.scale / back.scale - 1) < 0.02
    assert abs(north_off(fit.similarity, back)) < 1
    assert 0.003 < fit.scale_uncertainty < 0.01  # 3 m / (80 m √40) = 0.6 %, and as an angle 0.34°
    assert 0.2 < fit.north_uncertainty < 0.5
    off = np.linalg.norm(camera_centres(fit.similarity.apply_to_extrinsics(cameras)) - camera_centres(truth), axis=1)
    assert off.max() < 3


def test_positions_count_by_how_exact_they_are_said_to_be() -> None:
    """Ten photos with differential GPS among thirty of a phone's."""
    random = numpy_random(8)
    truth = ring(40, 50.0)
    cameras, back = free(truth, random)
    accuracies = np.where(np.arange(40) % 4 == 0, 0.05, 5.0)
    positions = camera_centres(truth) + random.normal(size=(40, 3)) * accuracies[:, None]
    told, untold = fit_to_positions(cameras, positions, accuracies=accuracies), fit_to_positions(cameras, positions)
    assert told.similarity is not None
    assert untold.similarity is not None
    assert abs(told.similarity.scale / back.scale - 1) < 1e-3
    assert abs(north_off(told.similarity, back)) < 0.1
    assert told.scale_uncertainty < 1e-3 < untold.scale_uncertainty
    assert told.used.all()


def test_exact_positions_give_the_frame_exactly_with_four_photos_of_which_one_is_elsewhere() -> None:
    truth = ring(4, 80.0)
    cameras, back = free(truth, numpy_random(1))
    positions = camera_centres(truth)
    positions[2] += 5000.0
    fit = fit_to_positions(cameras, positions)
    assert fit.similarity is not None
    assert fit.used.tolist() == [True, True, False, True]
    np.testing.assert_allclose(fit.similarity.scale, back.scale, rtol=1e-6)
    np.testing.assert_allclose(fit.similarity.rotation, back.rotation, atol=1e-6)


@pytest.mark.parametrize("radius", [0.0, 1.5])
def test_positions_that_scatter_more_than_the_photos_are_apart_say_nothing(radius: float) -> None:
    truth = ring(30, 1.5)
    truth[:, :3, 3] += truth[:, :3, :3] @ [0.0, 0.0, 30.0]
    cameras, _ = free(truth, numpy_random(2))
    noise = numpy_random(3).normal(scale=3.0, size=(30, 3)) if radius else 0.0
    fit = fit_to_positions(cameras, radius * camera_centres(truth) + noise)
    assert fit.similarity is None
    assert fit.together == (radius == 0)  # otherwise they are up to 15 m above and below
    scattered = fit_to_positions(cameras, numpy_random(4).normal(scale=60.0, size=(30, 3)))
    assert scattered.similarity is None
    assert not scattered.together


def test_photos_on_a_line_are_turned_by_how_they_were_held() -> None:
    random = numpy_random(4)
    centres = np.stack([np.linspace(0, 200, 20), np.linspace(0, 100, 20), np.full(20, 2.0)], axis=-1)
    angle = np.linspace(-1, 1, 20)
    truth = looking(centres, np.stack([np.cos(angle), np.sin(angle), np.full(20, -0.2)], axis=-1))
    cameras, back = free(truth, random)
    fit = fit_to_positions(cameras, centres + random.normal(scale=3.0, size=(20, 3)))
    assert fit.similarity is not None
    assert fit.turn_known
    assert fit.upright
    assert abs(fit.similarity.scale / back.scale - 1) < 0.03
    np.testing.assert_allclose(fit.similarity.rotation @ back.rotation.T, np.eye(3), atol=np.radians(3))


def test_photos_downwards_on_a_line_give_metres_but_no_frame() -> None:
    centres = np.stack([np.linspace(0, 200, 20), np.zeros(20), np.full(20, 50.0)], axis=-1)
    down = np.tile(np.eye(4), (20, 1, 1))
    down[:, :3, :3] = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])  # the photos' own up is the way of the flight
    down[:, :3, 3] = -(down[:, :3, :3] @ centres[..., None])[..., 0]
    cameras, back = free(down, numpy_random(5))
    fit = fit_to_positions(cameras, centres + numpy_random(6).normal(scale=1.0, size=(20, 3)))
    assert fit.similarity is not None
    assert not fit.turn_known
    np.testing.assert_array_equal(fit.similarity.rotation, np.eye(3))
    assert abs(fit.similarity.scale / back.scale - 1) < 0.03
