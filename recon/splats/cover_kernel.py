"""Which rays meet balls near a camera, as machine code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled


@compiled()
def mark_hits(
    centres: NDArray[np.float32],
    radii: NDArray[np.float32],
    camera_centres: NDArray[np.float32],
    camera_to_world: NDArray[np.float32],
    rays: NDArray[np.float32],
    within: float,
    hits: NDArray[np.bool_],
) -> None:
    """Mark in (F, R) `hits` the rays of F frames that meet a ball in front of the camera and nearer than `within`.

    Args:
        centres: (P, 3) of the balls.
        radii: (P,)
        camera_centres: (F, 3)
        camera_to_world: (F, 3, 3) rotations.
        rays: (F, 2, R) x and y at depth 1, in camera axes.
        within: depth.
        hits: False to begin with.
    """
    for frame in range(len(hits)):
        centre, axes = camera_centres[frame], camera_to_world[frame]
        along_x, along_y, hit = rays[frame, 0], rays[frame, 1], hits[frame]
        left, right, upper, lower = along_x.min(), along_x.max(), along_y.min(), along_y.max()
        missing = hit.size
        for ball in range(len(centres)):
            dx, dy, dz = centres[ball, 0] - centre[0], centres[ball, 1] - centre[1], centres[ball, 2] - centre[2]
            z = axes[0, 2] * dx + axes[1, 2] * dy + axes[2, 2] * dz
            if z <= 0 or z >= within:
                continue
            x = axes[0, 0] * dx + axes[1, 0] * dy + axes[2, 0] * dz
            y = axes[0, 1] * dx + axes[1, 1] * dy + axes[2, 1] * dz
            radius = radii[ball]
            if x <= z * left - radius or x >= z * right + radius or y <= z * upper - radius or y >= z * lower + radius:
                continue
            for ray in range(hit.size):
                if not hit[ray] and (x - z * along_x[ray]) ** 2 + (y - z * along_y[ray]) ** 2 < radius**2:
                    hit[ray] = True
                    missing -= 1
            if missing == 0:
                break
