"""What is known to be true of a scene: its cameras, depth and surface. `recon.eval.ground_truth` reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.types import FloatArray

PixelMap: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From pixels (..., 2) of an image to pixels (..., 2) of its depth map; half-integer centres."""


@dataclass(frozen=True)
class DepthFile:
    """The true depth of one image."""

    path: Path
    """The file, for messages."""
    read: Callable[[], NDArray[np.float32]]
    """Gives (h, w) z-depth in the units of the ground truth; 0 where there is none."""
    read_sky: Callable[[], NDArray[np.bool_]] | None = None
    """Gives (h, w) True where the sky is; None where that is not known."""
    from_image: PixelMap | None = None
    """Where the pixels of the image lie in the depth map; None where both show the same, at any two sizes."""


@dataclass(frozen=True)
class SparseDepth:
    """True depth at some points of one image."""

    pixels: NDArray[np.float64]
    """(P, 2) in the image, half-integer pixel centres."""
    depth: NDArray[np.float64]
    """(P,) z-depth, positive, in the units of the ground truth."""


@dataclass(frozen=True)
class SurfaceFile:
    """A true surface, or a part of it: a mesh or a point cloud."""

    path: Path
    """PLY."""
    to_world: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    """(4, 4) map of its vertices into the world of the cameras."""


@dataclass(frozen=True)
class Region:
    """A prism along an axis of the true world, outside of which nothing is known."""

    axis: int
    """0, 1 or 2: that of its height."""
    low: float
    """Least coordinate along the axis."""
    high: float
    """Largest coordinate along it."""
    polygon: NDArray[np.float64]
    """(K, 2) corners in the other two coordinates."""

    def holds(self, points: FloatArray) -> NDArray[np.bool_]:
        """(P,) True for `points` (P, 3) in it."""
        along, across = points[:, self.axis], np.delete(points, self.axis, axis=1)
        inside = np.zeros(len(points), bool)
        for start, end in zip(self.polygon, np.roll(self.polygon, -1, axis=0), strict=True):
            # A ray from the point to the right crosses the edge: an odd number of times from within.
            crosses = (start[1] > across[:, 1]) != (end[1] > across[:, 1])
            with np.errstate(divide="ignore", invalid="ignore"):
                where = start[0] + (across[:, 1] - start[1]) / (end[1] - start[1]) * (end[0] - start[0])
            inside ^= crosses & (across[:, 0] < where)
        return np.asarray(inside & (along >= self.low) & (along <= self.high))


@dataclass(frozen=True)
class SurfaceDefaults:
    """How the surface of a data set is compared, in units of the ground truth."""

    threshold: float
    """Distance below which a point counts as right."""
    voxel: float
    """Side of a TSDF voxel, and of the cells in which points are thinned."""
    truncation: float
    """Of the TSDF."""
    outlier_distance: float | None = None
    """Points farther off are left out of accuracy and completeness; None: all count."""
    region: Region | None = None
    """Where points count, of the result and of the truth; None: everywhere."""
    refined_by: tuple[float, ...] = ()
    """Distances of the iterative closest points that bring the result onto the truth; empty: cameras alone do."""


@dataclass(frozen=True)
class GroundTruth:
    """N true cameras, and what else is known about the scene."""

    layout: str
    """Name of the layout that it was read from."""
    path: Path
    """The folder."""
    units: str
    """Of lengths: m, mm, or `units` where the scale is unknown."""
    image_names: tuple[str, ...]
    """N names as the data set has them, folders included."""
    image_paths: tuple[Path, ...]
    """N files, which need not exist."""
    image_sizes: NDArray[np.int64]
    """(N, 2) width and height."""
    extrinsics: NDArray[np.float64]
    """(N, 4, 4) world-to-camera."""
    intrinsics: NDArray[np.float64]
    """(N, 3, 3) in pixels of the images; of lenses with distortion, the pinhole part. NaN where they are unknown."""
    depth_files: tuple[DepthFile | SparseDepth | None, ...] = ()
    """N, None for views without; empty where there is no true depth at all. Sparse depth tells no surface."""
    surface_files: tuple[SurfaceFile, ...] = ()
    """The surface; empty where only the depth maps tell it."""
    surface_defaults: SurfaceDefaults | None = None
    """Of the data set's benchmark; None: to be derived from the scene's size."""

    def __post_init__(self) -> None:
        if not self.image_names:
            raise InputError(f"{self.path}: no image with a camera in it")
        if self.depth_files and len(self.depth_files) != len(self.image_names):
            raise ValueError(f"depth_files must have {len(self.image_names)} entries, got {len(self.depth_files)}")
