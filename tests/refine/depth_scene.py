"""A small analytic scene with exact depth: a room with a sphere and a block in it, smoothly textured."""

from __future__ import annotations

import numpy as np

from recon.types import Prediction
from tests.seeds import numpy_random

ROOM = np.array([[-3.0, -1.5, -3.0], [3.0, 1.5, 3.0]])
BLOCK = np.array([[-1.3, 0.3, 0.2], [-0.6, 1.5, 0.9]])
SPHERE, RADIUS = np.array([0.5, 0.8, 0.0]), 0.5


def make_prediction(views: int, height: int = 120, width: int = 160, between: bool = False) -> Prediction:
    """Views on an arc around the middle of the room, or those halfway between them."""
    angles = np.radians(np.linspace(-30, 30, 2 * views - 1 if views > 1 else 1))[1 if between else 0 :: 2]
    extrinsics = np.stack([_look_at_middle(angle) for angle in angles])
    intrinsics = np.array([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1]])
    depth, images = zip(*(_cast(camera, intrinsics, height, width) for camera in extrinsics), strict=True)
    return Prediction(
        depth=np.stack(depth),
        processed_images=np.stack(images),
        extrinsics=extrinsics[:, :3].astype(np.float32),
        intrinsics=np.tile(intrinsics.astype(np.float32), (len(angles), 1, 1)),
        units="metric",
    )


def _look_at_middle(angle: float) -> np.ndarray:
    centre = np.array([2.4 * np.sin(angle), -0.4, -2.4 * np.cos(angle)])
    z = np.array([0, 0.3, 0]) - centre
    z /= np.linalg.norm(z)
    x = np.cross([0, 1.0, 0], z)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3], world_to_camera[:3, 3] = rotation, -rotation @ centre
    return world_to_camera


def _cast(
    world_to_camera: np.ndarray, intrinsics: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) depth at the pixel centres, and the (H, W, 3) mean of four colours in each pixel."""
    offsets = [(0.5, 0.5), (0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
    origin = -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]
    colors = []
    for index, (dx, dy) in enumerate(offsets):
        x, y = np.meshgrid(np.arange(width) + dx, np.arange(height) + dy)
        pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
        rays = pixels @ np.linalg.inv(intrinsics).T @ world_to_camera[:3, :3]  # (H, W, 3), z = 1 in the camera
        distance, surface = _nearest(origin, rays)
        if index == 0:
            depth = distance.astype(np.float32)
        else:
            colors.append(_texture(origin + distance[..., None] * rays, surface))
    return depth, np.rint(np.mean(colors, axis=0) * 255).astype(np.uint8)


def _nearest(origin: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) distance along the rays, and the number of the surface."""
    with np.errstate(divide="ignore"):
        room, block = ((box[:, None, None] - origin) / rays for box in (ROOM, BLOCK))  # (2, H, W, 3)
    leaves = room.max(axis=0)
    distance, surface = leaves.min(axis=-1), leaves.argmin(axis=-1)
    enters, leaves = block.min(axis=0), block.max(axis=0)
    hit = (enters.max(axis=-1) < leaves.min(axis=-1)) & (enters.max(axis=-1) > 0)
    distance, surface = np.where(hit, enters.max(axis=-1), distance), np.where(hit, 3 + enters.argmax(axis=-1), surface)
    a, b = (rays * rays).sum(axis=-1), rays @ (origin - SPHERE)
    root = b * b - a * (np.sum((origin - SPHERE) ** 2) - RADIUS**2)
    sphere = (-b - np.sqrt(np.maximum(root, 0))) / a
    hit = (root > 0) & (sphere > 0) & (sphere < distance)
    return np.where(hit, sphere, distance), np.where(hit, 6, surface)


def _texture(points: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """(H, W, 3) colours in [0, 1] of points on the surfaces: waves of five octaves."""
    rng = numpy_random(7)
    colors = np.full((*surface.shape, 3), 0.5) + 0.08 * np.sin(surface[..., None] * 2.3 + np.arange(3))
    for octave in range(5):
        for _ in range(4):
            direction = rng.normal(size=3)
            phase = points @ (direction / np.linalg.norm(direction)) * 1.5 * 2**octave
            colors += 0.09 * 0.62**octave * np.sin(phase[..., None] + rng.uniform(0, 6, 3) + surface[..., None])
    return np.clip(colors, 0, 1)
