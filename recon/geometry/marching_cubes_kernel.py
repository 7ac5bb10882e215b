"""The loops over voxels of marching cubes in blocks, compiled.

Every voxel owns the three edges that start at its centre. Which of them the surface crosses is a bit mask for each row
of voxels along z, 3 bits a voxel; with the number of crossings before each row, that numbers all vertices without
storing a number for each edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.geometry.tsdf_kernel import BLOCK


@compiled()
def _load(block: Any, neighbours: Any, field: Any, values: Any) -> Any:
    """Fill `values` (9, 9, 9) with a block and the first layers of the seven behind it; NaN where there is none."""
    for i in range(BLOCK + 1):
        for j in range(BLOCK + 1):
            for k in range(BLOCK + 1):
                other = neighbours[block, i // BLOCK, j // BLOCK, k // BLOCK]
                values[i, j, k] = np.float32(np.nan) if other < 0 else field[other, i % BLOCK, j % BLOCK, k % BLOCK]


@compiled()
def count_block(
    first: int,
    last: int,
    neighbours: NDArray[np.int32],
    field: NDArray[np.float32],
    table: NDArray[np.int8],
    rows: NDArray[np.uint32],
    starts: NDArray[np.uint16],
    vertices: NDArray[np.int64],
    triangles: NDArray[np.int64],
) -> Any:
    """Find the crossings and count the triangles of blocks `first` to `last`.

    Args:
        first, last: which blocks.
        neighbours: (B, 2, 2, 2) index of the block at these steps along x, y, z; -1 where there is none.
        field: (B, 8, 8, 8).
        table: of `recon.geometry.marching_cubes_table`.
        rows: (B, 8, 8) bit 3 k + axis is set where the edge of voxel k along the axis is crossed. Changed in place.
        starts: (B, 8, 8) crossings of the block before each row. Changed in place.
        vertices: (B,) crossings. Changed in place.
        triangles: (B,) changed in place.
    """
    values = np.empty((BLOCK + 1, BLOCK + 1, BLOCK + 1), np.float32)
    for block in range(first, last):
        crossings, count = 0, 0
        least, most = np.float32(np.inf), np.float32(-np.inf)
        _load(block, neighbours, field, values)
        for value in values.ravel():
            if value < least:
                least = value
            if value > most:
                most = value
        rows[block] = 0
        starts[block] = 0
        vertices[block] = 0
        triangles[block] = 0
        if not (least <= 0 < most):
            continue
        for i in range(BLOCK):
            for j in range(BLOCK):
                starts[block, i, j] = crossings
                mask = np.uint32(0)
                for k in range(BLOCK):
                    here = values[i, j, k]
                    if np.isnan(here):
                        continue
                    for axis in range(3):
                        there = values[i + (axis == 0), j + (axis == 1), k + (axis == 2)]
                        if not np.isnan(there) and (here > 0) != (there > 0):
                            mask |= np.uint32(1) << np.uint32(3 * k + axis)
                            crossings += 1
                    case = _case(values, i, j, k)
                    if case > 0:
                        for index in range(table.shape[1]):
                            if table[case, index, 0] < 0:
                                break
                            count += 1
                rows[block, i, j] = mask
        vertices[block] = crossings
        triangles[block] = count


@compiled()
def _case(values: Any, i: Any, j: Any, k: Any) -> Any:
    """Signs of the eight corners of a cube as bits; 0 where one of them is not observed."""
    case = 0
    for corner in range(8):
        value = values[i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2 & 1)]
        if np.isnan(value):
            return 0
        if value > 0:
            case |= 1 << corner
    return case


@compiled()
def _bits(mask: Any) -> Any:
    """How many bits are set."""
    mask = mask - ((mask >> np.uint32(1)) & np.uint32(0x55555555))
    mask = (mask & np.uint32(0x33333333)) + ((mask >> np.uint32(2)) & np.uint32(0x33333333))
    mask = (mask + (mask >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return np.int64((np.uint32(mask * np.uint32(0x01010101)) >> np.uint32(24)) & np.uint32(0xFF))


@compiled()
def make_block(
    first: int,
    last: int,
    blocks: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    field: NDArray[np.float32],
    table: NDArray[np.int8],
    edges: NDArray[np.int8],
    rows: NDArray[np.uint32],
    starts: NDArray[np.uint16],
    first_vertex: NDArray[np.int64],
    first_triangle: NDArray[np.int64],
    voxel: float,
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
) -> Any:
    """Write the vertices (V, 3) and triangles (F, 3) of blocks `first` to `last` to their places.

    The arguments are those of `count_block`, and `blocks` (B, 3), `edges` (12, 2) corner and axis of each edge, numbers
    (B,) of each block's first vertex and triangle, and the side of a voxel.
    """
    values = np.empty((BLOCK + 1, BLOCK + 1, BLOCK + 1), np.float32)
    for block in range(first, last):
        if first_vertex[block] == first_vertex[block + 1] and first_triangle[block] == first_triangle[block + 1]:
            continue
        _load(block, neighbours, field, values)
        vertex, triangle = first_vertex[block], first_triangle[block]
        for i in range(BLOCK):
            for j in range(BLOCK):
                for k in range(BLOCK):
                    for axis in range(3):
                        if not (rows[block, i, j] >> np.uint32(3 * k + axis)) & np.uint32(1):
                            continue
                        here = values[i, j, k]
                        there = values[i + (axis == 0), j + (axis == 1), k + (axis == 2)]
                        share = here / (here - there)
                        points[vertex, 0] = (blocks[block, 0] * BLOCK + i + 0.5 + (share if axis == 0 else 0)) * voxel
                        points[vertex, 1] = (blocks[block, 1] * BLOCK + j + 0.5 + (share if axis == 1 else 0)) * voxel
                        points[vertex, 2] = (blocks[block, 2] * BLOCK + k + 0.5 + (share if axis == 2 else 0)) * voxel
                        vertex += 1
                    case = _case(values, i, j, k)
                    if case == 0:
                        continue
                    for index in range(table.shape[1]):
                        if table[case, index, 0] < 0:
                            break
                        for side in range(3):
                            edge = table[case, index, side]
                            corner, axis = edges[edge, 0], edges[edge, 1]
                            x, y, z = i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2 & 1)
                            owner = neighbours[block, x // BLOCK, y // BLOCK, z // BLOCK]
                            x, y, z = x % BLOCK, y % BLOCK, z % BLOCK
                            before = rows[owner, x, y] & ((np.uint32(1) << np.uint32(3 * z + axis)) - np.uint32(1))
                            faces[triangle, side] = first_vertex[owner] + starts[owner, x, y] + _bits(before)
                        triangle += 1
