"""What photos have in common, for a look at their cameras: features on one epipolar geometry, whatever the cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_FEATURES = 1500
"""Per photo; the strongest."""
_RATIO = 0.8
"""A match must be this much closer than the second best (Lowe, IJCV 2004)."""
_FEW_PAIRS = 4
"""Pairs that are looked at first: where these agree, no others are."""
_TRIPLES = 8
"""Groups of three photos in a row that are looked at."""
_FEWEST_PAIR = 20
"""Matches that a pair of photos needs to count."""
_MOST_PER_PAIR = 200
_RANSAC_PIXELS = 1.5
_STATIONARY = 1.5
"""Pixels: what moves less from photo to photo may be a watermark, and tells nothing of cameras if it is not."""


@dataclass(frozen=True)
class Matches:
    """M features that two views have in common, whatever their cameras."""

    first: int
    second: int
    first_points: NDArray[np.float64]
    """(M, 2) pixels, half-integer centres."""
    second_points: NDArray[np.float64]
    """(M, 2)"""


class Features:
    """SIFT features of views (N, H, W, 3), where masks (N, H, W) do not exclude them; found when first asked for."""

    def __init__(self, pixels: NDArray[np.uint8], masks: NDArray[np.bool_] | None = None) -> None:
        self._pixels, self._masks = pixels, masks
        self._detector: Any = cv2.SIFT.create(nfeatures=_FEATURES)
        self._found: dict[int, tuple[NDArray[np.float64], NDArray[np.float32]]] = {}

    def of(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """(K, 2) places with half-integer centres and (K, 128) descriptors (RootSIFT: Arandjelović, CVPR 2012)."""
        if view not in self._found:
            self._found[view] = self._detect(view)
        return self._found[view]

    def _detect(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        grey = cv2.cvtColor(self._pixels[view], cv2.COLOR_RGB2GRAY)
        mask = None if self._masks is None else self._masks[view].astype(np.uint8)
        keypoints, descriptors = self._detector.detectAndCompute(grey, mask)
        if not keypoints:
            return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
        places = np.array([keypoint.pt for keypoint in keypoints], np.float64) + 0.5
        shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-7)
        return places, np.sqrt(shares).astype(np.float32)


def find_matches(features: Features, pairs: list[tuple[int, int]]) -> list[Matches]:
    """What pairs of views have in common: features that one epipolar geometry explains."""
    found = (_match(first, second, *features.of(first), *features.of(second)) for first, second in pairs)
    return [matches for matches in found if matches is not None]


def few_pairs(count: int) -> list[tuple[int, int]]:
    """A few neighbours in order, spread over all views: enough where all is right."""
    firsts = np.unique(np.linspace(0, count - 2, min(_FEW_PAIRS, count - 1)).astype(int))
    return [(first, first + 1) for first in firsts.tolist()]


def neighbouring_pairs(count: int) -> list[tuple[int, int]]:
    """Neighbours in order, and those one apart: of all views, or of some triples among many."""
    if count <= 3 * _TRIPLES:
        return [(i, i + step) for step in (1, 2) for i in range(count - step)]
    starts = np.linspace(0, count - 3, _TRIPLES).astype(int).tolist()
    return [(start + i, start + j) for start in starts for i, j in ((0, 1), (1, 2), (0, 2))]


def _match(
    first: int,
    second: int,
    first_places: NDArray[np.float64],
    first_descriptors: NDArray[np.float32],
    second_places: NDArray[np.float64],
    second_descriptors: NDArray[np.float32],
) -> Matches | None:
    """Mutual best matches that are distinct and agree on some epipolar geometry; None where they are too few."""
    if min(len(first_places), len(second_places)) < _FEWEST_PAIR:
        return None
    likeness = first_descriptors @ second_descriptors.T  # (K, L); squared distance is 2 - 2 likeness
    order = np.argpartition(-likeness, 1, axis=1)[:, :2]
    two = np.take_along_axis(likeness, order, axis=1)
    best = order[np.arange(len(order)), two.argmax(axis=1)]
    distances = np.sqrt(np.maximum(2 - 2 * np.sort(two, axis=1), 0))  # second best, best
    distinct = distances[:, 1] < _RATIO * distances[:, 0]
    mutual = likeness.argmax(axis=0)[best] == np.arange(len(best))
    moved = np.linalg.norm(first_places - second_places[best], axis=1) > _STATIONARY
    chosen = np.flatnonzero(distinct & mutual & moved)
    if len(chosen) < _FEWEST_PAIR:
        return None
    a, b = first_places[chosen], second_places[best[chosen]]
    cv2.setRNGSeed(0)
    _, inliers = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, _RANSAC_PIXELS, 0.999, 2000)
    if inliers is None or inliers.sum() < _FEWEST_PAIR:
        return None
    kept = np.flatnonzero(inliers.ravel())
    kept = kept[np.linspace(0, len(kept) - 1, min(len(kept), _MOST_PER_PAIR)).astype(int)]
    return Matches(first, second, a[kept], b[kept])
