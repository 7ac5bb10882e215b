"""Pictures of 9 to 15 bits in files of 16: stretched to the whole range where the file says how many bits count.

Cameras of 10, 12 and 14 bits put their values into 16-bit files as they are, and a picture shown as such is dark. TIFF
says it by BitsPerSample, MaxSampleValue or SMaxSampleValue (TIFF 6.0), WhiteLevel (DNG) or SignificantBits (OME);
PNG by sBIT, though a file that keeps to its specification (11.3.2.4) has its values stretched already.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.messages import warn
from recon.sources.file_content import ImageFile

_BITS_PER_SAMPLE, _IMAGE_DESCRIPTION = 258, 270
_LARGEST_VALUES = (281, 341, 50717)
"""MaxSampleValue, SMaxSampleValue, WhiteLevel."""
_OME_BITS = re.compile(r'SignificantBits\s*=\s*"(\d+)"')
_UNUSUAL_BITS = range(9, 16)
_ORIENTATION = 0x0112

_PNG_START = 8
_CHUNK_LENGTHS = {b"sBIT": (1, 2, 3, 4), b"cICP": (4,)}
"""Bytes of a chunk; one of another length is damaged, and counts as absent."""
_MOST_CHUNKS = 1000


def stretched(image: Image.Image, file: ImageFile) -> Image.Image:
    """The picture over the whole range of its mode; `image` itself where there is nothing to stretch.

    Grey stays 16-bit (mode I;16); colours, of which Pillow drops the lower byte, are read anew and become 8-bit.

    Args:
        image: as Pillow opened it, decoded where it is grey, with what `png_entries` finds in its `info`.
        file: it was opened from.
    """
    bits = _stated_bits(image)
    if bits is None:
        return image
    values: Any = np.asarray(image) if image.mode.startswith("I") else _read_sixteen_bits(file)
    if values is None:
        warn(
            f"'{file}' has {bits} bits in 16, which cannot be stretched in this kind of file: save it with 8 or 16 bits"
        )
        return image
    if values.dtype.kind not in "ui" or values.min() < 0 or values.max() >= 1 << bits:
        return image
    if image.format == "PNG" and not (values & ((1 << (16 - bits)) - 1)).any():
        return image  # values shifted up as they ought to be, of a picture that is dark
    scale = 65535 / ((1 << bits) - 1)
    full = np.rint(values * np.float32(scale)).astype(np.uint16)
    if full.ndim == 3:
        full = ((full.astype(np.uint32) + 128) // 257).astype(np.uint8)
    result = Image.fromarray(full)
    exif = Image.Exif()
    # As Pillow does when it decodes one, OpenCV turns a TIFF upright, and nothing else.
    exif[_ORIENTATION] = 1 if image.format == "TIFF" else image.getexif().get(_ORIENTATION, 1)
    result.info = {**image.info, "exif": exif.tobytes()}
    return result


def png_entries(file: ImageFile) -> dict[str, tuple[int, ...]]:
    """What a PNG file says before its pixels that Pillow passes over.

    `sbit`: significant bits of each channel; `cicp`: numbers of primaries and curve (ITU-T H.273).
    """
    found: dict[str, tuple[int, ...]] = {}
    with file.open("rb") as stream:
        stream.seek(_PNG_START)
        for _ in range(_MOST_CHUNKS):
            head = stream.read(8)
            if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
                break
            (length,) = struct.unpack(">I", head[:4])
            if head[4:] in (b"sBIT", b"cICP") and length in _CHUNK_LENGTHS[head[4:]]:
                content = tuple(stream.read(length))
                found[head[4:].decode().lower()] = content if head[4:] == b"sBIT" else content[:2]
                stream.seek(4, 1)  # its checksum
            else:
                stream.seek(length + 4, 1)
    return found


def _stated_bits(image: Image.Image) -> int | None:
    """Between 9 and 15; None where the file says nothing of the kind."""
    stated = _of_tiff(image) if image.format == "TIFF" else max(image.info.get("sbit", (0,)))
    return stated if stated in _UNUSUAL_BITS else None


def _of_tiff(image: Image.Image) -> int:
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = max(_numbers(tags.get(_BITS_PER_SAMPLE)), default=1)
    if bits != 16:
        return bits
    for tag in _LARGEST_VALUES:
        largest = max(_numbers(tags.get(tag)), default=0)
        if largest + 1 in (1 << bits for bits in _UNUSUAL_BITS):
            return largest.bit_length()
    described = _OME_BITS.search(str(tags.get(_IMAGE_DESCRIPTION, "")))
    return int(described.group(1)) if described else 0


def _numbers(value: Any) -> list[int]:
    """The whole numbers of a tag, which may hold one, several, or none."""
    values = value if isinstance(value, (tuple, list)) else [] if value is None else [value]
    return [int(one) for one in values if isinstance(one, (int, float)) and one == one // 1]


def _read_sixteen_bits(file: ImageFile) -> NDArray[np.uint16] | None:
    """(H, W, 3 | 4) RGB(A), not converted, TIFF upright; None where OpenCV cannot read it so."""
    read = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16 or read.ndim != 3 or read.shape[2] not in (3, 4):
        return None
    order = cv2.COLOR_BGR2RGB if read.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(read, order), np.uint16)
