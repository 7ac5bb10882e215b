"""The loops over pixels and views that hold depth maps against each other, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

CONFIRMS, SEES_THROUGH, SAYS_NOTHING = 1, 2, 0
"""What a view says of a point."""


@compiled()
def _verdict(other: Any, u: Any, v: Any, z: Any, tolerance: Any) -> Any:
    """What a view with the depth map `other` (H, W) says of a point at its pixel (u, v) and depth z."""
    height, width = other.shape
    column, row = int(u), int(v)
    seen = other[row, column]
    if abs(seen - z) <= tolerance * z:
        return CONFIRMS
    farther = seen > z
    for j in range(max(row - 1, 0), min(row + 2, height)):
        for i in range(max(column - 1, 0), min(column + 2, width)):
            around = other[j, i]
            if abs(around - z) <= tolerance * z:
                return CONFIRMS
            if not around > z:  # 0, where there is no depth, is nearer too
                farther = False
    return SEES_THROUGH if farther else SAYS_NOTHING


@compiled()
def find_contradicted(
    depth: NDArray[np.float32],
    matrix: NDArray[np.float32],
    shift: NDArray[np.float32],
    others: NDArray[np.int64],
    view: int,
    first: int,
    last: int,
    least_views: int,
    tolerance: Any,
    found: NDArray[np.bool_],
) -> Any:
    """Set `found` (N, H, W), of rows `first` to `last` of one view, where a point is to be left out.

    The arrays are those of `recon.geometry.view_agreement.Maps`, the rest as of `contradicted` there.
    """
    height, width = depth.shape[1:]
    for y in range(first, last):
        for x in range(width):
            d = depth[view, y, x]
            if not 0 < d < np.inf:
                continue
            column, row = np.float32(x) + np.float32(0.5), np.float32(y) + np.float32(0.5)
            confirming, through = 0, 0
            for s in range(others.shape[1]):
                other = others[view, s]
                if other < 0:
                    break
                m, t = matrix[view, other], shift[view, other]
                z = d * (m[2, 0] * column + m[2, 1] * row + m[2, 2]) + t[2]
                if not z > 0:
                    continue
                u = (d * (m[0, 0] * column + m[0, 1] * row + m[0, 2]) + t[0]) / z
                v = (d * (m[1, 0] * column + m[1, 1] * row + m[1, 2]) + t[1]) / z
                if not (0 <= u < width and 0 <= v < height):
                    continue
                verdict = _verdict(depth[other], u, v, z, tolerance)
                if verdict == CONFIRMS:
                    confirming += 1
                    if confirming >= least_views:
                        break
                elif verdict == SEES_THROUGH:
                    through += 1
            found[view, y, x] = through > 0 and confirming < least_views


@compiled()
def sample_differences(
    depth: NDArray[np.float32],
    matrix: NDArray[np.float32],
    shift: NDArray[np.float32],
    others: NDArray[np.int64],
    stride: int,
    most: Any,
) -> Any:
    """(P,) relative differences up to `most` between points of every `stride`-th pixel and what other views see."""
    count, height, width = depth.shape
    pixels = ((height + stride - 1) // stride) * ((width + stride - 1) // stride)
    differences = np.empty(count * pixels * others.shape[1], np.float32)
    filled = 0
    for view in range(count):
        for y in range(stride // 2, height, stride):
            for x in range(stride // 2, width, stride):
                d = depth[view, y, x]
                if not 0 < d < np.inf:
                    continue
                column, row = np.float32(x) + np.float32(0.5), np.float32(y) + np.float32(0.5)
                for s in range(others.shape[1]):
                    other = others[view, s]
                    if other < 0:
                        break
                    m, t = matrix[view, other], shift[view, other]
                    z = d * (m[2, 0] * column + m[2, 1] * row + m[2, 2]) + t[2]
                    if not z > 0:
                        continue
                    u = (d * (m[0, 0] * column + m[0, 1] * row + m[0, 2]) + t[0]) / z
                    v = (d * (m[1, 0] * column + m[1, 1] * row + m[1, 2]) + t[1]) / z
                    if not (0 <= u < width and 0 <= v < height):
                        continue
                    difference = abs(depth[other, int(v), int(u)] - z) / z
                    if difference <= most:
                        differences[filled] = difference
                        filled += 1
    return differences[:filled]
