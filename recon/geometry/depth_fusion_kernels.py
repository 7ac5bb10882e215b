"""The loops over pixels of `recon.geometry.depth_fusion`, compiled. Depth is in logarithms throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import FUSED, compiled


@compiled()
def isolated(log_depth: NDArray[np.float32], known: NDArray[np.bool_], apart: Any, smallest: int) -> NDArray[np.bool_]:
    """(H, W) True in patches of fewer than `smallest` known pixels that differ by `apart` from all around them.

    Neighbours, diagonal ones too, are of one patch where they differ by less.
    """
    height, width = known.shape
    seen = np.zeros((height, width), np.bool_)
    found = np.zeros((height, width), np.bool_)
    stack = np.empty((height * width, 2), np.int32)
    for y in range(height):
        for x in range(width):
            if seen[y, x] or not known[y, x]:
                continue
            seen[y, x] = True
            stack[0, 0], stack[0, 1] = y, x
            head, size = 0, 1
            while head < size:
                row, column = stack[head, 0], stack[head, 1]
                head += 1
                here = log_depth[row, column]
                for j in range(max(row - 1, 0), min(row + 2, height)):
                    for i in range(max(column - 1, 0), min(column + 2, width)):
                        if known[j, i] and not seen[j, i] and abs(log_depth[j, i] - here) < apart:
                            seen[j, i] = True
                            stack[size, 0], stack[size, 1] = j, i
                            size += 1
            if size < smallest:
                for k in range(size):
                    found[stack[k, 0], stack[k, 1]] = True
    return found


@compiled()
def mend(log_depth: NDArray[np.float32], outlying: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Log depth where each outlying pixel has the middle value of those around that are known and do not lie out."""
    height, width = known.shape
    result = log_depth.copy()
    values = np.empty(49, np.float32)
    for y in range(height):
        for x in range(width):
            if not outlying[y, x]:
                continue
            for radius in range(1, 4):
                count = 0
                for j in range(max(y - radius, 0), min(y + radius + 1, height)):
                    for i in range(max(x - radius, 0), min(x + radius + 1, width)):
                        if known[j, i] and not outlying[j, i]:
                            values[count] = log_depth[j, i]
                            count += 1
                if count >= 3:
                    result[y, x] = np.sort(values[:count])[count // 2]
                    break
    return result


@compiled()
def support(
    values: NDArray[np.float32], known: NDArray[np.bool_], radius: int, within: Any, least: int, share: Any
) -> NDArray[np.bool_]:
    """(H, W) True where more than `least` known values around, and that `share` of them, are like the pixel's.

    Those within `radius` along either axis count; alike are values that differ by up to `within`.
    """
    height, width = known.shape
    found = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            if not known[y, x]:
                continue
            here = values[y, x]
            around, alike = 0, 0
            for j in range(max(y - radius, 0), min(y + radius + 1, height)):
                for i in range(max(x - radius, 0), min(x + radius + 1, width)):
                    if known[j, i]:
                        around += 1
                        if abs(values[j, i] - here) <= within:
                            alike += 1
            found[y, x] = alike > least and alike >= share * around
    return found


@compiled(fastmath=FUSED)
def pair_weights(
    log_depth: NDArray[np.float32],
    known: NDArray[np.bool_],
    added: NDArray[np.float32],
    apart: Any,
    unlike: Any,
    right: NDArray[np.float32],
    down: NDArray[np.float32],
) -> None:
    """Set the weights (H, W) of the pairs with the pixels to the right and below.

    They are small across edges of the depth, of steps above `apart`; and where what is `added` differs by more than
    `unlike`, as at the border of a part that is wrong; and none where a pixel is not known.
    """
    height, width = known.shape
    for y in range(height):
        for x in range(width):
            for k in range(2):
                j, i = y + k, x + 1 - k
                weight = np.float32(0)
                if j < height and i < width and known[y, x] and known[j, i]:
                    difference = (added[y, x] - added[j, i]) / unlike
                    step = (log_depth[y, x] - log_depth[j, i]) / apart
                    edge, unequal = step * step, difference * difference
                    weight = np.float32(1) / ((np.float32(1) + edge * edge) * (np.float32(1) + unequal * unequal))
                if k == 0:
                    right[y, x] = weight
                else:
                    down[y, x] = weight


@compiled(fastmath=FUSED)
def sharpened(
    log_depth: NDArray[np.float32], known: NDArray[np.bool_], least_slope: Any, least_bend: Any
) -> NDArray[np.float32]:
    """One step of a shock filter (Osher and Rudin, 1990): at edges, pixels go to the side that they are bent to.

    Where depth rises by `least_slope` a pixel and bends across the edge by `least_bend`, a pixel takes the farthest, or
    the nearest, of its four neighbours' depths; elsewhere it stays.
    """
    height, width = known.shape
    result = log_depth.copy()
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if not (known[y, x] and known[y, x - 1] and known[y, x + 1] and known[y - 1, x] and known[y + 1, x]):
                continue
            here = log_depth[y, x]
            a, b, c, d = log_depth[y, x - 1], log_depth[y, x + 1], log_depth[y - 1, x], log_depth[y + 1, x]
            gx, gy = (b - a) / 2, (d - c) / 2
            square = gx * gx + gy * gy
            if square < least_slope * least_slope:
                continue
            cross = (
                log_depth[y + 1, x + 1] - log_depth[y + 1, x - 1] - log_depth[y - 1, x + 1] + log_depth[y - 1, x - 1]
            ) / 4
            bend = (gx * gx * (a + b - 2 * here) + 2 * gx * gy * cross + gy * gy * (c + d - 2 * here)) / square
            if bend > least_bend:
                result[y, x] = min(min(a, b), min(c, d), here)
            elif bend < -least_bend:
                result[y, x] = max(max(a, b), max(c, d), here)
    return result


@compiled(fastmath=FUSED)
def edge_band(
    log_depth: NDArray[np.float32], known: NDArray[np.bool_], least_slope: Any, radius: int
) -> NDArray[np.bool_]:
    """(H, W) True within `radius` along either axis of pixels that differ by `least_slope` from one next to them."""
    height, width = known.shape
    found = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            if not known[y, x]:
                continue
            steep = False
            for k in range(2):
                j, i = y + k, x + 1 - k
                if j < height and i < width and known[j, i] and abs(log_depth[y, x] - log_depth[j, i]) > least_slope:
                    steep = True
            if steep:
                for j in range(max(y - radius, 0), min(y + radius + 1, height)):
                    for i in range(max(x - radius, 0), min(x + radius + 1, width)):
                        found[j, i] = True
    return found


@compiled(fastmath=FUSED)
def take_sides(
    log_depth: NDArray[np.float32],
    soft: NDArray[np.float32],
    image: NDArray[np.float32],
    unsettled: NDArray[np.bool_],
    usable: NDArray[np.bool_],
    radius: int,
    apart: Any,
    colour: Any,
    distance: Any,
    own: Any,
) -> NDArray[np.float32]:
    """Log depth where each pixel that is `unsettled` is on one of the two surfaces around it, by the photo.

    Of the `usable` pixels within `radius`, those nearer and those farther than the middle of all are a side each, where
    they span more than `apart`. The pixel takes the mean of the side that is more like it: weights fall with the
    difference of colour and with the distance (a joint bilateral filter: Kopf et al., SIGGRAPH 2007), with standard
    deviations `colour` and `distance`. Its own `soft` log depth, before edges were made hard, counts for the side that
    it is nearer to, by e to the power of `own` where it is just there. Elsewhere it stays.
    """
    height, width = unsettled.shape
    result = log_depth.copy()
    for y in range(height):
        for x in range(width):
            if not unsettled[y, x]:
                continue
            top, bottom = max(y - radius, 0), min(y + radius + 1, height)
            left, right = max(x - radius, 0), min(x + radius + 1, width)
            near, far = np.float32(np.inf), np.float32(-np.inf)
            for j in range(top, bottom):
                for i in range(left, right):
                    if usable[j, i]:
                        near, far = min(near, log_depth[j, i]), max(far, log_depth[j, i])
            if not far - near > apart:
                continue
            middle = (near + far) / 2
            weights, sums = np.zeros(2, np.float32), np.zeros(2, np.float32)
            for j in range(top, bottom):
                for i in range(left, right):
                    if usable[j, i]:
                        unlike = np.float32(0)
                        for c in range(3):
                            difference = image[y, x, c] - image[j, i, c]
                            unlike += difference * difference
                        away = np.float32((x - i) * (x - i) + (y - j) * (y - j))
                        weight = np.exp(-unlike / (2 * colour * colour) - away / (2 * distance * distance))
                        side = 1 if log_depth[j, i] > middle else 0
                        weights[side] += weight
                        sums[side] += weight * log_depth[j, i]
            place = min(max((soft[y, x] - near) / (far - near), np.float32(0)), np.float32(1))
            chosen = 1 if weights[1] * np.exp(own * (2 * place - 1)) > weights[0] else 0
            if weights[chosen] > 0:
                result[y, x] = sums[chosen] / weights[chosen]
    return result
