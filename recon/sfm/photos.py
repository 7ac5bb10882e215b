"""What structure from motion keeps of each photo: a small grey picture, and what is known about its camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.geodesy import GeoPosition
from recon.sources.mask_resize import shrink_mask
from recon.sources.photo import Photo, RigMount
from recon.sources.pixels import believable_focal, focal_in_pixels

MAX_FEATURE_SIDE = 1600
"""Longer side, in pixels, of the pictures that features are searched in; larger photos are shrunk to it."""

ASSUMED_FOCAL = 1.0
"""Focal length to start from where EXIF says nothing, in units of the longer side: 53° across it."""


@dataclass(frozen=True)
class SfmPhoto:
    """One upright photo, ready for feature extraction."""

    name: str
    """For messages."""
    gray: NDArray[np.uint8]
    """(h, w) the photo in grey, shrunk about the corner of its first pixel by `scale` along both axes alike."""
    original_size: tuple[int, int]
    """Width and height of the upright original."""
    scale: float
    """Pixels of `gray` per pixel of the original, at most 1."""
    exif_focal_35mm: float | None = None
    """Focal length in millimetres as if on 35 mm film, from EXIF; None where it does not say."""
    mask: NDArray[np.bool_] | None = None
    """(h, w) False where `gray` shows what is to have no features; None: nowhere."""
    rig: RigMount | None = None
    """As of the photo."""
    intrinsics: NDArray[np.float64] | None = None
    """(3, 3) known of the original, in its pixels (half-integer centres); None: to be found."""
    distortion: NDArray[np.float64] | None = None
    """(8,) OpenCV's coefficients that go with the intrinsics; None: none."""
    gps: GeoPosition | None = None
    """As of the photo."""
    rgb: NDArray[np.uint8] | None = None
    """(h, w, 3) the colours of `gray`, where learned features need them."""

    def __post_init__(self) -> None:
        if self.gray.ndim != 2 or self.gray.dtype != np.uint8:
            raise InputError(f"photo '{self.name}' must be (h, w) uint8 in grey, got {self.gray.shape}")

    @property
    def camera_key(self) -> tuple[object, ...]:
        """Photos with equal keys were, as far as can be told, taken by one camera with one lens setting."""
        known = [None if part is None else part.tobytes() for part in (self.intrinsics, self.distortion)]
        return (*self.original_size, self.exif_focal_35mm, *known)

    @property
    def focal_is_known(self) -> bool:
        """Whether EXIF or somebody says what the focal length is, about."""
        return self.exif_focal_35mm is not None or self.intrinsics is not None

    @property
    def exif_focal(self) -> float:
        """Focal length in pixels of the original by EXIF; NaN where it does not say, or the lens is known."""
        if self.exif_focal_35mm is None or self.intrinsics is not None:
            return float("nan")
        return self.focal_guess / self.scale

    @property
    def focal_guess(self) -> float:
        """Focal length in pixels of `gray`: as it is known, else by EXIF, else a common one."""
        width, height = self.original_size
        if self.intrinsics is not None:
            return float(self.intrinsics[[0, 1], [0, 1]].mean()) * self.scale
        if self.exif_focal_35mm is None:
            return ASSUMED_FOCAL * max(width, height) * self.scale
        return focal_in_pixels(self.exif_focal_35mm, width, height) * self.scale


def prepare_photo(photo: Photo, max_side: int = MAX_FEATURE_SIDE, *, colour: bool = False) -> SfmPhoto:
    """Shrink `photo` to at most `max_side` pixels along its longer side, in grey; with `colour`, keep that too.

    Both axes shrink by exactly the same factor, though the last column or row may be cut by a fraction of a pixel, so
    that a camera stays a camera with one focal length.
    """
    scale = min(1.0, max_side / max(photo.width, photo.height))
    small = photo.pixels
    if scale < 1:
        # The factors, not the size: OpenCV would take slightly different factors for the two axes from a rounded size.
        small = np.asarray(cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    mask = photo.mask
    if mask is not None and scale < 1:
        mask = shrink_mask(mask, (1 / scale, 1 / scale), (gray.shape[1], gray.shape[0]))
    focal = believable_focal(photo.exif_focal_35mm)
    rgb = small if colour else None
    size = photo.width, photo.height
    return SfmPhoto(photo.name, gray, size, scale, focal, mask, photo.rig, gps=photo.gps, rgb=rgb)
