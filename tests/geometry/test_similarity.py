from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import Similarity, align_cameras
from tests.seeds import numpy_random

from .random_cameras import (
    cameras_at,
    random_extrinsics,
    random_rotations,
    random_similarity,
    rigid,
    small_rotations,
)


def assert_same(left: Similarity, right: Similarity, tolerance: float = 1e-9):
    assert left.scale == pytest.approx(right.scale, rel=tolerance)
    np.testing.assert_allclose(left.rotation, right.rotation, atol=tolerance)
    np.testing.assert_allclose(left.translation, right.translation, atol=tolerance * 100)


def rotation_error_degrees(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(left.T @ right) - 1) / 2, -1, 1))))


@pytest.fixture(params=range(5))
def generator(request):
    return numpy_random(request.param)


def test_group_laws(generator):
    a, b, c = (random_similarity(generator) for _ in range(3))
    points = generator.normal(size=(4, 10, 3))
    np.testing.assert_allclose(a.compose(b).apply(points), a.apply(b.apply(points)), atol=1e-10)
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points, atol=1e-10)
    assert_same(a.compose(b).compose(c), a.compose(b.compose(c)))
    assert_same(a.compose(a.inverse()), Similarity(1.0, np.eye(3), np.zeros(3)))
    assert_same(a.compose(b).inverse(), b.inverse().compose(a.inverse()), 1e-8)


def test_moved_cameras_see_moved_points_as_before(generator):
    similarity, cameras = random_similarity(generator), random_extrinsics(generator, 7)
    points = generator.normal(size=(7, 3))
    before = np.einsum("nij,nj->ni", cameras[:, :3, :3], points) + cameras[:, :3, 3]
    moved = similarity.apply_to_extrinsics(cameras[:, :3])
    after = np.einsum("nij,nj->ni", moved[:, :3, :3], similarity.apply(points)) + moved[:, :3, 3]
    np.testing.assert_allclose(after, similarity.scale * before, atol=1e-10)
    np.testing.assert_allclose(camera_centres(moved), similarity.apply(camera_centres(cameras)), atol=1e-10)
    np.testing.assert_allclose(similarity.inverse().apply_to_extrinsics(moved), cameras, atol=1e-10)


@pytest.mark.parametrize("count", [2, 3, 4, 9, 10, 30])
def test_recovers_a_known_similarity(generator, count):
    truth, source = random_similarity(generator), random_extrinsics(generator, count)
    target = truth.apply_to_extrinsics(source)
    assert_same(align_cameras(target, source), truth, 1e-8)
    assert_same(align_cameras(target[:, :3], source[:, :3]), truth, 1e-8)
    assert_same(align_cameras(source, target), truth.inverse(), 1e-8)


def test_planar_cameras_are_not_mirrored(generator):
    truth = random_similarity(generator)
    centres = generator.normal(size=(6, 3)) * [1, 1, 0]
    source = cameras_at(centres, random_rotations(generator, 6))
    assert_same(align_cameras(truth.apply_to_extrinsics(source), source), truth, 1e-8)


def dolly(generator, count=20):
    """Cameras 0.2 apart on a line in a random world, all looking along it."""
    camera_to_world = random_rotations(generator)
    centres = np.arange(count)[:, None] * 0.2 * camera_to_world[:, 2] + generator.normal(size=3)
    return cameras_at(centres, camera_to_world)


def jitter(generator, cameras, position):
    """The same orientations at centres moved by `position` standard deviation."""
    centres = camera_centres(cameras)
    return cameras_at(centres + generator.normal(scale=position, size=centres.shape), cameras[:, :3, :3].swapaxes(1, 2))


@pytest.mark.parametrize("count", [2, 3, 9, 20])
def test_exact_dolly(generator, count):
    truth, source = random_similarity(generator), dolly(generator, count)
    assert_same(align_cameras(truth.apply_to_extrinsics(source), source), truth, 1e-8)


@pytest.mark.parametrize("noisy", ["target", "source", "both"])
def test_dolly_of_20_with_one_percent_noise(generator, noisy):
    truth, exact = random_similarity(generator), dolly(generator)
    step = 0.2
    source = jitter(generator, exact, 0.01 * step) if noisy != "target" else exact
    target = truth.apply_to_extrinsics(jitter(generator, exact, 0.01 * step) if noisy != "source" else exact)
    found = align_cameras(target, source)
    assert found.scale == pytest.approx(truth.scale, rel=0.01)
    assert rotation_error_degrees(found.rotation, truth.rotation) < 1e-4


def test_dolly_with_noise_of_one_percent_of_its_length(generator):
    """Far noisier: still on a line, so the noise of the centres never reaches the rotation."""
    truth, exact = random_similarity(generator), dolly(generator)
    length = 0.2 * 19
    target = truth.apply_to_extrinsics(jitter(generator, exact, 0.01 * length))
    found = align_cameras(target, jitter(generator, exact, 0.01 * length))
    assert found.scale == pytest.approx(truth.scale, rel=0.04)
    assert rotation_error_degrees(found.rotation, truth.rotation) < 1e-4


def test_rotation_about_a_line_is_the_mean_of_the_orientations(generator):
    """Every turn of a camera comes with its opposite, so that their mean is the exact rotation."""
    truth, exact = random_similarity(generator), dolly(generator, 8)
    turns = small_rotations(generator, 4, 5.0)
    camera_to_world = exact[:, :3, :3].swapaxes(1, 2) @ np.concatenate([turns, turns.swapaxes(1, 2)])
    source = cameras_at(camera_centres(exact), camera_to_world)
    assert_same(align_cameras(truth.apply_to_extrinsics(exact), source), truth, 1e-8)


def test_line_in_one_world_only(generator):
    """Predicted cameras bend where the given ones are exactly straight."""
    source = dolly(generator)
    truth = random_similarity(generator)
    bend = np.linspace(-1, 1, 20)[:, None] ** 2 * 0.1 * random_rotations(generator)[:, 0]
    bent = cameras_at(camera_centres(source) + bend, source[:, :3, :3].swapaxes(1, 2))
    found = align_cameras(truth.apply_to_extrinsics(bent), source)
    assert found.scale == pytest.approx(truth.scale, rel=0.01)
    assert rotation_error_degrees(found.rotation, truth.rotation) < 1e-4


def test_rigs_far_from_the_origin_are_not_coincident(generator):
    """Map coordinates in float64: metres apart, millions of metres from the origin."""
    cameras = random_extrinsics(generator, 6)
    far = Similarity(1.0, np.eye(3), np.array([5e5, 5.2e6, 100.0]))
    found = align_cameras(cameras, far.apply_to_extrinsics(cameras))
    assert found is not None
    assert found.scale == pytest.approx(1, rel=1e-6)
    as_float32 = far.apply_to_extrinsics(cameras).astype(np.float32)
    as_float32[:, :3, 3] = as_float32[0, :3, 3]
    as_float32[:, :3, :3] = as_float32[0, :3, :3]
    assert align_cameras(cameras, as_float32) is None


def test_scale_is_undetermined_for_one_view_or_coincident_cameras(generator):
    source = random_extrinsics(generator, 12)
    target = random_similarity(generator).apply_to_extrinsics(source)
    assert align_cameras(target[:1], source[:1]) is None
    on_a_tripod = cameras_at(np.tile(generator.normal(size=3), (12, 1)), random_rotations(generator, 12))
    assert align_cameras(target, on_a_tripod) is None
    assert align_cameras(on_a_tripod, source) is None
    assert align_cameras(target, on_a_tripod.astype(np.float32)) is None
    assert align_cameras(np.repeat(target[:1], 3, axis=0), source[:3]) is None
    assert align_cameras(target[:2], np.repeat(source[:1], 2, axis=0)) is None


def test_different_counts_are_refused():
    cameras = np.tile(np.eye(4), (3, 1, 1))
    with pytest.raises(ValueError, match="3 target cameras cannot be aligned with 2"):
        align_cameras(cameras, cameras[:2])


def test_survives_cameras_that_are_far_off(generator):
    truth, source = random_similarity(generator), random_extrinsics(generator, 14)
    target = truth.apply_to_extrinsics(source)
    target[[3, 11]] = rigid(random_rotations(generator, 2), generator.normal(size=(2, 3)) * 30 * truth.scale)
    assert_same(align_cameras(target, source), truth, 1e-6)


def test_dolly_survives_a_camera_that_is_far_off(generator):
    truth, source = random_similarity(generator), dolly(generator)
    target = truth.apply_to_extrinsics(source)
    target[7, :3, 3] += generator.normal(size=3) * 10 * truth.scale
    assert_same(align_cameras(target, source), truth, 1e-6)


def test_samples_on_a_line_are_no_obstacle(generator):
    """Most of the cameras on one line, two beside it: most samples are exactly collinear."""
    truth = random_similarity(generator)
    centres = np.arange(12)[:, None] * np.array([0.3, 0, 0])
    centres[[4, 9]] += generator.normal(size=(2, 3))
    source = cameras_at(centres, random_rotations(generator, 12))
    assert_same(align_cameras(truth.apply_to_extrinsics(source), source), truth, 1e-8)


def test_agreeing_cameras_may_be_on_a_line_and_the_others_far_off(generator):
    """Neither set is on a line, but every sample without a wrong camera is, and so are all cameras that agree."""
    truth = random_similarity(generator)
    centres = np.arange(14)[:, None] * np.array([0.3, 0, 0])
    away, wrong = random_rotations(generator, 2)[:, 0], random_rotations(generator, 2)[:, 0]  # directions
    away[:, 0] = 0
    centres[[3, 11]] += away / np.linalg.norm(away, axis=1, keepdims=True)
    source = cameras_at(centres, random_rotations(generator, 14))
    target = truth.apply_to_extrinsics(source)
    target[[3, 11], :3, 3] += 4 * wrong * truth.scale
    assert_same(align_cameras(target, source), truth, 1e-6)


def test_same_seed_same_answer(generator):
    source = random_extrinsics(generator, 15)
    target = jitter(generator, random_similarity(generator).apply_to_extrinsics(source), 0.3)
    assert_same(align_cameras(target, source, seed=1), align_cameras(target, source, seed=1), 0)


def test_aligning_unrelated_cameras_gives_a_valid_similarity(generator):
    for count in (2, 3, 12):
        found = align_cameras(random_extrinsics(generator, count), random_extrinsics(generator, count))
        assert found.scale > 0
        np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(found.rotation) == pytest.approx(1)
