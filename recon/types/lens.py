"""Lens distortion as OpenCV defines it, and the pinhole camera that an undistorted photo has.

Distortion is eight coefficients k1, k2, p1, p2, k3, k4, k5, k6 (OpenCV, calib3d). It bends rays at z = 1, before the
intrinsics, so that it stays the same when a photo is resized or cropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COEFFICIENTS = 8

NEGLIGIBLE = 0.1
"""Pixels: distortion that nowhere displaces more is left as it is, for warping would cost more sharpness."""
_BORDER_SAMPLES = 65
"""Along each side of a photo; odd, so that the middle is among them."""
_ZOOM_RANGE = (0.25, 4.0)
_BISECTIONS = 40


def distort(rays: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bend rays (K, 2), given at z = 1, as a lens with OpenCV's (8,) coefficients does."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients.tolist()
    x, y = rays[:, 0], rays[:, 1]
    r2 = x**2 + y**2
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    bent_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return np.stack([bent_x, bent_y], axis=1)


def is_negligible(intrinsics: NDArray[np.float64], coefficients: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether distortion moves no pixel of the border, so none at all, to speak of; arguments as `pinhole_zoom`."""
    if not coefficients.any():
        return True
    border = _border(size)
    displaced = _in_photo(border, 1.0, intrinsics, coefficients) - border
    return float(np.linalg.norm(displaced, axis=1).max()) < NEGLIGIBLE


def pinhole_zoom(intrinsics: NDArray[np.float64], coefficients: NDArray[np.float64], size: tuple[int, int]) -> float:
    """Factor on the focal lengths at which the border of the undistorted photo just lies within the photo.

    The undistorted photo keeps size and principal point, and shows as much as leaves no pixel of it without content.

    Args:
        intrinsics: (3, 3) of the photo as it was taken, in its pixels (half-integer centres).
        coefficients: (8,) of its lens.
        size: width and height of the photo.

    Returns:
        1 where distortion is negligible.
    """
    if is_negligible(intrinsics, coefficients, size):
        return 1.0
    border = _border(size)

    def has_content(zoom: float) -> bool:
        place = _in_photo(border, zoom, intrinsics, coefficients)
        return bool(((place >= 0) & (place <= size)).all())

    empty, full = _ZOOM_RANGE
    for _ in range(_BISECTIONS):
        middle = (empty * full) ** 0.5
        empty, full = (empty, middle) if has_content(middle) else (middle, full)
    return full


def _border(size: tuple[int, int]) -> NDArray[np.float64]:
    """(K, 2) points along the border of the photo."""
    width, height = size
    x, y = np.linspace(0, width, _BORDER_SAMPLES), np.linspace(0, height, _BORDER_SAMPLES)
    sides = [(x, 0 * x), (x, 0 * x + height), (0 * y, y), (0 * y + width, y)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def _in_photo(
    points: NDArray[np.float64], zoom: float, intrinsics: NDArray[np.float64], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where points (K, 2) of a pinhole photo, with focal lengths `zoom` times the lens's, lie in the photo."""
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    return distort((points - centre) / (zoom * focal), coefficients) * focal + centre
