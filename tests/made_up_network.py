"""A made-up network: true depth as a network would give it, wrong in the ways that networks are.

True depth times a smooth field of scale of its own for each view, edges blurred, some pixels far off, and a plane where
there is none; in a unit of its own, with a confidence that is lower at the blurred edges and knows nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import ANY_VIEW, NETWORK
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.geometry.cameras import to_3x4
from recon.progress import TellPart
from recon.sources.fitting import Views
from recon.types import MadeBy, Prediction

UNIT = 0.37
"""Of the network's depth, in true ones."""


@dataclass(frozen=True)
class Errors:
    """How wrong it is."""

    field: float = 0.15
    """Largest share by which depth is scaled, smoothly over a view."""
    blur: float = 1.0
    """Standard deviation of the blur in pixels."""
    outliers: float = 0.02
    """Share of the pixels that are off by 20 to 60 %."""
    plane: float = 0.05
    """Share of each view with the depth of a plane that is not there."""


def spoil(truth: NDArray[np.float32], errors: Errors, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth and confidence (H, W) as the network gives them, of true depth (H, W), 0 for the sky."""
    generator = np.random.default_rng(seed)
    height, width = truth.shape
    seen = truth > 0
    far = 1.5 * float(truth.max())
    whole = np.where(seen, truth, np.float32(far))
    depth = cv2.GaussianBlur(whole, (0, 0), errors.blur) if errors.blur else whole.copy()
    edges = np.abs(np.log(depth / whole))
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    waves = np.zeros((height, width))
    for _ in range(4):
        (u, v), phase = generator.uniform(-1.2, 1.2, 2), generator.uniform(0, 2 * np.pi)
        waves += np.sin(2 * np.pi * (u * x + v * y) + phase)
    depth *= 1 + errors.field * waves / np.abs(waves).max()
    if errors.plane:
        side = np.sqrt(errors.plane)
        left, top = generator.uniform(0.05, 0.95 - side, 2)
        inside = (x > left) & (x < left + side) & (y > top) & (y < top + side)
        tilt = generator.uniform(-0.5, 0.5, 2)
        middle = np.median(depth[inside]) * generator.choice([0.7, 1.4])
        depth[inside] = (middle * (1 + tilt[0] * (x - left) + tilt[1] * (y - top)))[inside]
    wrong = generator.random(truth.shape) < errors.outliers
    factor = np.exp(generator.choice([-1, 1], truth.shape) * generator.uniform(np.log(1.2), np.log(1.6), truth.shape))
    depth = np.where(wrong, depth * factor, depth)
    conf = 1 + 4 * np.exp(-20 * edges) * generator.uniform(0.8, 1.2, truth.shape)
    return depth.astype(np.float32), conf.astype(np.float32)


def camera_noise(world_to_camera: NDArray[np.float64], degrees: float, share: float, seed: int) -> NDArray[np.float64]:
    """Cameras (N, 4, 4) turned by about so many degrees, and moved by that share of how far they are spread."""
    generator = np.random.default_rng(seed)
    noisy = np.linalg.inv(world_to_camera)
    spread = float(np.linalg.norm(noisy[:, :3, 3] - noisy[:, :3, 3].mean(axis=0), axis=1).mean())
    for camera in noisy:
        axis = generator.standard_normal(3)
        turn, _ = cv2.Rodrigues(axis / np.linalg.norm(axis) * np.radians(degrees))
        camera[:3, :3] = camera[:3, :3] @ turn
        move = generator.standard_normal(3)
        camera[:3, 3] += move / np.linalg.norm(move) * share * spread
    return np.linalg.inv(noisy)


@dataclass(frozen=True)
class MadeUpNetwork:
    """An estimator that knows the truth and spoils it."""

    depth: dict[str, NDArray[np.float32]]
    """By the name of the photo: true depth (H, W) of the whole photo, 0 for the sky."""
    world_to_camera: dict[str, NDArray[np.float64]] | None = None
    """By the name of the photo: (4, 4) in the network's own world; None for a network without cameras."""
    focal: float = 0.0
    """In widths of the photo, of all."""
    errors: Errors = Errors()
    metric: bool = False
    """Its unit is said to be a metre."""
    seed: int = 0
    warnings: Sequence[str] = ()

    @property
    def profile(self) -> Profile:
        cameras = self.world_to_camera is not None
        return Profile(
            name="made-up",
            kind="network",
            abilities=Abilities(
                cameras=cameras, several_views=cameras, confidence=True, metres="always" if self.metric else "never"
            ),
            needs=Needs(),
            fit=Fit(),
            parts=frozenset({NETWORK, ANY_VIEW}),
            failures="it was made so",
        )

    def prepare(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {"name": "made-up", "seed": self.seed}

    def estimate(self, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None) -> Prediction:
        height, width = views.pixels.shape[1:3]
        maps = [
            cv2.resize(self.depth[name], (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for name in views.names
        ]
        spoilt = [spoil(depth, self.errors, self.seed + index) for index, depth in enumerate(maps)]
        prediction = Prediction(
            depth=np.stack([depth for depth, _ in spoilt]) * np.float32(UNIT),
            conf=np.stack([conf for _, conf in spoilt]),
            processed_images=views.pixels,
            units="metric" if self.metric else "relative",
            made_by=MadeBy("network", "made-up"),
            image_names=views.names,
            original_sizes=views.original_sizes,
            processed_to_original=views.processed_to_original,
        )
        if self.world_to_camera is None:
            given = views.cameras
            return replace(
                prediction,
                extrinsics=None if given.world_to_camera is None else to_3x4(given.world_to_camera).astype(np.float32),
                intrinsics=None if given.intrinsics is None else given.intrinsics.astype(np.float32),
            )
        placed = np.stack([self.world_to_camera[name] for name in views.names])
        placed[:, :3, 3] *= UNIT
        lens = np.array([[self.focal * width, 0, width / 2], [0, self.focal * width, height / 2], [0, 0, 1]])
        intrinsics = np.tile(lens, (len(views), 1, 1)) if views.cameras.intrinsics is None else views.cameras.intrinsics
        return replace(
            prediction, extrinsics=to_3x4(placed).astype(np.float32), intrinsics=intrinsics.astype(np.float32)
        )
