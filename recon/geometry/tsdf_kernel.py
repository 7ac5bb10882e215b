"""The loop over voxels of TSDF fusion, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled


@compiled()
def integrate_view(
    blocks: NDArray[np.int64],
    depth: NDArray[np.float32],
    projection: NDArray[np.float64],
    voxel: float,
    truncation: float,
    field: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> Any:
    """Add one depth map (H, W) to the running mean of each voxel that it sees in front of, or little behind, its depth.

    Args:
        blocks: (B, 3) integer coordinates.
        depth: (H, W) z-depth, 0 where there is none.
        projection: (3, 4) world to homogeneous pixels.
        voxel: side of a voxel.
        truncation: in the same units.
        field: (B, 8, 8, 8) changed in place.
        weight: (B, 8, 8, 8) changed in place.
    """
    side = field.shape[1]
    height, width = depth.shape
    for block in range(len(blocks)):
        for i in range(side):
            x = (blocks[block, 0] * side + i + 0.5) * voxel
            for j in range(side):
                y = (blocks[block, 1] * side + j + 0.5) * voxel
                for k in range(side):
                    z = (blocks[block, 2] * side + k + 0.5) * voxel
                    away = projection[2, 0] * x + projection[2, 1] * y + projection[2, 2] * z + projection[2, 3]
                    if away <= 0:
                        continue
                    u = (projection[0, 0] * x + projection[0, 1] * y + projection[0, 2] * z + projection[0, 3]) / away
                    v = (projection[1, 0] * x + projection[1, 1] * y + projection[1, 2] * z + projection[1, 3]) / away
                    if not (0 <= u < width and 0 <= v < height):
                        continue
                    observed = depth[int(v), int(u)]
                    distance = (observed - away) / truncation
                    if observed == 0 or distance < -1:
                        continue
                    count = weight[block, i, j, k]
                    field[block, i, j, k] = (field[block, i, j, k] * count + min(1.0, distance)) / (count + 1)
                    weight[block, i, j, k] = count + 1
