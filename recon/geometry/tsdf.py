"""Depth maps fused into one surface: a truncated signed distance field in blocks of voxels.

Curless and Levoy, "A Volumetric Method for Building Complex Models from Range Images", SIGGRAPH 1996, with the
truncation of KinectFusion (Newcombe et al., ISMAR 2011) and blocks only near observed depth (Nießner et al., TOG 2013).
The surface is where the field is zero: `fuse_depth` gives points on it, `recon.geometry.marching_cubes` a mesh.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.errors import InputError
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.types import FloatArray

BLOCK = 8
"""Voxels along a side of a block."""
MAX_BLOCKS = 500_000
"""About 1 GB of voxels: a finer field than that is refused rather than swapped to disk."""
BLOCK_BYTES = 8192
"""Of a block and of the mesh through it, about."""
_UNKNOWN_MEMORY = 4 * 2**30
"""Bytes, taken where the machine does not say what is free."""
_REACH = 2**20
_SHIFTS = (42, 21, 0)
"""As of `recon.geometry.tsdf_kernel`, which is imported when it is first needed."""
_FIRST_TABLE = 2**14
_BATCH = 256
"""Blocks that a thread works on at a time."""


class TooManyBlocks(InputError):
    """The field would not fit into memory; `voxel` is a size that does."""

    def __init__(self, voxel: float, most: int, fits: float) -> None:
        super().__init__(
            f"TSDF voxels of {voxel:g} are too small for this scene: more than {most} blocks of {BLOCK}³; "
            f"voxels of {fits:.3g} fit"
        )
        self.voxel = fits


@dataclass(frozen=True)
class Field:
    """A signed distance field in B blocks of 8 × 8 × 8 voxels."""

    blocks: NDArray[np.int64]
    """(B, 3) integer coordinates, in ascending order."""
    values: NDArray[np.float32]
    """(B, 8, 8, 8) distance at the centre of each voxel, in units of the truncation, positive before the surface; NaN
    where no view sees it."""
    voxel: float
    """Side of a voxel."""


class Integrator(Protocol):
    """Where the two long steps of a fusion run; all give the same field but for rounding."""

    def near_surface(
        self,
        depth: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        world_to_camera: NDArray[np.float64],
        voxel: float,
        truncation: float,
        most: int,
    ) -> NDArray[np.int64] | None:
        """As `blocks_near_surface`."""
        ...

    def mean_distance(
        self,
        blocks: NDArray[np.int64],
        inverse_depth: NDArray[np.float32],
        projections: NDArray[np.float64],
        voxel: float,
        truncation: float,
        smooth: bool,
    ) -> NDArray[np.float32]:
        """(B, 8, 8, 8) values of `Field`; arguments as of `recon.geometry.tsdf_kernel.integrate`."""
        ...


@dataclass(frozen=True)
class CpuIntegrator:
    """Compiled loops, by several threads."""

    threads: int | None = None
    """None takes all; the result is the same."""

    def near_surface(
        self,
        depth: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        world_to_camera: NDArray[np.float64],
        voxel: float,
        truncation: float,
        most: int,
    ) -> NDArray[np.int64] | None:
        """As `Integrator`."""
        return blocks_near_surface(depth, intrinsics, world_to_camera, voxel, truncation, most, self.threads)

    def mean_distance(
        self,
        blocks: NDArray[np.int64],
        inverse_depth: NDArray[np.float32],
        projections: NDArray[np.float64],
        voxel: float,
        truncation: float,
        smooth: bool,
    ) -> NDArray[np.float32]:
        """As `Integrator`."""
        sums = np.empty((0, BLOCK, BLOCK, BLOCK), np.float32)
        return self._integrated(blocks, inverse_depth, projections, voxel, truncation, smooth, sums)

    def distance_and_weight(
        self,
        blocks: NDArray[np.int64],
        inverse_depth: NDArray[np.float32],
        projections: NDArray[np.float64],
        voxel: float,
        truncation: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(B, 8, 8, 8) each: as `mean_distance`, smooth, and what the views count for together."""
        weights = np.empty((len(blocks), BLOCK, BLOCK, BLOCK), np.float32)
        return self._integrated(blocks, inverse_depth, projections, voxel, truncation, True, weights), weights

    def _integrated(
        self,
        blocks: NDArray[np.int64],
        inverse_depth: NDArray[np.float32],
        projections: NDArray[np.float64],
        voxel: float,
        truncation: float,
        smooth: bool,
        weights: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        from recon.geometry.tsdf_kernel import integrate

        field = np.empty((len(blocks), BLOCK, BLOCK, BLOCK), np.float32)
        in_batches(
            len(blocks),
            lambda first, last: integrate(
                first, last, blocks, inverse_depth, projections, voxel, truncation, smooth, field, weights
            ),
            self.threads,
        )
        return field


_ON_CPU = CpuIntegrator()


def blocks_that_fit() -> int:
    """Blocks, with the mesh through them, that half the free memory of the machine has room for."""
    free = _UNKNOWN_MEMORY
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(free // 2 // BLOCK_BYTES, 1)


def fuse(
    depth: FloatArray,
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    voxel: float,
    truncation: float,
    *,
    smooth: bool = True,
    most_blocks: int = MAX_BLOCKS,
    integrator: Integrator = _ON_CPU,
) -> Field:
    """The field that the depth maps make together.

    Args:
        depth: (N, H, W) z-depth; 0 or not finite where there is none.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        voxel: side of a voxel, in the units of the depth.
        truncation: distance from the observed surface up to which the field is kept.
        smooth: interpolate depth between pixels, let near views count for more, and complete voxels that no view sees
            between those of one side of the surface; else the plain mean of pixels.
        most_blocks: that memory has room for.
        integrator: what does the work.

    Raises:
        TooManyBlocks: an InputError that says which size of voxels fits.
        InputError: sizes that are not positive, or depth too far away for such voxels.
    """
    if not 0 < voxel <= truncation:
        raise InputError(f"TSDF fusion needs 0 < voxel ≤ truncation, got {voxel} and {truncation}")
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
    cameras = np.asarray(intrinsics, np.float64), to_4x4(np.asarray(world_to_camera, np.float64))
    blocks = integrator.near_surface(depth, *cameras, voxel, truncation, most_blocks)
    if blocks is None:
        fits = _fitting_voxel(depth, *cameras, voxel, truncation, most_blocks)
        raise TooManyBlocks(voxel, most_blocks, fits)
    projections = np.ascontiguousarray(cameras[0] @ cameras[1][:, :3])
    inverse_depth = np.zeros_like(depth)
    np.divide(1, depth, out=inverse_depth, where=depth > 0)
    field = integrator.mean_distance(blocks, inverse_depth, projections, voxel, truncation, smooth)
    if smooth:
        fill_gaps(blocks, field)
    return Field(blocks, field, voxel)


def fuse_depth(
    depth: FloatArray, intrinsics: FloatArray, world_to_camera: FloatArray, voxel: float, truncation: float
) -> NDArray[np.float64]:
    """Points (P, 3) on the surface that the depth maps agree on, about one for each voxel that it crosses.

    They are the zero crossings of the plain mean, as in benchmarks, along the three axes. Arguments and errors as of
    `fuse`.
    """
    field = fuse(depth, intrinsics, world_to_camera, voxel, truncation, smooth=False, most_blocks=MAX_BLOCKS)
    return _zero_crossings(field.blocks, field.values) * voxel


def blocks_near_surface(
    depth: NDArray[np.float32],
    intrinsics: NDArray[np.float64],
    world_to_camera: NDArray[np.float64],
    voxel: float,
    truncation: float,
    most: int,
    threads: int | None = None,
) -> NDArray[np.int64] | None:
    """(B, 3) sorted integer coordinates of the blocks within the truncation, along the view ray, of any depth.

    None where there are more than `most`. Raises InputError for depth too far away for such voxels.
    """
    camera_to_world = invert_rigid(world_to_camera)
    pixel_to_ray = camera_to_world[:, :3, :3] @ np.linalg.inv(intrinsics)
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        found = pool.map(
            lambda view: _keys_of_view(
                depth[view], pixel_to_ray[view], camera_to_world[view, :3, 3], voxel, truncation, most
            ),
            range(len(depth)),
        )
        keys = np.empty(0, np.int64)
        for of_view in found:
            keys = np.union1d(keys, of_view)
            if len(keys) > most:
                pool.shutdown(cancel_futures=True)
                return None
    return unpacked(keys)


def _keys_of_view(
    depth: NDArray[np.float32],
    pixel_to_ray: NDArray[np.float64],
    centre: NDArray[np.float64],
    voxel: float,
    truncation: float,
    most: int,
) -> NDArray[np.int64]:
    """Numbers of the blocks near the depth (H, W) of one view; of more than `most` perhaps not all."""
    from recon.geometry.tsdf_kernel import FULL, TOO_FAR, insert_blocks, rehash

    table, count = np.full(_FIRST_TABLE, -1, np.int64), 0
    while True:
        found = insert_blocks(
            depth, pixel_to_ray, centre, BLOCK * voxel, truncation, ray_steps(voxel, truncation), table, count
        )
        if found == TOO_FAR:
            raise depth_too_far(voxel)
        keys = table[table >= 0]
        count = len(keys)
        if found != FULL or count > most:
            return keys
        table = np.full(4 * len(table), -1, np.int64)
        rehash(keys, table)


def ray_steps(voxel: float, truncation: float) -> int:
    """Points along a ray from one end of the truncation to the other that miss no block but at its corners."""
    return int(np.ceil(4 * truncation / (BLOCK * voxel))) + 2


def depth_too_far(voxel: float) -> InputError:
    """For depth so far away that blocks have no number."""
    return InputError(f"TSDF voxels of {voxel:g} are too small for depth this far away")


def fill_gaps(blocks: NDArray[np.int64], field: NDArray[np.float32]) -> None:
    """Complete, in place, voxels just beside the surface that no view sees, as outlines leave them behind.

    Only from three or more neighbours on one side of the surface, so that none is made up.
    """
    from recon.geometry.tsdf_kernel import find_gaps

    steps = [step * np.eye(3, dtype=np.int64)[axis] for axis in range(3) for step in (-1, 1)]
    neighbours = np.stack([indices_of(blocks, blocks + step) for step in steps], axis=1)
    count = find_gaps(neighbours, field, np.empty(0, np.int64), np.empty(0, np.float32))
    places, values = np.empty(count, np.int64), np.empty(count, np.float32)
    find_gaps(neighbours, field, places, values)
    field.reshape(-1)[places] = values


def indices_of(blocks: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int32]:
    """(W,) where each of the blocks `wanted` (W, 3) is among sorted `blocks` (B, 3); -1 for one that is not."""
    if not len(blocks):
        return np.full(len(wanted), -1, np.int32)
    keys, sought = packed(blocks), packed(wanted)
    places = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    return np.where(keys[places] == sought, places, -1).astype(np.int32)


def packed(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number (B,) per block (B, 3), in the order of x, then y, then z."""
    x, y, z = (blocks + _REACH).T
    return np.asarray(x << _SHIFTS[0] | y << _SHIFTS[1] | z << _SHIFTS[2])


def unpacked(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B, 3) blocks of the numbers (B,) that `packed` gives."""
    return np.stack([(keys >> shift & (2 * _REACH - 1)) - _REACH for shift in _SHIFTS], axis=1)


def in_batches(count: int, work: Any, threads: int | None = None) -> None:
    """Call `work(first, last)` for all of so many blocks, by several threads."""
    ends = [*range(0, count, _BATCH), count]
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        list(pool.map(lambda span: work(*span), pairwise(ends)))


def _fitting_voxel(
    depth: NDArray[np.float32],
    intrinsics: NDArray[np.float64],
    world_to_camera: NDArray[np.float64],
    voxel: float,
    truncation: float,
    most: int,
) -> float:
    """A size of voxels, not much larger than needed, whose blocks fit; the truncation grows with it."""
    ratio = truncation / voxel
    while True:
        voxel *= 2
        try:
            blocks = blocks_near_surface(depth, intrinsics, world_to_camera, voxel, ratio * voxel, most)
        except InputError:
            continue
        if blocks is not None:
            break
    # Blocks near a surface become fewer with the square of their side.
    tighter = voxel * max(0.55, 1.1 * float(np.sqrt(max(len(blocks), 1) / most)))
    if (
        tighter < voxel
        and blocks_near_surface(depth, intrinsics, world_to_camera, tighter, ratio * tighter, most) is not None
    ):
        return tighter
    return voxel


def _zero_crossings(blocks: NDArray[np.int64], field: NDArray[np.float32]) -> NDArray[np.float64]:
    """(P, 3) in voxels: where the field changes its sign between the centres of two observed neighbours."""
    keys = packed(blocks)
    points = [np.empty((0, 3))]
    for axis, shift in enumerate(_SHIFTS):
        step = np.eye(3, dtype=np.int64)[axis]
        lower, upper, first, last = (
            tuple(layer if a == axis else slice(None) for a in range(3))
            for layer in (slice(0, -1), slice(1, None), slice(0, 1), slice(-1, None))
        )
        inner = _crossings(field[:, *lower], field[:, *upper], step)
        points.append(blocks[inner[0]] * BLOCK + inner[1])

        place = np.minimum(np.searchsorted(keys, keys + (1 << shift)), max(len(keys) - 1, 0))
        here = np.flatnonzero(keys[place] == keys + (1 << shift)) if len(keys) else np.empty(0, np.intp)
        there = place[here]
        outer = _crossings(field[here][:, *last], field[there][:, *first], step)
        points.append(blocks[here[outer[0]]] * BLOCK + outer[1] + (BLOCK - 1) * step)
    return np.concatenate(points)


def _crossings(
    before: NDArray[np.float32], after: NDArray[np.float32], step: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where the field changes its sign from the first voxels (B, x, y, z) to those one `step` on.

    Returns:
        Indices (P,) of the blocks, and positions (P, 3) in voxels from the block's corner, for a first layer at 0.
    """
    observed = ~(np.isnan(before) | np.isnan(after))
    block, *voxels = np.nonzero(observed & ((before > 0) != (after > 0)))
    here, there = before[block, *voxels], after[block, *voxels]
    share = here / (here - there)
    return block, np.stack(voxels, axis=1) + 0.5 + share[:, None] * step
