"""Points that several depth maps share, and where each view sees them: tracks, as bundle adjustment takes them.

A pixel with depth is a point; a view observes it where its own depth there is the point's, within a tolerance, and its
own point lies within a pixel or two of where it started from (as consistency checks of multi-view stereo have it:
Schönberger et al., ECCV 2016).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.view_agreement import Maps, depth_maps, typical_difference
from recon.types import FloatArray

CELL = 2
"""Pixels across a cell of a view, in which no two tracks begin."""
MOST_PIXELS = 2.0
"""Distance, in pixels of the depth maps, by which the points of two views may miss each other."""
_TOLERANCES = (0.005, 0.05)
"""Bounds of the relative difference of depth up to which views agree."""
_DIFFERENCES = 3.0
"""That many times what views typically differ by is tolerated, within the bounds."""
_AT_ONCE, _IN_A_TASK = 1 << 17, 1 << 13


@dataclass(frozen=True)
class Tracks:
    """P points and their K observations by N views."""

    points: NDArray[np.float64]
    """(P, 3) in the world: the mean of where the views that observe each have it."""
    pixels: NDArray[np.int64]
    """(P,) the pixel each was chosen at, as an index into the flattened (N, H, W) depth."""
    views: NDArray[np.intp]
    """(K,) view of each observation; ascending."""
    seen: NDArray[np.intp]
    """(K,) point of each observation."""
    places: NDArray[np.float64]
    """(K, 2) where the view sees it, in pixels of the depth maps; half-integer centres."""
    tolerance: float | None = None
    """Relative difference of depth up to which views agreed; None where there was nothing to compare."""


class _Followed(NamedTuple):
    """Of S seeds, as `recon.geometry.track_kernels.follow` fills them in."""

    lengths: NDArray[Any]
    """(S,) whole numbers."""
    views: NDArray[Any]
    """(S, M) whole numbers."""
    places: NDArray[Any]
    """(S, M, 2) float32."""
    points: NDArray[Any]
    """(S, 3) float64."""


def find_tracks(
    depth: FloatArray,
    usable: NDArray[np.bool_],
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    candidates: NDArray[np.intp],
    *,
    most: int,
    seed: int = 0,
    least_views: int = 2,
) -> Tracks:
    """Choose at most `most` points, spread evenly over the pixels, that `least_views` views or more observe.

    Args:
        depth: (N, H, W) z-depth.
        usable: (N, H, W) True where it is to be relied on.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        candidates: (C,) pixels that may become points, as indices into the flattened depth.
        most: points.
        seed: of the order in which pixels are tried. The same for any number of threads.
        least_views: that observe each point, the one it was chosen in included; 1 takes pixels as they are.
    """
    from recon.geometry.track_kernels import claim  # compiled when it is first needed

    views, height, width = depth.shape
    maps = depth_maps(depth, usable, intrinsics, world_to_camera)
    tolerance = None
    if least_views > 1:
        tolerance = float(np.clip(_DIFFERENCES * (typical_difference(maps) or 0.0), *_TOLERANCES))
    else:
        maps = maps._replace(others=maps.others[:, :0])
    order = np.random.default_rng(seed).permutation(candidates[maps.depth.ravel()[candidates] > 0])
    claimed = np.zeros((views, -(-height // CELL), -(-width // CELL)), np.bool_)
    kept: list[tuple[NDArray[np.int64], _Followed]] = []
    count = 0
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(order), _AT_ONCE):
            seeds = order[start : start + _AT_ONCE]
            seeds = seeds[~_is_claimed(claimed, seeds, height, width)]
            followed = _follow(maps, intrinsics, world_to_camera, seeds, tolerance or 0.0, pool)
            taken = np.zeros(len(seeds), np.bool_)
            count += claim(seeds, *followed[:3], least_views, width, height, claimed, most - count, taken)
            kept.append((seeds[taken], _Followed(*(part[taken] for part in followed))))
            if count >= most:
                break
    return _joined(kept, tolerance)


def _is_claimed(claimed: NDArray[np.bool_], seeds: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_]:
    """(S,) whether a track has been seen in the cell of each seed already."""
    view, rest = np.divmod(seeds, height * width)
    row, column = np.divmod(rest, width)
    rows, columns = claimed.shape[1:]
    found: NDArray[np.bool_] = claimed[view, row * rows // height, column * columns // width]
    return found


def _follow(
    maps: Maps,
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    seeds: NDArray[np.int64],
    tolerance: float,
    pool: ThreadPoolExecutor,
) -> _Followed:
    """What becomes of S seeds in the other views."""
    from recon.geometry.track_kernels import follow

    camera_to_world = invert_rigid(to_4x4(np.asarray(world_to_camera, np.float64)))
    rays = camera_to_world[:, :3, :3] @ np.linalg.inv(np.asarray(intrinsics, np.float64))
    centres = np.ascontiguousarray(camera_to_world[:, :3, 3])
    count, most = len(seeds), 1 + maps.others.shape[1]
    found = _Followed(
        np.zeros(count, np.int64),
        np.zeros((count, most), np.int32),
        np.zeros((count, most, 2), np.float32),
        np.zeros((count, 3)),
    )

    def part(first: int) -> None:
        these = slice(first, first + _IN_A_TASK)
        follow(
            *maps,
            rays,
            centres,
            seeds[these],
            np.float32(tolerance),
            np.float32(MOST_PIXELS),
            *(array[these] for array in found),
        )

    list(pool.map(part, range(0, count, _IN_A_TASK)))
    return found


def _joined(kept: list[tuple[NDArray[np.int64], _Followed]], tolerance: float | None) -> Tracks:
    pixels = np.concatenate([seeds for seeds, _ in kept]) if kept else np.zeros(0, np.int64)
    if len(pixels) == 0:
        return Tracks(np.zeros((0, 3)), pixels, np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 2)), tolerance)
    lengths, views, places, points = (
        np.concatenate([getattr(followed, name) for _, followed in kept]) for name in _Followed._fields
    )
    observed = np.arange(views.shape[1]) < lengths[:, None]  # (P, M)
    seen = np.nonzero(observed)[0]
    order = np.argsort(views[observed], kind="stable")
    return Tracks(
        points,
        pixels,
        views[observed][order].astype(np.intp),
        seen[order],
        places[observed][order].astype(np.float64),
        tolerance,
    )
