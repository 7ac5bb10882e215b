"""Random scenes that strain a rasterizer in one way each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.types import Gaussians
from recon.types.cameras import Cameras
from tests.seeds import numpy_random


@dataclass(frozen=True)
class Scene:
    """Gaussians, one camera, and how to render them."""

    gaussians: Gaussians
    cameras: Cameras
    """One."""
    size: tuple[int, int]
    background: tuple[float, float, float]


def random_gaussians(rng: np.random.Generator, count: int, degree: int = 0, sharpness: float = 1.0) -> Gaussians:
    """Gaussians around the origin, most within distance 1; the larger `sharpness`, the smaller they are."""
    return Gaussians(
        means=rng.normal(0, 0.6, (count, 3)).astype(np.float32),
        scales=(np.exp(rng.normal(-2.5, 1, (count, 3))) / sharpness).astype(np.float32),
        rotations=quaternions.normalise(rng.normal(0, 1, (count, 4))).astype(np.float32),
        harmonics=rng.normal(0, 0.5, (count, 3, (degree + 1) ** 2)).astype(np.float32),
        opacities=rng.random(count).astype(np.float32),
    )


def random_camera(
    rng: np.random.Generator, size: tuple[int, int], distance: float = 3.0, focal: float = 1.2
) -> Cameras:
    """A camera that looks at the origin from `distance`, with its principal point off the centre.

    Args:
        focal: as a fraction of the longer side.
    """
    height, width = size
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = quaternions.to_matrix(quaternions.normalise(rng.normal(0, 1, 4)))
    world_to_camera[:3, 3] = [rng.normal(0, 0.1), rng.normal(0, 0.1), distance]
    intrinsics = np.eye(3)
    intrinsics[0, 0], intrinsics[1, 1] = focal * max(size) * np.array([1, 1.1])
    intrinsics[:2, 2] = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    return Cameras(world_to_camera[None], intrinsics[None])


def random_scenes() -> dict[str, Scene]:
    """Twenty scenes by what is hard about them."""
    scenes: dict[str, Scene] = {}

    def add(
        name: str,
        count: int,
        size: tuple[int, int],
        degree: int = 0,
        distance: float = 3.0,
        focal: float = 1.2,
        sharpness: float = 1.0,
        black: bool = True,
        **changes: NDArray[np.float32],
    ) -> None:
        rng = numpy_random(len(scenes))
        gaussians = replace(random_gaussians(rng, count, degree, sharpness), **changes)
        background = (0.0, 0.0, 0.0) if black else (0.2, 0.5, 0.9)
        scenes[name] = Scene(gaussians, random_camera(rng, size, distance, focal), size, background)

    def repeated(values: object, count: int) -> NDArray[np.float32]:
        return np.resize(np.array(values, np.float32), (count, *np.shape(values)[1:]))

    near = np.float32([[0, 0, 0], [0.1, -0.1, 0.2]])  # in view of every camera
    add("one", 1, (40, 50), opacities=repeated([0.8], 1), means=near[:1])
    add("one on a background", 1, (40, 50), degree=3, black=False, opacities=repeated([1], 1), means=near[:1])
    add("two", 2, (33, 47), degree=1, opacities=repeated([0.5, 0.9], 2), means=near)
    add("some", 50, (64, 64), degree=2, black=False)
    add("many", 2000, (72, 96), degree=3)
    add("many small", 2000, (72, 96), sharpness=5, black=False)
    add("many large", 1500, (60, 70), degree=1, sharpness=0.3)
    add("needles", 500, (90, 110), scales=repeated([[1, 1e-3, 1e-4]], 500), black=False)
    add("discs", 500, (70, 90), scales=repeated([[0.2, 0.2, 0]], 500))
    add("lines and points", 400, (70, 90), scales=repeated([[0.5, 0, 0], [0, 0, 0]], 400), black=False)
    add("opacity 0 and 1", 600, (50, 60), opacities=repeated([0, 1, 1], 600))
    add("nearly transparent", 2000, (50, 60), opacities=repeated([1.001 / 255, 2 / 255, 0.01], 2000), black=False)
    add("opaque layers", 1000, (48, 48), degree=2, opacities=repeated([0.95, 0.99, 0.999], 1000))
    add("from within", 1500, (60, 80), degree=3, distance=0.0, black=False)
    add("wide angle from within", 1500, (60, 80), distance=0.0, focal=0.3)
    add("off to the sides", 800, (50, 60), focal=8.0, degree=1)
    add("one pixel", 300, (1, 1), degree=2, black=False)
    add("one row", 500, (1, 133))
    add("one column of odd length", 500, (131, 1), degree=3)
    add("same depth", 300, (65, 31), means=repeated([[0, 0, 0]], 300), black=False)
    return scenes
