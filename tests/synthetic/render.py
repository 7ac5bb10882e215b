"""Photos of synthetic scenes with exact depth, cameras, sky and object masks.

    scene = make_scene("courtyard", seed=1)
    size = (378, 504)
    views = render_views(scene, camera_path(scene, "orbit", 12), pinhole(size, scene.stage.field_of_view), size)

Surfaces are Lambertian, so that a point has one colour in all views. The world is in metres, z up.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.types import Units
from recon.types.cameras import Cameras

from .flatten import flatten
from .indirect_light import indirect_light
from .scene_arrays import SceneArrays
from .scene_model import Scene
from .shading import render_rows
from .textures import encode_srgb

_SHADOW_RAYS = 8
"""Per pixel, shared out over its samples."""


@dataclass(frozen=True)
class SyntheticViews:
    """N rendered photos of one scene and their truth."""

    images: NDArray[np.uint8]
    """(N, H, W, 3) sRGB."""
    depth: NDArray[np.float32]
    """(N, H, W) metres along the camera z axis at the pixel centre; 0 where sky."""
    sky: NDArray[np.bool_]
    """(N, H, W) True where the ray through the pixel centre hits nothing."""
    object_ids: NDArray[np.int32]
    """(N, H, W) index in `Scene.objects` of what the pixel centre shows; 0 where sky."""
    cameras: Cameras
    """World-to-camera in metres, intrinsics in pixels of the images."""
    name: str
    """Of the scene."""
    units: Units = "metric"


def render_views(
    scene: Scene,
    extrinsics: ArrayLike,
    intrinsics: ArrayLike,
    size: tuple[int, int],
    samples_per_pixel: int = 4,
    exposure: ArrayLike | None = None,
    *,
    object_offsets: Mapping[int, ArrayLike] | None = None,
    threads: int | None = None,
) -> SyntheticViews:
    """Ray-cast N photos. The same arguments give the same bytes, whatever the number of threads.

    Args:
        scene: from `make_scene`, or made by hand.
        extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera.
        intrinsics: (N, 3, 3), or (3, 3) for all views, in pixels.
        size: height and width of the images.
        samples_per_pixel: colour samples averaged in linear light; depth and masks are of the pixel centre.
        exposure: (N,) factors on linear light, such as 0.7 to 1.4; none by default.
        object_offsets: (N, 3) metres by object id that an object is moved by in each view; by default, what
            `scene.motion` says.
        threads: all cores by default.

    Raises:
        InputError: cameras that are none, or counts that differ.
    """
    given = np.asarray(extrinsics, np.float64)
    count = len(given)
    matrix = np.asarray(intrinsics, np.float64)
    cameras = Cameras.from_arrays(given, np.tile(matrix, (count, 1, 1)) if matrix.ndim == 2 else matrix, count)
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    height, width = size
    if min(height, width, samples_per_pixel) < 1:
        raise InputError(f"size and samples_per_pixel must be at least 1, got {size} and {samples_per_pixel}")
    gains = np.ones(count) if exposure is None else np.asarray(exposure, np.float64)
    if gains.shape != (count,) or not (np.isfinite(gains) & (gains > 0)).all():
        raise InputError(f"exposure must be {count} positive numbers, one per view")
    offsets = {
        key: np.asarray(offset, np.float64) for key, offset in (object_offsets or _motion_offsets(scene, count)).items()
    }
    if any(offset.shape != (count, 3) for offset in offsets.values()):
        raise InputError(f"object_offsets must be ({count}, 3) metres per object id")
    images = np.empty((count, height, width, 3), np.uint8)
    depth = np.empty((count, height, width), np.float32)
    object_ids = np.empty((count, height, width), np.int32)
    light = _light(scene, frozenset(offsets), threads)
    still = None if offsets else flatten(scene)._replace(light=light)
    for view in range(count):
        moved = {key: offset[view] for key, offset in offsets.items()}
        arrays = still or flatten(scene, moved)._replace(light=light)
        linear = _render(
            arrays,
            cameras.world_to_camera[view],
            cameras.intrinsics[view],
            samples_per_pixel,
            depth[view],
            object_ids[view],
            threads,
        )
        images[view] = encode_srgb(linear * np.float32(gains[view]))
    return SyntheticViews(images, depth, depth == 0, object_ids, cameras, scene.name)


_lights: WeakKeyDictionary[Scene, dict[frozenset[int], NDArray[np.float32]]] = WeakKeyDictionary()
"""Indirect light of scenes that are still in use, by which of their objects move."""


def _light(scene: Scene, moving: frozenset[int], threads: int | None) -> NDArray[np.float32]:
    known = _lights.setdefault(scene, {})
    if moving not in known:
        known[moving] = indirect_light(scene, moving, threads)
    return known[moving]


def _motion_offsets(scene: Scene, count: int) -> dict[int, NDArray[np.float64]]:
    steps = np.arange(count)[:, None]
    return {key: steps * np.array(step) for key, step in scene.motion.items()}


def _render(
    arrays: SceneArrays,
    world_to_camera: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    samples_per_pixel: int,
    depth: NDArray[np.float32],
    object_ids: NDArray[np.int32],
    threads: int | None,
) -> NDArray[np.float32]:
    """Fill depth and object_ids (H, W) of one view; returns its linear colour (H, W, 3)."""
    height, width = depth.shape
    color = np.empty((height, width, 3), np.float32)
    camera_to_world = invert_rigid(world_to_camera)
    rays = camera_to_world[:3, :3] @ np.linalg.inv(intrinsics)
    centre = np.ascontiguousarray(camera_to_world[None, :3, 3])
    jitter = _sample_positions(samples_per_pixel)
    shadow_rays = max(1, round(_SHADOW_RAYS / samples_per_pixel))
    # Grain differs between views but not between two renderings of one.
    view_seed = zlib.crc32(world_to_camera.tobytes())

    def rows(first: int) -> None:
        last = min(first + band, height)
        render_rows(
            arrays, rays, centre, jitter, shadow_rays, 1 / intrinsics[0, 0], view_seed, first, last, color, depth,
            object_ids,
        )  # fmt: skip

    # Compiled code lets go of Python's lock, so plain threads do, and concurrent callers don't meet in numba's own.
    band = max(1, min(16, height // 4))
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(rows, range(0, height, band)))
    return color


def _sample_positions(count: int) -> NDArray[np.float64]:
    """(count, 2) places in a unit pixel: the centre for one, else Roberts's R2 sequence (2018)."""
    plastic = 1.32471795724474602596
    index = np.arange(count)[:, None]
    return (0.5 + index * np.array([1 / plastic, 1 / plastic**2])) % 1
