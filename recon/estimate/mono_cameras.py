"""The camera of a single photo: given, by EXIF, or assumed; and the metres that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.cameras import Cameras
from recon.errors import InputError
from recon.geometry.located_depth import ASSUMED_HORIZONTAL_FIELD_OF_VIEW
from recon.messages import warn
from recon.models.single_view import CANONICAL_FOCAL
from recon.sources.cameras_file import CamerasFile
from recon.sources.photo import Photo
from recon.sources.pixels import focal_in_pixels

CameraSource = Literal["given", "exif", "assumed"]


@dataclass(frozen=True)
class PhotoCamera:
    """Intrinsics of one upright original photo."""

    intrinsics: NDArray[np.float64]
    """(3, 3) in pixels of the photo."""
    source: CameraSource
    """`assumed` says nothing about the real camera."""


@dataclass(frozen=True)
class KnownCameras:
    """What the user says about the cameras of unrelated photos; by default nothing."""

    focal: float | None = None
    """Focal length of every photo, in pixels of the upright original."""
    file: Path | None = None
    """Intrinsics of each photo, as `recon.sources.cameras_file.read_cameras` reads them."""

    def __post_init__(self) -> None:
        if self.focal is not None and not (math.isfinite(self.focal) and self.focal > 0):
            raise InputError(f"focal must be a positive number of pixels, got {self.focal}")
        if self.focal is not None and self.file is not None:
            raise InputError("give the focal length either by focal or by a file of cameras, not both")
        if self.file is not None and not self.file.is_file():
            raise InputError(f"cameras: {self.file} is no file")

    @cached_property
    def _read(self) -> CamerasFile:
        """Once for all photos."""
        assert self.file is not None
        return CamerasFile.read(self.file)

    def of(self, photo: Photo, names: list[str], index: int) -> PhotoCamera:
        """The camera of `photo`, number `index` of `names`: the one given, else by EXIF, else an assumed one.

        Raises InputError where the file has no intrinsics for it, or not ones of its size.
        """
        if self.focal is not None:
            return PhotoCamera(centred_intrinsics(self.focal, photo.width, photo.height), "given")
        if self.file is not None:
            found = self._read.of(names, [(photo.width, photo.height)], [index])
            intrinsics = Cameras.from_arrays(None, found.intrinsics, count=1).intrinsics
            if intrinsics is None:
                raise InputError(f"cameras: {self.file} holds no intrinsics")
            return PhotoCamera(intrinsics[0], "given")
        return camera_of_photo(photo)


def camera_of_photo(photo: Photo) -> PhotoCamera:
    """By EXIF, else with an assumed field of view."""
    width, height = photo.width, photo.height
    if photo.exif_focal_35mm is not None:
        focal = focal_in_pixels(photo.exif_focal_35mm, width, height)
        return PhotoCamera(centred_intrinsics(focal, width, height), "exif")
    focal = width / 2 / math.tan(math.radians(ASSUMED_HORIZONTAL_FIELD_OF_VIEW) / 2)
    return PhotoCamera(centred_intrinsics(focal, width, height), "assumed")


def centred_intrinsics(focal: float, width: int, height: int) -> NDArray[np.float64]:
    """(3, 3) with square pixels and the principal point at the centre."""
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float64)


def warn_if_assumed(camera: PhotoCamera) -> None:
    """Say so where a field of view was made up."""
    if camera.source == "assumed":
        warn(
            "neither given nor in EXIF, the focal length of a photo is assumed: a horizontal field of view of "
            f"{ASSUMED_HORIZONTAL_FIELD_OF_VIEW:.0f} degrees"
        )


def metres_per_unit(intrinsics: NDArray[np.float64]) -> float:
    """What depth of a metric network of Depth Anything 3 is multiplied by, from the processed image's (3, 3)
    intrinsics: focal / 300 (arXiv 2511.10647)."""
    return float((intrinsics[0, 0] + intrinsics[1, 1]) / 2 / CANONICAL_FOCAL)
