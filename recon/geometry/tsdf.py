"""Depth maps fused into one surface, as points on it: a truncated signed distance field in blocks of voxels.

Curless and Levoy, "A Volumetric Method for Building Complex Models from Range Images", SIGGRAPH 1996, with the
truncation and the plain running mean of KinectFusion (Newcombe et al., ISMAR 2011). Only blocks near observed depth
exist. The field's zero crossings along the three axes are the surface points; no mesh is needed to measure distances.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import camera_centres
from recon.geometry.unprojection import unproject_depth
from recon.types import FloatArray

BLOCK = 8
"""Voxels along a side of a block."""
MAX_BLOCKS = 500_000
"""About 2 GB of voxels: a finer field than that is refused rather than swapped to disk."""
_REACH = 2**20
"""Blocks from the origin, along an axis, that a packed key has room for."""
_SHIFTS = (42, 21, 0)
"""Bits by which x, y and z are shifted in such a key."""


def fuse_depth(
    depth: FloatArray, intrinsics: FloatArray, world_to_camera: FloatArray, voxel: float, truncation: float
) -> NDArray[np.float64]:
    """Points (P, 3) on the surface that the depth maps agree on, about one for each voxel that it crosses.

    Args:
        depth: (N, H, W) z-depth; 0 or not finite where there is none.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        voxel: side of a voxel, in the units of the depth.
        truncation: distance from the observed surface up to which the field is kept.

    Raises:
        InputError: sizes that are not positive, or a voxel so small that the field would not fit into memory.
    """
    if not 0 < voxel <= truncation:
        raise InputError(f"TSDF fusion needs 0 < voxel ≤ truncation, got {voxel} and {truncation}")
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
    blocks = _blocks_near_surface(depth, intrinsics, world_to_camera, voxel, truncation)  # (B, 3)
    if len(blocks) == 0:
        return np.empty((0, 3))
    field, weight = _integrate(blocks, depth, intrinsics, world_to_camera, voxel, truncation)
    return _zero_crossings(blocks, field, weight) * voxel


def _blocks_near_surface(
    depth: NDArray[np.float32], intrinsics: FloatArray, world_to_camera: FloatArray, voxel: float, truncation: float
) -> NDArray[np.int64]:
    """(B, 3) sorted integer coordinates of the blocks within the truncation, along the view ray, of any depth."""
    side = BLOCK * voxel
    steps = np.linspace(-truncation, truncation, int(np.ceil(4 * truncation / side)) + 2)
    keys = np.empty(0, np.int64)
    for view, centre in enumerate(camera_centres(np.asarray(world_to_camera, np.float64))):
        this = slice(view, view + 1)
        points = unproject_depth(depth[this], intrinsics[this], world_to_camera[this])[depth[this] > 0]  # (P, 3)
        rays = points - centre
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        for step in steps:
            blocks = np.floor((points + step * rays) / side)
            if len(blocks) and np.abs(blocks).max() >= _REACH:
                raise InputError(f"TSDF voxels of {voxel:g} are too small for depth this far away")
            keys = np.union1d(keys, np.unique(_packed(blocks.astype(np.int64))))
        if len(keys) > MAX_BLOCKS:
            raise InputError(f"TSDF voxels of {voxel:g} are too small for this scene: more than {MAX_BLOCKS} blocks")
    return np.stack([(keys >> shift & (2 * _REACH - 1)) - _REACH for shift in _SHIFTS], axis=1)


def _packed(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number (B,) per block (B, 3), in the order of x, then y, then z."""
    x, y, z = (blocks + _REACH).T
    return np.asarray(x << _SHIFTS[0] | y << _SHIFTS[1] | z << _SHIFTS[2])


def _integrate(
    blocks: NDArray[np.int64],
    depth: NDArray[np.float32],
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    voxel: float,
    truncation: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean signed distance in units of the truncation, and how many views it is the mean of, (B, 8, 8, 8) each."""
    from recon.geometry.tsdf_kernel import integrate_view  # compiled when it is first needed

    field = np.zeros((len(blocks), BLOCK, BLOCK, BLOCK), np.float32)
    weight = np.zeros_like(field)
    for view in range(len(depth)):
        projection = np.asarray(intrinsics[view], np.float64) @ np.asarray(world_to_camera[view, :3], np.float64)
        integrate_view(blocks, depth[view], projection, voxel, truncation, field, weight)
    return field, weight


def _zero_crossings(
    blocks: NDArray[np.int64], field: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(P, 3) in voxels: where the field changes its sign between the centres of two observed neighbours."""
    keys = _packed(blocks)
    points = []
    for axis, shift in enumerate(_SHIFTS):
        step = np.eye(3, dtype=np.int64)[axis]
        lower, upper, first, last = (
            tuple(layer if a == axis else slice(None) for a in range(3))
            for layer in (slice(0, -1), slice(1, None), slice(0, 1), slice(-1, None))
        )
        inner = _crossings((field[:, *lower], field[:, *upper]), (weight[:, *lower], weight[:, *upper]), step)
        points.append(blocks[inner[0]] * BLOCK + inner[1])

        place = np.minimum(np.searchsorted(keys, keys + (1 << shift)), len(keys) - 1)
        here = np.flatnonzero(keys[place] == keys + (1 << shift))
        there = place[here]
        outer = _crossings(
            (field[here][:, *last], field[there][:, *first]), (weight[here][:, *last], weight[there][:, *first]), step
        )
        points.append(blocks[here[outer[0]]] * BLOCK + outer[1] + (BLOCK - 1) * step)
    return np.concatenate(points)


def _crossings(
    fields: tuple[NDArray[np.float32], NDArray[np.float32]],
    weights: tuple[NDArray[np.float32], NDArray[np.float32]],
    step: NDArray[np.int64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where the field changes its sign from the first voxels (B, x, y, z) to those one `step` on.

    Returns:
        Indices (P,) of the blocks, and positions (P, 3) in voxels from the block's corner, for a first layer at 0.
    """
    before, after = fields
    observed = (weights[0] > 0) & (weights[1] > 0)
    block, *voxels = np.nonzero(observed & ((before > 0) != (after > 0)))
    here, there = before[block, *voxels], after[block, *voxels]
    share = here / (here - there)
    return block, np.stack(voxels, axis=1) + 0.5 + share[:, None] * step
