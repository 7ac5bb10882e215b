"""The true surface of a scene as points, from its scan or from its depth maps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.surface_metrics import thin
from recon.eval.truth import GroundTruth, SurfaceDefaults, SurfaceFile
from recon.geometry.unprojection import unproject_depth
from recon.types import FloatArray

SAMPLES = 1_000_000
"""Points drawn from a true mesh, as in the DA3 benchmark."""
_THRESHOLD_SHARE = 0.01
"""Of the median true depth, where no benchmark sets the threshold."""
_VOXELS_PER_THRESHOLD = 5


def surface_sizes(
    truth: GroundTruth, depth: NDArray[np.float32], threshold: float | None = None, voxel: float | None = None
) -> SurfaceDefaults | None:
    """The sizes to compare surfaces with; None where the ground truth knows no surface.

    Args:
        truth: of the scene.
        depth: (V, H, W) true depth of the views compared, 0 where there is none.
        threshold: instead of the data set's, in units of the ground truth.
        voxel: the same; the truncation keeps its ratio to it.
    """
    known = depth[depth > 0]
    if not truth.surface_files and len(known) == 0:
        return None
    sizes = truth.surface_defaults
    if sizes is None:
        share = _THRESHOLD_SHARE * float(np.median(known)) if len(known) else threshold
        if share is None:
            raise InputError(f"{truth.path} does not tell the scale of its surface: a threshold must be given")
        sizes = SurfaceDefaults(share, share / _VOXELS_PER_THRESHOLD, share)
    ratio = 1.0 if voxel is None else voxel / sizes.voxel
    return replace(
        sizes,
        threshold=sizes.threshold if threshold is None else threshold,
        voxel=sizes.voxel * ratio,
        truncation=sizes.truncation * ratio,
    )


def true_points(
    truth: GroundTruth, depth: NDArray[np.float32], intrinsics: FloatArray, extrinsics: FloatArray, cell: float
) -> NDArray[np.float64]:
    """Points (Q, 3), one in each cell that the surface crosses, in the true world.

    Args:
        truth: its scan is taken where it has one, else the depth maps.
        depth: (V, H, W) true z-depth, 0 where there is none.
        intrinsics: (V, 3, 3) true, in pixels of `depth`.
        extrinsics: (V, 4, 4) true world-to-camera.
        cell: side of the cells in which points are thinned.
    """
    if truth.surface_files:
        return thin(np.concatenate([_points_of(part) for part in truth.surface_files]), cell)
    return thin(unproject_depth(depth, intrinsics, extrinsics)[depth > 0], cell)


def _points_of(part: SurfaceFile) -> NDArray[np.float64]:
    import trimesh

    try:
        loaded: Any = trimesh.load(part.path, process=False)
        if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
            points = trimesh.sample.sample_surface(loaded, SAMPLES, seed=0)[0]
        else:
            points = loaded.vertices
    except Exception as error:  # trimesh raises its own of many kinds
        raise InputError(f"{part.path}: not a mesh or point cloud ({error})") from error
    return np.asarray(points, np.float64) @ part.to_world[:3, :3].T + part.to_world[:3, 3]
