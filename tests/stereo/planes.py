"""Textured planes at any slant, photographed with exact cameras, and their exact depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import pixel_centres
from recon.types.cameras import Cameras

from ..sfm.cards import photograph, shifted, stage, turned

SIZE = (96, 128)
"""Height and width of the photos."""
INTRINSICS = np.array([[120.0, 0, 64], [0, 120.0, 48], [0, 0, 1]])

Card = tuple[NDArray[np.uint8], NDArray[np.float64]]
"""Texture, and the map (4, 3) from its homogeneous pixels to the world."""


class Views(NamedTuple):
    images: NDArray[np.uint8]
    """(N, H, W, 3)."""
    cameras: Cameras
    depth: NDArray[np.float64]
    """(N, H, W), 0 where there is nothing."""


def card(texture: int, middle: Sequence[float], width: float, slope_x: float = 0.0, slope_y: float = 0.0) -> Card:
    """A square card around `middle` whose depth rises by the slopes along world x and y; of five textures."""
    pixels = stage()[texture][0]
    step = width / len(pixels)
    x, y, z = middle
    corner = (x - width / 2, y - width / 2, z - width / 2 * (slope_x + slope_y))
    to_world = np.array(
        [[step, 0, corner[0]], [0, step, corner[1]], [step * slope_x, step * slope_y, corner[2]], [0, 0, 1]]
    )
    return pixels, to_world


def row(count: int = 5, baseline: float = 0.35) -> NDArray[np.float64]:
    """(N, 4, 4) cameras side by side, some higher than others, turned a little towards the middle."""
    places = baseline * (np.arange(count) - (count - 1) / 2)
    heights = 0.3 * baseline * (-1.0) ** np.arange(count)
    return np.stack(
        [
            turned(-0.8 * np.arctan2(x, 5)) @ shifted(-np.array([x, y, 0.0]))
            for x, y in zip(places, heights, strict=True)
        ]
    )


def see(cards: Sequence[Card], extrinsics: NDArray[np.float64], size: tuple[int, int] = SIZE) -> Views:
    """Photos and depth of cards, the far ones first."""
    intrinsics = np.tile(INTRINSICS, (len(extrinsics), 1, 1))
    images = photograph(cards, extrinsics, INTRINSICS, size)
    depth = np.stack([_depth(cards, camera, size) for camera in extrinsics])
    return Views(images, Cameras(extrinsics, intrinsics), depth)


def _depth(cards: Sequence[Card], world_to_camera: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    pixels = pixel_centres(*size)
    homogeneous = np.concatenate([pixels, np.ones((*size, 1))], axis=-1)
    depth = np.zeros(size)
    for texture, to_world in cards:
        to_pixels = INTRINSICS @ world_to_camera[:3] @ to_world
        found = homogeneous @ np.linalg.inv(to_pixels).T
        along = 1 / found[..., 2]
        on_card = ((found[..., :2] * along[..., None] >= 0) & (found[..., :2] * along[..., None] <= len(texture))).all(
            axis=-1
        )
        depth = np.where(on_card & (along > 0), along, depth)
    return depth


def sparse_points(views: Views, every: int = 9) -> SparsePoints:
    """Points on the true surfaces, each seen by the views whose depth there is that of the point."""
    assert views.cameras.world_to_camera is not None
    size = views.depth.shape[1:]
    grid = pixel_centres(*size)[::every, ::every].reshape(-1, 2).astype(int)
    points = []
    for depth, camera in zip(views.depth, views.cameras.world_to_camera, strict=True):
        z = depth[grid[:, 1], grid[:, 0]]
        rays = np.column_stack([grid + 0.5, np.ones(len(grid))]) @ np.linalg.inv(INTRINSICS).T
        seen = z > 0
        local = np.column_stack([rays[seen] * z[seen, None], np.ones(int(seen.sum()))])
        points.append((local @ np.linalg.inv(camera).T)[:, :3])
    world = np.concatenate(points)
    observed = []
    for depth, camera in zip(views.depth, views.cameras.world_to_camera, strict=True):
        local = world @ camera[:3, :3].T + camera[:3, 3]
        column, row_ = np.floor((local @ INTRINSICS.T)[:, :2] / local[:, 2:]).astype(int).T
        inside = (column >= 0) & (column < size[1]) & (row_ >= 0) & (row_ < size[0]) & (local[:, 2] > 0)
        there = depth[np.where(inside, row_, 0), np.where(inside, column, 0)]
        observed.append(np.flatnonzero(inside & (np.abs(there / local[:, 2] - 1) < 0.02)))
    return SparsePoints(world, tuple(observed))
