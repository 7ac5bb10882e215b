"""Depth maps of more views than memory holds fused into one surface: some views at a time into the same blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_4x4
from recon.geometry.tsdf import BLOCK, CpuIntegrator, Field, TooManyBlocks, fill_gaps, packed, unpacked
from recon.types import FloatArray

Maps = tuple[NDArray[np.float32], FloatArray, FloatArray]
"""Depth (N, H, W), 0 where there is none, intrinsics (N, 3, 3) and world-to-camera (N, 3, 4) of some views."""
_BLOCKS_AT_ONCE = 16_384
_COARSER = 1.3
"""By which voxels grow until the blocks fit."""


def fuse_pieces(pieces: Callable[[], Iterable[Maps]], voxel: float, truncation: float, most_blocks: int) -> Field:
    """The field that the depth maps of all `pieces` make together; as `recon.geometry.tsdf.fuse`, smooth.

    Raises:
        TooManyBlocks: an InputError that says which size of voxels may fit.
        InputError: depth too far away for such voxels.
    """
    integrator = CpuIntegrator()
    keys = np.empty(0, np.int64)
    for depth, intrinsics, world_to_camera in pieces():
        cameras = np.asarray(intrinsics, np.float64), to_4x4(np.asarray(world_to_camera, np.float64))
        found = integrator.near_surface(depth, *cameras, voxel, truncation, most_blocks)
        if found is not None:
            keys = np.union1d(keys, packed(found))
        if found is None or len(keys) > most_blocks:
            raise TooManyBlocks(voxel, most_blocks, voxel * _COARSER)
    blocks = unpacked(keys)
    field = np.full((len(blocks), BLOCK, BLOCK, BLOCK), np.nan, np.float32)
    weights = np.zeros_like(field)
    for depth, intrinsics, world_to_camera in pieces():
        extrinsics = to_4x4(np.asarray(world_to_camera, np.float64))
        projections = np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ extrinsics[:, :3])
        inverse_depth = np.zeros_like(depth)
        np.divide(1, depth, out=inverse_depth, where=depth > 0)
        for first in range(0, len(blocks), _BLOCKS_AT_ONCE):
            chosen = slice(first, first + _BLOCKS_AT_ONCE)
            distance, weight = integrator.distance_and_weight(
                blocks[chosen], inverse_depth, projections, voxel, truncation
            )
            _add(field[chosen], weights[chosen], distance, weight)
    del weights
    fill_gaps(blocks, field)
    return Field(blocks, field, voxel)


def _add(
    field: NDArray[np.float32],
    weights: NDArray[np.float32],
    distance: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> None:
    """Bring a mean and its weight into those that are there, in place."""
    seen = weight > 0
    total = weights + weight
    before = np.where(weights > 0, field, np.float32(0))
    np.divide(before * weights + np.where(seen, distance, 0) * weight, total, out=field, where=seen)
    weights += weight
