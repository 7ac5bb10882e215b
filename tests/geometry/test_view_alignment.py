from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.similarity import Similarity, align_cameras
from recon.geometry.view_alignment import align_views
from tests.geometry.random_cameras import random_rotations
from tests.seeds import numpy_random

from ..synthetic.camera_paths import camera_path
from ..synthetic.scenes import make_scene

DISTANCE = 4.0


@pytest.fixture
def cameras() -> np.ndarray:
    """(12, 4, 4) by hand through a courtyard: an arc, nearly level."""
    return camera_path(make_scene("textureless_wall", 1), "hand_held", 12, 1)


def some_similarity(seed: int) -> Similarity:
    rng = numpy_random(seed)
    return Similarity(float(rng.uniform(0.2, 5)), random_rotations(rng), rng.normal(size=3))


def displacement(found: Similarity, truth: Similarity, cameras: np.ndarray) -> float:
    """How far apart two similarities to the world of the cameras take points in front of them, as a mean."""
    rng = numpy_random(0)
    centres = -np.einsum("nji,nj->ni", cameras[:, :3, :3], cameras[:, :3, 3])
    points = centres + DISTANCE * cameras[:, 2, :3] + rng.normal(size=centres.shape)
    return float(np.linalg.norm(found.apply(truth.inverse().apply(points)) - points, axis=1).mean())


@pytest.mark.parametrize("seed", range(4))
def test_exact_cameras_give_the_exact_similarity(cameras: np.ndarray, seed: int) -> None:
    truth = some_similarity(seed)
    source = truth.inverse().apply_to_extrinsics(cameras)
    rough = Similarity(truth.scale, random_rotations(numpy_random(seed)), np.zeros(3))
    found = align_views(cameras, source, rough, DISTANCE)
    np.testing.assert_allclose(found.scale, truth.scale, rtol=1e-9)
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, truth.translation, atol=1e-8)


def moved(cameras: np.ndarray, rng: np.random.Generator, by: float) -> np.ndarray:
    """The cameras with centres off by a normal error of deviation `by` along each axis, turned as before."""
    result = cameras.copy()
    result[:, :3, 3] -= np.einsum("nij,nj->ni", cameras[:, :3, :3], rng.normal(scale=by, size=(len(cameras), 3)))
    return result


def test_orientations_help_where_centres_are_off(cameras: np.ndarray) -> None:
    by_views, by_centres = [], []
    for seed in range(20):
        truth = some_similarity(seed)
        noisy = moved(cameras, numpy_random(seed), 0.003)
        source = truth.inverse().apply_to_extrinsics(noisy)
        rough = align_cameras(cameras, source)
        assert rough is not None
        by_centres.append(displacement(rough, truth, cameras))
        by_views.append(displacement(align_views(cameras, source, rough, DISTANCE), truth, cameras))
    assert np.median(by_views) < 0.5 * np.median(by_centres)


def test_cameras_that_are_far_off_are_left_out(cameras: np.ndarray) -> None:
    rng = numpy_random(0)
    truth = some_similarity(7)
    source = moved(cameras, rng, 0.001)
    source[[2, 9], :3, :3] = random_rotations(rng, 2)
    source[[2, 9], :3, 3] += 1
    source = truth.inverse().apply_to_extrinsics(source)
    rough = align_cameras(cameras, source)
    assert rough is not None
    assert displacement(align_views(cameras, source, rough, DISTANCE), truth, cameras) < 0.003
