"""The loop over points and views that gives a surface its colours, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

AT_OUTLINE = 1e-3
"""Weight of a view that sees a point beside the outline of another surface."""
LEAST_COSINE = 0.05


@compiled()
def blend(
    first: int,
    last: int,
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    images: NDArray[np.uint8],
    depth: NDArray[np.float32],
    least: NDArray[np.float32],
    most: NDArray[np.float32],
    projections: NDArray[np.float64],
    centres: NDArray[np.float64],
    tolerance: float,
    colors: NDArray[np.uint8],
    sums: NDArray[np.float64],
) -> Any:
    """Colours of points `first` to `last`, as of `recon.geometry.mesh_colors`; `colors` (P, 3) is changed in place.

    `sums` (P, 5) gets the sums of red, green, blue and weights, and 1 where a view sees the point; or it has no rows.

    `least` and `most` (N, H, W) are of the depth of each pixel and the eight around it.
    """
    count, height, width = depth.shape
    one, whole = np.uint32(1), np.float32(1)
    for point in range(first, last):
        x, y, z = points[point]
        seen, red, green, blue, total = False, 0.0, 0.0, 0.0, 0.0
        for view in range(count):
            p = projections[view]
            away = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            if away <= 0:
                continue
            inverse = 1 / away
            u = (p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]) * inverse
            v = (p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]) * inverse
            if not (0 <= u < width and 0 <= v < height):
                continue
            weight = 1.0
            column, row = np.uint32(u), np.uint32(v)  # unsigned: no test for negative indices
            if abs(depth[view, row, column] - away) <= tolerance:
                if not seen:
                    seen, red, green, blue, total = True, 0.0, 0.0, 0.0, 0.0
                # At an outline the colour of a pixel may be that of another surface: all around must be near.
                near = (
                    most[view, row, column] - away <= 3 * tolerance and away - least[view, row, column] <= 3 * tolerance
                )
                to_x, to_y, to_z = centres[view, 0] - x, centres[view, 1] - y, centres[view, 2] - z
                squares = to_x * to_x + to_y * to_y + to_z * to_z
                cosine = (normals[point, 0] * to_x + normals[point, 1] * to_y + normals[point, 2] * to_z) / np.sqrt(
                    squares
                )
                cosine = max(cosine, LEAST_COSINE)
                weight = (1.0 if near else AT_OUTLINE) * cosine * cosine / squares
            elif seen:  # colours of views that do not see a point are for points that none sees
                continue
            left, top = min(max(u - 0.5, 0.0), width - 1.0), min(max(v - 0.5, 0.0), height - 1.0)
            i, j = np.uint32(left), np.uint32(top)
            i1, j1 = min(i + one, np.uint32(width - 1)), min(j + one, np.uint32(height - 1))
            right, down = np.float32(left - i), np.float32(top - j)
            share = np.float32(weight)
            b, c, d = share * right * (whole - down), share * (whole - right) * down, share * right * down
            a = share - b - c - d
            image = images[view]
            red += a * image[j, i, 0] + b * image[j, i1, 0] + c * image[j1, i, 0] + d * image[j1, i1, 0]
            green += a * image[j, i, 1] + b * image[j, i1, 1] + c * image[j1, i, 1] + d * image[j1, i1, 1]
            blue += a * image[j, i, 2] + b * image[j, i1, 2] + c * image[j1, i, 2] + d * image[j1, i1, 2]
            total += weight
        if len(sums):
            sums[point, 0], sums[point, 1], sums[point, 2], sums[point, 3] = red, green, blue, total
            sums[point, 4] = 1.0 if seen else 0.0
        if total > 0:
            colors[point, 0] = np.uint8(red / total + 0.5)
            colors[point, 1] = np.uint8(green / total + 0.5)
            colors[point, 2] = np.uint8(blue / total + 0.5)
        else:
            colors[point] = 128
