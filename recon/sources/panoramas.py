"""360° photos and videos: each panorama becomes several pinhole views that overlap and share its centre."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.digests import digest
from recon.errors import InputError
from recon.geometry.equirectangular import FIELD_OF_VIEW, directions, places_in_panorama, view_intrinsics, view_size
from recon.sources.in_flight import Admit
from recon.sources.photo import Photo, RigMount
from recon.sources.pixels import focal_from_pixels
from recon.sources.source import Source

VIEWS = 6
"""Of each panorama, all around the horizon: neighbours share a third of what they show."""

_SHAPE = 2.0
"""Width of a panorama over its height."""
_KEPT = 3
"""Panoramas that stay decoded for the views to come."""
_LITTLE = 0.25
"""Share of the contrast of a picture that edges which belong together may differ by."""
_SOME = 8.0
"""Contrast along the rows, of 255, below which a picture shows too little to tell."""
_EDGE = 2
"""Rows or columns beyond the edges that interpolation needs."""


class PanoramaSource:
    """`VIEWS` views of each photo of another source; see `recon.sources.source.Source`."""

    cameras = None
    """Each view says its focal length, as EXIF does."""
    points = None
    depths = None
    ordered = False
    """Views of one panorama follow each other in direction, not in time."""

    def __init__(self, panoramas: Source) -> None:
        self.photos = panoramas
        self._rotations = directions(VIEWS)
        self._lock = threading.Lock()
        self._decoded: OrderedDict[int, Photo] = OrderedDict()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`NAME_000`, `NAME_060`, … by the degrees that a view is turned to the right of the panorama's middle."""
        turned = [round(360 * view / VIEWS) for view in range(VIEWS)]
        stems = [Path(name).with_suffix("").as_posix() for name in self.photos.names]
        return tuple(f"{stem}_{angle:03d}" for stem in stems for angle in turned)

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """None: no view has a file of its own."""
        return (None,) * len(self.names)

    @property
    def folders(self) -> tuple[Path, ...]:
        """As of the panoramas."""
        return self.photos.folders

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """As of the panoramas."""
        return self.photos.left_out

    def content(self, index: int) -> str:
        """Hash of the panorama and of the direction."""
        return digest(self.photos.content(index // VIEWS), index % VIEWS, VIEWS, FIELD_OF_VIEW)

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """One view. Raises InputError where the panorama cannot be read or is none."""
        number, view = divmod(index, VIEWS)
        panorama = self._panorama(number)
        side = view_size(panorama.width)
        admit(side * side)
        rotation = self._rotations[view]
        pixels = cut(panorama.pixels, rotation, side)
        mask = None if panorama.mask is None else cut_mask(panorama.mask, rotation, side)
        if mask is not None and not mask.any():
            raise InputError(f"the mask of '{panorama.name}' leaves nothing of its view '{self.names[index]}'")
        return Photo(
            self.names[index],
            pixels,
            exif_focal_35mm=focal_from_pixels(view_intrinsics(side)[0, 0], side, side),
            mask=mask,
            rig=RigMount(self.photos.names[number], rotation),
            gps=panorama.gps,
        )

    def _panorama(self, number: int) -> Photo:
        """Decoded once for views that are asked for one after the other."""
        with self._lock:
            if number not in self._decoded:
                photo = self.photos.read(number)
                if photo.width != round(_SHAPE * photo.height):
                    raise InputError(
                        f"'{photo.name}' is {photo.width}×{photo.height} pixels; a panorama of all directions is twice "
                        "as wide as high: stitch it anew, or give it as a photo (input_kind photos)"
                    )
                self._decoded[number] = photo
                while len(self._decoded) > _KEPT:
                    self._decoded.popitem(last=False)
            self._decoded.move_to_end(number)
            return self._decoded[number]


def cut(panorama: NDArray[np.uint8], rotation: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """(side, side, 3) pinhole view of a panorama (H, W, 3), turned by `rotation` (3, 3) from the panorama's camera."""
    height, width = panorama.shape[:2]
    columns, rows = places_in_panorama(rotation, side, width, height)
    wrapped = np.concatenate([panorama[:, -_EDGE:], panorama, panorama[:, :_EDGE]], axis=1)
    # OpenCV counts from the middle of the first pixel.
    view = cv2.remap(wrapped, columns + (_EDGE - 0.5), rows - 0.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8)


def cut_mask(mask: NDArray[np.bool_], rotation: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    """(side, side) of the mask (H, W) of a panorama, as `cut`; each pixel is as the nearest one of the panorama."""
    height, width = mask.shape
    columns, rows = places_in_panorama(rotation, side, width, height)
    nearest = np.floor(rows).astype(np.int64).clip(0, height - 1), np.floor(columns).astype(np.int64) % width
    return np.asarray(mask[nearest])


def looks_like_panorama(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture (H, W, 3) of twice its height shows all directions: its left edge goes on at the right, and its
    first and last rows, each of which is one point above or below the camera, have one colour."""
    if pixels.shape[1] != round(_SHAPE * pixels.shape[0]) or pixels.shape[0] < 64:
        return False
    small = cv2.resize(pixels, (512, 256), interpolation=cv2.INTER_AREA).astype(np.float32)
    across = float(np.abs(small[:, 0] - small[:, -1]).mean())
    ends = [float(pixels[row].astype(np.float32).std(axis=0).mean()) for row in (0, -1)]
    contrast = float(small.std(axis=1).mean())
    return contrast > _SOME and max(across, *ends) < _LITTLE * contrast + 2
