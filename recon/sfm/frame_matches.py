"""Features of single frames, and those that two frames have in common."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_RATIO = 0.8
"""Largest distance to the nearest feature, relative to the second nearest (Lowe, IJCV 2004)."""
_OFF_EPIPOLAR = 1.5
"""Pixels of an image of usual width, that a match may be off the motion of its frames."""
_USUAL_WIDTH = 500.0
_CONFIDENCE = 0.9999


@dataclass(frozen=True)
class FrameFeatures:
    """K features of one frame."""

    pixels: NDArray[np.float32]
    """(K, 2)."""
    descriptors: NDArray[np.float32]
    """(K, 128) root SIFT (Arandjelović and Zisserman, CVPR 2012), of unit length."""


def frame_features(pixels: NDArray[np.uint8], most: int, mask: NDArray[np.bool_] | None = None) -> FrameFeatures:
    """At most so many SIFT features of a picture (H, W, 3), only where `mask` (H, W) is True."""
    # Without the precise upscaling, places are a quarter of a pixel off.
    finder = cv2.SIFT_create(  # type: ignore[attr-defined]  # the stubs lack it
        nfeatures=most, contrastThreshold=0.01, enable_precise_upscale=True
    )
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    points, found = finder.detectAndCompute(gray, None if mask is None else mask.astype(np.uint8) * 255)
    if found is None:
        return FrameFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    places = np.array([point.pt for point in points], np.float32) + np.float32(0.5)
    shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1e-6)
    return FrameFeatures(places, np.sqrt(shares).astype(np.float32))


def match_features(first: FrameFeatures, second: FrameFeatures) -> NDArray[np.intp]:
    """(M, 2) features that are each other's nearest, and clearly nearer than the second nearest."""
    if min(len(first.pixels), len(second.pixels)) < 2:
        return np.zeros((0, 2), np.intp)
    alike = first.descriptors @ second.descriptors.T  # (K, L) cosines
    nearest, back = alike.argmax(axis=1), alike.argmax(axis=0)
    rows = np.arange(len(alike))
    best = alike[rows, nearest]
    others = alike.copy()
    others[rows, nearest] = -1
    distance, second_distance = (np.sqrt(np.maximum(2 - 2 * one, 0)) for one in (best, others.max(axis=1)))
    kept = (back[nearest] == rows) & (distance < _RATIO * second_distance)
    return np.stack([rows[kept], nearest[kept]], axis=1)


def explained_by_one_motion(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    first_intrinsics: NDArray[np.float64],
    second_intrinsics: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(M,) matches, as pixels (M, 2) of two frames, that one essential matrix explains (RANSAC, seeded)."""
    if len(first) < 8:
        return np.zeros(len(first), np.bool_)
    unit = np.eye(3)
    rays = [_on_image_plane(first, first_intrinsics), _on_image_plane(second, second_intrinsics)]
    focal = float(np.sqrt(first_intrinsics[0, 0] * second_intrinsics[0, 0]))
    width = 2 * float(first_intrinsics[0, 2])
    off = _OFF_EPIPOLAR * max(width / _USUAL_WIDTH, 0.5) / focal
    cv2.setRNGSeed(0)
    found, explained = cv2.findEssentialMat(rays[0], rays[1], unit, cv2.RANSAC, _CONFIDENCE, off)
    if found is None or explained is None:
        return np.zeros(len(first), np.bool_)
    return np.asarray(explained.ravel() > 0)


def _on_image_plane(pixels: NDArray[np.float32], intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 2) where rays of pixels (M, 2) meet the plane at distance 1."""
    rays = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ np.linalg.inv(intrinsics).T
    return np.asarray(rays[:, :2] / rays[:, 2:])
