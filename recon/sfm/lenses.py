"""Estimated lenses, and photos as a pinhole camera would have taken them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.cameras import Cameras
from recon.errors import InputError
from recon.lens import is_negligible

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
        pinholes = Cameras(None, self.intrinsics, self.sizes, self.distortion).pinhole().intrinsics
        assert pinholes is not None
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
        if is_negligible(self.intrinsics[view], self.distortion[view], (width, height)):
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
