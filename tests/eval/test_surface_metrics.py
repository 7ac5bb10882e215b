"""Surface metrics against brute force and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.eval.surface_metrics import nearest_distances, surface_scores, thin
from tests.seeds import numpy_random


def test_nearest_distances_are_those_of_brute_force() -> None:
    rng = numpy_random(0)
    points, targets = rng.normal(size=(300, 3)), rng.normal(size=(170, 3))
    expected = np.linalg.norm(points[:, None] - targets, axis=2).min(axis=1)
    np.testing.assert_allclose(nearest_distances(points, targets), expected)
    scores = surface_scores(points, targets, 0.4)
    assert scores is not None
    back = np.linalg.norm(points[:, None] - targets, axis=2).min(axis=0)
    assert scores.accuracy == pytest.approx(expected.mean())
    assert scores.completeness == pytest.approx(back.mean())
    assert scores.chamfer == pytest.approx((expected.mean() + back.mean()) / 2)
    assert scores.precision == (expected < 0.4).mean()
    assert scores.recall == (back < 0.4).mean()


def test_scores_by_hand() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    predicted = np.array([[0, 0.1, 0], [1, 0, 0.3], [np.nan, 0, 0]])
    scores = surface_scores(predicted, truth, 0.2)
    assert scores is not None
    assert scores.predicted_points == 2
    assert scores.accuracy == pytest.approx(0.2)
    assert scores.precision == 0.5
    assert scores.recall == 0.25
    assert scores.f1 == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    far = surface_scores(predicted, truth, 0.2, outlier_distance=0.25)
    assert far is not None
    assert far.accuracy == pytest.approx(0.1)
    assert far.precision == 0.5  # the outlier still counts there


def test_empty_clouds() -> None:
    truth = np.zeros((5, 3))
    scores = surface_scores(np.empty((0, 3)), truth, 1.0)
    assert scores is not None
    assert (scores.f1, scores.recall) == (0, 0)
    assert scores.chamfer is scores.precision is None
    assert surface_scores(truth, np.empty((0, 3)), 1.0) is None
    nowhere = surface_scores(truth, truth + 100, 1.0, outlier_distance=1.0)
    assert nowhere is not None
    assert nowhere.chamfer is None
    assert nowhere.f1 == 0


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_wrong_threshold(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold"):
        surface_scores(np.zeros((1, 3)), np.zeros((1, 3)), threshold)


def test_thinning_keeps_one_mean_per_cell() -> None:
    points = np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [1.2, 0.1, 0.1], [-0.1, 0.1, 0.1], [1e30, 0, 0]])
    thinned = thin(points, 1.0)
    expected = [[-0.1, 0.1, 0.1], [0.2, 0.1, 0.1], [1.2, 0.1, 0.1], [1e30, 0, 0]]
    np.testing.assert_allclose(sorted(thinned.tolist()), expected)
    assert thin(np.empty((0, 3)), 1.0).shape == (0, 3)
    rng = numpy_random(0)
    many = rng.normal(size=(5000, 3))
    assert len(thin(many, 0.3)) == len(np.unique(np.floor(many / 0.3), axis=0))
