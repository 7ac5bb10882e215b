"""An estimator that knows the truth of a walk and gives it as a network of many views would: right within one call up
to noise and a scale that drifts, and in a world of its own for each call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import ANY_VIEW, NETWORK
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.geometry.cameras import invert_rigid, to_3x4
from recon.geometry.similarity import Similarity
from recon.progress import TellPart
from recon.sources.fitting import Views
from recon.types import MadeBy, Prediction
from tests.seeds import numpy_random
from tests.synthetic.walk import Walk


@dataclass(frozen=True)
class Drift:
    """How wrong each call is."""

    scale: float = 0.01
    """Share that the scale of depth and motion changes from the first view of a call to the last, up or down."""
    depth: float = 0.01
    """Standard deviation of the depth of each pixel, relative."""
    degrees: float = 0.05
    """Standard deviation of the turn of each camera, about each axis."""
    step: float = 0.02
    """Standard deviation of where each camera is, in lengths of a step from view to view."""
    free: bool = True
    """Each call has a world of its own: a scale, a rotation and an origin."""


@dataclass(frozen=True)
class DriftingNetwork:
    """Depth, confidence, sky and cameras of the frames of `walk`, by their names."""

    walk: Walk
    drift: Drift = Drift()
    metric: bool = False
    """Depth is in metres, but for the drift, and each call is free to turn and move alone."""
    seed: int = 0
    warnings: Sequence[str] = ()

    @property
    def profile(self) -> Profile:
        return Profile(
            name="drifting",
            kind="network",
            abilities=Abilities(
                cameras=True,
                several_views=True,
                confidence=True,
                sky=True,
                metres="always" if self.metric else "never",
            ),
            needs=Needs(),
            fit=Fit(process_res=max(self.walk.size)),
            parts=frozenset({NETWORK, ANY_VIEW}),
            failures="it was made so",
        )

    def prepare(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {"name": "drifting", "walk": asdict(self.walk), "drift": asdict(self.drift), "seed": self.seed}

    def estimate(self, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None) -> Prediction:
        frames = self.walk.frames(views.names)
        random = numpy_random(self.seed, frames[0], len(frames))
        size = views.pixels.shape[1:3]
        intrinsics = np.linalg.inv(views.processed_to_original) @ self.walk.intrinsics  # (N, 3, 3)
        truth = self.walk.depth(frames, intrinsics, (int(size[0]), int(size[1])))
        world = self._world(random)
        scale = (1 + random.choice([-1, 1]) * self.drift.scale) ** np.linspace(-0.5, 0.5, len(frames))  # (N,)
        cameras = world.apply_to_extrinsics(_drifted(self.walk.world_to_camera[frames], scale, self.drift, random))
        sky = truth == 0
        noise = np.float32(1) + np.float32(self.drift.depth) * random.standard_normal(truth.shape, np.float32)
        depth = truth * noise * (world.scale * scale[:, None, None]).astype(np.float32)
        far = np.quantile(depth[~sky], 0.99) if not sky.all() else np.float32(1)
        return Prediction(
            depth=np.where(sky, far, depth).astype(np.float32),
            conf=np.where(sky, 1, 3 + random.random(truth.shape, np.float32)).astype(np.float32),
            sky=sky,
            processed_images=views.pixels,
            made_by=MadeBy("network", "drifting"),
            extrinsics=to_3x4(cameras).astype(np.float32),
            intrinsics=intrinsics.astype(np.float32),
            units="metric" if self.metric else "relative",
            image_names=views.names,
            original_sizes=views.original_sizes,
            processed_to_original=views.processed_to_original,
        )

    def _world(self, random: np.random.Generator) -> Similarity:
        """From metres to the world of one call."""
        if not self.drift.free:
            return Similarity(1.0, np.eye(3), np.zeros(3))
        scale = 1.0 if self.metric else float(np.exp(random.uniform(-1, 1)))
        axis = random.standard_normal(3)
        turn, _ = cv2.Rodrigues(axis / np.linalg.norm(axis) * random.uniform(0, np.pi))
        return Similarity(scale, turn, random.normal(0, 2, 3))


def _drifted(
    world_to_camera: NDArray[np.float64], scale: NDArray[np.float64], drift: Drift, random: np.random.Generator
) -> NDArray[np.float64]:
    """The cameras (N, 4, 4) with steps as long as `scale` (N,) says, and noise."""
    placed = invert_rigid(world_to_camera)
    steps = np.diff(placed[:, :3, 3], axis=0)  # (N - 1, 3)
    usual = float(np.linalg.norm(steps, axis=1).mean()) if len(steps) else 0.0
    between = np.sqrt(scale[1:] * scale[:-1])[:, None]
    placed[1:, :3, 3] = placed[0, :3, 3] + np.cumsum(steps * between, axis=0)
    placed[:, :3, 3] += random.normal(0, drift.step * usual, (len(placed), 3))
    for camera in placed:
        turn, _ = cv2.Rodrigues(random.normal(0, np.radians(drift.degrees), 3))
        camera[:3, :3] = camera[:3, :3] @ turn
    return invert_rigid(placed)
