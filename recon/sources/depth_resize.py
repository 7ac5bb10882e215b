"""Depth that an input brings, at the pixels of views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.sources.fitting import Views

_ONE_SURFACE = 0.04
"""Share of the depth by which neighbours may differ and be interpolated; else the nearest counts."""


def fit_depths(depths: Sequence[NDArray[Any]], views: Views) -> NDArray[np.float32]:
    """(N, H, W) depth of the views' pixels, NaN where there is none.

    Args:
        depths: N maps (h, w), each of a whole photo at a resolution of its own; NaN, 0 and less: none.
        views: of these photos, not undistorted.
    """
    count, height, width = views.pixels.shape[:3]
    fitted = np.full((count, height, width), np.nan, np.float32)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for view, given in enumerate(depths):
        depth = np.array(given, np.float32)
        depth[~(depth > 0)] = np.nan
        to_original = views.processed_to_original[view]
        shape = np.array(depth.shape[::-1])
        x, y = (
            (to_original[axis, 0] * columns + to_original[axis, 1] * rows + to_original[axis, 2])
            * (shape[axis] / views.original_sizes[view, axis])
            for axis in (0, 1)
        )
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
