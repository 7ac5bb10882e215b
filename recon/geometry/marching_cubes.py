"""The surface of a signed distance field as a mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.marching_cubes_table import EDGES, triangle_table
from recon.geometry.mesh import Mesh, without_unused_vertices
from recon.geometry.tsdf import Field, in_batches, indices_of


def extract_surface(field: Field, threads: int | None = None) -> Mesh:
    """Triangles where the field is zero, between voxels that are all observed; they face the side it is positive on.

    Every vertex is shared by the triangles around it; where the field is observed on both sides the mesh is closed.
    """
    from recon.geometry.marching_cubes_kernel import count_block, make_block

    blocks, values = field.blocks, field.values
    count = len(blocks)
    neighbours = _neighbours(blocks)
    table, edges = triangle_table(), np.array(EDGES, np.int8)
    rows, starts = np.empty((count, 8, 8), np.uint32), np.empty((count, 8, 8), np.uint16)
    vertices, triangles = np.empty(count, np.int64), np.empty(count, np.int64)
    in_batches(
        count,
        lambda first, last: count_block(first, last, neighbours, values, table, rows, starts, vertices, triangles),
        threads,
    )
    first_vertex, first_triangle = (np.concatenate([[0], np.cumsum(counts)]) for counts in (vertices, triangles))
    points = np.empty((int(first_vertex[-1]), 3), np.float32)
    faces = np.empty((int(first_triangle[-1]), 3), np.int32)
    in_batches(
        count,
        lambda first, last: make_block(
            first, last, blocks, neighbours, values, table, edges, rows, starts, first_vertex, first_triangle,
            field.voxel, points, faces,
        ),
        threads,
    )  # fmt: skip
    return without_unused_vertices(Mesh(points, faces))


def _neighbours(blocks: NDArray[np.int64]) -> NDArray[np.int32]:
    """(B, 2, 2, 2) index of the block at these steps along x, y, z; -1 where there is none."""
    found = np.empty((len(blocks), 2, 2, 2), np.int32)
    for step in np.ndindex(2, 2, 2):
        found[:, *step] = indices_of(blocks, blocks + np.array(step, np.int64))
    return found
