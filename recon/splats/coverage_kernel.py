"""The sum of the weights with which pixels took a splat's colour, as machine code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.splats.cpu_differentiable_blending import SUM_WEIGHT


@compiled()
def add_weights(
    means: NDArray[np.float32],
    scales: NDArray[np.float32],
    rotations: NDArray[np.float32],
    harmonics: NDArray[np.float32],
    opacities: NDArray[np.float32],
    indices: NDArray[np.int32],
    first: int,
    last: int,
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    splat_slots: NDArray[np.int64],
    slot_rows: NDArray[np.float32],
    world_to_camera: NDArray[np.float64],
    camera_centre: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    height: int,
    width: int,
    of_camera: NDArray[np.float64],
    weights: NDArray[np.float32],
) -> None:
    """Add to (G,) `weights` what pixels took of the splats from `first` to before `last`.

    Arguments before as of `recon.splats.cpu_projection_gradients.gaussian_gradients`.
    """
    for s in range(first, last):
        total = 0.0
        for slot in range(splat_slots[s, 0], splat_slots[s, 1]):
            total += slot_rows[slot, SUM_WEIGHT]
        weights[indices[s]] += np.float32(total)
