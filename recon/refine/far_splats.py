"""Splats for the sky: far away, one for a few pixels that a photo shows sky at, so that it is not black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid, to_4x4
from recon.refine.depth_splats import SH_CONSTANT
from recon.types import Gaussians, Prediction

_DISTANCE = 8.0
"""As a multiple of the depth that few pixels exceed."""
_SPACING = 4
"""Pixels between neighbours."""
_SIGMA = 0.6
"""Standard deviation as a fraction of the space between neighbours."""
_OPACITY = 0.95


def far_splats(prediction: Prediction) -> Gaussians:
    """Round splats on a sphere around the cameras, of the mean colour of the sky that the photos show there.

    None where no sky is known, or no depth to be farther than. In the frame of the prediction, which has cameras.
    """
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    known = prediction.depth[prediction.valid]
    sky = prediction.sky
    if sky is not None and prediction.mask is not None:
        sky = sky & prediction.mask
    if sky is None or not sky.any() or not len(known):
        return _round_splats(np.empty((0, 3)), np.empty((0, 3)), 1.0)
    camera_to_world = invert_rigid(to_4x4(prediction.extrinsics.astype(np.float64)))
    directions, colors = [], []
    for view in range(len(sky)):
        rows, columns = np.nonzero(sky[view])
        even = (rows % 2 == 0) & (columns % 2 == 0)
        rows, columns = rows[even], columns[even]
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])  # (3, P)
        rays = (
            camera_to_world[view, :3, :3] @ np.linalg.inv(prediction.intrinsics[view].astype(np.float64)) @ pixels
        ).T
        directions.append(rays / np.linalg.norm(rays, axis=1, keepdims=True))
        colors.append(prediction.processed_images[view, rows, columns] / 255)
    spacing = _SPACING / float(np.median(prediction.intrinsics[:, 0, 0]))  # radians
    centres, means = _clusters(np.concatenate(directions), np.concatenate(colors), spacing)
    distance = _DISTANCE * float(np.percentile(known, 95))
    middle = camera_to_world[:, :3, 3].mean(axis=0)
    return _round_splats(middle + distance * centres, means, _SIGMA * spacing * distance)


def _clusters(
    directions: NDArray[np.float64], colors: NDArray[np.float64], spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean directions and colours of the (P, 3) pixels in each cell of a grid of `spacing`."""
    cells = np.floor(directions / spacing).astype(np.int64)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack(
        [np.bincount(cell.reshape(-1), values, len(counts)) for values in (*directions.T, *colors.T)], axis=1
    )  # (C, 6)
    centres = sums[:, :3] / np.linalg.norm(sums[:, :3], axis=1, keepdims=True)
    return centres, sums[:, 3:] / counts[:, None]


def _round_splats(means: NDArray[np.float64], colors: NDArray[np.float64], scale: float) -> Gaussians:
    count = len(means)
    return Gaussians(
        means=means.astype(np.float32),
        scales=np.full((count, 3), scale, np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        harmonics=((colors - 0.5) / SH_CONSTANT).astype(np.float32)[:, :, None],
        opacities=np.full(count, _OPACITY, np.float32),
    )
