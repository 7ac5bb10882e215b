"""Compile the loops that make splats look like photos before there are any, for example while photos are matched."""

from __future__ import annotations

import numpy as np

from recon.choices import SplatOptimisation
from recon.progress import listen
from recon.types import Prediction

_SIZE = 32
"""Pixels of the pictures: more than the window of the similarity has."""


def compile_ahead() -> None:
    """Fit splats to two small pictures, one step: whatever the first step needs is ready afterwards."""
    from recon.refine.optimise_splats import optimise_splats

    extrinsics = np.tile(np.eye(3, 4, dtype=np.float32), (2, 1, 1))
    extrinsics[1, 0, 3] = 0.1
    prediction = Prediction(
        depth=np.full((2, _SIZE, _SIZE), 2, np.float32),
        processed_images=np.full((2, _SIZE, _SIZE, 3), 128, np.uint8),
        extrinsics=extrinsics,
        intrinsics=np.tile(np.array([[_SIZE, 0, _SIZE / 2], [0, _SIZE, _SIZE / 2], [0, 0, 1]], np.float32), (2, 1, 1)),
        units="aligned",
    )
    with listen(lambda event: None):
        optimise_splats(prediction, SplatOptimisation(gs_iterations=1), correct_cameras=True)
