"""A scene of the tilted wall of the layouts, painted so that a colour tells the place in the world."""

from __future__ import annotations

import numpy as np

from recon.geometry.unprojection import pixel_centres
from recon.train.data.scene import Labels, Picture, Scene
from recon.types.cameras import Cameras
from tests.eval.layout_folders import HEIGHT, INTRINSICS, WIDTH, cameras, wall_depth

LOW, HIGH = np.array([-9.0, -8.0]), np.array([11.0, 8.0])
"""Of world x and y, where red and green are 0 and 255."""


def colours(world: np.ndarray) -> np.ndarray:
    """(..., 3) 0 to 255, of places (..., 3); blue says nothing."""
    painted = 255 * (world[..., :2] - LOW) / (HIGH - LOW)
    return np.concatenate([painted, np.full((*world.shape[:-1], 1), 90.0)], axis=-1)


def _rays(view: int, pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], axis=-1) @ np.linalg.inv(INTRINSICS).T


def wall_scene(count: int = 4, name: str = "wall", holes: bool = False, extrinsics: np.ndarray | None = None) -> Scene:
    """Photos of 80 × 60 pixels, with exact depth wherever it is asked for; with `holes`, none in the left third."""
    matrices = cameras(count) if extrinsics is None else extrinsics

    def read_picture(view: int) -> Picture:
        rays = _rays(view, pixel_centres(HEIGHT, WIDTH))
        in_camera = rays * wall_depth(matrices[view], rays)[..., None]
        world = (in_camera - matrices[view, :3, 3]) @ matrices[view, :3, :3]
        return Picture(np.clip(np.rint(colours(world)), 0, 255).astype(np.uint8))

    def read_labels(view: int, size: tuple[int, int], to_photo: np.ndarray) -> Labels:
        pixels = pixel_centres(*size) @ to_photo[:2, :2].T + to_photo[:2, 2]
        depth = wall_depth(matrices[view], _rays(view, pixels)).astype(np.float32)
        if holes:
            depth[pixels[..., 0] < WIDTH / 3] = np.nan
        return Labels(depth, np.zeros(size, np.bool_))

    return Scene(
        name,
        tuple(f"{view}.png" for view in range(count)),
        read_picture,
        lambda view: f"{name} {view}",
        Cameras(matrices, np.tile(INTRINSICS, (count, 1, 1)), np.tile([WIDTH, HEIGHT], (count, 1))),
        read_labels,
        knows_sky=True,
        metric=True,
    )
