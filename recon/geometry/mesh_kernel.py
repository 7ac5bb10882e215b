"""The loop over triangles that sums up their normals, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled


@compiled()
def add_face_normals(vertices: NDArray[np.float32], faces: NDArray[np.int32], normals: NDArray[np.float64]) -> None:
    """Add to the `normals` (V, 3) of the vertices that of each triangle (F, 3), as long as twice its area."""
    for face in range(len(faces)):
        i, j, k = faces[face]
        ax, ay, az = (
            vertices[j, 0] - vertices[i, 0],
            vertices[j, 1] - vertices[i, 1],
            vertices[j, 2] - vertices[i, 2],
        )
        bx, by, bz = (
            vertices[k, 0] - vertices[i, 0],
            vertices[k, 1] - vertices[i, 1],
            vertices[k, 2] - vertices[i, 2],
        )
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in (i, j, k):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
