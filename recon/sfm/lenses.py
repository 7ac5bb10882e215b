"""Estimated lenses, and photos as a pinhole camera would have taken them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError

_NEGLIGIBLE = 0.1
"""Pixels: distortion that nowhere displaces more is left as it is, for warping would cost more sharpness."""
_BORDER_SAMPLES = 65
"""Along each side of a photo; odd, so that the middle is among them."""
_ZOOM_RANGE = (0.25, 4.0)
_BISECTIONS = 40
_LONGEST_SIDE = 32766
"""Pixels: OpenCV addresses those of a photo by 16 bits when it warps."""
_ROWS_AT_ONCE = 512
"""Photos are warped in bands: a map of all pixels would take several times the memory of the photo."""


@dataclass(frozen=True)
class Lenses:
    """Intrinsics and distortion of M views, in pixels of the upright originals (half-integer centres)."""

    intrinsics: NDArray[np.float64]
    """(M, 3, 3) of the photos as they were taken; right only together with the distortion."""
    distortion: NDArray[np.float64]
    """(M, 8) k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them."""
    sizes: NDArray[np.int64]
    """(M, 2) width and height of the photos."""

    def __post_init__(self) -> None:
        count = len(self.sizes)
        for name, shape in (("intrinsics", (count, 3, 3)), ("distortion", (count, 8)), ("sizes", (count, 2))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {getattr(self, name).shape}")

    @cached_property
    def pinhole_intrinsics(self) -> NDArray[np.float64]:
        """(M, 3, 3) of the undistorted photos: as wide a view as leaves no pixel without content.

        Size and principal point stay; the focal lengths are those of the photo times one factor, so that a photo
        without distortion keeps its intrinsics.
        """
        pinholes = self.intrinsics.copy()
        known: dict[bytes, float] = {}  # photos of one camera have one lens
        for view in range(len(pinholes)):
            key = b"".join(array[view].tobytes() for array in (self.intrinsics, self.distortion, self.sizes))
            if key not in known:
                known[key] = self._zoom(view)
            pinholes[view, :2, :2] *= known[key]
        return pinholes

    def undistort(self, view: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The photo of `view`, (H, W, 3) or (H, W), as a pinhole camera with `pinhole_intrinsics[view]` sees it.

        Raises InputError if the photo has another size than the one the lens was estimated from, or is too long.
        """
        width, height = self.sizes[view].tolist()
        if pixels.shape[:2] != (height, width):
            raise InputError(
                f"undistort takes the upright original, {width}×{height} pixels, "
                f"not {pixels.shape[1]}×{pixels.shape[0]}"
            )
        if self._displacement(view) < _NEGLIGIBLE:
            return pixels
        if max(width, height) > _LONGEST_SIDE:
            raise InputError(f"a photo of {width}×{height} pixels cannot be undistorted: over {_LONGEST_SIDE} a side")
        source, target = self._with_integer_centres(view)
        warped = np.empty_like(pixels)
        for top in range(0, height, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, height - top)
            band = target.copy()
            band[1, 2] -= top
            maps = cv2.initUndistortRectifyMap(source, self.distortion[view], None, band, (width, rows), cv2.CV_32FC1)
            warped[top : top + rows] = cv2.remap(pixels, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return warped

    def _with_integer_centres(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Intrinsics of the photo and of the undistorted photo for OpenCV, whose first pixel centre is (0, 0)."""
        matrices = self.intrinsics[view].copy(), self.pinhole_intrinsics[view].copy()
        for matrix in matrices:
            matrix[:2, 2] -= 0.5
        return matrices

    def _displacement(self, view: int) -> float:
        """Largest distance, in pixels, that distortion moves a border pixel."""
        border = self._border(view)
        return float(np.linalg.norm(self._distorted(view, border, 1.0) - border, axis=1).max())

    def _zoom(self, view: int) -> float:
        """Factor on the focal lengths at which the border of the undistorted photo just lies within the photo."""
        if self._displacement(view) < _NEGLIGIBLE:
            return 1.0
        border, size = self._border(view), self.sizes[view]

        def has_content(zoom: float) -> bool:
            distorted = self._distorted(view, border, zoom)
            return bool(((distorted >= 0) & (distorted <= size)).all())

        empty, full = _ZOOM_RANGE
        for _ in range(_BISECTIONS):
            middle = (empty * full) ** 0.5
            empty, full = (empty, middle) if has_content(middle) else (middle, full)
        return full

    def _border(self, view: int) -> NDArray[np.float64]:
        """(K, 2) points along the border of the photo."""
        width, height = self.sizes[view].tolist()
        x, y = np.linspace(0, width, _BORDER_SAMPLES), np.linspace(0, height, _BORDER_SAMPLES)
        sides = [(x, 0 * x), (x, 0 * x + height), (0 * y, y), (0 * y + width, y)]
        return np.concatenate([np.stack(side, axis=1) for side in sides])

    def _distorted(self, view: int, points: NDArray[np.float64], zoom: float) -> NDArray[np.float64]:
        """Where points (K, 2) of a pinhole photo, with focal lengths `zoom` times the lens's, lie in the photo."""
        intrinsics = self.intrinsics[view]
        focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
        rays = (points - centre) / (zoom * focal)
        return distort(rays, self.distortion[view]) * focal + centre


def distort(rays: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bend rays (K, 2), given at z = 1, as a lens with OpenCV's (8,) coefficients does (OpenCV, calib3d)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients.tolist()
    x, y = rays[:, 0], rays[:, 1]
    r2 = x**2 + y**2
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    bent_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return np.stack([bent_x, bent_y], axis=1)
