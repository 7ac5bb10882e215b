"""The loops over pixels and voxels of TSDF fusion, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

BLOCK = 8
"""Voxels along a side of a block."""
REACH = 2**20
"""Blocks from the origin, along an axis, that a packed key has room for."""
SHIFTS = (42, 21, 0)
"""Bits by which x, y and z are shifted in such a key."""
FULL, TOO_FAR = -1, -2
"""Answers of `insert_blocks` instead of a count."""
SPHERE = 0.8661
"""Radius of the sphere around a block, in its sides."""
NEAR = 1.1
"""Truncations from the surface from which on depth need not be interpolated."""
ONE_SURFACE = 1.1
"""Ratio of depths within four pixels up to which they are interpolated."""


@compiled()
def insert_blocks(
    depth: NDArray[np.float32],
    pixel_to_ray: NDArray[np.float64],
    centre: NDArray[np.float64],
    side: float,
    truncation: float,
    steps: int,
    table: NDArray[np.int64],
    count: int,
) -> Any:
    """Add to a hash set the blocks within the truncation, along the view ray, of any depth of a view.

    Args:
        depth: (H, W) z-depth, 0 where there is none.
        pixel_to_ray: (3, 3) pixels (x, y, 1) to world directions of z-depth 1.
        centre: (3,) of the camera.
        side: of a block.
        truncation: distance before and behind the depth.
        steps: points along the ray, both ends among them.
        table: (T,) keys of blocks at places by their hash, T a power of two; -1 where there is none. Changed in place.
        count: keys in it.

    Returns:
        Keys in it now; `FULL` where it is more than half full, or `TOO_FAR` where a key has no room for a block.
    """
    height, width = depth.shape
    mask = len(table) - 1
    scale = 1 / side  # in sides of blocks from here on
    centre_x, centre_y, centre_z = centre[0] * scale, centre[1] * scale, centre[2] * scale
    shares = np.empty(steps)
    for step in range(steps):
        shares[step] = 2.0 * step / (steps - 1) - 1
    last = np.full(steps, -1, np.int64)  # of each step: neighbouring pixels mostly meet the same blocks
    for y in range(height):
        for x in range(width):
            z = depth[y, x]
            if not z > 0:
                continue
            u, v = x + 0.5, y + 0.5
            ray_x = pixel_to_ray[0, 0] * u + pixel_to_ray[0, 1] * v + pixel_to_ray[0, 2]
            ray_y = pixel_to_ray[1, 0] * u + pixel_to_ray[1, 1] * v + pixel_to_ray[1, 2]
            ray_z = pixel_to_ray[2, 0] * u + pixel_to_ray[2, 1] * v + pixel_to_ray[2, 2]
            band = truncation / np.sqrt(ray_x * ray_x + ray_y * ray_y + ray_z * ray_z)
            ray_x, ray_y, ray_z = ray_x * scale, ray_y * scale, ray_z * scale
            for step in range(steps):
                at = z + band * shares[step]
                i = int(np.floor(centre_x + at * ray_x))
                j = int(np.floor(centre_y + at * ray_y))
                k = int(np.floor(centre_z + at * ray_z))
                if max(abs(i), abs(j), abs(k)) >= REACH - 1:
                    return TOO_FAR
                key = (
                    (np.int64(i + REACH) << SHIFTS[0])
                    | (np.int64(j + REACH) << SHIFTS[1])
                    | (np.int64(k + REACH) << SHIFTS[2])
                )
                if key == last[step]:
                    continue
                last[step] = key
                place = _place(key, mask)
                while table[place] != -1 and table[place] != key:
                    place = (place + 1) & mask
                if table[place] == -1:
                    if 2 * count >= len(table):
                        return FULL
                    table[place] = key
                    count += 1
    return count


@compiled()
def rehash(keys: NDArray[np.int64], table: NDArray[np.int64]) -> Any:
    """Add keys, none of them in it, to a larger table."""
    mask = len(table) - 1
    for key in keys:
        place = _place(key, mask)
        while table[place] != -1:
            place = (place + 1) & mask
        table[place] = key


@compiled()
def _place(key: Any, mask: Any) -> Any:
    """Where a key is looked for first."""
    mixed = key ^ (key >> 29)
    mixed *= np.int64(-7046029254386353131)  # 2^64 / golden ratio, odd
    return (mixed ^ (mixed >> 32)) & mask


@compiled()
def integrate(
    first: int,
    last: int,
    blocks: NDArray[np.int64],
    inverse_depth: NDArray[np.float32],
    projections: NDArray[np.float64],
    voxel: float,
    truncation: float,
    smooth: bool,
    field: NDArray[np.float32],
    weight_sums: NDArray[np.float32],
) -> Any:
    """Mean signed distance, in units of the truncation, of the voxels of blocks `first` to `last`.

    Each view counts that sees the voxel in front of, or little behind, its depth.

    Args:
        first, last: which blocks.
        blocks: (B, 3) integer coordinates.
        inverse_depth: (N, H, W) reciprocal of the z-depth, 0 where there is none.
        projections: (N, 3, 4) world to homogeneous pixels.
        voxel: side of a voxel.
        truncation: in the same units.
        smooth: depth is interpolated between pixels of one surface, and views count by the inverse square of depth, as
            the noise of stereo and networks grows; else it is that of the pixel, and all count alike.
        field: (B, 8, 8, 8) changed in place; NaN where no view sees the voxel.
        weight_sums: (B, 8, 8, 8) changed in place: what the views count for together; or without blocks, for who does
            not ask.
    """
    count, height, width = inverse_depth.shape
    radius = BLOCK * voxel * SPHERE
    total = np.empty((BLOCK, BLOCK, BLOCK), np.float32)
    weights = np.empty((BLOCK, BLOCK, BLOCK), np.float32)
    columns, rows = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    depths, inverses = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    zero, one, right, bottom = np.float32(0), np.float32(1), np.float32(width), np.float32(height)
    inverse_truncation, near_reach = np.float32(1 / truncation), np.float32(NEAR * truncation)
    for block in range(first, last):
        total[:] = 0
        weights[:] = 0
        corner_x, corner_y, corner_z = (
            blocks[block, 0] * BLOCK * voxel,
            blocks[block, 1] * BLOCK * voxel,
            blocks[block, 2] * BLOCK * voxel,
        )
        half = BLOCK * voxel / 2
        for view in range(count):
            p = projections[view]
            x, y, z = corner_x + half, corner_y + half, corner_z + half
            away = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            if away <= -radius:
                continue
            # The sphere around the block is outside the image where it is beyond one of the four planes of its sides.
            outside = False
            for axis in range(2):
                size = width if axis == 0 else height
                a, b, c = p[axis, 0], p[axis, 1], p[axis, 2]
                at = a * x + b * y + c * z + p[axis, 3]
                outside |= at < -radius * np.sqrt(a * a + b * b + c * c)
                a, b, c = a - size * p[2, 0], b - size * p[2, 1], c - size * p[2, 2]
                outside |= at - size * away > radius * np.sqrt(a * a + b * b + c * c)
            if outside:
                continue
            image = inverse_depth[view]
            step_u, step_v, step_z = (
                np.float32(p[0, 2] * voxel),
                np.float32(p[1, 2] * voxel),
                np.float32(p[2, 2] * voxel),
            )
            for i in range(BLOCK):
                x = corner_x + (i + 0.5) * voxel
                for j in range(BLOCK):
                    y = corner_y + (j + 0.5) * voxel
                    z = corner_z + 0.5 * voxel
                    start_u = np.float32(p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3])
                    start_v = np.float32(p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3])
                    start_z = np.float32(p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3])
                    for k in range(BLOCK):  # without branches: for all eight at once
                        steps = np.float32(k)
                        depths[k] = start_z + steps * step_z
                        inverse = one / depths[k]
                        inverses[k] = inverse
                        columns[k] = (start_u + steps * step_u) * inverse
                        rows[k] = (start_v + steps * step_v) * inverse
                    for k in range(BLOCK):
                        u, v, distance_away = columns[k], rows[k], depths[k]
                        if not (distance_away > 0 and zero <= u < right and zero <= v < bottom):
                            continue
                        closeness = image[np.uint32(v), np.uint32(u)]  # unsigned: no test for negative indices
                        if closeness == 0:
                            continue
                        weight = inverses[k] * inverses[k] if smooth else one
                        # Times the inverse depth: what is far from the surface needs no division.
                        ahead, reach = one - closeness * distance_away, closeness * near_reach
                        distance = one
                        if ahead < reach:
                            if ahead <= -reach:
                                continue
                            if smooth:
                                closeness = _between_pixels(image, u, v)
                            distance = (one / closeness - distance_away) * inverse_truncation
                            if distance < -one:
                                continue
                        total[i, j, k] += weight * min(one, distance)
                        weights[i, j, k] += weight
        if len(weight_sums):
            weight_sums[block] = weights
        for i in range(BLOCK):
            for j in range(BLOCK):
                for k in range(BLOCK):
                    weight = weights[i, j, k]
                    field[block, i, j, k] = total[i, j, k] / weight if weight > 0 else np.float32(np.nan)


@compiled()
def _between_pixels(inverse_depth: Any, u: Any, v: Any) -> Any:
    """Inverse depth, which is linear on a plane, between the centres of four pixels of one surface; else that of the
    pixel."""
    height, width = inverse_depth.shape
    nearest = inverse_depth[np.uint32(v), np.uint32(u)]
    left, top = u - np.float32(0.5), v - np.float32(0.5)
    if left < 0 or top < 0 or left >= width - 1 or top >= height - 1:
        return nearest
    column, row, one = np.uint32(left), np.uint32(top), np.uint32(1)
    a, b = inverse_depth[row, column], inverse_depth[row, column + one]
    c, d = inverse_depth[row + one, column], inverse_depth[row + one, column + one]
    least, most = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if most >= np.float32(ONE_SURFACE) * least:  # 0, where one has no depth, among them
        return nearest
    right, down = left - np.float32(column), top - np.float32(row)
    above, below = a + right * (b - a), c + right * (d - c)
    return above + down * (below - above)


@compiled()
def find_gaps(
    neighbours: NDArray[np.int32],
    field: NDArray[np.float32],
    places: NDArray[np.int64],
    values: NDArray[np.float32],
) -> Any:
    """Voxels that no view sees between three or more that some do, all on one side of the surface.

    Args:
        neighbours: (B, 6) index of the block before and behind along x, y and z; -1 where there is none.
        field: (B, 8, 8, 8).
        places: (G,) index of each such voxel in the flattened field, as many as there is room for. Changed in place.
        values: (G,) mean of those around. Changed in place.

    Returns:
        How many there are.
    """
    found = 0
    for block in range(len(field)):
        for i in range(BLOCK):
            for j in range(BLOCK):
                for k in range(BLOCK):
                    if not np.isnan(field[block, i, j, k]):
                        continue
                    total, before, behind = np.float32(0), 0, 0
                    for side in range(6):
                        step = 2 * (side % 2) - 1
                        x, y, z = i + step * (side // 2 == 0), j + step * (side // 2 == 1), k + step * (side // 2 == 2)
                        other = block
                        if min(x, y, z) < 0 or max(x, y, z) >= BLOCK:
                            other = neighbours[block, side]
                            if other < 0:
                                continue
                        value = field[other, x % BLOCK, y % BLOCK, z % BLOCK]
                        if np.isnan(value):
                            continue
                        total += value
                        if value > 0:
                            before += 1
                        else:
                            behind += 1
                    if max(before, behind) >= 3 and min(before, behind) == 0:
                        if found < len(places):
                            places[found] = ((block * BLOCK + i) * BLOCK + j) * BLOCK + k
                            values[found] = total / np.float32(before + behind)
                        found += 1
    return found
