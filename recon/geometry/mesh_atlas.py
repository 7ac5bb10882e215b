"""The loops over triangles that fill a texture, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

BESIDE, INSIDE = 1, 2
"""What `state` says of a texel."""


@compiled()
def copy_triangles(
    corners: NDArray[np.float64],
    shifts: NDArray[np.int64],
    factors: NDArray[np.float32],
    offsets: NDArray[np.float32],
    photo: NDArray[np.uint8],
    texture: NDArray[np.uint8],
    state: NDArray[np.uint8],
    margin: int,
) -> Any:
    """Copy the pixels of a photo that triangles cover, and some beside them, to their places in a texture.

    Args:
        corners: (F, 3, 2) columns and rows in the texture.
        shifts: (F, 2) columns and rows from a texel to its pixel of the photo.
        factors: (3,) what red, green and blue of the photo are multiplied by.
        offsets: (F, 3, 3) what is then added to red, green and blue at each corner, and in proportion between them.
        photo: (h, w, 3) sRGB; beyond its sides its outermost pixels count.
        texture: (H, W, 3) changed in place.
        state: (H, W) 0 for a texel that is free, `BESIDE` or `INSIDE` a triangle. Changed in place.
        margin: texels around each triangle that are filled as well, for programs that look between texels.
    """
    height, width = state.shape
    photo_height, photo_width = photo.shape[:2]
    for face in range(len(corners)):
        ax, ay, bx, by = corners[face, 0, 0], corners[face, 0, 1], corners[face, 1, 0], corners[face, 1, 1]
        cx, cy = corners[face, 2, 0], corners[face, 2, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        left, right = int(min(ax, min(bx, cx))) - margin, int(np.ceil(max(ax, max(bx, cx)))) + margin
        top, bottom = int(min(ay, min(by, cy))) - margin, int(np.ceil(max(ay, max(by, cy)))) + margin
        for row in range(max(top, 0), min(bottom, height)):
            for column in range(max(left, 0), min(right, width)):
                if state[row, column] == INSIDE:
                    continue
                x, y = column + 0.5, row + 0.5
                first, second, third = 1 / 3, 1 / 3, 1 / 3
                if area != 0:
                    first = ((cx - bx) * (y - by) - (cy - by) * (x - bx)) / area
                    second = ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) / area
                    third = 1 - first - second
                inside = first >= 0 and second >= 0 and third >= 0
                if state[row, column] == BESIDE and not inside:
                    continue
                state[row, column] = INSIDE if inside else BESIDE
                first, second, third = max(first, 0.0), max(second, 0.0), max(third, 0.0)
                total = first + second + third
                i = min(max(column + shifts[face, 0], 0), photo_width - 1)
                j = min(max(row + shifts[face, 1], 0), photo_height - 1)
                for channel in range(3):
                    offset = (
                        first * offsets[face, 0, channel]
                        + second * offsets[face, 1, channel]
                        + third * offsets[face, 2, channel]
                    ) / total
                    value = photo[j, i, channel] * factors[channel] + offset
                    texture[row, column, channel] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
