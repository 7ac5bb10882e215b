"""The loops over triangles and views that choose photos for a texture, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

_LEAST_COSINE = 0.1
"""Between a triangle's normal and the ray to the camera: at more of a slant it is not seen."""
_UNKNOWN = 0.3
"""What a view counts that has no depth where the triangle is."""
_APART = 0.4
"""What a neighbour with another view costs, in shares of the best score."""


@compiled()
def score_views(
    first: int,
    last: int,
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    projections: NDArray[np.float64],
    centres: NDArray[np.float64],
    surfaces: NDArray[np.float32],
    depth: NDArray[np.float32],
    usable: NDArray[np.bool_],
    scales: NDArray[np.float64],
    tolerance: float,
    views: NDArray[np.int32],
    scores: NDArray[np.float32],
) -> Any:
    """Fill `views` and `scores` (F, K), of -1 and 0, for triangles `first` to `last`, as `SeenBy` has them.

    `surfaces` (N, H, W) is the depth of the mesh itself in each view, `centres` (N, 3) are those of the cameras.
    """
    count, height, width = depth.shape
    kept = views.shape[1]
    points = np.empty((4, 3))
    for face in range(first, last):
        for axis in range(3):
            for corner in range(3):
                points[corner, axis] = vertices[faces[face, corner], axis]
            points[3, axis] = (points[0, axis] + points[1, axis] + points[2, axis]) / 3
        ax, ay, az = points[1, 0] - points[0, 0], points[1, 1] - points[0, 1], points[1, 2] - points[0, 2]
        bx, by, bz = points[2, 0] - points[0, 0], points[2, 1] - points[0, 1], points[2, 2] - points[0, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length == 0:
            continue
        for view in range(count):
            tx, ty, tz = (
                centres[view, 0] - points[3, 0],
                centres[view, 1] - points[3, 1],
                centres[view, 2] - points[3, 2],
            )
            squares = tx * tx + ty * ty + tz * tz
            cosine = (nx * tx + ny * ty + nz * tz) / (length * np.sqrt(squares))
            if cosine < _LEAST_COSINE:
                continue
            p = projections[view]
            seen, known = True, True
            area, last_u, last_v, first_u, first_v = 0.0, 0.0, 0.0, 0.0, 0.0
            for corner in range(4):
                x, y, z = points[corner]
                away = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
                if away <= 0:
                    seen = False
                    break
                u = (p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]) / away
                v = (p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]) / away
                if not (1 <= u < width - 1 and 1 <= v < height - 1):
                    seen = False
                    break
                column, row = int(u), int(v)
                there = depth[view, row, column]
                if (
                    not usable[view, row, column]
                    or surfaces[view, row, column] < away - tolerance
                    or (there > 0 and there < away - tolerance)
                ):
                    seen = False
                    break
                if corner == 3:
                    known = there > 0
                elif corner == 0:
                    first_u, first_v = u, v
                else:
                    area += last_u * v - last_v * u
                if corner < 3:
                    last_u, last_v = u, v
                if corner == 2:
                    area += u * first_v - v * first_u
            if not seen:
                continue
            score = np.float32(0.5 * abs(area) * scales[view] ** 2 * cosine * (1.0 if known else _UNKNOWN))
            place = kept
            while place > 0 and score > scores[face, place - 1]:
                place -= 1
            if place < kept:
                for other in range(kept - 1, place, -1):
                    views[face, other] = views[face, other - 1]
                    scores[face, other] = scores[face, other - 1]
                views[face, place] = view
                scores[face, place] = score


@compiled()
def agree(
    neighbours: NDArray[np.int32], views: NDArray[np.int32], shares: NDArray[np.float32], chosen: NDArray[np.int32]
) -> Any:
    """Let each triangle in turn take the view that costs least, given those of its neighbours (iterated conditional
    modes, Besag 1986). `chosen` (F,) is changed in place; returns how many have changed."""
    changed = 0
    for face in range(len(chosen)):
        best, least = chosen[face], np.inf
        for place in range(views.shape[1]):
            view = views[face, place]
            if view < 0:
                break
            cost = 1.0 - shares[face, place]
            for side in range(3):
                other = neighbours[face, side]
                if other >= 0 and chosen[other] != view:
                    cost += _APART
            if cost < least:
                best, least = view, cost
        if best != chosen[face]:
            chosen[face] = best
            changed += 1
    return changed


@compiled()
def take_from_around(
    neighbours: NDArray[np.int32],
    small: NDArray[np.bool_],
    views: NDArray[np.int32],
    charts: NDArray[np.int32],
    chosen: NDArray[np.int32],
) -> Any:
    """Give triangles of small charts the view of a neighbour in another chart that sees them, too; `chosen` (F,) is
    changed in place. Returns how many have changed."""
    changed = 0
    for face in range(len(chosen)):
        if not small[face] or chosen[face] < 0:
            continue
        for side in range(3):
            other = neighbours[face, side]
            if other < 0 or charts[other] == charts[face] or small[other] or chosen[other] < 0:
                continue
            sees = False
            for place in range(views.shape[1]):
                sees |= views[face, place] == chosen[other]
            if sees and chosen[face] != chosen[other]:
                chosen[face] = chosen[other]
                changed += 1
                break
    return changed
