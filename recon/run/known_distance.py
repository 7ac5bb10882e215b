"""A distance that somebody has measured between two points of the photos gives a result of free scale its metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices.sources import marked_point
from recon.errors import InputError
from recon.geometry.gaussians import transform_gaussians
from recon.geometry.similarity import Similarity
from recon.geometry.sparse_points import SparsePoints
from recon.run.find_cameras import KnownCameras
from recon.run.found_depth import FoundDepth
from recon.sources.calibrated import CalibratedSource
from recon.types import Prediction

KnownDistance = tuple[str, str, float]
"""Two marked points and the metres between them, as the option has them."""
_IN_ONE_PLACE = 1e-6
"""Of two points, relative to how far they are from the cameras."""
_REACH = 2
"""Pixels of the depth map, within which a point without depth takes that of the nearest pixel that has some."""


@dataclass(frozen=True)
class InMetres:
    """What a run has found, in metres."""

    depth: FoundDepth
    known: KnownCameras
    entry: dict[str, Any] | None = None
    """What `run.json` says of it: the points, the metres between them, and metres to a unit of before."""


def check_marked_photos(distance: KnownDistance | None, names: Sequence[str]) -> None:
    """Raise InputError for a point in a photo that is none of those of these `names`."""
    for text in () if distance is None else distance[:2]:
        name, _ = marked_point(text)
        if name not in names:
            raise InputError(f"known_distance: there is no photo '{name}'; the photos are called like '{names[0]}'")


def in_metres(depth: FoundDepth, known: KnownCameras, distance: KnownDistance | None) -> InMetres:
    """Depth, cameras, points and splats multiplied by what makes two marked points as far apart as they are.

    Raises InputError where the scale is known already, or the points have no depth or are in one place.
    """
    if distance is None:
        return InMetres(depth, known)
    prediction = depth.prediction
    free = prediction.units == "relative" or (prediction.units == "aligned" and depth.cameras.scale == "free")
    if not free:
        raise InputError(
            f"known_distance is for a scale that is free, and units are {prediction.units}, by the cameras that are "
            "given or the model: leave it out"
        )
    first, second = (marked_place(prediction, text) for text in distance[:2])
    apart = float(np.linalg.norm(first - second))
    if apart <= _IN_ONE_PLACE * max(float(np.linalg.norm(first)), 1e-12):
        raise InputError(f"known_distance: {distance[0]} and {distance[1]} are one place; mark two that are apart")
    factor = distance[2] / apart
    entry = {"points": list(distance[:2]), "metres": distance[2], "scale": factor}
    return InMetres(_scaled(depth, factor), _scaled_cameras(known, factor), entry)


def marked_place(prediction: Prediction, text: str) -> NDArray[np.float64]:
    """(3,) the place in the world that a pixel of an upright original shows, by the depth nearest to it."""
    name, (x, y) = marked_point(text)
    if name not in prediction.image_names:
        raise InputError(f"known_distance: the photo '{name}' was left out; mark the point in another one")
    if prediction.extrinsics is None or prediction.intrinsics is None:
        raise InputError("known_distance needs cameras: give them, or cameras 'sfm'")
    view = prediction.image_names.index(name)
    cameras = prediction.original_cameras[[view]]
    if cameras.intrinsics is None or cameras.sizes is None:
        raise InputError(f"known_distance: it is not known how the original of '{name}' lies in its view")
    width, height = cameras.sizes[0].tolist()
    if not (0 <= x <= width and 0 <= y <= height):
        raise InputError(f"known_distance: {text} is outside the photo, which has {width}×{height} pixels")
    bent = None if cameras.distortion is None else cameras.distortion[0]
    ray = np.append(cv2.undistortPoints(np.array([[[x, y]]]), cameras.intrinsics[0], bent)[0, 0], 1.0)
    column, row, _ = np.floor(prediction.intrinsics[view].astype(np.float64) @ ray).astype(int).tolist()
    depth = _depth_near(prediction, view, row, column)
    if depth is None:
        raise InputError(f"known_distance: there is no depth at {text}; mark a point on something with more detail")
    rotation, translation = np.split(prediction.extrinsics[view].astype(np.float64), [3], axis=1)
    place: NDArray[np.float64] = rotation.T @ (depth * ray - translation[:, 0])
    return place


def _depth_near(prediction: Prediction, view: int, row: int, column: int) -> float | None:
    """The depth at a pixel, or at the nearest one that has some, up to `_REACH` away; None where none has."""
    rows, columns = np.indices((2 * _REACH + 1, 2 * _REACH + 1)).reshape(2, -1) - _REACH
    order = np.argsort(rows**2 + columns**2, kind="stable")
    rows, columns = rows[order] + row, columns[order] + column
    height, width = prediction.depth.shape[1:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows[inside], columns[inside]
    found = np.flatnonzero(prediction.valid[view, rows, columns])
    return float(prediction.depth[view, rows[found[0]], columns[found[0]]]) if len(found) else None


def _scaled(depth: FoundDepth, factor: float) -> FoundDepth:
    similarity = Similarity(factor, np.eye(3), np.zeros(3))
    found = depth.prediction
    assert found.extrinsics is not None
    extrinsics = found.extrinsics.copy()
    extrinsics[:, :, 3] *= factor
    prediction = replace(
        found,
        depth=(found.depth * factor).astype(found.depth.dtype),
        extrinsics=extrinsics,
        gaussians=None if found.gaussians is None else transform_gaussians(found.gaussians, similarity),
        units="metric",
        scale_factor=(1.0 if found.scale_factor is None else found.scale_factor) * factor,
    )
    return replace(
        depth,
        prediction=prediction,
        cameras=depth.cameras.moved(similarity, "metric"),
        points=_scaled_points(depth.points, factor),
    )


def _scaled_points(points: SparsePoints | None, factor: float) -> SparsePoints | None:
    return None if points is None else replace(points, points=points.points * factor)


def _scaled_cameras(known: KnownCameras, factor: float) -> KnownCameras:
    """Of structure from motion; predicted ones are with the prediction alone."""
    if known.found is None:
        return known
    similarity = Similarity(factor, np.eye(3), np.zeros(3))
    source, cameras = known.source, known.source.cameras
    if cameras is not None:
        indices = tuple(range(len(source.names)))
        points = _scaled_points(source.points, factor)
        source = CalibratedSource(source, indices, cameras.moved(similarity, "metric"), points)
    return replace(known, source=source, found=known.found.moved(similarity, "metric"))
