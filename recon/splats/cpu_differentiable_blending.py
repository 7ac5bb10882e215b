"""Blending of tiles in float32, sixteen pixels of a row at a time, and its derivatives.

What `cpu_blending` computes, with half the bits and twice the pixels per instruction, for optimisation. Of each pixel
only the light that is left and the last splat that counted are kept. The derivatives go through the splats of a tile
from back to front: the light before each one is that behind it, divided by what the splat lets through, and what lies
behind is a sum that never cancels. Each pair of a splat and a tile has its own row for the derivatives (`cpu_slots`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.splats.cpu_blending import ALPHA_MAX, TRANSMITTANCE_MIN
from recon.splats.cpu_projection import CUTOFF, DEPTH, HALF_HEIGHT, PEAK, P, Q, R, X, Y
from recon.splats.cpu_tiles import TILE

PLANES = 5
"""Of an image that is blended here: red, green, blue and depth, each summed, and the light that is left."""
LIGHT = 4

PAIR_FIELDS = 12
"""What a tile has to say to a splat: see the names below; the last is unused.

With log2(alpha) / 8 = peak - u² - e² at a pixel (`cpu_projection`), `SUM` is the sum over the tile's pixels of
v = dL / d ln(alpha), `SUM_U` that of v u, and so on: all of moderate size, whatever the shape of the splat.
"""
SUM, SUM_U, SUM_E, SUM_UU, SUM_UE, SUM_EE, SUM_RED, SUM_GREEN, SUM_BLUE, SUM_DEPTH, SUM_WEIGHT = range(11)

_FAST = {"contract", "nsz", "reassoc", "arcp"}
_BATCH = 32
"""Splats that are fetched together, and between two looks at which rows are still open."""
_FIELDS = 10
_FLOAT = np.float32
_ZERO, _ONE = np.float32(0), np.float32(1)
_ALPHA_MAX = np.float32(ALPHA_MAX)
_LIGHT_MIN = np.float32(TRANSMITTANCE_MIN)
_CUTOFF = np.float32(CUTOFF)

# 2^g for g from -1 to 0, by interpolation at the Chebyshev points; right to 4e-9.
_points = np.cos((np.arange(7) + 0.5) / 7 * np.pi) / 2 - 0.5
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(c) for c in np.linalg.solve(np.vander(_points, increasing=True), 2.0**_points)
)


@compiled(fastmath=_FAST)
def _fetch(
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    s: int,
    top: int,
    left: int,
    rows: int,
    near: NDArray[np.float32],
    near_rows: NDArray[np.int64],
    i: int,
) -> None:
    """One splat as seen from the centre of the tile's first pixel. What rounding would hurt is done in float64."""
    x, y = splats[s, X] - left - 0.5, splats[s, Y] - top - 0.5
    near[i, 0] = -splats[s, P] * x - splats[s, Q] * y
    near[i, 1] = -splats[s, R] * y
    near[i, 2] = splats[s, P]
    near[i, 3] = splats[s, Q]
    near[i, 4] = splats[s, R]
    near[i, 5] = splats[s, PEAK]
    near[i, 6] = colors[s, 0]
    near[i, 7] = colors[s, 1]
    near[i, 8] = colors[s, 2]
    near[i, 9] = colors[s, DEPTH]
    near_rows[i, 0] = math.ceil(max(y - splats[s, HALF_HEIGHT], 0.0))
    near_rows[i, 1] = math.floor(min(y + splats[s, HALF_HEIGHT], rows - 1.0))


@compiled(fastmath=_FAST)
def blend_forward(
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    pairs: NDArray[np.uint64],
    slot_splats: NDArray[np.int32],
    starts: NDArray[np.int64],
    first_tile: int,
    last_tile: int,
    image: NDArray[np.float32],
    last_counted: NDArray[np.int32],
) -> None:
    """Blend the tiles from `first_tile` to before `last_tile` and write their pixels.

    Args:
        splats, colors: as from `project`.
        pairs, slot_splats: as from `fill_slots`, the pairs sorted by depth within each tile.
        starts: (tiles + 1,) where the pairs of each tile begin.
        image: (PLANES, H, W).
        last_counted: (H, W) one more than the place, among the pairs of its tile, of the last that each pixel took.
    """
    height, width = last_counted.shape
    columns = (width + TILE - 1) // TILE
    # Light, negative once it is final; red, green, blue, depth; and the place of the last splat, a whole number.
    state = np.empty((TILE, 6 * TILE), np.float32)
    is_open = np.empty(TILE, np.bool_)
    near = np.empty((_BATCH, _FIELDS), np.float32)
    near_rows = np.empty((_BATCH, 2), np.int64)
    for tile in range(first_tile, last_tile):
        top, left = tile // columns * TILE, tile % columns * TILE
        rows, wide = min(TILE, height - top), min(TILE, width - left)
        for row in range(TILE):
            is_open[row] = row < rows
            pixels = state[row]
            for k in range(6 * TILE):
                pixels[k] = _ZERO
            for k in range(TILE):
                pixels[k] = _ONE if k < wide else -_ONE
        for first in range(starts[tile], starts[tile + 1], _BATCH):
            count = min(_BATCH, starts[tile + 1] - first)
            for i in range(count):
                s = slot_splats[np.int64(pairs[first + i] & np.uint64(0xFFFFFFFF))]
                _fetch(splats, colors, s, top, left, rows, near, near_rows, i)
            for i in range(count):
                u0, e0, p, q, r, peak = near[i, 0], near[i, 1], near[i, 2], near[i, 3], near[i, 4], near[i, 5]
                red, green, blue, depth = near[i, 6], near[i, 7], near[i, 8], near[i, 9]
                place = _FLOAT(first - starts[tile] + i + 1)
                for row in range(near_rows[i, 0], near_rows[i, 1] + 1):
                    if not is_open[row]:
                        continue
                    e = e0 + r * _FLOAT(row)
                    start = u0 + q * _FLOAT(row)
                    row_peak = peak - e * e
                    pixels = state[row]
                    for k in range(TILE):
                        light = pixels[k]
                        u = start + p * _FLOAT(k)
                        g = row_peak - u * u
                        root = ((_C6 * g + _C5) * g + _C4) * g + _C3
                        root = ((root * g + _C2) * g + _C1) * g + _C0
                        root *= root
                        root *= root
                        alpha = min(root * root, _ALPHA_MAX)
                        behind = light - light * alpha
                        inside = g >= _CUTOFF
                        counts = inside & (behind > _LIGHT_MIN)
                        weight = light * alpha if counts else _ZERO
                        final = -abs(light) if inside else light
                        pixels[k] = behind if counts else final
                        pixels[TILE + k] += weight * red
                        pixels[2 * TILE + k] += weight * green
                        pixels[3 * TILE + k] += weight * blue
                        pixels[4 * TILE + k] += weight * depth
                        pixels[5 * TILE + k] = place if counts else pixels[5 * TILE + k]
            any_open = False
            for row in range(rows):
                if is_open[row]:
                    pixels = state[row]
                    lightest = -_ONE
                    for k in range(TILE):
                        lightest = max(lightest, pixels[k])
                    is_open[row] = lightest > _ZERO
                    any_open = any_open or bool(lightest > _ZERO)
            if not any_open:
                break
        for row in range(rows):
            for k in range(wide):
                image[0, top + row, left + k] = state[row, TILE + k]
                image[1, top + row, left + k] = state[row, 2 * TILE + k]
                image[2, top + row, left + k] = state[row, 3 * TILE + k]
                image[3, top + row, left + k] = state[row, 4 * TILE + k]
                image[LIGHT, top + row, left + k] = abs(state[row, k])
                last_counted[top + row, left + k] = np.int32(state[row, 5 * TILE + k])


@compiled(fastmath=_FAST)
def blend_backward(
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    pairs: NDArray[np.uint64],
    slot_splats: NDArray[np.int32],
    starts: NDArray[np.int64],
    first_tile: int,
    last_tile: int,
    image: NDArray[np.float32],
    last_counted: NDArray[np.int32],
    gradient: NDArray[np.float32],
    slot_rows: NDArray[np.float32],
) -> None:
    """What the tiles from `first_tile` to before `last_tile` have to say to the splats that touch them.

    Args:
        image, last_counted: as from `blend_forward`, and all arguments before.
        gradient: (PLANES, H, W) derivatives of a loss by the values of `image`.
        slot_rows: (pairs, PAIR_FIELDS) receives a row for every pair of these tiles.
    """
    height, width = last_counted.shape
    columns = (width + TILE - 1) // TILE
    # Light behind the current splat; the loss that what is behind makes; derivatives by red, green, blue and depth;
    # and the place of the last splat that counts.
    state = np.empty((TILE, 7 * TILE), np.float32)
    sums = np.empty(11 * TILE, np.float32)
    last_of_row = np.empty(TILE, np.int64)
    near = np.empty((_BATCH, _FIELDS), np.float32)
    near_rows = np.empty((_BATCH, 2), np.int64)
    near_slots = np.empty(_BATCH, np.int64)
    for tile in range(first_tile, last_tile):
        top, left = tile // columns * TILE, tile % columns * TILE
        rows, wide = min(TILE, height - top), min(TILE, width - left)
        end = 0
        for row in range(rows):
            pixels = state[row]
            for k in range(7 * TILE):
                pixels[k] = _ZERO
            last_of_row[row] = 0
            for k in range(wide):
                light = image[LIGHT, top + row, left + k]
                place = last_counted[top + row, left + k]
                pixels[k] = light
                pixels[TILE + k] = light * gradient[LIGHT, top + row, left + k]
                pixels[2 * TILE + k] = gradient[0, top + row, left + k]
                pixels[3 * TILE + k] = gradient[1, top + row, left + k]
                pixels[4 * TILE + k] = gradient[2, top + row, left + k]
                pixels[5 * TILE + k] = gradient[3, top + row, left + k]
                pixels[6 * TILE + k] = _FLOAT(place)
                last_of_row[row] = max(int(last_of_row[row]), int(place))
            end = max(end, int(last_of_row[row]))
        tile_start = starts[tile]
        for i in range(tile_start + end, starts[tile + 1]):
            slot = np.int64(pairs[i] & np.uint64(0xFFFFFFFF))
            for field in range(PAIR_FIELDS):
                slot_rows[slot, field] = _ZERO
        batches = (end + _BATCH - 1) // _BATCH
        for batch in range(batches - 1, -1, -1):
            first = batch * _BATCH
            count = min(_BATCH, end - first)
            for i in range(count):
                slot = np.int64(pairs[tile_start + first + i] & np.uint64(0xFFFFFFFF))
                near_slots[i] = slot
                _fetch(splats, colors, slot_splats[slot], top, left, rows, near, near_rows, i)
            for i in range(count - 1, -1, -1):
                u0, e0, p, q, r, peak = near[i, 0], near[i, 1], near[i, 2], near[i, 3], near[i, 4], near[i, 5]
                red, green, blue, depth = near[i, 6], near[i, 7], near[i, 8], near[i, 9]
                place = _FLOAT(first + i + 1)
                for k in range(11 * TILE):
                    sums[k] = _ZERO
                for row in range(near_rows[i, 0], near_rows[i, 1] + 1):
                    if first + i >= last_of_row[row]:
                        continue
                    e = e0 + r * _FLOAT(row)
                    start = u0 + q * _FLOAT(row)
                    row_peak = peak - e * e
                    pixels = state[row]
                    for k in range(TILE):
                        u = start + p * _FLOAT(k)
                        g = row_peak - u * u
                        root = ((_C6 * g + _C5) * g + _C4) * g + _C3
                        root = ((root * g + _C2) * g + _C1) * g + _C0
                        root *= root
                        root *= root
                        alpha = root * root
                        grows = alpha < _ALPHA_MAX
                        alpha = min(alpha, _ALPHA_MAX)
                        counts = (g >= _CUTOFF) & (place <= pixels[6 * TILE + k])
                        passed = _ONE / (_ONE - alpha)
                        light = pixels[k] * passed
                        behind = pixels[TILE + k]
                        of_red, of_green = pixels[2 * TILE + k], pixels[3 * TILE + k]
                        of_blue, of_depth = pixels[4 * TILE + k], pixels[5 * TILE + k]
                        weight = light * alpha if counts else _ZERO
                        here = weight * (of_red * red + of_green * green + of_blue * blue + of_depth * depth)
                        v = here - behind * (alpha * passed)
                        v = v if counts & grows else _ZERO
                        pixels[k] = light if counts else pixels[k]
                        pixels[TILE + k] = behind + here
                        vu = v * u
                        ve = v * e
                        sums[k] += v
                        sums[TILE + k] += vu
                        sums[2 * TILE + k] += ve
                        sums[3 * TILE + k] += vu * u
                        sums[4 * TILE + k] += vu * e
                        sums[5 * TILE + k] += ve * e
                        sums[6 * TILE + k] += weight * of_red
                        sums[7 * TILE + k] += weight * of_green
                        sums[8 * TILE + k] += weight * of_blue
                        sums[9 * TILE + k] += weight * of_depth
                        sums[10 * TILE + k] += weight
                slot = near_slots[i]
                for field in range(11):
                    total = _ZERO
                    for k in range(TILE):
                        total += sums[field * TILE + k]
                    slot_rows[slot, field] = total
