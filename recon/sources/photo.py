"""One photo as the rest of the program sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.geodesy import GeoPosition


@dataclass(frozen=True)
class RigMount:
    """How the camera of a photo is mounted on a rig, all of whose cameras have one centre."""

    name: str
    """Of the rig at one moment: photos of one name were taken together."""
    camera_from_rig: NDArray[np.float64]
    """(3, 3) rotation from the rig's axes to the camera's."""


@dataclass(frozen=True)
class Photo:
    """One picture as a person sees it: turned upright, any transparency blended over white."""

    name: str
    """What it goes by, in messages and where its camera is looked up: its path within the folder given, with `/`, or
    its index among the images given ("0003")."""
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""
    exif_focal_35mm: float | None = None
    """Focal length in millimetres on a 36 × 24 mm frame, from EXIF; None where it does not say."""
    path: Path | None = None
    """The file it was read from; None for one that was given as pixels."""
    mask: NDArray[np.bool_] | None = None
    """(H, W) True where the photo shows what is wanted; None: everywhere. Of a file with transparency, where it is
    opaque."""
    orientation: int = 1
    """By the EXIF of the file, 1 to 8: what `pixels` were turned by to be upright. 1: they are as they were stored."""

    rig: RigMount | None = None
    """Where it is one of several views from one place, turned by known angles; its focal length is then exact."""
    gps: GeoPosition | None = None
    """Where it was taken, by EXIF; None where that does not say."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise InputError(
                f"photo '{self.name}' must be (H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}"
            )
        if self.mask is not None and (self.mask.dtype != np.bool_ or self.mask.shape != self.pixels.shape[:2]):
            raise InputError(
                f"the mask of photo '{self.name}' must be {self.pixels.shape[:2]} bool, "
                f"got {self.mask.shape} {self.mask.dtype}"
            )

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])
