"""The loop over points and views that gives a surface its colours, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

UNSEEN = 1e-9
"""Weight of a view that has a point in its image and does not see it."""
LEAST_COSINE = 0.05


@compiled()
def blend(
    first: int,
    last: int,
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    images: NDArray[np.uint8],
    depth: NDArray[np.float32],
    projections: NDArray[np.float64],
    centres: NDArray[np.float64],
    tolerance: float,
    colors: NDArray[np.uint8],
) -> Any:
    """Colours of points `first` to `last`, as of `recon.geometry.mesh_colors`; `colors` (P, 3) is changed in place."""
    count, height, width = depth.shape
    for point in range(first, last):
        x, y, z = points[point]
        red, green, blue, total = 0.0, 0.0, 0.0, 0.0
        for view in range(count):
            p = projections[view]
            away = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            if away <= 0:
                continue
            u = (p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]) / away
            v = (p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]) / away
            if not (0 <= u < width and 0 <= v < height):
                continue
            weight = UNSEEN
            column, row = int(u), int(v)
            # At an outline the colour of a pixel may be that of another surface: all around must be near.
            near = True
            for j in range(max(row - 1, 0), min(row + 2, height)):
                for i in range(max(column - 1, 0), min(column + 2, width)):
                    near &= abs(depth[view, j, i] - away) <= 3 * tolerance
            if abs(depth[view, row, column] - away) <= tolerance:
                to_x, to_y, to_z = centres[view, 0] - x, centres[view, 1] - y, centres[view, 2] - z
                squares = to_x * to_x + to_y * to_y + to_z * to_z
                cosine = (normals[point, 0] * to_x + normals[point, 1] * to_y + normals[point, 2] * to_z) / squares**0.5
                cosine = max(cosine, LEAST_COSINE)
                weight = (1.0 if near else 1e-3) * cosine * cosine / squares
            left, top = min(max(u - 0.5, 0.0), width - 1.0), min(max(v - 0.5, 0.0), height - 1.0)
            i, j = min(int(left), max(width - 2, 0)), min(int(top), max(height - 2, 0))
            right, down = left - i, top - j
            i1, j1 = min(i + 1, width - 1), min(j + 1, height - 1)
            a, b = (1 - right) * (1 - down), right * (1 - down)
            c, d = (1 - right) * down, right * down
            image = images[view]
            red += weight * (a * image[j, i, 0] + b * image[j, i1, 0] + c * image[j1, i, 0] + d * image[j1, i1, 0])
            green += weight * (a * image[j, i, 1] + b * image[j, i1, 1] + c * image[j1, i, 1] + d * image[j1, i1, 1])
            blue += weight * (a * image[j, i, 2] + b * image[j, i1, 2] + c * image[j1, i, 2] + d * image[j1, i1, 2])
            total += weight
        if total > 0:
            colors[point, 0] = np.uint8(red / total + 0.5)
            colors[point, 1] = np.uint8(green / total + 0.5)
            colors[point, 2] = np.uint8(blue / total + 0.5)
        else:
            colors[point] = 128
