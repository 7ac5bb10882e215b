"""Areas without texture bridged as planes, where the depth at their borders lies on one.

A plain wall matches nowhere but at its rims, on pictures, and where light falls on it unevenly. An area of one colour
without depth takes the plane through the known pixels of the same colour around it, if most of them lie on one plane,
and no farther than these reach: it is spanned between them, never extended. Other views have to come to the same plane
by themselves, which is for `consistency` to tell.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

_BLUR = 1.0
"""Standard deviation in pixels of the blur that takes noise away before colours are compared."""
_STEP = 3
"""Difference of grey or colour levels between neighbouring pixels of one area, in any channel."""
_ALIKE = 14
"""Difference between a pixel with depth and the nearest of the area, in any channel, up to which it is its border."""
_RIM = 3
"""Pixels from an area within which its border lies."""
_FEWEST = 24
"""Pixels of the border that have to lie on the plane."""
_SHARE = 0.6
"""Of the border's pixels, that have to lie on the plane."""
_TRIPLES = 64
"""Planes tried through three pixels of the border (Fischler and Bolles, 1981)."""
_SMALLEST = 1 / 2000
"""Share of the view's pixels that an area has at least: smaller ones are holes in a texture."""


def bridge(
    inverse_depth: NDArray[np.float32],
    image: NDArray[np.uint8],
    tolerance: float,
    wanted: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Planes (3, H, W) of the pixels that one bridges, as inverse depth and its slopes along columns and rows; 0
    elsewhere, and where there is depth already.

    Args:
        inverse_depth: (H, W), 0 where unknown.
        image: (H, W, 3) RGB.
        tolerance: relative distance up to which a pixel lies on a plane.
        wanted: (H, W) False where nothing is to be found. None: nowhere.
    """
    bridged = np.zeros((3, *inverse_depth.shape), np.float32)
    hole = inverse_depth <= 0 if wanted is None else (inverse_depth <= 0) & wanted
    blurred = cv2.GaussianBlur(image, (0, 0), _BLUR)
    labels = np.zeros(inverse_depth.shape, np.int32)
    count = _areas(hole, blurred, max(_FEWEST, int(_SMALLEST * hole.size)), labels)
    if count == 0:
        return bridged
    owners, rows, columns = _borders(labels, inverse_depth, blurred)
    order = np.argsort(owners, kind="stable")
    owners, rows, columns = owners[order], rows[order], columns[order]
    starts = np.searchsorted(owners, np.arange(1, count + 2))
    for area in range(count):
        chosen = slice(starts[area], starts[area + 1])
        row, column = rows[chosen], columns[chosen]
        if len(row) < _FEWEST:
            continue
        plane, on_plane = _fit(column, row, inverse_depth[row, column], tolerance)
        if on_plane.sum() < max(_FEWEST, _SHARE * len(row)):
            continue
        spanned = np.zeros(labels.shape, np.uint8)
        hull = cv2.convexHull(np.stack([column[on_plane], row[on_plane]], axis=1).astype(np.int32))
        cv2.fillConvexPoly(spanned, hull, 1)
        at = np.nonzero((spanned > 0) & (labels == area + 1))
        values = plane[0] + plane[1] * at[1] + plane[2] * at[0]
        bridged[0][at] = np.where(values > 0, values, 0)
        bridged[1][at], bridged[2][at] = plane[1], plane[2]
    return bridged


def _fit(
    columns: NDArray[np.intp], rows: NDArray[np.intp], values: NDArray[np.float32], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The plane (value at 0, slopes along columns and rows) that most of K pixels lie on, and which do."""
    points = np.stack([np.ones(len(rows)), columns, rows], axis=1)  # (K, 3)
    w = values.astype(np.float64)
    triples = np.random.default_rng(0).integers(0, len(rows), (_TRIPLES, 3))
    corners = points[triples]  # (T, 3, 3)
    proper = np.abs(np.linalg.det(corners)) > 1.0
    best, on_best = np.zeros(3), np.zeros(len(rows), np.bool_)
    if not proper.any():
        return best, on_best
    planes = np.linalg.solve(corners[proper], w[triples[proper]][..., None])[..., 0]  # (T, 3)
    near = np.abs(planes @ points.T - w) < tolerance * w  # (T, K)
    on_best = near[int(np.argmax(near.sum(axis=1)))]
    for _ in range(2):
        if on_best.sum() < 3:
            break
        best = np.linalg.lstsq(points[on_best], w[on_best], rcond=None)[0]
        on_best = np.abs(points @ best - w) < tolerance * w
    return best, on_best


@compiled()
def _areas(hole, image, smallest, labels):  # type: ignore[no-untyped-def]
    """Label, from 1, the connected areas of one colour in the hole that are large enough; returns their number."""
    height, width = hole.shape
    stack = np.empty((height * width, 2), np.int32)
    seen = np.zeros((height, width), np.bool_)
    count = 0
    for y in range(height):
        for x in range(width):
            if seen[y, x] or not hole[y, x]:
                continue
            stack[0, 0], stack[0, 1] = y, x
            seen[y, x] = True
            head, size = 0, 1
            while head < size:
                row, column = stack[head, 0], stack[head, 1]
                head += 1
                for k in range(4):
                    r, c = row + (k == 0) - (k == 1), column + (k == 2) - (k == 3)
                    if not (0 <= r < height and 0 <= c < width) or seen[r, c] or not hole[r, c]:
                        continue
                    if _off(image, row, column, r, c) <= _STEP:
                        seen[r, c] = True
                        stack[size, 0], stack[size, 1] = r, c
                        size += 1
            if size >= smallest:
                count += 1
                for k in range(size):
                    labels[stack[k, 0], stack[k, 1]] = count
    return count


@compiled()
def _borders(labels, inverse_depth, image):  # type: ignore[no-untyped-def]
    """(K,) area, row and column of each pixel with depth beside an area of its colour."""
    height, width = labels.shape
    found = np.empty((height * width, 3), np.int64)
    count = 0
    for y in range(height):
        for x in range(width):
            if not inverse_depth[y, x] > 0:
                continue
            nearest, owner, off = 2 * _RIM * _RIM + 1, 0, 0
            for row in range(max(y - _RIM, 0), min(y + _RIM + 1, height)):
                for column in range(max(x - _RIM, 0), min(x + _RIM + 1, width)):
                    square = (row - y) ** 2 + (column - x) ** 2
                    if labels[row, column] > 0 and square < nearest:
                        nearest, owner, off = square, labels[row, column], _off(image, y, x, row, column)
            if owner > 0 and off <= _ALIKE:
                found[count, 0], found[count, 1], found[count, 2] = owner, y, x
                count += 1
    return found[:count, 0].copy(), found[:count, 1].copy(), found[:count, 2].copy()


@compiled(forceinline=True)
def _off(image, row, column, other_row, other_column):  # type: ignore[no-untyped-def]
    """Largest difference of the channels of two pixels."""
    off = np.int64(0)
    for channel in range(3):
        away = abs(np.int64(image[row, column, channel]) - np.int64(image[other_row, other_column, channel]))
        off = max(off, away)
    return off
