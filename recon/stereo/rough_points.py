"""Points of the scene by a plane sweep at thumbnail size, for calibrated views that come without any.

They say how far away things are and which views overlap, as the points of structure from motion do.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import pixel_centres
from recon.sources.mask_resize import resize_mask
from recon.stereo.consistency import DepthMaps, agreement
from recon.stereo.images import Matching, scaled_intrinsics, shrink, warp_back, warp_between
from recon.stereo.plane_sweep import sweep
from recon.types.cameras import Cameras

_SIDE = 126
"""Pixels of the thumbnail's longest side, about."""
_PLANES = 192
_WINDOW = 7
_NEAREST = 1.2
"""Nearest depth looked at, in distances to the nearest source: nearer things look too different from there."""
_CANDIDATES = (0, 1, 2, 4)
"""Which sources are swept, in order of their distance: not only the nearest, whose baselines may be short."""
_TURNED = 60.0
"""Degrees between optical axes beyond which views are not matched."""
_SCORE, _UNIQUE = 0.5, 0.9
"""Least score of a point, and most that the second peak's may be of it."""
_TOLERANCE, _PIXELS = 0.05, 1.5
"""How near a point must come to what another view finds, relative and in pixels of the thumbnail."""


def rough_points(
    grey: NDArray[np.uint8],
    cameras: Cameras,
    noise: float,
    pool: ThreadPoolExecutor,
    masks: NDArray[np.bool_] | None = None,
) -> SparsePoints:
    """Points that two or more views agree on roughly, in the frame and units of the cameras.

    Args:
        grey: (N, H, W).
        cameras: complete, in pixels of these images.
        noise: of the images, in grey levels.
        pool: what the bands of rows are worked on by.
        masks: (N, H, W) False where a view is not to be matched; None: nowhere.
    """
    count, *size = grey.shape
    thumbnails = shrink(grey, max(1, round(max(size) / _SIDE)))
    assert cameras.intrinsics is not None
    intrinsics = scaled_intrinsics(cameras.intrinsics, (size[0], size[1]), thumbnails.shape[1:])
    cameras = Cameras(cameras.world_to_camera, intrinsics)
    small = (thumbnails.shape[2], thumbnails.shape[1])
    visible = None if masks is None else np.stack([resize_mask(mask, small) for mask in masks])
    found = np.zeros(thumbnails.shape, np.float32)
    neighbours = [_neighbours(view, cameras) for view in range(count)]
    for view, (sources, nearest) in enumerate(neighbours):
        if len(sources) == 0:
            continue
        agreeing = min(2, max(1, len(sources) - 1))
        warp = warp_between(cameras, view, sources)
        colours = np.repeat(thumbnails[view, ..., None], 3, axis=2)
        seen = None if visible is None else visible[sources]
        matching = Matching(thumbnails[view], colours, thumbnails[sources], warp, agreeing, noise, visible=seen)
        peaks = sweep(matching, np.linspace(0, 1 / nearest, _PLANES, dtype=np.float32), _WINDOW, pool)
        sure = (peaks.score[0] > _SCORE) & (peaks.score[1] < _UNIQUE * peaks.score[0])
        if visible is not None:
            sure &= visible[view]
        found[view] = np.where(sure, peaks.inverse_depth[0], 0)
    points: list[NDArray[np.float64]] = []
    observed: list[list[NDArray[np.intp]]] = [[] for _ in range(count)]
    total = 0
    maps = DepthMaps(found, visible=visible)
    for view, (sources, _) in enumerate(neighbours):
        if len(sources) == 0:
            continue
        there, back = warp_between(cameras, view, sources), warp_back(cameras, view, sources)
        near = agreement(found[view], maps, sources, there, back, _TOLERANCE, _PIXELS, pool)
        agreed = near.with_each > 0  # (S, h, w)
        kept = np.asarray(agreed.any(axis=0))
        indices = total + np.arange(int(kept.sum()))
        points.append(_unproject(found[view], kept, cameras, view))
        observed[view].append(indices)
        for source, seen in zip(sources, agreed[:, kept], strict=True):
            observed[source].append(indices[seen])
        total += len(indices)
    return SparsePoints(
        np.concatenate([np.zeros((0, 3)), *points]),
        tuple(np.sort(np.concatenate([np.zeros(0, np.intp), *parts])) for parts in observed),
    )


def _neighbours(view: int, cameras: Cameras) -> tuple[NDArray[np.intp], float]:
    """Other views that look about the same way, and the nearest depth to look at; no view where there is none."""
    assert cameras.world_to_camera is not None
    camera_to_world = invert_rigid(cameras.world_to_camera)
    centres, axes = camera_to_world[:, :3, 3], camera_to_world[:, :3, 2]
    distances = np.linalg.norm(centres - centres[view], axis=1)
    apart = distances > 1e-6 * max(float(distances.max()), 1e-300)
    near = np.flatnonzero(apart & (axes @ axes[view] > np.cos(np.radians(_TURNED))))
    near = near[np.argsort(distances[near], kind="stable")]
    chosen = near[[place for place in _CANDIDATES if place < len(near)]]
    return chosen, _NEAREST * float(distances[near[0]]) if len(near) else 0.0


def _unproject(
    inverse_depth: NDArray[np.float32], kept: NDArray[np.bool_], cameras: Cameras, view: int
) -> NDArray[np.float64]:
    """World points (K, 3) of the pixels in `kept`."""
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    pixels = pixel_centres(*inverse_depth.shape)[kept]  # (K, 2)
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    in_camera = homogeneous @ np.linalg.inv(cameras.intrinsics[view]).T / inverse_depth[kept][:, None]
    camera_to_world = invert_rigid(cameras.world_to_camera)[view]
    return in_camera @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]
