"""A stage set: textured cards that face the camera at several depths, photographed with exact cameras."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.sfm.structure_from_motion import SfmPhoto, SfmResult, prepare_photo
from recon.sources.photo import Photo
from tests.seeds import numpy_random

SIZE = (240, 320)
"""Height and width of the photos."""
INTRINSICS = np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]])

_DEPTHS = (9.0, 7.0, 6.0, 5.0, 4.2)
_TEXTURE = 512


def stage(seed: int = 0) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Texture and texture-to-world map (4, 3) of each card, the far ones first."""
    generator = numpy_random(seed)
    cards = []
    for index, depth in enumerate(_DEPTHS):
        width = 14.0 if index == 0 else generator.uniform(1.5, 2.5)
        x, y = (-7.0, -7.0) if index == 0 else generator.uniform((-2.8, -2.0), (1.0, 0.5))
        step = width / _TEXTURE
        to_world = np.array([[step, 0, x], [0, step, y], [0, 0, depth], [0, 0, 1]])
        cards.append((_texture(generator), to_world))
    return cards


def _texture(generator: np.random.Generator) -> NDArray[np.uint8]:
    total = np.zeros((_TEXTURE, _TEXTURE, 3), np.float32)
    for cells, weight in ((8, 0.8), (24, 0.8), (64, 1.0), (128, 0.8)):
        noise = generator.normal(size=(cells, cells, 3)).astype(np.float32)
        total += weight * cv2.resize(noise, (_TEXTURE, _TEXTURE), interpolation=cv2.INTER_CUBIC)
    return (128 + 38 * total).clip(0, 255).astype(np.uint8)


def photograph(
    cards: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64]]],
    world_to_camera: NDArray[np.float64],
    intrinsics: NDArray[np.float64] = INTRINSICS,
    size: tuple[int, int] = SIZE,
) -> NDArray[np.uint8]:
    """(N, H, W, 3) the cards as cameras (N, 4, 4) see them; half-integer pixel centres, 2 × 2 samples a pixel."""
    height, width = size
    to_samples = np.array([[2.0, 0, -0.5], [0, 2, -0.5], [0, 0, 1]])  # sample centres at integers
    photos = []
    for camera in world_to_camera:
        photo = np.zeros((2 * height, 2 * width, 3), np.uint8)
        for texture, texture_to_world in cards:
            texel = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # texel centres at integers
            to_photo = to_samples @ intrinsics @ camera[:3] @ texture_to_world @ texel
            cv2.warpPerspective(
                texture, to_photo, (2 * width, 2 * height), photo, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
            )
        photos.append(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA))
    return np.stack(photos)


def arc(count: int, seed: int = 0) -> NDArray[np.float64]:
    """(N, 4, 4) cameras side by side, up to 1 m left and right, that turn towards the middle of the stage."""
    generator = numpy_random(seed)
    positions = np.linspace(-1, 1, count)
    cameras = []
    for x in positions:
        centre = np.array([x, *generator.normal(scale=0.15, size=2)])
        cameras.append(turned(-0.8 * np.arctan2(x, 6), *generator.normal(scale=0.02, size=2)) @ shifted(-centre))
    return np.stack(cameras)


def turned(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """(4, 4) rotation about y, then x, then z, in radians."""
    transform = np.eye(4)
    for axis, angle in (((0, 1, 0), yaw), ((1, 0, 0), pitch), ((0, 0, 1), roll)):
        rotation, _ = cv2.Rodrigues(np.array(axis, np.float64) * angle)
        transform[:3, :3] = rotation @ transform[:3, :3]
    return transform


def shifted(by: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) translation."""
    transform = np.eye(4)
    transform[:3, 3] = by
    return transform


def prepared(images: NDArray[np.uint8], exif_focal_35mm: float | None = None) -> list[SfmPhoto]:
    """Photos named 00, 01, …"""
    return [prepare_photo(Photo(f"{i:02d}", image, exif_focal_35mm)) for i, image in enumerate(images)]


def largest_angle(found: SfmResult, truth: NDArray[np.float64]) -> float:
    """Degrees between the relative rotations of any two registered photos and those of `truth` (N, 4, 4)."""
    first, second = np.triu_indices(len(found.registered), 1)

    def relative(cameras: NDArray[np.float64]) -> NDArray[np.float64]:
        rotations = cameras[:, :3, :3]
        return rotations[second] @ rotations[first].swapaxes(1, 2)

    cameras = found.cameras.world_to_camera
    assert cameras is not None
    difference = relative(cameras) @ relative(truth[found.registered]).swapaxes(1, 2)
    sine = np.linalg.norm(difference - difference.swapaxes(1, 2), axis=(1, 2)) / 8**0.5
    cosine = (np.trace(difference, axis1=1, axis2=2) - 1) / 2
    return float(np.degrees(np.arctan2(sine, cosine)).max())
