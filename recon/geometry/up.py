"""Which way is up, by how cameras are held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.types import FloatArray


def estimate_up(world_to_camera: FloatArray) -> NDArray[np.float64]:
    """(3,) unit vector of the world that cameras (N, 3, 4) were held upright by.

    Photos are held level more often than they look level: the direction most nearly perpendicular to the x axes of all
    cameras. Where those are all alike, the mean of the cameras' own up.
    """
    rotations = world_to_camera[:, :, :3].astype(np.float64)
    right, up = rotations[:, 0], -rotations[:, 1].mean(axis=0)
    values, vectors = np.linalg.eigh(right.T @ right / len(right))  # ascending
    found = vectors[:, 0] if values[1] > 0.01 else up
    found = found * (1 if found @ up >= 0 else -1)
    norm = np.linalg.norm(found)
    result: NDArray[np.float64] = found / norm if norm > 1e-6 else np.array([0.0, -1.0, 0.0])
    return result
