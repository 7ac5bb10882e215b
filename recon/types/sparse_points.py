"""Sparse points of a scene, and which of its views see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.types.arrays import FloatArray


@dataclass(frozen=True)
class SparsePoints:
    """P points in the world of N calibrated views, and which view sees which of them."""

    points: NDArray[np.float64]
    """(P, 3) positions in the frame and units of the cameras."""
    observed: tuple[NDArray[np.intp], ...]
    """For each of the N views, the indices of the points it sees: ascending, each once."""
    errors: NDArray[np.float64] | None = None
    """(P,) mean reprojection error in pixels of the originals; None where unknown."""
    pixels: tuple[NDArray[np.float64], ...] | None = None
    """For each of the N views, (K, 2) where its upright original, as it was taken, shows the points it sees;
    half-integer pixel centres. None where unknown."""

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise ValueError(f"points must have shape (any, 3), got {self.points.shape}")
        if self.errors is not None and self.errors.shape != (len(self.points),):
            raise ValueError(f"errors must have shape ({len(self.points)},), got {self.errors.shape}")
        for view, indices in enumerate(self.observed):
            if len(indices) and (indices.min() < 0 or indices.max() >= len(self.points)):
                raise ValueError(f"observed[{view}] must hold indices of the {len(self.points)} points")

        if self.pixels is not None:
            for view, (indices, places) in enumerate(zip(self.observed, self.pixels, strict=True)):
                if places.shape != (len(indices), 2):
                    raise ValueError(f"pixels[{view}] must have shape ({len(indices)}, 2), got {places.shape}")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def track_lengths(self) -> NDArray[np.intp]:
        """(P,) number of views that see each point."""
        lengths = np.zeros(len(self.points), np.intp)
        for indices in self.observed:
            lengths[indices] += 1
        return lengths

    def in_camera(self, view: int, world_to_camera: FloatArray) -> NDArray[np.float64]:
        """(K, 3) camera coordinates of the points that `view` sees, in the order of `observed[view]`.

        `world_to_camera` are the extrinsics of all views, (N, 4, 4) or (N, 3, 4), in the frame of the points.
        """
        camera = np.asarray(world_to_camera[view], np.float64)
        return self.points[self.observed[view]] @ camera[:3, :3].T + camera[:3, 3]

    def depths(self, view: int, world_to_camera: FloatArray) -> NDArray[np.float64]:
        """(K,) z-depths of the points that `view` sees; arguments are those of `in_camera`."""
        return self.in_camera(view, world_to_camera)[:, 2]

    def select_views(self, views: Sequence[int]) -> SparsePoints:
        """The same points, seen by these views only, in this order."""
        return SparsePoints(
            self.points,
            tuple(self.observed[view] for view in views),
            self.errors,
            None if self.pixels is None else tuple(self.pixels[view] for view in views),
        )
