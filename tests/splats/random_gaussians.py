"""Gaussians that mean nothing and cover much."""

from __future__ import annotations

import numpy as np

from recon.geometry.quaternions import normalise
from recon.types import Gaussians
from tests.seeds import numpy_random


def random_gaussians(count: int, degree: int, seed: int = 0) -> Gaussians:
    """Float32, with scales over four decades, both ends of the opacities and quaternions of either sign."""
    generator = numpy_random(seed)
    opacities = generator.uniform(size=count)
    opacities[: count // 10] = generator.integers(0, 2, count // 10)
    parameters = (
        generator.normal(0, 3, (count, 3)),
        10.0 ** generator.uniform(-4, 0, (count, 3)),
        normalise(generator.normal(size=(count, 4))),
        generator.normal(0, 0.3, (count, 3, (degree + 1) ** 2)),
        opacities,
    )
    return Gaussians(*(values.astype(np.float32) for values in parameters))
