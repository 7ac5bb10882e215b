"""What lies beyond a contour and was taken for the surface before it.

A window that holds a contour matches best where the contour does, also when its centre lies beyond: depth maps swell
by up to a window's radius into the sky, plain walls, and what only one view sees (foreground fattening; Scharstein and
Szeliski, IJCV 2002, section 3.2). Views agree on it, as the contour moves along. The colour of the pixel tells.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

_SWELLING = 3
"""Pixels by which a depth map may have swollen: all nearer to the contour are doubtful."""
_REACH = 6
"""Pixels within which a doubtful one is compared with the surface's inside and with what is beyond."""
_SAME, _FARTHER = 0.03, 0.05
"""Relative difference of inverse depth up to which pixels lie on one surface, and from which one lies beyond."""
_LIKENESS = 15.0
"""Distance in RGB at which two colours are alike by exp(-1/2)."""
_CLEARLY = 1.5
"""How much more like what is beyond a pixel must be: where both look the same, it stays."""


def clear_contours(
    inverse_depth: NDArray[np.float32],
    image: NDArray[np.uint8],
    smallest_hole: int,
    wanted: NDArray[np.bool_] | None = None,
    slopes: NDArray[np.float32] | None = None,
) -> None:
    """Set to 0, in place, the pixels near a contour whose colour is that of the far side rather than of the inside.

    Args:
        inverse_depth: (H, W), 0 where unknown.
        image: (H, W, 3) RGB.
        smallest_hole: unknown pixels count as beyond a contour if so many of them are connected.
        wanted: (H, W) False where depth is unknown because it is masked: no contour is there. None: nowhere.
        slopes: (2, H, W) relative change of inverse depth per column and row, along which a surface goes on. None: 0.
    """
    hole = _large_holes(inverse_depth, smallest_hole)
    if wanted is not None:
        hole = hole & wanted
    flat = np.zeros((2, *inverse_depth.shape), np.float32) if slopes is None else slopes
    _clear(inverse_depth, flat, hole, np.ascontiguousarray(image))


def _large_holes(inverse_depth: NDArray[np.float32], smallest: int) -> NDArray[np.bool_]:
    unknown = (inverse_depth <= 0).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(unknown, connectivity=4)
    large = statistics[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False  # what is known
    return np.asarray(large[labels])


@compiled()
def _clear(inverse_depth, slopes, hole, image):  # type: ignore[no-untyped-def]
    height, width = inverse_depth.shape
    before = inverse_depth.copy()
    doubtful = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            if before[y, x] > 0:
                for row in range(max(y - _SWELLING, 0), min(y + _SWELLING + 1, height)):
                    for column in range(max(x - _SWELLING, 0), min(x + _SWELLING + 1, width)):
                        if _beyond(before, slopes, hole, row, column, y, x):
                            doubtful[y, x] = True
    for y in range(height):
        for x in range(width):
            if not doubtful[y, x]:
                continue
            w = before[y, x]
            beyond = inside = 0.0
            beyond_count = inside_count = 0
            for row in range(max(y - _REACH, 0), min(y + _REACH + 1, height)):
                for column in range(max(x - _REACH, 0), min(x + _REACH + 1, width)):
                    if _beyond(before, slopes, hole, row, column, y, x):
                        beyond += _likeness(image, y, x, row, column)
                        beyond_count += 1
                    elif not doubtful[row, column] and _off(before, slopes, row, column, y, x) < _SAME * w:
                        inside += _likeness(image, y, x, row, column)
                        inside_count += 1
            # On something too thin to have an inside, nothing can be told.
            if inside_count > 0 and beyond * inside_count > _CLEARLY * inside * beyond_count:
                inverse_depth[y, x] = 0


@compiled(forceinline=True)
def _beyond(inverse_depth, slopes, hole, row, column, y, x):  # type: ignore[no-untyped-def]
    """Whether a pixel lies clearly farther than pixel (y, x) and than its plane there, or in a large hole."""
    there, w = inverse_depth[row, column], inverse_depth[y, x]
    on_plane = w * (1 + slopes[0, y, x] * (column - x) + slopes[1, y, x] * (row - y))
    return hole[row, column] or 0 < there < min((1 - _FARTHER) * w, on_plane - _FARTHER * w)


@compiled(forceinline=True)
def _off(inverse_depth, slopes, row, column, y, x):  # type: ignore[no-untyped-def]
    """How far a pixel lies from pixel (y, x) or from its plane there, whichever is less."""
    there, w = inverse_depth[row, column], inverse_depth[y, x]
    on_plane = w * (1 + slopes[0, y, x] * (column - x) + slopes[1, y, x] * (row - y))
    return min(abs(there - w), abs(there - on_plane))


@compiled(forceinline=True)
def _likeness(image, y, x, row, column):  # type: ignore[no-untyped-def]
    square = 0.0
    for channel in range(3):
        off = float(image[y, x, channel]) - float(image[row, column, channel])
        square += off * off
    return math.exp(-square / (2 * _LIKENESS**2))
