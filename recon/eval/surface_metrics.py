"""How far a predicted point cloud is from a true surface, given as points: accuracy, completeness, F1, Chamfer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.types import FloatArray


@dataclass(frozen=True)
class SurfaceScores:
    """Distances between P predicted and Q true points, in units of the ground truth; None where there are none."""

    threshold: float
    """Distance below which a point counts as right."""
    predicted_points: int
    """P, after thinning."""
    true_points: int
    """Q, after thinning."""
    accuracy: float | None
    """Mean distance from a predicted point to the nearest true one."""
    completeness: float | None
    """Mean distance from a true point to the nearest predicted one."""
    chamfer: float | None
    """Mean of accuracy and completeness: `overall` of DTU (Jensen et al., CVPR 2014)."""
    precision: float | None
    """Share of predicted points closer to a true one than the threshold (Knapitsch et al., TOG 2017)."""
    recall: float
    """Share of true points closer to a predicted one than the threshold."""
    f1: float
    """Harmonic mean of precision and recall."""


def surface_scores(
    predicted: FloatArray, truth: FloatArray, threshold: float, outlier_distance: float | None = None
) -> SurfaceScores | None:
    """Compare points (P, 3) with true ones (Q, 3); None without true ones.

    Args:
        predicted: points in the frame and units of the truth; those that are not finite are left out.
        truth: points spread evenly over the true surface.
        threshold: of precision and recall, in units of the truth.
        outlier_distance: points farther than this are left out of accuracy and completeness, as in the DTU benchmark.

    Raises:
        InputError: a threshold that is not positive.
    """
    if not threshold > 0:
        raise InputError(f"the surface threshold must be positive, got {threshold}")
    predicted = predicted[np.isfinite(predicted).all(axis=1)]
    if len(truth) == 0:
        return None
    if len(predicted) == 0:
        return SurfaceScores(threshold, 0, len(truth), None, None, None, None, 0.0, 0.0)
    to_truth, to_predicted = nearest_distances(predicted, truth), nearest_distances(truth, predicted)
    precision, recall = float((to_truth < threshold).mean()), float((to_predicted < threshold).mean())
    accuracy = _mean_below(to_truth, outlier_distance)
    completeness = _mean_below(to_predicted, outlier_distance)
    return SurfaceScores(
        threshold=threshold,
        predicted_points=len(predicted),
        true_points=len(truth),
        accuracy=accuracy,
        completeness=completeness,
        chamfer=None if accuracy is None or completeness is None else (accuracy + completeness) / 2,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0,
    )


def nearest_distances(points: FloatArray, targets: FloatArray) -> NDArray[np.float64]:
    """Distance (P,) from each of `points` (P, 3) to the nearest of `targets` (Q, 3), Q at least 1."""
    from scipy.spatial import cKDTree

    distances, _ = cKDTree(targets, balanced_tree=False, compact_nodes=False).query(points, workers=-1)
    return np.asarray(distances)


def thin(points: FloatArray, cell: float) -> NDArray[np.float64]:
    """One point, the mean, for each cube of side `cell` that holds any of `points` (P, 3).

    Makes every piece of a surface count by its area, however often it was seen.
    """
    if len(points) == 0:
        return np.empty((0, 3))
    cells = np.floor(points / cell)  # (P, 3) whole numbers, left as floats: a point may be any distance away
    members = np.zeros(len(points), np.int64)
    for axis in range(3):
        _, slices = np.unique(cells[:, axis], return_inverse=True)
        _, members = np.unique(members * (slices.max() + 1) + slices, return_inverse=True)
    counts = np.bincount(members)
    return np.stack([np.bincount(members, weights=points[:, axis]) / counts for axis in range(3)], axis=1)


def _mean_below(distances: NDArray[np.float64], limit: float | None) -> float | None:
    kept = distances if limit is None else distances[distances < limit]
    return float(kept.mean()) if len(kept) else None
