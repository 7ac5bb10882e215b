"""Panoramas whose pixels are known: of a colour that depends on the direction, or of a synthetic scene."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.synthetic.render import render_views
from tests.synthetic.scene_model import Scene

_FACE_FIELD_OF_VIEW = 96.0
"""Degrees: a little more than a face of a cube, for what interpolation needs at its edges."""


def rays(width: int) -> NDArray[np.float64]:
    """(H, W, 3) unit directions of the pixels of a panorama, x right, y down, z forward at its middle."""
    height = width // 2
    longitude = 2 * np.pi * ((np.arange(width) + 0.5) / width - 0.5)
    latitude = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    longitude, latitude = np.meshgrid(longitude, latitude)
    return np.stack(
        [np.cos(latitude) * np.sin(longitude), -np.sin(latitude), np.cos(latitude) * np.cos(longitude)], axis=-1
    )


def colour_of(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) smooth and different in all directions, 0 to 255."""
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack([128 + 100 * np.sin(4 * x + z), 128 + 100 * np.sin(5 * y - x), 128 + 100 * np.sin(4 * z + y)], -1)


def coloured(width: int) -> NDArray[np.uint8]:
    """A panorama of `colour_of`."""
    return np.rint(colour_of(rays(width))).astype(np.uint8)


def rendered(scene: Scene, world_to_camera: NDArray[np.float64], width: int) -> NDArray[np.uint8]:
    """(W / 2, W, 3) panorama of a scene from a camera (4, 4) that looks at its middle; put together from a cube."""
    side = round(width / np.pi * 1.1)
    focal = side / 2 / np.tan(np.radians(_FACE_FIELD_OF_VIEW) / 2)
    intrinsics = np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
    turns = [(0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90)]
    faces = np.stack([_turn(yaw, pitch) for yaw, pitch in turns])
    extrinsics = np.tile(np.eye(4), (6, 1, 1))
    extrinsics[:, :3] = faces @ world_to_camera[:3]
    images = render_views(scene, extrinsics, intrinsics, (side, side)).images
    directions = rays(width)
    in_faces = np.einsum("fij,hwj->fhwi", faces, directions)
    best = in_faces[..., 2].argmax(axis=0)
    panorama = np.zeros((width // 2, width, 3), np.uint8)
    for face, image in enumerate(images):
        places = in_faces[face] / np.maximum(in_faces[face, ..., 2:], 1e-6) @ intrinsics.T
        x, y = (np.float32(places[..., axis] - 0.5) for axis in (0, 1))
        found = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        panorama[best == face] = found[best == face]
    return panorama


def _turn(yaw: float, pitch: float) -> NDArray[np.float64]:
    """(3, 3) from a camera to one turned to the right and then up by these degrees."""
    a, b = np.radians(yaw), np.radians(pitch)
    right = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    up = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    return up @ right
