"""What kind of file it is, told by its first bytes: names lie.

A photo that this program reads, one that it does not, or something else: each with what to do about it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeAlias

from recon.sources.file_content import ImageFile

Kind: TypeAlias = Literal["photo", "video", "archive", "document", "text", "other"]

RAW_SUFFIXES = frozenset(
    {
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2", ".rwl"),
        *(".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mef", ".mos", ".mrw", ".gpr"),
    }
)
"""Suffixes (lower case) of what a camera's sensor recorded, undeveloped."""

PHOTO_SUFFIXES = RAW_SUFFIXES | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif"),
    *(".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".tga", ".psd", ".qoi"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    *(".jxl", ".jxr", ".wdp", ".hdr", ".exr", ".psb", ".svg"),  # not read: named, not passed over
}
"""Suffixes (lower case) of the files of a folder that are meant as photos, those that cannot be read among them."""

_START = 4096
"""Bytes looked at."""


@dataclass(frozen=True)
class Format:
    """What a file holds."""

    name: str
    """As it stands in a sentence: "a PNG picture"."""
    kind: Kind
    remedy: str = ""
    """What to do with a file that is not read as a photo; `{name}` stands for the file's name. Empty: it is read."""

    def refusal(self, path: ImageFile) -> str:
        """One line on why the file cannot be used as a photo, and what to do."""
        what = "which cannot be read" if self.kind == "photo" else "not a photo"
        return f"'{path}' is {self.name}, {what}: {self.remedy.format(name=path.name)}"


_CONVERT = "convert it to JPEG, PNG or TIFF"
_DEVELOP = "develop it to JPEG or TIFF first, for example with darktable, RawTherapee or the camera's own program"
_TONE_MAP = "its values are light, not colours to look at; tone-map it and save it as JPEG, PNG or TIFF"
_UNPACK = "unpack it and give the folder of its photos"
_PHOTO_INSTEAD = "give photos instead"
_ALONE = "give it alone, and its frames are the photos"
_COPY_AGAIN = "copy or download it again"

HEIC = Format("a HEIC photo", "photo")
AVIF = Format("an AVIF picture", "photo")
RAW = Format("a RAW photo", "photo", _DEVELOP)
SVG = Format("a drawing (SVG)", "document", "export it as PNG")
HTML = Format("a web page (HTML), perhaps an error message saved in place of a photo", "text", "download it again")
TEXT = Format("text", "text", _PHOTO_INSTEAD)
ZEROS = Format("nothing but zeros at its start", "other", _COPY_AGAIN)
MOVING_PICTURE = Format("a moving picture", "video", "convert it to MP4 or GIF, or give its frames")


def _photo(name: str) -> Format:
    return Format(name, "photo")


def _unread(name: str, remedy: str = _CONVERT) -> Format:
    return Format(name, "photo", remedy)


def _video(name: str) -> Format:
    return Format(f"a video ({name})", "video", _ALONE)


def _archive(name: str) -> Format:
    return Format(f"an archive ({name})", "archive", _UNPACK)


ZIP = _archive("ZIP")
GIF = _photo("a GIF picture")

_AT_START: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff\xf7", _unread("a JPEG-LS picture")),
    (b"\xff\xd8\xff", _photo("a JPEG photo")),
    (b"\x89PNG\r\n\x1a\n", _photo("a PNG picture")),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\xff\x4f\xff\x51", _photo("a JPEG 2000 picture")),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", _photo("a JPEG 2000 picture")),
    (b"8BPS\x00\x01", _photo("a Photoshop picture")),
    (b"8BPS\x00\x02", _unread("a large Photoshop picture (PSB)")),
    (b"qoif", _photo("a QOI picture")),
    (b"\xff\x0a", _unread("a JPEG XL picture", f"{_CONVERT}, for example with `djxl {{name}} photo.png`")),
    (b"\x00\x00\x00\x0cJXL ", _unread("a JPEG XL picture", f"{_CONVERT}, for example with `djxl {{name}} photo.png`")),
    (b"II\xbc", _unread("a JPEG XR picture")),
    (b"BPG\xfb", _unread("a BPG picture")),
    (b"\x76\x2f\x31\x01", _unread("an OpenEXR picture", _TONE_MAP)),
    (b"#?RADIANCE", _unread("a Radiance HDR picture", _TONE_MAP)),
    (b"#?RGBE", _unread("a Radiance HDR picture", _TONE_MAP)),
    (b"gimp xcf", _unread("a GIMP picture (XCF)")),
    (b"AT&TFORM", Format("a DjVu document", "document", "export its pages as PNG")),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIU\x00", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"FOVb", RAW),
    (b"\x00MRM", RAW),
    (b"%!PS", Format("a PostScript document", "document", "export its pages as PNG")),
    (b"\xc5\xd0\xd3\xc6", Format("a PostScript document", "document", "export its pages as PNG")),
    (b"\x1aE\xdf\xa3", _video("Matroska or WebM")),
    (b"FLV\x01", _video("Flash")),
    (b"\x00\x00\x01\xba", _video("MPEG")),
    (b"\x00\x00\x01\xb3", _video("MPEG")),
    (b"OggS", _video("Ogg")),
    (b"0&\xb2u\x8ef\xcf\x11", _video("Windows Media")),
    (b"ID3", Format("a sound file (MP3)", "other", _PHOTO_INSTEAD)),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
    (b"\x1f\x8b", _archive("gzip")),
    (b"7z\xbc\xaf\x27\x1c", _archive("7-Zip")),
    (b"Rar!\x1a\x07", _archive("RAR")),
    (b"\xfd7zXZ\x00", _archive("xz")),
    (b"BZh", _archive("bzip2")),
    (b"\x28\xb5\x2f\xfd", _archive("Zstandard")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format("an Office document", "document", "export its pictures")),
    (b"\x93NUMPY", Format("a NumPy array", "other", "load it with numpy and give the array in Python")),
    (b"ply\n", Format("a PLY file", "other", _PHOTO_INSTEAD)),
    (b"ply\r\n", Format("a PLY file", "other", _PHOTO_INSTEAD)),
    (b"glTF", Format("a glTF model", "other", _PHOTO_INSTEAD)),
    (b"SQLite format 3\x00", Format("a database", "other", _PHOTO_INSTEAD)),
    (b"version https://git-lfs", Format("a Git LFS pointer", "text", "run `git lfs pull` in its folder")),
)
"""By what a file begins with; the first that fits counts."""

_RIFF = {
    b"WEBP": _photo("a WebP picture"),
    b"AVI ": _video("AVI"),
    b"WAVE": Format("a sound file (WAV)", "other", _PHOTO_INSTEAD),
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""Of which one comes first in a QuickTime video of before there was a box that tells the type."""
_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_NETPBM = re.compile(rb"P[1-7Ff]\s")
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|script|title|meta)\b", re.IGNORECASE)
_SVG = re.compile(rb"<svg\b")
_TAR_MAGIC = slice(257, 262)
_BITMAP_HEADERS = frozenset(struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124))
"""Lengths that the second header of a BMP file has had."""
_PACKET, _TIMED_PACKET, _SYNC = 188, 192, 0x47
"""Bytes of a packet of an MPEG transport stream, the same with four for the time before it, and what it begins with."""

_NEW_SUBFILE_TYPE, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 0x00FE, 0x0106, 0x014A, 0xC612
_REDUCED = 1
"""Bit of NewSubfileType (TIFF 6.0, page 36): a smaller version of another image of the file."""
_SENSOR_PHOTOMETRICS = (32803, 34892)
"""Colour filter array, and linear RAW (TIFF/EP, DNG)."""
_SHORT = 3
"""TIFF's number for the type of unsigned 16-bit values."""


def detect_format(file: ImageFile) -> Format | None:
    """What the file holds, by its content; its name decides only which TIFF file is a RAW photo.

    None for content that is not known, and for an empty file. Raises OSError where the file cannot be opened.
    """
    with file.open("rb") as stream:
        start = stream.read(_START)
        if start[:4] in _TIFF_STARTS:
            is_raw = file.suffix.lower() in RAW_SUFFIXES or start[8:10] == b"CR" or _is_raw_tiff(stream, start)
            return RAW if is_raw else _photo("a TIFF picture")
    return _of_start(start)


def _of_start(start: bytes) -> Format | None:
    for magic, found in _AT_START:
        if start.startswith(magic):
            return found
    if start[:4] == b"RIFF" and start[8:12] in _RIFF:
        return _RIFF[start[8:12]]
    if start[4:8] == b"ftyp" and start[0] == 0:
        return _of_brands(start)
    if start[4:8] in _QUICKTIME_BOXES and start[0] < 32:  # the length of the box, not text
        return _video("QuickTime")
    if start[6:14] == b"HEAPCCDR":
        return RAW
    if b"%PDF-" in start[:1024]:
        return Format("a PDF document", "document", "export its pages or pictures as PNG")
    if start[_TAR_MAGIC] == b"ustar":
        return _archive("tar")
    if start[:2] == b"BM" and len(start) >= 26 and start[14:18] in _BITMAP_HEADERS:
        return _photo("a BMP picture")
    if _NETPBM.match(start):
        return _photo("a Netpbm picture")
    if start and not start.strip(b"\x00"):
        return ZEROS
    return _of_text(start) or (_video("MPEG transport stream") if _is_transport_stream(start) else None)


def _of_brands(start: bytes) -> Format:
    """An ISO base media file, by the brands that its first box lists (ISO/IEC 14496-12, 4.3)."""
    (length,) = struct.unpack(">I", start[:4])
    listed = start[16 : min(length, len(start))]
    brands = {start[8:12], *(listed[i : i + 4] for i in range(0, len(listed), 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    if brands & _HEIF_BRANDS:
        return HEIC
    if b"crx " in brands:
        return RAW
    if start[8:12] in _SOUND_BRANDS:
        return Format("a sound file (M4A)", "other", _PHOTO_INSTEAD)
    return _video("QuickTime" if start[8:12] == b"qt  " else "MP4")


def _of_text(start: bytes) -> Format | None:
    """Text of any kind; None for anything else."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return TEXT
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text or any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in text):
        return None
    if text.startswith(b"<"):
        return SVG if _SVG.search(text) and not _HTML.match(text) else HTML if _HTML.search(text) else TEXT
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(text) - 3:  # later it is a character that the end of what was read cuts through
            return None
    return TEXT


def _is_transport_stream(start: bytes) -> bool:
    """Packets of 188 bytes, or of 192 with a time before each, as MPEG-2 (ISO/IEC 13818-1) and Blu-ray have them."""
    syncs = (start[0:_START:_PACKET], start[_TIMED_PACKET - _PACKET : _START : _TIMED_PACKET])
    return any(len(found) > 3 and set(found) == {_SYNC} for found in syncs)


def _is_raw_tiff(file: BinaryIO, start: bytes) -> bool:
    """Whether the first image of a TIFF is a sensor's, or a small preview of one: how DNG, NEF and ARW are built."""
    order = "<" if start[:2] == b"II" else ">"
    if start[:4] not in _TIFF_STARTS[:2] or len(start) < 8:
        return False
    (offset,) = struct.unpack(f"{order}I", start[4:8])
    file.seek(offset)
    head = file.read(2)
    if len(head) < 2:
        return False
    entries = file.read(12 * struct.unpack(f"{order}H", head)[0])
    values: dict[int, int] = {}
    for at in range(0, len(entries) - 11, 12):
        tag, kind = struct.unpack_from(f"{order}HH", entries, at)
        (values[tag],) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", entries, at + 8)
    preview = bool(values.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED) and _SUB_IFDS in values
    return preview or _DNG_VERSION in values or values.get(_PHOTOMETRIC) in _SENSOR_PHOTOMETRICS
