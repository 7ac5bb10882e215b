"""The points that a source brings, for the prediction of its photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recon.geometry.sparse_points import SparsePoints
from recon.types import Prediction
from recon.types.cameras import Cameras

_SAME_FRAME = 1e-4
"""Cameras may be off by so much, relative to their distance from the origin, and still be those of the points."""


def with_sparse_points(
    prediction: Prediction, names: Sequence[str], cameras: Cameras | None, points: SparsePoints | None
) -> Prediction:
    """The prediction with the points that photos of these `names` and `cameras` see, as its views see them.

    As it is where there are none, or where they are of another frame.
    """
    if points is None or cameras is None or cameras.world_to_camera is None or prediction.extrinsics is None:
        return prediction
    places = {name: index for index, name in enumerate(names)}
    chosen = [places[name] for name in prediction.image_names if name in places]
    if len(chosen) != len(prediction.depth):
        return prediction
    given = cameras.world_to_camera[chosen, :3]
    off = np.abs(given - prediction.extrinsics).max()
    if off > _SAME_FRAME * max(1.0, float(np.abs(given).max())):
        return prediction
    return replace(prediction, sparse=points.select_views(chosen))
