"""Any picture to upright 8-bit sRGB: EXIF orientation, colour profiles, transparency, 16 bits, grey, palettes, CMYK."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from recon.errors import InputError, MissingExtraError
from recon.geometry.geodesy import GeoPosition
from recon.messages import warn
from recon.sources.bit_depth import png_entries, stretched
from recon.sources.colour import grey_to_srgb, to_srgb
from recon.sources.file_content import ImageFile, opened
from recon.sources.formats import AVIF, HEIC, MOVING_PICTURE, Format, detect_format
from recon.sources.gps import gps_position
from recon.sources.in_flight import Admit

MAX_PIXELS = 400_000_000
"""Largest picture read: twice the largest camera sensor, well under what a decompression bomb claims."""

_READ_FORMATS = "JPEG, PNG, TIFF, WebP, BMP, HEIC, AVIF"
_PAGES = frozenset({"TIFF", "PSD"})
"""Formats, as Pillow names them, whose further pictures are pages or layers; those of others are frames in time."""
_MPF_TABLE = 0xB002
_SEVERAL_VIEWS = "Multi-Frame"
"""How Pillow's names of the types of an MPO file's pictures begin (CIPA DC-007, 5.2.3.3) where each is a photo."""
_EXIF_IFD = 0x8769
_FOCAL_LENGTH_IN_35MM_FILM = 0xA405
_DIAGONAL_35MM = math.hypot(36, 24)
SHORTEST_FOCAL_35MM, LONGEST_FOCAL_35MM = 8.0, 3000.0
"""Focal lengths of lenses that exist, in millimetres as if on 35 mm film; EXIF that says another counts as absent."""

_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106

OPAQUE_FROM = 128
"""Alpha, 0 to 255, from which on a pixel shows something: half of it or more."""

_pillow_limit = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright; what shows through is white."""
    exif_focal_35mm: float | None = None
    """Focal length in millimetres as if on 35 mm film; None where EXIF does not say."""
    opaque: NDArray[np.bool_] | None = None
    """(H, W) True where alpha is at least `OPAQUE_FROM`; None: everywhere."""
    orientation: int = 1
    """By EXIF, 1 to 8: what the pixels have been turned by to be upright. 1: they are as they were stored."""
    gps: GeoPosition | None = None
    """Where it was taken; None where EXIF does not say."""


def read_image(file: ImageFile, admit: Admit = lambda pixels: None) -> tuple[NDArray[np.uint8], float | None]:
    """Pixels (H, W, 3) and focal length of an image file; arguments and errors as of `read_picture`."""
    picture = read_picture(file, admit)
    return picture.pixels, picture.exif_focal_35mm


def read_picture(file: ImageFile, admit: Admit = lambda pixels: None) -> Picture:
    """Decode an image file, whatever its name says of its format.

    Of a file that holds several pictures the first is read; a warning says so where the others are photos, too.

    Args:
        file: its path, or its content.
        admit: waits until there is room for its pixels; called before any is decoded.

    Raises:
        InputError: the file is missing, empty, damaged, too large, no image, or one of a format that is not read; the
            message says what it is and what to do.
        MissingExtraError: a HEIC file, and pillow-heif is not installed.
    """
    found: Format | None = None
    try:
        if _is_empty(file):
            raise InputError(f"'{file}' is empty (0 bytes), not an image")
        found = detect_format(file)
        with _open(file, found, admit) as image:
            turned_by_decoder = _orientation_of_decoder(image)
            if image.mode.startswith("I"):
                _load(image)
            levels = stretched(image, file)
            if _zero_is_white(image):
                levels = _inverted(levels)
            picture = picture_from_pil(levels, f"'{file}'")
            orientation = turned_by_decoder or picture.orientation
            return replace(picture, exif_focal_35mm=focal_35mm(image), orientation=orientation, gps=gps_position(image))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"'{file}' does not exist; give an image file or a folder of images") from error
    except UnidentifiedImageError as error:
        if found is not None and not found.remedy:
            raise InputError(
                f"'{file}' cannot be read: it begins as {found.name}, but is damaged or of a kind that few programs "
                "write; save it anew as JPEG or PNG"
            ) from error
        reason = f"'{file}' is not an image that can be read; {_READ_FORMATS} can"
        raise InputError(reason if found is None else found.refusal(file)) from error
    except PermissionError as error:
        raise InputError(f"'{file}' cannot be read: permission denied") from error
    except Exception as error:  # decoders raise almost anything on a damaged file
        raise InputError(f"'{file}' cannot be read, it may be truncated or damaged: {error}") from error


def pixels_from_pil(image: Image.Image, label: str = "the image") -> NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB of a Pillow image, as `picture_from_pil`."""
    return picture_from_pil(image, label).pixels


def picture_from_pil(image: Image.Image, label: str = "the image") -> Picture:
    """Turn a Pillow image of any mode upright, blend transparency over white, and bring it to 8-bit sRGB.

    Colours become those of sRGB where the image says what they are (`recon.sources.colour`); others are taken for it.
    16-bit grey is scaled (not clipped) to 8 bits. EXIF data that cannot be parsed counts as absent, with a
    warning. `label` names the image in errors and warnings.
    """
    _load(image)
    try:
        orientation = _orientation(image)
        upright = image if orientation == 1 else ImageOps.exif_transpose(image)  # which copies an upright image too
    except SyntaxError as error:
        warn(f"{label} has EXIF data that cannot be read ({error}); it is taken to be upright")
        orientation, upright = 1, image
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright)
        if upright.mode == "I":
            if values.min() < 0 or values.max() > 65535:
                raise InputError(f"{label} has 32-bit values beyond 0 to 65535; save it with 8 or 16 bits per channel")
            values = values.astype(np.uint16)
        if values.dtype.kind == "u":
            values = grey_to_srgb(values, upright, label)
        return Picture(pixels_from_array(values, label), orientation=orientation)
    try:
        upright = to_srgb(upright, label)
        opaque = None
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = upright.convert("RGBA")
            opaque = np.asarray(upright.getchannel("A")) >= OPAQUE_FROM
            upright = Image.alpha_composite(white, upright)
        pixels = np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))
        return Picture(pixels, opaque=None if opaque is None or opaque.all() else opaque, orientation=orientation)
    except ValueError as error:
        raise InputError(f"{label} has colour mode {image.mode}, which has no conversion; save it as RGB") from error


def _orientation(image: Image.Image) -> int:
    """By EXIF; 1 where that says nothing that there is. Raises SyntaxError where it cannot be read."""
    return _believable_orientation(image.getexif().get(_ORIENTATION))


def _orientation_of_decoder(image: Image.Image) -> int | None:
    """Of a file just opened whose decoder turns it and then says that it is upright, as those of TIFF and HEIC do."""
    if image.format == "TIFF":
        return _believable_orientation(image.tag_v2.get(_ORIENTATION))  # type: ignore[attr-defined]
    stated = image.info.get("original_orientation")
    return None if stated is None else _believable_orientation(stated)


def _believable_orientation(stated: Any) -> int:
    return int(stated) if stated in range(1, 9) else 1


def _load(image: Image.Image) -> None:
    """Decode it. Pillow maps raw TIFF files into memory with width and height swapped where they have to be turned; a
    file of which it does not know the name it reads."""
    name = getattr(image, "filename", None)
    if image.format != "TIFF" or not name:
        image.load()
        return
    image.filename = ""  # type: ignore[attr-defined]
    try:
        image.load()
    finally:
        image.filename = name  # type: ignore[attr-defined]


def pixels_from_array(array: NDArray[Any], label: str = "the image") -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an array, as `picture_from_array`."""
    return picture_from_array(array, label).pixels


def picture_from_array(array: NDArray[Any], label: str = "the image") -> Picture:
    """Turn an array into 8-bit RGB; a fourth channel is alpha and blended over white.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16, bool, or floats in [0, 1].
        label: names the image in errors.

    Raises:
        InputError: another shape or type, or floats that are not finite or outside [0, 1].
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        hint = "; move the channels last" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise InputError(f"{label} must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}{hint}")
    _check_size((array.shape[1], array.shape[0]), label)
    eight_bit = _to_eight_bit(array, label)
    if eight_bit.ndim == 2:
        eight_bit = eight_bit[..., None]
    if eight_bit.shape[2] == 1:
        eight_bit = np.repeat(eight_bit, 3, axis=2)
    if eight_bit.shape[2] == 4:
        return picture_from_pil(Image.fromarray(eight_bit), label)
    return Picture(np.ascontiguousarray(eight_bit))


def focal_35mm(image: Image.Image) -> float | None:
    """Focal length from EXIF in millimetres, as if the sensor were 36 × 24 mm; None where it does not say.

    A value that no lens has, as 0, 1 or 65535, is what cameras write that do not know it: it counts as absent.
    """
    try:
        return believable_focal(image.getexif().get_ifd(_EXIF_IFD).get(_FOCAL_LENGTH_IN_35MM_FILM))
    except SyntaxError:
        return None


def believable_focal(value: Any) -> float | None:
    """`value` as a focal length in millimetres on 35 mm film; None where it is no number, or one that no lens has."""
    try:
        focal = float(value)
    except (TypeError, ValueError, ArithmeticError):  # a rational number may have the denominator 0
        return None
    return focal if SHORTEST_FOCAL_35MM <= focal <= LONGEST_FOCAL_35MM else None


def focal_from_pixels(focal: float, width: int, height: int) -> float:
    """Undoes `focal_in_pixels`."""
    return focal * _DIAGONAL_35MM / math.hypot(width, height)


def focal_in_pixels(focal: float, width: int, height: int) -> float:
    """Focal length in pixels of a photo from `focal_35mm`, which compares diagonals (CIPA DCG-001)."""
    return focal / _DIAGONAL_35MM * math.hypot(width, height)


def _is_empty(file: ImageFile) -> bool:
    with file.open("rb") as stream:
        return not stream.read(1)


def _open(file: ImageFile, found: Format | None, admit: Admit) -> Image.Image:
    """A file of the format found, whose size is known and admitted."""
    if found is HEIC:
        return _open_heic(file, admit)
    if found is AVIF and not features.check("avif"):
        raise MissingExtraError(f"reading '{file}' (AVIF)", "pillow>=11.3", None)
    if found is not None and found.remedy and found.kind != "text":  # Pillow knows formats that are text
        raise InputError(found.refusal(file))
    # Pillow refuses from 179 megapixels on and warns from 89, which cameras exceed: MAX_PIXELS takes the place of its
    # limit, a global, for the moment of opening. Nothing is decoded until later.
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(opened(file))
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    try:
        _check_size(image.size, f"'{file}'")
        _check_alone(image, file)
        if image.format == "PNG":
            image.info.update(png_entries(file))
        admit(image.width * image.height)
    except BaseException:
        image.close()
        raise
    return image


def _zero_is_white(image: Image.Image) -> bool:
    """Whether it is a TIFF of 16-bit grey that says so, as scanners write. Pillow inverts those of 8 bits alone."""
    if image.format != "TIFF" or not image.mode.startswith("I;16"):
        return False
    return bool(image.tag_v2.get(_PHOTOMETRIC) == 0)  # type: ignore[attr-defined]


def _inverted(image: Image.Image) -> Image.Image:
    """16-bit grey, upright already."""
    inverted = Image.fromarray(np.uint16(65535) - np.asarray(image).astype(np.uint16))
    inverted.info = {name: value for name, value in image.info.items() if name != "exif"}
    return inverted


def _check_alone(image: Image.Image, file: ImageFile) -> None:
    """Refuse a moving picture, and warn of a file with several photos, of which the first counts."""
    count = getattr(image, "n_frames", 1)
    if count <= 1:
        return
    if image.format == "MPO":
        if file.suffix.lower() != ".mpo":  # phones put a preview, or how bright each part is, beside the photo
            entries = getattr(image, "mpinfo", {}).get(_MPF_TABLE, [])
            count = sum(str(entry["Attribute"]["MPType"]).startswith(_SEVERAL_VIEWS) for entry in entries)
    elif image.format not in _PAGES:
        raise InputError(MOVING_PICTURE.refusal(file))
    if count > 1 and image.format != "PSD":  # whose first is all layers together
        warn(f"'{file}' holds {count} pictures: the first one is read")


def _open_heic(file: ImageFile, admit: Admit) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingExtraError(f"reading '{file}' (HEIC)", "pillow-heif", "heic") from error
    if not pillow_heif.is_supported(opened(file)):
        raise UnidentifiedImageError(str(file))
    heic = pillow_heif.open_heif(opened(file))
    _check_size(heic.size, f"'{file}'")
    admit(heic.size[0] * heic.size[1])
    return heic.to_pillow()


def _check_size(size: tuple[int, int], label: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        megapixels = width * height / 1e6
        raise InputError(
            f"{label} is {width}×{height}, {megapixels:.0f} megapixels; make it {MAX_PIXELS / 1e6:.0f} or less"
        )


def _to_eight_bit(array: NDArray[Any], label: str) -> NDArray[np.uint8]:
    """Rescale the full range of bool, uint8, uint16 or float [0, 1] values to 0…255, rounding to nearest."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind != "f":
        raise InputError(f"{label} has pixels of type {array.dtype}; give uint8, uint16, or floats in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{label} has pixels that are NaN or infinite; give finite floats in [0, 1]")
    if low < -1e-3 or high > 1 + 1e-3:
        raise InputError(f"{label} has float pixels from {low:g} to {high:g}; scale them to [0, 1], or give uint8")
    return np.rint(array.clip(0, 1) * 255).astype(np.uint8)
