"""The camera of a photo by itself: given, by EXIF, or assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.located_depth import ASSUMED_HORIZONTAL_FIELD_OF_VIEW
from recon.messages import warn
from recon.sources.camera_check import doubt_of_intrinsics
from recon.sources.camera_entries import CamerasFile
from recon.sources.cameras_file import read_cameras_file
from recon.sources.photo import Photo
from recon.sources.pixels import focal_in_pixels
from recon.types.cameras import CameraOrigin, Cameras
from recon.types.lens import COEFFICIENTS


@dataclass(frozen=True)
class PhotoCameras:
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
        return read_cameras_file(self.file)

    def of(self, photo: Photo, names: Sequence[str], index: int) -> Cameras:
        """The camera (N = 1) of `photo`, number `index` of `names`: the one given, else by EXIF, else an assumed one.

        Raises InputError where the file has no intrinsics for it, or not ones of its size and within it.
        """
        if self.focal is not None:
            return _one(centred_intrinsics(self.focal, photo), photo, "given")
        if self.file is not None:
            if any(entry.get("lens") is not None for entry in self._read.entries):
                raise InputError(
                    f"cameras: '{self.file}' has lenses that bend too much for single photos; undistort them"
                )
            if any(entry.get("orientation") is not None for entry in self._read.entries):
                raise InputError(
                    f"cameras: '{self.file}' is of photos as their files store them, and single photos are turned as "
                    "EXIF says; give their focal length by focal"
                )
            found = self._read.of(names, [(photo.width, photo.height)], [index])
            intrinsics = Cameras.from_arrays(None, found.intrinsics, count=1).intrinsics
            if intrinsics is None:
                raise InputError(f"cameras: {self.file} holds no intrinsics")
            doubt = doubt_of_intrinsics(intrinsics, np.array([[photo.width, photo.height]]), [photo.name])
            if doubt is not None:
                warn(doubt)
            return replace(_one(intrinsics[0], photo, "given"), distortion=found.distortion)
        return camera_of_photo(photo)


def camera_of_photo(photo: Photo) -> Cameras:
    """The camera (N = 1) by EXIF, else with an assumed field of view, which is said."""
    if photo.exif_focal_35mm is not None:
        focal = focal_in_pixels(photo.exif_focal_35mm, photo.width, photo.height)
        return _one(centred_intrinsics(focal, photo), photo, "exif")
    warn(
        "neither given nor in EXIF, the focal length of a photo is assumed: a horizontal field of view of "
        f"{ASSUMED_HORIZONTAL_FIELD_OF_VIEW:.0f} degrees"
    )
    focal = photo.width / 2 / math.tan(math.radians(ASSUMED_HORIZONTAL_FIELD_OF_VIEW) / 2)
    return _one(centred_intrinsics(focal, photo), photo, "assumed")


def together(cameras: Sequence[Cameras]) -> Cameras:
    """One value for the cameras (N = 1 each) of N photos; assumed as soon as one of them is."""
    origins: list[CameraOrigin] = [camera.origin for camera in cameras]
    weakest: CameraOrigin = "assumed" if "assumed" in origins else "exif" if "exif" in origins else origins[0]
    distortion = None
    if any(camera.distortion is not None for camera in cameras):
        none = np.zeros((1, COEFFICIENTS))
        distortion = np.concatenate([none if one.distortion is None else one.distortion for one in cameras])
    return Cameras(
        intrinsics=np.concatenate([camera.intrinsics for camera in cameras if camera.intrinsics is not None]),
        sizes=np.concatenate([camera.sizes for camera in cameras if camera.sizes is not None]),
        distortion=distortion,
        origin=weakest,
        scale="free",
    )


def centred_intrinsics(focal: float, photo: Photo) -> NDArray[np.float64]:
    """(3, 3) with square pixels and the principal point at the centre."""
    return np.array([[focal, 0, photo.width / 2], [0, focal, photo.height / 2], [0, 0, 1]], np.float64)


def _one(intrinsics: NDArray[np.float64], photo: Photo, origin: CameraOrigin) -> Cameras:
    sizes = np.array([[photo.width, photo.height]], np.int64)
    return Cameras(intrinsics=intrinsics[None], sizes=sizes, origin=origin, scale="free")
