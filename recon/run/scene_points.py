"""The points that a source brings, for the prediction of its photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.sources.source import Source
from recon.types import Prediction

_SAME_FRAME = 1e-4
"""Cameras may be off by so much, relative to their distance from the origin, and still be those of the points."""


def with_sparse_points(prediction: Prediction, source: Source) -> Prediction:
    """The prediction with the points of `source`, as its views see them; as it is where they are of another frame."""
    points, cameras = source.points, source.cameras
    if points is None or cameras is None or cameras.world_to_camera is None or prediction.extrinsics is None:
        return prediction
    places = {name: index for index, name in enumerate(source.names)}
    chosen = [places[name] for name in prediction.image_names if name in places]
    if len(chosen) != len(prediction.depth):
        return prediction
    given = cameras.world_to_camera[chosen, :3]
    off = np.abs(given - prediction.extrinsics).max()
    if off > _SAME_FRAME * max(1.0, float(np.abs(given).max())):
        return prediction
    return replace(prediction, sparse=points.select_views(chosen))
