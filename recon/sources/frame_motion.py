"""How far the picture has moved between two frames of a video, seen small: points followed from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH = 192
"""Pixels of the longer side of the pictures that are compared."""
_POINTS = 200
_FEW = 12
"""Up to so many points say nothing."""
_WINDOW = 15
"""Pixels of the surroundings that a point is found again by."""
_BACK = 0.7
"""Pixels that a point may miss its place by when it is followed there and back."""
_QUANTILE = 0.9
"""Of the points, in order of how far they move: what moves by itself in front of a camera that stands counts, too."""
_LOST = 0.5
"""Share of the points that are not found again, from which on the picture has moved far."""
_DIFFERENT = 2.0
"""Levels of grey that pictures without points differ by, from which on they are different."""


@dataclass(frozen=True)
class SmallFrame:
    """A frame as its motion is measured."""

    gray: NDArray[np.uint8]
    """(h, w)."""

    @staticmethod
    def of(pixels: NDArray[np.uint8]) -> SmallFrame:
        """Of a photo (H, W, 3)."""
        scale = _WIDTH / max(pixels.shape[:2])
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else gray
        return SmallFrame(small.astype(np.uint8, copy=False))

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """(K, 1, 2) that can be followed."""
        found = cv2.goodFeaturesToTrack(self.gray, _POINTS, 0.01, 4)
        return np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)


@dataclass(frozen=True)
class Motion:
    """From one frame to another."""

    share: float
    """Of the longer side, that the picture has moved; infinite where too little is found again to say."""
    found: float
    """Share of the points that are found again; 1 where there are none to follow."""


def frame_motion(first: SmallFrame, second: SmallFrame) -> Motion:
    """Points followed by Lucas and Kanade's method in pyramids (Bouguet 2000), there and back."""
    if first.gray.shape != second.gray.shape:
        return Motion(np.inf, 0.0)
    if np.array_equal(first.gray, second.gray):
        return Motion(0.0, 1.0)
    points = first.points
    if len(points) < _FEW:
        differ = float(np.abs(first.gray.astype(np.int16) - second.gray).mean())
        return Motion(np.inf if differ > _DIFFERENT else 0.0, 1.0)
    size = (_WINDOW, _WINDOW)
    there, seen, _ = cv2.calcOpticalFlowPyrLK(first.gray, second.gray, points, None, winSize=size)  # type: ignore[call-overload]
    back, seen_back, _ = cv2.calcOpticalFlowPyrLK(second.gray, first.gray, there, None, winSize=size)  # type: ignore[call-overload]
    missed = np.linalg.norm(back - points, axis=2)[:, 0]
    good = (seen[:, 0] > 0) & (seen_back[:, 0] > 0) & (missed < _BACK)
    found = float(good.mean())
    if found < _LOST:
        return Motion(np.inf, found)
    moved = np.linalg.norm(there - points, axis=2)[good, 0]
    return Motion(float(np.quantile(moved, _QUANTILE)) / max(first.gray.shape), found)
