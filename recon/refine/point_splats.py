"""Splats to begin an optimisation with from sparse points, as 3DGS makes them (Kerbl et al. 2023, section 5.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.refine.depth_splats import SH_CONSTANT
from recon.types import FloatArray, Gaussians, Prediction

_NEIGHBOURS = 3
_OPACITY = 0.1
_LARGEST_RATIO = 50.0
"""Of the scale of a point far from all others to that of most."""


def splats_from_points(points: NDArray[np.floating], colors: NDArray[np.uint8] | FloatArray) -> Gaussians:
    """A round splat for each point, as large as its neighbours are far: the root mean square of the three distances.

    Args:
        points: (P, 3) in the frame that splats are to have, at least two.
        colors: (P, 3) RGB, uint8 or floats in [0, 1].

    Raises:
        InputError: too few points, points or colours that are not finite, or another number of colours.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1:] != (3,) or len(points) < 2:
        raise InputError(f"splats are made from two points or more, of shape (number, 3), not from {points.shape}")
    if np.shape(colors) != points.shape:
        raise InputError(f"colours must be one for each point, of shape {points.shape}, not {np.shape(colors)}")
    unit = np.asarray(colors, np.float32) / np.float32(255 if colors.dtype == np.uint8 else 1)
    for name, values in (("points", points), ("colours", unit)):
        wrong = ~np.isfinite(values).all(axis=1)
        if wrong.any():
            raise InputError(f"{wrong.sum()} of {len(points)} {name} are NaN or infinite: leave them out")
    distances, _ = cKDTree(points).query(points, min(_NEIGHBOURS + 1, len(points)))  # (P, 4), the first to itself
    scale = np.sqrt(np.square(distances[:, 1:]).mean(axis=1))
    apart = scale[scale > 0]
    typical = float(np.median(apart)) if len(apart) else 1e-3  # all at one place
    scale = np.clip(scale, 1e-3 * typical, _LARGEST_RATIO * typical)
    count = len(points)
    return Gaussians(
        means=points.astype(np.float32),
        scales=np.repeat(scale[:, None], 3, axis=1).astype(np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        harmonics=((unit - np.float32(0.5)) / np.float32(SH_CONSTANT))[:, :, None],
        opacities=np.full(count, _OPACITY, np.float32),
    )


def colors_in_photos(points: SparsePoints, prediction: Prediction) -> FloatArray:
    """(P, 3) RGB in [0, 1]: the mean of what the photos show where they see each point; grey where none does.

    Args:
        points: in the frame of the prediction, seen by its views.
        prediction: with cameras.
    """
    if prediction.extrinsics is None or prediction.intrinsics is None:
        raise InputError("points get their colours through cameras, and these photos have none: give or find them")
    _, height, width = prediction.depth.shape
    sums, counts = np.zeros((len(points), 3)), np.zeros(len(points))
    for view, seen in enumerate(points.observed):
        camera = points.in_camera(view, prediction.extrinsics)
        in_front = camera[:, 2] > 0
        seen, camera = seen[in_front], camera[in_front]
        places = (camera / camera[:, 2:]) @ prediction.intrinsics[view].astype(np.float64).T
        columns, rows = np.floor(places[:, :2].T).astype(np.int64)
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        if prediction.mask is not None:
            inside[inside] = prediction.mask[view, rows[inside], columns[inside]]
        sums[seen[inside]] += prediction.processed_images[view, rows[inside], columns[inside]] / 255
        counts[seen[inside]] += 1
    colors = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], 0.5)
    return colors.astype(np.float32)
