"""What the colours of a picture mean, and turning them into sRGB: what screens show and networks are trained on.

A profile in the file says it (ICC.1), or else the camera's mark for Adobe RGB (DCF 2.0), or primaries and a curve by
number (ITU-T H.273, in PNG's cICP and HEIF's nclx) or by value (PNG's cHRM and gAMA). Where nothing does it is sRGB.
"""

from __future__ import annotations

import functools
import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.messages import warn

if TYPE_CHECKING:
    from PIL import ImageCms

_INTEROPERABILITY_IFD = 0xA005
_INTEROPERABILITY_INDEX = 1
_ADOBE_RGB_MARK = "R03"

_D50 = (0.9642, 1.0, 0.8249)
"""XYZ of the white that profiles refer to (ICC.1, 7.2.16)."""
_D65 = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_SRGB_PRIMARIES = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x, y of white, red, green and blue (IEC 61966-2-1)."""
_ADOBE_PRIMARIES = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_GAMMA = 563 / 256
_PRIMARIES_BY_NUMBER = {
    1: _SRGB_PRIMARIES,
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
"""H.273, table 2. Those of analogue television are as good as sRGB's."""
_GAMMA_BY_NUMBER = {1: None, 2: None, 6: None, 13: None, 14: None, 15: None, 4: 2.2, 5: 2.8, 8: 1.0}
"""H.273, table 3; None for sRGB's own curve, and for those of video, which are meant to look like it on a screen."""
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}

_USUAL_GAMMA = (2.0, 2.4)
"""What files with sRGB's primaries call 2.2, and mean its curve by."""
_SAME_PRIMARIES = 0.005
_SAME_LEVELS = 2
"""RGB profiles that move no colour by more than so many of 255 levels are sRGB's: rounding would be all they do."""


def to_srgb(image: Image.Image, label: str) -> Image.Image:
    """The picture in sRGB: RGB, or RGBA where it has transparency; `image` itself where it is sRGB already.

    Colours go through littlecms, relative to white and with black mapped to black; those that sRGB lacks become the
    nearest ones it has. What cannot be read, or is for another kind of picture, is left aside with a warning.

    Args:
        image: with 8 bits per channel.
        label: names it in warnings.
    """
    try:
        profile = _profile_of(image, label)
        converted = None if profile is None else _convert(image, profile)
    except Exception as error:  # Pillow and littlecms raise many kinds, ImportError where the latter was left out
        said = " ".join(str(error).split())
        warn(f"{label} has a colour profile that cannot be used ({said}): its colours are taken for sRGB")
        return image
    return image if converted is None else converted


def grey_to_srgb(levels: NDArray[np.uint16], image: Image.Image, label: str) -> NDArray[np.uint8]:
    """(H, W) 8-bit sRGB grey of 16-bit levels, after the profile of `image`, which they come from."""
    steps = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps.info.update(image.info)
    shown = np.asarray(to_srgb(steps, label).convert("L"), np.float64)[0]
    if np.array_equal(shown, np.arange(256)):
        return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    table = np.rint(np.interp(np.arange(65536) / 257, np.arange(256), shown)).astype(np.uint8)
    return table[levels]


def matrix_profile(
    primaries: tuple[float, ...], gamma: float | None, white_to: tuple[float, float, float] = _D50
) -> bytes:
    """An ICC profile (version 2.4) of an RGB colour space.

    Args:
        primaries: x, y of white, red, green and blue.
        gamma: light is level ** gamma; None for sRGB's curve.
        white_to: XYZ that the white becomes, after Bradford.
    """
    chromaticities = np.array(primaries, np.float64).reshape(4, 2)  # white, red, green, blue
    xyz = np.column_stack([chromaticities, 1 - chromaticities.sum(axis=1)]) / chromaticities[:, 1:]  # Y = 1
    white, colours = xyz[0], xyz[1:].T
    colours = colours * np.linalg.solve(colours, white)
    cones = (_BRADFORD @ np.array(white_to)) / (_BRADFORD @ white)
    adapted = np.linalg.inv(_BRADFORD) @ (cones[:, None] * (_BRADFORD @ colours))

    levels = np.arange(256) / 255  # exactly those of 8 bits
    light = (
        np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        if gamma is None
        else (levels**gamma)
    )
    curve = struct.pack(">4s4xI", b"curv", 256) + np.rint(light * 65535).astype(">u2").tobytes()
    text = b"RGB\x00"
    tags = {
        b"desc": struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78),
        b"cprt": struct.pack(">4s4x", b"text") + text,
        b"wtpt": _xyz_tag(np.array(white_to)),
        **{name: _xyz_tag(adapted[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i", start + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp", *_fixed(_D50)
    )
    return header.ljust(128, b"\x00") + table + data


def _xyz_tag(xyz: NDArray[np.float64]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *_fixed(xyz))


def _fixed(values: Any) -> list[int]:
    """Numbers with 16 bits behind the point, as profiles have them."""
    return [round(float(value) * 65536) for value in values]


def _profile_of(image: Image.Image, label: str) -> bytes | None:
    """ICC profile of the picture, its own or one that means the same; None where it is sRGB."""
    info = image.info
    by_number = info.get("cicp") or _nclx_numbers(info.get("nclx_profile"))
    if info.get("cicp") is None and info.get("icc_profile"):
        return bytes(info["icc_profile"])
    if by_number is not None:
        return _profile_by_number(by_number[0], by_number[1], label)
    if "srgb" in info:
        return None
    if _is_marked_adobe_rgb(image):
        return matrix_profile(_ADOBE_PRIMARIES, _ADOBE_GAMMA)
    primaries, encoding = info.get("chromaticity"), info.get("gamma")
    gamma = 1 / encoding if encoding else None
    if primaries is not None and not all(y > 0 for y in primaries[1::2]):
        raise ValueError("its primaries are no colours")
    if primaries is None or np.allclose(primaries, _SRGB_PRIMARIES, atol=_SAME_PRIMARIES):
        usual = gamma is None or _USUAL_GAMMA[0] < gamma < _USUAL_GAMMA[1]
        return None if usual else matrix_profile(_SRGB_PRIMARIES, gamma)
    return matrix_profile(tuple(primaries), gamma)


def _is_marked_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF says so, as that of cameras does which embed no profile."""
    try:
        return image.getexif().get_ifd(_INTEROPERABILITY_IFD).get(_INTEROPERABILITY_INDEX) == _ADOBE_RGB_MARK
    except Exception:  # Pillow stumbles over damaged EXIF in many ways, and that is said elsewhere
        return False


def _nclx_numbers(nclx: Any) -> tuple[int, int] | None:
    """Primaries and curve of a HEIC file, as pillow-heif gives them."""
    if not isinstance(nclx, dict):
        return None
    return int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))


def _profile_by_number(primaries: int, curve: int, label: str) -> bytes | None:
    if curve in _HIGH_DYNAMIC_RANGE:
        name = _HIGH_DYNAMIC_RANGE[curve]
        warn(f"{label} has a high dynamic range ({name}), which is not converted: it will look flat; save it as sRGB")
        return None
    known = _PRIMARIES_BY_NUMBER.get(primaries, _SRGB_PRIMARIES)
    gamma = _GAMMA_BY_NUMBER.get(curve)
    return None if known is _SRGB_PRIMARIES and gamma is None else matrix_profile(known, gamma)


def _convert(image: Image.Image, profile: bytes) -> Image.Image | None:
    """In sRGB; None where the profile is as good as sRGB's. Raises ValueError for one of another kind of picture."""
    from PIL import ImageCms

    space = _colour_space(profile)
    is_cmyk, is_grey = image.mode == "CMYK", image.mode in ("1", "L", "LA")
    if (space == "CMYK") != is_cmyk or (space == "GRAY" and not is_grey) or space not in ("RGB", "GRAY", "CMYK"):
        raise ValueError(f"it is for {space}, and the picture is {image.mode}")
    clear = image.convert("RGBA") if image.has_transparency_data else None
    opaque = image if clear is None else clear.convert("RGB")
    converted: Image.Image | None
    if space == "GRAY":
        converted = opaque.convert("L").point(_grey_table(profile)).convert("RGB")
    elif (transform := _transform(profile, space)) is None:
        return None
    else:
        converted = ImageCms.applyTransform(opaque if opaque.mode == space else opaque.convert(space), transform)
    if clear is not None and converted is not None:
        converted.putalpha(clear.getchannel("A"))
    return converted


@functools.lru_cache(maxsize=16)
def _colour_space(profile: bytes) -> str:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()


@functools.lru_cache(maxsize=16)
def _grey_table(profile: bytes) -> list[int]:
    """sRGB level of each of the 256 of a profile of grey."""
    from PIL import ImageCms

    # Optimised, littlecms samples the curve so coarsely that dark levels are wrong by up to 10.
    transform = _build(profile, "L", ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE)
    shown = ImageCms.applyTransform(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), transform)
    return [int(level) for level in np.asarray(shown)[0, :, 1]]


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile, for pictures of a mode (RGB, CMYK), to sRGB; None where that changes next to nothing."""
    from PIL import ImageCms

    transform = _build(profile, mode, ImageCms.Flags.BLACKPOINTCOMPENSATION)
    if mode == "CMYK":
        return transform
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    levels = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(len(steps), -1, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(levels), transform), np.int16) - levels
    return None if np.abs(moved).max() <= _SAME_LEVELS else transform


def _build(profile: bytes, mode: str, flags: ImageCms.Flags) -> ImageCms.ImageCmsTransform:
    from PIL import ImageCms

    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
