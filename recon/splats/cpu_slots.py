"""Pairs of splats and tiles that each have a place of their own, so that sums over the pairs of a splat need no locks.

As in `cpu_tiles`, but the lower half of a pair is its slot instead of the index of its splat. The slots of a splat are
neighbours, in the order of the splats: whatever a tile has to say to a splat is written at the slot of their pair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.splats.cpu_tiles import TILE, pixel_rows, tile_columns


@compiled()
def fill_slots(
    splats: NDArray[np.float64],
    depth_bits: NDArray[np.uint32],
    first: int,
    last: int,
    height: int,
    width: int,
    first_slot: int,
    places: NDArray[np.int64],
    pairs: NDArray[np.uint64],
    slot_splats: NDArray[np.int32],
    splat_slots: NDArray[np.int64],
) -> None:
    """Write the pairs of the splats from `first` to before `last`, whose first slot is `first_slot`.

    Args:
        places: (tiles,) where in `pairs` the next pair of each tile belongs; advanced.
        slot_splats: (pairs,) receives the splat of each slot.
        splat_slots: (G, 2) receives the first slot of each splat and the one after its last.
    """
    columns = (width + TILE - 1) // TILE
    slot = first_slot
    for s in range(first, last):
        splat_slots[s, 0] = slot
        depth = np.uint64(depth_bits[s]) << np.uint64(32)
        top, bottom = pixel_rows(splats, s, height)
        for row in range(top // TILE, bottom // TILE + 1):
            left, right = tile_columns(splats, s, row, top, bottom, width)
            for column in range(left, right + 1):
                tile = row * columns + column
                pairs[places[tile]] = depth | np.uint64(slot)
                places[tile] += 1
                slot_splats[slot] = s
                slot += 1
        splat_slots[s, 1] = slot
