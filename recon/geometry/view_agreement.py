"""What several depth maps of one scene say of each other's points: how many views confirm a point, and how many look
through it.

A view confirms a point where its own depth there is the point's, within a tolerance. It looks through the point where
all it sees there is farther away. Where it sees something nearer, or nothing, it says nothing: the point is hidden from
it. The eight pixels around the one that the point falls into count as well, so that half a pixel at a depth edge
contradicts nothing (visibility as of Merrell et al., ICCV 2007).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.geometry.cameras import to_4x4
from recon.types import FloatArray

MOST_VIEWS = 32
"""Views that each view is compared with at most: those with most of its points in their image."""
ORDINARY_DIFFERENCE = 0.25
"""Relative differences of depth above this are another surface, and tell nothing of how well views agree."""
_SAMPLES = 400
"""Pixels of a view that tell which views overlap with it."""
_STRIDE = 7
"""Of the pixels that tell how much views differ, one in as many rows and columns is taken."""


class Maps(NamedTuple):
    """N depth maps with the maps from each to each."""

    depth: NDArray[np.float32]
    """(N, H, W); 0 where there is none, infinite where a view sees farther than anything, as at the sky."""
    matrix: NDArray[np.float32]
    """(N, N, 3, 3) [i, j]: pixel (x, y) of view i at depth z lies at z · matrix @ (x, y, 1) + shift in view j, which is
    (u w, v w, w) for the pixel (u, v) and depth w."""
    shift: NDArray[np.float32]
    """(N, N, 3)."""
    others: NDArray[np.int64]
    """(N, S) for each view those to compare it with; -1 where there are fewer."""


def depth_maps(
    depth: FloatArray,
    usable: NDArray[np.bool_],
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    beyond: NDArray[np.bool_] | None = None,
) -> Maps:
    """Depth maps ready to be compared.

    Args:
        depth: (N, H, W) z-depth.
        usable: (N, H, W) True where it is to be relied on.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        beyond: (N, H, W) True where a view sees nothing but sky.
    """
    maps = np.where(usable, depth, 0).astype(np.float32)
    if beyond is not None:
        maps[beyond] = np.inf
    projection = np.zeros((len(depth), 4, 4))
    projection[:, 3, 3] = 1
    projection[:, :3] = np.asarray(intrinsics, np.float64) @ to_4x4(np.asarray(world_to_camera, np.float64))[:, :3]
    pairs = projection[None] @ np.linalg.inv(projection)[:, None]  # (N, N, 4, 4) [i, j] from i to j
    matrix, shift = pairs[:, :, :3, :3].astype(np.float32), pairs[:, :, :3, 3].astype(np.float32)
    return Maps(maps, matrix, shift, _overlapping(maps, matrix, shift))


def contradicted(maps: Maps, least_views: int, tolerance: float, threads: int | None = None) -> NDArray[np.bool_]:
    """(N, H, W) True for points that a view looks through, unless at least `least_views` others confirm them.

    Args:
        maps: of all views.
        least_views: that protect a point.
        tolerance: relative difference of depth up to which a view confirms a point.
        threads: None takes all; the result is the same.
    """
    from recon.geometry.view_agreement_kernel import find_contradicted  # compiled when it is first needed

    found = np.zeros(maps.depth.shape, np.bool_)
    rows = maps.depth.shape[1]
    step = 64
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        bands = [(view, first) for view in range(len(maps.depth)) for first in range(0, rows, step)]
        list(
            pool.map(
                lambda band: find_contradicted(
                    *maps, band[0], band[1], min(band[1] + step, rows), least_views, np.float32(tolerance), found
                ),
                bands,
            )
        )
    return found


def typical_difference(maps: Maps) -> float | None:
    """Median relative difference between a point's depth in another view and what that view sees there.

    Over a sample of the pixels; None where no two views show the same.
    """
    from recon.geometry.view_agreement_kernel import sample_differences

    differences = sample_differences(*maps, _STRIDE, np.float32(ORDINARY_DIFFERENCE))
    return float(np.median(differences)) if len(differences) else None


def _overlapping(
    depth: NDArray[np.float32], matrix: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.int64]:
    """(N, S) the views that have most of each view's points in their image, in the order of views."""
    count, height, width = depth.shape
    most = min(MOST_VIEWS, count - 1)
    others = np.full((count, max(most, 0)), -1, np.int64)
    for view in range(count):
        known = np.flatnonzero((depth[view] > 0) & np.isfinite(depth[view]))
        if not len(known) or most <= 0:
            continue
        sample = known[:: max(len(known) // _SAMPLES, 1)]
        rows, columns = np.divmod(sample, width)
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(sample))]).astype(np.float32)  # (3, P)
        with np.errstate(all="ignore"):  # of points at or behind a camera
            placed = depth[view].ravel()[sample] * (matrix[view] @ rays) + shift[view][:, :, None]  # (N, 3, P)
            u, v = placed[:, 0] / placed[:, 2], placed[:, 1] / placed[:, 2]
        inside = (placed[:, 2] > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)  # False for NaN
        shared = inside.sum(axis=1)
        shared[view] = 0
        best = np.argsort(-shared, kind="stable")[:most]
        best = np.sort(best[shared[best] > 0])
        others[view, : len(best)] = best
    return others
