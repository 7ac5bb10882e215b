"""Estimated lenses, and photos as a pinhole camera would have taken them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recon.sources.undistortion import undistort
from recon.types.cameras import Cameras


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
        one = [view]
        camera = Cameras(None, self.intrinsics[one], self.sizes[one], self.distortion[one])
        return undistort(pixels, camera, Cameras(None, self.pinhole_intrinsics[one]))
