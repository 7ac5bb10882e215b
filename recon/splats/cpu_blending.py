"""Front-to-back compositing of the sorted splats of each tile, eight pixels of a row at a time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import FUSED, compiled
from recon.splats.cpu_projection import (
    COLOR_FIELDS,
    CUTOFF,
    DEPTH,
    HALF_HEIGHT,
    HALF_WIDTH,
    PEAK,
    SPLAT_FIELDS,
    P,
    Q,
    R,
    X,
    Y,
)
from recon.splats.cpu_tiles import TILE

ALPHA_MAX = 0.999
"""Alpha of a single splat is capped here."""
TRANSMITTANCE_MIN = 1e-4
"""A splat that would leave a pixel no more light than this is left out, and so is everything behind it."""
DEPTH_ALPHA_MIN = 1e-10
"""Expected depth divides by at least this alpha."""

_LANES = 8
"""Pixels of a row that are blended together: one vector of float64 where the machine has 512 bits, two of 256."""
_PLANES = 5
"""What is kept per pixel while blending: transmittance, negative once it is final, then red, green, blue and depth."""
_GROUPS = TILE // _LANES
_BATCH = 64
"""Splats that are fetched together, and between two looks at which pixels are still open."""

# 2^g for g from -1 to 0, by interpolation at the Chebyshev points; its eighth power is right to 1e-11.
_C0, _C1, _C2 = 0.9999999999994287, 0.6931471804674452, 0.2402265044878864
_C3, _C4, _C5 = 0.055504083190568335, 0.009617997206197592, 0.0013329706561768134
_C6, _C7, _C8 = 0.00015337029380044304, 1.4574943504405053e-05, 9.372709128909328e-07


@compiled(fastmath=FUSED)
def blend_tiles(
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    pairs: NDArray[np.uint64],
    starts: NDArray[np.int64],
    first_tile: int,
    last_tile: int,
    background: NDArray[np.float64],
    expected_depth: bool,
    color_image: NDArray[np.float32],
    depth_image: NDArray[np.float32],
    alpha_image: NDArray[np.float32],
) -> None:
    """Blend the tiles from `first_tile` to before `last_tile` and write their pixels.

    Args:
        splats, colors: as from `project`.
        pairs: sorted by depth within each tile.
        starts: (tiles + 1,) where the pairs of each tile begin.
        background: (3,) colour behind everything.
        expected_depth: divide the accumulated depth by alpha.
        color_image, depth_image, alpha_image: (H, W, 3), (H, W) and (H, W).
    """
    height, width = alpha_image.shape
    columns = (width + TILE - 1) // TILE
    state = np.empty((TILE * _GROUPS, _PLANES * _LANES))
    is_open = np.empty(TILE * _GROUPS, np.bool_)
    near_splats = np.empty((_BATCH, SPLAT_FIELDS))
    near_colors = np.empty((_BATCH, COLOR_FIELDS), np.float32)
    for tile in range(first_tile, last_tile):
        top, left = tile // columns * TILE, tile % columns * TILE
        rows = min(TILE, height - top)
        _clear(state, is_open, rows, width - left)
        for first in range(starts[tile], starts[tile + 1], _BATCH):
            count = min(_BATCH, starts[tile + 1] - first)
            # Splats of a tile lie all over memory. Fetched one after another, the processor waits for several at once.
            for i in range(count):
                s = np.int64(pairs[first + i] & np.uint64(0xFFFFFFFF))
                for field in range(SPLAT_FIELDS):
                    near_splats[i, field] = splats[s, field]
                for field in range(COLOR_FIELDS):
                    near_colors[i, field] = colors[s, field]
            for i in range(count):
                _blend_splat(near_splats, near_colors, i, state, is_open, top, left, rows)
            if not _find_open(state, is_open):
                break
        _write_tile(state, top, left, background, expected_depth, color_image, depth_image, alpha_image)


@compiled(fastmath=FUSED)
def _blend_splat(
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    s: int,
    state: NDArray[np.float64],
    is_open: NDArray[np.bool_],
    top: int,
    left: int,
    rows: int,
) -> None:
    """Blend one splat over the open pixels of a tile whose first pixel is at (`left`, `top`)."""
    x, y = splats[s, X] - left - 0.5, splats[s, Y] - top - 0.5  # from the centre of the tile's first pixel
    p, q, r, peak = splats[s, P], splats[s, Q], splats[s, R], splats[s, PEAK]
    red, green, blue = np.float64(colors[s, 0]), np.float64(colors[s, 1]), np.float64(colors[s, 2])
    depth = np.float64(colors[s, DEPTH])
    first_row = math.ceil(max(y - splats[s, HALF_HEIGHT], 0.0))
    last_row = math.floor(min(y + splats[s, HALF_HEIGHT], rows - 1.0))
    first_group = math.ceil(max(x - splats[s, HALF_WIDTH], 0.0)) // _LANES
    last_group = math.floor(min(x + splats[s, HALF_WIDTH], TILE - 1.0)) // _LANES
    for row in range(first_row, last_row + 1):
        dy = row - y
        row_peak = peak - (r * dy) ** 2
        for group in range(first_group, last_group + 1):
            index = row * _GROUPS + group
            if not is_open[index]:
                continue
            start = p * (group * _LANES - x) + q * dy
            pixels = state[index]
            # One pass without branches, which compiles to vector instructions. Where the pixel is final already, the
            # negative transmittance keeps `counts` false and itself unchanged.
            for k in range(_LANES):
                transmittance = pixels[k]
                u = start + p * k
                g = row_peak - u * u
                root = ((_C8 * g + _C7) * g + _C6) * g + _C5
                root = (((root * g + _C4) * g + _C3) * g + _C2) * g + _C1
                root = root * g + _C0
                root *= root
                root *= root
                alpha = min(root * root, ALPHA_MAX)
                behind = transmittance - transmittance * alpha
                inside = g >= CUTOFF
                counts = inside & (behind > TRANSMITTANCE_MIN)
                weight = transmittance * alpha if counts else 0.0
                final = -abs(transmittance) if inside else transmittance
                pixels[k] = behind if counts else final
                pixels[_LANES + k] += weight * red
                pixels[2 * _LANES + k] += weight * green
                pixels[3 * _LANES + k] += weight * blue
                pixels[4 * _LANES + k] += weight * depth


@compiled()
def _clear(state: NDArray[np.float64], is_open: NDArray[np.bool_], rows: int, columns: int) -> None:
    """Open the pixels of a tile that are inside the image."""
    state[:] = 0
    for index in range(len(state)):
        row, group = index // _GROUPS, index % _GROUPS
        is_open[index] = row < rows and group * _LANES < columns
        for k in range(_LANES):
            state[index, k] = 1 if row < rows and group * _LANES + k < columns else -1


@compiled()
def _find_open(state: NDArray[np.float64], is_open: NDArray[np.bool_]) -> bool:
    """Note which groups of pixels still let light through; False if none does."""
    any_open = False
    for index in range(len(state)):
        if is_open[index]:
            pixels = state[index]
            still_open = False
            for k in range(_LANES):
                still_open |= pixels[k] > 0
            is_open[index] = still_open
            any_open |= still_open
    return any_open


@compiled()
def _write_tile(
    state: NDArray[np.float64],
    top: int,
    left: int,
    background: NDArray[np.float64],
    expected_depth: bool,
    color_image: NDArray[np.float32],
    depth_image: NDArray[np.float32],
    alpha_image: NDArray[np.float32],
) -> None:
    height, width = alpha_image.shape
    for row in range(min(TILE, height - top)):
        for column in range(min(TILE, width - left)):
            pixels = state[row * _GROUPS + column // _LANES]
            k = column % _LANES
            transmittance = abs(pixels[k])
            for channel in range(3):
                value = pixels[(channel + 1) * _LANES + k] + transmittance * background[channel]
                color_image[top + row, left + column, channel] = value
            depth = pixels[(_PLANES - 1) * _LANES + k]
            if expected_depth:
                depth /= max(1 - transmittance, DEPTH_ALPHA_MIN)
            depth_image[top + row, left + column] = depth
            alpha_image[top + row, left + column] = 1 - transmittance
