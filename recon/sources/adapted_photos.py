"""Photos as their cameras take them to be: as their files store them, or undistorted where a lens is no polynomial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.digests import digest
from recon.errors import InputError
from recon.sources.in_flight import Admit
from recon.sources.lenses import Lens, pinhole_view, to_pinhole
from recon.sources.photo import Photo
from recon.sources.photo_change import UPRIGHT, PhotoChange
from recon.sources.source import Source

_ORIENTATION = 0x0112


@dataclass(frozen=True)
class StoredPicture:
    """What the header of an image file says."""

    size: tuple[int, int]
    """Width and height of the pixels in the file."""
    orientation: int
    """EXIF: 1 to 8; how they have to be turned for a person to see them upright."""

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as a person sees it."""
        return self.size if self.orientation <= 4 else self.size[::-1]


def stored_picture(path: Path) -> StoredPicture | None:
    """By the header of an image file; None where that cannot be read, which reading the photo says why."""
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(_ORIENTATION, UPRIGHT)
            return StoredPicture(image.size, orientation if orientation in range(1, 9) else UPRIGHT)
    except Exception:  # decoders raise almost anything on a damaged file
        return None


def as_stored(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Upright pixels (H, W, ...) as the file stores them whose EXIF orientation is this."""
    back = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }.get(orientation)
    return pixels if back is None else np.ascontiguousarray(back(pixels))


@dataclass(frozen=True)
class AdaptedPhotos:
    """The photos of another source, some of them changed; see `recon.sources.source.Source`."""

    photos: Source
    orientations: tuple[int, ...]
    """Of each photo, EXIF's orientation that is undone."""
    lenses: tuple[Lens | None, ...]
    """Of each photo, what it is undistorted by; None: it stays as it was taken."""
    cameras: None = None
    points: None = None

    @property
    def names(self) -> tuple[str, ...]:
        """As of the photos."""
        return self.photos.names

    @property
    def ordered(self) -> bool:
        """As of the photos."""
        return self.photos.ordered

    @property
    def depths(self) -> Sequence[NDArray[Any]] | None:
        """None: measured depth would be of the photos as they were."""
        return None

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The file of each photo; None for one that is changed, which no file holds."""
        return tuple(
            path if lens is None and orientation == UPRIGHT else None
            for path, lens, orientation in zip(self.photos.paths, self.lenses, self.orientations, strict=True)
        )

    @property
    def folders(self) -> tuple[Path, ...]:
        """As of the photos."""
        return self.photos.folders

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """As of the photos."""
        return self.photos.left_out

    def content(self, index: int) -> str:
        """Of the photo, and of what is done to it."""
        content = self.photos.content(index)
        lens, orientation = self.lenses[index], self.orientations[index]
        return content if lens is None and orientation == UPRIGHT else digest(content, lens, orientation)

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """As `recon.sources.source.Source.read`; InputError also for a photo of another size than its lens is for."""
        photo = self.photos.read(index, admit)
        lens, orientation = self.lenses[index], self.orientations[index]
        if orientation != UPRIGHT:
            mask = None if photo.mask is None else as_stored(photo.mask, orientation)
            pixels = as_stored(photo.pixels, orientation)
            photo = replace(photo, pixels=pixels, mask=mask, path=None, orientation=UPRIGHT)
        if lens is None:
            return photo
        try:
            intrinsics = pinhole_view(lens).intrinsics
            pixels = to_pinhole(photo.pixels, lens, intrinsics)
        except InputError as error:
            raise InputError(f"'{photo.name}': {error}") from None
        mask = None if photo.mask is None else to_pinhole(photo.mask, lens, intrinsics)
        return replace(photo, pixels=pixels, mask=mask, path=None, exif_focal_35mm=None)


def photo_changes(source: Source) -> dict[str, PhotoChange]:
    """By the names of the photos of a source, what is done to those that are changed when they are opened."""
    inner: object = source
    found: dict[str, PhotoChange] = {}
    while inner is not None:
        if isinstance(inner, AdaptedPhotos):
            for name, lens, orientation in zip(inner.names, inner.lenses, inner.orientations, strict=True):
                later = found.get(name, PhotoChange())  # photos are turned first, and then undistorted
                turned = orientation if later.orientation == UPRIGHT else later.orientation
                found[name] = PhotoChange(later.lens or lens, turned)
        inner = getattr(inner, "photos", None)
    return {name: change for name, change in found.items() if change}


def with_lenses(source: Source, lenses: Sequence[Lens | None]) -> Source:
    """The photos of `source`, with those that have one of `lenses` (N of them) undistorted by it."""
    if all(lens is None for lens in lenses):
        return source
    return AdaptedPhotos(source, (UPRIGHT,) * len(source.names), tuple(lenses))
