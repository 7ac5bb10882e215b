"""Which splats touch which tile of the image, nearest first.

Each pair of a splat and a tile is one uint64: the splat's depth in the upper half (the bits of a positive float32 sort
like the number), its index in the lower. Pairs of a tile are neighbours in memory and are sorted by depth; splats of
equal depth keep the order in which they were given.

Pairs are counted first and filled in afterwards, so both must find the same tiles: no rounding here may depend on where
a function is inlined.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.splats.cpu_projection import HALF_HEIGHT, HALF_WIDTH, P, Q, R, X, Y

TILE = 16
"""Width and height of a tile in pixels."""
_DIGIT = 8
"""Bits per pass of the radix sort."""


@compiled()
def count_pairs(
    splats: NDArray[np.float64], first: int, last: int, height: int, width: int, counts: NDArray[np.int64]
) -> None:
    """Add to `counts` (tiles,) how many of the splats from `first` to before `last` touch each tile."""
    columns = (width + TILE - 1) // TILE
    for s in range(first, last):
        top, bottom = pixel_rows(splats, s, height)
        for row in range(top // TILE, bottom // TILE + 1):
            left, right = tile_columns(splats, s, row, top, bottom, width)
            for column in range(left, right + 1):
                counts[row * columns + column] += 1


@compiled()
def fill_pairs(
    splats: NDArray[np.float64],
    depth_bits: NDArray[np.uint32],
    first: int,
    last: int,
    height: int,
    width: int,
    first_tile: int,
    last_tile: int,
    places: NDArray[np.int64],
    pairs: NDArray[np.uint64],
) -> None:
    """Write the pairs of a range of splats, up to before `last`, with a range of tiles, up to before `last_tile`.

    Args:
        places: (tiles,) where in `pairs` the next pair of each tile belongs; advanced.
    """
    columns = (width + TILE - 1) // TILE
    for s in range(first, last):
        pair = (np.uint64(depth_bits[s]) << np.uint64(32)) | np.uint64(s)
        top, bottom = pixel_rows(splats, s, height)
        for row in range(max(top // TILE, first_tile // columns), min(bottom // TILE, (last_tile - 1) // columns) + 1):
            left, right = tile_columns(splats, s, row, top, bottom, width)
            for tile in range(max(row * columns + left, first_tile), min(row * columns + right + 1, last_tile)):
                pairs[places[tile]] = pair
                places[tile] += 1


@compiled()
def sort_pairs(pairs: NDArray[np.uint64], starts: NDArray[np.int64], first_tile: int, last_tile: int) -> None:
    """Sort the pairs of each tile from `first_tile` to before `last_tile` by depth, stably.

    Args:
        starts: (tiles + 1,) where the pairs of each tile begin.
    """
    longest = 0
    for tile in range(first_tile, last_tile):
        longest = max(longest, starts[tile + 1] - starts[tile])
    spare = np.empty(longest, np.uint64)
    ends = np.empty(1 << _DIGIT, np.int64)
    for tile in range(first_tile, last_tile):
        here = pairs[starts[tile] : starts[tile + 1]]
        _radix_sort(here, spare[: len(here)], ends)


@compiled()
def _radix_sort(pairs: NDArray[np.uint64], spare: NDArray[np.uint64], ends: NDArray[np.int64]) -> None:
    """Sort by the upper 32 bits, least significant digit first; digits that are equal everywhere cost nothing."""
    if len(pairs) < 2:
        return
    differing = np.uint64(0)
    for pair in pairs:
        differing |= pair ^ pairs[0]
    source, target = pairs, spare
    swapped = False
    mask = np.uint64((1 << _DIGIT) - 1)
    for bit in range(32, 64, _DIGIT):
        shift = np.uint64(bit)
        if (differing >> shift) & mask == np.uint64(0):
            continue
        for digit in range(len(ends)):
            ends[digit] = 0
        for pair in source:
            ends[int((pair >> shift) & mask)] += 1
        place = 0
        for digit in range(len(ends)):
            count = ends[digit]
            ends[digit] = place
            place += count
        for pair in source:
            digit = int((pair >> shift) & mask)
            target[ends[digit]] = pair
            ends[digit] += 1
        source, target = target, source
        swapped = not swapped
    if swapped:
        for place in range(len(pairs)):
            pairs[place] = spare[place]


@compiled()
def pixel_rows(splats: NDArray[np.float64], s: int, height: int) -> tuple[int, int]:
    """First and last row of pixels whose centres are within the splat's height; the last may be before the first."""
    top = math.ceil(max(splats[s, Y] - splats[s, HALF_HEIGHT] - 0.5, 0.0))
    bottom = math.floor(min(splats[s, Y] + splats[s, HALF_HEIGHT] - 0.5, height - 1.0))
    return top, bottom


@compiled()
def tile_columns(splats: NDArray[np.float64], s: int, row: int, top: int, bottom: int, width: int) -> tuple[int, int]:
    """First and last column of tiles that a splat touches in one row of tiles; the last may be before the first.

    Args:
        top, bottom: of the whole splat, as from `pixel_rows`.
    """
    x, y, half_width, half_height = splats[s, X], splats[s, Y], splats[s, HALF_WIDTH], splats[s, HALF_HEIGHT]
    left = math.ceil(max(x - half_width - 0.5, 0.0)) // TILE
    right = math.floor(min(x + half_width - 0.5, width - 1.0)) // TILE
    if right - left < 2:
        return left, right
    # On the right the ellipse ends at x + (-q dy + r √(half_height² - dy²)) / p, which is concave in dy: within these
    # rows it is largest at the rightmost point of all or at the row nearest to it. On the left the same, mirrored.
    p, q, r = splats[s, P], splats[s, Q], splats[s, R]
    first_dy = max(top, row * TILE) + 0.5 - y
    last_dy = min(bottom, row * TILE + TILE - 1) + 0.5 - y
    rightmost = -q * half_height / math.sqrt(q * q + r * r)
    dy = min(max(rightmost, first_dy), last_dy)
    end = x + (-q * dy + r * math.sqrt(max(half_height * half_height - dy * dy, 0.0))) / p
    dy = min(max(-rightmost, first_dy), last_dy)
    start = x + (-q * dy - r * math.sqrt(max(half_height * half_height - dy * dy, 0.0))) / p
    left = math.ceil(min(max(start - 0.5, 0.0), float(width))) // TILE
    right = math.floor(min(max(end - 0.5, -1.0), width - 1.0)) // TILE
    return left, right
