"""A part of the world that is kept when a scene is cropped: a box along the axes, a sphere, or what both share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.types import FloatArray


@dataclass(frozen=True)
class Region:
    """In the frame and units of a prediction; everything where neither is given."""

    box: tuple[float, float, float, float, float, float] | None = None
    """The least x, y, z and the largest."""
    sphere: tuple[float, float, float, float] | None = None
    """Its centre, and its radius."""

    def contains(self, points: FloatArray) -> NDArray[np.bool_]:
        """(...) True where one of the points (..., 3) lies inside; False for one that is not finite."""
        inside = np.ones(points.shape[:-1], bool)
        if self.box is not None:
            low, high = np.reshape(np.array(self.box), (2, 3))
            for axis in range(3):
                inside &= (points[..., axis] >= low[axis]) & (points[..., axis] <= high[axis])
        if self.sphere is not None:
            *centre, radius = self.sphere
            squares = np.zeros(points.shape[:-1], np.float64)
            for axis in range(3):
                squares += (points[..., axis] - centre[axis]) ** 2
            inside &= squares <= radius**2
        return inside
