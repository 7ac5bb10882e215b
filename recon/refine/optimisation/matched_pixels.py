"""Pixels of several photos that show the same place, by the depth and the cameras of a prediction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid, to_4x4
from recon.types import Prediction


class CarriedPixels(NamedTuple):
    """M pixels of one view with depth, and where what they show is in another."""

    source: NDArray[np.intp]
    """(M,) flattened pixels of the view that has the depth."""
    target: NDArray[np.intp]
    """(M,) flattened pixels of the other view that they fall into."""
    depth: NDArray[np.float64]
    """(M,) there."""


def carry(prediction: Prediction, source: int, target: int, stride: int) -> CarriedPixels:
    """Every `stride`-th pixel of `source`, in rows and columns, that has depth and falls into the view `target`."""
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    _, height, width = prediction.depth.shape
    cut = slice(stride // 2, None, stride)
    rows, columns = np.nonzero(prediction.valid[source][cut, cut])
    rows, columns = rows * stride + stride // 2, columns * stride + stride // 2
    depth = prediction.depth[source, rows, columns].astype(np.float64)
    cameras = to_4x4(prediction.extrinsics[[source, target]].astype(np.float64))
    lenses = prediction.intrinsics[[source, target]].astype(np.float64)
    motion = cameras[1] @ invert_rigid(cameras[0])
    turn = lenses[1] @ motion[:3, :3] @ np.linalg.inv(lenses[0])
    x, y, z = turn @ (np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))]) * depth) + (lenses[1] @ motion[:3, 3:])
    with np.errstate(all="ignore"):  # of points at or behind the camera
        u, v = x / z, y / z
        inside = np.flatnonzero((z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height))
    landed = v[inside].astype(np.intp) * width + u[inside].astype(np.intp)
    return CarriedPixels(rows[inside] * width + columns[inside], landed, z[inside])


def neighbours(prediction: Prediction, view: int, views: list[int], most: int) -> list[int]:
    """Up to `most` of the other `views`, those first that look at the same from nearby."""
    assert prediction.extrinsics is not None
    others = [other for other in views if other != view]
    if len(others) <= most:
        return others
    cameras = invert_rigid(to_4x4(prediction.extrinsics.astype(np.float64)))
    known = prediction.depth[prediction.valid]
    ahead = float(np.median(known)) if len(known) else 1.0
    watched = cameras[:, :3, 3] + ahead * cameras[:, :3, 2]  # what is in the middle of each view
    apart = np.linalg.norm(watched[others] - watched[view], axis=1)
    apart += np.linalg.norm(cameras[others, :3, 3] - cameras[view, :3, 3], axis=1)
    return [others[i] for i in np.argsort(apart, kind="stable")[:most]]
