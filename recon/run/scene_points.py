"""The points that a source brings, for the prediction of its photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_4x4
from recon.geometry.similarity import align_cameras
from recon.geometry.sparse_points import SparsePoints
from recon.types import Prediction
from recon.types.cameras import Cameras

_SAME_FRAME = 1e-4
"""Cameras may be off by so much, relative to their distance from the origin, and still be those of the points."""


def with_sparse_points(
    prediction: Prediction, names: Sequence[str], cameras: Cameras | None, points: SparsePoints | None
) -> Prediction:
    """The prediction with the points that photos of these `names` and `cameras` see, as its views see them.

    As it is where there are none, or where its cameras do not lie to each other as those do.
    """
    if points is None or cameras is None or cameras.world_to_camera is None or prediction.extrinsics is None:
        return prediction
    places = {name: index for index, name in enumerate(names)}
    chosen = [places[name] for name in prediction.image_names if name in places]
    if len(chosen) != len(prediction.depth):
        return prediction
    given, own = cameras.world_to_camera[chosen], to_4x4(prediction.extrinsics.astype(np.float64))
    if _same(given, own):
        return replace(prediction, sparse=points.select_views(chosen))
    moved = align_cameras(own, given)
    if moved is None or not _same(moved.apply_to_extrinsics(given), own):
        return prediction
    return replace(prediction, sparse=replace(points, points=moved.apply(points.points)).select_views(chosen))


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.abs(one - other).max() <= _SAME_FRAME * max(1.0, float(np.abs(one).max())))
