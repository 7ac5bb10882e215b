"""Masks that the user has beside the photos: a folder of pictures named like them; black is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.digests import digest, file_content
from recon.errors import InputError
from recon.sources.formats import PHOTO_SUFFIXES
from recon.sources.mask_resize import resize_mask
from recon.sources.named_files import FileKind, find_named_files
from recon.sources.photo import Photo
from recon.sources.pixels import read_picture

_PLAIN_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""What Pillow calls formats whose files state the size of the picture that is decoded; others, such as RAW, may begin
with a smaller one."""
WHITE_FROM = 128
"""Level, 0 to 255, of the brightest channel of a mask from which on a pixel counts."""
_TURNED_ON_ITS_SIDE = range(5, 9)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright (EXIF 2.32, 4.6.4; as Pillow has it)."""
_MASKS = FileKind("masks", "mask", "picture", "pictures", PHOTO_SUFFIXES, ".png", "used whole")


@dataclass(frozen=True)
class PhotoMasks:
    """The mask file of each of N photos."""

    paths: tuple[Path | None, ...]
    """N; None for a photo without one."""
    invert: bool = False
    """White is left out instead of black."""

    @staticmethod
    def find(given: Path, names: Sequence[str], invert: bool = False) -> PhotoMasks:
        """The masks of photos by their `names`.

        Args:
            given: a picture that is the mask of every photo, or a folder, of which sub-folders count too. A photo
                `a/b.jpg` has the mask `a/b.jpg.png` or `a/b.png`, of any format, or else `b.jpg.png` or `b.png`.
            names: N names of photos.
            invert: white is left out instead of black.

        Raises:
            InputError: nothing is there, no mask is named like a photo, several are, or one like several photos.
        """
        if given.is_file():
            return PhotoMasks((given,) * len(names), invert)
        return PhotoMasks(find_named_files(given, names, _MASKS), invert)

    def content(self, index: int) -> str:
        """Hash of what decides the mask of photo number `index`."""
        path = self.paths[index]
        return digest(None if path is None else file_content(path), self.invert)

    def check_shapes(self, photos: Sequence[Path | None]) -> None:
        """Raise InputError where by the heads of their files no mask has the shape of its photo, however it is turned.

        Args:
            photos: N files of photos. What cannot be known without decoding counts as fitting.
        """
        wrong = None
        for mask, photo in zip(self.paths, photos, strict=True):
            sizes = (None, None) if mask is None or photo is None else (_stated_size(mask), _stated_size(photo))
            if sizes[0] is None or sizes[1] is None:
                return
            if _is_of_shape(sizes[0], sizes[1]) or _is_of_shape(sizes[0][::-1], sizes[1]):
                return
            wrong = wrong or _of_another_shape(mask, sizes[0], photo.name if photo else "", sizes[1])
        if wrong is not None:
            raise wrong

    def apply(self, photo: Photo, index: int) -> Photo:
        """Photo number `index` with its mask, beside any that it has.

        Raises InputError where the mask cannot be read, is of another shape than the photo, or leaves nothing of it.
        """
        path = self.paths[index]
        if path is None:
            return photo
        mask = _turned(read_mask(path), photo, path)
        mask = mask ^ self.invert
        if photo.mask is not None:
            mask = mask & photo.mask
        if not mask.any():
            which, other = ("white", "black") if self.invert else ("black", "white")
            raise InputError(
                f"the mask '{path}' leaves nothing of '{photo.name}': {which} is left out, {other} counts; "
                f"{'leave out' if self.invert else 'give'} invert_masks if it is the other way round"
            )
        return replace(photo, mask=mask)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) True where a picture is white and opaque, from half on; one of levels 0 and 1 alone has 1 for white.

    Raises InputError as `recon.sources.pixels.read_picture`.
    """
    picture = read_picture(path)
    levels = picture.pixels.max(axis=2)
    white = levels >= (1 if levels.max() == 1 else WHITE_FROM)
    return np.asarray(white if picture.opaque is None else white & picture.opaque)


def _turned(mask: NDArray[np.bool_], photo: Photo, path: Path) -> NDArray[np.bool_]:
    """The mask as the upright photo lies, at its size.

    It is turned as the photo was, for most programs that make masks pass over EXIF; but if it has the shape of the
    upright photo alone, it is upright already.
    """
    height, width = mask.shape
    size = (photo.width, photo.height)
    fits = _is_of_shape((width, height), size)
    lies_turned = _is_of_shape((height, width), size) if photo.orientation in _TURNED_ON_ITS_SIDE else fits
    if photo.orientation != 1 and lies_turned:
        picture = Image.fromarray(mask.astype(np.uint8)).transpose(_TURNS[photo.orientation])
        mask = np.asarray(picture).astype(np.bool_)
    elif not fits:
        raise _of_another_shape(path, (width, height), photo.name, size)
    return resize_mask(mask, size)


def _of_another_shape(path: Path | None, size: tuple[int, int], photo: str, of_photo: tuple[int, int]) -> InputError:
    return InputError(
        f"the mask '{path}' is {size[0]}×{size[1]} and the photo '{photo}' {of_photo[0]}×{of_photo[1]}: they must have "
        "one shape"
    )


def _stated_size(path: Path) -> tuple[int, int] | None:
    """Width and height that the head of an image file states; None where that is not sure to be what is decoded."""
    try:
        with Image.open(path) as image:
            return image.size if image.format in _PLAIN_FORMATS else None
    except Exception:  # decoders raise almost anything on a damaged file, of which reading it says more
        return None


def _is_of_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one is the other scaled, up to a pixel's rounding of the smaller one."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= max(*size, *other)
