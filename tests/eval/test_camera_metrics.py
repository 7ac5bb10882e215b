"""Camera metrics against cases worked out by hand, and the laws they must keep."""

from __future__ import annotations

import numpy as np
import pytest

from recon.eval.camera_metrics import area_under_curve, camera_scores, pair_errors, rotation_angles, trajectory_error
from recon.geometry.cameras import to_4x4
from recon.geometry.similarity import Similarity
from tests.geometry.random_cameras import random_extrinsics, random_rotations
from tests.seeds import numpy_random


def turn(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) rotation about a coordinate axis."""
    angle = np.radians(degrees)
    i, j = [k for k in range(3) if k != axis]
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = np.cos(angle)
    rotation[i, j], rotation[j, i] = -np.sin(angle), np.sin(angle)
    return rotation


def looking_ahead(*centres: tuple[float, float, float]) -> np.ndarray:
    """(N, 4, 4) world-to-camera of unrotated cameras."""
    cameras = np.tile(np.eye(4), (len(centres), 1, 1))
    cameras[:, :3, 3] = -np.array(centres)
    return cameras


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 0.3, 90.0, 179.9, 180.0])
def test_rotation_angles_are_precise_at_both_ends(degrees: float) -> None:
    assert rotation_angles(turn(1, degrees)[None])[0] == pytest.approx(degrees, rel=1e-6, abs=1e-12)


def test_one_turned_camera_of_three_by_hand() -> None:
    truth = looking_ahead((0, 0, 0), (1, 0, 0), (0, 1, 0))
    predicted = truth.copy()
    predicted[2, :3] = turn(2, 10) @ truth[2, :3]  # turns about its own centre: the pairs with it are off by 10°
    errors = pair_errors(predicted, truth)
    np.testing.assert_allclose(errors.rotation, [0, 10, 10], atol=1e-9)
    # The directions to camera 2 are told in its own frame, which is the turned one.
    np.testing.assert_allclose(errors.translation, [0, 10, 10], atol=1e-9)
    scores = camera_scores(predicted, truth)
    assert scores.rotation_accuracy == pytest.approx({3: 1 / 3, 5: 1 / 3, 15: 1, 30: 1})
    # Below 3 and 5° one pair of three; below 15° and 30° the others from the 11th bin on.
    expected = {3: 1 / 3, 5: 1 / 3, 15: (10 / 3 + 5) / 15, 30: (10 / 3 + 20) / 30}
    assert scores.auc == pytest.approx(expected)
    assert scores.rotation_median == pytest.approx(10)


def test_moved_camera_changes_directions_alone() -> None:
    truth = looking_ahead((0, 0, 0), (1, 0, 0))
    errors = pair_errors(looking_ahead((0, 0, 0), (1, 1, 0)), truth)
    np.testing.assert_allclose(errors.rotation, [0], atol=1e-9)
    np.testing.assert_allclose(errors.translation, [45])
    backward = pair_errors(looking_ahead((0, 0, 0), (-1, 0, 0)), truth)
    np.testing.assert_allclose(backward.translation, [180])
    assert camera_scores(looking_ahead((0, 0, 0), (1, 1, 0)), truth).rotation_auc == {3: 1, 5: 1, 15: 1, 30: 1}


def test_no_similarity_of_the_predicted_world_changes_anything() -> None:
    rng = numpy_random(3)
    truth = random_extrinsics(rng, 7)
    predicted = truth.copy()
    predicted[:, :3, 3] += rng.normal(0, 0.05, (7, 3))
    moved = Similarity(0.37, random_rotations(rng, 1)[0], rng.normal(size=3)).apply_to_extrinsics(predicted)
    one, other = camera_scores(predicted, truth), camera_scores(moved, truth)
    assert one.ate_rmse == pytest.approx(other.ate_rmse, rel=1e-9)
    np.testing.assert_allclose(pair_errors(moved, truth).rotation, pair_errors(predicted, truth).rotation, atol=1e-6)
    np.testing.assert_allclose(
        pair_errors(moved, truth).translation, pair_errors(predicted, truth).translation, atol=1e-6
    )
    assert one.ate_rmse is not None
    assert one.ate_rmse > 1e-3


def test_equal_cameras_are_perfect() -> None:
    truth = random_extrinsics(numpy_random(0), 12)
    intrinsics = np.tile(np.diag([400.0, 410, 1]), (12, 1, 1))
    scores = camera_scores(truth[:, :3].astype(np.float32), truth, intrinsics, intrinsics)
    assert scores.auc == scores.rotation_auc == {3: 1, 5: 1, 15: 1, 30: 1}
    assert scores.translation_accuracy == {3: 1, 5: 1, 15: 1, 30: 1}
    assert scores.rotation_median is not None
    assert scores.rotation_median < 1e-4
    assert scores.ate_percent is not None
    assert scores.ate_percent < 1e-4
    assert scores.focal_error == 0


def test_trajectory_error_by_hand() -> None:
    # A square whose corners move by 0.1, in turn up and down: no similarity takes any of that back to first order.
    truth = looking_ahead((1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0))
    predicted = looking_ahead((1, 1, 0.1), (-1, 1, -0.1), (-1, -1, 0.1), (1, -1, -0.1))
    error, percent = trajectory_error(predicted, truth)
    # The best scale is Σ p·t / Σ p·p = 8 / 8.04, which leaves a mean square of 2 - 2 · 8 / 8.04.
    expected = np.sqrt(2 - 2 * 8 / 8.04)
    assert error == pytest.approx(expected)
    assert percent == pytest.approx(100 * expected / np.sqrt(8))


def test_a_single_outlier_counts_in_the_trajectory_error() -> None:
    truth = random_extrinsics(numpy_random(1), 20)
    predicted = truth.copy()
    predicted[4, :3, 3] += 5
    error, _ = trajectory_error(predicted, truth)
    assert error is not None
    assert error > 0.5  # a RANSAC alignment would report sqrt(75 / 20) or so, none would report 0


def test_failed_cameras_are_wrong_in_every_pair() -> None:
    truth = looking_ahead((0, 0, 0), (1, 0, 0), (0, 1, 0), (3, 1, 1))
    predicted = truth.copy()
    predicted[1] = np.nan
    scores = camera_scores(predicted, truth)
    assert scores.failed == 1
    assert scores.rotation_auc == pytest.approx({3: 0.5, 5: 0.5, 15: 0.5, 30: 0.5})
    assert scores.auc == scores.rotation_auc
    assert scores.ate_rmse == pytest.approx(0, abs=1e-12)


def test_one_camera_tells_nothing() -> None:
    scores = camera_scores(np.eye(4)[None], np.eye(4)[None])
    assert scores.views == 1
    assert scores.auc is scores.rotation_median is scores.ate_rmse is scores.focal_error is None


def test_two_cameras_have_no_trajectory_error() -> None:
    truth = random_extrinsics(numpy_random(2), 2)
    assert camera_scores(truth, truth).ate_rmse is None


def test_cameras_in_one_place_are_judged_by_rotation_alone() -> None:
    truth = np.tile(np.eye(4), (4, 1, 1))
    truth[:, :3, :3] = [turn(1, a) for a in (0, 10, 20, 30)]
    predicted = random_extrinsics(numpy_random(5), 4)
    predicted[:, :3, :3] = truth[:, :3, :3]
    scores = camera_scores(predicted, truth)
    assert scores.translation_median is scores.translation_accuracy is scores.ate_rmse is None
    assert scores.auc == {3: 1, 5: 1, 15: 1, 30: 1}


def test_predicted_cameras_in_one_place_are_wrong() -> None:
    truth = looking_ahead((0, 0, 0), (1, 0, 0), (0, 1, 0))
    scores = camera_scores(to_4x4(np.tile(np.eye(3, 4), (3, 1, 1))), truth)
    assert scores.ate_rmse is None
    assert scores.translation_median == 90
    assert scores.auc == {3: 0, 5: 0, 15: 0, 30: 0}


def test_area_under_curve_by_hand() -> None:
    assert area_under_curve(np.array([0.5, 1.5, 2.5, 9.0]), 3) == pytest.approx((0.25 + 0.5 + 0.75) / 3)
    assert area_under_curve(np.array([0.0, 0.999]), 3) == 1
    assert area_under_curve(np.array([3.0]), 3) == 0
