"""A corner of a room whose walls have a pattern: exact depth and cameras of any number of views, in a moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.models.presets import PATCH_SIZE
from recon.train.batches import Batch, Sample, collate
from tests.seeds import numpy_random

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_WALLS = (((0.0, -1.0, 0.0), 1.0), ((0.0, 0.0, -1.0), 5.0), ((1.0, 0.0, 0.0), 2.0), ((-1.0, 0.0, 0.0), 2.5))
"""Unit normals that face the camera, and distances from the origin: floor, back, left and right."""


def turned(yaw: float, pitch: float) -> NDArray[np.float64]:
    """World-to-camera rotation of a camera turned to the right and up, in radians."""
    about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return about_x @ about_y


def room(views: int, height: int, width: int, key: int = 0, **changes: Any) -> Sample:
    """A sample; the cameras and the pattern follow from `key`."""
    random = numpy_random(key, 7)
    intrinsics = np.array([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1]])
    colours, waves = random.uniform(0.2, 0.8, (len(_WALLS), 3)), random.uniform(1.0, 4.0, (len(_WALLS), 3))
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(intrinsics).T  # (H, W, 3), z = 1
    images, depths, cameras = [], [], []
    for _ in range(views):
        rotation, centre = turned(*random.uniform(-0.25, 0.25, 2)), random.uniform(-0.5, 0.5, 3)
        rays = pixels @ rotation  # to the world
        depth, colour = np.full((height, width), np.inf), np.zeros((height, width, 3))
        for (normal, distance), base, wave in zip(_WALLS, colours, waves, strict=True):
            along = rays @ np.array(normal)
            reached = np.where(
                along < -1e-6, -(distance + centre @ np.array(normal)) / np.minimum(along, -1e-6), np.inf
            )
            nearer = (reached > 0) & (reached < depth)
            depth[nearer] = reached[nearer]
            points = centre + reached[nearer][:, None] * rays[nearer]
            pattern = np.sin(points @ np.diag(wave)).sum(axis=-1, keepdims=True)
            colour[nearer] = base + 0.2 * pattern / 3
        images.append(((colour - MEAN) / DEVIATION).transpose(2, 0, 1))
        depths.append(depth)
        cameras.append(np.block([[rotation, -(rotation @ centre)[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]]))
    depth = np.stack(depths).astype(np.float32)
    return Sample(
        **{
            "images": np.stack(images).astype(np.float32),
            "names": tuple(f"room {key}/{view}.png" for view in range(views)),
            "depth": depth,
            "valid": np.isfinite(depth) & (depth < 12),
            "world_to_camera": np.stack(cameras).astype(np.float32),
            "intrinsics": np.tile(intrinsics, (views, 1, 1)).astype(np.float32),
            "exact": True,
            **changes,
        }
    )


@dataclass
class Rooms:
    """`TrainingData` of given batches, one after the other and over again."""

    learned: Sequence[Batch]
    kept: Sequence[Batch] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def batches(self, seed: int, rank: int = 0, ranks: int = 1) -> RoomBatches:
        return RoomBatches([batch.part(rank, ranks) for batch in self.learned])

    def evaluation(self) -> Iterator[Batch]:
        return iter(self.kept)

    def describe(self) -> dict[str, Any]:
        return {"batches": len(self.learned)}


class RoomBatches:
    """`Batches` of `Rooms`."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches, self._place, self.closed = batches, 0, False

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self._place += 1
        return self._batches[(self._place - 1) % len(self._batches)]

    def state(self) -> dict[str, Any]:
        return {"place": self._place}

    def resume(self, state: Mapping[str, Any]) -> None:
        self._place = state["place"]

    def close(self) -> None:
        self.closed = True


def rooms(count: int, scenes: int, views: int, side: int = 4 * PATCH_SIZE, key: int = 0, **changes: Any) -> list[Batch]:
    """Batches of different rooms."""
    return [
        collate([room(views, side, side, 100 * key + scenes * index + scene, **changes) for scene in range(scenes)])
        for index in range(count)
    ]
