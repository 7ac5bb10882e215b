"""The loops that follow points from one depth map into others, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled


@compiled()
def follow(
    depth: NDArray[np.float32],
    matrix: NDArray[np.float32],
    shift: NDArray[np.float32],
    others: NDArray[np.int64],
    rays_to_world: NDArray[np.float64],
    centres: NDArray[np.float64],
    seeds: NDArray[np.int64],
    tolerance: Any,
    pixels: Any,
    lengths: NDArray[np.int64],
    views: NDArray[np.int32],
    places: NDArray[np.float32],
    points: NDArray[np.float64],
) -> None:
    """Follow each of S seeds, pixels as indices into the flattened (N, H, W) depth, into the other views.

    The first four arrays are those of `recon.geometry.view_agreement.Maps`; a point in the world is the centre of a
    camera plus depth times `rays_to_world` @ (x, y, 1). Filled in: `lengths` (S,), how many views see the point, the
    seed's own included; `views` (S, M) and `places` (S, M, 2), which ones and at which of their pixels, the seed's own
    first; and `points` (S, 3), the mean of where the depth maps of all these have the point.
    """
    height, width = depth.shape[1:]
    one, half = np.float32(1), np.float32(0.5)
    for s in range(len(seeds)):
        view, rest = divmod(seeds[s], height * width)
        row, column = divmod(rest, width)
        x, y = np.float32(column) + half, np.float32(row) + half
        d = depth[view, row, column]
        lengths[s], views[s, 0] = 1, view
        places[s, 0, 0], places[s, 0, 1] = x, y
        for axis in range(3):
            ray = rays_to_world[view, axis, 0] * x + rays_to_world[view, axis, 1] * y + rays_to_world[view, axis, 2]
            points[s, axis] = centres[view, axis] + d * ray
        for k in range(others.shape[1]):
            other = others[view, k]
            if other < 0:
                break
            m, t = matrix[view, other], shift[view, other]
            z = d * (m[2, 0] * x + m[2, 1] * y + m[2, 2]) + t[2]
            if not z > 0:
                continue
            u = (d * (m[0, 0] * x + m[0, 1] * y + m[0, 2]) + t[0]) / z
            v = (d * (m[1, 0] * x + m[1, 1] * y + m[1, 2]) + t[1]) / z
            if not (0 <= u < width and 0 <= v < height):
                continue
            found = _depth_at(depth[other], u, v, z, tolerance)
            if not abs(found - z) <= tolerance * z:
                continue
            # The other view's own point there, seen from the seed's view.
            m, t = matrix[other, view], shift[other, view]
            w = found * (m[2, 0] * u + m[2, 1] * v + m[2, 2]) + t[2]
            if not w > 0:
                continue
            off_x = (found * (m[0, 0] * u + m[0, 1] * v + m[0, 2]) + t[0]) / w - x
            off_y = (found * (m[1, 0] * u + m[1, 1] * v + m[1, 2]) + t[1]) / w - y
            if off_x * off_x + off_y * off_y > pixels * pixels:
                continue
            n = lengths[s]
            views[s, n] = other
            places[s, n, 0], places[s, n, 1] = u, v
            for axis in range(3):
                ray = (
                    rays_to_world[other, axis, 0] * u
                    + rays_to_world[other, axis, 1] * v
                    + rays_to_world[other, axis, 2]
                )
                points[s, axis] += centres[other, axis] + found * ray
            lengths[s] = n + 1
        for axis in range(3):
            points[s, axis] *= one / np.float64(lengths[s])


@compiled()
def _depth_at(depth: Any, u: Any, v: Any, expected: Any, tolerance: Any) -> Any:
    """Depth between pixels, from those of the four around that are near what is expected; else 0.

    Linear in inverse depth, which is exact on planes.
    """
    height, width = depth.shape
    if not depth[int(v), int(u)] > 0:  # masked, or sky: the pixel itself shows no surface
        return np.float32(0)
    x, y = u - np.float32(0.5), v - np.float32(0.5)
    left, top = int(np.floor(x)), int(np.floor(y))
    fraction_x, fraction_y = x - np.float32(left), y - np.float32(top)
    total, weights = np.float32(0), np.float32(0)
    for j in range(2):
        for i in range(2):
            column, row = min(max(left + i, 0), width - 1), min(max(top + j, 0), height - 1)
            found = depth[row, column]
            if found > 0 and abs(found - expected) < np.float32(2) * tolerance * expected:
                share_x = fraction_x if i == 1 else np.float32(1) - fraction_x
                share_y = fraction_y if j == 1 else np.float32(1) - fraction_y
                total += share_x * share_y / found
                weights += share_x * share_y
    return weights / total if weights > np.float32(0.25) else np.float32(0)


@compiled()
def claim(
    seeds: NDArray[np.int64],
    lengths: NDArray[np.int64],
    views: NDArray[np.int32],
    places: NDArray[np.float32],
    least: int,
    width: int,
    height: int,
    claimed: NDArray[np.bool_],
    most: int,
    taken: NDArray[np.bool_],
) -> int:
    """Take, in order, at most `most` seeds that `least` views or more see and whose cell no track has claimed.

    `claimed` (N, rows, columns) are cells of pixels of each view; a track claims those it is seen in. Sets `taken`
    (S,) and returns how many.
    """
    rows, columns = claimed.shape[1:]
    count = 0
    for s in range(len(seeds)):
        if count >= most:
            break
        if lengths[s] < least:
            continue
        row, column = int(places[s, 0, 1]) * rows // height, int(places[s, 0, 0]) * columns // width
        if claimed[views[s, 0], row, column]:
            continue
        taken[s] = True
        count += 1
        for k in range(lengths[s]):
            row, column = int(places[s, k, 1]) * rows // height, int(places[s, k, 0]) * columns // width
            claimed[views[s, k], row, column] = True
    return count
