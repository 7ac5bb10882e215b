"""Depth of synthetic scenes without colour, for long walks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.geometry.compiled import compiled

from .flatten import flatten
from .intersection import FAR, cast
from .scene_arrays import SceneArrays
from .scene_model import Scene
from .vectors import row, turned


def cast_depth(
    scene: Scene, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """What `render_views` gives as depth and object_ids (N, H, W) of a scene that stands still, to the bit.

    Args:
        scene: from `make_scene`.
        world_to_camera: (N, 4, 4).
        intrinsics: (N, 3, 3) in pixels.
        size: height and width.
    """
    arrays = _flat(scene)
    depth = np.empty((len(world_to_camera), *size), np.float32)
    object_ids = np.empty(depth.shape, np.int32)
    for view, camera_to_world in enumerate(invert_rigid(world_to_camera)):
        rays = camera_to_world[:3, :3] @ np.linalg.inv(intrinsics[view])
        _cast_pixels(arrays, rays, np.ascontiguousarray(camera_to_world[None, :3, 3]), depth[view], object_ids[view])
    return depth, object_ids


@lru_cache(1)
def _flat(scene: Scene) -> SceneArrays:
    return flatten(scene)


@compiled()
def _cast_pixels(
    scene: SceneArrays,
    pixel_to_ray: NDArray[np.float64],
    centre: NDArray[np.float64],
    depth: NDArray[np.float32],
    object_ids: NDArray[np.int32],
) -> None:
    stack = np.empty(128, np.int64)
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            hit = cast(scene, row(centre, 0), turned(pixel_to_ray, (x + 0.5, y + 0.5, 1.0)), FAR, False, stack)
            depth[y, x] = hit[0] if hit[1] >= 0 else 0.0
            object_ids[y, x] = scene.object_ids[hit[1]] if hit[1] >= 0 else 0
