"""Depth that an input brings, at the pixels of views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.sources.fitting import Views
from recon.types.cameras import Cameras
from recon.types.lens import distort

_ONE_SURFACE = 0.04
"""Share of the depth by which neighbours may differ and be interpolated; else the nearest counts."""


def fit_depths(depths: Sequence[NDArray[Any]], views: Views, cameras: Cameras | None = None) -> NDArray[np.float32]:
    """(N, H, W) depth of the views' pixels, NaN where there is none.

    Args:
        depths: N maps (h, w), each of a whole photo at a resolution of its own; NaN, 0 and less: none.
        views: of these photos, undistorted where they were taken by a lens that bends.
        cameras: of the photos as they were taken, and the depth with them.
    """
    count, height, width = views.pixels.shape[:3]
    fitted = np.full((count, height, width), np.nan, np.float32)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for view, given in enumerate(depths):
        depth = np.array(given, np.float32)
        depth[~(depth > 0)] = np.nan
        to_original = views.processed_to_original[view]
        shape = np.array(depth.shape[::-1])
        places = np.stack([columns, rows], axis=-1) @ to_original[:2, :2].T + to_original[:2, 2]  # (H, W, 2)
        if cameras is not None and cameras.distortion is not None:
            places = _as_taken(places, cameras[[view]])
        x, y = np.moveaxis(places * (shape / views.original_sizes[view]), -1, 0)
        inside = (x >= 0) & (y >= 0) & (x <= shape[0]) & (y <= shape[1])
        near_x, near_y = (
            np.clip(np.floor(at), 0, last - 1).astype(np.intp) for at, last in ((x, shape[0]), (y, shape[1]))
        )
        nearest = depth[near_y, near_x]
        at_x, at_y = (
            (at - 0.5).astype(np.float32) for at in (x, y)
        )  # OpenCV counts from the middle of the first pixel
        between = np.asarray(cv2.remap(depth, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        with np.errstate(invalid="ignore"):
            smooth = np.abs(between - nearest) < _ONE_SURFACE * nearest
        fitted[view] = np.where(inside, np.where(smooth, between, nearest), np.nan)
    return fitted


def _as_taken(places: NDArray[np.float64], camera: Cameras) -> NDArray[np.float64]:
    """Pixels (H, W, 2) of a photo without distortion, in the photo as its camera, one, took it."""
    pinhole = camera.pinhole()
    assert pinhole.intrinsics is not None
    assert camera.intrinsics is not None
    assert camera.distortion is not None
    (straight,), (lens,) = pinhole.intrinsics, camera.intrinsics
    rays = (places.reshape(-1, 2) - straight[:2, 2]) / straight[[0, 1], [0, 1]]
    bent = distort(rays, camera.distortion[0]) * lens[[0, 1], [0, 1]] + lens[:2, 2]
    return np.asarray(bent.reshape(places.shape), np.float64)
