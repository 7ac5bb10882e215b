"""Matched planes smoothed along the surface: what is noise in one pixel's match averages out over its neighbours'.

Inverse depth is affine in the pixels on a plane, so a weighted fit of a plane to the inverse depths around a pixel
leaves slanted ground and walls as they are. A neighbour counts by the likeness of its colour, by its score, by how
sharp its match is, which is about the inverse of its variance, and by how near it lies to the plane (iterated, as in
robust regression by reweighting; Holland and Welsch, 1977): nothing is mixed across contours and steps, and what is
well matched stays while plain pixels beside it follow.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.stereo.images import in_bands

_BAND = 16
_ROUNDS = 2
_STEP = 2
"""Every second column and row is looked at: matches of pixels side by side come from nearly the same window."""
_LIKENESS = 30.0
"""Distance in RGB at which a neighbour's weight has fallen to a quarter."""
_LEAST_INFORMATION = 1e-3
"""That a pixel is taken to have itself."""


def smooth(
    planes: NDArray[np.float32],
    scores: NDArray[np.float32],
    information: NDArray[np.float32],
    image: NDArray[np.uint8],
    radius: int,
    near: float,
    unit: float,
    least_score: float,
    pool: ThreadPoolExecutor,
) -> NDArray[np.float32]:
    """For each pixel the plane fitted to those around it, (3, h, w) as `planes`.

    Args:
        planes: (3, h, w) inverse depth and its slopes along columns and rows.
        scores: (h, w) correlation; pixels at `least_score` or less neither count nor change.
        information: (h, w) as of `plane_refinement.Refined`.
        image: (h, w, 3) RGB.
        radius: pixels.
        near: relative distance from the plane at which a neighbour's weight has fallen to a quarter.
        unit: the same in inverse depth: the larger of the two counts.
        least_score: see there.
        pool: what the bands of rows are worked on by.
    """
    result = planes.copy()
    in_bands(
        pool,
        len(scores),
        _BAND,
        lambda first, last: _smooth_band(
            first, last, planes, scores, information, image, radius, np.float32(near), np.float32(unit),
            np.float32(least_score), result,
        ),
    )  # fmt: skip
    return result


@compiled()
def _smooth_band(first, last, planes, scores, information, image, radius, near, unit, least_score, result):  # type: ignore[no-untyped-def]
    height, width = scores.shape
    side = 2 * (radius // _STEP) + 1
    weights = np.empty((side, side), np.float32)
    over_likeness = np.float32(1 / _LIKENESS**2)
    over_square = np.float32(1 / max(radius * radius, 1))
    for y in range(first, last):
        for x in range(width):
            if not scores[y, x] > least_score:
                continue
            over_own = np.float32(1) / max(information[y, x], np.float32(_LEAST_INFORMATION))
            for j in range(side):
                for i in range(side):
                    row, column = y + _STEP * (j - side // 2), x + _STEP * (i - side // 2)
                    weight = np.float32(0)
                    if 0 <= row < height and 0 <= column < width and scores[row, column] > least_score:
                        square = 0
                        for channel in range(3):
                            off = int(image[row, column, channel]) - int(image[y, x, channel])
                            square += off * off
                        away = np.float32((row - y) ** 2 + (column - x) ** 2) * over_square
                        away += np.float32(square) * over_likeness
                        weight = (
                            information[row, column]
                            * over_own
                            * scores[row, column]
                            / ((np.float32(1) + away) * (np.float32(1) + away))
                        )
                    weights[j, i] = weight
            w, along_x, along_y = planes[0, y, x], planes[1, y, x], planes[2, y, x]
            scale = max(near * w, unit)
            over_scale = np.float32(1) / (scale * scale)
            for _ in range(_ROUNDS):
                s = sx = sy = sxx = sxy = syy = np.float32(0)
                r = rx = ry = np.float32(0)
                for j in range(side):
                    dy = np.float32(_STEP * (j - side // 2))
                    for i in range(side):
                        weight = weights[j, i]
                        if weight > np.float32(1e-3):
                            dx = np.float32(_STEP * (i - side // 2))
                            off = planes[0, y + np.int64(dy), x + np.int64(dx)] - (w + along_x * dx + along_y * dy)
                            ratio = off * off * over_scale
                            weight = weight / ((np.float32(1) + ratio) * (np.float32(1) + ratio))
                            s += weight
                            sx += weight * dx
                            sy += weight * dy
                            sxx += weight * dx * dx
                            sxy += weight * dx * dy
                            syy += weight * dy * dy
                            r += weight * off
                            rx += weight * off * dx
                            ry += weight * off * dy
                extra = np.float32(0.05) * s
                sxx, syy = sxx + extra, syy + extra
                a, b, c = sxx * syy - sxy * sxy, sxy * sy - sx * syy, sx * sxy - sxx * sy
                determinant = s * a + sx * b + sy * c
                if determinant > np.float32(1e-6) * s * sxx * syy:
                    w += (a * r + b * rx + c * ry) / determinant
                    along_x += (b * r + (s * syy - sy * sy) * rx + (sx * sy - s * sxy) * ry) / determinant
                    along_y += (c * r + (sx * sy - s * sxy) * rx + (s * sxx - sx * sx) * ry) / determinant
            if w > 0:
                result[0, y, x], result[1, y, x], result[2, y, x] = w, along_x, along_y
