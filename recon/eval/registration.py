"""A point cloud brought onto a true one that it nearly lies on: iterative closest points, scale included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recon.geometry.similarity import Similarity, umeyama
from recon.types import FloatArray

_MOST_POINTS = 100_000
"""Of the cloud that is moved: more tell the same."""
_ROUNDS = 20
_FEWEST_PAIRS = 10
_SETTLED = 1e-3
"""Of the distance up to which points are pairs: moving points by less than this share of it ends a stage."""


def closest_point_alignment(points: FloatArray, targets: FloatArray, distances: Sequence[float]) -> Similarity:
    """The similarity that brings `points` (P, 3) onto `targets` (Q, 3), both finite.

    Besl and McKay, PAMI 1992, with scale, in stages: each pairs points with their nearest targets up to one of the
    `distances`, the largest first. Where few are that near, nothing moves.
    """
    from scipy.spatial import cKDTree

    found = Similarity(1.0, np.eye(3), np.zeros(3))
    if len(targets) == 0:
        return found
    step = max(1, len(points) // _MOST_POINTS)
    source = np.asarray(points[::step], np.float64)
    tree = cKDTree(targets)
    for distance in distances:
        for _ in range(_ROUNDS):
            moved = found.apply(source)
            apart, nearest = tree.query(moved, distance_upper_bound=distance, workers=-1)
            paired = np.isfinite(apart)
            if paired.sum() < _FEWEST_PAIRS:
                break
            found = umeyama(np.asarray(targets, np.float64)[nearest[paired]], source[paired])
            if np.abs(found.apply(source) - moved).max() < _SETTLED * distance:
                break
    return found
