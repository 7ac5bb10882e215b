"""Depth for pixels that have none, from those around them and smooth except across edges of the image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

_SWEEPS = 120
_OVER_RELAXATION = 1.8
_EDGE = 12.0
"""Distance in RGB at which the tie between two neighbouring pixels is down to a half."""


def fill(inverse_depth: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Complete an inverse depth map: in the holes it solves the Laplace equation, with weaker ties across edges.

    Starts from averages over ever larger areas (pull-push; Gortler et al., SIGGRAPH 1996), and smooths them by
    successive over-relaxation, which reaches across a hole in a number of sweeps of about its width.

    Args:
        inverse_depth: (H, W), 0 where unknown.
        image: (H, W, 3) RGB.

    Returns:
        (H, W), the known values unchanged. Nothing is filled where nothing is known.
    """
    known = inverse_depth > 0
    if known.all() or not known.any():
        return inverse_depth.copy()
    filled = np.where(known, inverse_depth, _pull_push(inverse_depth, known.astype(np.float32)))
    rows, columns = np.nonzero(~known)
    colour = (rows + columns) % 2  # a pixel's neighbours all have the other
    order = np.argsort(colour, kind="stable")
    _relax(filled, np.ascontiguousarray(image), rows[order], columns[order])
    return filled


def _pull_push(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """`values` (H, W) where `weights` are 1; elsewhere what the next coarser level of the image says."""
    if min(values.shape) < 2 or weights.all():
        mean = (values * weights).sum() / max(weights.sum(), 1e-12)
        return np.where(weights > 0, values, mean).astype(np.float32)
    height, width = values.shape
    small = ((width + 1) // 2, (height + 1) // 2)
    covered = cv2.resize(weights, small, interpolation=cv2.INTER_AREA)
    total = cv2.resize(values * weights, small, interpolation=cv2.INTER_AREA)
    coarse = np.where(covered > 0, total / np.maximum(covered, 1e-12), 0).astype(np.float32)
    coarse = _pull_push(coarse, (covered > 0).astype(np.float32))
    return np.where(weights > 0, values, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


@compiled()
def _relax(values, image, rows, columns):  # type: ignore[no-untyped-def]
    height, width = values.shape
    count = len(rows)
    ties = np.zeros((count, 4), np.float32)
    for i in range(count):
        total = np.float32(0)
        for k in range(4):
            row, column = rows[i] + (k == 0) - (k == 1), columns[i] + (k == 2) - (k == 3)
            if 0 <= row < height and 0 <= column < width:
                distance = np.float32(0)
                for channel in range(3):
                    off = np.float32(image[row, column, channel]) - np.float32(image[rows[i], columns[i], channel])
                    distance += off * off
                ties[i, k] = np.float32(1) / (np.float32(1) + distance / np.float32(_EDGE**2))
                total += ties[i, k]
        for k in range(4):
            ties[i, k] /= total
    for _ in range(_SWEEPS):
        for i in range(count):
            mean = np.float32(0)
            for k in range(4):
                if ties[i, k] > 0:
                    mean += ties[i, k] * values[rows[i] + (k == 0) - (k == 1), columns[i] + (k == 2) - (k == 3)]
            value = values[rows[i], columns[i]]
            values[rows[i], columns[i]] = value + np.float32(_OVER_RELAXATION) * (mean - value)
