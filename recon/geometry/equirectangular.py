"""Panoramas that show all directions (equirectangular), and the pinhole views that are cut from them.

A panorama's camera looks at its middle: x right, y down, z forward. Column x of W is longitude 2π (x / W - 1/2), row y
of H latitude π (1/2 - y / H), at half-integer pixel centres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIELD_OF_VIEW = 90.0
"""Degrees across each view, and down."""


def directions(count: int) -> NDArray[np.float64]:
    """(count, 3, 3) rotations from the panorama's camera to views that look around the horizon, the first at its
    middle."""
    angles = 2 * np.pi * np.arange(count) / count
    rotations = np.tile(np.eye(3), (count, 1, 1))
    rotations[:, 0, 0] = rotations[:, 2, 2] = np.cos(angles)
    rotations[:, 0, 2] = -np.sin(angles)
    rotations[:, 2, 0] = np.sin(angles)
    return rotations


def view_size(width: int) -> int:
    """Pixels of a side of a view that is as fine in its middle as a panorama of this width."""
    return max(round(width / np.pi * np.tan(np.radians(FIELD_OF_VIEW) / 2)), 1)


def view_intrinsics(side: int) -> NDArray[np.float64]:
    """(3, 3) of a square view, in its pixels."""
    focal = side / 2 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    return np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])


def places_in_panorama(
    rotation: NDArray[np.float64], side: int, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the pixels of a view are in the panorama.

    Args:
        rotation: (3, 3) from the panorama's camera to the view's.
        side: pixels of the view, which is square.
        width: of the panorama.
        height: of the panorama.

    Returns:
        Columns and rows, (side, side) each, with pixel centres at half-integers.
    """
    focal = view_intrinsics(side)[0, 0]
    at = (np.arange(side) + 0.5 - side / 2) / focal
    columns, rows = np.meshgrid(at, at)
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ rotation  # rotated back by its transpose
    longitude = np.arctan2(rays[..., 0], rays[..., 2])
    latitude = np.arctan2(-rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    return (
        (width * (longitude / (2 * np.pi) + 0.5)).astype(np.float32),
        (height * (0.5 - latitude / np.pi)).astype(np.float32),
    )
